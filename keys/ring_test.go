package keys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/token"
)

// TestGroups: each join group has a key of its own, and none is made where nobody may.
func TestGroups(t *testing.T) {
	dir, keyFile := places(t)
	o := Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"contact", "email", "contact"}, Make: true}
	k, err := Open(t.Context(), o)
	must(t, err)
	made := k.Keys()
	if len(made.Groups) != 2 || len(made.Groups["contact"]) != 1 || made.Groups["contact"][0].Epoch != 1 {
		t.Fatalf("%d groups", len(made.Groups))
	}
	if phone(t, k, "contact") == phone(t, k, "email") {
		t.Error("two groups have one key")
	}
	before := phone(t, k, "contact")
	o.Make, o.Groups = false, []string{"contact", "other"}
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no key of the join group other: 'sallyport protect' makes it") {
		t.Errorf("a group without a key: %v", err)
	}
	o.Fresh = []string{"other"}
	k, err = Open(t.Context(), o)
	must(t, err)
	o.Make = true
	if len(k.Keys().Groups) != 3 || phone(t, k, "contact") != before {
		t.Error("a key was lost when another was made")
	}
	o.Tenant = "second"
	k, err = Open(t.Context(), o)
	must(t, err)
	if len(k.Keys().Groups) != 2 || phone(t, k, "contact") == before {
		t.Error("two tenants share keys")
	}
	status, err := Look(dir)
	must(t, err)
	if len(status.Keys) != 7 || status.Serial != 4 { // made, a group more for each of two, and the group asked for first
		t.Errorf("%d keys, serial %d", len(status.Keys), status.Serial)
	}
}

func phone(t *testing.T, k *Keyring, group string) string {
	t.Helper()
	r, err := token.NewKeyedRing(k.Keys(), token.Settings{})
	must(t, err)
	c, err := r.Codec(token.Spec{Scheme: sallyport.Phone, Group: group})
	must(t, err)
	tok, err := c.Tokenise(nil, []byte("+442071838750"), nil)
	must(t, err)
	return string(tok)
}

// TestNoKeys makes none where nobody may.
func TestNoKeys(t *testing.T) {
	dir, keyFile := places(t)
	_, err := Open(t.Context(), Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}})
	if !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(keyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a key file was made")
	}
	if _, err := Look(dir); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
}

// TestFormerKeys turns the one root secret of before into a ring under which every token stays what it was.
func TestFormerKeys(t *testing.T) {
	dir, keyFile := places(t)
	must(t, os.Mkdir(dir, 0o700))
	must(t, makeKeyFile(keyFile))
	identity, err := readKeyFile(keyFile)
	must(t, err)
	root := []byte(strings.Repeat("r", KeySize))
	sealed, err := seal(identity, formerMark, root)
	must(t, err)
	former := filepath.Join(dir, formerName)
	must(t, publish(former, sealed))
	secret, err := token.NewSecret(root)
	must(t, err)
	r, err := token.NewRing(secret, token.Settings{})
	must(t, err)
	c, err := r.Codec(token.Spec{Scheme: sallyport.Phone, Group: "contact"})
	must(t, err)
	want, err := c.Tokenise(nil, []byte("+442071838750"), nil)
	must(t, err)

	o := Options{Dir: dir, Provider: &Vault{name: "vault://h:1/transit/k"}, Groups: []string{"contact"}}
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "start once with --key-file") {
		t.Errorf("former keys and a Vault: %v", err)
	}
	o.Provider = &KeyFile{Path: keyFile, Dir: dir}
	for range 2 { // the second time it is a ring like any other
		k, err := Open(t.Context(), o)
		must(t, err)
		if got := phone(t, k, "contact"); got != string(want) {
			t.Errorf("token %s, want %s", got, want)
		}
		if !sameDigest(t, k, r) {
			t.Error("digests changed")
		}
	}
	if _, err := os.Stat(former); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the former file is still there: whoever destroys an epoch would not have destroyed its key")
	}
	// A crash may leave both; the ring counts.
	must(t, publish(former, []byte("half a")))
	_, err = Open(t.Context(), o)
	must(t, err)
	if _, err := os.Stat(former); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a crash left is still there")
	}
}

func sameDigest(t *testing.T, k *Keyring, r *token.Ring) bool {
	t.Helper()
	mine, err := token.NewKeyedRing(k.Keys(), token.Settings{})
	must(t, err)
	spec := token.Spec{Scheme: sallyport.Phone, Group: "contact"}
	a, err := mine.Codec(spec)
	must(t, err)
	b, err := r.Codec(spec)
	must(t, err)
	return a.Digest([]byte("x")) == b.Digest([]byte("x")) && a.TokenDigest([]byte("x")) == b.TokenDigest([]byte("x"))
}

// TestChangedMeanwhile: a ring that another process changed is not replaced by one that does not know of it.
func TestChangedMeanwhile(t *testing.T) {
	dir, keyFile := places(t)
	k := mustOpen(t, dir, keyFile)
	_, err := Open(t.Context(), Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"more"}, Make: true})
	must(t, err)
	if err := k.provide([]string{"other"}, true, nil); err == nil || !strings.Contains(err.Error(), "another process changed it meanwhile") {
		t.Errorf("got %v", err)
	}
}

// TestCrashWhileChanging leaves what a crash leaves at every step of a change: the ring opens, with the key or without it.
func TestCrashWhileChanging(t *testing.T) {
	dir, keyFile := places(t)
	first := print(t, mustOpen(t, dir, keyFile))
	path := filepath.Join(dir, RingName)
	before, err := os.ReadFile(path)
	must(t, err)
	_, err = Open(t.Context(), Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"more"}, Make: true})
	must(t, err)
	after, err := os.ReadFile(path)
	must(t, err)
	for cut := 0; cut <= len(after); cut += 97 {
		must(t, os.WriteFile(path, before, 0o600))
		must(t, os.WriteFile(path+".tmp", after[:cut], 0o600))
		if print(t, mustOpen(t, dir, keyFile)) != first {
			t.Fatalf("another key after a crash at byte %d", cut)
		}
		k, err := Open(t.Context(), Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"more"}, Make: true})
		must(t, err)
		if len(k.Keys().Groups) != 2 {
			t.Fatalf("no new key after a crash at byte %d", cut)
		}
	}
}

// TestMade: the clock is an argument.
func TestMade(t *testing.T) {
	dir, keyFile := places(t)
	day := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	_, err := Open(t.Context(), Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Make: true, Now: func() time.Time { return day }})
	must(t, err)
	status, err := Look(dir)
	must(t, err)
	if len(status.Keys) != 1 || !status.Keys[0].Made.Equal(day) {
		t.Errorf("%+v", status.Keys)
	}
}

// TestRewrap gives a ring from one provider to the next: tokens stay, and the former provider opens it no longer.
func TestRewrap(t *testing.T) {
	dir, keyFile := places(t)
	want := print(t, mustOpen(t, dir, keyFile))
	age, split := &KeyFile{Path: keyFile, Dir: dir}, mustSplit(t, 2, "anna", "ben")
	vault := mustVault(t, newFakeVault(t).options(t))
	open := func(p Provider) (*Keyring, error) {
		return Open(t.Context(), Options{Dir: dir, Provider: p, Groups: []string{"phone"}})
	}
	former := Provider(age)
	for _, next := range []Provider{vault, split, age, age} {
		_, err := Rewrap(t.Context(), Options{Dir: dir, Provider: former}, next)
		must(t, err)
		k, err := open(next)
		must(t, err)
		if print(t, k) != want {
			t.Errorf("%s: another key", next.Name())
		}
		if former != next {
			if _, err := open(former); err == nil {
				t.Errorf("%s still opens what is %s's", former.Name(), next.Name())
			}
		}
		former = next
	}
	status, err := Look(dir)
	must(t, err)
	if status.Quorum != nil || status.Serial != 6 {
		t.Errorf("%+v", status)
	}
	before, err := os.ReadFile(filepath.Join(dir, RingName))
	must(t, err)
	down := &Vault{name: "vault://127.0.0.1:1/transit/k", base: "https://127.0.0.1:1", bearer: vault.bearer, client: vault.client, wait: time.Millisecond}
	if _, err := Rewrap(t.Context(), Options{Dir: dir, Provider: age}, down); !errors.Is(err, ErrUnavailable) {
		t.Errorf("to a Vault that is away: %v", err)
	}
	after, err := os.ReadFile(filepath.Join(dir, RingName))
	must(t, err)
	if string(before) != string(after) {
		t.Error("what failed changed the ring")
	}
}

// TestRotate walks a group through two rotations, with the ring opened anew at every step, as after a crash.
func TestRotate(t *testing.T) {
	dir, keyFile := places(t)
	open := func() *Keyring { return mustOpen(t, dir, keyFile) }
	k := open()
	first := print(t, k)
	if _, err := k.Rotate("other"); err == nil {
		t.Error("a group that is not there was rotated")
	}
	if _, err := k.Rotate(""); err == nil {
		t.Error("the record's key was rotated")
	}
	if err := k.Destroy("phone", 1); err == nil {
		t.Error("the only key was destroyed")
	}
	want := Rotation{Group: "phone", From: 1, To: 2}
	for range 2 { // begun once more it is the same one
		rotation, err := k.Rotate("phone")
		must(t, err)
		if rotation != want {
			t.Errorf("%+v", rotation)
		}
		k = open()
		if all := k.Rotating(); len(all) != 1 || all[0] != want {
			t.Errorf("%+v", all)
		}
	}
	second := print(t, k)
	if first[:3] != "+89" || second[:3] != "+83" {
		t.Errorf("tokens %s and %s", first, second)
	}
	if err := k.Destroy("phone", 2); err == nil {
		t.Error("the newer key was destroyed")
	}
	must(t, k.Destroy("phone", 1))
	k = open()
	if print(t, k) != second || len(k.Rotating()) != 0 {
		t.Error("the newer key went with the older one")
	}
	content, err := os.ReadFile(filepath.Join(dir, RingName))
	must(t, err)
	for _, row := range mustDecode(content).Keys {
		if (row.Group == "phone" && row.Epoch == 1) != (row.Key == nil && !row.Destroyed.IsZero()) {
			t.Errorf("%s, epoch %d: key of %d bytes, destroyed %v", row.Group, row.Epoch, len(row.Key), row.Destroyed)
		}
	}
	rotation, err := k.Rotate("phone")
	must(t, err)
	if rotation.To != 3 || print(t, open())[:3] != "+89" {
		t.Errorf("%+v: an epoch was given twice", rotation)
	}
}
