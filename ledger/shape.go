package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/tessera/api/layout"
)

// shape holds the files of a log to what its leaves make of them: bundles and tiles, whole ones and those that were whole for a while.
type shape struct {
	fs    fs.FS
	r     *Report
	grown []*grown // tiles that are being filled, by level
}

// grown is a tile that is being filled.
type grown struct {
	index  uint64
	hashes []byte
}

func newShape(log fs.FS, r *Report) *shape { return &shape{fs: log, r: r} }

// bundle compares a bundle with its leaves as they are to be written, and those of its parts that are still there.
func (s *shape) bundle(index uint64, leaves []Leaf) {
	var b []byte
	ends := []int{0}
	for _, leaf := range leaves {
		b = leaf.Append(binary.BigEndian.AppendUint16(b, leafBytes))
		ends = append(ends, len(b))
	}
	s.compare(func(p uint8) string { return layout.EntriesPath(index, p) }, b, len(leaves), func(n int) int { return ends[n] })
}

// compare reads the file of a tile of so many parts, and those of its beginnings that there are.
func (s *shape) compare(name func(p uint8) string, want []byte, n int, length func(n int) int) {
	if n == layout.TileWidth {
		b, err := fs.ReadFile(s.fs, name(0))
		if err != nil || !bytes.Equal(b, want) {
			s.r.find(path.Join(Folder, name(0)), "missing or altered: it does not fit the leaves")
		}
	}
	entries, err := fs.ReadDir(s.fs, path.Dir(name(1)))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err = nil, nil
	}
	if err != nil {
		s.r.find(path.Join(Folder, path.Dir(name(1))), "it cannot be read")
	}
	there := n == layout.TileWidth
	for _, e := range entries {
		p, err := strconv.ParseUint(e.Name(), 10, 8)
		if err != nil || int(p) > n || p == 0 || strconv.FormatUint(p, 10) != e.Name() {
			continue // strangers counts it; what is beyond the log's end was never signed, and will be written again
		}
		there = there || int(p) == n
		b, err := fs.ReadFile(s.fs, name(uint8(p))) //nolint:gosec // parsed as eight bits
		if err != nil || !bytes.Equal(b, want[:length(int(p))]) {
			s.r.find(path.Join(Folder, name(uint8(p))), "altered: it does not fit the leaves") //nolint:gosec // likewise
		}
	}
	if !there {
		s.r.find(path.Join(Folder, name(uint8(n))), "missing") //nolint:gosec // fewer than 256
	}
}

// node takes the hash of each node that a leaf completes.
func (s *shape) node(id compact.NodeID, hash []byte) {
	if id.Level%layout.TileHeight != 0 {
		return
	}
	level := int(id.Level / layout.TileHeight) //nolint:gosec // at most 7
	for len(s.grown) <= level {
		s.grown = append(s.grown, &grown{})
	}
	g := s.grown[level]
	g.hashes = append(g.hashes, hash...)
	if len(g.hashes) == layout.TileWidth*hashBytes {
		s.tile(level)
		g.index++
		g.hashes = g.hashes[:0]
	}
}

func (s *shape) tile(level int) {
	g := s.grown[level]
	s.compare(func(p uint8) string { return layout.TilePath(uint64(level), g.index, p) }, g.hashes, len(g.hashes)/hashBytes, func(n int) int { return n * hashBytes }) //nolint:gosec // small
}

// end compares the tiles that are not full.
func (s *shape) end(tree *compact.Range, size uint64) {
	if tree.End() != size {
		return
	}
	for level, g := range s.grown {
		if len(g.hashes) > 0 {
			s.tile(level)
		}
	}
}

// strangers counts files that no log of this size has: what a crash left over of a batch, until the next start removes it.
func (v *verifier) strangers() error {
	left := 0
	err := fs.WalkDir(v.log, "tile", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		if level, index, p, err := parseTile(name); err != nil || !has(v.size, level, index, p) {
			left++
		}
		return nil
	})
	if left > 0 {
		v.r.unchecked("%d files under %s/tile that are no part of a log of %d leaves: a crash leaves such", left, Folder, v.size)
	}
	return err
}

// has tells whether a log of a size has a tile, or had it on its way there.
func has(size, level, index, p uint64) bool {
	n := size >> (level * layout.TileHeight) // nodes of that level
	if p == 0 {
		return (index+1)*layout.TileWidth <= n
	}
	return index*layout.TileWidth+p <= n
}

// parseTile reads the path of a tile, or of a bundle, which counts as one of level 0.
func parseTile(name string) (level, index, p uint64, err error) {
	_, rest, _ := strings.Cut(name, "/")
	first, rest, _ := strings.Cut(rest, "/")
	if first != "entries" {
		if level, err = strconv.ParseUint(first, 10, 3); err != nil {
			return 0, 0, 0, err
		}
	}
	index, p, err = parseIndex(rest)
	return level, index, p, err
}

// parseIndex reads the name of a tile below its level (C2SP tlog-tiles): x001/x234/067, or 067.p/8.
func parseIndex(name string) (index uint64, p uint64, err error) {
	parts := strings.Split(name, "/")
	if n := len(parts); n > 1 && strings.HasSuffix(parts[n-2], ".p") {
		if p, err = strconv.ParseUint(parts[n-1], 10, 8); err != nil || p == 0 {
			return 0, 0, errLeaf
		}
		parts = append(parts[:n-2], strings.TrimSuffix(parts[n-2], ".p"))
	}
	for i, part := range parts {
		digits, x := strings.CutPrefix(part, "x")
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || len(digits) != 3 || x == (i == len(parts)-1) || index > 1<<40 {
			return 0, 0, errLeaf
		}
		index = index*1000 + n
	}
	return index, p, nil
}
