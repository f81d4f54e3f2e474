package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"sallyport"
)

// Exposing asks who could read something of whom, by entries after one and up to another of those that Find has said it covers. The answer
// comes in parts, by customer: From is where the next one begins, FirstCustomer for the first.
type Exposing struct {
	After, To uint64
	From      int64
}

// FirstCustomer is where the first part begins.
const FirstCustomer = math.MinInt64 + 1

// Exposed is one part: a person, a customer, what was shown and when first in each row. Rows are lists of numbers, since there may be millions.
type Exposed struct {
	People []sallyport.Staff
	Shows  []Shows
	Keys   map[int64]sallyport.Subject // of customers whose key is no number; that of others is their number

	Who   []uint32 // place in People
	What  []uint32 // place in Shows
	Whom  []int64
	First []int64 // Unix time in seconds

	More bool
	Next int64 // where there is more
}

// Shows is what entries showed, and by what reason, as far as it says what a caller may know.
type Shows struct {
	Columns []string // their bare names
	Ticket  bool     // the first reason was one
}

// Listener hears what Told delivers.
type Listener struct {
	// Event hears entries of the record in their order: facts, what other systems and serve --observe say, texts of statements, and everything
	// that the store does not have. Entries under reasons of Under come afterwards, and have been told by Exposed, too.
	Event func(*sallyport.Event) error
	// Exposed hears of all other values that left in plain.
	Exposed func(*Exposed) error
	// Under are reasons, KIND:REFERENCE, of which each entry has to be heard by itself. It is asked once all facts have been told.
	Under func() []string
}

// fewEntries is how many new ones are sooner read of the record than asked for.
const fewEntries = 5000

// Told delivers what entries after one and up to last say of who could read something of whom, and of what explains it: values that left in
// plain as the store has them, the rest, and what the store has not, from the record.
func (p *Past) Told(ctx context.Context, after, last uint64, to Listener) error {
	store, _, release, err := p.store(ctx)
	defer release()
	if err != nil {
		return err
	}
	if after > 0 && last-min(after, last) <= fewEntries {
		store = nil
	}
	found, err := find(ctx, store, Wanted{After: after, Facts: true})
	if err != nil {
		return err
	}
	if err := p.pick(ctx, after, last, &found, to.Event); err != nil {
		return err
	}
	q := Exposing{After: max(after, found.From-1), To: min(found.To, last), From: FirstCustomer}
	if q.To <= q.After {
		return nil // it was read
	}
	if err := exposed(ctx, store, q, to.Exposed); err != nil {
		return err
	}
	under := to.Under()
	if len(under) == 0 {
		return nil
	}
	if found, err = find(ctx, store, Wanted{After: q.After, Purposes: under}); err != nil {
		return err
	}
	return p.pick(ctx, q.After, q.To, &found, func(e *sallyport.Event) error {
		if e.Kind != sallyport.RevealKind {
			return nil // it was told
		}
		return to.Event(e)
	})
}

func exposed(ctx context.Context, store Store, q Exposing, fn func(*Exposed) error) error {
	for {
		part, err := store.Exposed(ctx, q)
		switch {
		case err != nil:
			return fmt.Errorf("ask history who could read something of whom: %w", err)
		case part.More && part.Next <= q.From:
			return errors.New("ask history who could read something of whom: a part ends where it begins")
		}
		if err := fn(&part); err != nil || !part.More {
			return err
		}
		q.From = part.Next
	}
}

// pick reads the entries that were found, and those that the store does not cover, after one and up to last.
func (p *Past) pick(ctx context.Context, after, last uint64, f *Found, fn func(*sallyport.Event) error) error {
	for _, s := range f.stretches(after, last) {
		rest, _ := slices.BinarySearch(f.Entries, s.first)
		part := Found{From: f.From, To: f.To, Entries: f.Entries[rest:]}
		err := p.Record.Pick(s.first, part.Wanted(), func(seq uint64, e *sallyport.Event) error {
			switch {
			case seq > s.last:
				return errRead
			case e == nil:
				return ctx.Err()
			}
			if err := fn(e); err != nil {
				return err
			}
			return ctx.Err()
		})
		if err != nil && !errors.Is(err, errRead) {
			return fmt.Errorf("read the access stream: %w", err)
		}
	}
	return nil
}

// stretch are entries of the record that are read in one go.
type stretch struct{ first, last uint64 }

// farApart is how many entries that nobody wants are passed over by beginning anew behind them: a beginning looks for its place in a file of
// the record, which is as much work as so many entries.
const farApart = 200_000

// stretches are what has to be read after one entry and up to last.
func (f *Found) stretches(after, last uint64) (list []stretch) {
	add := func(first, end uint64) {
		if first, end = max(first, after+1), min(end, last); first > end {
			return
		}
		if n := len(list); n > 0 && first <= list[n-1].last+farApart {
			list[n-1].last = max(list[n-1].last, end)
			return
		}
		list = append(list, stretch{first, end})
	}
	if f.From > 1 {
		add(1, f.From-1)
	}
	for _, entry := range f.Entries {
		add(entry, entry)
	}
	add(max(f.From, f.To+1), last)
	return list
}
