package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/internal/throwaway"
	"sallyport/protect"
	"sallyport/query"
)

// newPlainFort serves a database in which nothing is protected yet, as serve --moving-in does.
func newPlainFort(t *testing.T, prepare ...func(f *fort)) *fort {
	t.Helper()
	s, err := theStage()
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return newPlainFortOn(t, s, prepare...)
}

// newPlainFortOn is newPlainFort on a stage of the test's own. prepare changes database and configuration before serve starts.
func newPlainFortOn(t *testing.T, s *stage, prepare ...func(f *fort)) *fort {
	t.Helper()
	var err error
	f := &fort{stage: s, t: t, ctx: t.Context(), database: fmt.Sprintf("support%d", s.made.Add(1)), folder: t.TempDir(), log: &lockedBuffer{}}
	f.superExec("postgres", "CREATE DATABASE "+f.database+" TEMPLATE "+plainTemplate)
	if err := os.WriteFile(filepath.Join(f.folder, "reader.password"), []byte("reader-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.config, err = s.config(f.folder, f.database, rich); err != nil {
		t.Fatal(err)
	}
	f.options = Options{
		Config: f.config, Data: filepath.Join(f.folder, "data"), KeyFile: filepath.Join(f.folder, "key.txt"), MovingIn: true,
		Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, p := range prepare {
		p(f)
	}
	reader, err := readerRole(f.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := protect.PrepareReader(t.Context(), f.cluster.SuperDSN(f.database), reader, rand.Reader); err != nil {
		t.Fatal(err)
	}
	f.start()
	t.Cleanup(f.stop)
	return f
}

// moveIn runs protect --online beside the fort's serve.
func (f *fort) moveIn(change ...func(*LiveOptions)) (protect.Report, error) {
	o := LiveOptions{
		ProtectOptions: ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile, RangeRows: 200},
		Tell:           func(s string) { f.t.Log(s) },
	}
	for _, c := range change {
		c(&o)
	}
	return ProtectLive(f.ctx, f.config, f.officer("o1"), o)
}

// worker is an application at work: it looks customers up by all that is protected, changes and adds some, and never finds one missing
// or twice.
type worker struct {
	f       *fort
	c       *pgx.Conn
	slowest time.Duration
	done    atomic.Int64
	added   []string // addresses
}

func (w *worker) work(ctx context.Context, n int) error {
	for i := 0; ctx.Err() == nil; i++ {
		began := time.Now()
		if err := w.step(context.WithoutCancel(ctx), n, i); err != nil {
			return err
		}
		w.slowest = max(w.slowest, time.Since(began))
		w.done.Add(1)
	}
	return nil
}

func (w *worker) step(ctx context.Context, n, i int) error {
	c := w.f.org.Customer(int64(1 + (n*997+i*31)%fortCustomers))
	for _, search := range []struct {
		sql   string
		value any
	}{
		{"SELECT count(*) FROM support.customers WHERE email = $1", c.Email},
		{"SELECT count(*) FROM support.customers WHERE full_name = $1 AND id = $2", c.FullName},
		{"SELECT count(*) FROM support.customers WHERE birth_date = $1 AND id = $2", c.BirthDate},
		{"UPDATE support.customers SET plan = plan WHERE email = $1 RETURNING 1", c.Email},
		{"WITH w AS (UPDATE support.customers SET phone = $1 WHERE id = $2 RETURNING 1) SELECT count(*) FROM w", "+4930" + fmt.Sprintf("%07d", c.ID)},
	} {
		if born, ok := search.value.(time.Time); ok && born.IsZero() {
			continue // it is not known
		}
		args := []any{search.value}
		if strings.Contains(search.sql, "$2") {
			args = append(args, c.ID)
		}
		var found int
		if err := w.c.QueryRow(ctx, search.sql, args...).Scan(&found); err != nil || found != 1 {
			return fmt.Errorf("%s of customer %d: %d, %w", search.sql, c.ID, found, err)
		}
	}
	if i%5 == 0 {
		email := fmt.Sprintf("new%d.%d@example.org", n, i)
		_, err := w.c.Exec(ctx, "INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES ($1, $2, $3, 'DE', 'free', now())",
			int64(1_000_000+n*100_000+i), "New Customer", email)
		if err != nil {
			return fmt.Errorf("add a customer: %w", err)
		}
		w.added = append(w.added, email)
	}
	// An address that somebody has already is refused, whichever half he is in.
	_, err := w.c.Exec(ctx, "INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES ($1, 'Twin', $2, 'DE', 'free', now())", int64(2_000_000+n*100_000+i), c.Email)
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refused.Code != "23505" && refused.Code != "55P03" { // 55P03: the mover has the row; the application tries again
		return fmt.Errorf("a second customer %d with one address: %w", c.ID, err)
	}
	return nil
}

// checkMoved holds every value of customers and tickets to what it was, through the fort's own keys.
func (f *fort) checkMoved(t *testing.T, workers ...*worker) {
	t.Helper()
	admin := f.direct()
	rows, err := admin.Query(t.Context(), "SELECT id, full_name, email, coalesce(phone, ''), coalesce(birth_date::text, ''), coalesce(notes, '') FROM support.customers ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	plain := f.plain(t)
	var added, seen, wrong int
	var id int64
	row := make([]string, 5)
	_, err = pgx.ForEachRow(rows, []any{&id, &row[0], &row[1], &row[2], &row[3], &row[4]}, func() error {
		got := make([]string, len(row))
		for i, column := range []string{"full_name", "email", "phone", "birth_date", "notes"} {
			if row[i] != "" {
				got[i] = plain(column, row[i])
			}
		}
		if id > fortCustomers {
			added++
			return nil
		}
		seen++
		c := f.org.Customer(id)
		want := []string{c.FullName, strings.ToLower(c.Email), c.Phone, c.BirthDate.Format("2006-01-02"), c.Notes}
		if c.BirthDate.IsZero() {
			want[3] = ""
		}
		if own := "+4930" + fmt.Sprintf("%07d", c.ID); got[2] == own {
			want[2] = own
		}
		if !slices.Equal(got, want) {
			if wrong++; wrong < 5 {
				t.Errorf("customer %d is %q (stored %q), want %q", id, got, row, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, w := range workers {
		want += len(w.added)
	}
	if seen != fortCustomers || len(workers) > 0 && added != want {
		t.Errorf("%d customers and %d new ones, want %d and %d", seen, added, fortCustomers, want)
	}
}

func TestMoveIn(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t)
	who := f.org.Agents()[0].ID
	var workers []*worker
	for range 3 {
		workers = append(workers, &worker{f: f, c: f.connect(who, pgx.QueryExecModeCacheStatement).Conn})
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for n, w := range workers {
		wg.Go(func() {
			if err := w.work(ctx, n); err != nil {
				t.Error(err)
				stop()
			}
		})
	}
	within(t, 20*time.Second, "the application works", func() bool { return ctx.Err() != nil || workers[2].done.Load() > 5 })
	began := time.Now()
	report, err := f.moveIn()
	if err != nil {
		t.Error(err)
	}
	t.Logf("moved in %s", time.Since(began))
	before := workers[0].done.Load()
	within(t, 20*time.Second, "the application goes on", func() bool { return ctx.Err() != nil || workers[0].done.Load() > before+5 })
	stop()
	wg.Wait()
	if t.Failed() {
		t.Fatalf("serve says: %s", f.log)
	}
	for _, w := range workers {
		t.Logf("%d rounds, the slowest %s", w.done.Load(), w.slowest)
	}
	for _, c := range report.Columns {
		if c.Tokens == 0 || c.Moved == 0 || c.Moved > c.Tokens {
			t.Errorf("%s: %d tokens, %d moved", c.Column, c.Tokens, c.Moved)
		}
	}
	f.checkMoved(t, workers...)

	// From now on the database itself keeps plain values out.
	var refused *pgconn.PgError
	_, err = f.direct().Exec(t.Context(), "UPDATE support.customers SET email = 'ada@example.org' WHERE id = 1")
	if !errors.As(err, &refused) || refused.Code != "23514" {
		t.Errorf("a plain value around the gateway: %v", err)
	}
	if m := f.readMark(); m.ProtectedAt.IsZero() || len(m.Moving) > 0 || len(m.Columns) != len(f.config.Protect.Columns) {
		t.Errorf("mark %+v", m)
	}
	if len(report.Remains) < 4 {
		t.Errorf("what remains: %v", report.Remains)
	}
	f.options.MovingIn = false
	f.restart()
	who, ticket, customer := f.hasTicket(1)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != strings.ToLower(customer.Email) {
		t.Errorf("a ticket of before opens %q, want %q", got, customer.Email)
	}
}

// TestMovingNameIndex holds the index that protect makes to what the gateway searches by.
func TestMovingNameIndex(t *testing.T) {
	if got, want := protect.MovingName("full_name"), query.MovingName("full_name"); got != want {
		t.Errorf("the index is on %s, searches are by %s", got, want)
	}
}

// TestMoveOut goes back to plain values under work, once two people agreed.
func TestMoveOut(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t)
	if _, err := f.moveIn(); err != nil {
		t.Fatal(err)
	}
	who := f.org.Agents()[0].ID
	w := &worker{f: f, c: f.connect(who, pgx.QueryExecModeCacheStatement).Conn}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.work(ctx, 0); err != nil {
			t.Error(err)
			stop()
		}
	})
	undo := func(o *LiveOptions) { o.Undo = true }
	if _, err := f.moveIn(undo); err == nil || !strings.Contains(err.Error(), "Two people") {
		t.Errorf("protection is undone by one: %v", err)
	}
	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	if err != nil {
		t.Fatal(err)
	}
	withID := func(o *LiveOptions) { o.Proposal = id }
	if _, err := f.moveIn(undo, withID); err == nil || !strings.Contains(err.Error(), "Two people") {
		t.Errorf("protection is undone by a proposal that nobody approved: %v", err)
	}
	if _, err := f.officer("o1").Approve(t.Context(), id); err == nil {
		t.Error("the proposer approves")
	}
	if _, err := f.officer("o2").Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	report, err := f.moveIn(undo, withID)
	if err != nil {
		t.Fatal(err)
	}
	before := w.done.Load()
	within(t, 20*time.Second, "the application goes on", func() bool { return ctx.Err() != nil || w.done.Load() > before+3 })
	stop()
	wg.Wait()
	for _, c := range report.Columns {
		if c.Moved == 0 {
			t.Errorf("%s: %d plain, %d moved", c.Column, c.Tokens, c.Moved)
		}
	}
	admin := f.direct()
	var tokens, customers int
	err = admin.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE email LIKE '%.k1.invalid' OR full_name LIKE 'tk1:%' OR phone LIKE '+89%' OR birth_date > '2200-01-01' OR notes LIKE 'tk1:%'), count(*)
		FROM support.customers WHERE id <= 3000`).Scan(&tokens, &customers)
	if err != nil || tokens > 0 || customers != fortCustomers {
		t.Errorf("%d tokens are left in %d rows, %v", tokens, customers, err)
	}
	for id := int64(1); id <= fortCustomers; id += 97 {
		var name, email string
		c := f.org.Customer(id)
		if err := admin.QueryRow(t.Context(), "SELECT full_name, email FROM support.customers WHERE id = $1", id).Scan(&name, &email); err != nil || name != c.FullName || email != strings.ToLower(c.Email) {
			t.Errorf("customer %d is %q, %q, %v", id, name, email, err)
		}
	}
	if _, found, err := protect.ReadMark(t.Context(), admin); found || err != nil {
		t.Errorf("the mark is there still: %v", err)
	}
	if _, err := f.moveIn(undo, withID); err == nil {
		t.Error("a proposal is good for twice")
	}
	f.restart()
	if err := admin.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.moveIn(); err != nil { // and in again
		t.Error(err)
	}
}

// TestDryRun estimates and changes nothing.
func TestDryRun(t *testing.T) {
	f := newPlainFort(t)
	admin := f.direct()
	state := func() (all string) {
		err := admin.QueryRow(t.Context(), `SELECT md5(string_agg(c::text, '' ORDER BY id)) || (SELECT count(*) FROM pg_class WHERE oid >= 16384) FROM support.customers c`).Scan(&all)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := state()
	out, errs := &strings.Builder{}, &strings.Builder{}
	m := Main{Stdout: out, Stderr: errs, Getenv: func(string) string { return "" }}
	err := m.Run(t.Context(), []string{"protect", "--dry-run", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--owner", f.cluster.SuperDSN(f.database)})
	if err != nil || !strings.Contains(out.String(), "3000 of about 3000 rows tried") || !strings.Contains(out.String(), "Nothing was changed") {
		t.Errorf("%v: %s%s", err, out, errs)
	}
	t.Log(out)
	if after := state(); after != before {
		t.Error("something was changed")
	}
}

// TestMoveInStrangers has somebody around the gateway: nothing moves while he is there, and what he wrote is found.
func TestMoveInStrangers(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t)
	stranger := f.direct()
	_, err := f.moveIn()
	if !errors.Is(err, protect.ErrConnected) {
		t.Fatalf("somebody is connected around the gateway, and protect says %v", err)
	}
	var tokens int
	if err := stranger.QueryRow(t.Context(), "SELECT count(*) FROM support.customers WHERE email LIKE '%.k1.invalid'").Scan(&tokens); err != nil || tokens > 0 {
		t.Errorf("%d rows moved all the same, %v", tokens, err)
	}
	if m := f.readMark(); len(m.Moving) == 0 || !m.ProtectedAt.IsZero() {
		t.Errorf("mark %+v", m)
	}
	f.options.MovingIn = false
	f.restart() // in the middle of the way, from the record alone
	// He writes plain values into ranges that were done, so to speak.
	for _, sql := range []string{"UPDATE sallyport.ranges SET done = true WHERE number % 2 = 0", "UPDATE support.customers SET email = 'Stranger@Mail.example' WHERE id = 7"} {
		if _, err := stranger.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	waited := make(chan string, 1)
	report, err := f.moveIn(func(o *LiveOptions) {
		o.Wait, o.Rate = true, 9000
		o.Tell = func(s string) {
			if strings.Contains(s, "around the gateway") {
				waited <- s
				_ = stranger.Close(context.WithoutCancel(t.Context()))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-waited:
	default:
		t.Error("it waited for nobody")
	}
	for _, step := range report.Steps { // 9,440 rows, half of which count as done
		if step.Name == "move" && step.Seconds < 0.4 {
			t.Errorf("rows moved faster than the rate: in %.1f s", step.Seconds)
		}
	}
	var stored string
	if err := f.direct().QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = 7").Scan(&stored); err != nil || f.plain(t)("email", stored) != "stranger@mail.example" {
		t.Errorf("what he wrote is %q, %v", stored, err)
	}
	if _, err := f.direct().Exec(t.Context(), "UPDATE support.customers SET email = lower($1) WHERE id = 7", f.org.Customer(7).Email); err == nil {
		t.Error("a plain value is let in")
	}
}
