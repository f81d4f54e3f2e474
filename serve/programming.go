package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport"
	"sallyport/policy"
	"sallyport/program"
	"sallyport/record"

	"github.com/jackc/pgx/v5"
)

// openProgram folds what the record says about the programme, drills and training.
func (s *Server) openProgram() error {
	s.program = program.NewBook()
	err := s.orders.Fold(func(e *sallyport.Event) {
		s.program.Apply(e)
		if e.Kind == sallyport.ProgramKind || e.Kind == sallyport.Approved {
			s.State.Turn() // what a review ends, or two people gave back, holds in the middle of a result
		}
	})
	if err != nil {
		return err
	}
	if err := s.orders.Fold(s.drills.book.Apply); err != nil {
		return err
	}
	return s.orders.Fold(s.teaching.book.Apply)
}

// ended is what has ended somebody's access by a date. It goes by the clock, so that nothing need be written for it to bite.
func (s *Server) ended(who sallyport.Staff, now time.Time) policy.Ended {
	if p, ok := s.staffing.person(who); ok && p.Over(now) {
		return policy.ByContract
	}
	if _, over := s.program.Ended(who, now); over {
		return policy.ByReview
	}
	return ""
}

// programEvery is how often it is looked at whether a date is over.
const programEvery = 250 * time.Millisecond

// tendProgram puts on record what dates have ended, and once a day what breaks the rules of many eyes, until ctx ends.
func (s *Server) tendProgram(ctx context.Context) {
	ticker := time.NewTicker(programEvery)
	defer ticker.Stop()
	w := &separationWatch{s: s}
	for {
		if err := s.lapse(); err != nil && !errors.Is(err, record.ErrClosed) {
			s.log.Error("a review's date is over, and that could not be put on record; access has ended all the same", "why", err.Error())
		}
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// lapse puts on record whose access has ended because nobody decided in time. Results that are leaving are asked anew by it.
func (s *Server) lapse() error {
	now := s.O.Clock()
	for _, r := range s.program.Due(now) {
		e := &sallyport.Event{Time: now, Kind: sallyport.ProgramKind, Order: &sallyport.Order{
			Action: program.ReviewLapsed, About: r.Staff, Program: &sallyport.ProgramStep{Do: program.ReviewLapsed, Name: r.Name, Staff: r.Staff, Until: r.Until},
		}}
		if err := s.orders.Give(nil, e); err != nil {
			s.State.Turn() // it bites all the same, in results that are leaving, too
			return err
		}
	}
	return nil
}

// otherDatabases asks the server for its other databases that anybody can connect to.
func (s *Server) otherDatabases(ctx context.Context) (names []string, err error) {
	conn, err := s.asReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the server for its databases: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate AND datname <> current_database() AND datname <> 'postgres' ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("ask the server for its databases: %w", err)
	}
	if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("ask the server for its databases: %w", err)
	}
	return names, nil
}
