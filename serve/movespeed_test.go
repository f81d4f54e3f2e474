package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/throwaway"
	"sallyport/protect"
)

// TestMoveInSpeed measures what moving in costs: SALLYPORT_MOVE_ROWS rows of five columns (make moving takes 12,000,000), beside a batched
// UPDATE of a copy of the table with values as wide as the tokens. The application that works while protect does, and who watches locks, take their share
// of the machine. So the UPDATE is measured twice: alone, and while the same application works on the copy, directly, and the same locks are watched; both
// are printed. docs/performance.md has the figures. In the usual run a few rows prove that it measures anything at all.
func TestMoveInSpeed(t *testing.T) {
	rows := 20_000
	if s := os.Getenv("SALLYPORT_MOVE_ROWS"); s != "" {
		var err error
		if rows, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	s := newSpeedStage(t, rows)
	alone, _ := s.reference(t, false)
	width, company := s.reference(t, true)
	report, took, peak, w := s.moveIn(t)
	for _, step := range report.Steps {
		t.Logf("%-10s %8.1f s", step.Name, step.Seconds)
	}
	move := 0.0
	for _, step := range report.Steps {
		if step.Name == "move" {
			move = step.Seconds
		}
	}
	t.Logf("%d rows: protect --online %.1f s, of it moving rows %.1f s", rows, took.Seconds(), move)
	t.Logf("batched UPDATE alone %.1f s: the whole run %.2f times as long, moving %.2f times", alone.Seconds(), took.Seconds()/alone.Seconds(), move/alone.Seconds())
	t.Logf("batched UPDATE beside the application %.1f s: the whole run %.2f times as long, moving %.2f times; it did %d rounds, the slowest %s",
		width.Seconds(), took.Seconds()/width.Seconds(), move/width.Seconds(), company.done, company.slowest)
	t.Logf("protect's peak memory %.0f MiB; the application did %d rounds, the slowest %s; the longest lock that keeps others from writing %s, from reading %s", peak, w.done, w.slowest, w.writeLock, w.readLock)
	if most := time.Second; w.writeLock > most {
		t.Errorf("a lock on the table was held for %s", w.writeLock)
	}
	if move == 0 || w.done == 0 || company.done == 0 {
		t.Error("nothing was measured")
	}
}

// speedStage is a server of its own with one wide table and a copy of it.
type speedStage struct {
	cluster *throwaway.Cluster
	folder  string
	name    string
	address string
	rows    int
}

const speedConfig = `version: 1
demonstration: true
upstream:
  address: 127.0.0.1:%d
  database: shop
  reader: {user: sallyport_reader, password_file: reader.password}
listen: %s
protect:
  customer: {table: app.people, key: id}
  columns:
    app.people.full_name:  {class: identity, scheme: name}
    app.people.email:      {class: contact, scheme: email}
    app.people.phone:      {class: contact, scheme: phone}
    app.people.birth_date: {class: identity, scheme: date}
    app.people.notes:      {class: content, scheme: text}
  email_domain: k1.invalid
people:
  o1: {name: Officer, team: security, role: security, logins: [o1], password: %q}
services:
  shop: {logins: [shop]}
` + rich

func newSpeedStage(t *testing.T, rows int) *speedStage {
	t.Helper()
	ctx := t.Context()
	cluster, err := throwaway.Start(ctx, throwaway.Options{Settings: map[string]string{
		"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min", "max_connections": "50", "autovacuum": "on",
	}})
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &speedStage{cluster: cluster, folder: t.TempDir(), address: freeAddress(t), rows: rows}
	s.name = filepath.Join(s.folder, "sallyport")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, s.name); err != nil {
		t.Fatal(err)
	}
	hash, err := officerHash("o1")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"reader.password": "reader-secret\n", "sallyport.yaml": fmt.Sprintf(speedConfig, cluster.Port, s.address, string(hash))} {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.exec(t, "postgres", "CREATE DATABASE shop", "CREATE ROLE shop LOGIN PASSWORD 'shop'")
	s.exec(t, "shop", "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO shop",
		"CREATE TABLE app.people (id bigint PRIMARY KEY, full_name text NOT NULL, email text NOT NULL, phone text, birth_date date, notes text, plan text)",
		fmt.Sprintf(`INSERT INTO app.people SELECT n, 'Person ' || md5(n::text)::char(6) || ' Name', 'person' || n || '@mail.example', '+49151' || lpad(n::text, 8, '0'),
			date '1950-01-01' + (n %% 20000)::int, 'called about order ' || n || ', will call again', 'basic' FROM generate_series(1, %d) n`, rows),
		"ALTER TABLE app.people ADD UNIQUE (email)", "GRANT SELECT, INSERT, UPDATE ON app.people TO shop", "VACUUM ANALYZE")
	return s
}

func (s *speedStage) exec(t *testing.T, database string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.cluster.SuperDSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// otherEmail is what the reference makes of the e-mail address of a row.
const otherEmail = "left(repeat(md5('e' || id), 3), 77)"

// reference updates a copy in batches of 5,000 keys, with values as wide as tokens of what stands there; beside the application, or with nobody else there.
func (s *speedStage) reference(t *testing.T, beside bool) (took time.Duration, w speedWorker) {
	t.Helper()
	s.exec(t, "shop", "CREATE TABLE app.other (LIKE app.people INCLUDING ALL)", "INSERT INTO app.other SELECT * FROM app.people",
		"GRANT SELECT, INSERT, UPDATE ON app.other TO shop", "VACUUM ANALYZE app.other", "CHECKPOINT")
	defer s.exec(t, "shop", "DROP TABLE app.other", "CHECKPOINT")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	if beside {
		dsn := fmt.Sprintf("postgres://shop:shop@127.0.0.1:%d/shop?sslmode=disable", s.cluster.Port)
		// It looks for an address in both forms, as the gateway does for it in a column that is moving.
		update := "UPDATE app.other SET plan = 'seen' WHERE email IN ($1, " + strings.ReplaceAll(otherEmail, "id", "$2::int") + ") RETURNING id"
		wg.Go(func() {
			s.work(ctx, t, dsn, &w, func(id int) (string, []any) { return update, []any{mailOf(id), id} })
		})
		wg.Go(func() { s.watchLocks(ctx, t, "app.other", &w) })
	}
	defer wg.Wait() // before the table goes
	defer stop()
	conn, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "SET synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for from := 0; from < s.rows; from += 5000 {
		_, err := conn.Exec(t.Context(), `UPDATE app.other SET full_name = left(repeat(md5('n' || id), 3), 83), email = `+otherEmail+`, phone = left(md5('p' || id), 16),
			birth_date = birth_date + 100000, notes = left(repeat(md5('t' || id), 4), 105) WHERE id > $1 AND id <= $2`, from, from+5000)
		if err != nil {
			t.Fatal(err)
		}
	}
	took = time.Since(began)
	stop()
	wg.Wait()
	return took, w
}

func mailOf(id int) string { return fmt.Sprintf("person%d@mail.example", id) }

// speedWorker is an application at work, and somebody who watches locks.
type speedWorker struct {
	done                int
	slowest             time.Duration
	writeLock, readLock time.Duration
}

// moveIn runs protect in a process of its own, beside a serve of its own.
func (s *speedStage) moveIn(t *testing.T) (report protect.Report, took time.Duration, peak float64, w speedWorker) {
	t.Helper()
	common := []string{"--config", filepath.Join(s.folder, "sallyport.yaml"), "--data", filepath.Join(s.folder, "data"), "--key-file", filepath.Join(s.folder, "key.txt")}
	owner := []string{"--owner", s.cluster.SuperDSN("shop")}
	serve := exec.Command(s.name, append(append([]string{"serve", "--moving-in"}, common...), owner...)...) //nolint:gosec // this very test binary
	log := &lockedBuffer{}
	serve.Stderr = log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = serve.Process.Kill(), serve.Wait() }()
	dsn := fmt.Sprintf("postgres://shop:shop@%s/shop?sslmode=disable", s.address)
	within(t, 30*time.Second, "serve serves", func() bool {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		s.work(ctx, t, dsn, &w, func(id int) (string, []any) {
			return "UPDATE app.people SET plan = 'seen' WHERE email = $1 RETURNING id", []any{mailOf(id)}
		})
	})
	wg.Go(func() { s.watchLocks(ctx, t, "app.people", &w) })
	run := exec.Command(s.name, append(append([]string{"protect", "--online", "--json", "--as", "o1"}, common...), owner...)...) //nolint:gosec // this very test binary
	var out, errs strings.Builder
	run.Stdout, run.Stderr, run.Env = &out, &errs, append(os.Environ(), passwordVariable+"=o1-password")
	began := time.Now()
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	wg.Go(func() {
		for !ended.Load() {
			peak = max(peak, peakMemory(run.Process.Pid))
			time.Sleep(50 * time.Millisecond) // between two looks
		}
	})
	err := run.Wait()
	took = time.Since(began)
	ended.Store(true)
	stop()
	wg.Wait()
	if err != nil {
		t.Fatalf("protect: %v %s\n%s", err, errs.String(), log)
	}
	var printed struct{ Steps []protect.Step }
	if err := json.Unmarshal([]byte(out.String()), &printed); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	report.Steps = printed.Steps
	return report, took, peak, w
}

// work looks people up and changes them by the statement of each, one after the other.
func (s *speedStage) work(ctx context.Context, t *testing.T, dsn string, w *speedWorker, statement func(id int) (sql string, args []any)) {
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for ; ctx.Err() == nil; w.done++ {
		id := 1 + w.done*7919%s.rows
		began := time.Now()
		var found int
		sql, args := statement(id)
		err := conn.QueryRow(t.Context(), sql, args...).Scan(&found)
		if err != nil || found != id {
			t.Errorf("person %d is found as %d: %v", id, found, err)
			return
		}
		w.slowest = max(w.slowest, time.Since(began))
		time.Sleep(5 * time.Millisecond) // one of many applications; the machine is protect's
	}
}

// watchLocks looks from another database which locks on the table keep others from writing, or reading, and for how long.
func (s *speedStage) watchLocks(ctx context.Context, t *testing.T, name string, w *speedWorker) {
	shop, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("shop"))
	if err != nil {
		t.Error(err)
		return
	}
	var table, database uint32
	err = shop.QueryRow(t.Context(), "SELECT $1::text::regclass::oid, oid FROM pg_database WHERE datname = 'shop'", name).Scan(&table, &database)
	if err := errors.Join(err, shop.Close(t.Context())); err != nil {
		t.Error(err)
		return
	}
	conn, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var writes, reads time.Time
	for ctx.Err() == nil {
		var write, read bool
		err := conn.QueryRow(t.Context(), `SELECT coalesce(bool_or(mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')), false), coalesce(bool_or(mode = 'AccessExclusiveLock'), false)
			FROM pg_locks WHERE locktype = 'relation' AND granted AND relation = $1 AND database = $2`, table, database).Scan(&write, &read)
		if err != nil {
			t.Error(err)
			return
		}
		now := time.Now()
		w.writeLock, w.readLock = max(w.writeLock, held(&writes, write, now)), max(w.readLock, held(&reads, read, now))
		time.Sleep(2 * time.Millisecond) // between two looks
	}
}

// held is how long something has been so by now.
func held(since *time.Time, is bool, now time.Time) time.Duration {
	switch {
	case !is:
		*since = time.Time{}
		return 0
	case since.IsZero():
		*since = now
	}
	return now.Sub(*since)
}

// peakMemory is what a process had in memory at most (proc(5), VmHWM), in MiB.
func peakMemory(pid int) float64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0 // it has ended
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kib / 1024
}
