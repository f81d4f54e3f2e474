package cases

import (
	"fmt"
	"slices"

	"sallyport"
)

// Holds says why an entry must be kept as evidence; empty: no case holds it. Customers are those of whom the entry speaks.
func (b *Book) Holds(e *sallyport.Event, customers map[sallyport.Subject]bool) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cases {
		if !c.Hold {
			continue
		}
		if slices.Contains(c.People, e.Who.Staff) && !e.Time.Before(c.HeldFrom) {
			return fmt.Sprintf("it is held for case %d: it is of somebody involved", c.Number)
		}
		for _, customer := range c.Customers {
			if customers[customer] {
				return fmt.Sprintf("it is held for case %d: it speaks of a customer of it", c.Number)
			}
		}
	}
	return ""
}

// HoldsCustomer names the case that holds what is known of a customer; 0: none does.
func (b *Book) HoldsCustomer(customer sallyport.Subject) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cases {
		if c.Hold && slices.Contains(c.Customers, customer) {
			return c.Number
		}
	}
	return 0
}

// Holding tells whether any case holds evidence.
func (b *Book) Holding() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.cases, func(c *Case) bool { return c.Hold })
}

// Barred says why somebody may not see a case; empty: he may. line is where another stands in somebody's report line.
func (c *Case) Barred(viewer sallyport.Staff, line func(who, other sallyport.Staff) sallyport.Line) string {
	for _, who := range c.People {
		switch {
		case who == viewer:
			return "it is about himself"
		case line != nil && line(who, viewer) != sallyport.Outside:
			return "he stands in the report line of somebody whom it is about"
		}
	}
	return ""
}

// Bin is how often those were guilty whom evidence had made so probable.
type Bin struct {
	From   float64 `json:"from"`
	To     float64 `json:"to"`
	People int     `json:"people"`
	Guilty int     `json:"guilty"`
}

// Calibration compares what hypotheses said with how cases ended: of confirmed and unfounded ones, each person involved. Who was added to a case
// without any weighing does not count.
func (b *Book) Calibration() []Bin {
	b.mu.Lock()
	defer b.mu.Unlock()
	bins := []Bin{{From: 0, To: 0.05}, {From: 0.05, To: 0.5}, {From: 0.5, To: 0.8}, {From: 0.8, To: 0.95}, {From: 0.95, To: 1}}
	for _, c := range b.cases {
		if c.State != Closed || c.Outcome != Confirmed && c.Outcome != Unfounded || len(c.Weighed) == 0 {
			continue
		}
		for _, who := range c.People {
			p := c.Probability(who)
			at := slices.IndexFunc(bins, func(b Bin) bool { return p < b.To })
			if at < 0 {
				at = len(bins) - 1
			}
			bins[at].People++
			if slices.Contains(c.Guilty, who) {
				bins[at].Guilty++
			}
		}
	}
	return bins
}
