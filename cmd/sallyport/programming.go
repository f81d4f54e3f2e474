package main

import "sallyport/program"

// openProgram folds what the record says about the programme.
func (s *Server) openProgram() error {
	s.program = program.NewBook()
	return s.orders.Fold(s.program.Apply)
}
