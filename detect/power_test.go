package detect

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport"
	"sallyport/sim"
)

// The nulls whose power and promise are compared in one run: from one that knows all to the one that is used. What lies between two of them
// is the price of one thing.
const (
	plain      = iota // one negative binomial, and the growth next to the theft's
	manyGrowth        // all growths
	weighted          // and the stream's part of the budget
	moving_           // and rates that move
	tailed            // instead: days that look like anything
	mixed_            // both
	bold              // both, and days of the tail may be five times as much evidence
	bolder            // twenty-five times
	off_              // and what is taken off each day
	used              // and the level as it was raised or lowered
	nulls
)

func nullNames() [nulls]string {
	return [nulls]string{"plain, one growth", "all growths", "part of the budget", "+ rates move", "+ days like anything", "both", "both, rarely/5", "both, rarely/25", "+ taken off", "+ level: as used"}
}

// ledger are the processes of one person under each null, and of levels at which they are set back on innocent days.
type powers struct {
	r      [nulls]process
	low    [nulls][levels]process
	caught [nulls]float64 // customers taken; 0: not yet
}

type decomposition struct {
	days   float64
	hits   [nulls][levels]float64
	ratios [nulls][]float64
	taken  [nulls][]float64
	missed [nulls]int
	all    int
}

// evidencesOf are the ratios of a day under each null, less what its level is higher by.
func (d *Detector) evidencesOf(p *person) (e [nulls][growths]float64, price [nulls]float64) {
	p.closing = true
	n := d.today(p, exposure)
	p.closing = false
	x := p.streams[exposure].x
	none := nothing()
	fixed := &rates{}
	fixed.spread(0)
	fixed.weight[centre] = 1
	a, b := n, n
	a.rates, a.tail = fixed, none
	b.tail = none
	c := n
	c.rates = fixed
	e[plain] = a.mixed(x, n.k)
	e[manyGrowth], e[weighted] = e[plain], e[plain]
	for i := range e[plain] {
		if i != 2 {
			e[plain][i] = math.Inf(-1)
		}
	}
	e[moving_], e[tailed], e[mixed_] = b.mixed(x, n.k), c.mixed(x, n.k), n.mixed(x, n.k)
	for i, by := range []float64{5, 25} {
		t := *n.tail
		for j := range t.beyond {
			t.beyond[j] /= by
		}
		less := n
		less.tail = &t
		e[bold+i] = less.mixed(x, n.k)
	}
	e[off_] = n.evidences(x)
	e[used] = e[off_]
	all, part := 3*math.Ln2, 3*math.Ln2-math.Log(0.5)
	return e, [nulls]float64{0, all, part, part, part, part, part, part, part, part + p.group.penalty}
}

func decompose(t *testing.T, p sim.Profile, seed uint64, out *decomposition) {
	t.Helper()
	c := sim.NewCompany(p, seed, true)
	guilty := map[sallyport.Staff]*sim.Insider{}
	for i := range c.Insiders {
		for _, who := range c.Insiders[i].Staff {
			guilty[who] = &c.Insiders[i]
		}
	}
	r := &trialRun{stolen: map[sallyport.Staff][]theft{}, history: map[sallyport.Staff][]observed{}}
	d := detector(t, c, Options{Known: Sources{true, true, true, true, true, true, true, true}})
	taken, people := map[sallyport.Staff]float64{}, map[*person]*powers{}
	level := -math.Log(DefaultBudget)
	d.watch = func(q *person) {
		if q.service || d.warming(q) {
			return
		}
		r.history[q.id] = append(r.history[q.id], observed{day: q.day, x: q.streams[exposure].x})
		own := people[q]
		if own == nil {
			own = &powers{}
			for i := range own.r {
				own.r[i] = none()
				for l := range levels {
					own.low[i][l] = none()
				}
			}
			people[q] = own
		}
		e, price := d.evidencesOf(q)
		in := guilty[q.id]
		clean := in == nil || q.day < in.From.Unix()/86400
		if clean {
			out.days++
		}
		for i := range nulls {
			own.r[i].open()
			own.r[i].multiply(e[i])
			if top := logSum(own.r[i][:]) - price[i]; !clean && top >= level && own.caught[i] == 0 {
				own.caught[i] = taken[q.id]
			}
			for l := range levels {
				low := &own.low[i][l]
				low.open()
				low.multiply(e[i])
				if logSum(low[:])-price[i] >= math.Log(curveLevel(l)) {
					*low = none()
					if clean {
						out.hits[i][l]++
					}
				}
			}
		}
		if os.Getenv("SALLYPORT_VERBOSE") == "3" && clean && logSum(own.r[used][:])-price[used] > 6 {
			n := d.today(q, exposure)
			t.Logf("     near %s %s x %.1f mu %.2f base %.2f k %.2f pace %.2f effort %.2f surge %.2f weights %.2f r %.1f", q.id, moment(q.day*dayMS).Format("01-02"), q.streams[exposure].x, n.mu, q.streams[exposure].mu, n.k, q.pace(), q.effort(), d.surge(q), n.rates.weight, logSum(own.r[used][:])-price[used])
		}
		if os.Getenv("SALLYPORT_VERBOSE") == "2" && in != nil && in.Scheme == sim.Seller && !clean {
			n := d.today(q, exposure)
			t.Logf("     %s day %d x %.1f mu %.2f k %.2f step %.2f weights %.3f off %.3f pen %.2f r: used %.1f mixed %.1f rates %.1f tail %.1f plain %.1f", q.id, q.day, q.streams[exposure].x, n.mu, n.k, n.rates.step, n.rates.weight, n.off,
				q.group.penalty, logSum(own.r[used][:])-price[used], logSum(own.r[mixed_][:])-price[mixed_], logSum(own.r[moving_][:])-price[moving_], logSum(own.r[tailed][:])-price[tailed], logSum(own.r[weighted][:])-price[weighted])
		}
	}
	alarms, most := map[sallyport.Staff]float64{}, map[sallyport.Staff][2]float64{}
	c.Run(func(in *sallyport.Input, stealing bool) {
		if a := in.Access; a != nil && stealing {
			taken[a.Staff] += float64(len(a.Subjects))
			r.stolen[a.Staff] = append(r.stolen[a.Staff], theft{in.Time, len(a.Subjects)})
		}
		found := d.Observe(in)
		if a := in.Access; a != nil && stealing {
			q := d.people[a.Staff]
			m := most[a.Staff]
			most[a.Staff] = [2]float64{max(m[0], q.streams[exposure].top), max(m[1], q.streams[together].top)}
		}
		for _, f := range found {
			who := f.Staff[0]
			if in := guilty[who]; in == nil || f.Time.Unix()/86400 < in.From.Unix()/86400 {
				if alarms[who] == 0 {
					t.Logf("  %s seed %d: false alarm %s %s %s", p.Name, seed, f.Time.Format("01-02"), d.people[who].employee.Role, fmt.Sprint(f.Evidence[1:]))
				}
			} else if alarms[who] == 0 {
				alarms[who] = max(1, taken[who])
			}
		}
	})
	if os.Getenv("SALLYPORT_VERBOSE") != "" {
		for _, x := range d.Shares() {
			t.Logf("    %s %.2f a person and day", x.Template, float64(x.Looks)/float64(d.counts.PersonDays))
		}
		for _, h := range d.Health() {
			t.Logf("    %+v", h)
		}
	}
	for i := range c.Insiders {
		in := &c.Insiders[i]
		if in.Scheme != sim.Seller {
			text := ""
			for _, who := range in.Staff {
				text += fmt.Sprintf(" %s (took %.0f, linked %v, most %.1f alone, %.1f together): ", who, taken[who], d.people[who].link != nil, most[who][0], most[who][1])
				if alarms[who] > 0 {
					text += "caught"
				} else {
					text += "missed"
				}
			}
			t.Logf("  %s seed %d: %s%s", p.Name, seed, in.Scheme, text)
			continue
		}
		o, _, ok := r.oracle(in, level)
		if !ok {
			continue
		}
		out.all++
		q := d.people[in.Staff[0]]
		own := people[q]
		for j := range nulls {
			if own.caught[j] == 0 {
				out.missed[j]++
				continue
			}
			out.ratios[j] = append(out.ratios[j], own.caught[j]/o)
			out.taken[j] = append(out.taken[j], own.caught[j])
		}
		if os.Getenv("SALLYPORT_VERBOSE") != "" {
			n := d.today(q, exposure)
			t.Logf("  %s seed %d %s: oracle %.0f, all streams %.0f, nulls %.0f; mu %.1f k %.1f spread %.3f step %.2f off %.3f penalty %.2f response %.2f", p.Name, seed, q.id, o, alarms[q.id], own.caught, n.mu, n.k, q.group.moved, n.rates.step,
				n.off, q.group.penalty, q.group.response())
		}
	}
}

// TestDecomposition says where the power goes between somebody who knows all rates and what is used, and what each part of the null is for.
// `SALLYPORT_CALIBRATE=1 SALLYPORT_SEEDS=2 SALLYPORT_PROFILE=sparse`.
func TestDecomposition(t *testing.T) {
	if os.Getenv("SALLYPORT_CALIBRATE") == "" {
		t.Skip("takes minutes; set SALLYPORT_CALIBRATE=1 to see where power goes")
	}
	for _, p := range sim.Profiles() {
		if only := os.Getenv("SALLYPORT_PROFILE"); only != "" && !slices.Contains(strings.Split(only, ","), p.Name) {
			continue
		}
		p.Cast = []sim.Part{{Scheme: sim.Pair, Type: Malicious, Rate: 3}, {Scheme: sim.Pair, Type: Malicious, Rate: 3}}
		for range 8 {
			p.Cast = append(p.Cast, sim.Part{Scheme: sim.Seller, Type: Malicious, Rate: 5})
		}
		out := &decomposition{}
		for seed := range seedsAsked(t, 1) {
			decompose(t, p, firstSeed(t, 1)+uint64(seed), out) //nolint:gosec // small
		}
		t.Logf("%s: %d sellers, %.0f innocent days; hits ÷ promise at 10, 100, 1,000, 10,000", p.Name, out.all, out.days)
		for i, name := range nullNames() {
			text := ""
			for l, n := range out.hits[i] {
				text += " " + amount(n) + "(" + amount(n*curveLevel(l)/out.days) + ")"
			}
			t.Logf("  %-22s missed %2d; customers %4.0f / %4.0f; ÷ oracle %.2f / %.2f; %s", name, out.missed[i], quantile(out.taken[i], 0.5), quantile(out.taken[i], 0.9),
				quantile(out.ratios[i], 0.5), quantile(out.ratios[i], 0.9), text)
		}
	}
}
