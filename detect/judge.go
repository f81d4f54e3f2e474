package detect

import "math"

// judge says what kind of insider it is, by what speaks for each, in powers of ten, and how likely.
func (d *Detector) judge(p *person, odds float64, at int64) (string, map[string]float64) {
	malicious, negligent, compromised := d.malice(p, at), d.negligence(p, at), d.intrusion(p, at)
	m, n, c := math.Pow(10, malicious), math.Pow(10, negligent), math.Pow(10, compromised)
	sum := m + n + c
	benign := 1 / (1 + math.Pow(10, odds))
	part := func(x float64) float64 { return math.Round((1-benign)*x/sum*1000) / 1000 }
	list := map[string]float64{Malicious: part(m), Negligent: part(n), Compromised: part(c), Benign: math.Round(benign*1000) / 1000}
	switch {
	case c > m && c > n:
		return Compromised, list
	case n > m:
		return Negligent, list
	}
	return Malicious, list
}

// lately tells whether a sign was seen in the days before.
func lately(sign, at, days int64) bool { return sign != 0 && at-sign <= days*dayMS && sign <= at }

// malice: over days, with reasons of his own making, in order, while he is leaving.
func (d *Detector) malice(p *person, at int64) (l float64) {
	e := p.episode
	if days := floor(at-e.since[0], dayMS); days >= 2 {
		l += 0.7
	}
	if e.parts[selfMade] > 0.5 || p.streams[selfMade].x >= 3 {
		l += 1
	}
	if p.streams[walk].x >= 10 {
		l += 0.2
	}
	if d.options.Personnel && p.notice != 0 && p.notice <= at {
		l += 0.7
	}
	return l
}

// negligence: much at once, in his hours, from his own device, where another tool saw it leave, and no second time.
func (d *Detector) negligence(p *person, at int64) float64 {
	l := -0.5
	s, e := &p.signs, p.episode
	if e.exposed > 0 && float64(s.most) >= 0.5*float64(e.exposed) && s.most >= many {
		l += 0.5
	}
	if lately(s.alert, at, 2) && s.source != "endpoint" && s.source != "network" {
		l += 0.8
	}
	if e.parts[exposure] < 0.3 && (e.parts[sink] > 0.3 || e.parts[bulk] > 0.3) {
		l += 0.7
	}
	if e.parts[selfMade] > 0.5 || lately(s.device, at, 3) || at-e.since[0] > 3*dayMS {
		l -= 1
	}
	return l
}

// intrusion: a device, a place, hours and statements that are not his.
func (d *Detector) intrusion(p *person, at int64) float64 {
	l := -0.7
	s := &p.signs
	for _, sign := range []struct {
		at     int64
		weight float64
	}{{s.device, 1}, {s.country, 0.8}, {s.travel, 0.8}, {s.network, 0.4}, {s.failures, 0.7}, {s.odd, 0.4}, {s.way, 0.3}, {s.form, 0.2}} {
		if lately(sign.at, at, 2) {
			l += sign.weight
		}
	}
	if s.ownDevice {
		l -= 0.7
	}
	return l
}
