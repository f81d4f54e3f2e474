package serve

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/throwaway"
)

// TestMoveInBesideVacuum: an automatic VACUUM that would take hours keeps protect from nothing. It yields only to who waits for a second, and
// statements that keep others waiting behind them must not.
func TestMoveInBesideVacuum(t *testing.T) {
	t.Parallel() // it waits more than it works
	s, err := newStage(60)
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cluster.Stop() })
	f := newPlainFortOn(t, s)
	admin, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	for _, sql := range []string{"ALTER SYSTEM SET autovacuum_naptime = '1s'", "ALTER SYSTEM SET autovacuum = on", "SELECT pg_reload_conf()"} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// Any dead row begins one, and a few pages of work are followed by a tenth of a second of sleep.
	f.superExec(f.database, `ALTER TABLE support.customers SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
		INSERT INTO support.customers (id, full_name, email, country, plan, created_at) SELECT 3000000 + n, 'Crowd', 'crowd' || n || '@mail.example', 'DE', 'free', now() FROM generate_series(1, 4000) n;
		UPDATE support.customers SET plan = 'pro'`)
	works := func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%VACUUM%support.customers%'").Scan(&n)
		return err == nil && n > 0
	}
	within(t, time.Minute, "the server vacuums by itself", works)
	seen := false
	_, err = f.moveIn(func(o *LiveOptions) {
		o.Progress = func(string, int64, int64) { seen = seen || works() }
	})
	if err != nil {
		t.Fatal(err)
	}
	if !seen {
		t.Error("no VACUUM was at work while rows moved")
	}
	if open := f.ask("SELECT count(*)::text FROM support.customers WHERE email NOT LIKE '%.invalid'"); open != "0" {
		t.Errorf("%s addresses are plain", open)
	}
}
