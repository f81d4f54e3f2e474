package serve

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The benchmarks of the path: the same work straight at the server and through the gateway, in one run. The ratio is what
// counts; the machine is shared and the times are not to be compared between runs.

// BenchmarkPoint is one short statement that touches nothing protected, prepared.
func BenchmarkPoint(b *testing.B) {
	f := newFort(b, "")
	work := func(b *testing.B, dsn string) {
		conn := benchConnect(b, dsn)
		var name string
		for b.Loop() {
			if err := conn.QueryRow(b.Context(), "SELECT team FROM support.staff WHERE id = $1", "s001").Scan(&name); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) { work(b, f.cluster.SuperDSN(f.database)) })
	b.Run("gateway", func(b *testing.B) { work(b, f.dsn(f.org.Agents()[0].ID)) })
}

// BenchmarkReveal is one customer read under a ticket, with its record on disk.
func BenchmarkReveal(b *testing.B) {
	f := newFort(b, "")
	agent := f.org.Agents()[0].ID
	ticket := f.org.Ticket(f.org.OpenTickets(agent)[0])
	work := func(b *testing.B, dsn, purpose string) {
		conn := benchConnect(b, dsn)
		if purpose != "" {
			if _, err := conn.Exec(b.Context(), "SET sallyport.purpose = '"+purpose+"'"); err != nil {
				b.Fatal(err)
			}
		}
		var email string
		for b.Loop() {
			if err := conn.QueryRow(b.Context(), "SELECT email FROM support.customers WHERE id = $1", ticket.Customer).Scan(&email); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) { work(b, f.cluster.SuperDSN(f.database), "") })
	b.Run("gateway", func(b *testing.B) { work(b, f.dsn(agent), fmt.Sprintf("ticket:%d", ticket.ID)) })
}

// BenchmarkWide is a result of 200,000 rows and 6 columns, nothing protected.
func BenchmarkWide(b *testing.B) {
	f := newFort(b, "")
	f.superExec(f.database, `CREATE TABLE support.wide AS SELECT g AS id, 'user' || g || '@mail.example' AS email, 'x' || g AS a, 'DE' AS b,
		g * 7 AS c, now() AS d FROM generate_series(1, 200000) g; GRANT SELECT ON support.wide TO PUBLIC`)
	work := func(b *testing.B, dsn, sql string) {
		conn := benchConnect(b, dsn)
		for b.Loop() {
			rows, err := conn.PgConn().Exec(b.Context(), sql).ReadAll()
			if err != nil || len(rows[0].Rows) == 0 {
				b.Fatalf("%v", err)
			}
		}
	}
	const plain = "SELECT id, email, a, b, c, d FROM support.wide"
	b.Run("direct", func(b *testing.B) { work(b, f.cluster.SuperDSN(f.database), plain) })
	b.Run("gateway", func(b *testing.B) { work(b, f.dsn(f.org.Agents()[0].ID), plain) })
}

func benchConnect(b *testing.B, dsn string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
