package serve

import (
	"context"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/api"
	"sallyport/sim"
)

// kindReader reads and searches, with a reason, what its customer has in the table of kinds, in both protocols, while that is on its way.
type kindReader struct {
	f                                *fort
	c, text                          *client
	customer                         sim.Customer
	read, missed, between, strangers int // rows read in plain, and not; in between: while others see neither value nor token of theirs
}

// kindReader is an agent with a ticket about a customer who has a row there.
func (f *fort) kindReader(t *testing.T) *kindReader {
	t.Helper()
	for i := range f.org.Agents() {
		if len(f.org.OpenTickets(f.org.Agents()[i].ID)) == 0 {
			continue
		}
		who, ticket, customer := f.hasTicket(i)
		if customer.ID > kindRows || customer.ID%10 == 0 {
			continue
		}
		r := &kindReader{f: f, c: f.connect(who, pgx.QueryExecModeCacheStatement), text: f.connect(who), customer: customer}
		r.c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		r.text.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		return r
	}
	t.Skip("no agent serves a customer with a row there")
	return nil
}

func kindDevice(id int64) string {
	sum := md5.Sum([]byte(fmt.Sprint(id))) //nolint:gosec // as the table has it
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:])
}

// step reads the row by its customer and by its values. What is shown is right; a row of somebody else shows nothing that is not its own.
func (r *kindReader) step(ctx context.Context) error {
	id := int64(r.customer.ID)
	account := id*7919 - 1_000_000
	want := fmt.Sprintf("%d %d %s", account, id%97, kindDevice(id))
	for _, c := range []*client{r.c, r.text} {
		for _, by := range []struct {
			sql   string
			value any
		}{
			{"SELECT account, tax, device, customer_id FROM support.kinds WHERE customer_id = $1", id},
			{"SELECT k.account, k.tax, k.device, c.id FROM support.kinds k JOIN support.customers c ON c.id = k.customer_id WHERE k.account = $1", account},
			{"SELECT x.account, x.tax, x.device, x.id FROM (SELECT * FROM support.kinds) x WHERE x.device = $1", kindDevice(id)},
		} {
			var a *int64
			var tax *int32
			var device *string
			var whose int64
			if err := c.QueryRow(ctx, by.sql, by.value).Scan(&a, &tax, &device, &whose); codeOf(err) == "08001" { // the reason could not be checked in time
				r.missed++
				continue
			} else if err != nil || whose != id {
				return fmt.Errorf("%s with a reason: row %d, %w", by.sql, whose, err)
			}
			if a == nil || tax == nil || device == nil {
				r.missed++
				continue
			}
			switch got := fmt.Sprintf("%d %d %s", *a, *tax, *device); {
			case got == want:
				r.read++
			case *a == account:
				return fmt.Errorf("%s with a reason shows %s, want %s", by.sql, got, want)
			default:
				r.missed++
			}
		}
	}
	return r.stranger(ctx, id)
}

// stranger looks at somebody else's row beside.
func (r *kindReader) stranger(ctx context.Context, id int64) error {
	other := id%kindRows + 1
	var shown *int64
	before := r.f.onItsWay()
	if err := r.c.QueryRow(ctx, "SELECT account FROM support.kinds WHERE customer_id = $1", other).Scan(&shown); err != nil && codeOf(err) != "08001" {
		return fmt.Errorf("read a stranger's row: %w", err)
	}
	switch {
	case shown == nil:
	case *shown == other*7919-1_000_000:
		r.strangers++
	case before && r.f.onItsWay():
		r.between++
	}
	return nil
}

// onItsWay tells whether integers and uuids move, or their keys are rotated.
func (f *fort) onItsWay() bool {
	return f.server.isMoving() || slices.ContainsFunc(f.server.rotations(), func(r api.Rotation) bool { return len(r.Hidden) > 0 })
}

// TestApart holds a rotation in its middle, and looks at a row before it turned and behind: with a reason each value is shown and found in every way,
// by who has none it is found and not shown; and where a value of another row could be taken for an integer, that is not searched.
func TestApart(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newTurningFort(t, 400)
	for _, group := range []string{"ids", "int4"} {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
	}
	f.superExec(f.database, "CREATE INDEX ON support.kinds (tax)")
	r := f.kindReader(t)
	first := f.holdsRow(t, 1) // begins before, so that it is waited for
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "ids", "yearly") })
	awaitCondition(t, "it waits for who began before", func() bool { return strings.Contains(f.log.String(), "that began before have not ended") })
	last := f.holdsRow(t, kindRows)
	turned := func(group, how string) func() bool {
		return func() bool {
			return f.ask("SELECT coalesce(bool_or("+how+"), false)::text FROM sallyport.turning WHERE pass IS NOT NULL AND join_group = '"+group+"'") == "true"
		}
	}
	id := fmt.Sprint(r.customer.ID)
	for _, side := range []struct {
		what, how string
		let       func()
	}{{"begun", "after IS NULL", func() {}}, {"turned", "after[1]::int >= " + id + " AND after[1]::int < " + fmt.Sprint(kindRows), first}} {
		side.let()
		awaitCondition(t, side.what, turned("ids", side.how))
		r.missed, r.read, r.between, r.strangers = 0, 0, 0, 0
		awaitCondition(t, "what the reason covers is read anew", func() bool {
			r.missed = 0
			fatal(t, r.step(f.ctx))
			return r.missed == 0
		})
		if r.strangers > 0 || r.between == 0 {
			t.Errorf("%s: a stranger's row shows its values %d times, and nothing %d times", side.what, r.strangers, r.between)
		}
		account := fmt.Sprint(r.customer.ID*7919 - 1_000_000)
		var copied strings.Builder
		_, err := r.c.PgConn().CopyTo(f.ctx, &copied, "COPY (SELECT account, customer_id FROM support.kinds WHERE id IN ("+id+", "+fmt.Sprint(r.customer.ID+1)+") ORDER BY id) TO STDOUT")
		lines := strings.Split(copied.String(), "\n")
		if err != nil || strings.HasPrefix(lines[0], "\\N") || strings.HasPrefix(lines[1], fmt.Sprint((r.customer.ID+1)*7919-1_000_000)) || strings.HasPrefix(lines[1], "\\N") {
			t.Errorf("%s: COPY gives %q, %v", side.what, copied.String(), err)
		}
		if got := r.c.one("SELECT row_to_json(k)::text FROM support.kinds k WHERE id = " + id); strings.Contains(got, account) {
			t.Errorf("%s: a document shows %s", side.what, got)
		}
	}
	last()
	f.awaitTurned(t, "ids")
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "int4", "yearly") })
	f.takenForAnother(t, r)
	f.awaitTurned(t, "int4")
	r.missed = 0
	awaitCondition(t, "all is as ever", func() bool {
		return r.step(f.ctx) == nil && r.text.one("SELECT account FROM support.kinds WHERE id = "+fmt.Sprint(r.customer.ID+1)) != "∅"
	})
	f.readsKinds(t)
}

// holdsRow locks one row, so that a rotation does not get past it, until let is called.
func (f *fort) holdsRow(t *testing.T, id int) (let func()) {
	t.Helper()
	holder, err := f.direct().Begin(f.ctx)
	fatal(t, err)
	_, err = holder.Exec(f.ctx, "SELECT FROM support.kinds WHERE id = $1 FOR UPDATE", id)
	fatal(t, err)
	return func() { fatal(t, holder.Rollback(f.ctx)) }
}

// takenForAnother makes up, as a superuser who passes by the triggers, a row whose integer has as its older token what is the newer one of another: nobody
// finds it by that one, and nothing is changed in it.
func (f *fort) takenForAnother(t *testing.T, r *kindReader) {
	t.Helper()
	awaitCondition(t, "integers turn", func() bool {
		return f.ask("SELECT coalesce(bool_or(after IS NOT NULL AND NOT done), false)::text FROM sallyport.turning WHERE join_group = 'int4'") == "true"
	})
	defer f.holdsRow(t, kindRows)()
	opened, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	fatal(t, err)
	defer opened.Close()
	ring, err := f.config.Ring(opened.Keys())
	fatal(t, err)
	columns, err := f.config.Codecs(ring)
	fatal(t, err)
	for _, c := range columns {
		if c.Column.Name != "tax" {
			continue
		}
		const value = "4711007"
		tok, err := c.Codec.TokenEpoch(nil, []byte(value), 2)
		fatal(t, err)
		f.superExec(f.database, "SET session_replication_role = replica; INSERT INTO support.kinds (id, tax, note) VALUES (8000000, "+string(tok)+", 'another')")
		for _, sql := range []string{"SELECT note FROM support.kinds WHERE tax = " + value, "UPDATE support.kinds SET note = 'mine' WHERE tax IN (" + value + ", 5)", "SELECT count(*) FROM support.kinds WHERE tax <> " + value} {
			if got := r.c.fails(sql); got.Code != "SP001" || !strings.Contains(got.Message, "another one would be found, too") {
				t.Errorf("%s: %v", sql, got)
			}
		}
		if got := r.c.must("SELECT id FROM support.kinds WHERE tax = 4711008"); len(got) > 0 {
			t.Errorf("a value that nobody has is found: %v", got)
		}
		f.superExec(f.database, "SET session_replication_role = replica; DELETE FROM support.kinds WHERE id = 8000000")
		if got := r.c.must("SELECT id FROM support.kinds WHERE tax = " + value); len(got) > 0 {
			t.Errorf("found though it is gone: %v", got)
		}
	}
}

// awaitTurned waits until no token of the older keys is left.
func (f *fort) awaitTurned(t *testing.T, groups ...string) {
	t.Helper()
	within(t, 90*time.Second, "the rotation is done", func() bool {
		return !slices.ContainsFunc(groups, func(group string) bool { return f.server.mayDestroy(group) != nil })
	})
}

// readsKinds has an agent read and find his customer by what was rotated.
func (f *fort) readsKinds(t *testing.T) {
	t.Helper()
	for i := range f.org.Agents() {
		if len(f.org.OpenTickets(f.org.Agents()[i].ID)) == 0 {
			continue
		}
		who, ticket, customer := f.hasTicket(i)
		if customer.ID > kindRows {
			continue
		}
		c := f.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		account := fmt.Sprint(customer.ID*7919 - 1_000_000)
		if got := c.one(fmt.Sprintf("SELECT account FROM support.kinds WHERE customer_id = %d", customer.ID)); got != account {
			t.Errorf("the account of customer %d is %s, want %s", customer.ID, got, account)
		}
		if got := c.one("SELECT customer_id FROM support.kinds WHERE account = " + account); got != fmt.Sprint(customer.ID) {
			t.Errorf("the account of customer %d is found at %s", customer.ID, got)
		}
		return
	}
	t.Skip("no agent serves a customer with a row there")
}
