package catalog

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestServerThatDoesNotAnswer stops the backend: whoever asks may be called back or have a deadline, and the next question gets its
// own answer, not the late one.
func TestServerThatDoesNotAnswer(t *testing.T) {
	super, reader := database(t, tables)
	c := open(t, reader, config())
	for name, begin := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 100*time.Millisecond)
		},
		"called back": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		var pid int
		if err := super.QueryRow(t.Context(), "SELECT pid FROM pg_stat_activity WHERE usename = $1", reader.User).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Skipf("the backend cannot be stopped: %v", err)
		}
		ctx, cancel := begin()
		done := make(chan error, 1)
		go func() {
			_, err := c.Refresh(ctx)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !errors.Is(err, ctx.Err()) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the question waits for ever", name)
		}
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		cancel()
		if t.Failed() {
			return
		}
		run(t, super, "CREATE VIEW support.v AS SELECT email FROM support.customers")
		refresh(t, c)
		run(t, super, "DROP VIEW support.v")
		refresh(t, c)
	}
}

// TestMomentsBesideOthers looks whether changes are found whose transactions were under way, in every order, while the moment was asked for.
func TestMomentsBesideOthers(t *testing.T) {
	for _, noted := range []bool{false, true} {
		t.Run(fmt.Sprintf("noted=%t", noted), func(t *testing.T) { momentsBesideOthers(t, noted) })
	}
}

func momentsBesideOthers(t *testing.T, noted bool) {
	super, reader := database(t, tables)
	if noted {
		run(t, super, NoteSQL(reader.User))
	}
	c := open(t, reader, config())
	if c.noted != noted {
		t.Fatalf("it is %t that the database notes its changes", c.noted)
	}
	begin := func() *pgx.Conn {
		conn := connect(t, cluster.SuperDSN(reader.Database))
		run(t, conn, "BEGIN", "SELECT pg_current_xact_id()")
		return conn
	}
	unchanged := func(when string) {
		t.Helper()
		if changed, err := c.Fresh(t.Context()); err != nil || changed {
			t.Errorf("%s: changed is %v, %v", when, changed, err)
		}
	}
	oldest, writer, altering, nested := begin(), begin(), begin(), begin()
	run(t, super, "SELECT pg_current_xact_id()")
	unchanged("beside four transactions")
	run(t, writer, "CREATE VIEW support.one AS SELECT email FROM support.customers")
	run(t, nested, "SAVEPOINT a", "SELECT pg_current_xact_id()", "SAVEPOINT b", "CREATE VIEW support.two AS SELECT email FROM support.customers", "RELEASE b")
	run(t, altering, "ALTER TABLE support.contacts ADD COLUMN three int")
	run(t, super, "SELECT pg_current_xact_id()")
	unchanged("before anything is committed")
	run(t, writer, "COMMIT")
	refresh(t, c)
	run(t, nested, "COMMIT")
	refresh(t, c)
	run(t, altering, "COMMIT")
	refresh(t, c)
	run(t, super, "SELECT pg_current_xact_id()")
	unchanged("behind them")
	run(t, super, "BEGIN; DROP VIEW support.one; CREATE VIEW support.one AS SELECT full_name::varchar(160) AS email FROM support.customers; COMMIT")
	refresh(t, c) // as many rows as before
	run(t, super, "VACUUM FULL pg_catalog.pg_class", "VACUUM FULL pg_catalog.pg_attribute", "VACUUM FREEZE pg_catalog.pg_proc")
	if _, err := c.Fresh(t.Context()); err != nil {
		t.Error(err)
	}
	run(t, super, "DROP VIEW support.two")
	refresh(t, c)
	run(t, oldest, "ROLLBACK")
	unchanged("in the end")
}

// TestHolds takes a moment from another session: it is the snapshot's as long as no transaction has ended since.
func TestHolds(t *testing.T) {
	super, reader := database(t, tables)
	c := open(t, reader, config())
	holds := func(want bool, when string) {
		t.Helper()
		var moment []byte
		if err := super.QueryRow(t.Context(), "SELECT pg_current_snapshot()::text").Scan(&moment); err != nil {
			t.Fatal(err)
		}
		if got := c.Holds(moment); got != want {
			t.Errorf("%s: %t", when, got)
		}
	}
	fresh := func() {
		t.Helper()
		if _, err := c.Fresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fresh()
	holds(true, "at rest")
	run(t, super, "CREATE TABLE public.beside (id int)")
	holds(false, "after a table was made")
	fresh()
	holds(true, "after the question")
	run(t, super, "INSERT INTO public.beside VALUES (1)")
	holds(false, "after something was written")
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(true, "after all was read")
	if c.Holds(nil) {
		t.Error("it holds without a moment")
	}
	if err := c.conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh()
	holds(true, "over another connection")
}
