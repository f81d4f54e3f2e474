package trace

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A year is the stream of reports that a company always has, and how it goes on when a theft begins to be heard of. The model believes in none of these
// laws: its rate is even, and drifts by a Cauchy law.
type year struct {
	rate    float64 // background reports a day, in calm
	walk    float64 // log₂ by which the rate wanders in a month, in the root of its mean square
	clumps  float64 // campaigns: how many reports come of each, in the mean; 1: every report for itself
	wave    float64 // factor of the rate from the day on which the theft is heard of; 1 mostly
	monthly []float64
}

// yearOf draws one: 10 to 300 reports a year; in a third of the companies they come in campaigns, in a tenth of those without a leak a wave of calls
// begins just then.
func yearOf(dice *rand.Rand) *year {
	y := &year{rate: math.Exp(math.Log(10)+dice.Float64()*math.Log(30)) / 365, walk: 0.2, clumps: 1, wave: 1}
	if dice.Float64() < 1./3 {
		y.clumps = 3
	}
	if dice.Float64() < 0.1 {
		y.wave = 2 + 6*dice.Float64()
	}
	at := 0.
	for range 13 {
		y.monthly = append(y.monthly, math.Exp2(at))
		at += y.walk * dice.NormFloat64()
	}
	return y
}

// heard is when background reports come between two days of the year, which ends with day 365; from then on at the rate of its last month, times the wave.
func (y *year) heard(from, to float64, dice *rand.Rand) (days []float64) {
	for t := from; ; {
		rate := y.rate * y.monthly[min(int(t/30.5), 12)] / y.clumps
		if t >= 365 {
			rate *= y.wave
		}
		t += dice.ExpFloat64() / rate
		if t >= to {
			return days
		}
		days = append(days, t)
		for range int(dice.ExpFloat64() * (y.clumps - 1)) {
			if late := t + 3*dice.ExpFloat64(); late < to {
				days = append(days, late)
			}
		}
	}
}

// stream is the year's reports and so many of the time after it; where the theft's come so often that a share β is background, if the rate is that of calm.
func (p *play) stream(y *year, most int) (calm, list []Report) {
	begun := day(25)
	at := func(d float64) time.Time { return begun.Add(time.Duration((d - 365) * 24 * float64(time.Hour))) }
	for _, d := range y.heard(0, 365, p.dice) {
		c := p.dice.IntN(p.w.customers)
		if p.w.contacts {
			n := p.dice.IntN(len(p.touch))
			for i := 0; i < 1000 && p.when[n].After(at(d)); i++ { // who was in touch by then
				n = p.dice.IntN(len(p.touch))
			}
			c = p.touch[n]
		}
		calm = append(calm, p.report(c, false, at(d)))
	}
	slices.SortFunc(calm, func(a, b Report) int { return a.At.Compare(b.At) })
	// As in the other companies, each report is background with probability β, and of the theft otherwise. What comes of campaigns comes together here, too.
	t := 365.
	for len(list) < most {
		rate := y.rate * y.monthly[11]
		if p.w.leakers > 0 {
			rate /= p.w.beta
		} else {
			rate *= y.wave
		}
		t += p.dice.ExpFloat64() / rate
		c, sold := p.draw()
		list = append(list, p.report(c, sold, at(t)))
	}
	if p.w.leakers == 0 && p.dice.Float64() < 0.5 {
		return alarmed(append(calm, list...), len(calm), most)
	}
	return calm, list
}

// alarmed parts a stream without a leak where somebody would think that there is one: before the five reports that came nearest together in half a year.
func alarmed(all []Report, calm, most int) (before, list []Report) {
	at, best := calm, time.Duration(math.MaxInt64)
	for i := calm / 2; i <= calm; i++ {
		if took := all[i+4].At.Sub(all[i].At); took < best {
			at, best = i, took
		}
	}
	return all[:at], all[at:min(len(all), at+most)]
}

func (p *play) report(c int, sold bool, at time.Time) Report {
	r := Report{At: at, Customer: subject(c)}
	if p.w.quotes && p.dice.Float64() < 0.7 {
		r.Quoted = p.quoted(sold)
	}
	return r
}

// known is what is told of the stream.
type known int

const (
	since known = iota // that reports began with the theft: as where nobody looked before
	mixed              // the year's, and not that they are all of it
	usual              // the year's, those of the last ninety days being suspected
	dated              // likewise, those since the first of the theft
	knowns
)

func (k known) String() string {
	return [...]string{"without the year", "with the year's reports", "with the year and ninety days", "with the year and a date"}[k]
}

// follow plays one stream in all three ways.
func (p *play) follow(tallies *[knowns]tally, most int) {
	y := yearOf(p.dice)
	calm, list := p.stream(y, most)
	for k := range knowns {
		o, before := Options{Customers: int64(p.w.customers)}, calm
		switch k {
		case since:
			before = nil
		case mixed:
			if os.Getenv("SALLYPORT_MIXED") == "" {
				continue
			}
		case dated:
			o.From = list[0].At
		case usual, knowns: // from report to report another day
		}
		c := &tallies[k]
		c.cases++
		for n := 1; n <= most; n++ {
			if k == usual {
				o.From = list[n-1].At.Add(-90 * 24 * time.Hour)
			}
			got := p.x.question(slices.Concat(before, list[:n]), o).weigh()
			if got.Verdict != Named {
				continue
			}
			c.named++
			if p.right(got.Suspects[0].Staff) {
				c.guilty++
				if p.w.leakers == 1 {
					c.measure(p, slices.Clip(list[:n]), most)
				}
				c.counts = append(c.counts, float64(n))
			}
			break
		}
	}
}

// TestCalm plays companies that have had reports for a year: without these; with them all (SALLYPORT_MIXED=1); with those of the last ninety days suspected, and with
// those since the first of the theft. SALLYPORT_TRACE=1 plays many; SALLYPORT_SEED begins at another seed than 1, SALLYPORT_SEEDS says how many.
func TestCalm(t *testing.T) {
	seeds, most, begin := 2, 20, 1
	firms, betas := firmsOf([]float64{0.5}, firm{people: 50, customers: 20_000, mean: 150}), []float64{0.3}
	if os.Getenv("SALLYPORT_TRACE") != "" {
		seeds, most = 3, 60
		betas = []float64{0.1, 0.5, 0.8}
		firms = firmsOf([]float64{0, 0.5, 0.9}, firm{people: 50, customers: 20_000, mean: 150}, firm{people: 300, customers: 120_000, mean: 150},
			firm{people: 1000, customers: 400_000, mean: 150}, firm{people: 100, customers: 10_000, mean: 800})
		if n, err := strconv.Atoi(os.Getenv("SALLYPORT_SEED")); err == nil {
			begin = n
		}
		if n, err := strconv.Atoi(os.Getenv("SALLYPORT_SEEDS")); err == nil {
			seeds = n
		}
	}
	var worlds []world
	var tallies [][knowns]tally
	lists := make([][]one, len(firms)*len(betas))
	outs := make([][][knowns]tally, len(lists))
	each(len(lists), func(i int) {
		o := firms[i/len(betas)]
		o.days = 365
		lists[i] = worldsOf(o, betas[i%len(betas)])
		outs[i] = make([][knowns]tally, len(lists[i]))
		for seed := begin; seed < begin+seeds; seed++ {
			c := o.open(rand.New(rand.NewPCG(uint64(10_000+i), uint64(seed)))) //nolint:gosec // a made-up company
			for n := range lists[i] {
				c.play(lists[i][n].w, rand.New(rand.NewPCG(uint64(10_000+i), uint64(1000*(seed+1)+n)))).follow(&outs[i][n], most) //nolint:gosec // likewise
			}
		}
	})
	for i, list := range lists {
		for n, c := range list {
			worlds, tallies = append(worlds, c.w), append(tallies, outs[i][n])
		}
	}
	for _, g := range groups() {
		for k := range knowns {
			var sum tally
			for i, w := range worlds {
				if g.of(w) {
					sum.merge(tallies[i][k])
				}
			}
			low, high := sum.interval()
			if sum.cases > 0 {
				t.Logf("%s, %s: %s; right with 95 %% interval %.3f to %.3f", g.name, k, sum, low, high)
			}
			if g.name == "one leaker" && sum.cases > 0 {
				t.Logf("aim, %s: %s", k, sum.aims())
			}
			if g.name == "all" && sum.cases > 0 && (sum.named == 0 || high < NamedFrom) {
				t.Errorf("%s: of those named only %d of %d are guilty", k, sum.guilty, sum.named)
			}
		}
	}
}
