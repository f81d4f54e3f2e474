package refdb_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

var cluster *throwaway.Cluster

func TestMain(m *testing.M) {
	os.Exit(throwaway.Main(m, throwaway.Options{Settings: map[string]string{"fsync": "off"}}, func(c *throwaway.Cluster) { cluster = c }))
}

func TestLoad(t *testing.T) {
	org := newOrg(t, 2000)
	seen := map[string]int64{}
	passwords := load(t, org, func(table string, done, total int64) {
		if done < seen[table] || done > total {
			t.Errorf("%s: %d of %d after %d", table, done, total, seen[table])
		}
		seen[table] = done
	})
	conn := connect(t, cluster.SuperDSN("postgres"))
	for _, table := range org.Tables() {
		var n int64
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table.Name).Scan(&n)
		if err != nil || n != table.Rows || seen[table.Name] != n {
			t.Errorf("%s has %d rows, told %d, want %d: %v", table.Name, n, seen[table.Name], table.Rows, err)
		}
	}
	checkConstraints(t, conn)

	var name string
	agent := connect(t, cluster.DSN("s001", passwords["s001"], "postgres"))
	err := agent.QueryRow(t.Context(), "SELECT full_name FROM support.customers WHERE id = 7").Scan(&name)
	if err != nil || name != org.Customer(7).FullName {
		t.Errorf("an agent reads %q: %v", name, err)
	}
	if _, err := agent.Exec(t.Context(), "DELETE FROM support.customers"); err == nil {
		t.Error("an agent may delete customers")
	}
	phone := connect(t, cluster.DSN(string(sim.Telephony), passwords[string(sim.Telephony)], "postgres"))
	if _, err := phone.Exec(t.Context(), "INSERT INTO support.contacts VALUES (1000000, 1, NULL, 'call', 'in', 's001', now())"); err != nil {
		t.Errorf("the telephony service cannot write contacts: %v", err)
	}
	if len(passwords) != len(org.Staff)+len(org.Services) {
		t.Errorf("%d log-ins", len(passwords))
	}
}

// checkConstraints compares what stands in the loaded schema with what its text makes in an empty database.
func checkConstraints(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE fresh"); err != nil {
		t.Fatal(err)
	}
	fresh := connect(t, cluster.SuperDSN("fresh"))
	if _, err := fresh.Exec(t.Context(), sim.Schema+";RESET search_path"); err != nil {
		t.Fatal(err)
	}
	const query = `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
		SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) AS line
		FROM pg_constraint WHERE connamespace = 'support'::regnamespace
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'support') AS lines`
	var want, got string
	if err := fresh.QueryRow(t.Context(), query).Scan(&want); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("constraints and indexes after loading:\n%s\nwant:\n%s", got, want)
	}
}

func newOrg(tb testing.TB, customers int64) *sim.Org {
	tb.Helper()
	org, err := sim.New(1, customers, time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))
	if err != nil {
		tb.Fatal(err)
	}
	return org
}

func load(tb testing.TB, org *sim.Org, progress func(string, int64, int64)) map[string]string {
	tb.Helper()
	o := refdb.Options{DSN: cluster.SuperDSN("postgres"), Org: org, Random: rand.Reader, Progress: progress}
	passwords, err := refdb.Load(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	plain := map[string]string{}
	for id, password := range passwords {
		plain[string(id)] = password
	}
	return plain
}

func connect(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// BenchmarkLoad loads the demonstration's 200,000 customers.
func BenchmarkLoad(b *testing.B) {
	org := newOrg(b, 200_000)
	conn := connect(b, cluster.SuperDSN("postgres"))
	for b.Loop() {
		if _, err := conn.Exec(b.Context(), "DROP SCHEMA IF EXISTS support CASCADE"); err != nil {
			b.Fatal(err)
		}
		load(b, org, nil)
	}
}
