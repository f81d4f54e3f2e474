package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"sallyport"
	"sallyport/control"
	"sallyport/grant"
	"sallyport/policy"
)

// Grants are permissions to see what no reason of one's own covers.
type Grants struct {
	// Standing are time-boxed permissions for programs, written here: two people approved each, neither of them the one whom it is for.
	Standing []policy.Grant `yaml:"standing"`

	// Rules say who must approve what somebody asks for with 'sallyport request'. The first that fits holds; where none does, nobody can.
	Rules []grant.Rule `yaml:"rules"`

	// Groups are the people of whom rules speak, by a name of their own.
	Groups map[string]grant.Group `yaml:"groups"`

	// Webhook is told of requests, approvals, ends and break-glasses. It never gets a customer's data, nor a reason.
	Webhook GrantWebhook `yaml:"webhook"`
}

// GrantWebhook is where what happens to grants is told.
type GrantWebhook struct {
	URL        string `yaml:"url"`         // https://…; http only on this machine; empty: nobody is told
	SecretFile string `yaml:"secret_file"` // one line, mode 0600: the key of the signature (HMAC-SHA-256)
	Link       string `yaml:"link"`        // what people are sent to, with {id} in the place of the id; empty: the command that shows it
}

// checkAsking holds rules, groups and webhook to sense.
func (c *Config) checkAsking(r *Document) {
	k := grant.Known{Services: c.ServiceIDs(), Roles: Roles(), Columns: slices.Sorted(maps.Keys(c.Protect.Columns))}
	for _, id := range slices.Sorted(maps.Keys(c.People)) {
		k.People = append(k.People, sallyport.Staff(id))
	}
	k.Teams = c.World().Teams
	for _, p := range grant.Check(c.Grants.Rules, c.Grants.Groups, k) {
		r.problemAt("grants."+p.Path, "%s", p.Text)
	}
	c.checkSameAs(r)
	w := c.Grants.Webhook
	if w.URL == "" {
		if w.SecretFile != "" || w.Link != "" {
			r.problemAt("grants.webhook", "no url; expected one, or nothing under webhook")
		}
		return
	}
	at, err := url.Parse(w.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http":
		r.problemAt("grants.webhook.url", "no address that can be used; expected https://HOST/PATH")
	case at.User != nil:
		r.problemAt("grants.webhook.url", "a password in the address; expected none: the signature says who sends it")
	case at.Scheme == "http" && !loopback(at.Host) && !loopback(at.Host+":80"):
		r.problemAt("grants.webhook.url", "http to another machine; expected https")
	}
	if w.SecretFile == "" {
		r.problemAt("grants.webhook", "no secret_file; expected the file with the key of the signature")
	}
	if w.Link != "" && !strings.Contains(w.Link, "{id}") {
		r.problemAt("grants.webhook.link", "no {id}; expected an address with {id} in the place of the grant's id")
	}
}

// checkSameAs holds second accounts to their first ones.
func (c *Config) checkSameAs(r *Document) {
	for _, id := range slices.Sorted(maps.Keys(c.People)) {
		of := c.People[id].SameAs
		path := "people." + id + ".same_as"
		first, ok := c.People[of]
		switch {
		case of == "":
		case !ok:
			r.problemAt(path, "nobody is called %q; expected the id of his first account", of)
		case of == id || first.SameAs != "":
			r.problemAt(path, "%q is no first account; expected the id of one", of)
		}
	}
}

// checkGrantID keeps the ids of the configuration apart from those that Sallyport gives.
func checkGrantID(r *Document, path, id string) {
	if control.IsGrant(id) {
		r.problemAt(path, "%q begins as the ids that Sallyport gives; expected another one", id)
	}
}
