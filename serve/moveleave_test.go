package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMoveOutBegins holds an undo between its word in the record and the end of the CHECKs, lets serve start there, and then kills the undo: whatever
// serve writes meanwhile is let in by the database, and is a token as long as a CHECK may ask for one. Nothing but what two people agreed on is needed to go on.
func TestMoveOutBegins(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t)
	if _, err := f.moveIn(); err != nil {
		t.Fatal(err)
	}
	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o2").Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	// Who reads the table keeps ALTER TABLE waiting.
	reader := f.direct()
	if _, err := reader.Exec(t.Context(), "BEGIN; LOCK TABLE support.customers IN ACCESS SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		killed := *f
		killed.ctx = ctx
		_, err := killed.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
		over <- err
	}()
	leaving := func() []string { return f.server.statesOnRecord().Leaving }
	within(t, 20*time.Second, "it is on record that columns leave", func() bool { return len(leaving()) == len(f.config.Protect.Columns) })
	if moving := f.server.statesOnRecord().Moving; !slices.Equal(moving, leaving()) {
		t.Errorf("tokens are written into %v, want %v", moving, leaving())
	}
	kill()
	if err := <-over; err == nil {
		t.Fatal("an undo that was killed has ended")
	}
	writes := func(when string, n int, token bool) {
		t.Helper()
		who := f.org.Agents()[0].ID
		c, admin := f.connect(who), f.direct()
		email := fmt.Sprintf("new%d@example.org", n)
		c.must(fmt.Sprintf("UPDATE support.customers SET phone = '+4930000%04d' WHERE email = '%s'", n, f.org.Customer(int64(n)).Email))
		c.must(fmt.Sprintf("INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES (%d, 'New Customer', '%s', 'DE', 'free', now())", 900000+n, email))
		var stored string
		err := admin.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", 900000+n).Scan(&stored)
		if err := errors.Join(err, admin.Close(t.Context()), c.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := strings.HasSuffix(stored, "k1.invalid"); got != token || !token && stored != email {
			t.Errorf("%s %q is stored", when, stored)
		}
	}
	writes("beside the sessions of before,", 1, true)
	f.restart()
	writes("by a serve that started behind the word,", 2, true)
	if err := reader.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.moveIn(func(o *LiveOptions) { o.Undo = true }); err != nil { // what was agreed on is on record
		t.Fatal(err)
	}
	writes("afterwards", 3, false)
	var tokens int
	err = f.direct().QueryRow(t.Context(), "SELECT count(*) FROM support.customers WHERE email LIKE '%k1.invalid' OR full_name LIKE 'tk1:%' OR phone LIKE '+89%'").Scan(&tokens)
	if err != nil || tokens > 0 {
		t.Errorf("%d customers have tokens still, %v", tokens, err)
	}
}

// TestLeavingPrepared: a literal in a statement that was prepared while tokens were written is plain once plain values are, and a token again when the column
// moves in anew, in sessions that go on.
func TestLeavingPrepared(t *testing.T) {
	f := newFort(t, rich)
	c := f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement)
	admin := f.direct()
	n := 0
	writes := func(when string, token bool) {
		t.Helper()
		for range 2 {
			n++
			c.must("INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES ($1, 'New Customer', $2, 'DE', 'free', now())", int64(900000+n), fmt.Sprintf("new%d@example.org", n))
			var name string
			if err := admin.QueryRow(t.Context(), "SELECT full_name FROM support.customers WHERE id = $1", 900000+n).Scan(&name); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "tk1:") != token || !token && name != "New Customer" {
				t.Errorf("%s %q is stored", when, name)
			}
		}
	}
	f.superExec(f.database, `DO $$ DECLARE c record; BEGIN FOR c IN SELECT conname, conrelid::regclass AS of FROM pg_constraint WHERE conname LIKE 'sallyport_token%' LOOP
EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of, c.conname); END LOOP; END $$; GRANT UPDATE (email) ON support.customers TO sallyport_reader; GRANT UPDATE (ticket_no) ON support.tickets TO sallyport_reader`)
	all := f.movingSet()
	writes("protected,", true)
	f.enter(nil, all)
	writes("leaving,", false)
	f.enter(all, nil)
	writes("moving in anew,", true)
	f.enter(all, all)
	writes("about to leave,", true)
	f.enter(nil, all)
	writes("leaving behind that,", false)
}
