package config

import (
	"strings"
	"testing"

	"sallyport"
	"sallyport/login"
)

const logInConfig = `version: 1
listen: 127.0.0.1:6432
tls: {certificate: own.crt, key: own.key}
api: {listen: "127.0.0.1:6440"}
upstream:
  address: 127.0.0.1:5432
  database: support
  reader: {user: reader, password_file: reader.password}
  enter:
    - {logins: [s017], certificate: enter.crt, key: enter.key}
people:
  s017: {team: eu, role: agent, logins: [s017]}
  s050: {team: eu, role: lead}
login:
  issuer: https://login.example.com
  client_id: sallyport
  groups: groups
  people: {a.turing: s017}
  passwords: [s050]
  certificates: {ca: clients.pem, field: email}
`

// TestConfigLogIn names what could let in the wrong person, or nobody.
func TestConfigLogIn(t *testing.T) {
	if _, err := Parse("c.yaml", []byte(logInConfig)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, wrong, want string }{
		{"https://login.example.com", "http://login.example.com", "no issuer that can be trusted"},
		{"  client_id: sallyport\n", "", "only one of issuer and client_id"},
		{"a.turing: s017", "a.turing: s018", `nobody is called "s018"`},
		{"passwords: [s050]", "passwords: [s051]", `nobody is called "s051"`},
		{"field: email", "field: mail", `there is no field "mail"`},
		{"issuer: https", "lifetime: 48h\n  issuer: https", "at most 24h"},
		{"issuer: https", "lifetime: -1h\n  issuer: https", "at most 24h"},
		{"tls: {certificate: own.crt, key: own.key}\n", "", "a credential goes through TLS only"},
		{"key: own.key}", "key: own.key, client_ca: clients.pem}", "expected one of the two"},
		{"certificate: enter.crt, key: enter.key", "as: x", "one way in is needed"},
		{"certificate: enter.crt, key: enter.key", "certificate: enter.crt", "only one of certificate and key"},
		{"certificate: enter.crt, key: enter.key", "certificate: enter.crt, key: enter.key, password_file: x", "one way in is needed"},
		{"{logins: [s017], certificate: enter.crt, key: enter.key}", "{password_file: x}", "a password is one role's"},
		{"logins: [s017], certificate", "logins: [svc], certificate", `"svc" is no person's log-in`},
		{"key: enter.key}", "key: enter.key, as: reader}", "Sallyport's own log-in"},
		{"address: 127.0.0.1:5432", "address: unix:/run/postgresql", "it can be shown none"},
		{"  reader: {user: reader, password_file: reader.password}\n", "", "nobody could look whether a role is a superuser's"},
		{"ca: clients.pem, field", "crl: x, field", "no certificate counts"},
	} {
		_, err := Parse("c.yaml", []byte(strings.Replace(logInConfig, c.old, c.wrong, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.wrong, err, c.want)
		}
	}
	none := strings.Replace(logInConfig[:strings.Index(logInConfig, "login:\n  issuer")], "role: lead", "role: lead, logins: [s050]", 1)
	if _, err := Parse("c.yaml", []byte(none)); err == nil || !strings.Contains(err.Error(), "nobody could prove who he is") {
		t.Errorf("without any way to log in: %v", err)
	}
}

// TestPersonOf finds out who the provider speaks of.
func TestPersonOf(t *testing.T) {
	c, err := Parse("c.yaml", []byte(logInConfig))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]sallyport.Staff{"s017": "s017", "a.turing": "s017", "s999": "", "": ""} {
		if who, err := c.PersonOf(login.Person{Name: name}); who != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", name, who, err)
		}
	}
}
