package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/history"
	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

// stage is the private PostgreSQL that the tests of this package share, with one protected database as a template.
type stage struct {
	cluster   *throwaway.Cluster
	org       *sim.Org
	passwords map[sallyport.Staff]string
	folder    string // data, key file, reader password and configuration of the template
	data      keptFolder
	made      atomic.Int64
	heard     lockedBuffer // the server's log: with log_statement = all every statement and parameter that reached it
}

const (
	fortCustomers = 3000
	fortTemplate  = "support"
	plainTemplate = "supportplain" // as it was before it was protected
)

// theStage starts the shared cluster once. Its guard removes it when the test process is gone.
var theStage = sync.OnceValues(func() (*stage, error) { return newStage(250) }) //nolint:gochecknoglobals // one cluster for the package's tests

// newStage starts a cluster for so many connections and protects a database in it.
func newStage(connections int) (*stage, error) { return newStageOf(connections, fortCustomers) }

// newStageOf is newStage with so many customers.
func newStageOf(connections int, customers int64) (*stage, error) {
	ctx := context.Background()
	s := &stage{}
	authority, err := newAuthority()
	if err != nil {
		return nil, err
	}
	shown, err := authority.issue("localhost")
	if err != nil {
		return nil, err
	}
	files := map[string]string{"server.crt": shown.certificate, "server.key": shown.key}
	// Servers are killed here, and machines are not: nothing waits for the disk. Workers that go round the databases of hundreds of tests would
	// keep the machine busy.
	s.cluster, err = throwaway.Start(ctx, throwaway.Options{Out: &s.heard, Files: files, Settings: map[string]string{
		"ssl": "on", "fsync": "off", "autovacuum_naptime": "1h",
		"log_statement": "all", "logging_collector": "off", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "-1",
		"max_prepared_transactions": "5", "max_connections": strconv.Itoa(connections), "wal_level": "logical",
	}})
	if err != nil {
		return nil, err
	}
	if s.org, err = sim.New(1, customers, time.Now()); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.cluster.SuperDSN("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+fortTemplate); err != nil {
		return nil, err
	}
	s.passwords, err = refdb.Load(ctx, refdb.Options{DSN: s.cluster.SuperDSN(fortTemplate), Org: s.org, Random: rand.Reader})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+plainTemplate+" TEMPLATE "+fortTemplate); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp(s.cluster.Dir, "fort"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(s.folder, "reader.password"), []byte("reader-secret\n"), 0o600); err != nil {
		return nil, err
	}
	config, err := s.config(s.folder, fortTemplate, "")
	if err != nil {
		return nil, err
	}
	_, err = Protect(ctx, config, ProtectOptions{
		Owner: s.cluster.SuperDSN(fortTemplate), Data: filepath.Join(s.folder, "data"), KeyFile: filepath.Join(s.folder, "key.txt"),
	})
	if err != nil {
		return nil, err
	}
	s.data, err = keepFolder(filepath.Join(s.folder, "data"))
	return s, err
}

// officers may give orders. Their password for commands is their id.
var officers = []sallyport.Staff{"o1", "o2", "o3"} //nolint:gochecknoglobals // constant

// config is the reference configuration for one database; extra is YAML behind it.
func (s *stage) config(folder, database, extra string) (*config.Config, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
demonstration: true
upstream:
  address: 127.0.0.1:%d
  database: %s
  reader: {user: sallyport_reader, password_file: reader.password}
listen: 127.0.0.1:0
protect:
  customer: {table: support.customers, key: id}
  columns:
    support.customers.full_name:  {class: identity, scheme: name}
    support.customers.email:      {class: contact, scheme: email}
    support.customers.phone:      {class: contact, scheme: phone}
    support.customers.birth_date: {class: identity, scheme: date}
    support.customers.notes:      {class: content, scheme: text}
    support.tickets.ticket_no:    {class: reference, scheme: number, prefixes: {CS: ZQ}}
    support.tickets.subject:      {class: content, scheme: text}
    support.messages.body:        {class: content, scheme: text}
  paths:
    support.tickets: customer_id
    support.messages: ticket_id -> support.tickets
    support.contacts: customer_id
  email_domain: k1.invalid
purposes:
  ticket: {table: support.tickets, id: id, number: ticket_no, customer: customer_id, assignee: assignee, state: state, open: [open, pending], opened_at: opened_at, routers: [svc_router]}
  contact: {table: support.contacts, id: id, customer: customer_id, ticket: ticket_id, staff: staff, direction: direction, incoming: [in], at: at, writers: [svc_phone]}
services:
  svc_router: {logins: [svc_router]}
  svc_phone: {logins: [svc_phone]}
people:
`, s.cluster.Port, database)
	for _, p := range s.org.Staff {
		fmt.Fprintf(&b, "  %s: {name: %q, team: %s, role: %s, logins: [%s]}\n", p.ID, p.Name, p.Team, p.Role, p.ID)
	}
	for _, id := range officers {
		hash, err := officerHash(id)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  %s: {name: %q, team: security, role: security, logins: [%s], password: %q}\n", id, "Officer "+id, id, string(hash))
	}
	b.WriteString(extra)
	path := filepath.Join(folder, "sallyport.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path)
}

// fort is one protected database behind a running Server.
type fort struct {
	*stage
	t        testing.TB
	ctx      context.Context
	database string
	folder   string
	config   *config.Config
	server   *Server
	options  Options
	log      *lockedBuffer
}

// newFort clones the template and serves it. extra is YAML behind the configuration: budgets and grants.
func newFort(t testing.TB, extra string, change ...func(*Options)) *fort {
	t.Helper()
	s := built(t, theStage)
	return newFortOn(t, s, extra, change...)
}

// newFortOn is newFort on a stage of the test's own.
func newFortOn(t testing.TB, s *stage, extra string, change ...func(*Options)) *fort {
	t.Helper()
	var err error
	f := &fort{stage: s, t: t, ctx: t.Context(), database: fmt.Sprintf("support%d", s.made.Add(1)), folder: t.TempDir(), log: &lockedBuffer{}}
	f.superExec("postgres", "CREATE DATABASE "+f.database+" TEMPLATE "+fortTemplate)
	if err := s.data.write(filepath.Join(f.folder, "data")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"key.txt", "reader.password"} {
		b, err := os.ReadFile(filepath.Join(s.folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f.config, err = s.config(f.folder, f.database, extra); err != nil {
		t.Fatal(err)
	}
	f.options = Options{
		Config: f.config, Data: filepath.Join(f.folder, "data"), KeyFile: filepath.Join(f.folder, "key.txt"),
		Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&f.options)
	}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fort) start() {
	f.t.Helper()
	var err error
	if f.server, err = Start(context.Background(), f.options); err != nil {
		f.t.Fatal(err)
	}
	select {
	case <-f.server.Ready():
	case <-f.server.Done():
		f.t.Fatalf("serve ended: %v", f.server.Close())
	case <-time.After(stretched(20 * time.Second)):
		f.t.Fatalf("serve is not ready: %s", f.log)
	}
}

func (f *fort) stop() {
	if f.server != nil {
		if err := f.server.Close(); err != nil {
			f.t.Errorf("serve ended with %v", err)
		}
		f.server = nil
	}
}

// restart is what a crash and a new start come to, for state.
func (f *fort) restart() {
	f.stop()
	f.start()
}

func (f *fort) superExec(database, sql string) {
	f.t.Helper()
	conn, err := pgx.Connect(f.ctx, f.cluster.SuperDSN(database))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(f.ctx))
	if _, err := conn.Exec(f.ctx, sql); err != nil {
		f.t.Fatalf("%s: %v", sql, err)
	}
}

// direct is the superuser's connection around the gateway.
func (f *fort) direct() *pgx.Conn {
	f.t.Helper()
	conn, err := pgx.Connect(f.ctx, f.cluster.SuperDSN(f.database))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// client is one person's connection through the gateway, with the notices that came.
type client struct {
	*pgx.Conn
	t       testing.TB
	notices []*pgconn.Notice
}

func (f *fort) dsn(who sallyport.Staff) string {
	host, port, _ := net.SplitHostPort(f.server.Addr().String())
	return fmt.Sprintf("postgres://%s:%s@%s:%s/%s?sslmode=disable", who, f.passwords[who], host, port, f.database)
}

// connect logs in; mode is how pgx sends statements.
func (f *fort) connect(who sallyport.Staff, mode ...pgx.QueryExecMode) *client {
	f.t.Helper()
	c, err := f.tryConnect(who, mode...)
	if err != nil {
		f.t.Fatalf("connect as %s: %v\n%s", who, err, f.log)
	}
	return c
}

func (f *fort) tryConnect(who sallyport.Staff, mode ...pgx.QueryExecMode) (*client, error) {
	config, err := pgx.ParseConfig(f.dsn(who))
	if err != nil {
		return nil, err
	}
	c := &client{t: f.t}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { c.notices = append(c.notices, n) }
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	for _, m := range mode {
		config.DefaultQueryExecMode = m
	}
	if c.Conn, err = pgx.ConnectConfig(f.ctx, config); err != nil {
		return nil, err
	}
	f.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c, nil
}

// rows runs a statement and returns its rows as text, NULL as "∅".
func (c *client) rows(sql string, args ...any) ([][]string, error) {
	rows, err := c.Query(c.t.Context(), sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][]string
	for rows.Next() {
		var row []string
		for i, raw := range rows.RawValues() {
			if raw == nil {
				row = append(row, "∅")
				continue
			}
			if rows.FieldDescriptions()[i].Format == 1 {
				v, err := rows.Values()
				if err != nil {
					return nil, err
				}
				row = append(row, fmt.Sprint(v[i]))
				continue
			}
			row = append(row, string(raw))
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// must runs a statement that works.
func (c *client) must(sql string, args ...any) [][]string {
	c.t.Helper()
	out, err := c.rows(sql, args...)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// one is the single value of a statement that works.
func (c *client) one(sql string, args ...any) string {
	c.t.Helper()
	out := c.must(sql, args...)
	if len(out) != 1 || len(out[0]) != 1 {
		c.t.Fatalf("%s: %d rows", sql, len(out))
	}
	return out[0][0]
}

// fails runs a statement that is refused and returns the server's error.
func (c *client) fails(sql string, args ...any) *pgconn.PgError {
	c.t.Helper()
	_, err := c.rows(sql, args...)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		c.t.Fatalf("%s: expected an error, got %v", sql, err)
	}
	return pgErr
}

// heard says whether a notice with that text came since the last call, and forgets them.
func (c *client) heard(text string) bool {
	found := false
	for _, n := range c.notices {
		found = found || strings.Contains(n.Message+" "+n.Hint, text)
	}
	c.notices = nil
	return found
}

// hasTicket is an agent with his newest open ticket.
func (f *fort) hasTicket(i int) (who sallyport.Staff, ticket sim.Ticket, customer sim.Customer) {
	f.t.Helper()
	agent := f.org.Agents()[i]
	own := f.org.OpenTickets(agent.ID)
	if len(own) == 0 {
		f.t.Fatalf("%s has no open ticket", agent.ID)
	}
	ticket = f.org.Ticket(own[0])
	return agent.ID, ticket, f.org.Customer(ticket.Customer)
}

// events reads the access stream.
func (f *fort) events() []*sallyport.Event {
	f.t.Helper()
	var out []*sallyport.Event
	err := f.server.AccessStream.Read(1, func(e *sallyport.Event) error {
		c := *e
		out = append(out, &c)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// officer is a logged-in officer on the control socket.
func (f *fort) officer(id sallyport.Staff) *api.Client {
	c := api.NewClient(filepath.Join(f.options.Data, SocketName), id, string(id)+"-password")
	f.t.Cleanup(c.Close)
	return c
}

// whoSaw asks who saw a customer, with everybody's name: two officers agree to that.
func (f *fort) whoSaw(customer sallyport.Subject) []api.Sighting {
	f.t.Helper()
	one, other := f.officer("o1"), f.officer("o2")
	list, err := one.WhoSaw(f.ctx, customer)
	if err != nil {
		f.t.Fatal(err)
	}
	asked := map[sallyport.Staff]bool{}
	for _, s := range list {
		if !strings.HasPrefix(string(s.Staff), history.PersonPrefix) || asked[s.Staff] {
			continue
		}
		asked[s.Staff] = true
		id, err := one.Unmask(f.ctx, string(s.Staff), "test", 0)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := other.Approve(f.ctx, id); err != nil {
			f.t.Fatal(err)
		}
	}
	if list, err = one.WhoSaw(f.ctx, customer); err != nil {
		f.t.Fatal(err)
	}
	return list
}

// lockedBuffer collects what goroutines write.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// built is a stage; without PostgreSQL the test is left out, and whatever else stands in its way is a failure.
func built(t testing.TB, build func() (*stage, error)) *stage {
	t.Helper()
	s, err := build()
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}
