package history

import (
	"context"
	"errors"
	"fmt"

	"sallyport"
)

// Wanted is what Find is asked: entries that are any of these.
type Wanted struct {
	After    uint64            // entries up to this one are passed over
	Staff    []sallyport.Staff // by or for one of them, but for ends of statements that showed nothing masked
	Facts    bool              // with facts, imported, of what serve only observed, or of a statement's text
	FactsOf  []sallyport.Staff // with facts that one of them wrote
	Purposes []string          // reveals under one of these, KIND:REFERENCE
	Shown    []Shown           // in which such a value stands under another customer
}

// Shown is a value that somebody was shown. Under is the customer in whose row it stood; empty: nobody knows.
type Shown struct {
	Digest sallyport.Digest
	Under  sallyport.Subject
}

// Found names entries in ascending order. It speaks of those from From to To: of others the store knows nothing.
type Found struct {
	From, To uint64
	Entries  []uint64
	Tables   []string // that any statement mentions, or once did
}

// Covers says whether the store knows of an entry.
func (f *Found) Covers(seq uint64) bool { return seq >= f.From && seq <= f.To }

// Wanted gives a function that is asked in ascending order whether an entry has to be read: because it was found, or because the store does
// not know of it.
func (f *Found) Wanted() func(seq uint64) bool {
	rest := f.Entries
	return func(seq uint64) bool {
		for len(rest) > 0 && rest[0] < seq {
			rest = rest[1:]
		}
		return !f.Covers(seq) || len(rest) > 0 && rest[0] == seq
	}
}

// Find asks the store; where there is none nothing is covered, and all of the record is to be read.
func (p *Past) Find(ctx context.Context, w Wanted) (Found, error) {
	store, _, release, err := p.store(ctx)
	defer release()
	if err != nil {
		return Found{}, err
	}
	return find(ctx, store, w)
}

func find(ctx context.Context, store Store, w Wanted) (Found, error) {
	if store == nil {
		return Found{From: 1}, nil
	}
	f, err := store.Find(ctx, w)
	switch {
	case errors.Is(err, ErrBroken), errors.Is(err, ErrGone):
		return Found{From: 1}, nil // it is being made or opened again
	case err != nil:
		return Found{}, fmt.Errorf("ask history: %w", err)
	}
	return f, nil
}
