package export

import (
	"slices"
	"strings"

	"sallyport"
)

// Masks gives pseudonyms for who somebody is, and for what leads to him. Programs keep their names.
type Masks interface {
	Person(who sallyport.Staff) string
	Session(id string) string
	Address(a string) string
	Device(d string) string
	Application(app string, who *sallyport.Who) string
	Purpose(text string) string
	Grant(id string) string
}

// hides says whether somebody is written by his pseudonym.
func (c *Encoder) hides(who sallyport.Staff) bool {
	return c.Masks != nil && who != "" && (c.Shown == nil || !c.Shown(who)) && c.Masks.Person(who) != string(who)
}

func (c *Encoder) person(who sallyport.Staff) sallyport.Staff {
	if !c.hides(who) {
		return who
	}
	return sallyport.Staff(c.Masks.Person(who))
}

// masked is an access with pseudonyms. Subjects stay: customers are what such a message is about.
func (c *Encoder) masked(a *sallyport.Access, from *sallyport.Imported) (*sallyport.Access, *sallyport.Imported) {
	if !c.hides(a.Staff) {
		return a, from
	}
	b := *a
	b.Application = c.Masks.Application(a.Application, &sallyport.Who{Staff: a.Staff})
	b.Staff, b.Via = c.person(a.Staff), c.person(a.Via)
	b.Session, b.Address, b.Device = c.Masks.Session(a.Session), c.Masks.Address(a.Address), c.Masks.Device(a.Device)
	b.Purpose = c.purpose(a.Purpose)
	if from != nil { // ids of other systems may hold a session
		from = &sallyport.Imported{Source: from.Source}
	}
	return &b, from
}

func (c *Encoder) purpose(p sallyport.Purpose) sallyport.Purpose {
	if p.Kind == "" {
		return p
	}
	kind, ref, _ := strings.Cut(c.Masks.Purpose(p.String()), ":")
	return sallyport.Purpose{Kind: kind, Ref: ref}
}

// plainNotes are the kinds whose sentence, or details, say nothing of a person.
func plainNotes(kind sallyport.EventKind) bool {
	return slices.Contains([]sallyport.EventKind{
		sallyport.GatewayStarted, sallyport.GatewayStopped, sallyport.RecordRoom, sallyport.KeyRotated, sallyport.KeyDestroyed, sallyport.KeyTurned, sallyport.Adopted,
		sallyport.Peopled, sallyport.Shredding, sallyport.Shredded, sallyport.ShapeKind, sallyport.ImportOrdered, sallyport.Erasing, sallyport.Erased, sallyport.BudgetReached,
	}, kind)
}

// maskNote puts pseudonyms into what is no access. Sentences of which nobody knows whom they name are left out.
func (c *Encoder) maskNote(n *note) {
	if c.Masks == nil {
		return
	}
	someone := n.by
	if someone == "" || !c.hides(someone) {
		someone = n.about
	}
	if n.found != nil {
		c.maskFinding(n)
	}
	hidden := c.hides(n.by) || c.hides(n.about)
	if hidden {
		n.application = c.Masks.Application(n.application, &sallyport.Who{Staff: someone, Login: n.login})
		n.session, n.address, n.device = c.Masks.Session(n.session), c.Masks.Address(n.address), c.Masks.Device(n.device)
	}
	switch {
	case n.kind == sallyport.FactKind && n.entity == "ticket":
		n.id = c.Masks.Purpose("ticket:" + n.id)
	case n.grant && n.id != "":
		n.id = c.Masks.Grant(n.id)
	case n.kind == sallyport.FactKind:
		n.id = ""
	}
	if !plainNotes(n.kind) {
		n.message, n.details = "", ""
	} else if n.kind == sallyport.BudgetReached {
		n.message = ""
	}
	n.by, n.via, n.about = c.person(n.by), c.person(n.via), c.person(n.about)
}

// maskFinding puts pseudonyms into a finding, also where its id names whom it is about.
func (c *Encoder) maskFinding(n *note) {
	f := *n.found
	var pairs []string
	longest := slices.SortedFunc(slices.Values(f.Staff), func(a, b sallyport.Staff) int { return len(b) - len(a) })
	for _, who := range longest {
		if c.hides(who) {
			pairs = append(pairs, string(who), string(c.person(who)))
		}
	}
	call := strings.NewReplacer(pairs...)
	f.ID, f.Staff, f.Evidence = call.Replace(f.ID), nil, nil
	for _, who := range n.found.Staff {
		f.Staff = append(f.Staff, c.person(who))
	}
	for _, e := range n.found.Evidence {
		e.Text = call.Replace(e.Text)
		f.Evidence = append(f.Evidence, e)
	}
	n.found, n.id = &f, f.ID
}
