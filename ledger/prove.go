package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

// ProofFormat is what a proof calls itself.
const ProofFormat = "sallyport proof 1"

// Proof shows of one entry that it stands in the ledger, to whoever has the ledger's public key. It says nothing about any other
// entry: what stands in it of others are hashes over salted commitments.
type Proof struct {
	Format     string   `json:"format"`
	Event      string   `json:"event"` // access:SEQ or control:SEQ
	Record     string   `json:"record"`
	Sequence   uint64   `json:"sequence"`
	Sealed     bool     `json:"sealed"`              // the body is encrypted
	Form       int      `json:"form"`                // of the entry, docs/record.md
	EntryKey   string   `json:"entry_key,omitempty"` // hexadecimal: opens this body and no other one
	Salt       string   `json:"salt"`                // hexadecimal
	Body       []byte   `json:"body"`
	Leaf       uint64   `json:"leaf"`
	Inclusion  [][]byte `json:"inclusion"`
	Checkpoint string   `json:"checkpoint"` // the signed note
	Key        string   `json:"key"`        // that verifies it
}

// ErrErased says that an entry is gone, lawfully or not.
var ErrErased = errors.New("the entry was erased")

// ParseEvent reads access:SEQ or control:SEQ.
func ParseEvent(text string) (Stream, uint64, error) {
	name, digits, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case err != nil || seq == 0:
	case name == Access.String():
		return Access, seq, nil
	case name == Control.String():
		return Control, seq, nil
	}
	return 0, 0, fmt.Errorf("no event %q; expected access:SEQ or control:SEQ", text)
}

// Prove makes the proof of one entry of a data folder.
func Prove(ctx context.Context, data fs.FS, stream Stream, seq uint64) (*Proof, error) {
	it, id, err := findEntry(data, stream, seq)
	if err != nil {
		return nil, err
	}
	log, err := fs.Sub(data, Folder)
	if err != nil {
		return nil, err
	}
	key, err := fs.ReadFile(log, publicName)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	p := &Proof{
		Format: ProofFormat, Event: fmt.Sprintf("%s:%d", stream, seq), Record: hex.EncodeToString(id[:]), Sequence: seq, Sealed: sealedForm(it.form), Form: int(it.form),
		Salt: hex.EncodeToString(it.salt), Body: it.body, Key: strings.TrimSpace(string(key)),
	}
	for _, name := range []string{cosignedName, checkpoint} {
		b, err := fs.ReadFile(log, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		c, err := OpenCheckpoint(b, p.Key)
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %s: %w", name, err)
		}
		found, err := p.include(ctx, tiles{log}, c, Leaf{stream, id, seq, it.commitment})
		if found || err != nil {
			return p, err
		}
	}
	return nil, fmt.Errorf("%s is under no checkpoint yet; a running serve signs one each second", p.Event)
}

// findEntry reads one entry.
func findEntry(data fs.FS, stream Stream, seq uint64) (*item, [16]byte, error) {
	r, err := openRecord(data, stream, func(string, string) {}) // Check tells whether this entry is what it was
	if err != nil {
		return nil, [16]byte{}, err
	}
	r.skipTo(seq)
	for {
		it, err := r.read()
		switch {
		case err != nil:
			return nil, r.id, err
		case it == nil:
			return nil, r.id, fmt.Errorf("there is no %s entry %d; the last one is %d", stream, seq, r.last)
		case it.seq != seq:
			continue
		case it.lost:
			return nil, r.id, fmt.Errorf("the %s entry %d does not read back", stream, seq)
		case it.form == formErased:
			return nil, r.id, fmt.Errorf("%w: %s entry %d; 'sallyport ledger verify' says by which entry", ErrErased, stream, seq)
		}
		return it, r.id, nil
	}
}

// skipTo begins with the segment that holds an entry.
func (r *recordReader) skipTo(seq uint64) {
	for i, name := range r.names {
		first, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64)
		if err != nil || first > seq {
			return
		}
		r.at, r.next, r.linked = i-1, first, first == 1
	}
}

// include finds a leaf under a checkpoint and makes its inclusion proof; false where it is not under it.
func (p *Proof) include(ctx context.Context, log tiles, c Checkpoint, leaf Leaf) (bool, error) {
	index, err := log.find(leaf, c.Size)
	if err != nil || index >= c.Size {
		return false, err
	}
	builder, err := client.NewProofBuilder(ctx, c.Size, fetcher(log))
	if err != nil {
		return false, fmt.Errorf("build the proof: %w", err)
	}
	if p.Inclusion, err = builder.InclusionProof(ctx, index); err != nil {
		return false, fmt.Errorf("build the proof: %w", err)
	}
	p.Leaf, p.Checkpoint = index, string(c.Note)
	return true, p.Check(p.Key)
}

// find is the index of a leaf, or size where it is not there. Before entry n of a stream stand n−1 others of it at least.
func (t tiles) find(want Leaf, size uint64) (uint64, error) {
	for at := want.Seq - 1; at < size; {
		leaves, err := t.bundle(at/layout.EntryBundleWidth, size)
		if err != nil {
			return 0, err
		}
		first := at - at%layout.EntryBundleWidth
		next := first + layout.EntryBundleWidth
		for i, leaf := range leaves {
			if leaf.Stream != want.Stream || leaf.Record != want.Record {
				continue
			}
			if leaf.Seq == want.Seq {
				if leaf != want {
					return 0, fmt.Errorf("entry %d is not the one that the ledger has: altered", want.Seq)
				}
				return first + uint64(i), nil
			}
			if leaf.Seq < want.Seq {
				next = max(next, first+uint64(i)+want.Seq-leaf.Seq)
			}
		}
		at = next
	}
	return size, nil
}

// ParseProof reads a proof.
func ParseProof(b []byte) (*Proof, error) {
	var p Proof
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("read proof: %w", err)
	}
	if p.Format != ProofFormat {
		return nil, fmt.Errorf("read proof: format %q; expected %q", p.Format, ProofFormat)
	}
	return &p, nil
}

// Check verifies a proof by the ledger's public key, which must come from elsewhere than the proof.
func (p *Proof) Check(key string) error {
	leaf, err := p.LeafOf()
	if err != nil {
		return err
	}
	c, err := OpenCheckpoint([]byte(p.Checkpoint), key)
	if err != nil {
		return fmt.Errorf("check proof: %w", err)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Leaf, c.Size, leaf.Hash(), p.Inclusion, c.Root); err != nil {
		return fmt.Errorf("check proof: the entry is not under the checkpoint: %w", err)
	}
	return nil
}

// LeafOf is what stands in the log for the entry, as its bytes here have it.
func (p *Proof) LeafOf() (Leaf, error) {
	stream, seq, err := ParseEvent(p.Event)
	if err != nil || seq != p.Sequence {
		return Leaf{}, errors.New("check proof: the event and its sequence differ")
	}
	salt, err := hex.DecodeString(p.Salt)
	if err != nil || len(salt) != 16 {
		return Leaf{}, errors.New("check proof: the salt is malformed")
	}
	id, err := hex.DecodeString(p.Record)
	if err != nil || len(id) != 16 {
		return Leaf{}, errors.New("check proof: the record's id is malformed")
	}
	return Leaf{Stream: stream, Record: [16]byte(id), Seq: seq, Commitment: sha256.Sum256(append(salt, p.Body...))}, nil
}
