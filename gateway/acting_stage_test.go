package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/gateway"
	"sallyport/identity/assertion"
	"sallyport/purpose"
	"sallyport/sim"
)

// office is a stage with an application that acts for people: svc_desk, by the word of an issuer and by its own.
type office struct {
	*stage
	issuer, own *ecdsa.PrivateKey
	ann, bob    client
	made        int
}

// client is a member of staff with a ticket, and whose it is.
type client struct {
	id     sallyport.Staff
	ticket sim.Ticket
	own    sim.Customer
}

// reason is the purpose that covers.
func (c *client) reason() string { return fmt.Sprintf("ticket:%d", c.ticket.ID) }

// read is a statement that shows the customer of somebody's ticket.
func (c *client) read() string {
	return fmt.Sprintf("SELECT id, full_name, email FROM support.customers WHERE id = %d", c.own.ID)
}

func newOffice(t *testing.T, change func(*stage)) *office {
	t.Helper()
	o := &office{stage: &stage{t: t, data: t.TempDir()}}
	o.issuer, o.own = o.key(), o.key()
	dir := t.TempDir()
	sources := []assertion.Source{
		{Name: "idp", Issuer: "https://idp.example", Audience: "sallyport", Keys: o.writeKey(dir, "idp", o.issuer)},
		{Name: "desk", Issuer: "desk", Audience: "sallyport", Keys: o.writeKey(dir, "desk", o.own), ByService: true},
	}
	verifier, err := assertion.New(sources, assertion.Options{Now: time.Now})
	o.must(err)
	o.speak = func(ctx context.Context, service purpose.Person, text string, now time.Time) (gateway.Spoken, error) {
		if service.Staff != "svc_desk" && service.Staff != "svc_router" {
			return gateway.Spoken{}, &gateway.Told{Sentence: "this service may not act for anybody"}
		}
		word, err := verifier.Verify(ctx, text, []string{"idp", "desk"}, now)
		if refused, ok := errors.AsType[*assertion.Refused](err); ok {
			return gateway.Spoken{}, &gateway.Told{Sentence: refused.Sentence, Hint: refused.Hint}
		}
		if err != nil {
			return gateway.Spoken{}, err
		}
		return gateway.Spoken{Person: o.person(word.Person), Source: word.Source, Claim: word.ByService, ID: word.ID, Expires: word.Expires}, nil
	}
	if change != nil {
		change(o.stage)
	}
	o.set()
	o.exec(o.cluster.SuperDSN("support"), `CREATE ROLE svc_desk LOGIN PASSWORD 'desk'; GRANT support_agents TO svc_desk;
CREATE TABLE public.plain (id int); GRANT ALL ON public.plain TO svc_desk;
CREATE TABLE public.kept AS SELECT id, email::text AS note FROM support.customers; GRANT SELECT ON public.kept TO svc_desk`)
	agents := o.org.Agents()
	o.ann, o.bob = o.clientOf(agents[0].ID, 0), o.clientOf(agents[1].ID, 0)
	return o
}

func (o *office) clientOf(id sallyport.Staff, n int) client {
	o.t.Helper()
	open := o.org.OpenTickets(id)
	if len(open) <= n {
		o.t.Fatalf("%s has %d open tickets", id, len(open))
	}
	ticket := o.org.Ticket(open[n])
	return client{id, ticket, o.org.Customer(ticket.Customer)}
}

func (o *office) key() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	o.must(err)
	return key
}

func (o *office) writeKey(dir, name string, key *ecdsa.PrivateKey) string {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: name, Algorithm: "ES256", Use: "sig"}}})
	o.must(err)
	path := filepath.Join(dir, name+".json")
	o.must(os.WriteFile(path, text, 0o600))
	return path
}

// word is an assertion about somebody that nobody has used. changes replace claims.
func (o *office) word(about sallyport.Staff, changes ...map[string]any) string {
	return o.sign(o.issuer, "idp", "https://idp.example", about, changes...)
}

// claim is the application's own.
func (o *office) claim(about sallyport.Staff, changes ...map[string]any) string {
	return o.sign(o.own, "desk", "desk", about, changes...)
}

func (o *office) sign(key *ecdsa.PrivateKey, name, issuer string, about sallyport.Staff, changes ...map[string]any) string {
	o.t.Helper()
	o.made++
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", name))
	o.must(err)
	claims := map[string]any{
		"iss": issuer, "aud": "sallyport", "sub": about, "jti": fmt.Sprint(name, o.made),
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
	}
	for _, c := range changes {
		maps.Copy(claims, c)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	o.must(err)
	return token
}

// comment is a statement that carries who acts and why.
func comment(sql, word, why string) string {
	keys := fmt.Sprintf("sallyport_actor='%s'", url.PathEscape(word))
	if why != "" {
		keys = fmt.Sprintf("action='show',%s,sallyport_purpose='%s'", keys, url.PathEscape(why))
	}
	return sql + " /*" + keys + "*/"
}

// desk is a connection of the application's.
func (o *office) desk() *wireTap {
	o.t.Helper()
	conn, kept := o.dial("svc_desk", "desk")
	w := &wireTap{o: o, PgConn: conn, ear: kept}
	o.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	kept.read.take()
	return w
}

// wireTap is a connection of which everything that comes back is kept.
type wireTap struct {
	o *office
	*pgconn.PgConn
	ear *ear
}

// simple sends a text by the simple protocol; it gives all bytes that come back, and the error.
func (w *wireTap) simple(sql string) (string, error) {
	w.o.t.Helper()
	ctx, cancel := context.WithTimeout(w.o.t.Context(), 30*time.Second)
	defer cancel()
	_, err := w.Exec(ctx, sql).ReadAll()
	return string(w.ear.read.take()), err
}

// extended sends a text by the extended protocol.
func (w *wireTap) extended(sql string, args ...string) (string, error) {
	w.o.t.Helper()
	ctx, cancel := context.WithTimeout(w.o.t.Context(), 30*time.Second)
	defer cancel()
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	result := w.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	return string(w.ear.read.take()), result.Err
}

// do is simple for what must work.
func (w *wireTap) do(sql string) string {
	w.o.t.Helper()
	got, err := w.simple(sql)
	if err != nil {
		w.o.t.Errorf("%.60s: %v", sql, err)
	}
	return got
}

// refused is simple for what must be refused by a code.
func (w *wireTap) refused(code, sql string) string {
	w.o.t.Helper()
	got, err := w.simple(sql)
	if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != code {
		w.o.t.Errorf("%.60s: %v, not %s", sql, err, code)
	}
	return got
}

// shows says whether a result holds somebody's customer in plain.
func (c *client) shows(got string) bool { return strings.Contains(got, c.own.Email) }

// expect holds a result to whose customer it may show.
func (w *wireTap) expect(what, got string, shown ...*client) {
	w.o.t.Helper()
	for _, c := range []*client{&w.o.ann, &w.o.bob} {
		want := false
		for _, s := range shown {
			want = want || s == c
		}
		if c.shows(got) != want {
			w.o.t.Errorf("%s: the customer of %s is shown: %v", what, c.id, !want)
		}
	}
}
