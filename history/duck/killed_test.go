package duck_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"sallyport/history"
	"sallyport/history/duck"
	"sallyport/history/historytest"
)

// loaded opens a history whose compactions are large enough for DuckDB to write blocks before they are committed.
func loaded(folder string) (history.Store, error) {
	return duck.Open(folder, duck.Options{Record: historytest.Record, Names: historytest.Names(), Tells: historytest.Identifies, Memory: 256, Threads: 2, CompactRows: 1 << 18})
}

// load adds work where history has none of it, until it is killed.
func load(folder string) {
	s, err := loaded(folder)
	if err == nil {
		var at history.Position
		at, err = s.Position(context.Background())
		for w := historytest.NewWork(50_000_000); err == nil; {
			events := w.Next(5000)
			if last := events[len(events)-1].Seq; last > at.Entry {
				err = s.Add(context.Background(), last, events)
			}
		}
	}
	fmt.Println(err)
	os.Exit(3)
}

// TestKilledInLargeCompactions kills a process while hundreds of thousands of rows are sorted in, merged and checkpointed: every block that
// the file names is whole, and each value up to the position is there once.
func TestKilledInLargeCompactions(t *testing.T) {
	if os.Getenv("SALLYPORT_SIEGE") == "" {
		t.Skip("takes minutes: make siege")
	}
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(3, 4))
	var reached uint64
	for round := range 20 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "SALLYPORT_TEST_LOADER="+folder)
		cmd.Stdout = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(2000+dice.IntN(10_000)) * time.Millisecond) // the moment is what is tried
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		at, err := whole(t, folder)
		if errors.Is(err, history.ErrBroken) {
			t.Errorf("round %d: %v", round, err)
			err = duck.Wipe(folder)
		}
		if err != nil {
			t.Fatal(err)
		}
		reached = max(reached, at)
	}
	if t.Logf("at most %d entries", reached); reached == 0 {
		t.Error("nothing was taken in: nothing was tried")
	}
}

// whole reads every block of the tables that compactions write, and counts values.
func whole(t *testing.T, folder string) (uint64, error) {
	t.Helper()
	s, err := loaded(folder)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	at, err := s.Position(t.Context())
	if err != nil {
		return 0, err
	}
	rows, err := s.Select(t.Context(), `SELECT count(*) AS n, count(DISTINCT entry), sum(customer_number % 7), min("column"), max(person) FROM reveals`, history.Bounds{Time: time.Minute, Rows: 1, Bytes: 1000})
	if err != nil {
		return 0, err
	}
	if want := int64(at.Entry / 2 * historytest.PerStatement); rows.Rows[0][0] != want { //nolint:gosec // small
		t.Errorf("%v values up to entry %d, expected %d", rows.Rows[0][0], at.Entry, want)
	}
	_, err = s.Select(t.Context(), `SELECT max(time), max(session), max(purposes), max(shape) FROM accesses`, history.Bounds{Time: time.Minute, Rows: 1, Bytes: 1000})
	if err != nil {
		return 0, err
	}
	_, err = s.Saw(t.Context(), history.Question{Customer: "1", Digests: nil}) // reads held, whose rows have a digest each
	return at.Entry, err
}
