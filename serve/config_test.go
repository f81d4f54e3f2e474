package serve

import (
	"errors"
	"os"
	"strings"
	"testing"

	"sallyport/api"
	"sallyport/config"
	"sallyport/rulebook"
)

// TestExample reads the reference configuration and holds it to being complete: every key of Config stands in it.
func TestExample(t *testing.T) {
	config, err := config.Load("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Protect.Columns) != 8 || len(config.People) != 5 || len(config.Grants.Standing) != 1 || !config.Protects() {
		t.Errorf("%+v", config)
	}
	if !config.People["s050"].Password.Verify([]byte("correct horse")) || !config.People["s051"].Password.Verify([]byte("battery staple")) {
		t.Error("the comment names other passwords than the hashes are of")
	}
	text, err := os.ReadFile("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"version", "upstream", "address", "database", "reader", "user", "password_file", "listen", "tls", "certificate", "key", "protect", "customer",
		"table", "columns", "class", "scheme", "prefixes", "paths", "email_domain", "purposes", "ticket", "contact", "routers", "writers", "services",
		"logins", "people", "name", "team", "role", "password", "budgets", "default", "teams", "revealed", "reached", "probed", "hour", "day", "month",
		"mode", "ca", "server_name", "verifiers", "others", "listen_mode", "client_ca", "grants", "id", "for", "customers", "until", "approved_by", "group", "mask", "show", "seen_by",
	} {
		if !strings.Contains(string(text), key+":") {
			t.Errorf("the key %s does not stand in the example", key)
		}
	}
}

// TestConfigPlaces shows that a problem of a section is reported where its key or value stands.
func TestConfigPlaces(t *testing.T) {
	text, err := os.ReadFile("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, wrong, want string }{
		{"scheme: email, group", "scheme: emial, group", `there is no scheme "emial"`},
		{"{class: contact, scheme: email,", "{class: secret, scheme: email,", `there is no class "secret"`},
		{"support.messages: ticket_id -> support.tickets", "support.messages: ticket_id -> support.nowhere", "leads to support.nowhere"},
		{"    support.tickets: customer_id\n", "", "nothing says whose its rows are"},
		{"routers: [svc_router]", "routers: [s001]", "only a program's word counts"},
		{"approved_by: [s050, s051]", "approved_by: [s050, s050]", "approves twice"},
		{"columns: [support.customers.email]", "columns: [support.customers.emial]", `expected "support.customers.email"`},
		{"until: 2026-12-31T00:00:00Z", "until: soon", "expected a time"},
		{"budgets:", "budgest:", `expected "budgets"`},
		{"listen: 127.0.0.1:6432", "listen: 0.0.0.0:6432", "expected a tls certificate"},
		{"{CS: ZQ}", "{CS: ZQQ}", "both must be of the same length"},
		{"{CS: ZQ}", "{CS: CS}", `prefix "CS" is used twice`},
		{"email_domain: k1.invalid", "email_domain: k9.invalid", "must begin with the first key epoch"},
		{"email_domain: k1.invalid", `email_domain: "@@"`, "expected a domain such as k1.invalid"},
		{`password: "$argon2id`, `password: "$argon2i`, "no argon2id hash: make one with 'sallyport passwd'; expected"},
		{"listen: 127.0.0.1:6432", "listen: a: b", "not allowed in this context; expected"},
		{"mode: mirror", "mode: allow", `there is no mode "allow"; expected one of disable, mirror`},
		{"mode: mirror", "mode: verify-ca", "each signs for everybody"},
		{`listen_mode: "0777"`, `listen_mode: "rw"`, "three octal digits"},
		{"grant: [s051]", "grants: [s051]", `there is no power "grants"; expected "grant"`},
		{"grant: [s051]", "grant: [s015]", `nobody is called "s015"; expected`},
		{"grant: [s051]", "file: [s051]", `nobody may use the server's files`},
		{"support.messages.ticket_id: [svc_router]", "support.messages.ticket_id: [s001]", `"s001" is a person: a person who could copy`},
		{"support.messages.ticket_id: [svc_router]", "support.messages.ticket_id: [svc_rooter]", `no service is called "svc_rooter"; expected "svc_router"`},
		{"support.messages.ticket_id: [svc_router]", "messages.ticket_id: [svc_router]", `"messages.ticket_id" is no column; expected schema.table.column`},
		{`client_ca: ""`, `client_ca: "a.pem"`, "expected a tls certificate and key"},
		{"support.customers.segment: {show: none}", "support.customers.segment: {show: half}", `there is no way to show "half"; expected none`},
		{"support.customers.segment: {show: none}", "support.customers.email: {show: domain}", "the column is protected"},
		{"seen_by: [svc_billing]", "seen_by: [svc_biling]", `nobody is called "svc_biling"; expected`},
	} {
		wrong := strings.Replace(string(text), c.old, c.wrong, 1)
		_, err := config.Parse("x.yaml", []byte(wrong))
		bad, ok := errors.AsType[*config.Error](err)
		if !ok || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "expected") && c.wrong != "" {
			t.Errorf("%s: got %v, want %q", c.wrong, err, c.want)
			continue
		}
		if c.wrong == "" {
			continue
		}
		line := 1 + strings.Count(wrong[:strings.Index(wrong, c.wrong)], "\n")
		if at := bad.Problems[0].At; at.Line != line || at.Column < 1 {
			t.Errorf("%s: reported at %d:%d, stands in line %d", c.wrong, at.Line, at.Column, line)
		}
	}
}

// FuzzConfig holds the loader to two things: it never fails in another way than by naming places in the file, and what it
// accepts can be used without checking it again.
func FuzzConfig(f *testing.F) {
	example, err := os.ReadFile("../examples/sallyport.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(example), "", "version: 1", "version: [", "a: &a [*a]", "a: !!binary x", "? [1]\n: 2", "version: 1\nversion: 1", "---\n---\n", "people: {s001: }",
		"grants: {standing: [{until: 2026-12-31}]}", "{", "\t", "<<: {version: 1}", "version: 0x1", "listen: |\n  a\n", "\xff", "version: 9999999999999999999999",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := config.Parse("x.yaml", text)
		if err != nil {
			bad, ok := errors.AsType[*config.Error](err)
			if !ok || len(bad.Problems) == 0 {
				t.Fatalf("%v", err)
			}
			return
		}
		directory := directoryOf(settings)
		for id, p := range settings.People {
			for _, login := range p.Logins {
				if got := directory.person(login); string(got.Staff) != id {
					t.Errorf("log-in %q of %q belongs to %q", login, id, got.Staff)
				}
			}
			if p.Password != "" && errors.Is(p.Password.Check(), api.ErrPasswordHash) {
				t.Errorf("the password of %q was accepted", id)
			}
		}
		directory.of(directory.person("nobody"))
		settings.FactColumns()
		if _, _, err := rulebook.Load(settings, ""); err != nil {
			t.Errorf("the program's own policies on an accepted configuration: %v", err)
		}
		if _, err := settings.ProtectSet(); err != nil {
			t.Errorf("tokens of an accepted configuration cannot be made: %v", err)
		}
	})
}
