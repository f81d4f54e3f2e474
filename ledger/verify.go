package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	cosigning "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
)

// Outside is what a verifier knows that did not come with the copy. The zero value knows nothing.
type Outside struct {
	Key         string            // the ledger's public key; empty: that of the copy
	Checkpoints map[string][]byte // checkpoints kept elsewhere, by the names that they are called
	Witnesses   []string          // public keys of witnesses, each of whom must have cosigned
	Complete    bool              // the copy is one of a stopped serve, or a backup: every entry must be in the ledger
}

// Verify holds a copy of a data folder (access, control and ledger) to itself and to what is known outside of it. It needs no key that
// opens entries. Its error says that something could not be read; what is wrong with what was read stands in the report.
func Verify(copied fs.FS, out Outside) (*Report, error) {
	v := &verifier{
		fs: copied, out: out, wanted: map[uint64][]wantedRoot{},
		r: &Report{Entries: map[string]uint64{}, Erased: map[string]uint64{}, Unledgered: map[string]uint64{}, NotChecked: []string{}, Findings: []Finding{}, Checkpoints: []Seen{}},
	}
	var err error
	if v.log, err = fs.Sub(copied, Folder); err != nil {
		return nil, err
	}
	for _, step := range []func() error{v.key, v.checkpoints, v.lists, v.records, v.leaves, v.rest, v.strangers} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	v.limits()
	return v.r, nil
}

// wantedRoot is what the tree of a size must have as its root, by what a file says.
type wantedRoot struct {
	name string
	root []byte
	seen int // index of the report's checkpoint; −1: a file of the copy's own
}

type verifier struct {
	fs, log fs.FS
	out     Outside
	r       *Report
	public  string
	size    uint64 // leaves that the copy's state says there are
	signed  Checkpoint
	wanted  map[uint64][]wantedRoot
	streams []*recordReader
	erased  *listings
	last    map[Stream]uint64 // of the leaves
	at      position          // as the copy says
	there   map[string]uint64 // entries of the leaves, when there are as many as at says
}

// key settles by whose word checkpoints count.
func (v *verifier) key() error {
	b, err := fs.ReadFile(v.log, publicName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	v.public = v.out.Key
	switch {
	case v.out.Key == "" && err != nil:
		v.r.find(path.Join(Folder, publicName), "the public key is missing, and none was given")
	case v.out.Key == "":
		v.public = strings.TrimSuffix(string(b), "\n")
		v.r.unchecked("whether the key is the right one: it was taken from the copy itself; give the ledger's public key with --key")
	case err != nil || string(b) != v.out.Key+"\n":
		v.r.find(path.Join(Folder, publicName), "not the public key that was given")
	}
	return nil
}

// checkpoints reads all of them, in the copy and outside.
func (v *verifier) checkpoints() error {
	var err error
	if v.signed, err = v.checkpoint(Folder+"/"+checkpoint, v.log, checkpoint, nil); err != nil {
		return err
	}
	v.r.Signed, v.r.Origin = v.signed.Size, v.signed.Origin
	if err := v.cosigned(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(v.out.Checkpoints)) {
		if _, err := v.checkpoint(name, nil, "", v.out.Checkpoints[name]); err != nil {
			return err
		}
	}
	var state treeState
	b, err := fs.ReadFile(v.log, stateName)
	if err != nil || json.Unmarshal(b, &state) != nil {
		v.r.find(Folder+"/"+stateName, "it does not read back")
	} else if again, err := json.Marshal(state); err != nil || !bytes.Equal(again, b) { // the library writes it so, and in no other way
		v.r.find(Folder+"/"+stateName, "altered")
	}
	if state.Size < v.signed.Size {
		v.r.find(Folder+"/"+stateName, "it says %d leaves, fewer than the checkpoint", state.Size)
	}
	v.size = max(state.Size, v.signed.Size)
	v.want(state.Size, Folder+"/"+stateName, state.Root, -1)
	v.position()
	v.r.Leaves = v.size
	return nil
}

// position reads what the follower noted last.
func (v *verifier) position() {
	where := Folder + "/" + positionName
	b, err := fs.ReadFile(v.log, positionName)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil || json.Unmarshal(b, &v.at) != nil {
		v.r.find(where, "it does not read back")
		return
	}
	if again, err := json.Marshal(v.at); err != nil || !bytes.Equal(again, b) {
		v.r.find(where, "altered")
	}
	if v.at.Size > v.size {
		v.r.find(where, "it says %d leaves, and there are %d", v.at.Size, v.size)
		return
	}
	v.want(v.at.Size, where, v.at.Root, -1)
}

func (v *verifier) want(size uint64, name string, root []byte, seen int) {
	v.wanted[size] = append(v.wanted[size], wantedRoot{name, root, seen})
}

// checkpoint reads one and has its root looked for.
func (v *verifier) checkpoint(name string, from fs.FS, file string, b []byte) (Checkpoint, error) {
	if from != nil {
		var err error
		if b, err = fs.ReadFile(from, file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Checkpoint{}, err
		} else if err != nil {
			v.r.find(name, "the checkpoint is missing")
			return Checkpoint{}, nil
		}
	}
	c, err := OpenCheckpoint(b, v.public)
	if err != nil {
		v.r.find(name, "it is not signed by the ledger's key, or was altered: %v", err)
		return Checkpoint{}, nil
	}
	v.r.Checkpoints = append(v.r.Checkpoints, Seen{Name: name, Size: c.Size})
	v.want(c.Size, name, c.Root, len(v.r.Checkpoints)-1)
	return c, nil
}

// cosigned holds the newest checkpoint that witnesses signed to their keys.
func (v *verifier) cosigned() error {
	where := Folder + "/" + cosignedName
	b, err := fs.ReadFile(v.log, cosignedName)
	if errors.Is(err, fs.ErrNotExist) {
		for _, key := range v.out.Witnesses {
			v.r.find(where, "the witness %s has cosigned nothing that is here", nameOfKey(key))
		}
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := v.checkpoint(where, v.log, cosignedName, nil); err != nil {
		return err
	}
	if len(v.out.Witnesses) == 0 {
		v.r.unchecked("cosignatures: give the witnesses' public keys with --witness")
	}
	for _, key := range v.out.Witnesses {
		w, err := cosigning.NewVerifierForCosignatureV1(key)
		if err != nil {
			return fmt.Errorf("read the public key of a witness: %w", err)
		}
		if n, err := note.Open(b, note.VerifierList(w)); err != nil || len(n.Sigs) != 1 {
			v.r.find(where, "the witness %s has not cosigned it", w.Name())
		}
	}
	return nil
}

func nameOfKey(key string) string { name, _, _ := strings.Cut(key, "+"); return name }

// records opens both streams.
func (v *verifier) records() error {
	for _, s := range []Stream{Access, Control} {
		r, err := openRecord(v.fs, s, func(where, text string) { v.r.find(where, "%s", text) })
		if err != nil {
			return err
		}
		v.streams = append(v.streams, r)
	}
	return nil
}

// leaves walks through the log in its order, and through both records beside it.
func (v *verifier) leaves() error {
	v.last = map[Stream]uint64{}
	shape := newShape(v.log, v.r)
	tree := factory().NewEmptyRange(0)
	v.roots(tree)
	log := tiles{v.log}
	for index := uint64(0); index*layout.EntryBundleWidth < v.size; index++ {
		leaves, err := log.bundle(index, v.size)
		if err != nil {
			v.r.find(Folder+"/"+layout.EntriesPath(index, layout.PartialTileSize(0, index, v.size)), "%v; the leaves behind it are not looked at", err)
			return nil
		}
		shape.bundle(index, leaves)
		for _, leaf := range leaves {
			if err := v.leaf(tree.End(), leaf); err != nil {
				return err
			}
			if err := tree.Append(leaf.Hash(), shape.node); err != nil {
				return err
			}
			v.roots(tree)
		}
	}
	shape.end(tree, v.size)
	return nil
}

// leaf holds one leaf to what comes next in its record.
func (v *verifier) leaf(index uint64, leaf Leaf) error {
	where := fmt.Sprintf("%s leaf %d", Folder, index)
	var r *recordReader
	for _, s := range v.streams {
		if s.stream == leaf.Stream {
			r = s
		}
	}
	if r == nil || leaf.Record != r.id {
		v.r.find(where, "an entry of a record that is not here")
		return nil
	}
	if leaf.Seq != v.last[leaf.Stream]+1 {
		v.r.find(where, "entry %d of the %s stream where %d should stand", leaf.Seq, leaf.Stream, v.last[leaf.Stream]+1)
		return nil
	}
	v.last[leaf.Stream] = leaf.Seq
	it, err := r.read()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s entry %d", leaf.Stream, leaf.Seq)
	switch {
	case it == nil:
		v.r.find(name, "removed: the ledger has it")
	case it.lost:
		v.r.find(name, "lost: it does not read back")
	case leaf.Commitment == [32]byte{}:
		v.r.find(name, "it could not be read when its turn in the ledger came, so the ledger does not vouch for it")
	case it.commitment != leaf.Commitment:
		v.r.find(name, "altered: it is not the entry that the ledger has")
	}
	v.count(r, it)
	return nil
}

// count notes an entry, and holds an erased one to the lists.
func (v *verifier) count(r *recordReader, it *item) {
	if it == nil {
		return
	}
	name := r.stream.String()
	v.r.Entries[name]++
	if it.lost {
		return
	}
	if v.erased.entry(r.stream, it, v.r) {
		v.r.Erased[name]++
	}
}

// roots compares what is wanted of the tree of a size.
func (v *verifier) roots(tree *compact.Range) {
	wanted := v.wanted[tree.End()]
	if tree.End() == v.at.Size && v.at.Size > 0 {
		v.there = map[string]uint64{}
		for _, s := range v.streams {
			v.there[hex.EncodeToString(s.id[:])] = v.last[s.stream]
		}
	}
	if len(wanted) == 0 {
		return
	}
	delete(v.wanted, tree.End())
	root, err := rangeRoot(tree)
	for _, w := range wanted {
		if w.seen >= 0 {
			v.r.Checkpoints[w.seen].Fits = err == nil && bytes.Equal(root, w.root)
		}
		if err != nil || !bytes.Equal(root, w.root) {
			v.r.find(w.name, "the first %d leaves are others than it says: history was rewritten, or it was altered", tree.End())
		}
	}
}

// rest goes through the entries that are in no log yet.
func (v *verifier) rest() error {
	newest := map[[32]byte]string{}
	for _, r := range v.streams {
		if err := v.unledgered(r, newest); err != nil {
			return err
		}
	}
	if err := v.replayed(newest); err != nil {
		return err
	}
	v.erased.end(v.r)
	for size, wanted := range v.wanted {
		for _, w := range wanted {
			v.r.find(w.name, "it speaks of %d leaves, and there are %d that can be read: the log was cut, or this copy is older", size, v.r.Leaves)
		}
	}
	none := func(_ string, last uint64) bool { return last == 0 }
	maps.DeleteFunc(v.there, none)
	maps.DeleteFunc(v.at.Records, none)
	if v.at.Size > 0 && v.there != nil && !maps.Equal(v.there, v.at.Records) {
		v.r.find(Folder+"/"+positionName, "its entries are not those of the log")
	}
	return nil
}

// unledgered goes through those of one stream, and notes them in newest by their commitments.
func (v *verifier) unledgered(r *recordReader, newest map[[32]byte]string) error {
	stream := r.stream.String()
	for {
		it, err := r.read()
		if err != nil {
			return err
		}
		if it == nil {
			break
		}
		v.count(r, it)
		v.r.Unledgered[stream]++
		name := fmt.Sprintf("%s entry %d", stream, it.seq)
		switch before := newest[it.commitment]; {
		case it.lost:
			v.r.find(name, "lost: it does not read back")
		case before != "":
			v.r.find(name, "replayed: it is %s once more", before)
		case len(newest) < mostNewest:
			newest[it.commitment] = name
		}
	}
	switch n := v.r.Unledgered[stream]; {
	case n > 0 && v.out.Complete:
		v.r.find(stream, "the newest %d entries are in no log: appended by somebody else than serve, or the ledger was cut", n)
	case n > 0:
		v.r.unchecked("the newest %d entries of the %s stream against the ledger: they are in no log yet, and only chained to each other", n, stream)
	}
	return nil
}

// mostNewest bounds the memory for entries that are in no log yet.
const mostNewest = 1 << 20

// replayed looks for entries that are in no log yet among those that are: a salt never comes twice.
func (v *verifier) replayed(newest map[[32]byte]string) error {
	if len(newest) == 0 {
		return nil
	}
	log := tiles{v.log}
	for index := uint64(0); index*layout.EntryBundleWidth < v.size; index++ {
		leaves, err := log.bundle(index, v.size)
		if err != nil {
			return nil // it was told
		}
		for _, leaf := range leaves {
			if name := newest[leaf.Commitment]; name != "" && leaf.Commitment != [32]byte{} {
				v.r.find(name, "replayed: it is %s entry %d once more", leaf.Stream, leaf.Seq)
			}
		}
	}
	return nil
}

// limits says what a verifier cannot know.
func (v *verifier) limits() {
	if len(v.out.Checkpoints) == 0 && len(v.out.Witnesses) == 0 {
		v.r.unchecked("whether history was rewritten or its end cut off: whoever holds the ledger's key could have made all of this anew; give a checkpoint that was kept elsewhere with --checkpoint, or the key of a witness with --witness")
	}
	newest := uint64(0)
	for _, c := range v.r.Checkpoints {
		if !strings.HasPrefix(c.Name, Folder+"/") || len(v.out.Witnesses) > 0 && c.Name == Folder+"/"+cosignedName {
			newest = max(newest, c.Size)
		}
	}
	if newest > 0 && newest < v.r.Leaves {
		v.r.unchecked("leaves %d to %d against anything outside: whoever holds the ledger's key could have rewritten these", newest, v.r.Leaves-1)
	}
	v.r.unchecked("what entries say: only that they are those that were written, in that order, and none besides")
	v.r.unchecked("that two people approved each erasure: their approvals are entries whose content is sealed")
}

// canonical holds the signatures of a note to the one way in which they are written.
func canonical(b []byte) bool {
	_, signatures, ok := strings.Cut(string(b), "\n\n")
	if !ok || !strings.HasSuffix(signatures, "\n") {
		return false
	}
	for line := range strings.Lines(signatures) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(fields) != 3 || fields[0] != "—" {
			return false
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(fields[2])
		if err != nil || base64.StdEncoding.EncodeToString(raw) != fields[2] {
			return false
		}
	}
	return true
}
