package control

import "sallyport"

// drill begins and ends a theft that is played. What Sallyport did about the accounts that play it is taken back by itself: they can be shown nobody who
// exists. What a person did about them stays.
func (s *State) drill(o *sallyport.Order) {
	if o.Drill == nil {
		return
	}
	for _, who := range o.Drill.Accounts {
		p := s.people[who]
		if p == nil {
			p = &person{}
		}
		for _, h := range []**hold{&p.locked, &p.suspended} {
			if *h != nil && (*h).by == "" {
				*h = nil
			}
		}
		delete(s.doors.caps, who)
		s.changes = append(s.changes, change{who, s.standing(who)})
	}
	s.doors.turn()
}
