package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/gateway"
	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/internal/upstream"
	"sallyport/policy"
	"sallyport/protect"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/record"
	"sallyport/sim"
	"sallyport/token"
)

// stage is a private PostgreSQL with the reference database, protected, and a gateway in front of it, wired as `sallyport serve` does.
type stage struct {
	t         *testing.T
	cluster   *throwaway.Cluster
	org       *sim.Org
	passwords map[sallyport.Staff]string
	heard     buffer // the server's log: every statement and parameter that reached it
	log       buffer // the gateway's own
	data      string // folder of the record
	access    *record.Stream
	catalog   *catalog.Catalog
	addr      net.Addr

	// What a test may want otherwise.
	speak    func(context.Context, purpose.Person, string, time.Time) (gateway.Spoken, error)
	budgets  func(purpose.Person) exposure.Budgets // nil: rich
	standing *control.State                        // nil: a new one
	suspend  func(sallyport.Staff, sallyport.Limit) error
	trust    func(purpose.Person) int // nil: full
	shared   func(exposure.Scope, string) (exposure.Budget, bool)
	country  func(netip.Addr) string
	moment   func(purpose.Person) policy.Context // nil: trusted as trust says
	ahead    atomic.Int64                        // of the gateway's clock
	real     bool                                // the policies are those of no demonstration
	notice   func(*pgconn.PgConn, *pgconn.Notice)
	gw       *gateway.Gateway
	stop     func()
	moved    bool // the rows are tokens
}

// customers is how many the database has: enough for every agent to have tickets.
const customers = 600

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, data: t.TempDir()}
	s.set()
	return s
}

// set sets the stage.
func (s *stage) set() {
	t := s.t
	t.Helper()
	ctx := t.Context()
	var err error
	s.cluster, err = throwaway.Start(ctx, throwaway.Options{Out: &s.heard, Settings: map[string]string{
		"fsync": "off", "log_statement": "all", "logging_collector": "off", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "-1",
		"max_prepared_transactions": "5", "wal_level": "logical",
	}})
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	s.must(err)
	t.Cleanup(func() {
		if err := s.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.org, err = sim.New(1, customers, time.Now())
	s.must(err)
	super := s.cluster.SuperDSN("postgres")
	s.exec(super, "CREATE DATABASE support")
	s.passwords, err = refdb.Load(ctx, refdb.Options{DSN: s.cluster.SuperDSN("support"), Org: s.org, Random: rand.Reader})
	s.must(err)
	s.serve()
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) exec(dsn, sql string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), dsn)
	s.must(err)
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	_, err = conn.PgConn().Exec(s.t.Context(), sql).ReadAll()
	s.must(err)
}

// guarded is what is protected.
func guarded() catalog.Config {
	column := func(class sallyport.Class, scheme sallyport.Scheme) catalog.ColumnConfig {
		return catalog.ColumnConfig{Class: class, Scheme: scheme}
	}
	number := column(sallyport.Reference, sallyport.Number)
	number.Prefixes = map[string]string{"CS": "ZQ"}
	return catalog.Config{
		Customer: catalog.CustomerTable{Table: "support.customers", Key: "id"},
		Columns: map[string]catalog.ColumnConfig{
			"support.customers.full_name":  column(sallyport.Identity, sallyport.Name),
			"support.customers.email":      column(sallyport.Contact, sallyport.Email),
			"support.customers.phone":      column(sallyport.Contact, sallyport.Phone),
			"support.customers.birth_date": column(sallyport.Identity, sallyport.Date),
			"support.customers.notes":      column(sallyport.Content, sallyport.Text),
			"support.tickets.ticket_no":    number,
			"support.tickets.subject":      column(sallyport.Content, sallyport.Text),
			"support.messages.body":        column(sallyport.Content, sallyport.Text),
		},
		Paths:       map[string]string{"support.tickets": "customer_id", "support.messages": "ticket_id -> support.tickets", "support.contacts": "customer_id"},
		EmailDomain: "k1.invalid",
	}
}

// reasons is where tickets and contacts stand.
func reasons() purpose.Config {
	return purpose.Config{
		Ticket: purpose.TicketSource{
			Table: "support.tickets", ID: "id", Number: "ticket_no", Customer: "customer_id", Assignee: "assignee", State: "state",
			Open: []string{"open", "pending"}, OpenedAt: "opened_at", Routers: []sallyport.Staff{"svc_router"},
		},
		Contact: purpose.ContactSource{
			Table: "support.contacts", ID: "id", Customer: "customer_id", Ticket: "ticket_id", Staff: "staff", Direction: "direction",
			Incoming: []string{"in"}, At: "at", Writers: []sallyport.Staff{"svc_phone"},
		},
	}
}

// protect makes tokens of what stands in the database, and takes down which tickets stand there.
func (s *stage) protect(ring *token.Ring, reader *pgx.ConnConfig) {
	s.t.Helper()
	var columns []protect.Column
	for name, settings := range guarded().Columns {
		column, _ := catalog.ParseColumn(name)
		codec, err := ring.Codec(token.Spec{Column: column, Scheme: settings.Scheme, Prefixes: settings.Prefixes})
		s.must(err)
		columns = append(columns, protect.Column{Column: column, Codec: codec})
	}
	_, err := protect.Run(s.t.Context(), protect.Options{
		DSN: s.cluster.SuperDSN("support"), Columns: columns, RecordID: s.access.ID(), Position: s.access.Last(), Random: rand.Reader,
		Reader: protect.Reader{User: reader.User, Password: protect.NewPassword(reader.Password), Tables: []protect.Table{{Schema: "support", Name: "contacts"}}},
	})
	s.must(err)
	conn, err := pgx.ConnectConfig(s.t.Context(), reader)
	s.must(err)
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	snapshot, err := catalog.Load(s.t.Context(), conn, guarded(), tables())
	s.must(err)
	s.must(purpose.Baseline(s.t.Context(), conn, reasons(), snapshot, func(facts []sallyport.Fact) error {
		_, err := s.access.Append(&sallyport.Event{Time: time.Now(), Kind: sallyport.FactKind, Facts: facts, Note: purpose.BaselineNote})
		return err
	}))
}

func tables() catalog.FactTables {
	config := reasons()
	return config.Tables()
}

// serve starts the gateway; the test's end stops it.
func (s *stage) serve() {
	s.t.Helper()
	var err error
	s.access, err = record.Open(filepath.Join(s.data, "access"), record.Options{})
	s.must(err)
	root, err := token.NewSecret(bytes.Repeat([]byte{7}, 32))
	s.must(err)
	ring, err := token.NewKeyedRing(token.OneKey(root), token.Settings{EmailDomain: "k1.invalid"})
	s.must(err)
	reader, err := pgx.ParseConfig(s.cluster.DSN("sallyport_reader", "reader-secret", "support"))
	s.must(err)
	if !s.moved {
		s.protect(ring, reader)
		s.moved = true
	}
	s.catalog, err = catalog.Open(s.t.Context(), reader, guarded(), tables())
	s.must(err)
	facts := purpose.NewFacts()
	s.must(s.access.Read(1, func(e *sallyport.Event) error { facts.Apply(e); return nil }))
	services := []sallyport.Staff{"svc_desk", "svc_phone", "svc_router"}
	ties := gateway.NewTies(catalog.Table{Schema: "support", Name: "customers"}, s.access, time.Now, slog.New(slog.DiscardHandler), s.catalog.Snapshot)
	resolver, err := purpose.New(reader, s.catalog.Snapshot, reasons(), facts, purpose.Options{Services: services, Vet: ties.Vet})
	s.must(err)
	server, err := upstream.New("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(s.cluster.Port)), upstream.TLS{})
	s.must(err)
	budgets, suspend := s.budgets, s.suspend
	if budgets == nil {
		budgets = rich
	}
	if suspend == nil {
		suspend = func(who sallyport.Staff, _ sallyport.Limit) error {
			return fmt.Errorf("suspend %s: it has no bounds here", who)
		}
	}
	if s.standing == nil {
		s.standing = control.NewState()
	}
	gw, err := gateway.New(gateway.Config{
		Server: server, Access: s.access, Standing: s.standing, Book: exposure.NewBook(), Clock: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
		Log: slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Protection: &gateway.Protection{
			Database: "support", Catalog: s.catalog, Analyzer: s.analyzer(), Ring: ring, Ties: ties, Resolver: resolver, Facts: facts, Person: s.person, Budgets: budgets, Speak: s.speak, Shared: s.shared, Country: s.country,
			Suspend:  suspend,
			Policies: s.policies(),
			Moment: func(p purpose.Person) policy.Context {
				if s.moment != nil {
					return s.moment(p)
				}
				if s.trust != nil {
					return policy.Context{Trust: int64(s.trust(p)), MFAMinutes: 1, SecondMinutes: 1}
				}
				return policy.Context{Trust: control.FullTrust}
			},
			Second: func(sallyport.Staff, string) (string, error) { return "", errors.New("nobody is asked here") },
			Bar:    func(who sallyport.Staff, because string) error { return fmt.Errorf("suspend %s: %s", who, because) },
		},
	})
	s.must(err)
	s.gw = gw
	s.must(s.access.Read(1, func(e *sallyport.Event) error { gw.Restore(e); return nil }))
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	s.must(err)
	s.addr = listener.Addr()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- gw.Serve(ctx, listener) }()
	opened, access := s.catalog, s.access
	s.stop = sync.OnceFunc(func() {
		stop()
		resolver.Close()
		if err := errors.Join(<-served, opened.Close(context.Background()), access.Close()); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
}

// analyzer gives the analyzer for the present catalogue.
func (s *stage) analyzer() func() *query.Analyzer {
	var mu sync.Mutex // guards what follows
	var of *catalog.Snapshot
	var analyzer *query.Analyzer
	t, k := reasons().Ticket, reasons().Contact
	return func() *query.Analyzer {
		mu.Lock()
		defer mu.Unlock()
		if now := s.catalog.Snapshot(); of != now {
			of, analyzer = now, query.New(now.Schema, query.Options{Facts: query.FactColumns{
				Ticket:  query.TicketColumns{ID: t.ID, Customer: t.Customer, Assignee: t.Assignee, State: t.State},
				Contact: query.ContactColumns{ID: k.ID, Customer: k.Customer, Staff: k.Staff, Ticket: k.Ticket, Direction: k.Direction, At: k.At},
			}})
		}
		return analyzer
	}
}

// policies are those of a demonstration.
func (s *stage) policies() func() *policy.Set {
	s.t.Helper()
	world := &policy.World{Roles: policy.Roles(), Services: []policy.Service{{ID: "svc_desk"}, {ID: "svc_phone"}, {ID: "svc_router"}}}
	for _, p := range s.org.Staff {
		world.Staff = append(world.Staff, policy.Member{ID: p.ID, Team: p.Team, Role: string(p.Role)})
		if !slices.Contains(world.Teams, p.Team) {
			world.Teams = append(world.Teams, p.Team)
		}
	}
	for name, column := range guarded().Columns {
		at, _ := policy.ParseColumn(name)
		world.Columns = append(world.Columns, policy.Column{Column: at, Class: column.Class, Scheme: column.Scheme})
	}
	set, problems := policy.Load(policy.Defaults(!s.real), world, policy.Copiers{})
	if set == nil {
		s.t.Fatal(problems)
	}
	return func() *policy.Set { return set }
}

func (s *stage) person(login string) purpose.Person {
	for _, p := range s.org.Staff {
		if string(p.ID) == login {
			return purpose.Person{Staff: p.ID, Logins: []string{login}, Team: p.Team, Role: string(p.Role)}
		}
	}
	if strings.HasPrefix(login, "svc_") {
		return purpose.Person{Staff: sallyport.Staff(login), Logins: []string{login}, Service: true}
	}
	return purpose.Person{Staff: sallyport.UnknownLogin(login), Logins: []string{login}}
}

// rich are budgets that nobody reaches here: what a trick finds is the question, not how often.
func rich(purpose.Person) exposure.Budgets {
	lots := exposure.Budget{Hour: 1e9, Day: 1e9, Month: 1e9}
	return exposure.Budgets{Revealed: lots, Reached: lots, Probed: lots}
}

// dial logs somebody in and keeps every byte that comes back.
func (s *stage) dial(login, password string) (*pgconn.PgConn, *ear) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.addr.String())
	s.must(err)
	config, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s/support?sslmode=disable", login, password, net.JoinHostPort(host, port)))
	s.must(err)
	kept := &ear{}
	config.OnNotice = s.notice
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		kept.Conn, err = d.DialContext(ctx, network, address)
		return kept, err
	}
	conn, err := pgconn.ConnectConfig(s.t.Context(), config)
	s.must(err)
	return conn, kept
}

// ear keeps every byte that is read from a connection.
type ear struct {
	net.Conn
	read buffer
}

func (e *ear) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	_, _ = e.read.Write(b[:n])
	return n, err
}

// buffer collects what goroutines write.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// take is what was written since the last take.
func (l *buffer) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return bytes.Clone(l.b.Bytes())
}
