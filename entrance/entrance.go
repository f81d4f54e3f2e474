// Package entrance knows who is let in, and as what: which log-ins the gateway ends itself and as which role it then enters the database; the verifiers by
// which clients prove themselves; the certificates that are shown and trusted, kept up with their files; and as what Sallyport itself comes to the server.
//
// It lets nobody in: that is the gateway's, which asks. It enters as no superuser, nor as a role that could become one.
package entrance

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/config"
	"sallyport/gateway"
	"sallyport/internal/upstream"
	"sallyport/purpose"
)

// Entrances are the log-ins that the gateway ends itself. Certificates and secrets are read again when they change.
type Entrances struct {
	config *config.Config
	server *upstream.Server
	clock  func() time.Time
	by     map[string]door                           // by log-in
	Listed func(login string) (purpose.Person, bool) // whose a log-in is that the configuration gives to nobody; nil: nobody's

	read atomic.Pointer[wayIn]

	turn chan struct{} // holds one token: who has it may use conn. Log-ins wait for each other for one look at a role
	conn *pgx.Conn
}

// door is where a log-in of a person stands in upstream.enter.
type door struct {
	staff sallyport.Staff
	as    string
	at    int
}

// wayIn is what the files held when they last made sense.
type wayIn struct {
	certificates []*tls.Certificate // by place in upstream.enter; nil: by secret
	secrets      []string
	revoked      map[string]bool // serial numbers of certificates that their CA took back
	next         time.Time       // when the list of them is out of time; zero: there is none
}

// New is nil where the server checks every log-in.
func New(c *config.Config, server *upstream.Server, clock func() time.Time) (*Entrances, error) {
	if len(c.Upstream.Enter) == 0 && c.LogIn.Certificates.CA == "" {
		return nil, nil
	}
	e := &Entrances{config: c, server: server, clock: clock, by: map[string]door{}, turn: make(chan struct{}, 1)}
	for id, p := range c.People {
		for _, login := range p.Logins {
			i := slices.IndexFunc(c.Upstream.Enter, func(way config.Enter) bool { return len(way.Logins) == 0 || slices.Contains(way.Logins, login) })
			if i >= 0 {
				e.by[login] = door{staff: sallyport.Staff(id), as: cmp.Or(c.Upstream.Enter[i].As, login), at: i}
			}
		}
	}
	return e, e.reload()
}

// files are the paths whose content reload reads.
func (e *Entrances) files() (out []string) {
	if e == nil {
		return nil
	}
	for _, way := range e.config.Upstream.Enter {
		for _, name := range []string{way.Certificate, way.Key, way.PasswordFile} {
			out = append(out, e.config.Path(name))
		}
	}
	return append(out, e.config.Path(e.config.LogIn.Certificates.CRL), e.config.Path(e.config.LogIn.Certificates.CA))
}

// reload reads all files again. After an error the former ones stay in use.
func (e *Entrances) reload() error {
	if e == nil {
		return nil
	}
	next := &wayIn{}
	for i, way := range e.config.Upstream.Enter {
		var pair *tls.Certificate
		secret := ""
		if way.Certificate != "" {
			p, err := tls.LoadX509KeyPair(e.config.Path(way.Certificate), e.config.Path(way.Key))
			if err != nil {
				return fmt.Errorf("load upstream.enter[%d]: %w", i, err)
			}
			pair = &p
		} else {
			var err error
			if secret, err = config.ReadSecretFile(e.config.Path(way.PasswordFile)); err != nil {
				return fmt.Errorf("load upstream.enter[%d]: %w", i, err)
			}
		}
		next.certificates, next.secrets = append(next.certificates, pair), append(next.secrets, secret)
	}
	if err := e.readRevoked(next); err != nil {
		return fmt.Errorf("load login.certificates.crl: %w", err)
	}
	e.read.Store(next)
	return nil
}

// readRevoked reads which certificates their CA took back, by a list that the CA has signed.
func (e *Entrances) readRevoked(into *wayIn) error {
	name := e.config.LogIn.Certificates.CRL
	if name == "" {
		return nil
	}
	raw, err := os.ReadFile(e.config.Path(name))
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	list, err := x509.ParseRevocationList(raw)
	if err != nil {
		return err
	}
	authorities, err := e.config.Authority(e.config.LogIn.Certificates.CA)
	if err != nil {
		return err
	}
	if !signedByOneOf(list, authorities) {
		return errors.New("it is signed by none of login.certificates.ca")
	}
	into.revoked, into.next = map[string]bool{}, list.NextUpdate
	for _, r := range list.RevokedCertificateEntries {
		into.revoked[r.SerialNumber.String()] = true
	}
	if into.next.IsZero() {
		return errors.New("it does not say when the next one comes")
	}
	return nil
}

func signedByOneOf(list *x509.RevocationList, authorities []byte) bool {
	for block, rest := pem.Decode(authorities); block != nil; block, rest = pem.Decode(rest) {
		ca, err := x509.ParseCertificate(block.Bytes)
		if err == nil && list.CheckSignatureFrom(ca) == nil {
			return true
		}
	}
	return false
}

// Entry is gateway.Entrances'.
func (e *Entrances) Entry(login string) (gateway.Entry, bool) {
	d, ok := e.by[login]
	if !ok {
		d, ok = e.listedDoor(login)
	}
	if !ok {
		return gateway.Entry{}, false
	}
	now := e.read.Load()
	return gateway.Entry{Staff: d.staff, As: d.as, Certificate: now.certificates[d.at], Secret: now.secrets[d.at]}, true
}

// listedDoor is the entrance of somebody whom only a source of the directory knows.
func (e *Entrances) listedDoor(login string) (door, bool) {
	i := slices.IndexFunc(e.config.Upstream.Enter, func(way config.Enter) bool { return len(way.Logins) == 0 || slices.Contains(way.Logins, login) })
	if i < 0 || e.Listed == nil {
		return door{}, false
	}
	who, ok := e.Listed(login)
	return door{staff: who.Staff, as: cmp.Or(e.config.Upstream.Enter[i].As, login), at: i}, ok
}

// mighty tells whether a role is a superuser or could become one: by membership, by running programs or writing files on the server; before
// PostgreSQL 16 also by CREATEROLE, which gives oneself either.
const (
	mighty = `pg_catalog.bool_or(g.rolsuper OR g.rolname IN ('pg_execute_server_program', 'pg_write_server_files')
		OR g.rolcreaterole AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 160000)`
	memberships = `pg_catalog.pg_roles r JOIN pg_catalog.pg_roles g ON pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')`
	powerful    = "SELECT " + mighty + " FROM " + memberships + " WHERE r.rolname = $1"
)

// Check is gateway.Entrances'.
func (e *Entrances) Check(ctx context.Context, role string) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return fmt.Errorf("look whether %s is a superuser's: %w", role, ctx.Err())
	}
	var super *bool
	err := e.ask(ctx, role, &super)
	if err != nil && e.conn != nil && e.conn.IsClosed() { // a server that was restarted meanwhile
		e.conn = nil
		err = e.ask(ctx, role, &super)
	}
	switch {
	case err != nil:
		return fmt.Errorf("look whether %s is a superuser's: %w", role, err)
	case super == nil:
		return fmt.Errorf("there is no role %s at the server; make it, or name another in upstream.enter", role)
	case *super:
		return fmt.Errorf("%s is a superuser, or could become one; name another role in upstream.enter", role)
	}
	return nil
}

func (e *Entrances) ask(ctx context.Context, role string, super **bool) error {
	if e.conn == nil {
		config, err := Reader(e.config, e.server)
		if err != nil {
			return err
		}
		config.Database = e.config.VerifierDatabase()
		if e.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
			e.conn = nil
			return err
		}
	}
	return e.conn.QueryRow(ctx, powerful, role).Scan(super)
}

// Holder is gateway.Entrances'.
func (e *Entrances) Holder(shown *x509.Certificate) (sallyport.Staff, error) {
	settings, now := e.config.LogIn.Certificates, e.read.Load()
	if settings.CRL != "" && (now.revoked[shown.SerialNumber.String()] || !e.clock().Before(now.next)) {
		return "", errors.New("the certificate was taken back, or the list of those is out of time")
	}
	var names []string
	switch settings.Field {
	case "email":
		names = shown.EmailAddresses
	case "dns":
		names = shown.DNSNames
	case "uri":
		for _, u := range shown.URIs {
			names = append(names, u.String())
		}
	default:
		names = []string{shown.Subject.CommonName}
	}
	found := map[string]bool{}
	for _, name := range names {
		if id := cmp.Or(settings.People[name], name); e.config.People[id].Role != "" {
			found[id] = true
		}
	}
	if len(found) != 1 {
		return "", errors.New("the certificate names nobody of the configuration, or several")
	}
	return sallyport.Staff(slices.Collect(maps.Keys(found))[0]), nil
}

// Close gives the connection back, once nobody logs in any more.
func (e *Entrances) Close(ctx context.Context) {
	if e == nil {
		return
	}
	e.turn <- struct{}{} // whoever has it gives it back in time
	defer func() { <-e.turn }()
	if e.conn != nil {
		_ = e.conn.Close(ctx) // only read from
		e.conn = nil
	}
}
