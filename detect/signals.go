package detect

import (
	"strings"

	"sallyport"
)

// logIn takes an attempt to log in anywhere.
func (d *Detector) logIn(in *sallyport.LogIn, at int64) {
	p := d.person(in.Staff)
	if in.Failed {
		p.failures++
		return
	}
	const guessing = 5
	if p.failures >= guessing && !p.service {
		p.signs.failures = at
		d.count(p, novelty, 1, at)
	}
	p.failures = 0
	d.ready(p, at)
	if in.Country != "" {
		if isNew(p, p.countries, hash(in.Country)) {
			p.signs.country = at
			d.count(p, novelty, 1, at)
		}
		const flight = 3 * hourMS
		if p.lastCountry != "" && p.lastCountry != in.Country && at-p.lastLogIn < flight {
			p.signs.travel = at
			d.count(p, novelty, 1, at)
		}
		p.lastCountry, p.lastLogIn = in.Country, at
	}
	if in.Device != "" {
		d.device(p, in.Device, at)
	}
	if in.Address != "" {
		d.pairs.place(p, in.Address, at)
	}
	if in.Address != "" && isNew(p, p.networks, hash(network(in.Address))) {
		p.signs.network = at
		d.count(p, novelty, 0.5, at)
	}
}

// alert takes what another tool has seen. Only what it holds for serious is counted.
func (d *Detector) alert(in *sallyport.Alert, at int64) {
	const serious = 3
	if in.Severity < serious {
		return
	}
	p := d.person(in.Staff)
	p.signs.alert, p.signs.source = at, strings.ToLower(in.Source)
	if p.signs.source == "endpoint" {
		d.count(p, novelty, 0.5*float64(in.Severity-serious+1), at)
		return
	}
	// What leaves within the hour after a result with very many customers is more than either.
	weight := float64(in.Severity - serious + 1)
	if p.hurry.n >= many && at-p.hurry.from < hourMS {
		weight *= 3
	}
	d.count(p, sink, weight, at)
}

// personnel takes what the personnel department says. Grievances and leave weigh nothing.
func (d *Detector) personnel(in *sallyport.HRFact, at int64) {
	p := d.person(in.Staff)
	switch in.Type {
	case "role_change":
		if in.Value != "" {
			p.role = in.Value
		}
		if g := d.groupOf(p); g != p.group {
			if p.open {
				d.closeDay(p)
			}
			p.join(g)
		} else {
			for i := range p.streams {
				p.streams[i].days *= 0.2
				p.streams[i].total *= 0.2
			}
		}
	case "notice":
		p.notice = at
	case "terminated":
		p.left = at
	case "training_overdue":
		p.training = true
	case "training_done":
		p.training = false
	}
}

// report takes what a customer tells. Everybody who looked at him without a reason before has a part of it.
func (d *Detector) report(in *sallyport.ScamReport, at int64) {
	if in.Unconfirmed {
		return
	}
	customer := key(in.Customer)
	var who []*person
	for _, p := range d.order {
		if l, ok := p.seen[customer]; ok && l.bare != 0 && l.ms() <= at {
			who = append(who, p)
		}
	}
	for _, p := range who {
		d.count(p, reported, 1/float64(len(who)), at)
	}
}
