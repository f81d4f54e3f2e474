package serve

import (
	"context"
	"strings"
	"testing"
)

// cutBehindWord runs protect --online until what it begins with is on record, ends it there, and takes away what it may have marked, as if it had been
// killed in between.
func (f *fort) cutBehindWord(t *testing.T, unmark string) {
	t.Helper()
	ctx, cut := context.WithCancel(f.ctx)
	defer cut()
	over := make(chan error, 1)
	go func() {
		_, err := ProtectLive(ctx, f.config, f.officer("o1"), LiveOptions{ProtectOptions: ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile, RangeRows: 50}, Rate: 200})
		over <- err
	}()
	awaitCondition(t, "the word is on record", func() bool { return f.server.isMoving() })
	cut()
	if err := <-over; err == nil {
		t.Skip("protect was faster")
	}
	f.stop()
	f.superExec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+f.database+"'") // what looked at the rows before
	f.superExec(f.database, unmark)
}

// TestMoveInUnmarked kills protect and serve between the word that columns move, which stands in the record, and the mark in the database: serve starts again, with
// and without --moving-in, treats the columns as moving, and the next protect goes on. Where anything is protected a missing mark is refused as ever.
func TestMoveInUnmarked(t *testing.T) {
	f := newPlainFort(t)
	f.cutBehindWord(t, "DELETE FROM sallyport.mark")
	for _, moving := range []bool{true, false} {
		f.options.MovingIn = moving
		f.start()
		if !strings.Contains(f.log.String(), "was interrupted before it marked it") {
			t.Error("the log does not say what to do")
		}
		c := f.connect(f.org.Agents()[0].ID)
		if got := c.one("SELECT id FROM support.customers WHERE email = $1", f.org.Customer(7).Email); got != "7" {
			t.Errorf("customer 7 is found as %s", got)
		}
		if got := c.one("SELECT email FROM support.customers WHERE id = 7"); !strings.HasSuffix(got, "k1.invalid") {
			t.Errorf("without a reason an address reads as %s", got)
		}
		c.must("UPDATE support.customers SET phone = '+4930123456' WHERE id = 7")
		if got := f.ask("SELECT phone FROM support.customers WHERE id = 7"); !strings.HasPrefix(got, "+89") {
			t.Errorf("a value is written as %s", got)
		}
		c.must("UPDATE support.customers SET phone = $1 WHERE id = 7", f.org.Customer(7).Phone)
		_ = c.Close(f.ctx)
		f.stop()
	}
	f.start()
	_, err := f.moveIn()
	fatal(t, err)
	f.checkMoved(t)
	if got := f.ask("SELECT count(*) || ' ' || (bool_and(protected_at IS NOT NULL))::text FROM sallyport.mark"); got != "1 true" {
		t.Errorf("the mark is %s", got)
	}

	// A column more, behind its word and before its mark.
	f.stop()
	f.superExec(f.database, "ALTER TABLE support.customers ADD COLUMN fax text; UPDATE support.customers SET fax = '+49305550' || id")
	f.edit("    support.customers.birth_date:", "    support.customers.fax: {class: contact, scheme: phone}\n    support.customers.birth_date:")
	f.options.MovingIn = true
	f.start()
	f.cutBehindWord(t, "UPDATE sallyport.mark SET columns = columns - 'support.customers.fax', moving = '[]', protected_at = now()")
	for _, moving := range []bool{true, false} {
		f.options.MovingIn = moving
		f.start()
		if got := f.connect(f.org.Agents()[0].ID).one("SELECT fax FROM support.customers WHERE id = 8"); !strings.HasPrefix(got, "+89") {
			t.Errorf("a column that begins reads as %s", got)
		}
		f.stop()
	}
	f.start()
	_, err = f.moveIn()
	fatal(t, err)
	f.stop()
	f.superExec(f.database, "DELETE FROM sallyport.mark")
	f.refusesToServe(t, "its values are still plain")
}
