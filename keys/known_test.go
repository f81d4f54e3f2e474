package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOlder keeps a copy of the ring and what the record knew after each change, and puts every copy back at every later time.
func TestOlder(t *testing.T) {
	dir, keyFile := places(t)
	o := Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"email"}, Make: true}
	path := filepath.Join(dir, RingName)
	type moment struct {
		file  []byte
		known Options
	}
	var moments []moment
	keep := func() {
		t.Helper()
		k, err := Open(t.Context(), o)
		must(t, err)
		defer k.Close()
		known, err := k.Known()
		must(t, err)
		file, err := os.ReadFile(path)
		must(t, err)
		now := o
		now.Known = &known
		moments = append(moments, moment{file, now})
	}
	change := func(do func(k *Keyring) error) {
		t.Helper()
		k, err := Open(t.Context(), o)
		must(t, err)
		must(t, do(k))
		k.Close()
		keep()
	}
	keep()
	o.Groups = []string{"email", "phone"}
	keep()
	change(func(k *Keyring) error { _, err := k.Rotate("email"); return err })
	change(func(k *Keyring) error { return k.Destroy("email", 1) })
	to := &KeyFile{Path: filepath.Join(filepath.Dir(keyFile), "other.txt"), Dir: dir}
	ring, err := Rewrap(t.Context(), o, to)
	must(t, err)
	file, err := os.ReadFile(path)
	must(t, err)
	o.Known, o.Provider = &ring, to
	moments = append(moments, moment{file, o})

	wants := map[[2]int]string{ // the copy of one moment at another
		{0, 1}: "the key of epoch 1 of phone is missing", {1, 2}: "the key of epoch 2 of email is missing",
		{2, 3}: "the key of epoch 1 of email was destroyed, and is back", {3, 4}: "change 5, and the record knows change 6",
	}
	for copied := range moments {
		for at := range moments {
			must(t, os.WriteFile(path, moments[copied].file, 0o600))
			now := moments[at].known
			now.Provider, now.Groups, now.Make = moments[copied].known.Provider, nil, false
			k, err := Open(t.Context(), now)
			if k != nil && err == nil {
				k.Close()
			}
			switch {
			case copied >= at && err != nil:
				t.Errorf("the ring of moment %d is refused at moment %d, as a crash before the record leaves it: %v", copied, at, err)
			case copied < at && !errors.Is(err, ErrOlder):
				t.Errorf("the ring of moment %d passes at moment %d: %v", copied, at, err)
			case err != nil && !strings.Contains(err.Error(), wants[[2]int{copied, at}]):
				t.Errorf("the ring of moment %d at moment %d: %v", copied, at, err)
			}
		}
	}
}

// TestOtherBranch puts an older ring back, changes it as a version would that knows nothing of records, and tries it against what came of the first.
func TestOtherBranch(t *testing.T) {
	dir, keyFile := places(t)
	o := Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"email"}, Make: true}
	k, err := Open(t.Context(), o)
	must(t, err)
	before, err := os.ReadFile(filepath.Join(dir, RingName))
	must(t, err)
	_, err = k.Rotate("email")
	must(t, err)
	known, err := k.Known()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, RingName), before, 0o600))
	again, err := Open(t.Context(), o)
	must(t, err)
	_, err = again.Rotate("email")
	must(t, err)
	o.Known = &known
	if _, err := Open(t.Context(), o); !errors.Is(err, ErrOlder) || !strings.Contains(err.Error(), "the key of epoch 2 of email is another one") {
		t.Errorf("another key of the same epoch and change: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, RingName)))
	if _, err := Open(t.Context(), o); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "the record knows some") {
		t.Errorf("no ring, where the record knows one: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, RingName)); err == nil {
		t.Error("a new ring was made where the record knows one")
	}
}
