package record

import (
	"errors"
	"fmt"
	"io"

	"sallyport"
)

// Erase puts the commitments of entries in the place of their salts and bodies. Runs are firsts and lasts of sequences, in ascending order.
// What is erased already stays so, so that an interrupted erasure can be ended by the same call. Whoever calls it has put on record before
// what is erased: any other absence is a finding for the ledger's verifier.
func (s *Stream) Erase(runs []uint64) error {
	return s.log.Rewrite(runs, erasing(runs))
}

// erasing is what Rewrite does to entries of some runs. It is asked in ascending order.
func erasing(runs []uint64) func(seq uint64, payload []byte) []byte {
	at := 0
	return func(seq uint64, payload []byte) []byte {
		for at < len(runs) && runs[at+1] < seq {
			at += 2
		}
		if at >= len(runs) || seq < runs[at] || payload[formAt] == formErased {
			return payload
		}
		ent, err := parseEntry(payload)
		if err != nil {
			return payload // altered: it stays, for who looks into it
		}
		b := append(make([]byte, 0, saltAt+len(ent.commitment)), payload[:formAt]...)
		return append(append(b, formErased), ent.commitment[:]...)
	}
}

// Erasure lists entries, with the digest of what they are now. It refuses what is lost, or erased already.
func (s *Stream) Erasure(runs []uint64) (*sallyport.Erasure, error) {
	sum := sallyport.NewErasureSum()
	for i := 0; i+1 < len(runs); i += 2 {
		if runs[i] == 0 || runs[i] > runs[i+1] || runs[i+1] > s.Last() || i > 0 && runs[i] <= runs[i-1] {
			return nil, fmt.Errorf("there are no entries %d to %d in ascending order; the last one is %d", runs[i], runs[i+1], s.Last())
		}
		if err := s.sumRun(sum, runs[i], runs[i+1]); err != nil {
			return nil, err
		}
	}
	return &sallyport.Erasure{Record: s.ID(), Runs: runs, Count: sum.Count(), Digest: sum.Digest()}, nil
}

func (s *Stream) sumRun(sum *sallyport.ErasureSum, first, last uint64) error {
	r := s.log.Reader(first)
	defer func() { _ = r.Close() }() // only read
	for next := first; next <= last; next++ {
		seq, payload, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil || seq != next {
			return fmt.Errorf("entry %d is lost", next)
		}
		ent, err := parseEntry(payload)
		if err != nil {
			return fmt.Errorf("entry %d: %w", next, err)
		}
		if ent.body == nil {
			return fmt.Errorf("entry %d is erased already", next)
		}
		sum.Add(seq, ent.commitment)
	}
	return nil
}
