package trace

import (
	"fmt"
	"math"
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
	counts                      []float64
	whole                       int // of those of ratios, after at most 1.6 × first order, in whole reports
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
				first := p.firstOrder(p.w.contacts)
				c.firsts, c.ratios = append(c.firsts, first), append(c.ratios, float64(n+1)/first)
				c.designs = append(c.designs, float64(n+1)/p.firstOrder(false))
				c.oracle = append(c.oracle, float64(p.oracle(list, most))/first)
				if float64(n+1) <= math.Ceil(1.6*first) {
					c.whole++
				}
			}
			c.counts = append(c.counts, float64(n+1))
		}
		break
	}
	c.baselines(p, list)
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
	worlds := worldsOf([]int{50}, []float64{0.5}, []float64{0.3}, 30)
	if os.Getenv("SALLYPORT_TRACE") != "" {
		seeds, most = 3, 60
		worlds = worldsOf([]int{50, 300, 1000}, []float64{0, 0.5, 0.9}, []float64{0.1, 0.5, 0.8}, 20)
	}
	var all, silent, told, none tally
	for i, one := range played(worlds, seeds, most) {
		w := worlds[i]
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

// played plays each world with some seeds.
func played(worlds []world, seeds, most int) []tally {
	tallies := make([]tally, len(worlds))
	each(len(worlds), func(i int) {
		for seed := range seeds {
			tallies[i].add(worlds[i].play(worlds[i].seed(seed)), most)
		}
	})
	return tallies
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
	c.whole += o.whole
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
