package program

import (
	"slices"
	"time"

	"sallyport"
)

// Review is a list of what somebody's people may do, for his manager to decide.
type Review struct {
	Name    string          `json:"name"`
	Staff   sallyport.Staff `json:"staff"` // whose access
	At      time.Time       `json:"at"`
	By      sallyport.Staff `json:"by"`
	Until   time.Time       `json:"until"`
	Items   []string        `json:"items"` // what is allowed, with how often it was used
	Decided time.Time       `json:"decided,omitzero"`
	Decider sallyport.Staff `json:"decider,omitempty"`
	Keeps   bool            `json:"keeps"`
	Why     string          `json:"why,omitempty"`
}

// Ended tells whether the access is to end: somebody said so, or nobody said anything in time.
func (r *Review) Ended(now time.Time) bool {
	if r.Decided.IsZero() {
		return !now.Before(r.Until)
	}
	return !r.Keeps
}

// review takes an entry about one. b.mu is held.
func (b *Book) review(e *sallyport.Event, p *sallyport.ProgramStep) {
	if p.Do == ReviewOpened {
		b.reviews = append(b.reviews, Review{Name: p.Name, Staff: p.Staff, At: e.Time, By: e.Order.By, Until: p.Until, Items: p.Items})
		return
	}
	for i := range b.reviews {
		r := &b.reviews[i]
		if r.Name == p.Name && r.Staff == p.Staff && r.Decided.IsZero() && e.Time.Before(r.Until) && e.Order.By != r.Staff {
			r.Decided, r.Decider, r.Keeps, r.Why = e.Time, e.Order.By, p.Keeps, p.Text
		}
	}
}

// Reviews are all of them, in the order of the record.
func (b *Book) Reviews() []Review {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.reviews)
}
