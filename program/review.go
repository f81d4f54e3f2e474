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

	Ends      bool      `json:"ends"`               // what nobody decides ends by itself
	Lapsed    time.Time `json:"lapsed,omitzero"`    // when it was put on record that nobody decided in time
	Prolonged time.Time `json:"prolonged,omitzero"` // when two people gave it this date
}

// ShortestReview is how long before its date a review that ends access must be on record: so that nobody takes everybody's access away by a date.
const ShortestReview = 7 * 24 * time.Hour

// Ended tells whether the access is to end: somebody said so, or nobody said anything in time.
func (r *Review) Ended(now time.Time) bool {
	if r.Decided.IsZero() {
		return !r.Lapsed.IsZero() || !now.Before(r.Until)
	}
	return !r.Keeps
}

// word is when something was said last of the access of whom the review is about, by people or by its date; zero: nothing was.
func (r *Review) word(now time.Time) (at time.Time, ended bool) {
	switch {
	case !r.Decided.IsZero():
		return r.Decided, !r.Keeps
	case r.Ended(now):
		return r.Until, true
	}
	return r.Prolonged, false
}

// Ended tells which review has ended somebody's access by itself: the last word counts, of whichever review. One that was opened before reviews ended
// anything, or too shortly before its date, ends nothing.
func (b *Book) Ended(who sallyport.Staff, now time.Time) (name string, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var last time.Time
	for _, i := range b.of[who] {
		r := &b.reviews[i]
		if !r.Ends {
			continue
		}
		at, over := r.word(now)
		if alone := ended && !over && r.Decider == r.By; at.IsZero() || at.Before(last) || alone { // to give back what has ended takes two
			continue
		}
		last, name, ended = at, r.Name, over
	}
	return name, ended
}

// Due are reviews whose date is over without a word, and of which that is not on record yet.
func (b *Book) Due(now time.Time) (out []Review) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.reviews {
		if r.Ends && r.Decided.IsZero() && r.Lapsed.IsZero() && !now.Before(r.Until) {
			out = append(out, r)
		}
	}
	return out
}

// review takes an entry about one. b.mu is held.
func (b *Book) review(e *sallyport.Event, p *sallyport.ProgramStep) {
	if p.Do == ReviewOpened {
		b.of[p.Staff] = append(b.of[p.Staff], len(b.reviews))
		b.reviews = append(b.reviews, Review{
			Name: p.Name, Staff: p.Staff, At: e.Time, By: e.Order.By, Until: p.Until, Items: p.Items, Ends: p.Ends && !p.Until.Before(e.Time.Add(ShortestReview)),
		})
		return
	}
	for _, i := range b.of[p.Staff] {
		r := &b.reviews[i]
		switch {
		case r.Name != p.Name || !r.Decided.IsZero() || !r.Lapsed.IsZero():
		case p.Do == ReviewDecided && e.Time.Before(r.Until) && e.Order.By != r.Staff:
			r.Decided, r.Decider, r.Keeps, r.Why = e.Time, e.Order.By, p.Keeps, p.Text
		case p.Do == ReviewLapsed && e.Order.By == "" && !e.Time.Before(r.Until):
			r.Lapsed = e.Time
		}
	}
}

// prolonging is a proposal that waits for a second person.
type prolonging struct {
	by    sallyport.Staff
	at    time.Time
	name  string
	until time.Time
	of    []sallyport.Staff
}

// proposalLasts is how long a proposal can be approved, as in control.
const proposalLasts = 24 * time.Hour

// prolong takes entries about a proposal to give some people of a review another date: it is as if nobody had decided about them yet. None of them has a
// say. b.mu is held.
func (b *Book) prolong(e *sallyport.Event) {
	o := e.Order
	switch {
	case e.Kind == sallyport.Proposed && o.Action == ReviewProlongs && o.Program != nil && o.By != "":
		b.prolongs[o.ID] = prolonging{o.By, e.Time, o.Program.Name, o.Program.Until, o.Subjects}
	case e.Kind == sallyport.Declined:
		delete(b.prolongs, o.ID)
	case e.Kind == sallyport.Approved:
		p, ok := b.prolongs[o.ID]
		if !ok || o.By == "" || o.By == p.by || e.Time.Sub(p.at) >= proposalLasts || !p.until.After(e.Time) {
			return
		}
		if slices.Contains(p.of, o.By) || slices.Contains(p.of, p.by) {
			return
		}
		delete(b.prolongs, o.ID)
		for _, who := range p.of {
			for _, i := range b.of[who] {
				if r := &b.reviews[i]; r.Name == p.name {
					r.Prolonged, r.Until = e.Time, p.until
					r.Decided, r.Lapsed, r.Decider, r.Keeps, r.Why = time.Time{}, time.Time{}, "", false, ""
				}
			}
		}
	}
}

// Reviews are all of them, in the order of the record.
func (b *Book) Reviews() []Review {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.reviews)
}
