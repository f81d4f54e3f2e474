package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/protect"
)

// bonds are tables that refer to customers, and to each other, by protected columns: two columns of one table, a key that is deferred, and a
// chain that cascades. One of them has no index of its own.
func bonds(f *fort) {
	f.superExec(f.database, `
CREATE TABLE support.subscriptions (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, customer_email text NOT NULL CONSTRAINT subscriber REFERENCES support.customers (email),
	referrer text CONSTRAINT referrer REFERENCES support.customers (email) ON UPDATE RESTRICT, plan text);
CREATE TABLE support.logins (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, email text NOT NULL UNIQUE CONSTRAINT who REFERENCES support.customers (email) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE support.devices (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, login text CONSTRAINT whose REFERENCES support.logins (email) ON UPDATE CASCADE ON DELETE SET NULL, note text);
CREATE INDEX ON support.subscriptions (customer_email);
INSERT INTO support.subscriptions SELECT id, id, email, (SELECT email FROM support.customers o WHERE o.id = 1 + c.id % 50), 'free' FROM support.customers c WHERE id % 2 = 0;
INSERT INTO support.logins SELECT id, id, email FROM support.customers WHERE id <= 900;
INSERT INTO support.devices SELECT c.id * 10 + n, c.id, c.email, 'old' FROM support.customers c, generate_series(1, 2) n WHERE c.id <= 900;
GRANT SELECT, INSERT, UPDATE, DELETE ON support.subscriptions, support.logins, support.devices TO support_agents;
ANALYZE`)
	f.edit("  paths:\n", `    support.subscriptions.customer_email: {class: contact, scheme: email}
    support.subscriptions.referrer: {class: contact, scheme: email}
    support.logins.email: {class: contact, scheme: email}
    support.devices.login: {class: contact, scheme: email}
  paths:
    support.subscriptions: customer_id
    support.logins: customer_id
    support.devices: customer_id
`)
}

const selectConstraints = `SELECT string_agg(concat_ws(' ', conrelid::regclass, conname, condeferrable, condeferred, convalidated, oid, pg_get_constraintdef(oid)), E'\n' ORDER BY oid)
	FROM pg_constraint WHERE contype = 'f' AND connamespace = 'support'::regnamespace`

// tenant works with tables that refer to each other, and knows what must stand in them.
type tenant struct {
	f             *fort
	c             *pgx.Conn
	subscriptions map[int64]int64 // the customer of each
	logins        map[int64]int64 // likewise
	i             int64
	done          atomic.Int64
	busy          int // statements that were to be tried again
}

func newTenant(f *fort, c *pgx.Conn) *tenant {
	n := &tenant{f: f, c: c, subscriptions: map[int64]int64{}, logins: map[int64]int64{}}
	for id := int64(1); id <= fortCustomers; id++ {
		if id%2 == 0 {
			n.subscriptions[id] = id
		}
		if id <= 900 {
			n.logins[id] = id
		}
	}
	return n
}

func (n *tenant) email(customer int64) string { return n.f.org.Customer(customer).Email }

// try does a statement until no row that it needs is locked by the mover and the catalogue could be looked up, as the errors say.
func (n *tenant) try(ctx context.Context, sql string, args ...any) error {
	for {
		_, err := n.c.Exec(ctx, sql, args...)
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || !slices.Contains([]string{"55P03", "40P01", "08001"}, refused.Code) {
			return err
		}
		n.busy++
	}
}

func (n *tenant) work(ctx context.Context) error {
	for ; ctx.Err() == nil; n.i++ {
		if err := n.step(context.WithoutCancel(ctx), n.i); err != nil {
			return fmt.Errorf("step %d: %w", n.i, err)
		}
		n.done.Add(1)
	}
	return nil
}

func (n *tenant) step(ctx context.Context, i int64) error {
	customer := 1 + i*631%fortCustomers
	id := 1_000_000 + i
	if err := n.try(ctx, "INSERT INTO support.subscriptions VALUES ($1, $2, $3, $4, 'new')", id, customer, n.email(customer), n.email(1+i%70)); err != nil {
		return fmt.Errorf("subscribe customer %d: %w", customer, err)
	}
	n.subscriptions[id] = customer
	for _, sql := range []string{
		"SELECT count(*) FROM support.customers c JOIN support.subscriptions s ON s.customer_email = c.email WHERE c.id = $1",
		"SELECT count(*) FROM support.subscriptions s WHERE s.customer_email IN (SELECT email FROM support.customers WHERE id = $1)",
		"SELECT count(*) FROM support.customers c, support.subscriptions s JOIN support.customers r ON s.referrer = r.email WHERE s.customer_email = c.email AND c.id = $1",
	} {
		want, found := 0, 0
		for _, of := range n.subscriptions {
			if of == customer {
				want++
			}
		}
		if err := n.c.QueryRow(ctx, sql, customer).Scan(&found); err != nil || found != want {
			return fmt.Errorf("%s: %d for customer %d, want %d, %w", sql, found, customer, want, err)
		}
	}
	err := n.try(ctx, "INSERT INTO support.subscriptions VALUES ($1, NULL, $2, NULL, 'x')", id+500_000, fmt.Sprintf("nobody%d@example.org", i))
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "23503" {
		return fmt.Errorf("a subscription of nobody: %w", err)
	}
	if i%3 == 0 {
		return n.relogin(ctx, i)
	}
	if i%5 == 0 {
		gone := 2 + i*2%fortCustomers
		if err := n.try(ctx, "DELETE FROM support.subscriptions WHERE customer_email = $1 AND id = $2", n.email(gone), gone); err != nil {
			return fmt.Errorf("end a subscription: %w", err)
		}
		delete(n.subscriptions, gone)
	}
	return nil
}

// relogin gives a login to another customer; his devices follow.
func (n *tenant) relogin(ctx context.Context, i int64) error {
	login := 1 + i*7%900
	to := login
	if n.logins[login] == login {
		to = login + 1000
	}
	if err := n.try(ctx, "UPDATE support.logins SET email = $1 WHERE id = $2", n.email(to), login); err != nil {
		return fmt.Errorf("give login %d to customer %d: %w", login, to, err)
	}
	n.logins[login] = to
	var found int
	if err := n.c.QueryRow(ctx, "SELECT count(*) FROM support.devices WHERE login = $1", n.email(to)).Scan(&found); err != nil || found != 2 {
		return fmt.Errorf("login %d has %d devices, want 2, %w", login, found, err)
	}
	return nil
}

// check holds every row to what was written, and every foreign key to its rows.
func (n *tenant) check(t *testing.T, reads func(stored string) string) {
	t.Helper()
	admin := n.f.direct()
	defer func() { _ = admin.Close(context.WithoutCancel(t.Context())) }() // nobody may be around the gateway
	for table, want := range map[string]map[int64]int64{"subscriptions": n.subscriptions, "logins": n.logins} {
		column := map[string]string{"subscriptions": "customer_email", "logins": "email"}[table]
		rows, err := admin.Query(t.Context(), fmt.Sprintf("SELECT t.id, t.%s, c.id FROM support.%s t LEFT JOIN support.customers c ON c.email = t.%s ORDER BY 1", column, table, column))
		if err != nil {
			t.Fatal(err)
		}
		var id int64
		var of *int64
		var stored string
		seen, wrong := 0, 0
		_, err = pgx.ForEachRow(rows, []any{&id, &stored, &of}, func() error {
			seen++
			if email := strings.ToLower(n.email(want[id])); of == nil || *of != want[id] || reads(stored) != email {
				if wrong++; wrong < 5 {
					t.Errorf("%s %d is of %v, %q, want %d, %q", table, id, of, reads(stored), want[id], email)
				}
			}
			return nil
		})
		if err != nil || seen != len(want) {
			t.Errorf("%s has %d rows, want %d, %v", table, seen, len(want), err)
		}
	}
	var orphans, devices int
	if err := admin.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE l.id IS NULL OR d.id / 10 <> l.id), count(*) FROM support.devices d LEFT JOIN support.logins l ON l.email = d.login`).Scan(&orphans, &devices); err != nil || orphans > 0 || devices != 1800 {
		t.Errorf("%d of %d devices are at no login or another, %v", orphans, devices, err)
	}
}

// TestMoveBonds moves columns that foreign keys hold equal in and out again while an application works on both sides of them.
func TestMoveBonds(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, bonds)
	constraints := f.ask(selectConstraints)
	indexes := f.ask("SELECT string_agg(indexdef, E'\n' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'support' AND indexname !~ 'sallyport_name'")
	n := newTenant(f, f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement).Conn)
	n.during(t, func() error { _, err := f.moveIn(); return err })
	if t.Failed() {
		t.Fatalf("serve says: %s", f.log)
	}
	plain := f.plain(t)
	n.check(t, func(stored string) string { return plain("email", stored) })
	if after := f.ask(selectConstraints); after != constraints {
		t.Errorf("the foreign keys are\n%s\nafterwards, before\n%s", after, constraints)
	}

	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o2").Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	n.during(t, func() error {
		_, err := f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
		return err
	})
	n.check(t, func(stored string) string { return strings.ToLower(stored) })
	if after := f.ask(selectConstraints); after != constraints {
		t.Errorf("the foreign keys are\n%s\nonce it is undone, before\n%s", after, constraints)
	}
	if after := f.ask("SELECT string_agg(indexdef, E'\n' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'support'"); after != indexes {
		t.Errorf("the indexes are\n%s\nonce it is undone, before\n%s", after, indexes)
	}
}

// whileWorking does something while an application works that counts its rounds, and has it go on for a while.
func whileWorking(t *testing.T, work func(context.Context) error, done *atomic.Int64, do func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := work(ctx); err != nil {
			t.Error(err)
			stop()
		}
	})
	goesOn := func(what string) {
		t.Helper()
		before := done.Load()
		within(t, 20*time.Second, what, func() bool { return ctx.Err() != nil || done.Load() > before+3 })
	}
	goesOn("the application works")
	if err := do(); err != nil {
		t.Error(err)
	}
	goesOn("the application goes on")
	stop()
	wg.Wait()
}

// during is whileWorking of this application.
func (n *tenant) during(t *testing.T, do func() error) {
	t.Helper()
	whileWorking(t, n.work, &n.done, do)
	t.Logf("%d rounds of the application, %d statements tried again", n.done.Load(), n.busy)
}

// TestProtectBonds does it with nobody connected; what cannot move together is refused.
func TestProtectBonds(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, bonds)
	f.stop()
	constraints := f.ask(selectConstraints)
	f.superExec(f.database, "ALTER TABLE support.devices ADD CONSTRAINT late FOREIGN KEY (login) REFERENCES support.customers (email) NOT VALID")
	unfit := (*protect.UnfitError)(nil)
	if err := f.protect(); !errors.As(err, &unfit) || !slices.ContainsFunc(unfit.Problems, func(p string) bool { return strings.Contains(p, "late") && strings.Contains(p, "NOT VALID") }) {
		t.Errorf("a foreign key that is not valid: %v", err)
	}
	f.superExec(f.database, "ALTER TABLE support.devices DROP CONSTRAINT late")
	if err := f.protect(); err != nil {
		t.Fatal(err)
	}
	plain := f.plain(t)
	newTenant(f, nil).check(t, func(stored string) string { return plain("email", stored) })
	if after := f.ask(selectConstraints); after != constraints {
		t.Errorf("the foreign keys are\n%s\nafterwards, before\n%s", after, constraints)
	}
	if left := f.ask("SELECT count(*)::text FROM pg_class WHERE relname LIKE 'sallyport_bond%'"); left != "0" {
		t.Errorf("%s indexes of the way are left", left)
	}
}

// TestMovePartitioned moves a partitioned table, once the index that finds its names is there: the server cannot make one while others write.
func TestMovePartitioned(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, func(f *fort) {
		f.superExec(f.database, `CREATE TABLE support.parted (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, who text, mail text, number bigint) PARTITION BY RANGE (id);
			CREATE TABLE support.parted_1 PARTITION OF support.parted FOR VALUES FROM (0) TO (500); CREATE TABLE support.parted_2 PARTITION OF support.parted DEFAULT; CREATE INDEX ON support.parted (who);
			INSERT INTO support.parted SELECT id, id, full_name, email, id * 17 FROM support.customers WHERE id <= 1000; GRANT SELECT, INSERT, UPDATE ON support.parted TO support_agents`)
		f.edit("  paths:\n", "    support.parted.who: {class: identity, scheme: name}\n    support.parted.mail: {class: contact, scheme: email}\n    support.parted.number: {class: reference, scheme: int8}\n  paths:\n    support.parted: customer_id\n")
	})
	_, err := f.moveIn()
	unfit := (*protect.UnfitError)(nil)
	if !errors.As(err, &unfit) || len(unfit.Problems) != 1 {
		t.Fatalf("without an index: %v", err)
	}
	_, create, _ := strings.Cut(unfit.Problems[0], "make it first: ")
	f.superExec(f.database, create)
	if _, err := f.moveIn(); err != nil {
		t.Fatal(err)
	}
	plain := f.plain(t)
	admin := f.direct()
	rows, err := admin.Query(t.Context(), "SELECT id, mail, number FROM support.parted ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	var id, number int64
	var mail string
	same, seen := 0, 0
	_, err = pgx.ForEachRow(rows, []any{&id, &mail, &number}, func() error {
		seen++
		if number == id*17 {
			same++
		}
		if got := plain("email", mail); got != strings.ToLower(f.org.Customer(id).Email) {
			t.Errorf("row %d has the address %q", id, got)
		}
		return nil
	})
	if err != nil || seen != 1000 || same > 0 {
		t.Errorf("%d rows, %d numbers are as they were, %v", seen, same, err)
	}
}
