package detect

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport"
	"sallyport/sim"
)

// curve counts how often evidence reaches levels on days of innocence, for each stream and kind of peers, with R set to 0 at the level.
type curve struct {
	days float64
	hits [streams + 1][levels]float64
}

const levels = 4

func curveLevel(i int) float64 { return math.Pow(10, float64(i)+1) }

type personCurve [levels][streams]process

// TestCalibration says by stream and by role how often levels are reached on clean weeks, and how often they may be: the levels are low, so
// that there is something to count. `SALLYPORT_CALIBRATE=1 SALLYPORT_SEEDS=2 SALLYPORT_PROFILE=sparse`.
func TestCalibration(t *testing.T) {
	if os.Getenv("SALLYPORT_CALIBRATE") == "" {
		t.Skip("takes minutes; set SALLYPORT_CALIBRATE=1 to see how often evidence is reached by chance")
	}
	seeds := 1
	if n, err := strconv.Atoi(os.Getenv("SALLYPORT_SEEDS")); err == nil {
		seeds = n
	}
	for _, p := range sim.Profiles() {
		if only := os.Getenv("SALLYPORT_PROFILE"); only != "" && !slices.Contains(strings.Split(only, ","), p.Name) {
			continue
		}
		curves := map[string]*curve{}
		for seed := range seeds {
			calibrationRun(t, p, uint64(seed)+1, curves) //nolint:gosec // small
		}
		for _, role := range []string{"agent", "engineer", "lead", "quality"} {
			if c := curves[role]; c != nil {
				c.print(t, p.Name+" "+role)
			}
		}
	}
}

func calibrationRun(t *testing.T, p sim.Profile, seed uint64, curves map[string]*curve) {
	t.Helper()
	company := sim.NewCompany(p, seed, false)
	d := detector(t, company, Options{Known: Sources{true, true, true, true, true, true, true, true}})
	people := map[*person]*personCurve{}
	d.watch = func(q *person) {
		if q.service || d.warming(q) {
			return
		}
		c := curves[q.employee.Role]
		if c == nil {
			c = &curve{}
			curves[q.employee.Role] = c
		}
		own := people[q]
		if own == nil {
			own = &personCurve{}
			for l := range own {
				for i := range own[l] {
					own[l][i] = none()
				}
			}
			people[q] = own
		}
		c.days++
		c.see(d, q, own)
	}
	alarms := 0
	company.Run(func(in *sallyport.Input, _ bool) {
		for _, f := range d.Observe(in) {
			if strings.Contains(f.ID, "-") {
				alarms++
				t.Logf("  %s %d: %s %s %s %s", p.Name, seed, f.Time.Format("01-02"), f.ID, company.Staff()[0].Role[:0]+d.people[f.Staff[0]].employee.Role, f.Evidence[1].Text)
			}
		}
	})
}

func (c *curve) see(d *Detector, q *person, own *personCurve) {
	for l := range levels {
		var total []float64
		for i := range streams {
			if i == together || i == canary {
				continue
			}
			r := &own[l][i]
			r.open()
			q.closing = true // as the day's end sees it
			r.close(d.today(q, i), q.streams[i].x)
			q.closing = false
			top := logSum(r[:]) - math.Log(growths)
			total = append(total, top+math.Log(d.specs[i].weight))
			if top >= math.Log(curveLevel(l)) {
				c.hits[i][l]++
			}
		}
		if logSum(total) >= math.Log(curveLevel(l)) {
			c.hits[streams][l]++
			for i := range own[l] {
				own[l][i] = none()
			}
		}
		for i := range streams {
			if r := &own[l][i]; logSum(r[:])-math.Log(growths) >= math.Log(curveLevel(l)) {
				*r = none()
			}
		}
	}
}

func (c *curve) print(t *testing.T, name string) {
	t.Helper()
	row := func(what string, hits [levels]float64) {
		text := ""
		for l, n := range hits {
			text += fmt.Sprintf("  %7.0f (%.2f)", n, n*curveLevel(l)/c.days)
		}
		t.Logf("%-20s %-10s %6.0f days %s", name, what, c.days, text)
	}
	row("all", c.hits[streams])
	for i, s := range specs() {
		if c.hits[i] != [levels]float64{} {
			row(fmt.Sprintf("%s/%d", s.kind, i), c.hits[i])
		}
	}
}

// TestPower says how soon sellers of 5 a day are found, beside somebody who knows all rates.
func TestPower(t *testing.T) {
	if os.Getenv("SALLYPORT_CALIBRATE") == "" {
		t.Skip("takes minutes; set SALLYPORT_CALIBRATE=1 to see how soon small sellers are found")
	}
	seeds := 1
	if n, err := strconv.Atoi(os.Getenv("SALLYPORT_SEEDS")); err == nil {
		seeds = n
	}
	for _, p := range sim.Profiles() {
		if only := os.Getenv("SALLYPORT_PROFILE"); only != "" && !slices.Contains(strings.Split(only, ","), p.Name) {
			continue
		}
		for range 4 {
			p.Cast = append(p.Cast, sim.Part{Scheme: sim.Seller, Type: Malicious, Rate: 5})
		}
		var ratios, taken []float64
		missed, both, alarms, all := 0, 0, 0.0, 0
		for seed := range seeds {
			r := run(t, p, uint64(seed)+1, true)
			alarms += r.innocent.alarms
			for i := range r.insiders {
				in := &r.insiders[i]
				o, limit, ok := r.oracle(in, -math.Log(DefaultBudget))
				a, caught := r.alarms[in.Staff[0]]
				days := 0
				for _, th := range r.stolen[in.Staff[0]] {
					days += th.n
				}
				all++
				switch {
				case caught:
					taken = append(taken, float64(a.taken))
					if ok {
						ratios = append(ratios, float64(a.taken)/o)
					}
				case ok:
					missed++
				default:
					both++
				}
				if os.Getenv("SALLYPORT_VERBOSE") != "" {
					t.Logf("   %s seed %d: caught %v after %d (%s), oracle %v after %.0f, limit %.0f, of %d", p.Name, seed+1, caught, a.taken, a.what, ok, o, limit, days)
				}
			}
		}
		t.Logf("%-10s %d sellers: missed %d, by the oracle too %d; customers %.0f / %.0f, ÷ oracle %.2f / %.2f; false alarms %.0f", p.Name, all, missed, both,
			quantile(taken, 0.5), quantile(taken, 0.9), quantile(ratios, 0.5), quantile(ratios, 0.9), alarms)
	}
}
