package detect

import "sallyport"

// What only a gateway's record says of a statement: customers whose rows came back as tokens, values that were turned into tokens outside
// of a reason, and powers that it takes.

// mostReached bounds what is remembered of a day; what is beyond it counts each time.
const mostReached = 1 << 16

// touched counts what a statement reached and tried without a reason. Nothing of it was readable: it says that somebody looks around.
func (d *Detector) touched(p *person, a *sallyport.Access, at int64) {
	if p.service {
		return
	}
	if a.Reach > 0 || len(a.Reached) > 0 {
		d.ready(p, at)
		n := float64(max(0, a.Reach-int64(len(a.Reached)))) // rows of which nobody knows whose they are
		for _, s := range a.Reached {
			if p.newToday(key(s)) {
				n++
			}
		}
		if n > 0 {
			d.count(p, reached, n, at)
		}
	}
	if a.Probes > 0 {
		d.count(p, tried, float64(a.Probes), at)
	}
}

// newToday notes a customer, and tells whether it was the first time today that his rows came back.
func (p *person) newToday(customer uint64) bool {
	if _, again := p.reachedToday[customer]; again {
		return false
	}
	if len(p.reachedToday) < mostReached {
		if p.reachedToday == nil {
			p.reachedToday = map[uint64]struct{}{}
		}
		p.reachedToday[customer] = struct{}{}
	}
	return true
}

// powers counts what changes who may what, what stays behind and works on when the session is gone, and ways around the gateway, whether
// it was let through or refused.
func (d *Detector) powers(p *person, a *sallyport.Access, at int64) {
	var counts [streams]float64
	for _, kind := range a.Powers {
		switch sallyport.Power(kind) {
		case sallyport.PowerFunction, sallyport.PowerTrigger, sallyport.PowerRule, sallyport.PowerExtension:
			counts[left] = 1
		case sallyport.PowerForeign, sallyport.PowerReplication, sallyport.PowerFile:
			counts[bypass] = 1
		case sallyport.PowerGrant, sallyport.PowerRole, sallyport.PowerSetRole, sallyport.PowerSystem, sallyport.PowerDatabase:
			counts[privilege] = 1
		default:
			counts[privilege] = 1 // one that this version does not know
		}
	}
	if len(a.Powers) == 0 && (a.Activity == sallyport.CreateActivity || a.Activity == sallyport.DeleteActivity) && aboutPower(a.Table) {
		counts[privilege] = 1
	}
	if p.service && !a.Refused {
		return // programs that migrate do this all day
	}
	for _, i := range [...]int{privilege, left, bypass} {
		if counts[i] > 0 {
			d.count(p, i, counts[i], at)
		}
	}
}

// eagerly notes work that is explained, but not his: a ticket of another team, which nobody brought him into.
func (d *Detector) eagerly(p *person, t *Template) {
	if t != nil && t.Fact == "ticket" && t.Whose == "anybody" && p.days > settled {
		p.streams[eager].x++
		d.renew(p, eager)
	}
}

// tookAway notes that he got a ticket of a queue that is not his, or outside of his hours.
func (d *Detector) tookAway(p *person, t *ticket, at int64) {
	if p.service || p.days <= settled || !p.open {
		return
	}
	queue := d.facts.names[t.queue]
	foreign := queue != "" && p.queues[queue] == 0 && (p.employee == nil || p.employee.Team != queue)
	if from := t.assignee; foreign || from != nil && from != p && d.odd(p, at, p.hour(at)) {
		p.streams[eager].x++
		d.renew(p, eager)
	}
}
