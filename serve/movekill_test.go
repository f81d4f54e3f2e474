package serve

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/internal/throwaway"
	"sallyport/protect"
	"sallyport/token"
)

// TestMoveInKilled kills protect and serve at random moments (kill -9) while columns of every kind move in and an application is at work, starts
// them again until protect has ended by itself, and holds every row to what it was. SALLYPORT_SIEGE kills fifty times.
func TestMoveInKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 3
	if large() {
		kills = 50
	}
	for done := 0; done < kills; {
		f := newPlainFort(t, bonds, kinds, narrows)
		codec := f.chainNarrows(t)
		done += moveInKilled(t, f, kills-done, "", killSomebody)
		f.checkKinds(t, true)
		f.checkNarrows(t, codec, true)
		plain := f.plain(t)
		newTenant(f, nil).check(t, func(stored string) string { return plain("email", stored) })
		if t.Failed() {
			return
		}
	}
}

// TestMoveOutKilled is that on the way back.
func TestMoveOutKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 2
	if large() {
		kills = 50
	}
	for done := 0; done < kills; {
		f := newPlainFort(t, bonds, kinds, narrows)
		codec := f.chainNarrows(t)
		if _, err := f.moveIn(); err != nil {
			t.Fatal(err)
		}
		id, err := f.officer("o1").Undo(t.Context(), "moving out")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.officer("o2").Approve(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		done += moveInKilled(t, f, kills-done, id, killSomebody)
		f.checkKinds(t, false)
		f.checkNarrows(t, codec, false)
		newTenant(f, nil).check(t, strings.ToLower)
		if t.Failed() {
			return
		}
	}
}

// killSomebody kills protect, or serve, which is started again.
func killSomebody(p *processes, protect *exec.Cmd) {
	if mathrand.IntN(3) == 0 {
		p.kill()
		p.startServe()
		return
	}
	_ = protect.Process.Kill()
}

// TestMoveInServerCrash kills a process of PostgreSQL's instead, so that all of them go, the server recovers from its log, and what was not
// waited for may be lost.
func TestMoveInServerCrash(t *testing.T) {
	if !large() {
		t.Skip("it takes a server of its own; SALLYPORT_SIEGE=1 runs it")
	}
	s, err := newStage(80)
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cluster.Stop() })
	const crashes = 20
	for done := 0; done < crashes && !t.Failed(); {
		f := newPlainFortOn(t, s)
		done += moveInKilled(t, f, crashes-done, "", func(p *processes, _ *exec.Cmd) { p.crashServer() })
	}
}

// crashServer kills a process of the server's that works for the database.
func (p *processes) crashServer() {
	p.f.t.Helper()
	conn, err := pgx.Connect(p.f.ctx, p.f.cluster.SuperDSN("postgres"))
	if err != nil {
		p.f.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(p.f.ctx))
	var pid int
	within(p.f.t, 30*time.Second, "somebody is connected", func() bool {
		return conn.QueryRow(p.f.ctx, "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' ORDER BY random() LIMIT 1", p.f.database).Scan(&pid) == nil
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.f.t.Fatal(err)
	}
	within(p.f.t, 30*time.Second, "the server noticed", func() bool { return conn.Ping(p.f.ctx) != nil })
	within(p.f.t, 30*time.Second, "the server is back", func() bool {
		conn, err := pgx.Connect(p.f.ctx, p.f.cluster.SuperDSN("postgres"))
		if err == nil {
			_ = conn.Close(p.f.ctx)
		}
		return err == nil
	})
}

// moveInKilled moves one database in, or by a proposal out, kills something now and then, and returns how often it did.
func moveInKilled(t *testing.T, f *fort, most int, undo string, strike func(p *processes, protect *exec.Cmd)) (kills int) {
	t.Helper()
	f.stop()
	defer func() {
		if t.Failed() {
			t.Logf("serve and protect said:\n%s", f.log.String()[max(0, len(f.log.String())-3000):])
		}
	}()
	p := &processes{f: f, undo: undo, address: freeAddress(t), name: filepath.Join(t.TempDir(), "sallyport")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, p.name); err != nil {
		t.Fatal(err)
	}
	p.startServe()
	defer p.kill()
	w := &survivor{p: p, attempted: map[string]bool{}}
	if _, there := f.config.Protect.Columns["support.narrow.number"]; there {
		w.codec = f.narrowCodec(t)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.work(ctx) })
	for ended := false; !ended; {
		running, over := p.startProtect()
		wait := time.Duration(50+mathrand.IntN(2500)) * time.Millisecond
		if kills >= most {
			wait = 2 * time.Minute
		}
		select {
		case err := <-over:
			ended = err == nil || undo != "" && strings.Contains(lastLine(f.log.String()), protect.ErrNothing.Error()) // the last one was killed behind its end
			if !ended && kills < most {
				t.Logf("protect ended with %v: %s", err, lastLine(f.log.String()))
				if strings.Contains(lastLine(f.log.String()), "nobody answers") {
					t.Fatal("serve is gone")
				}
			}
			if !ended && kills >= most {
				t.Fatalf("protect does not come to its end: %v\n%s", err, f.log)
			}
		case <-time.After(wait):
			kills++
			strike(p, running)
			<-over
		}
	}
	before := w.rounds()
	within(t, 20*time.Second, "the application goes on", func() bool { return w.rounds() > before+2 })
	stop()
	wg.Wait()
	p.kill()
	for _, problem := range w.problems {
		t.Error(problem)
	}
	if undo == "" {
		f.checkKilled(t, w)
	} else {
		f.checkPlain(t, w)
	}
	if _, there := f.config.Protect.Columns["support.kinds.account"]; there {
		for id, v := range f.storedKinds(t, undo == "", kindWritten) {
			if want := (kindValues{-3 * id, id % 1000, kindDevice(id)}); v != want && v != (kindValues{-3 * id, noTax, kindDevice(id)}) {
				t.Errorf("row %d of kinds is %v, and %v was written", id, v, want)
			}
		}
	}
	t.Logf("%d kills, %d rounds of the application, %d customers added, %d writes refused", kills, w.done, len(w.added), w.refused)
	if w.refused > 0 {
		t.Errorf("of %d rounds %d were refused", w.done, w.refused)
	}
	return kills
}

// checkKilled is checkMoved where it is not known of some new customers whether they were added.
func (f *fort) checkKilled(t *testing.T, w *survivor) {
	t.Helper()
	f.options.MovingIn = false
	f.start() // only where mark and record agree
	defer f.stop()
	f.checkMoved(t)
	plain := f.plain(t)
	rows, err := f.direct().Query(t.Context(), "SELECT email FROM support.customers WHERE id > $1", fortCustomers)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int{}
	for _, tok := range stored {
		there[plain("email", tok)]++
	}
	for email, n := range there {
		if n > 1 || !w.attempted[email] {
			t.Errorf("%s is there %d times, attempted %v", email, n, w.attempted[email])
		}
	}
	for _, email := range w.added {
		if there[email] == 0 {
			t.Errorf("%s was added and is not there", email)
		}
	}
}

// checkPlain holds every customer to what he was before anything was protected.
func (f *fort) checkPlain(t *testing.T, w *survivor) {
	t.Helper()
	admin := f.direct()
	defer func() { _ = admin.Close(context.WithoutCancel(t.Context())) }()
	rows, err := admin.Query(t.Context(), "SELECT id, full_name, lower(email), coalesce(phone, ''), coalesce(birth_date::text, ''), coalesce(notes, '') FROM support.customers ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	var id int64
	row := make([]string, 5)
	seen, added := 0, map[string]bool{}
	_, err = pgx.ForEachRow(rows, []any{&id, &row[0], &row[1], &row[2], &row[3], &row[4]}, func() error {
		if id > fortCustomers {
			added[row[1]] = true
			return nil
		}
		seen++
		c := f.org.Customer(id)
		want := []string{c.FullName, strings.ToLower(c.Email), c.Phone, c.BirthDate.Format("2006-01-02"), c.Notes}
		if c.BirthDate.IsZero() {
			want[3] = ""
		}
		if own := "+4930" + fmt.Sprintf("%07d", c.ID); row[2] == own {
			want[2] = own
		}
		if !slices.Equal(row, want) {
			t.Errorf("customer %d is %q, want %q", id, row, want)
		}
		return nil
	})
	if err != nil || seen != fortCustomers {
		t.Errorf("%d customers, %v", seen, err)
	}
	for _, email := range w.added {
		if !added[email] {
			t.Errorf("%s was added and is not there", email)
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// processes are a serve and its protect that can be killed.
type processes struct {
	f       *fort
	name    string
	address string
	undo    string // the proposal by which columns move out; empty: they move in
	serve   *exec.Cmd
}

func (p *processes) startServe() {
	p.f.t.Helper()
	p.serve = exec.Command(p.name, "serve", "--moving-in", "--config", filepath.Join(p.f.folder, "sallyport.yaml"), "--data", p.f.options.Data, //nolint:gosec // this very test binary
		"--key-file", p.f.options.KeyFile, "--listen", p.address)
	p.serve.Stdout, p.serve.Stderr = p.f.log, p.f.log
	if err := p.serve.Start(); err != nil {
		p.f.t.Fatal(err)
	}
	within(p.f.t, 30*time.Second, "serve serves", func() bool {
		conn, err := p.connect(p.f.ctx)
		if err == nil {
			_ = conn.Close(p.f.ctx)
		}
		return err == nil
	})
}

func (p *processes) kill() {
	_ = p.serve.Process.Kill()
	_ = p.serve.Wait()
}

func (p *processes) startProtect() (*exec.Cmd, <-chan error) {
	p.f.t.Helper()
	way := []string{"protect", "--online"}
	if p.undo != "" {
		way = []string{"protect", "--undo", "--proposal", p.undo}
	}
	protect := exec.Command(p.name, append(way, "--wait", "--rate", "8000", "--range", "150", "--as", "o1", "--config", filepath.Join(p.f.folder, "sallyport.yaml"), //nolint:gosec // this very test binary
		"--data", p.f.options.Data, "--key-file", p.f.options.KeyFile, "--owner", p.f.cluster.SuperDSN(p.f.database))...)
	protect.Env = append(os.Environ(), passwordVariable+"=o1-password")
	protect.Stderr = p.f.log
	if err := protect.Start(); err != nil {
		p.f.t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- protect.Wait() }()
	return protect, over
}

func (p *processes) connect(ctx context.Context) (*pgx.Conn, error) {
	who := p.f.org.Agents()[0].ID
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s:%s/%s?sslmode=disable", who, p.f.passwords[who], host, port, p.f.database))
}

// survivor is an application that connects again whenever its connection breaks.
type survivor struct {
	p         *processes
	mu        sync.Mutex // guards what follows
	done      int
	added     []string
	attempted map[string]bool
	problems  []string
	refused   int     // writes into a column on its way
	read      [][]any // rows that are to be saved as they were read

	codec *token.Codec     // of the table of unique integers; nil: it is not there
	kept  map[int64]string // what stood in it
}

func (w *survivor) rounds() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

func (w *survivor) work(ctx context.Context) {
	for n := 0; ctx.Err() == nil; {
		conn, err := w.p.connect(context.WithoutCancel(ctx))
		if err != nil {
			time.Sleep(20 * time.Millisecond) // between two attempts to connect
			continue
		}
		for ctx.Err() == nil && w.round(context.WithoutCancel(ctx), conn, n) {
			n++
		}
		n++
		_ = conn.Close(context.WithoutCancel(ctx))
	}
}

// round is false where the connection broke.
func (w *survivor) round(ctx context.Context, conn *pgx.Conn, n int) bool {
	c := w.p.f.org.Customer(int64(1 + n*37%fortCustomers))
	var id int64
	if ok := w.judge(conn, conn.QueryRow(ctx, "SELECT id FROM support.customers WHERE email = $1", c.Email).Scan(&id)); !ok {
		return false
	}
	if id != c.ID {
		w.problem("customer %d is found as %d", c.ID, id)
	}
	if ok := w.judge(conn, conn.QueryRow(ctx, "UPDATE support.customers SET phone = $1 WHERE email = $2 RETURNING id", "+4930"+fmt.Sprintf("%07d", c.ID), c.Email).Scan(&id)); !ok {
		return false
	}
	email := fmt.Sprintf("new%d@example.org", n)
	w.mu.Lock()
	w.attempted[email] = true
	w.mu.Unlock()
	_, err := conn.Exec(ctx, "INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES ($1, 'New Customer', $2, 'DE', 'free', now())", int64(1_000_000+n), email)
	if ok := w.judge(conn, err); !ok {
		return false
	}
	if !w.kinds(ctx, conn, int64(n)) || !w.narrow(ctx, conn, int64(n)) || !w.bank(ctx, conn, int64(n)) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.added, w.done = append(w.added, email), w.done+1
	return true
}

// kinds writes integers and a uuid, of a new row and of one that is there, where the table is. The row's key tells what they are.
func (w *survivor) kinds(ctx context.Context, conn *pgx.Conn, n int64) bool {
	if _, there := w.p.f.config.Protect.Columns["support.kinds.account"]; !there {
		return true
	}
	id := kindWritten + n
	old := 1 + n*31%kindRows
	for _, write := range []struct {
		sql  string
		args []any
	}{
		{"INSERT INTO support.kinds (id, account, tax, device, origin) VALUES ($1, $2, $3, $4, $1)", []any{id, -3 * id, int32(id % 1000), kindDevice(id)}}, //nolint:gosec // below 1000
		{"UPDATE support.kinds SET account = $2, device = $3 WHERE id = $1", []any{old, old*7919 - 1_000_000, kindDevice(old)}},
		{"UPDATE support.kinds SET id = -id WHERE origin = $1", []any{old}},        // into another range, and when its turn comes again back
		{"UPDATE support.kinds SET id = -id, tax = NULL WHERE id = $1", []any{id}}, // from the last range to the first
	}[:3+min(1, n%2)] {
		if _, err := conn.Exec(ctx, write.sql, write.args...); !w.judge(conn, err) {
			return false
		}
	}
	return w.savesRow(ctx, conn, old)
}

// savesRow reads a row without a reason, and saves another one that was read some rounds before, whatever was killed since.
func (w *survivor) savesRow(ctx context.Context, conn *pgx.Conn, id int64) bool {
	row := []any{id, new(int64), new(*int32), new(string), new(string)}
	err := conn.QueryRow(ctx, "SELECT account, tax, device, nick FROM support.kinds WHERE id = $1", id).Scan(row[1:]...)
	if !errors.Is(err, pgx.ErrNoRows) { // it has another key now
		if !w.judge(conn, err) {
			return false
		}
		w.read = append(w.read, row)
	}
	if len(w.read) < 8 {
		return true
	}
	saved := w.read[0]
	w.read = w.read[1:]
	_, err = conn.Exec(ctx, "UPDATE support.kinds SET account = $2, tax = $3, device = $4, nick = $5 WHERE id = $1", saved...)
	return w.judge(conn, err)
}

// judge tells whether a statement was done; an error of the server's is a problem unless the connection broke with it.
func (w *survivor) judge(conn *pgx.Conn, err error) bool {
	if err == nil {
		return true
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && refused.Code == "55006":
		w.mu.Lock()
		w.refused++
		w.mu.Unlock()
	case errors.Is(err, pgx.ErrNoRows) || ok && refused.Severity != "FATAL" && !strings.HasPrefix(refused.Code, "57") && !strings.HasPrefix(refused.Code, "08") && refused.Code != "55P03":
		w.problem("the application met %v", err)
	case !conn.IsClosed() && !ok:
		w.problem("the application met %v on a good connection", err)
	}
	return false
}

func (w *survivor) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}
