package serve

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/config"
)

// leads is a second table whose addresses and numbers are of the join groups of customers: one lead for each customer and half as many again.
const leads = fortCustomers * 3 / 2

// withLeads adds that table to a fort, protected.
func (f *fort) withLeads(t *testing.T) {
	t.Helper()
	f.stop()
	f.superExec(f.database, `CREATE TABLE support.leads (id bigint PRIMARY KEY, customer_id bigint NOT NULL, email text, phone text);
		CREATE INDEX ON support.leads (email); CREATE INDEX ON support.leads (phone);
		GRANT SELECT, INSERT, UPDATE, DELETE ON support.leads TO PUBLIC`)
	admin := f.direct()
	var rows [][]any
	for i := range int64(leads) {
		c := f.org.Customer(i%fortCustomers + 1)
		phone := &c.Phone
		if c.Phone == "" {
			phone = nil
		}
		rows = append(rows, []any{i + 1, c.ID, strings.ToLower(c.Email), phone})
	}
	_, err := admin.CopyFrom(f.ctx, pgx.Identifier{"support", "leads"}, []string{"id", "customer_id", "email", "phone"}, pgx.CopyFromRows(rows))
	fatal(t, err)
	fatal(t, admin.Close(f.ctx))
	path := filepath.Join(f.folder, "sallyport.yaml")
	text, err := os.ReadFile(path)
	fatal(t, err)
	more := strings.Replace(string(text), "  paths:\n", "    support.leads.email: {class: contact, scheme: email}\n    support.leads.phone: {class: contact, scheme: phone}\n  paths:\n    support.leads: customer_id\n", 1)
	fatal(t, os.WriteFile(path, []byte(more), 0o600))
	f.config, err = config.Load(path)
	fatal(t, err)
	f.options.Config = f.config
	_, err = Protect(f.ctx, f.config, ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile})
	fatal(t, err)
	f.superExec(f.database, "ALTER TABLE support.leads ADD FOREIGN KEY (email) REFERENCES support.customers (email)")
	f.start()
}

// TestRotateWhole rotates the keys of addresses and numbers that stand in two tables, while people write, lock and take back rows of both. At every
// moment that anybody sees, equal values have equal tokens, and a foreign key holds that cannot be deferred: so says whoever has the keys, and so do joins, groups and distinct values.
func TestRotateWhole(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, wideBudgets+"keys: {rate: 2000}\n", renewOften)
	f.withLeads(t)
	for _, group := range []string{"email", "phone"} {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
	}
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	var tried atomic.Int64
	var work sync.WaitGroup
	for i := range 3 {
		w := &leadWriter{fort: f, client: f.connect(f.org.Agents()[i].ID), roll: mathrand.New(mathrand.NewPCG(uint64(i), 7)), next: int64(100000 * (i + 1)), tried: &tried}
		work.Go(func() { w.work(ctx, t) })
	}
	for _, group := range []string{"email", "phone"} {
		f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
	}
	reader, admin := f.connect(f.org.Agents()[3].ID), f.direct()
	mixed, looks := 0, 0
	var reveal func(column, stored string) string
	for deadline := time.Now().Add(3 * time.Minute); f.server.mayDestroy("email") != nil || f.server.mayDestroy("phone") != nil; looks++ {
		if time.Now().After(deadline) {
			t.Fatalf("the rotation does not end: %v", f.server.rotations())
		}
		if len(f.server.rotations()) == 2 {
			if reveal == nil { // now, since both newer keys are there
				reveal = f.plain(t)
			}
			for _, column := range []string{"email", "phone"} {
				if f.oneFormEach(t, admin, column, reveal) {
					mixed++
				}
			}
		}
		f.comparesRight(t, reader)
	}
	stop()
	work.Wait()
	t.Logf("%d looks, %d of them at tokens of both epochs; %d writes", looks, mixed, tried.Load())
	if mixed < 4 || tried.Load() < 20 {
		t.Errorf("%d looks at tokens of both epochs and %d writes prove little", mixed, tried.Load())
	}
	for _, r := range f.server.rotations() {
		if !r.Whole || r.State != "done" || r.Rows == 0 {
			t.Errorf("the rotation is said to be %+v", r)
		}
	}
	if n := f.count(t, admin, "SELECT count(*) FROM support.leads WHERE email LIKE '%k1.invalid' OR phone LIKE '+89%'"); n > 0 {
		t.Errorf("%d leads have older tokens", n)
	}
}

// oneFormEach looks at all tokens of one moment, and tells whether they are of two epochs.
func (f *fort) oneFormEach(t *testing.T, admin *pgx.Conn, column string, reveal func(column, stored string) string) (mixed bool) {
	t.Helper()
	rows, err := admin.Query(f.ctx, fmt.Sprintf("SELECT DISTINCT %[1]s FROM support.customers WHERE %[1]s IS NOT NULL UNION SELECT %[1]s FROM support.leads WHERE %[1]s IS NOT NULL", column))
	fatal(t, err)
	stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
	fatal(t, err)
	forms := map[string]string{}
	for _, tok := range stored {
		value := reveal(column, tok)
		if other, ok := forms[value]; ok {
			t.Fatalf("a %s stands as two tokens at one moment: %s and %s", column, other, tok)
		}
		forms[value] = tok
	}
	if column == "email" {
		return slices.ContainsFunc(stored, func(s string) bool { return strings.HasSuffix(s, "k1.invalid") }) && slices.ContainsFunc(stored, func(s string) bool { return strings.HasSuffix(s, "k2.invalid") })
	}
	return slices.ContainsFunc(stored, func(s string) bool { return strings.HasPrefix(s, "+89") }) && slices.ContainsFunc(stored, func(s string) bool { return strings.HasPrefix(s, "+83") })
}

// comparesRight asks through the gateway what compares columns with each other. The first leads are nobody's to change.
func (f *fort) comparesRight(t *testing.T, c *client) {
	t.Helper()
	phones := map[string]bool{}
	for id := range int64(1000) {
		phones[f.org.Customer(id+1).Phone] = true
	}
	for sql, want := range map[string]string{
		"SELECT count(*) FROM support.leads l JOIN support.customers c ON c.email = l.email WHERE l.id <= 1000":                                                     "1000",
		"SELECT count(*) FROM support.leads l JOIN support.customers c USING (email) WHERE l.id <= 1000":                                                            "1000",
		"SELECT count(*) FROM support.leads l JOIN support.customers c ON c.id = l.customer_id WHERE l.id <= 1000 AND l.email IS DISTINCT FROM c.email":             "0",
		"SELECT count(*) FROM support.leads l JOIN support.customers c ON c.id = l.customer_id WHERE l.id <= 1000 AND l.phone IS NOT DISTINCT FROM c.phone":         "1000",
		"SELECT count(*) FROM (SELECT email FROM support.leads WHERE id <= 1000 OR id > 3000 AND id <= 4000 GROUP BY email HAVING count(*) = 2) AS x":               "1000",
		"SELECT count(DISTINCT email) FROM support.leads WHERE id <= 1000 OR id > 3000 AND id <= 4000":                                                              "1000",
		"SELECT count(*) FROM (SELECT DISTINCT phone FROM support.leads WHERE id <= 1000 UNION SELECT phone FROM support.customers WHERE id <= 1000) AS x":          fmt.Sprint(len(phones)),
		"SELECT count(*) FROM support.customers c WHERE c.id <= 1000 AND c.email IN (SELECT email FROM support.leads WHERE id <= 1000 OR id > 3000 AND id <= 4000)": "1000",
	} {
		if got := c.one(sql); got != want {
			t.Fatalf("%s: %s, want %s", sql, got, want)
		}
	}
}

// leadWriter writes as applications do.
type leadWriter struct {
	*fort
	*client
	roll  *mathrand.Rand
	next  int64
	tried *atomic.Int64
}

func (w *leadWriter) work(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		for _, sql := range w.some() {
			_, err := w.client.Exec(ctx, sql)
			refused, known := errors.AsType[*pgconn.PgError](err)
			switch {
			case err == nil || ctx.Err() != nil:
			case known && (refused.Code == "55P03" || refused.Code == "40P01" || refused.Code == "23505" || refused.Code == "25P02"): // locked, deadlock, there already, failed before
			default:
				t.Errorf("%s: %v", sql[:30], err)
				return
			}
		}
		w.tried.Add(1)
	}
}

// some is a change, as one or several statements.
func (w *leadWriter) some() []string {
	customer, row := w.org.Customer(w.roll.Int64N(fortCustomers)+1), 1001+w.roll.Int64N(leads-1000)
	for row > 3000 && row <= 4000 {
		row = 1001 + w.roll.Int64N(leads-1000)
	}
	email, phone := strings.ToLower(customer.Email), strings.ReplaceAll("'"+customer.Phone+"'", "''", "NULL")
	own := w.org.Customer((row-1)%fortCustomers + 1)
	ownPhone := strings.ReplaceAll("'"+own.Phone+"'", "''", "NULL")
	switch w.roll.IntN(6) {
	case 0:
		w.next++
		return []string{fmt.Sprintf("INSERT INTO support.leads (id, customer_id, email, phone) VALUES (%d, %d, '%s', %s)", w.next, customer.ID, email, phone)}
	case 1:
		return []string{fmt.Sprintf("UPDATE support.leads SET email = '%s', phone = %s WHERE id = %d", email, phone, row)}
	case 2: // saves a row as it was, as object mappers do
		return []string{
			"BEGIN", fmt.Sprintf("SELECT FROM support.leads WHERE id = %d FOR UPDATE", row),
			fmt.Sprintf("UPDATE support.leads SET email = '%s', phone = %s WHERE id = %d", strings.ToLower(own.Email), ownPhone, row), "COMMIT",
		}
	case 3:
		return []string{"BEGIN", fmt.Sprintf("UPDATE support.leads SET email = '%s' WHERE id = %d", email, row), "ROLLBACK"}
	case 4:
		return []string{fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", email, customer.ID)}
	}
	return []string{fmt.Sprintf("DELETE FROM support.leads WHERE id = %d", w.next)}
}
