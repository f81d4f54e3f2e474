package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// Look is an entry of values that left in plain, as far as it says who could read something of whom.
type Look struct {
	Entry     uint64
	Time      time.Time
	Staff     sallyport.Staff
	Columns   []string // their bare names
	Purposes  []string // KIND:REFERENCE
	Grant     string
	Customers []sallyport.Subject // each once
}

// event is the look as an entry of the record, without what it does not say.
func (l *Look) event() *sallyport.Event {
	r := &sallyport.Revealed{Grant: l.Grant}
	for _, name := range l.Columns {
		r.Columns = append(r.Columns, sallyport.Column{Name: name})
	}
	for _, text := range l.Purposes {
		r.Purposes = append(r.Purposes, purposeOf(text))
	}
	for _, c := range l.Customers {
		r.Values.Add(sallyport.RevealedValue{Subject: c})
	}
	return &sallyport.Event{Seq: l.Entry, Time: l.Time, Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: l.Staff}, Reveal: r}
}

// purposeOf is the reverse of Purpose.String.
func purposeOf(text string) sallyport.Purpose {
	kind, ref, _ := strings.Cut(text, ":")
	return sallyport.Purpose{Kind: kind, Ref: ref}
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

// Told delivers, in the record's order, what entries after one and up to last say of who could read something of whom, and of what explains
// it: reveals from the store, without what they do not say of that, and the rest, and what the store has not, from the record. What the
// record does not have any more is not delivered, whatever the store has.
func (p *Past) Told(ctx context.Context, after, last uint64, fn func(*sallyport.Event) error) error {
	store, _, release, err := p.store(ctx)
	defer release()
	if err != nil {
		return err
	}
	found, err := find(ctx, store, Wanted{After: after, Facts: true})
	if err != nil {
		return err
	}
	looks := looking{ctx: ctx, store: store, at: after, end: min(found.To, last)}
	err = p.Record.Pick(after+1, found.Wanted(), func(seq uint64, e *sallyport.Event) error {
		if seq > last {
			return errRead
		}
		if e == nil {
			look, err := looks.of(seq)
			if err != nil || look == nil {
				return err
			}
			e = look.event()
		}
		if err := fn(e); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil && !errors.Is(err, errRead) {
		return fmt.Errorf("read who saw whom: %w", err)
	}
	return nil
}

// looking goes through looks, part by part.
type looking struct {
	ctx   context.Context //nolint:containedctx // of one question
	store Store
	at    uint64 // up to which entry it has asked
	end   uint64 // up to which it will
	rest  []Look
}

// lookPart is how many entries a part spans.
const lookPart = 200_000

// of is the look of an entry; nil: it is none. It is asked in ascending order.
func (l *looking) of(seq uint64) (*Look, error) {
	for {
		for len(l.rest) > 0 && l.rest[0].Entry < seq {
			l.rest = l.rest[1:]
		}
		if len(l.rest) > 0 || l.at >= min(l.end, seq) {
			break
		}
		from := max(l.at, seq-1)
		l.at = min(l.end, from+lookPart)
		part, err := l.store.Looks(l.ctx, from, l.at)
		if err != nil {
			return nil, fmt.Errorf("ask history: %w", err)
		}
		l.rest = part
	}
	if len(l.rest) > 0 && l.rest[0].Entry == seq {
		return &l.rest[0], nil
	}
	return nil, nil //nolint:nilnil // it is no look
}
