package apart

// Kill ends the process as a fault would.
func Kill(s *Store) { s.kill() }
