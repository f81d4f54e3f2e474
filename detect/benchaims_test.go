package detect

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sallyport/sim"
)

// aim is one of those that detection is held to, and what was measured.
type aim struct {
	what, measured string
	met            bool
}

// aimsOf holds results of one size to the aims. Sellers are those of five customers a day and more.
func aimsOf(list []*result) []aim {
	var above, bursting []string // profiles
	var all, caught, right, sellers, sold, near, compared, found float64
	var ratios, modest []float64
	soon := map[string]*[2]float64{"exporter": {}, "stolen": {}}
	few := math.Inf(1) // seeds of a profile
	seeds := map[string]float64{}
	for name, b := range byProfile(list) {
		seeds[name] = float64(b.runs)
		few = min(few, seeds[name])
		if b.alarms > b.days*DefaultBudget {
			above = append(above, name)
		}
		if low, _ := poissonInterval(b.alarms); low > b.days*DefaultBudget {
			bursting = append(bursting, name)
		}
	}
	for _, r := range list {
		for i := range r.Insiders {
			o := &r.Insiders[i]
			if o.Took == 0 {
				continue
			}
			all++
			if o.Caught {
				caught++
				if o.Right {
					right++
				}
			}
			if n := soon[o.Name]; n != nil {
				n[1]++
				if o.Caught && o.Seconds <= 60 && o.Taken <= 200 {
					n[0]++
				}
			}
			if !strings.HasPrefix(o.Name, "seller") || o.Name == sellerName(1) {
				continue
			}
			sellers++
			if o.Caught {
				sold++
				if o.Name == sellerName(5) && r.Profile == "consumer" {
					modest = append(modest, o.Taken)
				}
			}
			if o.Oracle > 0 {
				compared++
				if o.Caught {
					found++
					ratios = append(ratios, o.Taken/o.Oracle)
					if o.Taken <= 1.5*o.Oracle {
						near++
					}
				}
			}
		}
	}
	slices.Sort(above)
	of := func(n, m float64, format string, more ...any) string {
		return fmt.Sprintf("%.0f of %.0f", n, m) + fmt.Sprintf(format, more...)
	}
	alarms := "no profile above it"
	if above != nil {
		alarms = fmt.Sprintf("above it: %s; beyond chance: %s", strings.Join(above, ", "), nobody(bursting))
	}
	x, s := soon["exporter"], soon["stolen"]
	sum := benchOf("", list)
	list2 := []aim{
		{"false alarms on all profiles together within the promise", fmt.Sprintf("%.0f of %.1f", sum.alarms, sum.days*DefaultBudget), sum.alarms <= sum.days*DefaultBudget},
		{"false alarms within the promise on every profile", alarms, above == nil},
		{"every seller of 5 a day and more caught", of(sold, sellers, ""), sold == sellers},
		{"each of them whom one who knows all rates finds", of(found, compared, ""), found == compared},
		{"within 1.5 times the customers of who knows all rates", of(near, compared, "; in the middle %.2f", quantile(ratios, 0.5)), near == compared},
		{"exporter within 60 s and 200 customers", of(x[0], x[1], ""), x[0] == x[1]},
		{"stolen account within 60 s and 200 customers", of(s[0], s[1], ""), s[0] == s[1]},
		{"the type right in 85 %", of(right, caught, " who were caught, of %.0f", all), right >= 0.85*caught},
		{"thirty seeds of each profile", fmt.Sprintf("%.0f of the least", few), few >= 30},
	}
	if modest != nil {
		m := quantile(modest, 0.5)
		list2 = append(list2, aim{"at two unexplained a day (consumer) at most 60 customers in the middle", fmt.Sprintf("%.0f", m), m <= 60})
	}
	return list2
}

func nobody(list []string) string {
	if list == nil {
		return "none"
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func sellerName(rate float64) string { return fmt.Sprintf("seller %3.0f a day", rate) }

func byProfile(list []*result) map[string]*bench {
	of := map[string][]*result{}
	for _, r := range list {
		of[r.Profile] = append(of[r.Profile], r)
	}
	benches := map[string]*bench{}
	for name, some := range of {
		benches[name] = benchOf(name, some)
	}
	return benches
}

// apart are companies made in other ways than the profiles that detection was built with.
func (r *result) apart() bool {
	return !slices.ContainsFunc(sim.Profiles(), func(p sim.Profile) bool { return p.Name == r.Profile })
}

func printAims(t testing.TB, title string, list []*result) {
	t.Helper()
	t.Logf("%s, what is aimed at:", title)
	for _, a := range aimsOf(list) {
		met := "NOT REACHED"
		if a.met {
			met = "reached"
		}
		t.Logf("  %-72s %-60s %s", a.what, a.measured, met)
	}
}

// TestBenchAims: each aim is missed by the one result that misses it, and by no other.
func TestBenchAims(t *testing.T) {
	good := func() []*result {
		var list []*result
		for seed := range uint64(30) {
			list = append(list, &result{Profile: "consumer", Seed: seed, Days: 22_000, Insiders: []outcome{
				{Name: sellerName(1), Took: 60},
				{Name: sellerName(5), Took: 300, Caught: true, Right: true, Taken: 20, Oracle: 20},
				{Name: "exporter", Took: 1000, Caught: true, Right: true, Taken: 150, Seconds: 15},
				{Name: "stolen", Took: 1000, Caught: true, Right: true},
			}})
		}
		return list
	}
	for what, spoil := range map[string]func(list []*result){
		"":             func([]*result) {},
		"false alarms": func(list []*result) { list[0].Alarms = 30 },
		"every seller": func(list []*result) { list[3].Insiders[1] = outcome{Name: sellerName(5), Took: 300} },
		"within 1.5":   func(list []*result) { list[3].Insiders[1].Taken = 31 },
		"exporter":     func(list []*result) { list[5].Insiders[2].Taken = 250 },
		"stolen":       func(list []*result) { list[5].Insiders[3].Seconds = 61 },
		"the type": func(list []*result) {
			for _, r := range list[:15] {
				r.Insiders[1].Right = false
			}
		},
		"thirty": func(list []*result) { list[0].Profile = "queues" },
		"at two": func(list []*result) {
			for _, r := range list {
				r.Insiders[1].Taken, r.Insiders[1].Oracle = 61, 60
			}
		},
	} {
		list := good()
		spoil(list)
		for _, a := range aimsOf(list) {
			if missed := what != "" && strings.HasPrefix(a.what, what); a.met == missed {
				t.Errorf("spoilt %q: %s: %s, reached %v", what, a.what, a.measured, a.met)
			}
		}
	}
	list := good()
	list[3].Insiders[1].Caught = false // one who could be found: no seller may be missed
	for _, a := range aimsOf(list) {
		if seller := strings.Contains(a.what, "seller") || strings.Contains(a.what, "of them") || strings.Contains(a.what, "1.5"); a.met == seller {
			t.Errorf("one who could be found is missed: %s: %s, reached %v", a.what, a.measured, a.met)
		}
	}
	if (&result{Profile: "consumer"}).apart() || !(&result{Profile: sim.Desk().Name}).apart() {
		t.Error("what is made in another way is counted with the others")
	}
}
