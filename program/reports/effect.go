package reports

import (
	"context"
	"fmt"

	"sallyport"
	"sallyport/program/training"
)

// effects are what lessons did.
func (r *Record) effects(ctx context.Context) ([]training.Effect, error) {
	book, err := r.learnt()
	if err != nil {
		return nil, err
	}
	days := training.Days{}
	if err := r.looked(ctx, func(s *looking) {
		if s.in.Access != nil && s.looks > 0 {
			days.Add(s.in.Access.Staff, s.in.Time, s.looks, s.unexplained)
		}
	}); err != nil {
		return nil, err
	}
	return training.Effects(book.Lessons(), days, r.Config.Training.Wait, r.Now), nil
}

// learnt folds what the record says about training.
func (r *Record) learnt() (*training.Book, error) {
	book := training.NewBook()
	if err := r.Control.Read(1, func(e *sallyport.Event) error {
		book.Apply(e)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	return book, nil
}
