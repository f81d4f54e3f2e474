package purpose

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// SourceConfig is one system outside the protected database that tickets, calls or jobs stand in. Exactly one of sql, webhook, csv and
// zendesk is filled in.
type SourceConfig struct {
	Timeout string `yaml:"timeout"`      // how long one question may take, such as 500ms; empty: 1s, at most 1.5s
	Silent  string `yaml:"silent_after"` // when what is mirrored counts no more unless the other system was heard of; empty: 5m (csv: never)

	SQL     SQLConfig     `yaml:"sql"`     // another PostgreSQL database of yours is asked each time
	Webhook WebhookConfig `yaml:"webhook"` // the other system sends signed JSON, which is kept
	CSV     CSVConfig     `yaml:"csv"`     // a file, read again when it changes
	Zendesk ZendeskConfig `yaml:"zendesk"` // Zendesk's webhook and REST API
}

// SQLConfig is another PostgreSQL database, and what it is asked. The columns of an answer are known by their names: id, number, customer,
// assignee, state, opened_by, assigned_by, reopened_by, contacted_at, begins_at, ends_at.
type SQLConfig struct {
	DSN          string `yaml:"dsn"`           // postgres://ROLE@HOST:PORT/DATABASE?sslmode=verify-full, without a password; the role may only read
	PasswordFile string `yaml:"password_file"` // its password: one line, mode 0600
	Find         string `yaml:"find"`          // one SELECT by $1, a text: the id or the number of a thing
	Mine         string `yaml:"mine"`          // one SELECT by $1, a text[]: whose things, the newest first; empty: there is no work list
	Customers    string `yaml:"customers"`     // of a job: one SELECT by $1, its id, that returns its customers' keys; empty: the column customer of find
}

// WebhookConfig is a mirror that another system feeds (docs/purposes.md).
type WebhookConfig struct {
	SecretFile string `yaml:"secret_file"` // what the other system signs with: one line of 32 characters at least, mode 0600
}

// CSVConfig is a file with a header line.
type CSVConfig struct {
	File string `yaml:"file"` // nobody but its owner may write it
}

// ZendeskConfig is an account of Zendesk.
type ZendeskConfig struct {
	URL        string `yaml:"url"`         // https://COMPANY.zendesk.com
	Email      string `yaml:"email"`       // of an administrator whose API token it is
	TokenFile  string `yaml:"token_file"`  // the API token: one line, mode 0600
	SecretFile string `yaml:"secret_file"` // the webhook's signing secret: one line, mode 0600
}

// WebhooksConfig is where other systems send to.
type WebhooksConfig struct {
	Listen      string `yaml:"listen"`      // HOST:PORT; other than loopback addresses need a certificate
	Certificate string `yaml:"certificate"` // PEM, the chain
	Key         string `yaml:"key"`         // PEM, of the certificate
}

// Defaults and bounds of SourceConfig.
const (
	usualTimeout = time.Second
	mostTimeout  = 1500 * time.Millisecond // an answer that is two seconds old covers nothing
	usualSilent  = 5 * time.Minute
)

// Limits are its time limits, read.
func (c SourceConfig) Limits() (timeout, silent time.Duration, err error) {
	if timeout, err = duration(c.Timeout, usualTimeout); err != nil {
		return 0, 0, err
	}
	silent, err = duration(c.Silent, usualSilent)
	return timeout, silent, err
}

// Types are the filled in ones of sql, webhook, csv and zendesk.
func (c SourceConfig) Types() (types []string) {
	for _, t := range []struct {
		name   string
		filled bool
	}{{"sql", c.SQL != SQLConfig{}}, {"webhook", c.Webhook != WebhookConfig{}}, {"csv", c.CSV != CSVConfig{}}, {"zendesk", c.Zendesk != ZendeskConfig{}}} {
		if t.filled {
			types = append(types, t.name)
		}
	}
	return types
}

// Hears tells whether a source has things sent to it.
func (c SourceConfig) Hears() bool {
	return c.Webhook != WebhookConfig{} || c.Zendesk != ZendeskConfig{}
}

// UsedBy are the kinds that a source is for.
func (c *Config) UsedBy(source string) (kinds []string) {
	for _, kind := range slices.Sorted(maps.Keys(c.Kinds)) {
		if c.Kinds[kind].Source == source {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// checkOutside says what is wrong with kinds and sources.
func (c *Config) checkOutside(report func(path, format string, args ...any)) {
	for kind, k := range c.Kinds {
		path := "kinds." + kind
		switch {
		case kind != "ticket" && kind != "call" && kind != "job":
			report(path, "there are no purposes of the kind %q from a source; expected ticket, call or job", kind)
		case k.Source == "":
			report(path+".source", "no source; expected the name of one of purposes.sources")
		case k.Source == OwnContacts && kind == "call":
			if c.Contact.Table == "" {
				report(path+".source", "no contacts are configured; expected purposes.contact")
			}
			if len(k.Programs)+len(k.States)+len(k.Scheduled) > 0 || k.Longest != "" {
				report(path, "purposes.contact says which contacts count; expected source and after alone")
			}
		case !hasSource(c.Sources, k.Source):
			report(path+".source", "there is no source %q; expected one of purposes.sources", k.Source)
		case kind == "ticket" && c.Ticket.Table != "":
			report(path, "tickets stand in the table %s already; expected either purposes.ticket or purposes.kinds.ticket", c.Ticket.Table)
		case kind != "ticket" && len(c.Sources[k.Source].Types()) == 1 && c.Sources[k.Source].Types()[0] == "zendesk":
			report(path+".source", "Zendesk has tickets only; expected another source")
		}
		checkKind(report, path, k)
	}
	for name, s := range c.Sources {
		checkSource(report, "sources."+name, name, &s)
		if s.Hears() && c.Webhooks.Listen == "" {
			report("webhooks.listen", "nowhere to listen, yet the source %s is sent things; expected HOST:PORT, such as 127.0.0.1:6480", name)
		}
	}
	if (c.Webhooks.Certificate == "") != (c.Webhooks.Key == "") {
		report("webhooks", "only one of certificate and key; expected both or none")
	}
}

func hasSource(all map[string]SourceConfig, name string) bool { _, ok := all[name]; return ok }

func checkKind(report func(path, format string, args ...any), path string, k Kind) {
	for key, text := range map[string]string{"after": k.After, "longest": k.Longest, "contact": k.Contact} {
		if _, err := duration(text, time.Second); err != nil {
			report(path+"."+key, "%q is %s", text, err)
		}
	}
}

func checkSource(report func(path, format string, args ...any), path, name string, s *SourceConfig) {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		report(path, "no name of a source; expected small letters, digits, - and _: it stands in the webhook's address")
	}
	if d, err := duration(s.Timeout, usualTimeout); err != nil {
		report(path+".timeout", "%q is %s", s.Timeout, err)
	} else if d > mostTimeout {
		report(path+".timeout", "%s; expected at most %s, since a ticket that was closed two seconds ago covers nothing", d, mostTimeout)
	}
	if _, err := duration(s.Silent, usualSilent); err != nil {
		report(path+".silent_after", "%q is %s", s.Silent, err)
	}
	if name == OwnContacts {
		report(path, "this name is that of purposes.contact; expected another one")
	}
	types := s.Types()
	if len(types) != 1 {
		report(path, "%d kinds of source at once; expected exactly one of sql, webhook, csv and zendesk", len(types))
		return
	}
	need := func(key, value, expected string) {
		if value == "" {
			report(path+"."+types[0]+"."+key, "nothing stands here; expected %s", expected)
		}
	}
	switch types[0] {
	case "sql":
		need("find", s.SQL.Find, "one SELECT by $1")
		checkDSN(report, path+".sql.dsn", s.SQL.DSN)
	case "webhook":
		need("secret_file", s.Webhook.SecretFile, "a file with a secret of 32 characters at least")
	case "csv":
		need("file", s.CSV.File, "a file with a header line")
	case "zendesk":
		need("email", s.Zendesk.Email, "the e-mail address of the token's owner")
		need("token_file", s.Zendesk.TokenFile, "a file with an API token")
		need("secret_file", s.Zendesk.SecretFile, "a file with the webhook's signing secret")
		if u, err := url.Parse(s.Zendesk.URL); err != nil || u.Host == "" || u.Scheme != "https" && !loopbackHost(u.Hostname()) {
			report(path+".zendesk.url", "no address of Zendesk; expected https://COMPANY.zendesk.com")
		}
	}
}

// checkDSN wants the address of a database, encrypted on the way to other machines, and no password: that belongs in a file.
func checkDSN(report func(path, format string, args ...any), path, dsn string) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.User.Username() == "" || strings.Trim(u.Path, "/") == "" {
		report(path, "no address of a database; expected postgres://ROLE@HOST:PORT/DATABASE?sslmode=verify-full")
		return
	}
	_, inside := u.User.Password()
	if inside || u.Query().Has("password") {
		report(path, "a password stands in the address; expected it in password_file")
	}
	if mode := u.Query().Get("sslmode"); mode != "verify-full" && mode != "verify-ca" && u.Hostname() != "" && !loopbackHost(u.Hostname()) {
		report(path, "the answers could be another's; expected sslmode=verify-full or verify-ca for another machine's database")
	}
}

func loopbackHost(host string) bool {
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}

// CheckNames reports programs that are called like somebody of the directory: his own word would count for him.
func (c *Config) CheckNames(named func(name string) (Person, bool)) (found []string, who []sallyport.Staff) {
	for _, kind := range slices.Sorted(maps.Keys(c.Kinds)) {
		for i, program := range c.Kinds[kind].Programs {
			if of, ok := named(program); ok && !of.Service {
				found, who = append(found, fmt.Sprintf("kinds.%s.programs[%d]", kind, i)), append(who, of.Staff)
			}
		}
	}
	return found, who
}
