package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/control"
	"sallyport/ledger"
	"sallyport/record"
)

// ParseRuns reads entries of one stream, and puts them in order.
func ParseRuns(args []string) (stream string, runs []uint64, err error) {
	var all [][2]uint64
	for _, text := range args {
		of, run, err := config.ParseRun(text)
		if err != nil {
			return "", nil, err
		}
		if stream != "" && of.String() != stream {
			return "", nil, errors.New("entries of two streams; expected those of one")
		}
		stream = of.String()
		all = append(all, run)
	}
	slices.SortFunc(all, func(a, b [2]uint64) int {
		if a[0] < b[0] {
			return -1
		}
		return 1
	})
	for _, run := range all {
		if n := len(runs); n > 0 && run[0] <= runs[n-1]+1 {
			runs[n-1] = max(runs[n-1], run[1])
			continue
		}
		runs = append(runs, run[0], run[1])
	}
	return stream, runs, nil
}

const (
	erasePause = time.Second
	// retentionEvery is the time between two looks for entries whose time is up.
	retentionEvery = 6 * time.Hour
	// runsListed bounds one entry that lists what is erased.
	runsListed = 5000
)

// streamOf is one of the two streams, by the name of its folder or by its id.
func (s *Server) streamOf(name string) (*record.Stream, ledger.Stream) {
	switch name {
	case ledger.Access.String(), s.AccessStream.ID():
		return s.AccessStream, ledger.Access
	case ledger.Control.String(), s.ControlStream.ID():
		return s.ControlStream, ledger.Control
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
	latest := s.O.Clock().AddDate(0, 0, -config.FewestDays)
	for i := 0; i < len(runs); i += 2 {
		err := stream.Read(runs[i], func(e *sallyport.Event) error {
			switch {
			case e.Seq > runs[i+1]:
				return record.ErrEnough
			case !slices.Contains(config.ErasableKinds(which), e.Kind):
				return fmt.Errorf("entry %d is of kind %s, from which it follows who may see what: it is kept", e.Seq, e.Kind)
			case e.AsItWas().Time.After(latest):
				return fmt.Errorf("entry %d is younger than %d days: budgets count what was seen", e.Seq, config.FewestDays)
			}
			if why := s.keeps(which, e); why != "" {
				return fmt.Errorf("entry %d is held: %s", e.Seq, why)
			}
			return nil
		})
		if err != nil {
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
		if len(s.O.Config.Retention.Days) > 0 && s.O.Clock().Sub(looked) >= retentionEvery {
			looked = s.O.Clock()
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
	for _, p := range s.State.Fresh(control.Erase, s.O.Clock()) {
		if slices.ContainsFunc(s.State.Erasures(), func(e control.Erasure) bool { return e.ID == p.ID }) {
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
	return &sallyport.Event{Time: s.O.Clock(), Kind: sallyport.Erasing, Order: &sallyport.Order{ID: id, Action: control.Erase, Details: details, Erased: list, Copies: copies}}, nil
}

// eraseListed erases what the record lists, also what an earlier serve did not come to.
func (s *Server) eraseListed(ctx context.Context) error {
	done := map[string]uint64{}
	var ids []string
	for _, e := range s.State.Erasures() {
		stream, _ := s.streamOf(e.List.Record)
		if stream == nil {
			return fmt.Errorf("list %s: its record is not here", e.ID)
		}
		if err := stream.Erase(e.List.Runs); err != nil {
			return err
		}
		if stream == s.AccessStream && s.history != nil {
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
	lines, err := s.exports.erase(s.State.Erasures())
	if err != nil {
		return fmt.Errorf("erase from files of outputs what the record no longer has: %w", err)
	}
	for _, id := range ids {
		err := s.orders.Give(nil, &sallyport.Event{
			Time: s.O.Clock(), Kind: sallyport.Erased, Note: erasedNote(done[id], lines, s.exports.owes()), Order: &sallyport.Order{ID: id, Action: control.Erase},
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
		for _, kind := range config.ErasableKinds(which) {
			for runs := range slices.Chunk(old[kind], 2*runsListed) {
				list, err := stream.Erasure(runs)
				if err != nil {
					return err
				}
				list.Kind = kind
				list.Before, _ = s.O.Config.Retention.Until(kind, s.O.Clock())
				e, err := s.erasing(id, "retention by the configuration "+s.O.Config.Hash, list)
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
	now, kept := s.O.Clock(), &s.O.Config.Retention
	newest := time.Time{}
	for _, kind := range config.ErasableKinds(which) {
		if until, ok := kept.Until(kind, now); ok {
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
			return record.ErrEnough
		}
		until, ok := kept.Until(e.Kind, now)
		if !ok || !e.Time.Before(until) || !slices.Contains(config.ErasableKinds(which), e.Kind) || s.keeps(which, e) != "" {
			return nil
		}
		if runs := old[e.Kind]; len(runs) > 0 && runs[len(runs)-1]+1 == e.Seq {
			runs[len(runs)-1] = e.Seq
		} else {
			old[e.Kind] = append(runs, e.Seq, e.Seq)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return old, nil
}
