package serve

import (
	"fmt"
	"testing"
)

// TestWideInTheWay has people write tokens that they read, of numbers and uuids under unique indexes, as the values of other rows: a value that stands where another one's
// token is to stand does not keep protect from its end, on either way, and every row is right.
func TestWideInTheWay(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, kinds)
	_, err := f.moveIn()
	fatal(t, err)
	c := f.connect(f.org.Agents()[0].ID)
	type copied struct{ account, device string }
	added := map[int64]copied{}
	for id, of := range map[int64]int{-5: 700, 5_000_000: 5, -6: 601, 5_000_001: 7} { // before and behind the row whose token it is
		v := copied{c.one(fmt.Sprintf("SELECT account FROM support.kinds WHERE id = %d", of)), c.one(fmt.Sprintf("SELECT device FROM support.kinds WHERE id = %d", of))}
		c.must(fmt.Sprintf("INSERT INTO support.kinds (id, account, device, note) VALUES (%d, %s, '%s', 'copied')", id, v.account, v.device))
		added[id] = v
	}
	_ = c.Close(f.ctx)
	out := func() {
		id, err := f.officer("o1").Undo(f.ctx, "moving out")
		fatal(t, err)
		_, err = f.officer("o2").Approve(f.ctx, id)
		fatal(t, err)
		_, err = f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
		fatal(t, err)
		f.checkKinds(t, false)
		for id, v := range added {
			if got := (copied{f.ask(fmt.Sprintf("SELECT account::text FROM support.kinds WHERE id = %d", id)), f.ask(fmt.Sprintf("SELECT device::text FROM support.kinds WHERE id = %d", id))}); got != v {
				t.Errorf("row %d is %v, and %v was written", id, got, v)
			}
		}
	}
	out()
	_, err = f.moveIn()
	fatal(t, err)
	f.checkKinds(t, true)
	out()
}
