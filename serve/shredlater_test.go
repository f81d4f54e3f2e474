package serve

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/keys"
)

// TestShredRotated shreds a customer in the middle of a rotation, and rotates groups whose tokens are listed: what was shredded stays so under the
// newer keys, backups from before the rotation give nothing of it either, and the older keys can be destroyed.
func TestShredRotated(t *testing.T) {
	f := newOwnFort(t, strings.Replace(shredGrants, "backup_days: 90", "rate: 4000, backup_days: 90", 1))
	f.stop()
	f.edit("prefixes: {CS: ZQ}}", "prefixes: {CS: ZQ}, next_prefixes: {CS: ZX}}")
	f.options.Config = f.config
	f.start()
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	victim, _, _ := f.talkative(t, 0)
	other, _, _ := f.talkative(t, victim.ID)
	first := f.talker(t, 1, victim.ID, other.ID)
	admin := f.direct()
	f.shred(t, first)
	dead := f.storedOf(t, admin, first)
	groups := []string{"name", "text", "number"}
	before := f.textsOf(t, victim.ID)
	for _, group := range groups {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
		f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
	}
	awaitCondition(t, "some names have the newer key", func() bool {
		return f.count(t, admin, `SELECT count(*) FROM support.customers WHERE full_name LIKE 'tk1:B%'`) > 0
	})
	f.shred(t, victim.ID)
	after := f.storedOf(t, admin, victim.ID)
	f.restart()
	for _, group := range groups {
		awaitCondition(t, group+": the older key may go", func() bool { return f.server.mayDestroy(group) == nil })
	}
	f.stop()
	now := f.keysFrom(t, f.options.Data) // both epochs are there
	expectReadable(t, "from before the rotation, with the older keys", now, before, false)
	expectReadable(t, "another customer", now, f.textsOf(t, other.ID), true)
	f.start()
	for _, group := range groups {
		awaitCondition(t, group+": the older key may go", func() bool { return f.server.mayDestroy(group) == nil })
		f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, group, "done") })
	}
	awaitCondition(t, "the older keys are gone", func() bool {
		status, err := keys.Look(f.options.Data)
		fatal(t, err)
		return len(slices.DeleteFunc(status.Keys, func(k keys.KeyStatus) bool { return k.Destroyed.IsZero() })) == len(groups)
	})
	f.restart()
	g := f.connect("s050")
	for id, stood := range map[int64][]string{first: dead, victim.ID: after} {
		c := f.org.Customer(id)
		f.readsNothing(t, "after the rotation", g, id, plainOf(&c))
		for _, tok := range f.storedOf(t, admin, id) {
			if strings.HasPrefix(tok, "Z") && !slices.Contains(stood, tok) {
				t.Errorf("customer %d: a random number was renewed", id)
			}
		}
		if rows := g.must(fmt.Sprintf("SELECT ticket_no FROM support.tickets WHERE customer_id = %d", id)); strings.HasPrefix(rows[0][0], "CS") {
			t.Errorf("customer %d: a random number reads as %s", id, rows[0][0])
		}
	}
	if got := g.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", other.ID)); got != other.FullName {
		t.Errorf("another customer's name reads as %q", got)
	}
}

// talker is a customer with messages other than some, the nth.
func (f *fort) talker(t *testing.T, n int, but ...int64) int64 {
	t.Helper()
	for id := int64(n); id < fortCustomers; id++ {
		if texts := f.textsOf(t, id); !slices.Contains(but, id) && len(texts["support.messages.body"]) > 0 {
			return id
		}
	}
	t.Fatal("nobody has messages")
	return 0
}

// TestShredMovedOut undoes the protection after a shredding, beside a running serve, and protects again: everybody else's values come back, the
// shredded customer's do not, and his random tokens stand in nobody's way.
func TestShredMovedOut(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newOwnFort(t, shredGrants)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	victim, _, _ := f.talkative(t, 0)
	other, _, _ := f.talkative(t, victim.ID)
	dump := f.backup(t)
	f.shred(t, victim.ID)
	random := f.allOf(t, victim.ID)
	f.movesOut(t)
	if now := f.allOf(t, victim.ID); !slices.Equal(now, random) {
		t.Errorf("out again: the shredded customer's rows hold %d values, of which some are not the random ones", len(now))
	}
	f.holdsPlain(t, other.ID, victim.ID)

	f.stop()
	fatal(t, f.protect())
	if now := f.allOf(t, victim.ID); !slices.Equal(now, random) {
		t.Error("in again: the random tokens are others")
	}
	f.start()
	g := f.connect("s050")
	f.readsNothing(t, "in again", g, victim.ID, plainOf(victim))
	if got := g.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", other.ID)); got != other.FullName {
		t.Errorf("another customer's name reads as %q", got)
	}

	// A dump from before, put in the place of the database while nobody serves, and protected once more: tokens that nobody reads any more.
	fatal(t, g.Close(f.ctx))
	f.stop()
	f.restoreBackup(t, dump)
	fatal(t, f.protect())
	f.start()
	f.movesOut(t)
	f.holdsPlain(t, other.ID, victim.ID)
}

// allOf is storedOf over a connection that is closed again, since protect wants to be alone.
func (f *fort) allOf(t *testing.T, id int64) []string {
	t.Helper()
	conn := f.direct()
	defer conn.Close(f.ctx)
	return f.storedOf(t, conn, id)
}

// movesOut undoes the protection beside the fort's serve.
func (f *fort) movesOut(t *testing.T) {
	t.Helper()
	id, err := f.officer("o1").Undo(f.ctx, "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	_, err = f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
	fatal(t, err)
}

// holdsPlain compares what the database itself holds with the organisation: all of one customer, nothing of another.
func (f *fort) holdsPlain(t *testing.T, there, gone int64) {
	t.Helper()
	for _, id := range []int64{there, gone} {
		c := f.org.Customer(id)
		stored := f.ask(fmt.Sprintf("SELECT full_name || ' ' || email || ' ' || coalesce(phone, '') || ' ' || coalesce(notes, '') FROM support.customers WHERE id = %d", id))
		for _, value := range append(plainOf(&c), c.Notes) {
			if value != "" && strings.Contains(stored, value) != (id == there) {
				t.Errorf("customer %d: one of his values stands there in plain: %t", id, id != there)
			}
		}
	}
}
