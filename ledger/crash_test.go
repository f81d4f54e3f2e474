package ledger

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// appendAndFollow appends from two goroutines, follows, and prints the size of the log as it grows, until it is killed.
func appendAndFollow(dir string) {
	w := &world{t: &testing.B{}, dir: dir, segment: 64 << 10}
	w.open()
	l, err := Open(context.Background(), w.options())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go l.Run(context.Background())
	go func() {
		for {
			w.add(50)
			time.Sleep(time.Millisecond)
		}
	}()
	for size := uint64(0); ; time.Sleep(time.Millisecond) {
		if st := l.Status(); st.Size != size || st.Trouble != "" {
			size = st.Size
			fmt.Println(size, st.Signed, st.Trouble)
		}
	}
}

// TestCrash kills a follower at random moments: no leaf is left out and none stands twice, and each checkpoint that was ever
// seen is a beginning of the log at the end.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir, rounds := t.TempDir(), 12
	if testing.Short() {
		rounds = 3
	}
	seen := map[string][]byte{}
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), crashEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Counted from the first sign of life, so that a slow start does not make the round empty.
		var timer *time.Timer
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var size, signed uint64
			if _, err := fmt.Sscan(lines.Text(), &size, &signed); err != nil {
				t.Fatalf("round %d: the child says %q", round, lines.Text())
			}
			if timer == nil {
				timer = time.AfterFunc(time.Duration(rand.IntN(900))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait() // it was killed
		if timer == nil {
			t.Fatalf("round %d: the child did nothing", round)
		}
		timer.Stop()
		if b, err := os.ReadFile(dir + "/ledger/checkpoint"); err == nil {
			seen[fmt.Sprint("round ", round)] = b
		}
	}
	w := &world{t: t, dir: dir, segment: 64 << 10}
	w.open()
	l := w.follow(w.options())
	w.close()
	r := w.verify(Outside{Key: l.Status().Key, Checkpoints: seen})
	if r.Leaves != r.Entries["access"]+r.Entries["control"] || r.Leaves == 0 {
		t.Errorf("%d leaves, %v entries", r.Leaves, r.Entries)
	}
	t.Logf("%d kills, %d entries, all in the log once", rounds, r.Leaves)
}
