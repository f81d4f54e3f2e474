package purpose

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
)

// BenchmarkResolve is what a statement waits for: from a kept answer, and looked up.
func BenchmarkResolve(b *testing.B) {
	w := newWorld(b, Options{})
	id := w.open(router, "s001")
	w.around("INSERT INTO support.customers SELECT i, 'name ' || i, 'mail ' || i FROM generate_series(10, 20000) i",
		"INSERT INTO support.tickets SELECT 100000 + i, 'ZQ-' || i, i, 's002', 'open', 'x', now() FROM generate_series(2, 20000) i",
		"INSERT INTO support.messages SELECT i, 100002 + i % 19990, 'customer', 'body ' || i FROM generate_series(1, 40000) i",
		"CREATE INDEX ON support.tickets (customer_id)", "CREATE INDEX ON support.messages (ticket_id)",
		"CREATE INDEX ON support.contacts (customer_id, at)", "VACUUM ANALYZE")
	p := sallyport.Purpose{Kind: "ticket", Ref: fmt.Sprint(id)}
	for name, step := range map[string]time.Duration{"kept": 0, "looked up": time.Hour} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.clock.Add(int64(step))
				if cover, err := w.resolver.Resolve(b.Context(), adam, p); err != nil || cover.Refused != "" {
					b.Fatal(err, cover)
				}
			}
		})
	}
}
