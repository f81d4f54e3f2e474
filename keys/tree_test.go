package keys

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/token"
)

// names is a column whose tokens have keys of their own, under a keyring.
func names(t *testing.T, k *Keyring) *token.Codec {
	t.Helper()
	r, err := token.NewKeyedRing(k.Keys(), token.Settings{})
	must(t, err)
	c, err := r.Codec(token.Spec{Column: sallyport.Column{Schema: "s", Table: "t", Name: "c"}, Scheme: sallyport.Name, Group: "name", Shred: token.ShredCustomer})
	must(t, err)
	return c
}

func tokenOf(t *testing.T, c *token.Codec, plain string) (string, sallyport.Leaf) {
	t.Helper()
	tok, err := c.Tokenise(nil, []byte(plain), rand.Reader)
	must(t, err)
	leaf, ok := c.Leaf(tok)
	if !ok {
		t.Fatal("a token without a key of its own")
	}
	return string(tok), leaf
}

func reads(c *token.Codec, tok string) bool {
	_, err := c.Reveal(nil, []byte(tok))
	return err == nil
}

// treeOptions are those of a serve in which names have keys of their own.
func treeOptions(t *testing.T) Options {
	t.Helper()
	dir, keyFile := places(t)
	return Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"name", "email"}, Make: true, Own: []string{"name"}}
}

// TestDestroyLeaves: what was destroyed is out of the codecs that are in use, out of the file and out of every later start; a copy of the file from
// before still has it, which is what backups of keys are about, until the record's list was gone through again.
func TestDestroyLeaves(t *testing.T) {
	o := treeOptions(t)
	k, err := Open(t.Context(), o)
	must(t, err)
	c := names(t, k)
	mine, leaf := tokenOf(t, c, "Jane Roe")
	other, _ := tokenOf(t, c, "John Doe")
	path := filepath.Join(o.Dir, TreeName)
	copied, err := os.ReadFile(path)
	must(t, err)

	must(t, os.WriteFile(path+".tmp", []byte("what a crash left"), 0o600))
	leaves := []sallyport.Leaf{leaf, leaf, {Group: "email", Epoch: 1, At: leaf.At}, {Group: "name", Epoch: 7, At: 1}}
	if gone, err := k.DestroyLeaves(leaves); err != nil || gone != 1 {
		t.Fatalf("%d gone, %v", gone, err)
	}
	if gone, err := k.DestroyLeaves(leaves); err != nil || gone != 0 {
		t.Errorf("once more: %d gone, %v", gone, err)
	}
	if reads(c, mine) || !reads(c, other) || len(k.Standing(leaves)) != 0 {
		t.Error("in use: the wrong tokens are read")
	}
	entries, err := os.ReadDir(o.Dir)
	must(t, err)
	for _, e := range entries {
		if content, err := os.ReadFile(filepath.Join(o.Dir, e.Name())); err != nil || e.Name() != RingName && e.Name() != TreeName || bytes.Contains(content, copied[len(treeMark):]) {
			t.Errorf("%s is left in the folder, or holds what was destroyed: %v", e.Name(), err)
		}
	}
	o.Make = false
	k, err = Open(t.Context(), o)
	must(t, err)
	if reads(names(t, k), mine) || !reads(names(t, k), other) {
		t.Error("after a start: the wrong tokens are read")
	}

	must(t, os.WriteFile(path, copied, 0o600))
	if gone, err := k.DestroyLeaves([]sallyport.Leaf{leaf}); err != nil || gone != 0 || reads(names(t, k), mine) {
		t.Errorf("an older file under a keyring in use brought a key back: %d, %v", gone, err)
	}
	must(t, os.WriteFile(path, copied, 0o600))
	k, err = Open(t.Context(), o)
	must(t, err)
	if !reads(names(t, k), mine) || len(k.Standing(leaves)) != 2 {
		t.Error("the file from before does not read what was destroyed later")
	}
	if gone, err := k.DestroyLeaves([]sallyport.Leaf{leaf}); err != nil || gone != 1 || reads(names(t, k), mine) {
		t.Errorf("destroyed again: %d gone, %v", gone, err)
	}
}

// TestTreesFile: a file that is not as it was written is an error, and never made anew.
func TestTreesFile(t *testing.T) {
	o := treeOptions(t)
	k, err := Open(t.Context(), o)
	must(t, err)
	second := o
	second.Tenant = "second"
	_, err = Open(t.Context(), second)
	must(t, err)
	tok, _ := tokenOf(t, names(t, k), "Jane Roe")
	path := filepath.Join(o.Dir, TreeName)
	whole, err := os.ReadFile(path)
	must(t, err)
	sections, err := decodeTrees(whole)
	must(t, err)
	if len(sections) != 2 {
		t.Fatalf("%d trees", len(sections))
	}
	swapped := []byte(treeMark)
	sections[0].sealed, sections[1].sealed = sections[1].sealed, sections[0].sealed
	for i := range sections {
		swapped = sections[i].appendTo(swapped)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for name, content := range map[string][]byte{"empty": {}, "other": []byte("something else"), "no trees": []byte(treeMark), "torn": whole[:len(whole)-9], "short": whole[:len(treeMark)+3], "swapped": swapped, "flipped": flipped} {
		must(t, os.WriteFile(path, content, 0o600))
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), TreeName) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
			t.Errorf("%s: the file was changed: %v", name, err)
		}
	}
	must(t, os.Remove(path))
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("missing: %v", err)
	}
	must(t, os.WriteFile(path, whole, 0o600))
	k, err = Open(t.Context(), o)
	must(t, err)
	if !reads(names(t, k), tok) {
		t.Error("the file is back, and the token is not read")
	}
}

// TestTreesLater: a group can ask for keys of single tokens at any time, also after a crash in the middle of it; another provider changes nothing.
func TestTreesLater(t *testing.T) {
	o := treeOptions(t)
	o.Own = nil
	k, err := Open(t.Context(), o)
	must(t, err)
	before := phone(t, k, "email")
	if _, err := os.Stat(filepath.Join(o.Dir, TreeName)); err == nil {
		t.Error("a tree that nobody asked for")
	}
	must(t, k.sow("name", k.Keys().Groups["name"][0])) // and the ring was not written any more
	o.Make, o.Own = false, []string{"name"}
	k, err = Open(t.Context(), o)
	must(t, err)
	tok, leaf := tokenOf(t, names(t, k), "Jane Roe")
	kept, _ := tokenOf(t, names(t, k), "John Doe")
	_, err = k.DestroyLeaves([]sallyport.Leaf{leaf})
	must(t, err)
	other := filepath.Join(t.TempDir(), "other.txt")
	_, err = Rewrap(t.Context(), Options{Dir: o.Dir, Provider: o.Provider}, &KeyFile{Path: other, Dir: o.Dir})
	must(t, err)
	o.Provider, o.Own = &KeyFile{Path: other, Dir: o.Dir}, nil
	k, err = Open(t.Context(), o)
	must(t, err)
	if reads(names(t, k), tok) || !reads(names(t, k), kept) || phone(t, k, "email") != before {
		t.Error("under another provider the wrong tokens are read")
	}
	status, err := Look(o.Dir)
	must(t, err)
	for _, key := range status.Keys {
		if key.Own != (key.Group == "name") {
			t.Errorf("group %q: own %t", key.Group, key.Own)
		}
	}
}

// TestTreesRotated: each epoch has a tree of its own, and the older one goes with its key.
func TestTreesRotated(t *testing.T) {
	o := treeOptions(t)
	k, err := Open(t.Context(), o)
	must(t, err)
	_, gone := tokenOf(t, names(t, k), "Jane Roe")
	old, leaf := tokenOf(t, names(t, k), "John Doe")
	_, err = k.DestroyLeaves([]sallyport.Leaf{gone})
	must(t, err)
	_, err = k.Rotate("name")
	must(t, err)
	for range 2 { // as it is and after a start
		c := names(t, k)
		renewed, changed, err := c.Renew(nil, []byte(old), rand.Reader)
		if err != nil || !changed || !reads(c, string(renewed)) || len(k.Epochs("name")) != 2 {
			t.Fatalf("renewed %t, %v, epochs %v", changed, err, k.Epochs("name"))
		}
		if now, _ := c.Leaf(renewed); now.Epoch != 2 || now.At != leaf.At {
			t.Errorf("leaf %v", now)
		}
		k, err = Open(t.Context(), o)
		must(t, err)
	}
	must(t, k.Destroy("name", 1))
	sections, err := readTrees(filepath.Join(o.Dir, TreeName))
	must(t, err)
	if len(sections) != 1 || sections[0].epoch != 2 || len(k.Epochs("name")) != 1 {
		t.Errorf("%d trees, epochs %v", len(sections), k.Epochs("name"))
	}
	if n, err := k.DestroyLeaves([]sallyport.Leaf{leaf}); n != 0 || err != nil {
		t.Errorf("of an epoch that is gone: %d, %v", n, err)
	}
	k, err = Open(t.Context(), o)
	must(t, err)
	if tok, _ := tokenOf(t, names(t, k), "Ann Other"); !reads(names(t, k), tok) || reads(names(t, k), old) {
		t.Error("after the older key is gone the wrong tokens are read")
	}
}

// TestTreesBounded refuses to write what it would not read again.
func TestTreesBounded(t *testing.T) {
	o := treeOptions(t)
	_, err := Open(t.Context(), o)
	must(t, err)
	if err := bounded("name", maxTrees/nodeSize); err == nil || !strings.Contains(err.Error(), "rotate the group") || bounded("name", 1_000_000) != nil {
		t.Errorf("got %v", err)
	}
	if _, err := readWhole(filepath.Join(o.Dir, TreeName), 10); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a longer file was read: %v", err)
	}
}

func FuzzTrees(f *testing.F) {
	f.Add([]byte(treeMark))
	f.Add((&section{treeID{"main", "name", 1}, []byte("sealed")}).appendTo([]byte(treeMark)))
	f.Fuzz(func(t *testing.T, content []byte) {
		sections, err := decodeTrees(content)
		if err != nil {
			return
		}
		again := []byte(treeMark)
		for i := range sections {
			again = sections[i].appendTo(again)
		}
		if !bytes.Equal(again, content) {
			t.Error("what was read is written in another way")
		}
	})
}
