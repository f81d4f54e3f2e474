package sim

import "sallyport"

// Turned is the day on which somebody changed teams, whether it is on record or not; 0: he did not.
func (c *Company) Turned(who sallyport.Staff) int {
	for i := range c.staff {
		if c.staff[i].ID == who {
			return c.agents[i].turned
		}
	}
	return 0
}
