package serve

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// TestVaultDates protects days and moments that mean "never" or "always", and others outside of the scheme's years; reads, finds and writes them in both
// protocols, and lets them out again.
func TestVaultDates(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, wideBudgets)
	f.stop()
	f.superExec(f.database, `SET timezone = 'UTC'; CREATE TABLE support.terms (customer_id bigint PRIMARY KEY REFERENCES support.customers, until date, gone timestamp, back timestamptz);
		GRANT SELECT, INSERT, UPDATE ON support.terms TO support_agents;
		INSERT INTO support.terms SELECT id, CASE id % 4 WHEN 0 THEN '9999-12-31' WHEN 1 THEN 'infinity' WHEN 2 THEN '1500-06-01' ELSE '1980-02-29'::date + id::int END,
			CASE id % 4 WHEN 0 THEN '9999-12-31 23:59:59.5' WHEN 1 THEN '-infinity' ELSE '1980-02-29'::timestamp + id * interval '1 minute' END,
			CASE id % 4 WHEN 0 THEN '9999-12-31 23:59:59+00' WHEN 1 THEN 'infinity' ELSE '1980-02-29 00:00+00'::timestamptz + id * interval '1 minute' END FROM support.customers;
		CREATE TABLE terms_kept AS SELECT * FROM support.terms`)
	lines := ""
	for _, c := range []string{"until: {class: identity, scheme: date", "gone: {class: identity, scheme: timestamp", "back: {class: identity, scheme: timestamptz"} {
		lines += "    support.terms." + c + "}\n"
	}
	f.edit("  paths:\n", lines+"  paths:\n    support.terms: customer_id\n")
	if err := f.protect(); err == nil || !strings.Contains(err.Error(), "have no token") {
		t.Fatalf("without a vault: %v", err)
	}
	for _, scheme := range []string{"date", "timestamp", "timestamptz"} {
		f.edit("terms."+map[string]string{"date": "until", "timestamp": "gone", "timestamptz": "back"}[scheme]+": {class: identity, scheme: "+scheme+"}",
			"terms."+map[string]string{"date": "until", "timestamp": "gone", "timestamptz": "back"}[scheme]+": {class: identity, scheme: "+scheme+", overflow: vault}")
	}
	fatal(t, f.protect())
	if got := f.ask("SELECT count(*)::text FROM sallyport.vault"); got != "7" { // three days, and two moments of each kind
		t.Errorf("%s values are in the vault", got)
	}
	if got := f.ask("SELECT count(*)::text FROM support.terms WHERE NOT (until BETWEEN '2200-01-01' AND '6099-12-31' AND gone BETWEEN '2200-01-01' AND '6100-01-01' AND back BETWEEN '2200-01-01' AND '6100-01-01 00:00+00')"); got != "0" {
		t.Errorf("%s rows hold values", got)
	}
	f.start()
	who, ticket, customer := f.hasTicket(0)
	c, binary := f.connect(who), f.connect(who, pgx.QueryExecModeCacheStatement)
	for _, c := range []*client{c, binary} {
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	}
	read := fmt.Sprintf("SELECT until, gone, back FROM support.terms WHERE customer_id = %d", customer.ID)
	for _, row := range []struct{ until, gone, back string }{
		{"9999-12-31", "9999-12-31 23:59:59.5", "9999-12-31 23:59:59+00"},
		{"infinity", "-infinity", "infinity"},
		{"1500-06-01", "0001-01-01 00:00:00", "1799-12-31 23:59:59+00"},
		{"-infinity", "infinity", "-infinity"},
		{"1980-02-29", "1980-02-29 12:00:00", "1980-02-29 12:00:00+00"},
	} {
		c.must(fmt.Sprintf("UPDATE support.terms SET until = '%s', gone = '%s', back = '%s' WHERE customer_id = %d", row.until, row.gone, row.back, customer.ID))
		if got := f.ask(fmt.Sprintf("SELECT (until >= '2200-01-01' AND until < '6100-01-01')::text FROM support.terms WHERE customer_id = %d", customer.ID)); got != "true" {
			t.Errorf("%s is stored as it is", row.until)
		}
		if got, err := c.rows(read); err != nil || len(got) != 1 || strings.Join(got[0], " ") != row.until+" "+row.gone+" "+row.back {
			t.Errorf("%v reads as %v, %v", row, got, err)
		}
		var until pgtype.Date
		var gone pgtype.Timestamp
		var back pgtype.Timestamptz
		fatal(t, binary.QueryRow(f.ctx, read).Scan(&until, &gone, &back))
		var found int
		err := binary.QueryRow(f.ctx, "SELECT count(*) FROM support.terms WHERE until = $1 AND gone = $2 AND back = $3 AND customer_id = $4", until, gone, back, customer.ID).Scan(&found)
		if err != nil || found != 1 {
			t.Errorf("%v is found %d times by what was read, %v", row, found, err)
		}
		if _, err := binary.Exec(f.ctx, "UPDATE support.terms SET until = $1, gone = $2, back = $3 WHERE customer_id = $4", until, gone, back, customer.ID); err != nil {
			t.Errorf("%v cannot be written back: %v", row, err)
		}
	}
	if got := c.one("SELECT count(*) FROM support.terms WHERE until = 'infinity'"); got != f.ask(fmt.Sprintf("SELECT count(*)::text FROM terms_kept WHERE until = 'infinity' AND customer_id <> %d", customer.ID)) {
		t.Errorf("%s rows are found that never end", got)
	}
	if got := c.one("SELECT count(*) FROM support.terms WHERE until IN ('9998-12-31', '1700-01-01')"); got != "0" {
		t.Errorf("%s rows are found by days that nobody has", got)
	}
	for _, sql := range []string{"UPDATE support.terms SET until = '2300-01-01' WHERE customer_id = %d", "UPDATE support.terms SET until = '0044-03-15 BC' WHERE customer_id = %d", "UPDATE support.terms SET gone = '5900-01-01' WHERE customer_id = %d"} {
		if got := c.fails(fmt.Sprintf(sql, customer.ID)); !strings.HasPrefix(got.Code, "SP") {
			t.Errorf("%s: %v", sql, got)
		}
	}
	_, _ = c.Close(t.Context()), binary.Close(t.Context())

	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(t.Context(), id)
	fatal(t, err)
	_, err = f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
	fatal(t, err)
	if got := f.ask(fmt.Sprintf("SELECT count(*)::text FROM (SELECT * FROM support.terms EXCEPT SELECT * FROM terms_kept) x WHERE customer_id <> %d", customer.ID)); got != "0" {
		t.Errorf("let out, %s rows are not what they were", got)
	}
}
