package token

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport"
)

func testTree(t testing.TB) *Tree {
	t.Helper()
	root, err := TreeRoot(zeros{})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := NewTree(DataKey{Epoch: 1, Secret: testRoot(t)}, "name", []TreeNode{root})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// key is a leaf's key, by the definition: from the root, one child after the other.
func (t *Tree) byDefinition(leaf uint64) [TreeKeySize]byte {
	var x [TreeKeySize]byte // testTree's root
	for bit := 63; bit > 0; bit-- {
		y := x
		t.steps[leaf>>bit&1].Encrypt(x[:], y[:])
		xorBlock(&x, y[:])
	}
	return x
}

// TestTree destroys leaves at random, many beside each other, and holds every key that is left to the definition.
func TestTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tree := testTree(t)
		near := rapid.Uint64().Draw(rt, "near")
		leaf := rapid.OneOf(rapid.Uint64(), rapid.Custom(func(rt *rapid.T) uint64 { return near + rapid.Uint64Range(0, 16).Draw(rt, "beside") }), rapid.SampledFrom([]uint64{0, 1<<63 - 1, 1 << 63, 1<<64 - 1}))
		destroyed := map[uint64]bool{}
		for range rapid.IntRange(1, 4).Draw(rt, "times") {
			leaves := rapid.SliceOfN(leaf, 0, 12).Draw(rt, "leaves")
			fresh := map[uint64]bool{}
			for i := range leaves {
				leaves[i] |= 1
				if !destroyed[leaves[i]] {
					fresh[leaves[i]] = true
				}
			}
			nodes, gone := tree.Without(leaves)
			if gone != len(fresh) {
				rt.Fatalf("%d of %d were there", gone, len(fresh))
			}
			if err := tree.Put(nodes); err != nil {
				rt.Fatal(err)
			}
			for at := range fresh {
				destroyed[at] = true
			}
		}
		if tree.Destroyed() != uint64(len(destroyed)) {
			rt.Fatalf("it says %d, not %d", tree.Destroyed(), len(destroyed))
		}
		s := new(scratch)
		asked := append(slices.Sorted(sortedKeys(destroyed)), rapid.SliceOfN(leaf, 1, 20).Draw(rt, "others")...)
		for at := range destroyed {
			asked = append(asked, at^2, at^4, at^1<<40)
		}
		for _, at := range asked {
			at |= 1
			if ok := tree.leaf(s, at); ok == destroyed[at] || ok != tree.Has(at) {
				rt.Fatalf("leaf %x: found %t, destroyed %t", at, ok, destroyed[at])
			} else if ok && s.x != tree.byDefinition(at) {
				rt.Fatalf("leaf %x has another key than before", at)
			}
		}
		// Nothing that is left leads to a leaf that is gone: no node above one is there.
		for _, n := range tree.Nodes() {
			for at := range destroyed {
				if first(n.At) <= at && at <= last(n.At) {
					rt.Fatalf("node %x is above the destroyed leaf %x", n.At, at)
				}
			}
		}
	})
}

func sortedKeys(m map[uint64]bool) func(yield func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestTreeOfNodes: what is read from a file is a tree, or nothing.
func TestTreeOfNodes(t *testing.T) {
	tree := testTree(t)
	for name, nodes := range map[string][]TreeNode{
		"nowhere":      {{At: 0}},
		"out of order": {{At: 3 << 62}, {At: 1 << 62}},
		"overlapping":  {{At: 1 << 62}, {At: treeRoot}},
		"twice":        {{At: 5}, {At: 5}},
	} {
		if err := tree.Put(nodes); err == nil {
			t.Errorf("%s: taken for a tree", name)
		}
	}
	if err := tree.Put(nil); err != nil || tree.Has(1) || tree.Destroyed() != treeRoot {
		t.Error("a tree of nothing has a key")
	}
	for _, verb := range []string{"%v", "%+v", "%s", "%x", "%#v", "%d"} {
		if got := fmt.Sprintf(verb, TreeNode{Key: [TreeKeySize]byte{1}}); got != redacted {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// ownCodec is a column whose tokens have keys of their own.
func ownCodec(t testing.TB, scheme sallyport.Scheme, tree *Tree, name string) *Codec {
	t.Helper()
	key := DataKey{Epoch: 1, Secret: testRoot(t), Tree: tree}
	r, err := NewKeyedRing(Keys{Record: testRoot(t), Groups: map[string][]DataKey{"name": {key}}}, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Codec(Spec{Column: sallyport.Column{Schema: "support", Table: "customers", Name: name}, Scheme: scheme, Group: "name", Shred: ShredCustomer})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOwnKeys: a token whose key was destroyed reveals nothing, though the group's key is there; all others stay readable.
func TestOwnKeys(t *testing.T) {
	for _, scheme := range []sallyport.Scheme{sallyport.Name, sallyport.Text} {
		for _, plain := range []string{"", "J", "Jane Q. Roe", strings.Repeat("x", 16), strings.Repeat("sixteen letters ", 60) + "and some"} {
			tree := testTree(t)
			c := ownCodec(t, scheme, tree, "a")
			mine, others := mustTokenise(t, c, plain), mustTokenise(t, c, plain)
			if !c.IsToken(mine) || len(mine) != len(mustTokenise(t, testCodec(t, scheme), plain)) {
				t.Fatal("the token has another form than one without a key of its own")
			}
			leaf, ok := c.Leaf(mine)
			if !ok || leaf.Group != "name" || leaf.Epoch != 1 || c.Destroyed(mine) {
				t.Fatalf("leaf %v %t", leaf, ok)
			}
			if _, ok := ownCodec(t, scheme, tree, "b").Leaf(mine); ok {
				t.Error("a token of another column names a key to destroy")
			}
			nodes, _ := tree.Without([]uint64{leaf.At})
			if err := tree.Put(nodes); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Reveal(nil, mine); !errors.Is(err, ErrNotToken) || len(got) > 0 {
				t.Errorf("revealed %d bytes of a destroyed token: %v", len(got), err)
			}
			if again, ok := c.Leaf(mine); !ok || again != leaf || !c.Destroyed(mine) || c.Destroyed(others) {
				t.Error("what is destroyed does not show")
			}
			if got, err := c.Reveal(nil, others); err != nil || string(got) != plain {
				t.Errorf("another token: %q, %v", got, err)
			}
			if tok := mustTokenise(t, c, plain); c.Destroyed(tok) {
				t.Error("a new token is born dead")
			}
			if len(plain) > 0 && bytes.Contains(rawOf(t, c, mine), []byte(plain)) {
				t.Error("what the group's key alone opens is the plain text")
			}
		}
	}
}

// rawOf is what whoever has the group's key reads, without the key of the token.
func rawOf(t testing.TB, c *Codec, tok []byte) []byte {
	t.Helper()
	s := new(scratch)
	under, nonce, own := c.forms.Load().sealed.authentic(s, tok)
	if nonce == nil || !own {
		t.Fatal("the group's key does not open the seal")
	}
	return bytes.Clone(under)
}

// TestOwnKeysAndOthers: a column that came to ask for keys of their own reads its older tokens, and one that ceased to reads those.
func TestOwnKeysAndOthers(t *testing.T) {
	tree := testTree(t)
	own := ownCodec(t, sallyport.Name, tree, "a")
	spec := own.Spec()
	spec.Shred = ""
	plain, err := own.ring.Codec(spec)
	if err != nil {
		t.Fatal(err)
	}
	a, b := mustTokenise(t, own, "Jane Roe"), mustTokenise(t, plain, "Jane Roe")
	for _, c := range []*Codec{own, plain} {
		for _, tok := range [][]byte{a, b} {
			if got, err := c.Reveal(nil, tok); err != nil || string(got) != "Jane Roe" {
				t.Errorf("%q, %v", got, err)
			}
		}
	}
	if _, ok := own.Leaf(b); ok || own.Destroyed(b) {
		t.Error("a token without a key of its own names one")
	}
	if !bytes.Equal(a[:NamePrefixLen], b[:NamePrefixLen]) {
		t.Error("a search finds one of the two only")
	}
	altered := bytes.Clone(a)
	altered[len(altered)-3] ^= 1
	if _, ok := own.Leaf(altered); ok {
		t.Error("an altered token names a key to destroy")
	}
	none := ownCodec(t, sallyport.Name, nil, "a")
	if _, err := none.Tokenise(nil, []byte("Jane Roe"), rand.Reader); err == nil {
		t.Error("tokenised without a tree")
	}
	if _, err := none.Reveal(nil, a); !errors.Is(err, ErrNotToken) || !none.Destroyed(a) {
		t.Errorf("without a tree: %v", err)
	}
	for _, bad := range []Spec{{Scheme: sallyport.Email, Shred: ShredCustomer}, {Scheme: sallyport.Name, Shred: "staff"}} {
		bad.Column = spec.Column
		if _, err := testRing(t).Codec(bad); err == nil {
			t.Errorf("%s with shred %q is accepted", bad.Scheme, bad.Shred)
		}
	}
}

// TestOwnKeysRenewed: under the next epoch's key a token keeps its handle and has another key of its own.
func TestOwnKeysRenewed(t *testing.T) {
	older, newer := testTree(t), testTree(t)
	keys := Keys{Record: testRoot(t), Groups: map[string][]DataKey{"own": {{Epoch: 1, Secret: testRoot(t), Tree: older}}}}
	r, err := NewKeyedRing(keys, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Codec(Spec{Column: sallyport.Column{Schema: "s", Table: "t", Name: "c"}, Scheme: sallyport.Text, Group: "own", Shred: ShredCustomer})
	if err != nil {
		t.Fatal(err)
	}
	kept, gone := mustTokenise(t, c, "kept"), mustTokenise(t, c, "gone")
	next := epochKey(t, 2)
	next.Tree = newer
	keys.Groups = map[string][]DataKey{"own": {next, {Epoch: 1, Secret: testRoot(t), Tree: older}}}
	if err := r.Rekey(keys); err != nil {
		t.Fatal(err)
	}
	leaf, _ := c.Leaf(gone)
	nodes, _ := older.Without([]uint64{leaf.At})
	if err := older.Put(nodes); err != nil {
		t.Fatal(err)
	}
	renewed, changed, err := c.Renew(nil, kept, rand.Reader)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	before, _ := Handle(kept)
	if after, _ := Handle(renewed); after != before {
		t.Error("it has another handle")
	}
	if got, err := c.Reveal(nil, renewed); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
	if now, _ := c.Leaf(renewed); now.Epoch != 2 || now.At != LeafOf(before) {
		t.Errorf("leaf %v", now)
	}
	if _, _, err := c.Renew(nil, gone, rand.Reader); !errors.Is(err, ErrNotToken) {
		t.Errorf("a destroyed token was renewed: %v", err)
	}
	// A handle whose key is gone in the newer tree, too, is given to no token.
	nodes, _ = newer.Without([]uint64{LeafOf(before)})
	if err := newer.Put(nodes); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Renew(nil, kept, rand.Reader); err == nil {
		t.Error("a token was made with a destroyed key")
	}
}

// TestOwnKeysExample fixes a token for ever: it is on the page of names.
func TestOwnKeysExample(t *testing.T) {
	const plain, want = "Jane Q. Roe", "tk1:A37s6rHP08M8E5UaEgAAAAAAAAAAAAAAADoyhUyLoHJibHpMqxGtahrmuxCE21vwd4yDhg"
	c := ownCodec(t, sallyport.Name, testTree(t), "name")
	if tok, err := c.Tokenise(nil, []byte(plain), zeros{}); err != nil || string(tok) != want {
		t.Errorf("token %s, %v, want %s", tok, err, want)
	}
	if got, err := c.Reveal(nil, []byte(want)); err != nil || string(got) != plain {
		t.Errorf("revealed %q, %v", got, err)
	}
	if page, err := os.ReadFile(filepath.Join("..", "docs", "tokens", "name.md")); err != nil || !strings.Contains(string(page), "\n    "+plain+"\n    "+want+"\n") {
		t.Errorf("the page of names lacks the example: %v", err)
	}
}

func TestOwnKeysNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools drop things at random")
	}
	c := ownCodec(t, sallyport.Name, manyDestroyed(t, 1000), "a")
	room, value := make([]byte, 0, 4096), []byte("Jane Q. Roe")
	tok := mustTokenise(t, c, string(value))
	for name, f := range map[string]func(){
		"Tokenise":  func() { _, _ = c.Tokenise(room, value, zeros{}) },
		"Reveal":    func() { _, _ = c.Reveal(room, tok) },
		"Leaf":      func() { c.Leaf(tok) },
		"Destroyed": func() { c.Destroyed(tok) },
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func manyDestroyed(t testing.TB, n int) *Tree {
	t.Helper()
	tree, random := testTree(t), mathrand.New(mathrand.NewPCG(1, 2)) //nolint:gosec // which are destroyed does not matter
	leaves := make([]uint64, n)
	for i := range leaves {
		leaves[i] = random.Uint64() | 1
	}
	nodes, _ := tree.Without(leaves)
	if err := tree.Put(nodes); err != nil {
		t.Fatal(err)
	}
	return tree
}

// BenchmarkOwnKeys reveals names with keys of their own beside those without, at random handles, after so many were destroyed.
func BenchmarkOwnKeys(b *testing.B) {
	const many = 1 << 14
	room := make([]byte, 0, 4096)
	reveal := func(c *Codec) func(b *testing.B) {
		return func(b *testing.B) {
			tokens := make([][]byte, many)
			for i := range tokens {
				tokens[i] = mustTokenise(b, c, "Jane Q. Roe")
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := c.Reveal(room, tokens[i%many]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		}
	}
	b.Run("none", reveal(testCodec(b, sallyport.Name)))
	for _, n := range []int{0, 10_000, 100_000} {
		tree := manyDestroyed(b, n)
		b.Run(fmt.Sprintf("destroyed=%d", n), reveal(ownCodec(b, sallyport.Name, tree, "a")))
		b.Run(fmt.Sprintf("destroyed=%d/destroy", n), func(b *testing.B) {
			for b.Loop() {
				var leaf [8]byte
				if _, err := rand.Read(leaf[:]); err != nil {
					b.Fatal(err)
				}
				nodes, _ := tree.Without([]uint64{binary.LittleEndian.Uint64(leaf[:]) | 1})
				if err := tree.Put(nodes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(tree.Nodes()))/float64(tree.Destroyed()), "nodes/destroyed")
		})
	}
}
