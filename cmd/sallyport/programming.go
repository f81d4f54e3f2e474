package main

import "sallyport/program"

// openProgram folds what the record says about the programme, drills and training.
func (s *Server) openProgram() error {
	s.program = program.NewBook()
	if err := s.orders.Fold(s.program.Apply); err != nil {
		return err
	}
	if err := s.orders.Fold(s.drills.book.Apply); err != nil {
		return err
	}
	return s.orders.Fold(s.teaching.book.Apply)
}
