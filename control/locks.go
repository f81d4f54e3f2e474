package control

import (
	"time"

	"sallyport"
)

// Lock is a lock that waits for a second person: its proposer has given too many within an hour. Whoever could lock everybody at once
// could stop the house.
const Lock = "lock"

// lockWindow is how long a lock counts for who gave it.
const lockWindow = time.Hour

// given are locks by one person: whom, and when last.
type given map[sallyport.Staff]time.Time

// noteLock remembers who was locked by whom, for an hour.
func (s *State) noteLock(e *sallyport.Event, o *sallyport.Order) {
	if o.By == "" {
		return // Sallyport itself: each by a rule about that person
	}
	locks := s.locks[o.By]
	if locks == nil {
		locks = given{}
		s.locks[o.By] = locks
	}
	for who, at := range locks {
		if e.Time.Sub(at) >= lockWindow {
			delete(locks, who)
		}
	}
	locks[o.About] = e.Time
}

// LockedBy is how many people somebody has locked within the last hour, besides one: who is locked again counts once.
func (s *State) LockedBy(by, besides sallyport.Staff, now time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who, at := range s.locks[by] {
		if who != besides && now.Sub(at) < lockWindow {
			n++
		}
	}
	return n
}
