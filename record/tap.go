package record

import (
	"context"

	"sallyport/internal/durable"
)

// Tap reads the commitments of durable entries in order, without opening what they commit to: for the ledger. It is for one goroutine.
type Tap struct {
	log    *durable.Reader
	next   uint64
	link   [32]byte
	linked bool // link is that of the entry before next
}

// Tap starts at an entry (at the first one, for 0).
func (s *Stream) Tap(from uint64) *Tap {
	t := &Tap{log: s.log.Reader(max(from, 1)), next: max(from, 1)}
	if t.next == 1 {
		t.link, t.linked = chainStart(s.id), true
	}
	return t
}

// Next is the next durable entry that is what was written; what is lost or altered is passed over. io.EOF: there is none yet.
func (t *Tap) Next() (seq uint64, commitment [32]byte, err error) {
	for {
		seq, payload, err := t.log.Next()
		if err != nil {
			return 0, [32]byte{}, err
		}
		ent, err := parseEntry(payload)
		if err != nil {
			t.linked = false
			continue
		}
		fits := !t.linked || seq != t.next || chainLink(t.link[:], seq, ent.commitment) == ent.link
		t.next, t.link, t.linked = seq+1, ent.link, true
		if fits {
			return seq, ent.commitment, nil
		}
	}
}

// Close gives the open file free.
func (t *Tap) Close() error { return t.log.Close() }

// Wait returns once the entry seq is durable. ErrClosed: it will not be.
func (s *Stream) Wait(ctx context.Context, seq uint64) error { return s.log.Wait(ctx, seq) }

// RawID is ID in its 16 bytes.
func (s *Stream) RawID() [16]byte { return s.id }
