package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/tessera/api/layout"
)

// position is how far the log was when a batch was complete. It saves reading the whole log at each start, and proves nothing.
type position struct {
	Size    uint64            `json:"size"`
	Root    []byte            `json:"root"`
	Records map[string]uint64 `json:"records"` // id of a record → its last entry in the log
}

// treeState is what the library keeps of a log that is not signed yet.
type treeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

// savePosition notes durably how far the log is.
func (s *session) savePosition() error {
	size, root, err := s.l.key.root()
	if err != nil {
		return err
	}
	p := position{Size: size, Root: root, Records: map[string]uint64{}}
	for _, t := range s.taps {
		p.Records[hex.EncodeToString(t.ID[:])] = t.next - 1
	}
	if err := writeJSON(filepath.Join(s.l.dir, positionName), p); err != nil {
		return fmt.Errorf("note the ledger's position: %w", err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, b, 0o600)
}

// readJSON is false where there is no such file, or it cannot be read as one.
func readJSON(path string, v any) bool {
	b, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(b, v) == nil
}

// resume finds out what stands in the log: it walks from the last known position to the end, and holds each leaf to the record. What
// is not as it must be and was never signed is taken back; what was signed cannot be, and then the ledger does not go on.
func (s *session) resume() error {
	var state treeState
	statePath := filepath.Join(s.l.dir, filepath.FromSlash(stateName))
	if _, err := os.Stat(statePath); err == nil && !readJSON(statePath, &state) {
		return fmt.Errorf("read %s: malformed; restore the ledger from a backup", statePath)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log := tiles{os.DirFS(s.l.dir)}
	base, known := s.lastKnown(log, state.Size)
	for _, src := range s.l.o.Sources {
		s.taps = append(s.taps, tapFrom(src, known[src.ID]))
	}
	base, wrong, err := s.walk(log, base, state.Size)
	if err != nil {
		return err
	}
	if wrong == nil && state.Size > 0 {
		if root, err := rangeRoot(base); err != nil || !bytes.Equal(root, state.Root) {
			return fmt.Errorf("the log in %s does not have the root that it says: some of its files were changed; restore the ledger from a backup", s.l.dir)
		}
	}
	if wrong != nil {
		if err := s.takeBack(base, wrong, state.Size); err != nil {
			return err
		}
	}
	s.size = base.End()
	s.l.key.begin(base)
	if err := s.tidy(); err != nil {
		return fmt.Errorf("remove what is left over of a batch: %w", err)
	}
	return nil
}

// tidy removes what a batch that was not completed left behind the end of the log, and unfinished files there.
func (s *session) tidy() error {
	seen := map[string]bool{}
	for level := range uint64(8) {
		last := s.size >> (level * layout.TileHeight) / layout.TileWidth
		for index := last; index <= last+batchMost/layout.TileWidth+1; index++ {
			for _, name := range []string{layout.TilePath(level, index, 1), layout.EntriesPath(index, 1)} {
				path := filepath.Join(s.l.dir, filepath.FromSlash(name))
				seen[filepath.Dir(path)], seen[filepath.Dir(filepath.Dir(path))] = true, true
			}
		}
	}
	for dir := range seen {
		if err := s.tidyFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) tidyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, err := filepath.Rel(s.l.dir, filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		level, index, p, err := parseTile(filepath.ToSlash(name))
		if e.IsDir() || err == nil && has(s.size, level, index, p) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// takeBack cuts leaves that were never signed.
func (s *session) takeBack(base *compact.Range, wrong error, size uint64) error {
	signed, err := s.l.key.readCheckpoint(filepath.Join(s.l.dir, checkpoint))
	if err == nil && signed.Size > base.End() || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ledger and record contradict each other: %w; 'sallyport ledger verify' on a copy says more; restore both from one backup", errors.Join(wrong, err))
	}
	root, err := rangeRoot(base)
	if err != nil {
		return err
	}
	s.l.log.Warn("leaves that were never signed are taken back", "why", wrong.Error(), "from", base.End(), "to", size)
	if err := writeJSON(filepath.Join(s.l.dir, filepath.FromSlash(stateName)), treeState{base.End(), root}); err != nil {
		return fmt.Errorf("take back leaves: %w", err)
	}
	return nil
}

// lastKnown is the range and the entries at the last position that fits the log; the beginning where there is none.
func (s *session) lastKnown(log tiles, size uint64) (*compact.Range, map[[16]byte]uint64) {
	var p position
	known := map[[16]byte]uint64{}
	if readJSON(filepath.Join(s.l.dir, positionName), &p) && p.Size > 0 && p.Size <= size {
		base, err := log.rangeAt(p.Size, size)
		if err == nil {
			if root, err := rangeRoot(base); err == nil && bytes.Equal(root, p.Root) {
				for _, src := range s.l.o.Sources {
					known[src.ID] = p.Records[hex.EncodeToString(src.ID[:])]
				}
				return base, known
			}
		}
	}
	return factory().NewEmptyRange(0), known
}

// walk holds the leaves behind base to the records, and returns the range of those that are right, and what is wrong with the next.
func (s *session) walk(log tiles, base *compact.Range, size uint64) (_ *compact.Range, wrong, err error) {
	var hashes [][]byte
	for at := base.End(); at < size && wrong == nil; {
		leaves, err := log.bundle(at/layout.EntryBundleWidth, size)
		if err != nil {
			wrong = err // what was never synced may be missing after a power cut
			break
		}
		for _, leaf := range leaves[at%layout.EntryBundleWidth:] {
			if wrong = s.fits(leaf); wrong != nil {
				break
			}
			hashes = append(hashes, leaf.Hash())
			at++
		}
		if len(hashes) > batchMost {
			if base, err = extend(base, hashes); err != nil {
				return nil, nil, err
			}
			hashes = hashes[:0]
		}
	}
	base, err = extend(base, hashes)
	if err == nil && wrong == nil && size > 0 {
		err = tilesFit(log, base)
	}
	return base, wrong, err
}

// tilesFit holds the nodes of a log to its leaves.
func tilesFit(log tiles, base *compact.Range) error {
	again, err := log.rangeAt(base.End(), base.End())
	if err != nil {
		return fmt.Errorf("read the log's tiles: %w", err)
	}
	a, err := rangeRoot(again)
	b, err2 := rangeRoot(base)
	if err != nil || err2 != nil || !bytes.Equal(a, b) {
		return errors.Join(errors.New("the log's tiles do not fit its leaves: some of its files were changed; restore the ledger from a backup"), err, err2)
	}
	return nil
}

// fits holds a leaf to the entry that comes next in its record.
func (s *session) fits(leaf Leaf) error {
	for _, t := range s.taps {
		if t.ID != leaf.Record || t.Stream != leaf.Stream {
			continue
		}
		if leaf.Seq != t.next {
			return fmt.Errorf("entry %d of the %s stream stands in the log where %d should", leaf.Seq, t.Stream, t.next)
		}
		if leaf.Seq > t.Last() {
			return fmt.Errorf("the log has entry %d of the %s stream, and the record ends at %d", leaf.Seq, t.Stream, t.Last())
		}
		want, err := t.leaf()
		if err != nil {
			return err
		}
		if want != leaf && want.Commitment != [32]byte{} && leaf.Commitment != [32]byte{} {
			return fmt.Errorf("entry %d of the %s stream is another one than in the log", leaf.Seq, t.Stream)
		}
		return nil
	}
	return fmt.Errorf("the log has an entry of record %x, which is not here", leaf.Record)
}

// checkpointText is what is signed (C2SP tlog-checkpoint).
func checkpointText(origin string, size uint64, root []byte) string {
	return origin + "\n" + strconv.FormatUint(size, 10) + "\n" + base64.StdEncoding.EncodeToString(root) + "\n"
}
