package cli

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/serve"
	"sallyport/sim"
)

// demoStage is what the demonstration plays on: a private PostgreSQL, the organisation in it, and the gateway in front.
type demoStage struct {
	org   *sim.Org
	clock *demoClock
	held  bool   // for visitors
	bench bool   // budgets and a grant that never stop the services
	keep  string // folder to leave behind; empty: nothing stays

	cluster   *throwaway.Cluster
	passwords map[sallyport.Staff]string // of the database log-ins; officers use theirs for commands too
	officers  []sim.Person
	counter   sallyport.Staff // who sits at the counter in softLevel, with a password for commands
	folder    string          // configuration, keys, record
	config    *config.Config
	server    *serve.Server
}

// demoDatabase is the name of the protected database.
const demoDatabase = "support"

// build starts PostgreSQL and loads the organisation.
func (s *demoStage) build(ctx context.Context, progress func(string, int64, int64)) error {
	// The private cluster is thrown away, so it need not survive a power cut. The record is written as anywhere.
	settings := map[string]string{"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}
	if s.held {
		settings = nil
	}
	var err error
	if s.cluster, err = throwaway.Start(ctx, throwaway.Options{Settings: settings}); err != nil {
		return err
	}
	if err := s.makeFolder(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.cluster.SuperDSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+demoDatabase)
	if err := errors.Join(err, conn.Close(context.WithoutCancel(ctx))); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	s.passwords, err = refdb.Load(ctx, refdb.Options{DSN: s.cluster.SuperDSN(demoDatabase), Org: s.org, Random: rand.Reader, Progress: progress})
	if err != nil || s.bench {
		return err
	}
	return s.hireDrill(ctx)
}

// makeFolder makes the folder of the run: within the cluster's, which goes when we do, or the one to be left behind.
func (s *demoStage) makeFolder() error {
	s.folder = filepath.Join(s.cluster.Dir, "sallyport")
	if s.keep != "" {
		var err error
		if s.folder, err = filepath.Abs(s.keep); err != nil {
			return fmt.Errorf("make folder of the demonstration: %w", err)
		}
	}
	err := os.Mkdir(s.folder, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return config.Usagef("--keep %s: it is there already; expected a new folder", s.keep)
	}
	if err != nil {
		return fmt.Errorf("make folder of the demonstration: %w", err)
	}
	return nil
}

// demoYAML is the configuration of the demonstration.
//
//go:embed demo.yaml
var demoYAML string

// configure writes sallyport.yaml and reads it back, as an operator's would be.
func (s *demoStage) configure() error {
	type officer struct {
		sim.Person
		Hash string
	}
	var people []officer
	wanted := map[string]int{sim.Lead: 2, sim.Security: 1}
	s.counter = s.busiest()
	for _, p := range s.org.Staff {
		o := officer{Person: p}
		gives := wanted[p.Role] > 0
		if gives || p.ID == s.counter {
			hash, err := api.HashPassword([]byte(s.passwords[p.ID]), rand.Reader)
			if err != nil {
				return fmt.Errorf("hash the password of %s: %w", p.ID, err)
			}
			o.Hash = string(hash)
		}
		if gives {
			wanted[p.Role]--
			s.officers = append(s.officers, p)
		}
		people = append(people, o)
	}
	page, err := template.New("sallyport.yaml").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(demoYAML)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	var text strings.Builder
	err = page.Execute(&text, map[string]any{"Port": s.cluster.Port, "Database": demoDatabase, "People": people, "Services": s.org.Services, "Bench": s.bench, "Officers": s.officers, "Until": s.clock.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := throwaway.Certify(s.folder); err != nil {
		return err
	}
	path := filepath.Join(s.folder, "sallyport.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	s.config, err = config.Load(path)
	return err
}

func (s *demoStage) data() string    { return filepath.Join(s.folder, "data") }
func (s *demoStage) keyFile() string { return filepath.Join(s.folder, "key.txt") }

// protect turns the rows into tokens.
func (s *demoStage) protect(ctx context.Context, progress func(string, int64, int64)) (values int64, err error) {
	if err := s.configure(); err != nil {
		return 0, err
	}
	report, err := serve.Protect(ctx, s.config, serve.ProtectOptions{
		Owner: s.cluster.SuperDSN(demoDatabase), Data: s.data(), KeyFile: s.keyFile(), Clock: s.clock.Now, Progress: progress,
	})
	for _, c := range report.Columns {
		values += c.Tokens
	}
	return values, err
}

// serve starts the gateway and waits until it takes clients.
func (s *demoStage) serve(ctx context.Context) error {
	var err error
	for range 20 { // somebody may sit on the port
		s.server, err = serve.Start(ctx, serve.Options{
			Config: s.config, Listen: throwaway.QuietAddress(), Data: s.data(), KeyFile: s.keyFile(), Clock: s.clock.Now, Log: slog.New(slog.DiscardHandler),
		})
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		s.server = nil
		return err
	}
	select {
	case <-s.server.Ready():
		return nil
	case <-s.server.Done():
		return errors.Join(errors.New("the gateway ended before it was ready"), s.server.Err())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// strike takes the stage down: afterwards no process and no file is left, but for what was to be kept.
func (s *demoStage) strike() error {
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Close())
		s.server = nil
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
		s.cluster = nil
	}
	return errors.Join(errs...)
}

// dsn is how somebody connects to an address: the gateway's, the database's, or a tap's.
func (s *demoStage) dsn(who sallyport.Staff, address, application string) string {
	u := url.URL{Scheme: "postgres", Host: address, Path: "/" + demoDatabase, RawQuery: "sslmode=disable"}
	if who != "" {
		u.User = url.UserPassword(string(who), s.passwords[who])
	}
	if application != "" {
		u.RawQuery += "&application_name=" + url.QueryEscape(application)
	}
	return u.String()
}

func (s *demoStage) gatewayAddress() string { return s.server.Addr().String() }
func (s *demoStage) directAddress() string {
	return net.JoinHostPort(s.cluster.Host, strconv.Itoa(s.cluster.Port))
}

// openTicket is a genuine open ticket of somebody, newest first, as the database has it now.
type openTicket struct {
	id, customer int64
	no           string
}

// openTickets are somebody's tickets that were open before the story began and still are.
func (s *demoStage) openTickets(ctx context.Context, who sallyport.Staff) (list []openTicket, err error) {
	conn, err := pgx.Connect(ctx, s.cluster.SuperDSN(demoDatabase))
	if err != nil {
		return nil, fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows, err := conn.Query(ctx, "SELECT id, customer_id FROM support.tickets WHERE assignee = $1 AND state <> 'closed' AND id <= $2 ORDER BY id DESC",
		string(who), s.org.Tickets)
	if err != nil {
		return nil, fmt.Errorf("read open tickets: %w", err)
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t openTicket, err error) {
		err = row.Scan(&t.id, &t.customer)
		t.no = sim.TicketNo(t.id)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("read open tickets: %w", err)
	}
	return list, nil
}

// suspended waits until somebody's suspension has taken effect: it does right after the result was cut.
func (s *demoStage) suspended(ctx context.Context, who sallyport.Staff) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		if s.server.State.Standing(who).Suspended {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return fmt.Errorf("%s reached a budget and is not suspended 10 s later", who)
}
