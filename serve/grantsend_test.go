package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
)

// TestGrantKilled kills serve (kill -9) in the middle of results under a grant: nobody sees more customers by it than were asked for.
func TestGrantKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	const most = 700
	a := newAsking(t, wideBudgets)
	who := a.org.Agents()[0].ID
	id := a.granted(who, api.GrantRequest{Customers: most, Minutes: 8 * 60})
	a.stop()
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	seen := map[string]bool{}
	look := func(c *pgx.Conn, from int, slowly string, first func()) error {
		if _, err := c.Exec(a.ctx, "SET sallyport.purpose = 'grant:"+id+"'", pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		rows, err := c.Query(a.ctx, fmt.Sprintf("SELECT email FROM support.customers%s WHERE id >= %d", slowly, from), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if text := string(rows.RawValues()[0]); !strings.HasSuffix(text, "k1.invalid") {
				seen[text] = true
				first()
			}
		}
		return rows.Err()
	}
	kills := 0
	for i := range 4 {
		address := freeAddress(t)
		serve := exec.Command(name, "serve", "--config", filepath.Join(a.folder, "sallyport.yaml"), "--data", a.options.Data, "--key-file", a.options.KeyFile, "--listen", address) //nolint:gosec // this very test binary
		serve.Stderr = a.log
		fatal(t, serve.Start())
		var c *pgx.Conn
		within(t, 30*time.Second, "serve lets him in", func() bool {
			c, err = pgx.Connect(a.ctx, fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", who, a.passwords[who], address, a.database))
			return err == nil
		})
		if look(c, 1+100*i, ", LATERAL (SELECT pg_sleep(0.002 + 0 * id)) slow", func() { _ = serve.Process.Kill() }) != nil {
			kills++
		}
		_ = c.Close(context.Background())
		_ = serve.Wait()
	}
	a.start()
	c := a.connect(who)
	before := a.server.gateway.GrantCount(id)
	err = look(c.Conn, 1, "", func() {})
	if broken := (*pgconn.PgError)(nil); !errors.As(err, &broken) || broken.Code != "SP010" {
		t.Errorf("reading on ended with %v", err)
	}
	g, _ := a.server.State.Grant(id)
	use, err := a.server.granting.use(a.ctx, &g)
	fatal(t, err)
	t.Logf("%d results were cut by a kill, %d customers were counted then; %d came to the client, %d are on record", kills, before, len(seen), use.Customers)
	if kills != 4 || before == 0 || before >= most || len(seen) > most || use.Customers != most || len(seen) < before {
		t.Errorf("%d kills, %d customers counted before the last start, %d seen, %d on record, %d asked for", kills, before, len(seen), use.Customers, most)
	}
}

// TestBreakGlass: one person, confirmed, few customers, everybody who oversees access hears of it, and who is not reviewed is suspended,
// also after a restart.
func TestBreakGlass(t *testing.T) {
	a := newAsking(t, "")
	who := a.org.Agents()[0].ID
	q := api.GrantRequest{Columns: []string{"support.customers.phone"}, Customers: 2, Minutes: 60, Incident: "INC-311", Reason: "nobody on duty"}
	if _, err := a.agent(who).BreakGlass(a.ctx, q); refusedAs(err) != "confirm_first" {
		t.Errorf("without a confirmation: %v", err)
	}
	fatal(t, a.agent(who).Confirm(a.ctx))
	many := q
	many.Customers = 21
	if _, err := a.agent(who).BreakGlass(a.ctx, many); refusedAs(err) != "not_yours_to_decide" {
		t.Errorf("21 customers: %v", err)
	}
	g, err := a.agent(who).BreakGlass(a.ctx, q)
	fatal(t, err)
	c := a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + g.ID + "'")
	if got := c.one("SELECT phone FROM support.customers WHERE id = 31"); got != a.org.Customer(31).Phone {
		t.Errorf("%q", got)
	}
	if _, err := a.agent(who).BreakGlass(a.ctx, q); refusedAs(err) != "not_yours_to_decide" {
		t.Errorf("extended alone: %v", err)
	}
	var heard []string
	o := a.officer("o1")
	o.Heard = func(s string) { heard = append(heard, s) }
	_, err = o.Status(a.ctx)
	fatal(t, err)
	if len(heard) != 1 || !strings.Contains(heard[0], string(who)+" broke the glass ("+g.ID+")") {
		t.Errorf("an officer hears %q", heard)
	}
	if _, err := a.agent(who).ReviewGlass(a.ctx, g.ID, "justified", "r"); refusedAs(err) != "not_your_role" {
		t.Errorf("he reviews himself: %v", err)
	}

	a.stop() // nobody looks after it while it is due
	a.move(25 * time.Hour)
	a.start()
	within(t, 20*time.Second, "he is suspended", func() bool { return a.server.State.Standing(who).Suspended })
	if got := a.server.State.Standing(who).Reason; !strings.Contains(got, "nobody reviewed his break-glass "+g.ID) {
		t.Errorf("%q", got)
	}
	a.restart()
	if n := a.countControl(sallyport.Suspended); n != 1 {
		t.Errorf("suspended %d times", n)
	}
	if _, err := a.officer("o1").ReviewGlass(a.ctx, g.ID, "misused", "called nobody"); err != nil {
		t.Error(err)
	}
}

// countControl counts entries of the control stream.
func (a *asking) countControl(kind sallyport.EventKind) (n int) {
	a.t.Helper()
	a.fine(a.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == kind {
			n++
		}
		return nil
	}))
	return n
}

// TestGrantOtherWays: COPY, a cursor over its end, and a statement that writes come under the same budget and the same end.
func TestGrantOtherWays(t *testing.T) {
	a := newAsking(t, "")
	who := a.org.Agents()[0].ID
	under := func(id string) *client {
		c := a.connect(who)
		c.must("SET sallyport.purpose = 'grant:" + id + "'")
		return c
	}
	three := a.granted(who, api.GrantRequest{Customers: 3})
	c := under(three)
	var copied strings.Builder
	_, err := c.PgConn().CopyTo(a.ctx, &copied, "COPY (SELECT email FROM support.customers WHERE id BETWEEN 41 AND 60 ORDER BY id) TO STDOUT")
	if broken := (*pgconn.PgError)(nil); !errors.As(err, &broken) || broken.Code != "SP010" {
		t.Errorf("COPY of 20: %v", err)
	}
	plain := 0
	for id := range int64(20) {
		if strings.Contains(copied.String(), a.org.Customer(41+id).Email) {
			plain++
		}
	}
	if plain != 3 {
		t.Errorf("COPY shows %d customers of 3", plain)
	}

	cursor := a.granted(who, api.GrantRequest{Customers: 5})
	c = under(cursor)
	c.must("BEGIN")
	c.must("DECLARE k CURSOR FOR SELECT email FROM support.customers WHERE id > 60 ORDER BY id")
	if got := c.must("FETCH 2 FROM k"); got[0][0] != a.org.Customer(61).Email {
		t.Errorf("a cursor: %q", got)
	}
	c.must("PREPARE p AS SELECT email FROM support.customers WHERE id = 61")
	if got := c.one("EXECUTE p"); got != a.org.Customer(61).Email {
		t.Errorf("a prepared statement: %q", got)
	}
	_, err = a.officer("o1").EndGrant(a.ctx, cursor, "enough")
	a.fine(err)
	for _, sql := range []string{"FETCH 2 FROM k", "EXECUTE p", "FETCH BACKWARD 1 FROM k"} {
		for _, row := range c.must(sql) {
			if !strings.HasSuffix(row[0], "k1.invalid") {
				t.Errorf("%s after the end: %q", sql, row)
			}
		}
	}
	c.must("ROLLBACK")

	writes := a.granted(who, api.GrantRequest{Customers: 2})
	c = under(writes)
	rows := c.must("UPDATE support.customers SET segment = 'x' WHERE id BETWEEN 71 AND 80 RETURNING email")
	plain = 0
	for _, row := range rows {
		if !strings.HasSuffix(row[0], "k1.invalid") {
			plain++
		}
	}
	if len(rows) != 10 || plain != 2 || !c.heard("the grant is used up: 2 customers") {
		t.Errorf("a statement that writes: %d rows, %d in plain", len(rows), plain)
	}
	if got := c.one("SELECT count(*) FROM support.customers WHERE segment = 'x' AND id BETWEEN 71 AND 80"); got != "10" {
		t.Errorf("it wrote %s rows, and the session goes on", got)
	}
	if a.server.State.Standing(who).Suspended {
		t.Error("he is suspended")
	}
}
