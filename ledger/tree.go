package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
)

const hashBytes = 32

// factory makes compact ranges of the tree (RFC 6962).
func factory() *compact.RangeFactory {
	return &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
}

// extend is a range with more leaves; the one given stays as it is.
func extend(base *compact.Range, hashes [][]byte) (*compact.Range, error) {
	r, err := factory().NewRange(0, base.End(), slices.Clone(base.Hashes())) // Append writes into it
	if err != nil {
		return nil, err
	}
	for _, h := range hashes {
		if err := r.Append(h, nil); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// rootOf is the root of a range with more leaves.
func rootOf(base *compact.Range, hashes [][]byte) ([]byte, error) {
	r, err := extend(base, hashes)
	if err != nil {
		return nil, err
	}
	return rangeRoot(r)
}

func rangeRoot(r *compact.Range) ([]byte, error) {
	if r.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	return r.GetRootHash(nil)
}

// tiles reads the log's files.
type tiles struct{ fs fs.FS }

// partial reads a tile or bundle that may have grown since: then its beginning is wanted.
func (t tiles) partial(path func(p uint8) string, p uint8) ([]byte, error) {
	b, err := fs.ReadFile(t.fs, path(p))
	if errors.Is(err, fs.ErrNotExist) && p > 0 {
		b, err = fs.ReadFile(t.fs, path(0))
	}
	return b, err
}

// tile is the tile of a tree of a size; a partial one has as many hashes as that tree has.
func (t tiles) tile(level, index, size uint64) ([]byte, error) {
	p := layout.PartialTileSize(level, index, size)
	b, err := t.partial(func(p uint8) string { return layout.TilePath(level, index, p) }, p)
	if err != nil {
		return nil, err
	}
	n := int(p) * hashBytes
	if p == 0 {
		n = layout.TileWidth * hashBytes
	}
	if len(b) < n {
		return nil, fmt.Errorf("read tile %s: it has %d bytes", layout.TilePath(level, index, p), len(b))
	}
	return b[:n], nil
}

// bundle are the leaves of one bundle of a tree of a size.
func (t tiles) bundle(index, size uint64) ([]Leaf, error) {
	p := layout.PartialTileSize(0, index, size)
	b, err := t.partial(func(p uint8) string { return layout.EntriesPath(index, p) }, p)
	if err != nil {
		return nil, err
	}
	leaves, err := splitBundle(b)
	if err != nil {
		return nil, fmt.Errorf("read bundle %s: %w", layout.EntriesPath(index, p), err)
	}
	n := int(p)
	if p == 0 {
		n = layout.EntryBundleWidth
	}
	if len(leaves) < n {
		return nil, fmt.Errorf("read bundle %s: it has %d leaves", layout.EntriesPath(index, p), len(leaves))
	}
	return leaves[:n], nil
}

// node is the hash of one node that is whole in a tree of a size.
func (t tiles) node(id compact.NodeID, size uint64) ([]byte, error) {
	level, rows := uint64(id.Level/layout.TileHeight), id.Level%layout.TileHeight
	first := id.Index << rows // of the nodes below it that stand in the tile
	b, err := t.tile(level, first/layout.TileWidth, size)
	if err != nil {
		return nil, err
	}
	at, n := int(first%layout.TileWidth), 1<<rows
	if (at+n)*hashBytes > len(b) {
		return nil, fmt.Errorf("read tile %d/%d: a node is missing", level, first/layout.TileWidth)
	}
	var hashes [][]byte
	for i := range n {
		hashes = append(hashes, b[(at+i)*hashBytes:(at+i+1)*hashBytes])
	}
	for ; len(hashes) > 1; hashes = hashes[:len(hashes)/2] {
		for i := range len(hashes) / 2 {
			hashes[i] = rfc6962.DefaultHasher.HashChildren(hashes[2*i], hashes[2*i+1])
		}
	}
	return hashes[0], nil
}

// rangeAt is the compact range of the first leaves, by the tiles of a tree of that size or a greater one.
func (t tiles) rangeAt(size, whole uint64) (*compact.Range, error) {
	var hashes [][]byte
	for _, id := range compact.RangeNodes(0, size, nil) {
		h, err := t.node(id, whole)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return factory().NewRange(0, size, hashes)
}
