package token

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sync/atomic"

	"sallyport"
)

// Tree has a key for each handle, and any of them can be destroyed for good without touching the others. It is the tree of Goldreich,
// Goldwasser and Micali: the key of a node makes those of its two children, one way, and a handle's key is the leaf to which the first
// 63 bits of the handle lead from the root. To destroy a leaf is to forget every node above it and to keep, instead, those that branch
// off on the way. So a tree nothing of which was destroyed is one key of 16 bytes, however many tokens there are, and making and
// revealing one asks no table.
//
// A node's key is x; its children are π0(x) ⊕ x and π1(x) ⊕ x, where π0 and π1 are AES-256 under two keys of the join group's epoch. A
// leaf x gives pads π2(x ⊕ t) ⊕ x ⊕ t for t = (the handle's other bits, a counter).
//
// It is safe for concurrent use, also while Put exchanges the nodes.
type Tree struct {
	steps [2]cipher.Block // π0 and π1
	last  cipher.Block    // π2
	now   atomic.Pointer[canopy]
}

// TreeNode is a node with its key. At is the way to it, bit by bit from the root, then 1, then zeros: so nodes stand in the order of
// their leaves, and the root is 1<<63.
type TreeNode struct {
	At  uint64
	Key [TreeKeySize]byte
}

// TreeKeySize is the length of a node's key in bytes.
const TreeKeySize = 16

// Format redacts under every verb.
func (TreeNode) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(redacted)) }

// treeRoot is the place of the root.
const treeRoot = 1 << 63

// TreeRoot makes the only node of a new tree.
func TreeRoot(random io.Reader) (TreeNode, error) {
	n := TreeNode{At: treeRoot}
	if _, err := io.ReadFull(random, n.Key[:]); err != nil {
		return n, fmt.Errorf("make a tree of keys: read randomness: %w", err)
	}
	return n, nil
}

// NewTree makes the tree of a join group in one epoch from what is left of it.
func NewTree(key DataKey, group string, nodes []TreeNode) (*Tree, error) {
	t := &Tree{}
	var err error
	for purpose, block := range map[string]*cipher.Block{"tree 0": &t.steps[0], "tree 1": &t.steps[1], "tree pad": &t.last} {
		if *block, err = key.deriveBlock(purpose, group, ""); err != nil {
			return nil, err
		}
	}
	return t, t.Put(nodes)
}

// TreeBlock is AES under the key that a tree is kept with.
func (k DataKey) TreeBlock(group string) (cipher.Block, error) {
	return k.deriveBlock("tree file", group, "")
}

// LeafOf is the place of a handle's key.
func LeafOf(handle [HandleSize]byte) uint64 { return binary.LittleEndian.Uint64(handle[:]) | 1 }

// errTree is for nodes that are none of one tree.
var errTree = errors.New("make a tree of keys: its nodes overlap or are out of order")

// Put exchanges the nodes for what Without left of them.
func (t *Tree) Put(nodes []TreeNode) error {
	for i, n := range nodes {
		if n.At == 0 || i > 0 && last(nodes[i-1].At) >= first(n.At) {
			return errTree
		}
	}
	t.now.Store(t.newCanopy(nodes))
	return nil
}

// Nodes is all that is left of the tree.
func (t *Tree) Nodes() []TreeNode { return t.now.Load().nodes }

// Destroyed is how many leaves are gone.
func (t *Tree) Destroyed() uint64 { return t.now.Load().gone }

// Without is what is left of the tree without some leaves, and how many of these were there.
func (t *Tree) Without(leaves []uint64) (left []TreeNode, gone int) {
	leaves = slices.Compact(slices.Sorted(slices.Values(leaves)))
	nodes := t.Nodes()
	left = make([]TreeNode, 0, len(nodes)+64*len(leaves))
	for _, n := range nodes {
		for len(leaves) > 0 && leaves[0] < first(n.At) { // gone before
			leaves = leaves[1:]
		}
		within := 0
		for within < len(leaves) && leaves[within] <= last(n.At) {
			within++
		}
		left = t.split(left, n, leaves[:within])
		leaves, gone = leaves[within:], gone+within
	}
	return left, gone
}

// split appends what is left of a node without leaves of its own, which are in order.
func (t *Tree) split(left []TreeNode, n TreeNode, leaves []uint64) []TreeNode {
	if len(leaves) == 0 {
		return append(left, n)
	}
	if n.At&1 == 1 {
		return left
	}
	middle, _ := slices.BinarySearch(leaves, n.At)
	return t.split(t.split(left, t.child(n, 0), leaves[:middle]), t.child(n, 1), leaves[middle:])
}

// child is the left or the right one.
func (t *Tree) child(n TreeNode, right uint64) TreeNode {
	half := lowest(n.At) >> 1
	c := TreeNode{At: n.At - half + right*(half<<1)}
	t.steps[right].Encrypt(c.Key[:], n.Key[:])
	xorBlock(&c.Key, n.Key[:])
	return c
}

func lowest(at uint64) uint64 { return at & -at }

// first and last are the outermost leaves under a node.
func first(at uint64) uint64 { return at - lowest(at) + 1 }
func last(at uint64) uint64  { return at + lowest(at) - 1 }

// canopy is what is left of a tree, made ready for looking up. It does not change.
type canopy struct {
	nodes []TreeNode
	gone  uint64
	tops  []top // all nodes so many steps from the root
}

// top is a node near the root: its key where it can be made, else what is left under it.
type top struct {
	key      [TreeKeySize]byte
	whole    bool
	from, to int32 // in nodes
}

const (
	topSteps = 12
	topShift = 64 - topSteps
	topLow   = 1 << (topShift - 1) // the lowest bit of a top's place
)

func (t *Tree) newCanopy(nodes []TreeNode) *canopy {
	c := &canopy{nodes: nodes, gone: treeRoot, tops: make([]top, 1<<topSteps)}
	for i, n := range nodes {
		c.gone -= lowest(n.At)
		if lowest(n.At) >= topLow {
			t.ready(c, n)
			continue
		}
		under := &c.tops[n.At>>topShift]
		if under.to == 0 {
			under.from = int32(i) //nolint:gosec // bounded by the file of keys
		}
		under.to = int32(i) + 1 //nolint:gosec // likewise
	}
	return c
}

// ready makes the tops under a node.
func (t *Tree) ready(c *canopy, n TreeNode) {
	if lowest(n.At) == topLow {
		c.tops[n.At>>topShift] = top{key: n.Key, whole: true}
		return
	}
	t.ready(c, t.child(n, 0))
	t.ready(c, t.child(n, 1))
}

// over is the lowest node that is left over a leaf; its key comes to s.x.
func (c *canopy) over(s *scratch, leaf uint64) (at uint64, ok bool) {
	top := &c.tops[leaf>>topShift]
	if top.whole {
		s.x = top.key
		return leaf>>topShift<<topShift | topLow, true
	}
	under := c.nodes[top.from:top.to]
	low, high := 0, len(under) // the first whose last leaf is not in front of this one
	for low < high {
		middle := int(uint(low+high) >> 1) //nolint:gosec // lengths
		if last(under[middle].At) < leaf {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(under) || first(under[low].At) > leaf {
		return 0, false
	}
	s.x = under[low].Key
	return under[low].At, true
}

// leaf leaves a leaf's key in s.x; false: it was destroyed.
func (t *Tree) leaf(s *scratch, leaf uint64) bool {
	at, ok := t.now.Load().over(s, leaf)
	if !ok {
		return false
	}
	for steps := bits.TrailingZeros64(at); steps > 0; steps-- {
		s.y = s.x
		t.steps[leaf>>steps&1].Encrypt(s.x[:], s.x[:])
		xorBlock(&s.x, s.y[:])
	}
	return true
}

// Has tells whether the key of a leaf is there.
func (t *Tree) Has(leaf uint64) bool {
	var s scratch
	_, ok := t.now.Load().over(&s, leaf)
	return ok
}

// pad combines a text with the pads of a handle: what was plain is hidden, and what was hidden is plain. false: the key was destroyed,
// and the text is as it was.
func (t *Tree) pad(s *scratch, handle, text []byte) bool {
	if !t.leaf(s, binary.LittleEndian.Uint64(handle)|1) {
		return false
	}
	key := s.x
	xor32(key[:4], handle[8:])
	low := binary.BigEndian.Uint64(key[8:])
	for n := uint64(0); len(text) > 0; n++ {
		binary.BigEndian.PutUint64(key[8:], low^n)
		s.y = key
		t.last.Encrypt(s.x[:], s.y[:])
		xorBlock(&s.x, s.y[:])
		if len(text) < len(s.x) {
			for i := range text {
				text[i] ^= s.x[i]
			}
			break
		}
		xorText(text, &s.x)
		text = text[len(s.x):]
	}
	return true
}

func xor32(dst, src []byte) {
	binary.LittleEndian.PutUint32(dst, binary.LittleEndian.Uint32(dst)^binary.LittleEndian.Uint32(src))
}

// xorText is text[:16] ^= pad.
func xorText(text []byte, pad *[16]byte) {
	_ = text[15]
	binary.LittleEndian.PutUint64(text[:8], binary.LittleEndian.Uint64(text[:8])^binary.LittleEndian.Uint64(pad[:8]))
	binary.LittleEndian.PutUint64(text[8:16], binary.LittleEndian.Uint64(text[8:16])^binary.LittleEndian.Uint64(pad[8:]))
}

// Leaf is the key of its own that a token has, whether it is there still or not. Only a token that was made for this very column
// counts: who writes another column's token where it does not belong, or makes one up, destroys nothing with it.
func (c *Codec) Leaf(tok []byte) (sallyport.Leaf, bool) {
	f := c.forms.Load().holds(tok)
	if f == nil || f.sealed == nil || !f.sealed.made(tok) {
		return sallyport.Leaf{}, false
	}
	handle, ok := Handle(tok)
	return sallyport.Leaf{Group: c.spec.Group, Epoch: f.epoch, At: LeafOf(handle)}, ok
}

// Destroyed tells by form whether a token has a key of its own, and that is gone.
func (c *Codec) Destroyed(tok []byte) bool {
	f := c.forms.Load().holds(tok)
	if f == nil || f.sealed == nil || !hasOwn(tok) {
		return false
	}
	handle, ok := Handle(tok)
	return ok && (f.sealed.tree == nil || !f.sealed.tree.Has(LeafOf(handle)))
}

// OwnKeys tells whether each new token of the column has a key of its own.
func (c *Codec) OwnKeys() bool { return c.spec.Shred != "" }

// forgotten is the tree of keys that are made of one secret: for those who need no more than the tokens' form, and for examples.
func (k DataKey) forgotten(group string) (*Tree, error) {
	root := TreeNode{At: treeRoot}
	key, err := k.derive(TreeKeySize, "tree of one secret", group, sallyport.Scheme(""))
	if err != nil {
		return nil, err
	}
	copy(root.Key[:], key)
	return NewTree(k, group, []TreeNode{root})
}
