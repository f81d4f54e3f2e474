package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"sallyport"
	"sallyport/canary"
)

// CanaryConfig says how customers who do not exist are planted, what each viewer of one is shown, and where mail and calls to it are heard
// (docs/canaries.md). Absent: none are planted.
type CanaryConfig struct {
	Login        string   `yaml:"login"`         // the log-in of a service that makes customers anyway: canaries are written through the gateway as it writes
	PasswordFile string   `yaml:"password_file"` // its password, one line; mode 0600
	Key          string   `yaml:"key"`           // SQL expression for a new customer's key, such as nextval('crm.customer_ids'); empty: the column's default, a random uuid, or a free number
	Domains      []string `yaml:"domains"`       // catch-all domains of the company: each viewer is shown an address of his own there
	Numbers      []string `yaml:"numbers"`       // telephone numbers of the company, as +49…: each viewer is shown one of his own as long as they last
	Period       string   `yaml:"period"`        // so long a viewer is shown the same; empty: 24h
	Walkers      []string `yaml:"walkers"`       // services that walk over all customers, whose touch of a canary is no finding

	Mail  CanaryMail `yaml:"mail"`  // a mail server for the domains; absent: none
	Hook  CanaryHook `yaml:"hook"`  // signed messages of other systems about mail and calls; absent: none
	Own   []string   `yaml:"own"`   // networks of the company's own mail machines (10.0.0.0/8): what they send is on record, and accuses nobody
	Since string     `yaml:"since"` // YYYY-MM-DD from which on calls to the numbers are told; empty: when the first canary was planted
}

// CanaryMail is a small mail server that keeps nothing but who wrote to whom, and when.
type CanaryMail struct {
	Listen      string `yaml:"listen"`      // HOST:PORT; the company's mail exchanger relays to it. Other than loopback addresses need a certificate
	Certificate string `yaml:"certificate"` // PEM, for STARTTLS
	Key         string `yaml:"key"`         // of that certificate
}

// CanaryHook is where other systems tell of mail and calls.
type CanaryHook struct {
	Listen      string `yaml:"listen"`      // HOST:PORT. Other than loopback addresses need a certificate
	Certificate string `yaml:"certificate"` // PEM
	Key         string `yaml:"key"`         // of that certificate
	SecretFile  string `yaml:"secret_file"` // one line, mode 0600, of 32 characters or more: the key of the signature (HMAC-SHA-256)
}

// checkCanary holds the section to sense.
func (c *Config) checkCanary(r *Document) {
	x := &c.Canary
	if (x.Login == "") != (x.PasswordFile == "") {
		r.problemAt("canary", "expected login and password_file, or neither")
	}
	if x.Login != "" {
		service := false
		for _, s := range c.Services {
			service = service || slices.Contains(s.Logins, x.Login)
		}
		if !service {
			r.problemAt("canary.login", "%q is the log-in of no service; expected one that stands under services, so that what it writes is its own", x.Login)
		}
	}
	x.checkDetails(r)
	for i, id := range x.Walkers {
		if _, ok := c.Services[id]; !ok {
			r.problemAt(fmt.Sprintf("canary.walkers[%d]", i), "there is no service %q", id)
		}
	}
	for i, n := range x.Own {
		if _, err := netip.ParsePrefix(n); err != nil {
			r.problemAt(fmt.Sprintf("canary.own[%d]", i), "no network; expected ADDRESS/BITS")
		}
	}
	if x.Period != "" {
		if p, err := time.ParseDuration(x.Period); err != nil || p < time.Minute {
			r.problemAt("canary.period", "%q; expected a length of time of a minute or more, such as 24h", x.Period)
		}
	}
	if x.Since != "" {
		if _, err := time.Parse(time.DateOnly, x.Since); err != nil {
			r.problemAt("canary.since", "%q; expected a date as YYYY-MM-DD", x.Since)
		}
	}
	x.checkListens(r)
}

// checkDetails holds what viewers are shown to sense.
func (x *CanaryConfig) checkDetails(r *Document) {
	for i, d := range x.Domains {
		if d != strings.ToLower(d) || !strings.Contains(d, ".") || strings.ContainsAny(d, "@ /") || strings.HasPrefix(d, ".") || len(d) > 100 {
			r.problemAt(fmt.Sprintf("canary.domains[%d]", i), "no domain; expected one in lower case, such as post.example.net")
		}
	}
	for i, n := range x.Numbers {
		if p, err := phonenumbers.Parse(n, ""); err != nil || phonenumbers.Format(p, phonenumbers.E164) != n {
			r.problemAt(fmt.Sprintf("canary.numbers[%d]", i), "no number; expected + and digits, such as +4930901820")
		}
	}
}

// checkListens holds where mail and messages are heard to sense.
func (x *CanaryConfig) checkListens(r *Document) {
	for _, on := range []struct{ path, listen, certificate, key string }{
		{"canary.mail", x.Mail.Listen, x.Mail.Certificate, x.Mail.Key}, {"canary.hook", x.Hook.Listen, x.Hook.Certificate, x.Hook.Key},
	} {
		switch {
		case (on.certificate == "") != (on.key == ""):
			r.problemAt(on.path, "expected certificate and key, or neither")
		case on.listen != "" && on.certificate == "" && !loopback(on.listen):
			r.problemAt(on.path+".listen", "%s is no loopback address; expected one, or certificate and key", on.listen)
		}
	}
	if (x.Hook.Listen == "") != (x.Hook.SecretFile == "") {
		r.problemAt("canary.hook", "expected listen and secret_file, or neither")
	}
}

// Settings are what package canary takes of it.
func (x *CanaryConfig) Settings() canary.Settings {
	s := canary.Settings{Domains: x.Domains, Numbers: x.Numbers}
	s.Period, _ = time.ParseDuration(x.Period) // that it makes sense was checked
	return s
}

// Walks tells whether a service walks over all customers.
func (x *CanaryConfig) Walks(who sallyport.Staff) bool {
	return slices.Contains(x.Walkers, string(who))
}

// Planter is the service as which canaries are written; empty: none are.
func (c *Config) Planter() sallyport.Staff {
	for id, service := range c.Services {
		if c.Canary.Login != "" && slices.Contains(service.Logins, c.Canary.Login) {
			return sallyport.Staff(id)
		}
	}
	return ""
}
