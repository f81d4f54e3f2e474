package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/console"
	"sallyport/login"
)

// Certificate is the configuration towards clients, nil without a certificate.
func (c *Config) Certificate() (*tls.Config, error) {
	if c.TLS.Certificate == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Path(c.TLS.Certificate), c.Path(c.TLS.Key))
	if err != nil {
		return nil, fmt.Errorf("load tls.certificate and tls.key: %w", err)
	}
	out := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"},
		SessionTicketsDisabled: true, // as PostgreSQL does: what was checked under one configuration does not hold under the next
	}
	authority, key := c.TLS.ClientCA, "tls.client_ca"
	if authority == "" {
		authority, key = c.LogIn.Certificates.CA, "login.certificates.ca"
	}
	if authority == "" {
		return out, nil
	}
	if out.ClientCAs, err = c.roots(authority); err != nil {
		return nil, fmt.Errorf("load %s: %w", key, err)
	}
	// Who comes without one is refused in words that a client can read, after the handshake.
	out.ClientAuth = tls.VerifyClientCertIfGiven
	return out, nil
}

// LogIn is how people prove to Sallyport itself who they are (docs/login.md).
type LogIn struct {
	Issuer           string   `yaml:"issuer"`             // of the company's OpenID Connect provider, as its discovery document names it; https
	ClientID         string   `yaml:"client_id"`          // that the provider knows Sallyport by
	ClientSecretFile string   `yaml:"client_secret_file"` // one line, mode 0600; empty: a public client, which PKCE protects
	CA               string   `yaml:"ca"`                 // who signs the provider's certificate: a PEM file, or the certificates themselves; empty: the system's authorities
	Scopes           []string `yaml:"scopes"`             // asked for besides openid, such as profile, email, groups

	// Claim of the ID token that says who somebody is; empty: sub. email counts only where the provider has verified it. Choose one that
	// people cannot change themselves.
	Claim string `yaml:"claim"`
	// People is the claim's value → id of the person, where the two differ. Absent: the value is the id.
	People map[string]string `yaml:"people"`

	Groups string `yaml:"groups"` // the claim with somebody's groups; empty: groups count for nothing

	Factors  []string `yaml:"factors"`  // values of the claim amr that mean more than a password; absent: mfa, otp, hwk
	Lifetime string   `yaml:"lifetime"` // of a credential, such as 10h; empty: 10h, at most 24h

	// Passwords are ids of people whose password for commands counts all the same, for when the provider is away. With an issuer
	// nobody else's does.
	Passwords []string `yaml:"passwords"`

	Certificates Certificates `yaml:"certificates"` // of clients, in place of a credential
}

// Certificates are what clients may show.
type Certificates struct {
	CA     string            `yaml:"ca"`     // who signs them: a PEM file, or the certificates themselves, which change with the approved configuration alone; empty: none counts
	Field  string            `yaml:"field"`  // what names the person: cn (default), email, dns, uri, the last three among the alternative names
	People map[string]string `yaml:"people"` // the field's value → id of the person, where the two differ
	CRL    string            `yaml:"crl"`    // PEM or DER: those that the CA took back; empty: none. One that is out of time lets nobody in
}

// Enter is how Sallyport enters the database for some log-ins, whose people it asks itself who they are.
type Enter struct {
	Logins       []string `yaml:"logins"`        // of people; absent: all of all people
	As           string   `yaml:"as"`            // the role at the server; empty: the log-in's own name. Never a superuser, nor who could become one
	Certificate  string   `yaml:"certificate"`   // PEM, shown to the server
	Key          string   `yaml:"key"`           // of that certificate
	PasswordFile string   `yaml:"password_file"` // in place of a certificate: the role's password, one line, mode 0600, used by SCRAM alone
}

// API is where commands from other machines reach serve.
type API struct {
	Listen string `yaml:"listen"` // HOST:PORT, with the certificate of tls; empty: nowhere
}

// The lifetime of credentials.
const (
	usualLifetime   = 10 * time.Hour
	longestLifetime = 24 * time.Hour
)

// lifetime of a credential.
func (l *LogIn) lifetime() (time.Duration, error) {
	if l.Lifetime == "" {
		return usualLifetime, nil
	}
	d, err := time.ParseDuration(l.Lifetime)
	if err != nil || d <= 0 || d > longestLifetime {
		return 0, fmt.Errorf("%q is no lifetime of a credential; expected one such as 10h, at most 24h", l.Lifetime)
	}
	return d, nil
}

// fields are what of a certificate may name a person.
func fields() []string { return []string{"cn", "email", "dns", "uri"} }

func (c *Config) checkLogIn(r *Document) {
	l := &c.LogIn
	if u, err := url.Parse(l.Issuer); l.Issuer != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u.Host)) {
		r.problemAt("login.issuer", "no issuer that can be trusted; expected its https address")
	}
	if (l.Issuer == "") != (l.ClientID == "") {
		r.problemAt("login", "only one of issuer and client_id; expected both or none")
	}
	if _, err := l.lifetime(); err != nil {
		r.problemAt("login.lifetime", "%v", err)
	}
	people := slices.Sorted(maps.Keys(c.People))
	known := func(path, id string) {
		if !slices.Contains(people, id) {
			r.problemAt(path, "nobody is called %q; expected %s", id, OneOf(id, people))
		}
	}
	for _, value := range slices.Sorted(maps.Keys(l.People)) {
		known("login.people."+value, l.People[value])
	}
	for i, id := range l.Passwords {
		known(fmt.Sprintf("login.passwords[%d]", i), id)
	}
	for _, value := range slices.Sorted(maps.Keys(l.Certificates.People)) {
		known("login.certificates.people."+value, l.Certificates.People[value])
	}
	c.checkCertificates(r)
}

// checkCertificates holds what clients may show to what can be checked.
func (c *Config) checkCertificates(r *Document) {
	l := &c.LogIn
	if f := l.Certificates.Field; f != "" && !slices.Contains(fields(), f) {
		r.problemAt("login.certificates.field", "there is no field %q; expected %s", f, OneOf(f, fields()))
	}
	if l.Certificates.CA != "" && c.TLS.ClientCA != "" {
		r.problemAt("login.certificates.ca", "tls.client_ca has every client show a certificate of its role; expected one of the two")
	}
	if l.Certificates.CA == "" && l.Certificates.CRL != "" {
		r.problemAt("login.certificates.crl", "no certificate counts; expected login.certificates.ca")
	}
	if l.Certificates.CA != "" && len(c.Upstream.Enter) == 0 {
		r.problemAt("login.certificates.ca", "Sallyport ends nobody's log-in; expected upstream.enter")
	}
	if l.Certificates.CA != "" && c.TLS.Certificate == "" {
		r.problemAt("login.certificates.ca", "clients show certificates under TLS only; expected a tls certificate and key")
	}
}

// checkEnter holds entrances to log-ins of people, each with one way in.
func (c *Config) checkEnter(r *Document) {
	if len(c.Upstream.Enter) == 0 {
		return
	}
	c.checkEntries(r)
	switch {
	case c.LogIn.Issuer == "" && c.LogIn.Certificates.CA == "":
		r.problemAt("upstream.enter", "nobody could prove who he is; expected login.issuer, or login.certificates.ca")
	case c.TLS.Certificate == "":
		r.problemAt("upstream.enter", "a credential goes through TLS only; expected a tls certificate and key")
	case c.Upstream.Reader.User == "" || c.VerifierDatabase() == "":
		r.problemAt("upstream.enter", "nobody could look whether a role is a superuser's; expected upstream.reader, and upstream.database")
	case c.TLS.ClientCA != "":
		r.problemAt("upstream.enter", "tls.client_ca has every client show a certificate of its role; expected login.certificates.ca")
	}
}

func (c *Config) checkEntries(r *Document) {
	at, err := ParsePlace(c.Upstream.Address)
	for i, e := range c.Upstream.Enter {
		path := fmt.Sprintf("upstream.enter[%d]", i)
		switch {
		case e.Certificate != "" && e.PasswordFile != "", e.Certificate == "" && e.PasswordFile == "":
			r.problemAt(path, "one way in is needed; expected certificate and key, or password_file")
		case (e.Certificate == "") != (e.Key == ""):
			r.problemAt(path, "only one of certificate and key; expected both")
		case e.PasswordFile != "" && e.As == "" && len(e.Logins) != 1:
			r.problemAt(path+".password_file", "a password is one role's; expected as: that role, or logins with that one")
		case e.Certificate != "" && (c.Upstream.TLS.Mode == "disable" || err == nil && at.Network == "unix"):
			r.problemAt(path+".certificate", "the server is reached without TLS, so it can be shown none; expected password_file")
		}
		for j, login := range e.Logins {
			if c.holder(login) == "" {
				r.problemAt(fmt.Sprintf("%s.logins[%d]", path, j), "%q is no person's log-in; expected %s", login, OneOf(login, c.peoplesLogins()))
			}
		}
		if e.As != "" && e.As == c.Upstream.Reader.User {
			r.problemAt(path+".as", "%q is Sallyport's own log-in; expected a role of its own", e.As)
		}
	}
}

func (c *Config) checkAPI(r *Document) {
	if c.API.Listen == "" {
		return
	}
	checkAddress(r, "api.listen", c.API.Listen)
	if c.TLS.Certificate == "" {
		r.problemAt("api.listen", "credentials and orders would cross the network in clear; expected a tls certificate and key")
	}
}

// holder is whose log-in it is; empty: no person's.
func (c *Config) holder(login string) sallyport.Staff {
	for id, p := range c.People {
		if slices.Contains(p.Logins, login) {
			return sallyport.Staff(id)
		}
	}
	return ""
}

func (c *Config) peoplesLogins() []string {
	var all []string
	for _, p := range c.People {
		all = append(all, p.Logins...)
	}
	slices.Sort(all)
	return all
}

// LogIns is how people log in at the identity provider; nil: there is none.
func (c *Config) LogIns() (*api.LogIns, error) {
	l := &c.LogIn
	if l.Issuer == "" {
		return nil, nil
	}
	lifetime, err := l.lifetime()
	if err != nil {
		return nil, err
	}
	settings := login.Config{
		Issuer: l.Issuer, ClientID: l.ClientID, Scopes: l.Scopes, Claim: l.Claim, Groups: l.Groups, Factors: l.Factors, Now: time.Now,
	}
	if a := c.Console.Origin(); a != "" {
		settings.Page = a + console.CallbackPath
	}
	if l.CA != "" {
		if settings.Roots, err = c.roots(l.CA); err != nil {
			return nil, fmt.Errorf("load login.ca: %w", err)
		}
	}
	if l.ClientSecretFile != "" {
		settings.Secret = func() (string, error) { return ReadSecretFile(c.Path(l.ClientSecretFile)) }
		if _, err := settings.Secret(); err != nil {
			return nil, err
		}
	}
	provider, err := login.New(settings)
	if err != nil {
		return nil, fmt.Errorf("prepare log-ins: %w", err)
	}
	out := &api.LogIns{Provider: provider, Person: c.PersonOf, Lifetime: lifetime}
	for _, id := range l.Passwords {
		out.Passwords = append(out.Passwords, sallyport.Staff(id))
	}
	return out, nil
}

// Authority is what a key holds that says who is believed: a file's content, or the certificates themselves, which nobody exchanges without
// the configuration.
func (c *Config) Authority(value string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(value), "-----BEGIN") {
		return []byte(value), nil
	}
	return os.ReadFile(c.Path(value))
}

// roots are who is believed.
func (c *Config) roots(value string) (*x509.CertPool, error) {
	pem, err := c.Authority(value)
	if err != nil {
		return nil, err
	}
	return parseRoots(pem)
}

func parseRoots(pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("it holds no certificate")
	}
	return pool, nil
}

// ReadRoots reads who is believed from a file.
func ReadRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseRoots(pem)
}

// PersonOf is who the provider speaks of.
func (c *Config) PersonOf(p login.Person) (sallyport.Staff, error) {
	id := cmp.Or(c.LogIn.People[p.Name], p.Name)
	if _, ok := c.People[id]; !ok {
		return "", errors.New("the identity provider knows you, and nobody in the configuration is you")
	}
	return sallyport.Staff(id), nil
}

// Renewed reads a certificate anew for each connection, so that a renewed one is taken.
func (c *Config) Renewed(certificate, key string) *tls.Config {
	certificate, key = c.Path(certificate), c.Path(key)
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		return &pair, err
	}}
}
