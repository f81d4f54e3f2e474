package serve

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// TestShredKilled kills serve (kill -9) again and again while it is in the middle of shredding: some rows are changed, and one that
// somebody has locked is waited for. Nothing of it stays; when the lock is gone the next start does it all.
func TestShredKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 4
	if large() {
		kills = 50
	}
	f := newFort(t, shredGrants)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	admin := f.direct()
	_, _, victim := f.hasTicket(0)
	before, others := f.storedOf(t, admin, victim.ID), f.othersSum(t, admin, victim.ID)
	holder := f.direct()
	tx, err := holder.Begin(f.ctx)
	fatal(t, err)
	_, err = tx.Exec(f.ctx, "SELECT FROM support.tickets WHERE customer_id = $1 FOR UPDATE", victim.ID)
	fatal(t, err)
	waits := func() bool {
		return f.count(t, admin, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND usename = 'sallyport_reader'") > 0
	}
	f.agree(t, func() (string, error) {
		return f.officer("o1").Shred(f.ctx, fmt.Sprint(victim.ID), "asked for erasure")
	})
	if !f.server.State.Barred(sallyport.Subject(fmt.Sprint(victim.ID))) {
		t.Error("agreed on, and something could be revealed still")
	}
	awaitCondition(t, "serve waits for the locked row", waits)
	f.readsNothing(t, "before a row was changed", f.connect("s050"), victim.ID, plainOf(&victim))
	f.stop()
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	for range kills {
		serve := exec.Command(name, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, //nolint:gosec // this very test binary
			"--key-file", f.options.KeyFile, "--listen", freeAddress(t))
		serve.Stderr = f.log
		fatal(t, serve.Start())
		awaitCondition(t, "serve waits for the locked row", waits)
		select {
		case <-time.After(time.Duration(mathrand.IntN(1200)) * time.Millisecond): // the random moment
		case <-t.Context().Done():
		}
		fatal(t, serve.Process.Kill())
		_ = serve.Wait()
		if !slices.Equal(f.storedOf(t, admin, victim.ID), before) {
			t.Fatal("a part of it was done")
		}
	}
	f.start()
	awaitCondition(t, "serve says what it waits for", func() bool {
		for _, line := range f.server.status(f.ctx) {
			if line.What == "shred" && strings.Contains(line.How, "55P03") {
				return true
			}
		}
		return false
	})
	fatal(t, tx.Rollback(context.WithoutCancel(f.ctx)))
	awaitCondition(t, "the customer is shredded", func() bool { return f.shredded(victim.ID) })
	for _, text := range f.storedOf(t, admin, victim.ID) {
		if slices.Contains(before, text) {
			t.Errorf("a token stands as it was: %s", text)
		}
	}
	if f.othersSum(t, admin, victim.ID) != others {
		t.Error("rows of other customers were changed")
	}
	listed := 0
	fatal(t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.Shredding {
			listed++
		}
		return nil
	}))
	if listed != 2 {
		t.Errorf("%d entries list tokens, want 2, of what stood there and of what stands there: attempts that changed nothing make none", listed)
	}
}
