package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
)

// tally is what came of many companies.
type tally struct {
	cases, named, guilty        int
	overlapNamed, overlapGuilty int // the baselines, where they would name
	guiltNamed, guiltGuilty     int
	ratios                      []float64 // reports needed ÷ first order
	designs                     []float64 // likewise, D by the design's formula
	oracle                      []float64 // as ratios, by who knows β and the background
	firsts                      []float64 // first order
	thefts                      []float64 // reports of who was sold ÷ first order, D for these alone
	counts                      []float64
	wholes                      []float64 // reports needed ÷ (1.6 × first order, rounded up to whole reports): at most 1 is within the aim
	strict                      int       // of those of ratios, named after at most 1.6 × first order, not rounded
}

func (c *tally) add(p *play, most int) {
	c.cases++
	var list []Report
	for n := range most {
		list = append(list, p.next(n))
		got := p.x.question(list, Options{Customers: int64(p.w.customers)}).weigh()
		if got.Verdict != Named {
			continue
		}
		c.named++
		if p.right(got.Suspects[0].Staff) {
			c.guilty++
			if p.w.leakers == 1 {
				c.measure(p, list, most)
			}
			c.counts = append(c.counts, float64(n+1))
		}
		break
	}
	c.baselines(p, list)
}

// measure compares how many reports it took with what it takes at first order, and with who knows all.
func (c *tally) measure(p *play, list []Report, most int) {
	n, thefts := float64(len(list)), float64(p.thefts)
	first, theft := p.firstOrder(p.w.contacts)
	design, _ := p.firstOrder(false)
	c.firsts, c.ratios, c.designs, c.thefts = append(c.firsts, first), append(c.ratios, n/first), append(c.designs, n/design), append(c.thefts, thefts/theft)
	c.oracle = append(c.oracle, float64(p.oracle(list, most))/first)
	if n <= 1.6*first {
		c.strict++
	}
	c.wholes = append(c.wholes, n/math.Ceil(1.6*first))
}

// baselines: whoever saw most of those who reported; and Papadimitriou and Garcia-Molina's guilt probability (IEEE TKDE 23(1), 2011, with
// p = 0.5): P(guilty) = 1 − Π over reports he saw of (1 − (1−p)/number of people who saw it). Each names whom it puts first, the guilt model only from
// 0.95 on.
func (c *tally) baselines(p *play, list []Report) {
	score, innocent := map[int]int{}, map[int]float64{}
	for _, r := range list {
		n, _ := strconv.Atoi(string(r.Customer))
		by := p.viewers[n]
		for _, who := range by {
			if score[who]++; score[who] == 1 {
				innocent[who] = 1
			}
			innocent[who] *= 1 - 0.5/float64(len(by))
		}
	}
	most, sure := -1, -1
	for who, n := range score {
		if most < 0 || n > score[most] || n == score[most] && who > most {
			most = who
		}
		if g := innocent[who]; g <= 0.05 && (sure < 0 || g < innocent[sure] || g == innocent[sure] && who < sure) {
			sure = who
		}
	}
	if most >= 0 {
		c.overlapNamed++
		if slices.Contains(p.guilty, most) {
			c.overlapGuilty++
		}
	}
	if sure >= 0 {
		c.guiltNamed++
		if slices.Contains(p.guilty, sure) {
			c.guiltGuilty++
		}
	}
}

// TestCalibration plays companies and counts. SALLYPORT_TRACE=1 plays all of them, prints the table of docs/trace.md and holds it to what is promised.
func TestCalibration(t *testing.T) {
	seeds, most := 2, 30
	firms, betas := firmsOf([]float64{0.5}, firm{people: 50, customers: 20_000, mean: 150}), []float64{0.3}
	if os.Getenv("SALLYPORT_TRACE") != "" {
		seeds, most = 3, 60
		betas = []float64{0.1, 0.5, 0.8}
		firms = firmsOf([]float64{0, 0.5, 0.9}, firm{people: 50, customers: 20_000, mean: 150}, firm{people: 300, customers: 120_000, mean: 150},
			firm{people: 1000, customers: 400_000, mean: 150}, firm{people: 100, customers: 10_000, mean: 800}) // seen by 0.4 people each; by 8, as where 3,000 people look 100,000,000 times at 12,000,000 customers
	}
	var worlds []world
	var tallies []tally
	for _, list := range played(firms, betas, seeds, most) {
		for _, c := range list {
			worlds, tallies = append(worlds, c.w), append(tallies, c.tally)
			t.Logf("%s: %s", c.w, c.tally)
		}
	}
	for _, g := range groups() {
		var sum tally
		for i, w := range worlds {
			if g.of(w) {
				sum.merge(tallies[i])
			}
		}
		low, high := sum.interval()
		if sum.cases > 0 {
			t.Logf("%s: %s; right with 95 %% interval %.3f to %.3f", g.name, sum, low, high)
		}
		if g.name == "one leaker" {
			t.Log("aim: " + sum.aims())
		}
		if g.name == "all" && (sum.named == 0 || high < NamedFrom) {
			t.Errorf("of those named only %d of %d are guilty", sum.guilty, sum.named)
		}
	}
}

// group is a line of the table.
type group struct {
	name string
	of   func(world) bool
}

func groups() []group {
	const few = 400 // customers seen by a person of a company where a customer is seen by half a person
	list := []group{
		{"all", func(world) bool { return true }},
		{"without a leak", func(w world) bool { return w.leakers == 0 }},
		{"one leaker", func(w world) bool { return w.leakers == 1 }},
		{"two leakers", func(w world) bool { return w.leakers == 2 }},
	}
	for _, many := range []bool{false, true} {
		for _, quotes := range []bool{false, true} {
			name := fmt.Sprintf("one leaker, seen by many=%v, quotes=%v", many, quotes)
			of := func(w world) bool { return w.leakers == 1 && w.quotes == quotes && (w.mean > few) == many }
			list = append(list, group{name, of}, group{name + ", background from anybody", func(w world) bool { return of(w) && !w.contacts }})
			for _, beta := range []float64{0.1, 0.5, 0.8} {
				list = append(list, group{fmt.Sprint(name, ", β=", beta), func(w world) bool { return of(w) && w.beta == beta }})
			}
		}
	}
	return append(list,
		group{"one leaker, quotes=false", func(w world) bool { return w.leakers == 1 && !w.quotes }},
		group{"one leaker, quotes=true", func(w world) bool { return w.leakers == 1 && w.quotes }},
		group{"without a leak, quotes=false", func(w world) bool { return w.leakers == 0 && !w.quotes }},
		group{"without a leak, quotes=true", func(w world) bool { return w.leakers == 0 && w.quotes }},
	)
}

// one is what came of companies of one world.
type one struct {
	w     world
	tally tally
}

// played plays each firm with each β, on some seeds: a company is made once, and all kinds of thefts and reports happen to it.
func played(firms []firm, betas []float64, seeds, most int) [][]one {
	lists := make([][]one, len(firms)*len(betas))
	each(len(lists), func(i int) {
		o, beta := firms[i/len(betas)], betas[i%len(betas)]
		lists[i] = worldsOf(o, beta)
		for seed := range seeds {
			c := o.open(rand.New(rand.NewPCG(uint64(i+1), uint64(seed)))) //nolint:gosec // a made-up company
			for n := range lists[i] {
				c := c.play(lists[i][n].w, rand.New(rand.NewPCG(uint64(i+1), uint64(1000*(seed+1)+n)))) //nolint:gosec // likewise
				lists[i][n].tally.add(c, most)
			}
		}
	})
	return lists
}

// firmsOf are these with their teams of 20 people sharing so much of their queues.
func firmsOf(overlaps []float64, of ...firm) (list []firm) {
	for _, o := range of {
		for _, o.overlap = range overlaps {
			o.teams = max(3, o.people/20)
			list = append(list, o)
		}
	}
	return list
}

// worldsOf is all that may happen in a firm.
func worldsOf(o firm, beta float64) (list []one) {
	for _, contacts := range []bool{false, true} {
		for _, quotes := range []bool{false, true} {
			for leakers := range 3 {
				list = append(list, one{w: world{firm: o, beta: beta, contacts: contacts, quotes: quotes, leakers: leakers}})
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
	c.thefts = append(c.thefts, o.thefts...)
	c.wholes = append(c.wholes, o.wholes...)
	c.strict += o.strict
}

func (c tally) String() string {
	text := fmt.Sprintf("%d cases, named %d, right %d, in the median after %.0f reports", c.cases, c.named, c.guilty, median(c.counts))
	if len(c.ratios) > 0 {
		text += fmt.Sprintf(" = %.2f × first order of %.2f (knowing all %.2f ×; D by the design's formula %.2f ×; of thefts alone %.2f ×; at most 1.6 × in %d of %d, in whole reports in %d; 95 %% intervals by bootstrap: %s × and, in whole reports, %s of what they allow)",
			median(c.ratios), median(c.firsts), median(c.oracle), median(c.designs), median(c.thefts), c.strict, len(c.ratios), within(c.wholes), spreadOf(c.ratios), spreadOf(c.wholes))
	}
	return text + fmt.Sprintf("; overlap count names %d, right %d; guilt model %d, right %d", c.overlapNamed, c.overlapGuilty, c.guiltNamed, c.guiltGuilty)
}

// interval is Wilson's for the share that is right.
func (c tally) interval() (low, high float64) {
	n, p := float64(c.named), float64(c.guilty)/float64(max(1, c.named))
	const z = 1.96
	center, half := p+z*z/(2*n), z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return (center - half) / (1 + z*z/n), (center + half) / (1 + z*z/n)
}

// within counts those within the aim.
func within(wholes []float64) (n int) {
	for _, x := range wholes {
		if x <= 1 {
			n++
		}
	}
	return n
}

// spreadOf is the 95 % interval of the median, by bootstrap.
func spreadOf(list []float64) string {
	if len(list) == 0 {
		return "none"
	}
	dice := rand.New(rand.NewPCG(1, uint64(len(list)))) //nolint:gosec // a test
	medians, draw := make([]float64, 2000), make([]float64, len(list))
	for i := range medians {
		for k := range draw {
			draw[k] = list[dice.IntN(len(list))]
		}
		medians[i] = median(draw)
	}
	slices.Sort(medians)
	return fmt.Sprintf("%.2f to %.2f", medians[50], medians[1949])
}

// aims says whether each reading of the aim is reached: in the median named after at most 1.6 × the first-order number of reports, as a fraction of
// reports, and in whole ones, since nobody hears a fifth of a report.
func (c tally) aims() string {
	said := map[bool]string{true: "reached", false: "missed"}
	return fmt.Sprintf("median at most 1.6 × first order: %s (%.2f ×, %s); in whole reports: %s (%d of %d within, median %.2f of what is allowed, %s)",
		said[median(c.ratios) <= 1.6], median(c.ratios), spreadOf(c.ratios), said[median(c.wholes) <= 1], within(c.wholes), len(c.wholes), median(c.wholes), spreadOf(c.wholes))
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
