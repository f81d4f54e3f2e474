package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"sallyport"
)

// A world is one made-up company in which a known person, pair or nobody sells customers, and customers report one after the other.
type world struct {
	people, customers, teams int
	mean                     int     // customers a person sees
	overlap                  float64 // share of them that come from the team's common queue
	beta                     float64 // share of reports that are background
	contacts                 bool    // background reports come from customers who were in touch, as often as they were
	leakers                  int     // 0: nobody
	quotes                   bool    // most reports say what the caller knew
}

func (w world) String() string {
	return fmt.Sprintf("N=%d overlap=%.1f β=%.1f contacts=%v quotes=%v leakers=%d", w.people, w.overlap, w.beta, w.contacts, w.quotes, w.leakers)
}

// play makes the company.
type play struct {
	w      world
	x      *Exposures
	seen   map[sallyport.Staff]map[int]bool
	sold   [][]int // per leaker
	guilty []sallyport.Staff
	touch  []int // customers as often as somebody saw them
	dice   *rand.Rand
}

func (w world) play(seed uint64) *play {
	p := &play{w: w, x: NewExposures(), seen: map[sallyport.Staff]map[int]bool{}, dice: rand.New(rand.NewPCG(seed, 7))}
	p.x.Team = map[sallyport.Staff]string{}
	queues := make([][]int, w.teams)
	size := w.mean * max(2, w.people/w.teams/2)
	for t := range queues {
		for range size {
			queues[t] = append(queues[t], p.dice.IntN(w.customers))
		}
	}
	var staff []sallyport.Staff
	for i := range w.people {
		who := sallyport.Staff(fmt.Sprintf("s%04d", i))
		staff = append(staff, who)
		team := i % w.teams
		p.x.Team[who] = fmt.Sprint("team ", team)
		p.seen[who] = map[int]bool{}
		n := int(float64(w.mean) * math.Exp(0.6*p.dice.NormFloat64()))
		for range max(n, 20) {
			c := p.dice.IntN(w.customers)
			if p.dice.Float64() < w.overlap {
				c = queues[team][p.dice.IntN(size)]
			}
			if !p.seen[who][c] {
				p.seen[who][c] = true
				p.touch = append(p.touch, c)
				p.x.Add(Seen{Staff: who, Customer: subject(c), At: day(1).Add(time.Duration(p.dice.IntN(20*24)) * time.Hour)})
			}
		}
	}
	p.dice.Shuffle(len(staff), func(i, j int) { staff[i], staff[j] = staff[j], staff[i] })
	p.guilty = slices.Sorted(slices.Values(staff[:w.leakers]))
	for _, who := range p.guilty {
		var own []int
		for c := range p.seen[who] {
			own = append(own, c)
		}
		slices.Sort(own)
		p.sold = append(p.sold, own)
	}
	return p
}

// next is the next report.
func (p *play) next(n int) Report {
	c, sold := p.draw()
	r := Report{At: day(25).Add(time.Duration(n) * time.Hour), Customer: subject(c)}
	if p.w.quotes && p.dice.Float64() < 0.7 { // the others do not remember
		r.Quoted = p.quoted(sold)
	}
	return r
}

// draw is who reports, and whether it is because he was sold.
func (p *play) draw() (c int, sold bool) {
	switch {
	case p.w.leakers > 0 && p.dice.Float64() >= p.w.beta:
		own := p.sold[p.dice.IntN(len(p.sold))]
		return own[p.dice.IntN(len(own))], true
	case p.w.contacts:
		return p.touch[p.dice.IntN(len(p.touch))], false
	}
	return p.dice.IntN(p.w.customers), false
}

// quoted is what a caller knew: other figures on purpose than those that the model believes in. Half as many callers who bought the list name a ticket,
// and twice as many of the others.
func (p *play) quoted(sold bool) (f Fields) {
	for _, q := range []struct {
		field         Fields
		sold, anybody float64
	}{{NameField, 0.6, 0.5}, {PhoneField, 0.6, 0.6}, {EmailField, 0.3, 0.15}, {TicketField, 0.25, 0.01}} {
		share := q.anybody
		if sold {
			share = q.sold
		}
		if p.dice.Float64() < share {
			f |= q.field
		}
	}
	return f
}

// firstOrder is (log N + log 19)/D, D being what a report drawn from the leaker's distribution adds in the mean against an innocent, in nats: by who
// reports alone, not by what the caller knew. design takes D as the design's formula has it, in which background reports come from any customer
// alike; else they come from whom they come from in this company.
func (p *play) firstOrder(design bool) float64 {
	who := p.guilty[0]
	weight := map[int]float64{}
	for _, c := range p.touch {
		weight[c]++
	}
	var d float64
	const draws = 400
	for range draws {
		c, ground := 0, 1/float64(p.w.customers)
		contacts := p.w.contacts
		if design {
			p.w.contacts = false
			c, _ = p.draw()
			p.w.contacts = contacts
		} else {
			c, _ = p.draw()
			if contacts {
				ground = weight[c] / float64(len(p.touch))
			}
		}
		log := func(seen map[int]bool) float64 {
			v := p.w.beta * ground
			if seen[c] {
				v += (1 - p.w.beta) / float64(len(seen))
			}
			return math.Log(v)
		}
		var mean float64
		for j := range p.seen {
			if j != who {
				mean += log(p.seen[j])
			}
		}
		d += log(p.seen[who]) - mean/float64(len(p.seen)-1)
	}
	return (math.Log(float64(p.w.people)) + math.Log(19)) / (d / draws)
}

// tally is what came of many companies.
type tally struct {
	cases, named, guilty        int
	overlapNamed, overlapGuilty int // the baselines, where they would name
	guiltNamed, guiltGuilty     int
	ratios                      []float64 // reports needed ÷ first order
	designs                     []float64 // likewise, D by the design's formula
	oracle                      []float64 // as ratios, by who knows β and the background
	firsts                      []float64 // first order
	counts                      []float64
}

func (c *tally) add(p *play, most int) {
	c.cases++
	var list []Report
	for n := range most {
		list = append(list, p.next(n))
		got := p.x.Trace(list, Options{Customers: int64(p.w.customers)})
		if got.Verdict != Named {
			continue
		}
		c.named++
		if right(p, got.Suspects[0].Staff) {
			c.guilty++
			if p.w.leakers == 1 {
				first := p.firstOrder(false)
				c.firsts, c.ratios = append(c.firsts, first), append(c.ratios, float64(n+1)/first)
				c.designs = append(c.designs, float64(n+1)/p.firstOrder(true))
				c.oracle = append(c.oracle, float64(p.oracle(list, most))/first)
			}
			c.counts = append(c.counts, float64(n+1))
		}
		break
	}
	c.baselines(p, list)
}

// oracle is after how many reports somebody names the leaker who knows that there is one, β, and who reports otherwise: no method needs fewer
// in the mean. The list is what came so far; it goes on as the play does.
func (p *play) oracle(list []Report, most int) int {
	logs := map[sallyport.Staff]float64{}
	weight := map[string]float64{} // of background reports
	for _, c := range p.touch {
		weight[string(subject(c))]++
	}
	for n := range most {
		if n == len(list) {
			list = append(list, p.next(n))
		}
		ground := 1 / float64(p.w.customers)
		if p.w.contacts {
			ground = max(weight[string(list[n].Customer)]/float64(len(p.touch)), 1e-12)
		}
		sum := math.Inf(-1)
		for who, seen := range p.seen {
			v := p.w.beta * ground
			var c int
			if _, err := fmt.Sscan(string(list[n].Customer), &c); err == nil && seen[c] {
				v += (1 - p.w.beta) / float64(len(seen))
			}
			logs[who] += math.Log(v)
			sum = logAdd(sum, logs[who])
		}
		if logs[p.guilty[0]]-sum >= math.Log(NamedFrom) {
			return n + 1
		}
	}
	return most
}

// right: everybody who is named is guilty.
func right(p *play, named []sallyport.Staff) bool {
	for _, who := range named {
		if !slices.Contains(p.guilty, who) {
			return false
		}
	}
	return true
}

// baselines: whoever saw most of those who reported; and Papadimitriou and Garcia-Molina's guilt probability (IEEE TKDE 23(1), 2011, with
// p = 0.5): P(guilty) = 1 − Π over reports he saw of (1 − (1−p)/number of people who saw it). Each names whom it puts first, the guilt model only from
// 0.95 on.
func (c *tally) baselines(p *play, list []Report) {
	score, guilt := map[sallyport.Staff]int{}, map[sallyport.Staff]float64{}
	for _, r := range list {
		var by []sallyport.Staff
		for who, seen := range p.seen {
			var n int
			if _, err := fmt.Sscan(string(r.Customer), &n); err == nil && seen[n] {
				by = append(by, who)
			}
		}
		for _, who := range by {
			score[who]++
			if guilt[who] == 0 {
				guilt[who] = 1
			}
			guilt[who] *= 1 - 0.5/float64(len(by))
		}
	}
	var most, sure sallyport.Staff
	for who := range p.seen {
		if score[who] > score[most] || score[who] == score[most] && who > most && score[who] > 0 {
			most = who
		}
		if g := guilt[who]; g > 0 && g <= 0.05 && (sure == "" || g < guilt[sure]) {
			sure = who
		}
	}
	if most != "" {
		c.overlapNamed++
		if slices.Contains(p.guilty, most) {
			c.overlapGuilty++
		}
	}
	if sure != "" {
		c.guiltNamed++
		if slices.Contains(p.guilty, sure) {
			c.guiltGuilty++
		}
	}
}

// TestCalibration plays companies and counts. SALLYPORT_TRACE=1 plays all of them, prints the table of docs/trace.md and holds it to what is promised.
func TestCalibration(t *testing.T) {
	seeds, most := 2, 30
	worlds := worldsOf([]int{50}, []float64{0.5}, []float64{0.3}, 30)
	if os.Getenv("SALLYPORT_TRACE") != "" {
		seeds, most = 3, 60
		worlds = worldsOf([]int{50, 300, 1000}, []float64{0, 0.5, 0.9}, []float64{0.1, 0.5, 0.8}, 20)
	}
	var all, silent, told, none tally
	for _, w := range worlds {
		var one tally
		for seed := range seeds {
			one.add(w.play(w.seed(seed)), most)
		}
		all.merge(one)
		switch {
		case w.leakers == 0:
			none.merge(one)
		case w.quotes:
			told.merge(one)
		default:
			silent.merge(one)
		}
		t.Logf("%s: %s", w, one)
	}
	t.Logf("without a leak: %s", none)
	t.Logf("reports that say only who was called: %s", silent)
	t.Logf("reports most of which say what the caller knew: %s", told)
	t.Logf("all: %s", all)
	low, high := all.interval()
	t.Logf("named rightly: %d of %d, 95 %% interval %.3f to %.3f", all.guilty, all.named, low, high)
	if all.named == 0 || high < NamedFrom {
		t.Errorf("of those named only %d of %d are guilty", all.guilty, all.named)
	}
}

// seed makes companies that differ in β alone different ones: without a leak β says nothing, and the same company would count several times.
func (w world) seed(n int) uint64 { return uint64(n) + 1 + 1000*uint64(w.beta*100) }

// worldsOf are companies of all these kinds; team is how many people serve a queue.
func worldsOf(peoples []int, overlaps, betas []float64, team int) (list []world) {
	for _, people := range peoples {
		for _, overlap := range overlaps {
			for _, beta := range betas {
				for _, contacts := range []bool{false, true} {
					for _, quotes := range []bool{false, true} {
						for leakers := range 3 {
							list = append(list, world{
								people: people, customers: 400 * people, teams: max(3, people/team), mean: 150, overlap: overlap, beta: beta, contacts: contacts, quotes: quotes, leakers: leakers,
							})
						}
					}
				}
			}
		}
	}
	return list
}

func (c *tally) merge(o tally) {
	c.cases += o.cases
	c.named += o.named
	c.guilty += o.guilty
	c.overlapNamed += o.overlapNamed
	c.overlapGuilty += o.overlapGuilty
	c.guiltNamed += o.guiltNamed
	c.guiltGuilty += o.guiltGuilty
	c.ratios = append(c.ratios, o.ratios...)
	c.oracle = append(c.oracle, o.oracle...)
	c.designs = append(c.designs, o.designs...)
	c.firsts = append(c.firsts, o.firsts...)
	c.counts = append(c.counts, o.counts...)
}

func (c tally) String() string {
	return fmt.Sprintf("%d cases, named %d (right %d), after %.0f reports (median), first order %.2f, %.2f × it (knowing all: %.2f; by the design's formula %.2f); overlap count names %d (right %d); guilt model %d (right %d)",
		c.cases, c.named, c.guilty, median(c.counts), median(c.firsts), median(c.ratios), median(c.oracle), median(c.designs), c.overlapNamed, c.overlapGuilty, c.guiltNamed, c.guiltGuilty)
}

// interval is Wilson's for the share that is right.
func (c tally) interval() (low, high float64) {
	n, p := float64(c.named), float64(c.guilty)/float64(max(1, c.named))
	const z = 1.96
	center, half := p+z*z/(2*n), z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return (center - half) / (1 + z*z/n), (center + half) / (1 + z*z/n)
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
