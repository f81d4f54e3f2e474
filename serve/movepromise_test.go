package serve

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMoveInPromises holds a run beside others to what is said of it: short locks, CHECKs that are NOT VALID first, the index for names, statistics
// of tokens alone, and the list of what still holds the values as they were, each with how it is rid of them.
func TestMoveInPromises(t *testing.T) {
	f := newPlainFort(t, kinds)
	from := len(f.heard.String())
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	locks := &lockWatch{f: f}
	wg.Go(func() { locks.watch(ctx, t) })
	// Somebody keeps a table for himself now and then: a strong lock has to be asked for again.
	holder := f.connect(f.org.Agents()[1].ID)
	wg.Go(func() {
		for ctx.Err() == nil {
			for _, sql := range []string{"BEGIN", "SELECT count(id) FROM support.customers", "SELECT pg_sleep(0.3)", "COMMIT", "SELECT pg_sleep(0.2)"} {
				if _, err := holder.Exec(context.WithoutCancel(ctx), sql); err != nil {
					t.Errorf("%s: %v", sql, err)
					return
				}
			}
		}
	})
	report, err := f.moveIn()
	stop()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("looked %d times; strong locks held for %s at most, waited for %s at most", locks.looks, locks.held, locks.waited)
	if locks.looks == 0 || locks.held > time.Second || locks.waited > time.Second {
		t.Errorf("looked %d times: a strong lock was held for %s, waited for %s", locks.looks, locks.held, locks.waited)
	}

	said := f.heard.String()[from:]
	added, looked := strings.Index(said, "CHECK (right(\"email\""), strings.Index(said, "VALIDATE CONSTRAINT")
	if added < 0 || looked < added || !strings.Contains(said[added:looked], "NOT VALID") {
		t.Errorf("the CHECK is added at %d, and validated at %d", added, looked)
	}
	for what, sql := range map[string]string{
		"unvalidated CHECKs":            "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'sallyport_token%' AND NOT convalidated",
		"columns without a CHECK":       "SELECT 11 - count(*) FROM pg_constraint WHERE conname LIKE 'sallyport_token%' AND convalidated", // all but integers and uuids
		"name columns without an index": "SELECT 1 - count(*) FROM pg_indexes WHERE tablename = 'customers' AND indexdef LIKE '%\"left\"(full_name, 20)%'",
		"tables without statistics":     "SELECT count(*) FROM pg_stat_user_tables WHERE relname IN ('customers', 'tickets', 'messages', 'kinds') AND last_analyze IS NULL",
		"plain values in statistics":    "SELECT count(*) FROM pg_stats WHERE schemaname = 'support' AND attname IN ('email', 'full_name') AND (most_common_vals::text || histogram_bounds::text) ~ '(@mail|@web|@post|@inbox)'",
	} {
		if n := f.ask("SELECT (" + sql + ")::text"); n != "0" {
			t.Errorf("%s: %s", what, n)
		}
	}
	for _, want := range []string{"free space in the files of support.customers", "free space in the files of support.kinds", "write-ahead log", "backups and dumps", "what applications wrote", "server's log"} {
		found := false
		for _, left := range report.Remains {
			found = found || strings.Contains(left.What, want) && left.Purge != ""
		}
		if !found {
			t.Errorf("what still holds old values does not tell of %s: %v", want, report.Remains)
		}
	}
}

// lockWatch looks from another database at the locks that others would have to wait for.
type lockWatch struct {
	f            *fort
	looks        int
	held, waited time.Duration
}

const selectLocks = `SELECT l.pid, l.relation, l.mode, l.granted, coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0)::float8 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE a.application_name = 'sallyport protect' AND l.locktype = 'relation' AND l.relation >= 16384 AND l.database = (SELECT oid FROM pg_database WHERE datname = $1)
		AND l.relation = ANY ($2) AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`

func (w *lockWatch) watch(ctx context.Context, t *testing.T) {
	admin, err := pgx.Connect(ctx, w.f.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	var tables []uint32
	inside, err := pgx.Connect(ctx, w.f.cluster.SuperDSN(w.f.database))
	if err == nil {
		err = inside.QueryRow(ctx, "SELECT array_agg(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'support'::regnamespace").Scan(&tables)
		_ = inside.Close(ctx)
	}
	if err != nil {
		t.Error(err)
		return
	}
	since := map[string]time.Time{}
	often := time.NewTicker(2 * time.Millisecond) // looking all the time takes what is looked at its processor
	defer often.Stop()
	for ctx.Err() == nil {
		<-often.C
		rows, err := admin.Query(context.WithoutCancel(ctx), selectLocks, w.f.database, tables)
		if err != nil {
			t.Error(err)
			return
		}
		now, seen := time.Now(), map[string]time.Time{}
		var pid int32
		var relation uint32
		var mode string
		var granted bool
		var waits float64
		_, err = pgx.ForEachRow(rows, []any{&pid, &relation, &mode, &granted, &waits}, func() error {
			if !granted {
				w.waited = max(w.waited, time.Duration(waits*float64(time.Second)))
				return nil
			}
			key := fmt.Sprint(pid, relation, mode)
			if seen[key] = since[key]; seen[key].IsZero() {
				seen[key] = now
			}
			w.held = max(w.held, now.Sub(seen[key]))
			return nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		since = seen
		w.looks++
	}
}
