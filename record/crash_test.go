package record

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"sallyport"
)

// crashEnv names the folder in which a child of the crash test appends.
const crashEnv = "SALLYPORT_CRASH_DIR"

// appendUntilKilled appends from several goroutines and prints what was acknowledged: "SEQ NOTE".
func appendUntilKilled(dir string) {
	s, err := Open(dir, Options{SegmentBytes: 64 << 10, Key: mustKey(1)})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				note := fmt.Sprintf("%d-%d-%d", os.Getpid(), g, i)
				e := &sallyport.Event{Kind: sallyport.FactKind, Note: note}
				if i%50 == 49 {
					e = bigReveal(2000)
					e.Note = note
				}
				if g == 7 {
					if _, err := s.Enqueue(e); err == nil && i%10 != 0 {
						continue // not acknowledged, but in between the others
					}
				}
				seq, err := s.Append(e)
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				// One write for each line, so that a line is whole or not there.
				fmt.Fprintf(os.Stdout, "%d %s\n", seq, note)
			}
		}()
	}
	select {}
}

// TestCrash kills a process under load again and again, the entries encrypted: every acknowledged entry is there, and the chain holds.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	acked := map[uint64]string{}
	rounds, total := 20, uint64(0)
	if os.Getenv("SALLYPORT_SIEGE") != "" {
		rounds = 200
	}
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		killRound(t, dir, acked)
		s, err := Open(dir, Options{SegmentBytes: 64 << 10, Key: testKey(t, 1)})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		missing := len(acked)
		err = s.Read(1, func(e *sallyport.Event) error {
			if note, ok := acked[e.Seq]; ok {
				if note != e.Note {
					return fmt.Errorf("entry %d is %q, was acknowledged as %q", e.Seq, e.Note, note)
				}
				missing--
			}
			return nil
		})
		if err != nil || missing != 0 {
			t.Fatalf("round %d: %d of %d acknowledged entries are missing: %v", round, missing, len(acked), err)
		}
		total = s.Last()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds, %d entries, %d acknowledged ones read back", rounds, total, len(acked))
}

func killRound(t *testing.T, dir string, acked map[uint64]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The moment is counted from the first acknowledgement, so that a slow start does not make the round empty.
	after := time.Duration(rand.IntN(60_000)) * time.Microsecond
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		var text, note string
		if _, err := fmt.Sscan(lines.Text(), &text, &note); err != nil {
			t.Fatalf("child says %q", lines.Text())
		}
		seq, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("child says %q", lines.Text())
		}
		acked[seq] = note
	}
	_ = cmd.Wait() // it was killed
	if timer == nil {
		t.Fatal("the child acknowledged nothing")
	}
	timer.Stop()
}

// bigReveal is a batch of n revealed values.
func bigReveal(n int) *sallyport.Event {
	var values sallyport.Values
	for i := range uint64(n) { //nolint:gosec // a length
		values.AddNumber(1_000_000+i, 0, sallyport.Digest{byte(i), byte(i >> 8), 3})
	}
	return &sallyport.Event{
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: "s001", Login: "s001"},
		Reveal: &sallyport.Revealed{Statement: 1, Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}, Values: values},
	}
}
