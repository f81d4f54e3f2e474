package reports

import (
	"context"
	"fmt"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/detect"
	"sallyport/program"
	"sallyport/program/board"
)

// board makes the page of a month.
func (r *Record) board(ctx context.Context, q *api.ReportQuestion) (*board.Page, error) {
	month := r.Now
	if q.Month != "" {
		var err error
		if month, err = time.Parse("2006-01", q.Month); err != nil {
			return nil, config.Usagef("--month %q is no month; expected one such as 2026-11", q.Month)
		}
	}
	docs, err := config.DocumentsOf(q)
	if err != nil {
		return nil, err
	}
	budget := 0.0
	if !r.Config.Detect.Off {
		options, err := r.Config.DetectOptions()
		if err != nil {
			return nil, err
		}
		if budget = options.Budget; budget == 0 {
			budget = detect.DefaultBudget
		}
	}
	book := board.NewBook(budget)
	if err := r.looked(ctx, func(s *looking) { book.Input(s.in, s.looks, s.unexplained, s.days) }); err != nil {
		return nil, err
	}
	if err := r.Control.Read(1, func(e *sallyport.Event) error {
		book.Control(e)
		return ctx.Err()
	}); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	page := book.Page(month, r.Now)
	page.Record, page.Entries = r.Access.ID(), r.Access.Last()+r.Control.Last()
	if len(docs) > 0 {
		policies, err := r.enforcing(ctx, q.Days)
		if err != nil {
			return nil, err
		}
		page.Drift = board.DriftOf(program.FindDrift(docs, policies, r.members(), r.Book.Read))
	}
	return page, nil
}
