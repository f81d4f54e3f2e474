package serve

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/control"
)

// laterClock is a clock that can be put forward.
type laterClock struct{ ahead atomic.Int64 }

func (c *laterClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// pass puts the clock forward by a day and a minute.
func (c *laterClock) pass() { c.ahead.Add(int64(control.Lifetime + time.Minute)) }

// TestLapse lets a day pass between what two people do: what was proposed cannot be approved any more, and what was approved and could not be done is
// not done, but for what began within the day.
func TestLapse(t *testing.T) {
	clock := &laterClock{}
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften, func(o *Options) { o.Clock = clock.now })
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "email"))
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))

	var late []string
	for _, propose := range []func() (string, error){
		func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "email", "yearly") },
		func() (string, error) { return f.officer("o1").Shred(f.ctx, "77", "erasure") },
		func() (string, error) { return f.officer("o1").Undo(f.ctx, "moving out") },
	} {
		id, err := propose()
		fatal(t, err)
		late = append(late, id)
	}
	clock.pass()
	for _, id := range late {
		if _, err := f.officer("o2").Approve(f.ctx, id); err == nil || !strings.Contains(err.Error(), "is expired") {
			t.Errorf("a proposal of the day before was approved: %v", err)
		}
	}
	if f.server.State.Barred("77") {
		t.Error("a customer is barred by a proposal that lapsed")
	}

	// A rotation that was approved, and cannot begin within the day.
	f.superExec(f.database, "REVOKE UPDATE (email) ON support.customers FROM "+f.config.Upstream.Reader.User)
	if _, err := f.officer("o1").RotateKey(f.ctx, "email", "yearly"); err == nil {
		t.Fatal("proposed though the reader may not change the column")
	}
	f.superExec(f.database, "GRANT UPDATE (email) ON support.customers TO "+f.config.Upstream.Reader.User)
	id, err := f.officer("o1").RotateKey(f.ctx, "email", "yearly")
	fatal(t, err)
	f.superExec(f.database, "REVOKE UPDATE (email) ON support.customers FROM "+f.config.Upstream.Reader.User)
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	awaitCondition(t, "the rotation was tried", func() bool { return strings.Contains(f.log.String(), "may not change support.customers.email") })
	clock.pass()
	awaitCondition(t, "it is said that it lapsed", func() bool { return strings.Contains(f.log.String(), "approved more than a day ago") })
	f.superExec(f.database, "GRANT UPDATE (email) ON support.customers TO "+f.config.Upstream.Reader.User)
	if turning := f.server.turns.rotating(); len(turning) > 0 {
		t.Fatalf("keys are rotated by an approval of the day before: %v", turning)
	}
	stale := id

	// One that began goes on, whatever day it is; the older key waits for somebody's transaction for longer than a day, and stays.
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "email", "yearly") })
	awaitCondition(t, "the rotation began", func() bool { return len(f.server.turns.rotating()) == 1 })
	clock.pass()
	awaitCondition(t, "no older token is left", func() bool { return f.server.mayDestroy("email") == nil })
	writer, err := f.direct().Begin(f.ctx)
	fatal(t, err)
	_, err = writer.Exec(f.ctx, "UPDATE support.customers SET plan = plan WHERE id = 5")
	fatal(t, err)
	f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, "email", "done") })
	awaitCondition(t, "the destruction waits", func() bool { return strings.Contains(f.log.String(), "that may hold older tokens have not ended") })
	clock.pass()
	awaitCondition(t, "it is said that it lapsed, too", func() bool { return strings.Count(f.log.String(), "approved more than a day ago") > 1 })
	fatal(t, writer.Rollback(f.ctx))

	// What was agreed on about a customer holds at once, and is carried out whenever it can be.
	f.agree(t, func() (string, error) { return f.officer("o1").Shred(f.ctx, "77", "erasure") })
	if !f.server.State.Barred("77") {
		t.Error("the customer is not barred")
	}
	clock.pass()
	awaitCondition(t, "the customer is shredded", func() bool { return f.shredded(77) })
	for _, p := range f.server.State.Proposals() {
		if p.ID == stale && p.Done {
			t.Error("what lapsed was carried out later")
		}
	}
	if len(f.server.turns.rotating()) != 1 {
		t.Error("a key was destroyed by an approval of the day before")
	}
}

// TestLapseUndo: undoing that two people agreed on is good for a day; what began goes on afterwards.
func TestLapseUndo(t *testing.T) {
	t.Parallel() // it waits more than it works
	clock := &laterClock{}
	f := newPlainFort(t, func(f *fort) { f.options.Clock = clock.now })
	_, err := f.moveIn()
	fatal(t, err)
	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(t.Context(), id)
	fatal(t, err)
	clock.pass()
	if _, err := f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id }); err == nil || !strings.Contains(err.Error(), "Two people have to agree") {
		t.Errorf("undone by an approval of the day before: %v", err)
	}
	if left, moving := f.server.State.Protects(f.database); !moving || len(left) == 0 {
		t.Error("nothing is protected any more")
	}
	id, err = f.officer("o1").Undo(t.Context(), "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(t.Context(), id)
	fatal(t, err)
	f.cutLive(t, func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
	if _, leaving := f.server.State.Moving(f.database); len(leaving) == 0 {
		t.Fatal("it was cut before anything began to leave: this test proves nothing")
	}
	clock.pass()
	if _, err := f.moveIn(func(o *LiveOptions) { o.Undo = true }); err != nil {
		t.Errorf("going on a day later: %v", err)
	}
	c := f.org.Customer(5)
	if got := f.ask(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", c.ID)); got != c.FullName {
		t.Errorf("the name is %q", got)
	}
}

// cutLive begins to move columns, and is cut in the middle of some table.
func (f *fort) cutLive(t *testing.T, change func(*LiveOptions)) {
	t.Helper()
	ctx, cut := context.WithCancel(f.ctx)
	defer cut()
	o := LiveOptions{ProtectOptions: ProtectOptions{
		Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile, RangeRows: 200,
		Progress: func(_ string, done, total int64) {
			if 3*done > total && done < total {
				cut()
			}
		},
	}}
	change(&o)
	if _, err := ProtectLive(ctx, f.config, f.officer("o1"), o); err == nil {
		t.Fatal("it was to be cut in the middle")
	}
}
