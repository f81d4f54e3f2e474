package detect

// urgent is the priority of what cannot wait for the morning.
const urgent = "urgent"

// called tells whether an urgent ticket of his, which somebody else opened, has him look at a customer outside his hours: who is on call is at work
// then, and accused by each night of it otherwise.
func (d *Detector) called(p *person, customer uint64, at int64) bool {
	k := d.facts.byCustomer[customer]
	for n := 0; k != nil && n < mostTickets; n++ {
		open := k.opened <= at && (k.closed == 0 || at-k.closed <= dayMS)
		if open && k.assignee == p && k.openedBy != p && d.facts.names[k.priority] == urgent {
			return true
		}
		k = k.older
	}
	return false
}
