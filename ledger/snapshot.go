package ledger

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
)

// Snapshot is what a copy holds.
type Snapshot struct {
	Checkpoint Checkpoint
	Key        string
	Last       map[string]uint64 // the last entry of each stream
}

// TakeSnapshot copies record and ledger of a data folder into a new one, as they were when the newest checkpoint was signed: beside a serve
// that goes on, and all entries of the copy are under that checkpoint. errors.Is(err, fs.ErrNotExist): what it read was just removed; try again.
func TakeSnapshot(data, to string) (*Snapshot, error) {
	from := os.DirFS(data)
	log, err := fs.Sub(from, Folder)
	if err != nil {
		return nil, err
	}
	key, err := fs.ReadFile(log, publicName)
	if err != nil {
		return nil, fmt.Errorf("copy the ledger: %w", err)
	}
	s := &Snapshot{Key: strings.TrimSpace(string(key)), Last: map[string]uint64{}}
	b, err := fs.ReadFile(log, checkpoint)
	if err != nil {
		return nil, fmt.Errorf("copy the ledger: %w", err)
	}
	if s.Checkpoint, err = OpenCheckpoint(b, s.Key); err != nil {
		return nil, fmt.Errorf("copy the ledger: %w", err)
	}
	records, err := s.copyLog(tiles{log}, filepath.Join(to, Folder))
	if err != nil {
		return nil, fmt.Errorf("copy the ledger: %w", err)
	}
	if err := s.copyState(log, filepath.Join(to, Folder), records); err != nil {
		return nil, fmt.Errorf("copy the ledger: %w", err)
	}
	for _, stream := range []Stream{Access, Control} {
		if err := copyRecord(from, stream, s.Last[stream.String()], to); err != nil {
			return nil, fmt.Errorf("copy the %s stream: %w", stream, err)
		}
	}
	return s, nil
}

// copyLog copies bundles and tiles as they are in a tree of that size, and finds how far each record is in it.
func (s *Snapshot) copyLog(log tiles, to string) (map[string]uint64, error) {
	records := map[string]uint64{}
	size := s.Checkpoint.Size
	for index := uint64(0); index*layout.EntryBundleWidth < size; index++ {
		leaves, err := log.bundle(index, size)
		if err != nil {
			return nil, err
		}
		var b []byte
		for _, leaf := range leaves {
			b = leaf.Append(binary.BigEndian.AppendUint16(b, leafBytes))
			records[hex.EncodeToString(leaf.Record[:])], s.Last[leaf.Stream.String()] = leaf.Seq, leaf.Seq
		}
		if err := putFile(to, layout.EntriesPath(index, layout.PartialTileSize(0, index, size)), b); err != nil {
			return nil, err
		}
	}
	for level := uint64(0); size>>(level*layout.TileHeight) > 0; level++ {
		for index := uint64(0); index*layout.TileWidth < size>>(level*layout.TileHeight); index++ {
			b, err := log.tile(level, index, size)
			if err == nil {
				err = putFile(to, layout.TilePath(level, index, layout.PartialTileSize(level, index, size)), b)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return records, nil
}

// copyState writes the small files.
func (s *Snapshot) copyState(log fs.FS, to string, records map[string]uint64) error {
	c := s.Checkpoint
	state, err := json.Marshal(treeState{c.Size, c.Root})
	if err != nil {
		return err
	}
	files := map[string][]byte{publicName: []byte(s.Key + "\n"), checkpoint: c.Note, stateName: state}
	if len(records) > 0 {
		if files[positionName], err = json.Marshal(position{c.Size, c.Root, records}); err != nil {
			return err
		}
	}
	if b, err := fs.ReadFile(log, cosignedName); err == nil {
		if seen, err := OpenCheckpoint(b, s.Key); err == nil && seen.Size <= c.Size {
			files[cosignedName] = b
		}
	}
	for name, b := range files {
		if err := putFile(to, name, b); err != nil {
			return err
		}
	}
	return nil
}

// copyRecord copies the segments of a stream up to an entry, and nothing behind it.
func copyRecord(from fs.FS, stream Stream, last uint64, to string) error {
	r, err := openRecord(from, stream, func(string, string) {}) // whoever verifies the copy is told
	if err != nil {
		return err
	}
	first := func(name string) uint64 {
		n, _ := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64) //nolint:errcheck // then it is none, and not copied
		return n
	}
	r.names = slices.DeleteFunc(r.names, func(name string) bool { n := first(name); return n == 0 || n > max(last, 1) })
	for i, name := range r.names {
		b, err := r.load(name)
		if err != nil {
			return err
		}
		if i == len(r.names)-1 {
			r.data = b
			b = b[:r.upTo(first(name), last)]
		}
		if err := putFile(to, path.Join(stream.String(), name), b); err != nil {
			return err
		}
	}
	return nil
}

// upTo is where the frame of an entry ends in the open segment.
func (r *recordReader) upTo(next, last uint64) int {
	end := min(segmentHeader, len(r.data))
	for at := end; at+frameHeader <= len(r.data) && next <= last; {
		seq, _, payload, size, ok := r.decode(at)
		if !ok || seq < next || seq > last {
			at += 8
			continue
		}
		at += size
		end = at
		if payload != nil {
			next = seq + 1
		}
	}
	return end
}

// putFile makes a file below a folder that nobody else uses. Syncing is for who is done with all of them.
func putFile(folder, name string, b []byte) error {
	to := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
