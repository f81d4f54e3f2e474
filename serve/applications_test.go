package serve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
	"sallyport/config"
	acting "sallyport/examples/go"
	"sallyport/gateway"
	"sallyport/identity/assertion"
	"sallyport/internal/throwaway"
	"sallyport/purpose"
)

// frontDesk is a fort with an application that acts for people: by the word of an issuer, and by its own.
type frontDesk struct {
	*fort
	issuer, own *acting.Signer
}

const deskService = "svc_desk"

func newDesk(t *testing.T) *frontDesk {
	t.Helper()
	d := &frontDesk{issuer: newSignerOf(t, "https://idp.example"), own: newSignerOf(t, "desk")}
	dir := t.TempDir()
	d.fort = newFort(t, "", func(o *Options) {
		o.Config.Services[deskService] = config.Service{Logins: []string{deskService}, Owner: "o1", ActsFor: config.ActsFor{Assertions: []string{"idp", "desk"}, Teams: []string{"support-eu"}}}
		o.Config.Assertions = map[string]config.AssertionSource{
			"idp":  {Issuer: "https://idp.example", Audience: "sallyport", Keys: writeKeys(t, dir, d.issuer), SignedBy: config.SignedByIssuer},
			"desk": {Issuer: "desk", Audience: "sallyport", Keys: writeKeys(t, dir, d.own)},
		}
		r := &config.Document{}
		if o.Config.Check(r); len(r.Problems) > 0 {
			t.Fatal(r.Problems)
		}
	})
	d.superExec("postgres", deskRole)
	return d
}

func newSignerOf(t *testing.T, issuer string) *acting.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &acting.Signer{Key: key, ID: "1", Issuer: issuer, Audience: "sallyport"}
}

func writeKeys(t *testing.T, dir string, s *acting.Signer) string {
	t.Helper()
	text, err := json.Marshal(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.NewReplacer("/", "", ":", "").Replace(s.Issuer)+".json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (d *frontDesk) dsnOf(address string) string {
	return fmt.Sprintf("postgresql://%s:desk@%s/%s?sslmode=disable", deskService, address, d.database)
}

func (d *frontDesk) word(s *acting.Signer, about sallyport.Staff) string {
	d.t.Helper()
	word, err := s.Assert(string(about))
	if err != nil {
		d.t.Fatal(err)
	}
	return word
}

// reasonOf is an agent's ticket as a purpose, and its customer.
func (d *frontDesk) reasonOf(i int) (who sallyport.Staff, purpose string, customer int64, email string) {
	d.t.Helper()
	who, ticket, own := d.hasTicket(i)
	return who, fmt.Sprintf("ticket:%d", ticket.ID), own.ID, own.Email
}

// TestExampleGo: the example with pgx, over a pool of one connection, straight and through pgbouncer in transaction mode, where no
// transaction of two people is on the same connection for sure.
func TestExampleGo(t *testing.T) {
	d := newDesk(t)
	t.Run("straight", func(t *testing.T) { d.exampleGo(t, d.server.Addr().String(), pgx.QueryExecModeCacheStatement) })
	t.Run("behind pgbouncer", func(t *testing.T) { d.exampleGo(t, d.pooler(t), pgx.QueryExecModeExec) })
	for _, e := range d.events() {
		if e.Reveal != nil && (e.Who.Via != deskService || e.Who.Staff == deskService) {
			t.Errorf("revealed to %+v", e.Who)
		}
	}
}

func (d *frontDesk) exampleGo(t *testing.T, address string, mode pgx.QueryExecMode) {
	t.Helper()
	ctx := t.Context()
	config, err := pgxpool.ParseConfig(d.dsnOf(address))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns, config.ConnConfig.DefaultQueryExecMode = 1, mode
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	read := func(q interface {
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	}, customer int64,
	) (email string, err error) {
		return email, q.QueryRow(ctx, "SELECT email FROM support.customers WHERE id = $1", customer).Scan(&email)
	}
	for i := range 6 {
		who, why, customer, email := d.reasonOf(i % 3)
		got := ""
		err := acting.For(ctx, db, d.word(d.issuer, who), why, func(tx pgx.Tx) (err error) {
			got, err = read(tx, customer)
			return err
		})
		if err != nil || got != email {
			t.Errorf("%s: %v, and not the customer's address", who, err)
		}
		if got, err = read(db, customer); err != nil || got == email {
			t.Errorf("behind %s's transaction: %v, readable: %v", who, err, got == email)
		}
		var word string
		sql := acting.Comment(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer), d.word(d.issuer, who), why)
		if err := db.QueryRow(ctx, sql, pgx.QueryExecModeExec).Scan(&word); err != nil || word != email {
			t.Errorf("%s by a comment: %v", who, err)
		}
	}
	who, why, customer, email := d.reasonOf(0)
	used := d.word(d.issuer, who)
	for i := range 2 {
		err := acting.For(ctx, db, used, why, func(tx pgx.Tx) error {
			_, err := read(tx, customer)
			return err
		})
		answer, _ := errors.AsType[*pgconn.PgError](err)
		if i == 0 && err != nil || i == 1 && (answer == nil || answer.Code != "SP018") {
			t.Errorf("use %d of an assertion: %v", i, err)
		}
	}
	claimed := ""
	err = acting.For(ctx, db, d.word(d.own, who), why, func(tx pgx.Tx) (err error) {
		claimed, err = read(tx, customer)
		return err
	})
	if err != nil || claimed != email {
		t.Errorf("on the application's own word: %v", err)
	}
	for _, other := range []sallyport.Staff{"o1", "nobody", deskService} { // another team, nobody, itself
		err := acting.For(ctx, db, d.word(d.own, other), why, func(pgx.Tx) error { return nil })
		if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != "SP018" {
			t.Errorf("for %s: %v", other, err)
		}
	}
}

// TestAssertionOfAnotherClient: where a service says which application it is, an assertion that another one got for the same audience is refused.
func TestAssertionOfAnotherClient(t *testing.T) {
	issuer := newSignerOf(t, "https://idp.example")
	s := &speaker{config: &config.Config{Services: map[string]config.Service{
		"bound": {ActsFor: config.ActsFor{Assertions: []string{"idp"}, Client: "desk"}}, "free": {ActsFor: config.ActsFor{Assertions: []string{"idp"}}},
	}}, person: func(id sallyport.Staff) (purpose.Person, bool) { return purpose.Person{Staff: id}, true }}
	var err error
	s.verifier, err = assertion.New([]assertion.Source{{Name: "idp", Issuer: "https://idp.example", Audience: "sallyport", Keys: writeKeys(t, t.TempDir(), issuer)}}, assertion.Options{Now: time.Now})
	fatal(t, err)
	for _, c := range []struct {
		service, client, says string
	}{
		{"bound", "desk", ""}, {"bound", "shop", "issued to another application"}, {"bound", "", "issued to another application"}, {"free", "shop", ""}, {"free", "", ""},
	} {
		text := signedFor(t, issuer, c.client)
		spoken, err := s.speak(t.Context(), purpose.Person{Staff: sallyport.Staff(c.service), Service: true}, text, time.Now())
		told, _ := errors.AsType[*gateway.Told](err)
		if (err == nil) != (c.says == "") || told != nil && !strings.Contains(told.Sentence, c.says) || err == nil && spoken.Person.Staff != "s017" {
			t.Errorf("%+v: %+v, %v", c, spoken, err)
		}
	}
}

// signedFor is an assertion about s017 that was issued to an application.
func signedFor(t *testing.T, s *acting.Signer, client string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.Key}, (&jose.SignerOptions{}).WithHeader("kid", s.ID))
	fatal(t, err)
	claims := map[string]any{"iss": s.Issuer, "aud": s.Audience, "sub": "s017", "exp": time.Now().Add(time.Minute).Unix(), "jti": rand.Text()}
	if client != "" {
		claims["azp"] = client
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	fatal(t, err)
	return text
}

// pooler is pgbouncer in transaction mode in front of the fort, with one connection for all clients.
func (d *frontDesk) pooler(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path = "/usr/sbin/pgbouncer"; !isFile(path) {
			t.Skip("pgbouncer is not installed: apt-get install pgbouncer")
		}
	}
	host, port, err := net.SplitHostPort(d.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	address := throwaway.QuietAddress()
	_, own, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := d.cluster.Folder("deskpool")
	if err != nil {
		t.Fatal(err)
	}
	ini, users := filepath.Join(folder, "pgbouncer.ini"), filepath.Join(folder, "users.txt")
	for name, text := range map[string]string{
		users: fmt.Sprintf("%q %q\n", deskService, "desk"),
		ini: fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=%[3]s dbname=%[1]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[4]s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %[5]s
pool_mode = transaction
default_pool_size = 1
`, d.database, host, port, own, users),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // within a folder of mode 0700
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), path, "-q", ini) //nolint:gosec // a program of the distribution's
	if err := d.cluster.RunAs(cmd); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 10*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), stretched(20*time.Second))
	defer cancel()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for {
		conn, err := pgx.Connect(ctx, d.dsnOf(address))
		if err == nil {
			_ = conn.Close(ctx)
			return address
		}
		if ctx.Err() != nil {
			t.Fatalf("pgbouncer does not listen: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// TestExamplePython: the example with psycopg and SQLAlchemy, each over one connection that many people share.
func TestExamplePython(t *testing.T) {
	python := pythonWith(t, "psycopg", "psycopg2", "sqlalchemy")
	d := newDesk(t)
	type question struct {
		Way       string `json:"way"`
		Assertion string `json:"assertion,omitempty"`
		Purpose   string `json:"purpose,omitempty"`
		Customer  int64  `json:"customer"`
	}
	var asked bytes.Buffer
	var want []string
	ask := func(way, word, why string, customer int64, expected string) {
		t.Helper()
		if err := json.NewEncoder(&asked).Encode(question{way, word, why, customer}); err != nil {
			t.Fatal(err)
		}
		want = append(want, expected)
	}
	const token = "a token"
	for i := range 3 {
		who, why, customer, email := d.reasonOf(i)
		_, otherWhy, other, _ := d.reasonOf((i + 1) % 3)
		for _, way := range []string{"psycopg", "comment", "sqlalchemy"} {
			ask(way, d.word(d.issuer, who), why, customer, email)
			ask("none", "", "", customer, token)
			ask("sqlalchemy itself", "", "", customer, token)
			ask(way, d.word(d.issuer, who), otherWhy, other, token)
			ask(way, "a.b.c", why, customer, "SP018")
			ask(way, d.word(d.own, who), why, customer, email)
		}
	}
	folder, err := filepath.Abs("../examples/python")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), stretched(2*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join(folder, "desk.py")) //nolint:gosec // our example
	cmd.Env = append(os.Environ(), "DESK_DSN="+d.dsnOf(d.server.Addr().String()), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = &asked
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(answers) != len(want) {
		t.Fatalf("%d answers to %d questions\n%s", len(answers), len(want), &said)
	}
	for i, line := range answers {
		var got struct{ Email, Error string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if is := got.Email + got.Error; is != want[i] && (want[i] != token || !strings.HasSuffix(is, ".invalid")) {
			t.Errorf("answer %d is not what it must be (%s)", i, want[i])
		}
	}
}

// pythonWith is a Python that has some modules.
func pythonWith(t *testing.T, modules ...string) string {
	t.Helper()
	why := "there is no python3"
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(t.Context(), path, "-c", "import "+strings.Join(modules, ",")).CombinedOutput() //nolint:gosec // python
		if err == nil {
			return path
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		why = path + ": " + lines[len(lines)-1]
	}
	t.Skip(why + "; apt-get install python3-psycopg python3-psycopg2 python3-sqlalchemy")
	return ""
}
