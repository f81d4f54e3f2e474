package query

import (
	"strings"
	"testing"
)

func BenchmarkAnalyze(b *testing.B) {
	point := "SELECT id, full_name, email, phone FROM support.customers WHERE email = $1 AND country = 'de'"
	join := "SELECT c.full_name, c.email, t.ticket_no, m.body FROM customers c JOIN tickets t ON t.customer_id = c.id " +
		"JOIN messages m ON m.ticket_id = t.id LEFT JOIN contacts k ON k.ticket_id = t.id WHERE t.ticket_no = 'CS-4821-7730' ORDER BY m.sent_at"
	rows := "INSERT INTO customers (id, full_name, email) VALUES (1, 'Ada', 'a@b')" + strings.Repeat(", (2, 'Bob', 'c@d')", 99)
	for _, c := range []struct{ name, sql string }{
		{"begin", "BEGIN"}, {"pgbench", "SELECT abalance FROM pgbench_accounts WHERE aid = $1"}, {"point", point}, {"join", join}, {"100 rows", rows},
	} {
		b.Run("cached/"+c.name, func(b *testing.B) {
			a := New(refSchema(), Options{Facts: refFacts()})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Analyze(c.sql, true); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("new/"+c.name, func(b *testing.B) {
			a := New(refSchema(), Options{Facts: refFacts()})
			b.ReportAllocs()
			for b.Loop() {
				if _, refusal := a.analyze(c.sql, true); refusal != nil {
					b.Fatal(refusal)
				}
			}
		})
	}
}

// TestCachedAnalyzeAllocatesNothing holds the hot path to its promise.
func TestCachedAnalyzeAllocatesNothing(t *testing.T) {
	a := New(refSchema(), Options{})
	const sql = "SELECT email FROM customers WHERE id = $1"
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.Analyze(sql, true); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
