package keys

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sallyport"
	"sallyport/token"
)

// TreeName is the file in DIR with the keys of single tokens, beside the ring; docs/keys.md has its format. The ring says which of its
// keys have such a tree: one that is missing is never made anew, since tokens may be made with it.
const TreeName = "keys.tree"

const (
	// treeMark is the first line of the file: what it is, and the version of its format.
	treeMark = "sallyport key trees 1\n"
	// maxTrees bounds the file. So much is left of a tree of which about a million keys were destroyed.
	maxTrees = 1 << 30
	nodeSize = 8 + token.TreeKeySize
)

// treeID says which data key a tree belongs to.
type treeID struct {
	tenant, group string
	epoch         int
}

// section is one tree of the file, sealed with a key that comes from its data key.
type section struct {
	treeID
	sealed []byte
}

// identity binds a section to its place.
func (t treeID) identity() []byte {
	return append([]byte("tree of "), (&keyRow{Tenant: t.tenant, Group: t.group, Epoch: t.epoch}).identity()...)
}

func (k *Keyring) treeID(group string, epoch int) treeID { return treeID{k.tenant, group, epoch} }

// openTrees reads the trees that the ring speaks of.
func (k *Keyring) openTrees() error {
	rows := slices.DeleteFunc(slices.Clone(k.ring.Keys), func(r keyRow) bool { return r.Tenant != k.tenant || !r.Tree || r.Key == nil })
	if len(rows) == 0 {
		return nil
	}
	sections, err := readTrees(k.treePath)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open %s: it is missing, and tokens were made with the keys in it: restore it from a backup", k.treePath)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", k.treePath, err)
	}
	for _, row := range rows {
		if _, err := k.treeIn(sections, k.treeID(row.Group, row.Epoch)); err != nil {
			return fmt.Errorf("open %s: %w", k.treePath, err)
		}
	}
	k.attach()
	return nil
}

// treeIn opens the tree of a data key. Where it is open already it stays the same one, and no key comes back that was destroyed.
func (k *Keyring) treeIn(sections []section, id treeID) (*token.Tree, error) {
	i := slices.IndexFunc(sections, func(s section) bool { return s.treeID == id })
	at := slices.IndexFunc(k.secrets, func(s secret) bool { return s.group == id.group && s.key.Epoch == id.epoch })
	if i < 0 || at < 0 {
		return nil, fmt.Errorf("it has no keys of single tokens of the join group %s, epoch %d, and tokens were made with them: restore it from a backup", id.group, id.epoch)
	}
	nodes, err := openNodes(k.secrets[at].key, &sections[i])
	if err != nil {
		return nil, err
	}
	tree, err := token.NewTree(k.secrets[at].key, id.group, nodes)
	if err != nil {
		return nil, err
	}
	switch have := k.trees[id]; {
	case have == nil:
		k.trees[id] = tree
	case tree.Destroyed() > have.Destroyed():
		if err := have.Put(nodes); err != nil {
			return nil, err
		}
	}
	return k.trees[id], nil
}

// attach gives the data keys their trees.
func (k *Keyring) attach() {
	for i := range k.secrets {
		k.secrets[i].key.Tree = k.trees[k.treeID(k.secrets[i].group, k.secrets[i].key.Epoch)]
	}
}

// plant makes trees for all keys of some groups that have none. A tree is on stable storage before the ring speaks of it, and the ring
// does before any token is made with it; so what a crash leaves of one is nobody's, and is made anew.
func (k *Keyring) plant(groups []string) error {
	next, planted := k.next(), []*keyRow{}
	for i := range next.Keys {
		row := &next.Keys[i]
		if row.Tenant == k.tenant && row.Key != nil && !row.Tree && slices.Contains(groups, row.Group) {
			planted = append(planted, row)
		}
	}
	if len(planted) == 0 {
		return nil
	}
	for _, row := range planted {
		i := slices.IndexFunc(k.secrets, func(s secret) bool { return s.group == row.Group && s.key.Epoch == row.Epoch })
		if i < 0 {
			return fmt.Errorf("make keys of single tokens: the join group %s has no key of epoch %d", row.Group, row.Epoch)
		}
		if err := k.sow(row.Group, k.secrets[i].key); err != nil {
			return err
		}
		row.Tree = true
	}
	if err := k.store(next); err != nil {
		for _, row := range planted {
			delete(k.trees, k.treeID(row.Group, row.Epoch))
		}
		return err
	}
	return nil
}

// sow puts a new tree into the file.
func (k *Keyring) sow(group string, key token.DataKey) error {
	root, err := token.TreeRoot(rand.Reader)
	if err != nil {
		return err
	}
	id := k.treeID(group, key.Epoch)
	fresh, err := sealNodes(key, id, []token.TreeNode{root})
	if err != nil {
		return err
	}
	err = k.exchangeTrees(func(sections []section) ([]section, error) {
		return append(slices.DeleteFunc(sections, func(s section) bool { return s.treeID == id }), fresh), nil
	})
	if err != nil {
		return fmt.Errorf("make keys of single tokens: %w", err)
	}
	k.trees[id], err = token.NewTree(key, group, []token.TreeNode{root})
	return err
}

// fell takes the tree of a destroyed data key out of the file. Without that key it is worth nothing.
func (k *Keyring) fell(group string, epoch int) error {
	id := k.treeID(group, epoch)
	if k.trees[id] == nil {
		return nil
	}
	delete(k.trees, id)
	return k.exchangeTrees(func(sections []section) ([]section, error) {
		return slices.DeleteFunc(sections, func(s section) bool { return s.treeID == id }), nil
	})
}

// DestroyLeaves destroys the keys of single tokens, all of them or, where an error comes back, none; how many were there is given. They
// are out of the file, on stable storage, when it returns, and out of every token.Ring that this keyring's keys are in. Leaves whose
// epoch is gone are gone with it.
func (k *Keyring) DestroyLeaves(leaves []sallyport.Leaf) (gone int, err error) {
	of := map[treeID][]uint64{}
	for _, l := range leaves {
		if id := k.treeID(l.Group, l.Epoch); k.trees[id] != nil {
			of[id] = append(of[id], l.At)
		}
	}
	if len(of) == 0 {
		return 0, nil
	}
	left := map[treeID][]token.TreeNode{}
	err = k.exchangeTrees(func(sections []section) ([]section, error) {
		for id := range of {
			tree, err := k.treeIn(sections, id)
			if err != nil {
				return nil, err
			}
			nodes, n := tree.Without(of[id])
			// Also where nothing is new to the tree in memory: the file may be an older one.
			i := slices.IndexFunc(sections, func(s section) bool { return s.treeID == id })
			at := slices.IndexFunc(k.secrets, func(s secret) bool { return s.group == id.group && s.key.Epoch == id.epoch })
			if sections[i], err = sealNodes(k.secrets[at].key, id, nodes); err != nil {
				return nil, err
			}
			left[id], gone = nodes, gone+n
		}
		return sections, nil
	})
	if err != nil {
		return 0, err
	}
	for id, nodes := range left {
		if err := k.trees[id].Put(nodes); err != nil {
			return 0, err
		}
	}
	return gone, nil
}

// Standing are those of some leaves whose keys are there.
func (k *Keyring) Standing(leaves []sallyport.Leaf) (there []sallyport.Leaf) {
	for _, l := range leaves {
		if tree := k.trees[k.treeID(l.Group, l.Epoch)]; tree != nil && tree.Has(l.At) {
			there = append(there, l)
		}
	}
	return there
}

// Epochs are the epochs in which a group has keys of single tokens.
func (k *Keyring) Epochs(group string) (epochs []int) {
	for id := range k.trees {
		if id.group == group {
			epochs = append(epochs, id.epoch)
		}
	}
	slices.Sort(epochs)
	return epochs
}

// exchangeTrees replaces the file. What is in it counts, whoever wrote it last.
func (k *Keyring) exchangeTrees(change func([]section) ([]section, error)) error {
	return exclusively(filepath.Dir(k.treePath), func() error {
		sections, err := readTrees(k.treePath)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %w", k.treePath, err)
		}
		if sections, err = change(sections); err != nil {
			return err
		}
		content := []byte(treeMark)
		for _, s := range sections {
			content = s.appendTo(content)
		}
		if len(content) > maxTrees {
			return fmt.Errorf("change %s: it would be larger than %d bytes: rotate the keys of the join group, which begins a new one", k.treePath, maxTrees)
		}
		if err := replace(k.treePath, content); err != nil {
			return fmt.Errorf("change %s: %w", k.treePath, err)
		}
		return nil
	})
}

func (s *section) appendTo(content []byte) []byte {
	for _, part := range []string{s.tenant, s.group} {
		content = binary.BigEndian.AppendUint32(content, uint32(len(part))) //nolint:gosec // names of a configuration
		content = append(content, part...)
	}
	content = binary.BigEndian.AppendUint32(content, uint32(s.epoch))       //nolint:gosec // 1 to 255
	content = binary.BigEndian.AppendUint32(content, uint32(len(s.sealed))) //nolint:gosec // within maxTrees
	return append(content, s.sealed...)
}

func readTrees(path string) ([]section, error) {
	content, err := readWhole(path, maxTrees)
	if err != nil {
		return nil, err
	}
	return decodeTrees(content)
}

// decodeTrees reads a file. The sections point into it.
func decodeTrees(content []byte) (sections []section, err error) {
	rest, ok := bytes.CutPrefix(content, []byte(treeMark))
	if !ok {
		return nil, errors.New("it is damaged, or of a later version")
	}
	number := func() (n int) {
		if len(rest) < 4 {
			err, rest = errDamaged, nil
			return 0
		}
		n, rest = int(binary.BigEndian.Uint32(rest)), rest[4:]
		return n
	}
	part := func() (p []byte) {
		n := number()
		if n > len(rest) {
			err, rest = errDamaged, nil
			return nil
		}
		p, rest = rest[:n:n], rest[n:]
		return p
	}
	for len(rest) > 0 {
		s := section{treeID: treeID{tenant: string(part()), group: string(part())}}
		s.epoch, s.sealed = number(), part()
		if err != nil {
			return nil, err
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// sealer seals the trees of one data key.
func sealer(key token.DataKey, group string) (cipher.AEAD, error) {
	block, err := key.TreeBlock(group)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of trees: %w", err)
	}
	return aead, nil
}

func sealNodes(key token.DataKey, id treeID, nodes []token.TreeNode) (section, error) {
	aead, err := sealer(key, id.group)
	if err != nil {
		return section{}, err
	}
	if err := bounded(id.group, len(nodes)); err != nil {
		return section{}, err
	}
	plain := make([]byte, 0, nodeSize*len(nodes))
	defer func() { clear(plain) }()
	for _, n := range nodes {
		plain = binary.BigEndian.AppendUint64(plain, n.At)
		plain = append(plain, n.Key[:]...)
	}
	return section{id, aead.Seal(nil, nil, plain, id.identity())}, nil //nolint:gosec // this AEAD draws the nonce itself
}

// bounded refuses a tree that would not be read again.
func bounded(group string, nodes int) error {
	const most = (maxTrees - 1<<10) / nodeSize
	if nodes > most {
		return fmt.Errorf("destroy keys of the join group %s: %d nodes of its tree would be left, of %d at most: rotate the group, which begins a new one", group, nodes, most)
	}
	return nil
}

func openNodes(key token.DataKey, s *section) ([]token.TreeNode, error) {
	aead, err := sealer(key, s.group)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, s.sealed, s.identity())
	if err != nil || len(plain)%nodeSize != 0 {
		return nil, errDamaged
	}
	defer clear(plain)
	nodes := make([]token.TreeNode, len(plain)/nodeSize)
	for i := range nodes {
		at := plain[i*nodeSize:]
		nodes[i].At = binary.BigEndian.Uint64(at)
		copy(nodes[i].Key[:], at[8:nodeSize])
	}
	return nodes, nil
}

// readWhole reads a regular file of at most so many bytes.
func readWhole(path string, most int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Size() > most:
		return nil, fmt.Errorf("it is longer than %d bytes", most)
	}
	content := make([]byte, info.Size())
	if _, err := io.ReadFull(file, content); err != nil {
		return nil, err
	}
	return content, nil
}
