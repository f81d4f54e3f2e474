package serve

import (
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/keys"
)

const wideBudgets = "budgets: {default: {probed: {hour: 1000000, day: 1000000, month: 1000000}}}\n"

// renewOften makes passes over tokens follow each other closely.
func renewOften(o *Options) { o.RenewEvery = 20 * time.Millisecond }

// awaitCondition looks until something is so.
func awaitCondition(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: waited 60 s in vain", what)
		}
	}
}

// count asks the database itself.
func (f *fort) count(t *testing.T, conn *pgx.Conn, sql string) (n int) {
	t.Helper()
	fatal(t, conn.QueryRow(f.ctx, sql).Scan(&n))
	return n
}

// agree has two officers agree on a change of keys.
func (f *fort) agree(t *testing.T, propose func() (string, error)) {
	t.Helper()
	id, err := propose()
	fatal(t, err)
	if _, err := f.officer("o1").Approve(f.ctx, id); err == nil {
		t.Error("who proposed it approved it")
	}
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
}

// TestRotate rotates the keys of addresses and names while people search, insert and read, restarts serve in the middle of it, destroys
// the older keys, and compares every row with what it was.
func TestRotate(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, wideBudgets+"keys: {rate: 4000}\n", renewOften)
	admin := f.direct()
	if _, err := f.officer("o1").RotateKey(f.ctx, "email", "yearly"); err == nil || !strings.Contains(err.Error(), "may not change support.customers.email") {
		t.Errorf("the reader may not change the column: %v", err)
	}
	for group, want := range map[string]string{"number": "next_prefixes", "other": "o column is of the join group"} {
		if _, err := f.officer("o1").RotateKey(f.ctx, group, "yearly"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("group %s: %v, want %q", group, err, want)
		}
	}
	for _, group := range []string{"email", "name"} {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
		if _, err := f.officer("o1").DestroyKey(f.ctx, group, "x"); err == nil || !strings.Contains(err.Error(), "has no older key") {
			t.Errorf("destroy before rotating: %v", err)
		}
		f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
	}
	c := f.connect(f.org.Agents()[0].ID)
	old := `SELECT count(*) FROM support.customers WHERE email LIKE '%k1.invalid' OR full_name LIKE 'tk1:A%'`
	searched := 0
	awaitCondition(t, "both keys are turning", func() bool {
		f.searches(t, c, &searched)
		return f.count(t, admin, `SELECT count(*) FROM support.customers WHERE email LIKE '%k2.invalid'`) > 0 &&
			f.count(t, admin, `SELECT count(*) FROM support.customers WHERE full_name LIKE 'tk1:B%'`) > 0
	})
	f.insertsTwice(t, c, admin)
	if left := f.count(t, admin, old); left == 0 {
		t.Log("the rotation was done before the restart")
	}
	f.restart()
	c = f.connect(f.org.Agents()[0].ID)
	awaitCondition(t, "no older token is left", func() bool {
		f.searches(t, c, &searched)
		return f.count(t, admin, old) == 0
	})
	for _, group := range []string{"email", "name"} {
		awaitCondition(t, "the older key may go", func() bool { return f.server.mayDestroy(group) == nil })
		f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, group, "done") })
	}
	awaitCondition(t, "the older keys are gone", func() bool {
		status, err := keys.Look(f.options.Data)
		fatal(t, err)
		gone := 0
		for _, k := range status.Keys {
			if !k.Destroyed.IsZero() {
				gone++
			}
		}
		return gone == 2
	})
	f.searches(t, c, &searched)
	f.restart()
	c = f.connect(f.org.Agents()[0].ID)
	f.searches(t, c, &searched)
	f.compareAll(t, admin)
	if searched < 30 {
		t.Errorf("only %d searches were tried", searched)
	}
}

// searches finds customers by address and by name, by literal and by parameter, in the form that they have at present.
func (f *fort) searches(t *testing.T, c *client, searched *int) {
	t.Helper()
	for range 5 {
		*searched++
		customer := f.org.Customer(int64(*searched*37%fortCustomers) + 1)
		email := strings.ToLower(customer.Email)
		for sql, args := range map[string][]any{
			"SELECT id FROM support.customers WHERE email = $1":                                            {email},
			"SELECT id FROM support.customers WHERE email IN ($1, 'nobody@example.com')":                   {email},
			"SELECT id FROM support.customers WHERE email = ANY ($1)":                                      {[]string{email}},
			"SELECT id FROM support.customers WHERE full_name = $1 AND id = " + fmt.Sprint(customer.ID):    {customer.FullName},
			"SELECT id FROM support.customers WHERE email = '" + email + "'":                               nil,
			"SELECT id FROM support.customers WHERE email IS NOT DISTINCT FROM '" + email + "'":            nil,
			"SELECT id FROM support.customers WHERE NOT email IS DISTINCT FROM '" + email + "' AND id > 0": nil,
		} {
			var id int64
			if err := c.QueryRow(f.ctx, sql, args...).Scan(&id); err != nil || id != customer.ID {
				t.Fatalf("%s found %d, %v, want %d", sql[:50], id, err, customer.ID)
			}
		}
	}
}

// insertsTwice: an address that stands there as a token of the older key cannot be inserted again as one of the newer key.
func (f *fort) insertsTwice(t *testing.T, c *client, admin *pgx.Conn) {
	t.Helper()
	rows, err := admin.Query(f.ctx, "SELECT id FROM support.customers WHERE email LIKE '%k1.invalid' ORDER BY id DESC LIMIT 20")
	fatal(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	fatal(t, err)
	for i, id := range slices.Backward(ids) {
		_, err := c.Exec(f.ctx, "INSERT INTO support.customers (id, full_name, email, country, plan, created_at, segment) VALUES ($1, 'Twice', $2, 'DE', 'free', now(), 'x')",
			900000+i, strings.ToLower(f.org.Customer(id).Email))
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "23505" {
			t.Fatalf("customer %d was inserted twice: %v", id, err)
		}
	}
}

// compareAll reveals every row with the keys of the folder and compares it with what the organisation has.
func (f *fort) compareAll(t *testing.T, admin *pgx.Conn) {
	t.Helper()
	f.stop()
	defer f.start()
	reveal := f.plain(t)
	rows, err := admin.Query(f.ctx, "SELECT id, full_name, email FROM support.customers")
	fatal(t, err)
	n := 0
	for rows.Next() {
		var id int64
		var full, email string
		fatal(t, rows.Scan(&id, &full, &email))
		customer := f.org.Customer(id)
		if reveal("full_name", full) != customer.FullName || reveal("email", email) != strings.ToLower(customer.Email) {
			t.Fatalf("customer %d is not who he was", id)
		}
		n++
	}
	fatal(t, rows.Err())
	if n != fortCustomers {
		t.Errorf("%d customers, want %d", n, fortCustomers)
	}
}

// TestRotateKilled kills serve at random moments while it renews tokens of two tables, at its start and later; at each of them equal values have equal
// tokens, afterwards every row is what it was, and no older token is left.
func TestRotateKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 6
	if os.Getenv("SALLYPORT_SIEGE") != "" {
		kills = 50
	}
	f := newFort(t, wideBudgets+fmt.Sprintf("keys: {rate: %d}\n", 4*fortCustomers/kills), renewOften)
	f.withLeads(t)
	admin := f.direct()
	for _, group := range []string{"email", "phone", "name"} {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
		f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
	}
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	awaitCondition(t, "there are the newer keys", func() bool {
		status, err := keys.Look(f.options.Data)
		fatal(t, err)
		return slices.IndexFunc(status.Keys, func(k keys.KeyStatus) bool { return k.Group == "phone" && k.Epoch == 2 }) >= 0
	})
	f.stop() // perhaps in the middle of it
	reveal := f.plain(t)
	old := `SELECT (SELECT count(*) FROM support.customers WHERE email LIKE '%k1.invalid' OR full_name LIKE 'tk1:A%' OR phone LIKE '+89%')
		+ (SELECT count(*) FROM support.leads WHERE email LIKE '%k1.invalid' OR phone LIKE '+89%')`
	moments := 0
	for range kills {
		serve := exec.Command(name, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, //nolint:gosec // this very test binary
			"--key-file", f.options.KeyFile, "--listen", freeAddress(t))
		serve.Stderr = f.log
		fatal(t, serve.Start())
		before, start := f.count(t, admin, old), time.Now()
		wait := time.Duration(mathrand.IntN(400)) * time.Millisecond
		awaitCondition(t, "serve renews tokens", func() bool {
			return before == 0 || f.count(t, admin, old) < before || time.Since(start) > 20*time.Second
		})
		select {
		case <-time.After(wait): // the random moment
		case <-t.Context().Done():
		}
		fatal(t, serve.Process.Kill())
		_ = serve.Wait()
		if after := f.count(t, admin, old); after > 0 && after < before {
			moments++
		}
		for _, column := range []string{"email", "phone"} {
			f.oneFormEach(t, admin, column, reveal)
		}
	}
	t.Logf("%d kills, %d of them in the middle", kills, moments)
	if moments == 0 {
		t.Error("no kill came in the middle: this test proves nothing")
	}
	f.start()
	awaitCondition(t, "no older token is left", func() bool { return f.count(t, admin, old) == 0 })
	f.compareAll(t, admin)
}
