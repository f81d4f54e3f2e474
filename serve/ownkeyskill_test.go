package serve

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"sallyport"
	"sallyport/control"
)

// TestOwnKeysKilled kills serve (kill -9) at random moments after two people agreed to shred somebody: what is in the database is as it was or all
// new, the keys of everybody else are there, nothing of his is revealed from then on, and the next start does what is left to do.
func TestOwnKeysKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 4
	if large() {
		kills = 50
	}
	f := newOwnFort(t, shredGrants)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	other, _, _ := f.talkative(t, 0)
	others := f.textsOf(t, other.ID)
	f.stop()
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	before := map[int64]map[string][]string{}
	whole, part := 0, 0
	for id := int64(100); len(before) < kills; id++ {
		texts := f.textsOf(t, id)
		if id == other.ID || countTexts(texts) < 3 {
			continue
		}
		before[id] = texts
		f.killedShredding(t, name, id)
		if !f.agreed(t, id) {
			delete(before, id)
			continue
		}
		switch now := f.textsOf(t, id); {
		case reflect.DeepEqual(now, texts):
			part++
		case sharesTexts(now, texts):
			t.Fatal("a part of the rows was done")
		default:
			whole++
			expectReadable(t, "rows were replaced before their keys were gone", f.keysFrom(t, f.options.Data), texts, false)
		}
		expectReadable(t, "another customer", f.keysFrom(t, f.options.Data), others, true)
	}
	t.Logf("%d kills before the rows were replaced, %d after", part, whole)
	f.start()
	for id, texts := range before {
		awaitCondition(t, "the customer is shredded", func() bool { return f.shredded(id) })
		if sharesTexts(f.textsOf(t, id), texts) {
			t.Errorf("customer %d: a token stands as it was", id)
		}
	}
	g := f.connect("s050")
	if got := g.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", other.ID)); got != other.FullName {
		t.Errorf("another customer's name reads as %q", got)
	}
	f.stop()
	for _, texts := range before {
		expectReadable(t, "after all", f.keysFrom(t, f.options.Data), texts, false)
	}
}

// killedShredding runs serve in a process of its own, has two officers agree, and kills it.
func (f *fort) killedShredding(t *testing.T, program string, id int64) {
	t.Helper()
	serve := exec.Command(program, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, //nolint:gosec // this very test binary
		"--key-file", f.options.KeyFile, "--listen", freeAddress(t))
	serve.Stderr = f.log
	fatal(t, serve.Start())
	var proposal string
	awaitCondition(t, "somebody proposes it", func() bool {
		var err error
		ctx, cancel := context.WithTimeout(f.ctx, 5*time.Second)
		defer cancel()
		proposal, err = f.officer("o1").Shred(ctx, fmt.Sprint(id), "asked for erasure")
		return err == nil
	})
	_, err := f.officer("o2").Approve(f.ctx, proposal)
	fatal(t, err)
	select {
	case <-time.After(time.Duration(mathrand.IntN(2500)) * time.Millisecond): // the random moment: serve looks once a second
	case <-t.Context().Done():
	}
	fatal(t, serve.Process.Kill())
	_ = serve.Wait()
}

// agreed tells whether the record has it that two people agreed.
func (f *fort) agreed(t *testing.T, id int64) (agreed bool) {
	t.Helper()
	fatal(t, RecordOffline(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false, func(state *control.State, _ func(*sallyport.Event) error) error {
		agreed = state.Barred(sallyport.Subject(fmt.Sprint(id)))
		return nil
	}))
	return agreed
}

// sharesTexts tells whether a text stands in both.
func sharesTexts(a, b map[string][]string) bool {
	seen := map[string]bool{}
	for _, texts := range a {
		for _, text := range texts {
			seen[text] = true
		}
	}
	for _, texts := range b {
		for _, text := range texts {
			if seen[text] {
				return true
			}
		}
	}
	return false
}
