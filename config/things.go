package config

import (
	"cmp"
	"slices"

	"sallyport"
	"sallyport/purpose"
)

// Helpdesks is what the configuration says of reasons that stand in other systems.
type Helpdesks struct {
	Kinds map[string]map[string]*purpose.Kind // by source and kind of purpose
	Named func(string) (purpose.Person, bool) // whose a name in another system is
}

// Helpdesks is what detection needs to know of the sources that put on record what they hear.
func (c *Config) Helpdesks() Helpdesks {
	o := Helpdesks{Kinds: map[string]map[string]*purpose.Kind{}, Named: c.Listing().Named}
	for kind, k := range c.Purposes.Kinds {
		of := c.Purposes.Sources[k.Source]
		if of.Webhook.SecretFile == "" && of.Zendesk.URL == "" {
			continue
		}
		if o.Kinds[k.Source] == nil {
			o.Kinds[k.Source] = map[string]*purpose.Kind{}
		}
		o.Kinds[k.Source][kind] = &k
	}
	return o
}

// tells says whether tickets, calls or jobs come from another system by themselves.
func (o *Helpdesks) tells(kind string) bool {
	for _, kinds := range o.Kinds {
		if kinds[kind] != nil {
			return true
		}
	}
	return false
}

// Staff is whom a name means; nobody where it is a program's or a customer's.
func (o *Helpdesks) Staff(name string) sallyport.Staff {
	if name == "" || o.Named == nil {
		return ""
	}
	p, ok := o.Named(name)
	if !ok {
		return ""
	}
	return p.Staff
}

// Made is who made a reason: nobody where a program did whose word counts. Of somebody whom nobody knows it is taken for the work of whom it serves.
func (o *Helpdesks) Made(k *purpose.Kind, by, serves string) sallyport.Staff {
	if by == "" || slices.Contains(k.Programs, by) {
		return ""
	}
	return cmp.Or(o.Staff(by), o.Staff(serves))
}

// KindOf says as what a state counts: the kind that its source serves, and where it serves several the one that the state is a reason for.
func (o *Helpdesks) KindOf(from, state string) (string, *purpose.Kind) {
	kinds := o.Kinds[from]
	for _, kind := range [...]string{"ticket", "call", "job"} {
		if k := kinds[kind]; k != nil && (len(kinds) == 1 || k.Holds(kind, state)) {
			return kind, k
		}
	}
	return "", nil
}
