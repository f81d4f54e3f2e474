package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/ledger"
	"sallyport/record"
)

const (
	erasePause = time.Second
	// retentionEvery is the time between two looks for entries whose time is up.
	retentionEvery = 6 * time.Hour
	// runsListed bounds one entry that lists what is erased.
	runsListed = 5000
)

var errEnough = errors.New("enough") //nolint:gochecknoglobals // a sentinel

// parseRun reads access:SEQ or access:SEQ-SEQ.
func parseRun(text string) (ledger.Stream, [2]uint64, error) {
	name, digits, _ := strings.Cut(text, ":")
	from, to, more := strings.Cut(digits, "-")
	if !more {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	switch {
	case err != nil || err2 != nil || first == 0 || last < first:
	case name == ledger.Access.String():
		return ledger.Access, [2]uint64{first, last}, nil
	case name == ledger.Control.String():
		return ledger.Control, [2]uint64{first, last}, nil
	}
	return 0, [2]uint64{}, fmt.Errorf("no entries %q; expected access:SEQ or access:SEQ-SEQ, or control: likewise", text)
}

// streamOf is one of the two streams, by the name of its folder or by its id.
func (s *Server) streamOf(name string) (*record.Stream, ledger.Stream) {
	switch name {
	case ledger.Access.String(), s.access.ID():
		return s.access, ledger.Access
	case ledger.Control.String(), s.control.ID():
		return s.control, ledger.Control
	}
	return nil, 0
}

// mayErase lists entries, unless one of them has to be kept.
func (s *Server) mayErase(name string, runs []uint64) (*sallyport.Erasure, error) {
	stream, which := s.streamOf(name)
	if stream == nil {
		return nil, fmt.Errorf("there is no stream %q; expected access or control", name)
	}
	list, err := stream.Erasure(runs)
	if err != nil {
		return nil, err
	}
	return list, s.objections(stream, which, runs)
}

// objections says why entries may not be erased.
func (s *Server) objections(stream *record.Stream, which ledger.Stream, runs []uint64) error {
	latest := s.o.Clock().AddDate(0, 0, -fewestDays)
	for i := 0; i < len(runs); i += 2 {
		err := stream.Read(runs[i], func(e *sallyport.Event) error {
			switch {
			case e.Seq > runs[i+1]:
				return errEnough
			case !slices.Contains(erasableKinds(which), e.Kind):
				return fmt.Errorf("entry %d is of kind %s, from which it follows who may see what: it is kept", e.Seq, e.Kind)
			case e.AsItWas().Time.After(latest):
				return fmt.Errorf("entry %d is younger than %d days: budgets count what was seen", e.Seq, fewestDays)
			}
			if why := s.keeps(which, e); why != "" {
				return fmt.Errorf("entry %d is held: %s", e.Seq, why)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

// tendErasures carries out what two people agreed on, and what the configuration that two people agreed on says of retention, until ctx ends.
func (s *Server) tendErasures(ctx context.Context) {
	ticker := time.NewTicker(erasePause)
	defer ticker.Stop()
	var looked time.Time
	told := ""
	for {
		err := s.eraseAgreed()
		if len(s.o.Config.Retention.Days) > 0 && s.o.Clock().Sub(looked) >= retentionEvery {
			looked = s.o.Clock()
			err = errors.Join(err, s.eraseOld(ctx))
		}
		err = errors.Join(err, s.eraseListed(ctx)) // also where a proposal waits because of a hold
		if err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			s.log.Error("entries could not be erased; trying again", "why", told)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// eraseAgreed puts on record what is erased next by approved proposals. What is held since is left, and asked about anew; it keeps no other from being erased.
func (s *Server) eraseAgreed() error {
	var errs []error
	for _, p := range s.state.Fresh(control.Erase, s.o.Clock()) {
		if slices.ContainsFunc(s.state.Erasures(), func(e control.Erasure) bool { return e.ID == p.ID }) {
			continue
		}
		if err := s.eraseProposed(&p); err != nil {
			errs = append(errs, fmt.Errorf("proposal %s: %w", p.ID, err))
		}
	}
	return errors.Join(errs...)
}

// eraseProposed puts one of them on record, where its entries are those that were agreed on, and nothing holds them.
func (s *Server) eraseProposed(p *control.Proposal) error {
	stream, which := s.streamOf(p.Erased.Record)
	if stream == nil {
		return errors.New("its record is not here")
	}
	list, err := stream.Erasure(p.Erased.Runs)
	if err != nil {
		return err
	}
	if string(list.Digest) != string(p.Erased.Digest) {
		return errors.New("its entries are others now")
	}
	if err := s.objections(stream, which, p.Erased.Runs); err != nil {
		return err
	}
	if err := s.restate(p); err != nil {
		return err
	}
	e, err := s.erasing(p.ID, "by "+string(p.By)+", approved by "+string(p.Decider), list)
	if err != nil {
		return err
	}
	return s.orders.Give(nil, e)
}

// erasing is the entry that lists what is erased, here and in gateways' own streams.
func (s *Server) erasing(id, details string, list *sallyport.Erasure) (*sallyport.Event, error) {
	copies, err := s.copiesOf(list)
	if err != nil {
		return nil, err
	}
	return &sallyport.Event{Time: s.o.Clock(), Kind: sallyport.Erasing, Order: &sallyport.Order{ID: id, Action: control.Erase, Details: details, Erased: list, Copies: copies}}, nil
}

// eraseListed erases what the record lists, also what an earlier serve did not come to.
func (s *Server) eraseListed(ctx context.Context) error {
	done := map[string]uint64{}
	var ids []string
	for _, e := range s.state.Erasures() {
		stream, _ := s.streamOf(e.List.Record)
		if stream == nil {
			return fmt.Errorf("list %s: its record is not here", e.ID)
		}
		if err := stream.Erase(e.List.Runs); err != nil {
			return err
		}
		if stream == s.access && s.history != nil {
			if err := s.history.Erase(ctx, sequences(e.List.Runs)); err != nil {
				return fmt.Errorf("erase from history what the record no longer has: %w", err)
			}
		}
		if done[e.ID] == 0 {
			ids = append(ids, e.ID)
		}
		done[e.ID] += e.List.Count
	}
	if len(ids) == 0 {
		return nil
	}
	lines, err := s.exports.erase(s.state.Erasures())
	if err != nil {
		return fmt.Errorf("erase from files of outputs what the record no longer has: %w", err)
	}
	for _, id := range ids {
		err := s.orders.Give(nil, &sallyport.Event{
			Time: s.o.Clock(), Kind: sallyport.Erased, Note: erasedNote(done[id], lines, s.exports.owes()), Order: &sallyport.Order{ID: id, Action: control.Erase},
		})
		if err != nil {
			return err
		}
		s.log.Info("entries were erased", "id", id, "entries", done[id])
	}
	return nil
}

// sequences are all that runs hold.
func sequences(runs []uint64) (list []uint64) {
	for i := 0; i+1 < len(runs); i += 2 {
		for seq := runs[i]; seq <= runs[i+1]; seq++ {
			list = append(list, seq)
		}
	}
	return list
}

// eraseOld puts on record which entries' time is up, by the configuration that holds.
func (s *Server) eraseOld(ctx context.Context) error {
	id := "retention-" + strings.ToLower(rand.Text()[:10])
	for _, which := range []ledger.Stream{ledger.Access, ledger.Control} {
		stream, _ := s.streamOf(which.String())
		old, err := s.outOfTime(ctx, stream, which)
		if err != nil {
			return err
		}
		for _, kind := range erasableKinds(which) {
			for runs := range slices.Chunk(old[kind], 2*runsListed) {
				list, err := stream.Erasure(runs)
				if err != nil {
					return err
				}
				list.Kind = kind
				list.Before, _ = s.o.Config.Retention.until(kind, s.o.Clock())
				e, err := s.erasing(id, "retention by the configuration "+s.o.Config.hash, list)
				if err != nil {
					return err
				}
				if err := s.orders.Give(nil, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// outOfTime finds the entries of each kind that are older than they are kept, as runs.
func (s *Server) outOfTime(ctx context.Context, stream *record.Stream, which ledger.Stream) (map[sallyport.EventKind][]uint64, error) {
	now, kept := s.o.Clock(), &s.o.Config.Retention
	newest := time.Time{}
	for _, kind := range erasableKinds(which) {
		if until, ok := kept.until(kind, now); ok {
			newest = later(newest, until)
		}
	}
	old := map[sallyport.EventKind][]uint64{}
	if newest.IsZero() {
		return old, nil
	}
	err := stream.Read(1, func(e *sallyport.Event) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Time.After(newest.Add(time.Hour)) { // entries stand in the order of their times, nearly
			return errEnough
		}
		until, ok := kept.until(e.Kind, now)
		if !ok || !e.Time.Before(until) || !slices.Contains(erasableKinds(which), e.Kind) || s.keeps(which, e) != "" {
			return nil
		}
		if runs := old[e.Kind]; len(runs) > 0 && runs[len(runs)-1]+1 == e.Seq {
			runs[len(runs)-1] = e.Seq
		} else {
			old[e.Kind] = append(runs, e.Seq, e.Seq)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return old, nil
}
