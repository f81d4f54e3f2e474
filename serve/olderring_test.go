package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/keys"
)

// turnOver rotates a group's keys and destroys the older one.
func (f *fort) turnOver(t *testing.T, group string) {
	t.Helper()
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
	awaitCondition(t, "the older key may go", func() bool { return f.server.mayDestroy(group) == nil })
	f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, group, "done") })
	awaitCondition(t, "the older key is gone", func() bool { return len(f.server.State.Pending("destroy_key")) == 0 })
}

// refusesToServe starts serve and says how it ended.
func (f *fort) refusesToServe(t *testing.T, want string) {
	t.Helper()
	s, err := Start(f.ctx, f.options)
	fatal(t, err)
	select {
	case <-s.Done():
	case <-time.After(20 * time.Second):
		fatal(t, s.Close())
		t.Fatalf("serve does not end by itself: %s", f.log)
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("serve ended with %v, want %q", err, want)
	}
}

// TestOlderRing puts the ring of before a rotation back: nobody opens it, neither serve nor protect nor a command about keys, and no command makes
// it pass for the newest.
func TestOlderRing(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften)
	ring := filepath.Join(f.options.Data, keys.RingName)
	f.stop()
	control := t.TempDir()
	fatal(t, os.CopyFS(control, os.DirFS(filepath.Join(f.options.Data, "control"))))
	before, err := os.ReadFile(ring)
	fatal(t, err)
	f.start()
	f.turnOver(t, "email")
	newest, err := os.ReadFile(ring)
	fatal(t, err)

	// Beside a serve that has the newest: protect would make tokens with what it reads.
	fatal(t, os.WriteFile(ring, before, 0o600))
	_, err = ProtectLive(f.ctx, f.config, f.officer("o1"), LiveOptions{ProtectOptions: ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile}})
	refused(t, "protect --online", err)
	f.stop()

	f.refusesToServe(t, "the key of epoch 1 of email was destroyed, and is back")
	_, err = Protect(f.ctx, f.config, ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile})
	refused(t, "protect", err)
	config := filepath.Join(f.folder, "sallyport.yaml")
	for _, args := range [][]string{
		{"keys", "rewrap", "--config", config, "--data", f.options.Data, "--key-file", f.options.KeyFile},
		{"keys", "recover", "--config", config, "--data", f.options.Data, "--key-file", f.options.KeyFile, "--reason", "x"},
	} {
		var out, trouble strings.Builder
		m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &trouble, Getenv: os.Getenv}
		err := m.Run(f.ctx, args)
		refused(t, strings.Join(args[:2], " "), err)
	}
	if now, err := os.ReadFile(ring); err != nil || string(now) != string(before) {
		t.Error("a command that was refused changed the ring")
	}

	// Without a ring none is made where the record knows one.
	fatal(t, os.Remove(ring))
	_, err = Protect(f.ctx, f.config, ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile})
	if err == nil || !strings.Contains(err.Error(), "the record knows some") {
		t.Errorf("protect without a ring: %v", err)
	}

	// A control stream of before the rotation knows nothing of it. The tokens do.
	kept := filepath.Join(t.TempDir(), "control")
	fatal(t, os.Rename(filepath.Join(f.options.Data, "control"), kept))
	fatal(t, os.CopyFS(filepath.Join(f.options.Data, "control"), os.DirFS(control)))
	fatal(t, os.WriteFile(ring, before, 0o600))
	f.refusesToServe(t, "a token of support.customers.email is of another epoch (2")

	fatal(t, os.RemoveAll(filepath.Join(f.options.Data, "control")))
	fatal(t, os.Rename(kept, filepath.Join(f.options.Data, "control")))
	fatal(t, os.WriteFile(ring, newest, 0o600))
	f.start()
	f.compareAll(t, f.direct())
}

// refused holds an error to what is said of an older ring.
func refused(t *testing.T, who string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "bring back the newest copy of keys.ring") {
		t.Errorf("%s with an older ring: %v", who, err)
	}
}
