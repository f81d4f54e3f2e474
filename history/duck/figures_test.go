package duck

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"sallyport"
	"sallyport/history"
	"sallyport/history/historytest"
	"sallyport/internal/throwaway"
)

// The organisation of the figures.
const (
	figureCustomers = historytest.WorkCustomers
	figureVictims   = 68_000
	perStatement    = historytest.PerStatement
)

func identifies(c sallyport.Column) bool { return c.Name == "email" || c.Name == "phone" }

func figureNames(t testing.TB) *history.Names {
	t.Helper()
	n, err := history.NewNames([]byte("a key that is known to the tests"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFigures measures history with as many reveals as SALLYPORT_HISTORY says (make bench-history: 100,000,000), and the same beside
// PostgreSQL with as many as SALLYPORT_HISTORY_PG says. Nothing is asserted but that the answers are right.
func TestFigures(t *testing.T) {
	reveals, err := strconv.Atoi(os.Getenv("SALLYPORT_HISTORY"))
	if err != nil {
		t.Skip("figures take minutes and gigabytes: make bench-history")
	}
	folder := os.Getenv("SALLYPORT_HISTORY_DIR")
	if folder == "" {
		folder = t.TempDir()
	}
	memory := DefaultMemory
	if text := os.Getenv("SALLYPORT_HISTORY_MEMORY"); text != "" {
		memory, _ = strconv.Atoi(text)
	}
	t.Logf("before: %s", resident())
	s, err := Open(folder, Options{Record: "figures", Names: figureNames(t), Tells: identifies, Memory: memory, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rate := 0.0
	if s.at == 0 {
		rate = ingest(t, s, reveals)
	}
	size, saw, victims := measureSize(t, s, reveals), measureWhoSaw(t, s), measureVictims(t, s)
	t.Logf("memory: configured %d MiB for DuckDB; %s", memory, resident())
	t.Logf("%d reveals, measured ÷ wanted:", reveals)
	for _, f := range []struct {
		what             string
		measured, wanted float64
	}{
		{"thousand reveals a second taken in (more is better)", rate, 300},
		{"bytes a reveal on disk besides digests", size, 12},
		{"ms for who-saw of one customer, p50", ms(saw), 50},
		{"s for 68,000 victims, distinct per employee, by the view, p50", victims.Seconds(), 1.5},
	} {
		t.Logf("  %8.2f ÷ %5.1f = %.2f  %s", f.measured, f.wanted, f.measured/f.wanted, f.what)
	}
}

// ingest takes in so many reveals, and says how many thousand a second.
func ingest(t *testing.T, s *Store, reveals int) float64 {
	t.Helper()
	w := historytest.NewWork(reveals)
	used := cpu()
	var adding, generating, making, compacting time.Duration
	began, n := time.Now(), 0
	for day := 0; ; {
		runtime.LockOSThread() // so that what making them up takes is told from the rest
		start, made := time.Now(), cpuOf(unix.RUSAGE_THREAD)
		events := w.Next(12_500) // 50,000 values
		generating += time.Since(start)
		making += cpuOf(unix.RUSAGE_THREAD) - made
		runtime.UnlockOSThread()
		if len(events) == 0 {
			break
		}
		start = time.Now()
		run := s.run
		if err := s.Add(t.Context(), events[len(events)-1].Seq, events); err != nil {
			t.Fatal(err)
		}
		if adding += time.Since(start); s.run != run {
			compacting += time.Since(start)
		}
		n += len(events) / 2 * perStatement
		if w.Day() >= day+10 {
			day = w.Day()
			t.Logf("day %d: %d reveals, %.0f k/s so far (%s)", day, n, float64(n)/adding.Seconds()/1000, resident())
		}
	}
	start := time.Now()
	s.mu.Lock()
	err := s.compact(t.Context())
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	adding += time.Since(start)
	compacting += time.Since(start)
	used = cpu() - used - making
	rate := func(took time.Duration) float64 { return float64(n) / took.Seconds() / 1000 }
	each := func(took time.Duration) float64 { return float64(took.Nanoseconds()) / float64(n) / 1000 }
	t.Logf("ingest: %d reveals in %s, %.0f k reveals/s with everything (appending, compacting, syncing); appending alone %.0f k/s, compacting %s of it; %.2f µs of CPU a reveal",
		n, adding.Round(time.Millisecond), rate(adding), rate(adding-compacting), compacting.Round(time.Millisecond), each(used))
	t.Logf("making them up: %s, %.2f µs of CPU a reveal, not in the figures above, but its garbage is; %.0f k reveals/s with it", generating.Round(time.Millisecond), each(making), rate(time.Since(began)))
	return rate(adding)
}

// measureSize is bytes a reveal, besides digests.
func measureSize(t *testing.T, s *Store, reveals int) float64 {
	t.Helper()
	var total, digests float64
	for _, table := range []string{"seen", "batches", "acts", "reasons", "actors", "boxes", "words", "people", "customers", "fresh", "held", "shared"} {
		var blocks float64
		err := s.db.QueryRowContext(t.Context(), "SELECT count(DISTINCT block) FROM (SELECT unnest(list_append(additional_block_ids, block_id)) AS block FROM pragma_storage_info('"+table+"')) WHERE block >= 0").Scan(&blocks)
		if err != nil {
			t.Fatal(err)
		}
		each := blocks * 262_144 / float64(reveals)
		t.Logf("  %-10s %8.1f MiB %6.2f bytes a reveal", table, blocks/4, each)
		total += each
		if table == "held" || table == "shared" {
			digests += each
		}
	}
	info, err := os.Stat(s.file)
	if err != nil {
		t.Fatal(err)
	}
	var held float64
	if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM held").Scan(&held); err != nil {
		t.Fatal(err)
	}
	t.Logf("disk: %.2f bytes a reveal besides digests; digests %.2f a reveal, %.1f for each of %.0f distinct values; the file has %.2f a reveal", total-digests, digests, digests*float64(reveals)/held, held, float64(info.Size())/float64(reveals))
	return total - digests
}

// quantiles of durations.
func quantiles(list []time.Duration) string {
	slices.Sort(list)
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, most %.1f ms", ms(list[len(list)/2]), ms(list[len(list)*95/100]), ms(list[len(list)-1]))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// someCustomers are some that were looked at.
func someCustomers(t *testing.T, db *sql.DB, n int) (ids []int64) {
	t.Helper()
	err := db.QueryRowContext(t.Context(), "SELECT max(customer) FROM seen").Scan(new(int64))
	if err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(3, 3))
	for len(ids) < n {
		var id int64
		err := db.QueryRowContext(t.Context(), "SELECT min(customer) FROM seen WHERE customer >= ?", 1+dice.IntN(figureCustomers-1000)).Scan(&id)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func measureWhoSaw(t *testing.T, s *Store) time.Duration {
	t.Helper()
	var took []time.Duration
	found := 0
	customers := someCustomers(t, s.db, 60)
	used := cpu()
	for _, id := range customers {
		start := time.Now()
		a, err := s.Saw(t.Context(), history.Question{Customer: sallyport.Subject(strconv.FormatInt(id, 10))})
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(start))
		if len(a.Sightings) == 0 {
			t.Errorf("nobody saw %d", id)
		}
		found += len(a.Sightings)
	}
	used = cpu() - used
	t.Logf("who-saw, %d customers, %d sightings: first %.1f ms; %s; %.1f ms of CPU each", len(took), found, ms(took[0]), quantiles(took[1:]), ms(used)/float64(len(took)))
	return took[1:][len(took[1:])/2] // quantiles has sorted them
}

const victimsQuery = "SELECT person, count(DISTINCT customer_number) AS n FROM reveals WHERE customer_number IN (SELECT customer FROM victims) GROUP BY person ORDER BY n DESC, person"

func measureVictims(t *testing.T, s *Store) (byView time.Duration) {
	t.Helper()
	dice := rand.New(rand.NewPCG(4, 4))
	ctx := context.Background()
	if _, err := s.writer.ExecContext(ctx, "CREATE TEMP TABLE victims (customer BIGINT)"); err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for i := range figureVictims {
		if i > 0 {
			rows.WriteByte(',')
		}
		fmt.Fprintf(&rows, "(%d)", 1+dice.IntN(figureCustomers))
	}
	if _, err := s.writer.ExecContext(ctx, "INSERT INTO victims VALUES "+rows.String()); err != nil {
		t.Fatal(err)
	}
	for name, query := range map[string]string{
		"by the view":  victimsQuery,
		"by the table": "SELECT person, count(DISTINCT customer) AS n FROM seen SEMI JOIN victims USING (customer) GROUP BY person ORDER BY n DESC, person",
	} {
		var took []time.Duration
		people, used := 0, cpu()
		for range 5 {
			start := time.Now()
			people = 0
			if err := each(ctx, s.writer, query, func(func(...any) error) error { people++; return nil }); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		if query == victimsQuery {
			byView = took[len(took)/2]
		}
		t.Logf("%d victims, distinct per employee, %s: %d employees; %s; %.1f ms of CPU each", figureVictims, name, people, quantiles(took), ms(cpu()-used)/5)
	}
	return byView
}

// cpu is what this process has used: where others share the machine, it says more than the wall clock.
func cpu() time.Duration { return cpuOf(unix.RUSAGE_SELF) }

func cpuOf(whose int) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(whose, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of this process, now and at its peak.
func resident() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "memory unknown"
	}
	var parts []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			parts = append(parts, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(parts, ", ")
}

// TestAgainstPostgreSQL puts the same reveals into both and asks both the same.
func TestAgainstPostgreSQL(t *testing.T) {
	reveals, err := strconv.Atoi(os.Getenv("SALLYPORT_HISTORY_PG"))
	if err != nil {
		t.Skip("takes minutes: make bench-history")
	}
	s, err := Open(t.TempDir(), Options{Record: "figures", Names: figureNames(t), Tells: identifies, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ingest(t, s, reveals)
	measureSize(t, s, reveals)
	cluster, err := throwaway.Start(t.Context(), throwaway.Options{})
	if err != nil {
		t.Skip(err)
	}
	defer cluster.Stop() //nolint:errcheck // it is thrown away
	conn, err := pgx.Connect(t.Context(), cluster.SuperDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // likewise
	loadPostgreSQL(t, conn, reveals)
	compare(t, s, conn)
}

func loadPostgreSQL(t *testing.T, conn *pgx.Conn, reveals int) {
	t.Helper()
	ctx := t.Context()
	pgDo(t, conn, `CREATE TABLE seen (day date, entry bigint, person int, customer bigint, field smallint, digest bytea)`)
	pgDo(t, conn, `CREATE TABLE batches (day date, entry bigint, time timestamptz, actor text, statement bigint, purposes text)`)
	w := historytest.NewWork(reveals)
	start := time.Now()
	for {
		events := w.Next(12_500)
		if len(events) == 0 {
			break
		}
		var seen, batches [][]any
		for _, e := range events {
			if e.Reveal == nil {
				continue
			}
			person, _ := strconv.Atoi(string(e.Who.Staff[1:]))
			batches = append(batches, []any{e.Time, int64(e.Seq), e.Time, e.Who.Session, int64(e.Reveal.Statement), e.Reveal.Purposes[0].String()}) //nolint:gosec // small
			for v := range e.Reveal.Values.All() {
				customer, _ := sallyport.WholeNumber(v.Subject)
				seen = append(seen, []any{e.Time, int64(e.Seq), int32(person), int64(customer), int16(v.Column), v.Digest[:]}) //nolint:gosec // small
			}
		}
		for table, rows := range map[string][][]any{"seen": seen, "batches": batches} {
			columns := map[string][]string{"seen": {"day", "entry", "person", "customer", "field", "digest"}, "batches": {"day", "entry", "time", "actor", "statement", "purposes"}}[table]
			if _, err := conn.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows)); err != nil {
				t.Fatal(err)
			}
		}
	}
	copied := time.Since(start)
	for _, index := range []string{"seen (customer)", "seen (digest)", "batches (entry)"} {
		pgDo(t, conn, "CREATE INDEX ON "+index)
	}
	pgDo(t, conn, "ANALYZE")
	var tables, indexes int64
	if err := conn.QueryRow(ctx, "SELECT pg_table_size('seen') + pg_table_size('batches'), pg_indexes_size('seen') + pg_indexes_size('batches')").Scan(&tables, &indexes); err != nil {
		t.Fatal(err)
	}
	t.Logf("PostgreSQL: COPY %.0f k reveals/s, with its indexes %.0f; %.1f bytes a reveal and %.1f of indexes", float64(reveals)/copied.Seconds()/1000, float64(reveals)/time.Since(start).Seconds()/1000,
		float64(tables)/float64(reveals), float64(indexes)/float64(reveals))
}

func pgDo(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// compare asks both.
func compare(t *testing.T, s *Store, conn *pgx.Conn) {
	t.Helper()
	ctx := t.Context()
	pgDo(t, conn, "CREATE TABLE victims (customer bigint)")
	pgDo(t, conn, fmt.Sprintf("INSERT INTO victims SELECT 1 + (i * 176::bigint) %% %d FROM generate_series(1, %d) i", figureCustomers, figureVictims))
	pgDo(t, conn, "ANALYZE victims")
	for _, statement := range []string{"CREATE TEMP TABLE victims AS SELECT 1 + (range * 176) % 12000000 AS customer FROM range(1, 68001)"} {
		if _, err := s.writer.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	whoSaw := func(id int64) (duck, pg time.Duration) {
		start := time.Now()
		a, err := s.Saw(ctx, history.Question{Customer: sallyport.Subject(strconv.FormatInt(id, 10))})
		if err != nil {
			t.Fatal(err)
		}
		duck = time.Since(start)
		start = time.Now()
		rows, err := conn.Query(ctx, `SELECT b.entry, b.time, b.actor, b.purposes FROM seen s JOIN batches b USING (entry) WHERE s.customer = $1
			UNION SELECT b.entry, b.time, b.actor, b.purposes FROM seen s JOIN batches b USING (entry) WHERE s.digest IN (SELECT digest FROM seen WHERE customer = $1 AND field = 1)`, id)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		if pg = time.Since(start); rows.Err() != nil || n != len(a.Sightings) {
			t.Errorf("customer %d: %d sightings in DuckDB, %d in PostgreSQL, %v", id, len(a.Sightings), n, rows.Err())
		}
		return duck, pg
	}
	var ducks, pgs []time.Duration
	for _, id := range someCustomers(t, s.db, 31) {
		d, p := whoSaw(id)
		ducks, pgs = append(ducks, d), append(pgs, p)
	}
	ratio(t, "who-saw", ducks, pgs)
	for name, query := range map[string]string{
		"distinct victims per employee": "SELECT person, count(DISTINCT customer) AS n FROM seen WHERE customer IN (SELECT customer FROM victims) GROUP BY person",
		"customers per employee":        "SELECT person, count(DISTINCT customer) AS n FROM seen GROUP BY person",
		"reveals per day":               "SELECT day, count(*) FROM seen GROUP BY day",
	} {
		ducks, pgs = nil, nil
		for range 3 {
			start := time.Now()
			n := 0
			if err := each(ctx, s.writer, query, func(func(...any) error) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
			ducks = append(ducks, time.Since(start))
			start = time.Now()
			rows, err := conn.Query(ctx, query)
			if err != nil {
				t.Fatal(err)
			}
			m := 0
			for rows.Next() {
				m++
			}
			if pgs = append(pgs, time.Since(start)); rows.Err() != nil || n != m {
				t.Errorf("%s: %d and %d rows, %v", name, n, m, rows.Err())
			}
		}
		ratio(t, name, ducks, pgs)
	}
}

func ratio(t *testing.T, what string, duck, pg []time.Duration) {
	t.Helper()
	slices.Sort(duck)
	slices.Sort(pg)
	d, p := duck[len(duck)/2], pg[len(pg)/2]
	t.Logf("%-30s DuckDB %8.1f ms, PostgreSQL %8.1f ms: DuckDB takes %.3f of PostgreSQL's time", what, ms(d), ms(p), float64(d)/float64(p))
}
