package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// ProveMany proves entries of one stream under one checkpoint, in ascending order. An entry that is erased or lost is left out: skipped is told of
// it and why.
func ProveMany(ctx context.Context, data fs.FS, stream Stream, seqs []uint64, each func(*Proof) error, skipped func(seq uint64, why string)) error {
	r, err := openRecord(data, stream, func(string, string) {}) // Check tells whether an entry is what it was
	if err != nil {
		return err
	}
	log, err := fs.Sub(data, Folder)
	if err != nil {
		return err
	}
	key, c, err := newest(log)
	if err != nil {
		return err
	}
	for _, seq := range slices.Compact(slices.Sorted(slices.Values(seqs))) {
		if err := ctx.Err(); err != nil {
			return err
		}
		it, why, err := r.to(seq)
		if err != nil {
			return err
		}
		if why != "" {
			skipped(seq, why)
			continue
		}
		p := &Proof{
			Format: ProofFormat, Event: fmt.Sprintf("%s:%d", stream, seq), Record: hex.EncodeToString(r.id[:]), Sequence: seq, Sealed: sealedForm(it.form), Form: int(it.form),
			Salt: hex.EncodeToString(it.salt), Body: slices.Clone(it.body), Key: key,
		}
		found, err := p.include(ctx, tiles{log}, c, Leaf{stream, r.id, seq, it.commitment})
		switch {
		case err != nil:
			return err
		case !found:
			skipped(seq, "it is under no checkpoint yet")
			continue
		}
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}

// newest is the newest checkpoint and the key that verifies it.
func newest(log fs.FS) (key string, c Checkpoint, err error) {
	b, err := fs.ReadFile(log, publicName)
	if err != nil {
		return "", c, fmt.Errorf("read the ledger: %w", err)
	}
	key = strings.TrimSpace(string(b))
	if b, err = fs.ReadFile(log, checkpoint); err != nil {
		return "", c, fmt.Errorf("read the ledger: %w", err)
	}
	if c, err = OpenCheckpoint(b, key); err != nil {
		return "", c, fmt.Errorf("read the ledger: %w", err)
	}
	return key, c, nil
}

// to reads on to an entry; why says why it is not there.
func (r *recordReader) to(seq uint64) (it *item, why string, err error) {
	ahead := false
	for i, name := range r.names {
		var first uint64
		if _, err := fmt.Sscanf(name, "%020d.log", &first); err == nil && first <= seq && i > r.at {
			ahead = true
		}
	}
	if ahead {
		r.data, r.pending = nil, nil
		r.skipTo(seq)
	}
	for {
		it, err = r.read()
		switch {
		case err != nil:
			return nil, "", err
		case it == nil:
			return nil, "there is no such entry", nil
		case it.seq < seq:
			continue
		case it.seq > seq:
			return nil, "", errors.New("read the record: entries do not come in their order")
		case it.lost:
			return nil, "it does not read back", nil
		case it.form == formErased:
			return nil, "it was erased", nil
		}
		return it, "", nil
	}
}
