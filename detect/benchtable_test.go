package detect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sallyport/sim"
)

// bench is what companies of one profile and size come to.
type bench struct {
	name     string
	runs     int
	events   int64
	days     float64
	alarms   float64
	insiders map[string]*tally
	recall   [methods][3][2]float64 // at 1, 2, 5 alarms in 1,000 days: caught, of how many
	chance   [3]float64
	notes    []string // false alarms, who was missed, warnings
}

type tally struct {
	n, caught, right, soon int
	known, both            int // that who knows all rates finds, and of these we
	days, taken            []float64
	ratio, limit           []float64
}

// benchOf sums results up.
func benchOf(name string, list []*result) *bench {
	b := &bench{name: name, insiders: map[string]*tally{}}
	for _, r := range list {
		b.runs++
		b.events += r.Accesses
		b.days += r.Days
		b.alarms += r.Alarms
		where := fmt.Sprintf("%s seed %d: ", r.Profile, r.Seed)
		for _, text := range r.False {
			b.notes = append(b.notes, "false alarm: "+where+text)
		}
		for _, text := range r.Warnings {
			b.notes = append(b.notes, "warning: "+where+text)
		}
		for i := range r.Insiders {
			b.insider(where, &r.Insiders[i])
		}
	}
	return b
}

func (b *bench) insider(where string, o *outcome) {
	for m := range methods {
		if o.Scored[m] {
			for j, above := range o.Ranked[m] {
				b.recall[m][j][1]++
				if above {
					b.recall[m][j][0]++
				}
			}
		}
	}
	for j, rate := range compared3() {
		b.chance[j] += 1 - math.Pow(1-rate/1000, o.Worked)
	}
	c := b.insiders[o.Name]
	if c == nil {
		c = &tally{}
		b.insiders[o.Name] = c
	}
	if o.Took == 0 {
		return // he left before he began
	}
	c.n++
	if o.Oracle > 0 {
		c.known++
	}
	if !o.Caught {
		after := "never"
		if o.Oracle > 0 {
			after = fmt.Sprintf("after %.0f", o.Oracle)
		}
		b.notes = append(b.notes, fmt.Sprintf("missed: %s%s %s took %d in all; who knows all rates alarms %s", where, o.Name, o.Staff, o.Took, after))
		return
	}
	c.caught++
	if o.Oracle > 0 {
		c.both++
	}
	if o.Right {
		c.right++
	}
	if o.Seconds <= 60 && o.Taken <= 200 {
		c.soon++
	}
	c.days, c.taken = append(c.days, o.Seconds/86400), append(c.taken, o.Taken)
	if o.Oracle > 0 {
		c.ratio = append(c.ratio, o.Taken/o.Oracle)
	}
	if o.Limit != 0 {
		c.limit = append(c.limit, o.Taken/o.Limit)
	}
}

func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// poisson is Byar's approximation of the exact 95 % interval of a count's mean.
func poissonInterval(n float64) (low, high float64) {
	const z = 1.959964
	if n > 0 {
		low = n * math.Pow(1-1/(9*n)-z/(3*math.Sqrt(n)), 3)
	}
	m := n + 1
	return max(0, low), m * math.Pow(1-1/(9*m)+z/(3*math.Sqrt(m)), 3)
}

// print writes the table.
func (b *bench) print(t testing.TB) {
	t.Helper()
	low, high := poissonInterval(b.alarms)
	per := 1000 / b.days
	t.Logf("%s: %d runs, %d accesses, %.0f innocent person-days; %.0f false alarms of %.1f promised; per 1,000 person-days %.3f (95 %%: %.3f to %.3f), promised %.3f",
		b.name, b.runs, b.events, b.days, b.alarms, b.days*DefaultBudget, b.alarms*per, low*per, high*per, 1000*DefaultBudget)
	names := make([]string, 0, len(b.insiders))
	for name := range b.insiders {
		names = append(names, name)
	}
	slices.Sort(names)
	t.Logf("  %-18s %11s %11s %16s %20s %18s %18s %10s %13s", "insider", "caught", "by oracle", "days med/p90", "customers med/p90", "÷ oracle med/p90", "÷ limit med/p90", "type", "60 s and 200")
	for _, name := range names {
		c := b.insiders[name]
		t.Logf("  %-18s %4d of %3d %4d of %3d %8.2f %7.2f %10.0f %9.0f %9.2f %8.2f %9.2f %8.2f %4d of %3d %4d of %3d", name, c.caught, c.n, c.both, c.known, quantile(c.days, 0.5), quantile(c.days, 0.9),
			quantile(c.taken, 0.5), quantile(c.taken, 0.9), quantile(c.ratio, 0.5), quantile(c.ratio, 0.9), quantile(c.limit, 0.5), quantile(c.limit, 0.9), c.right, c.caught, c.soon, c.n)
	}
	part := func(n [2]float64) float64 { return 100 * n[0] / n[1] }
	all := b.recall[ours][0][1]
	t.Logf("  recall at 1, 2, 5 alarms per 1,000 person-days, %%; by chance %.0f, %.0f, %.0f", 100*b.chance[0]/all, 100*b.chance[1]/all, 100*b.chance[2]/all)
	for m, name := range methodNames() {
		if r := &b.recall[m]; r[0][1] > 0 {
			t.Logf("    %-52s %5.1f %5.1f %5.1f", name, part(r[0]), part(r[1]), part(r[2]))
		}
	}
}

// printAll writes a table for each profile and size, and of each size what all profiles come to, which aims are reached, and what was false, missed
// or warned of. Companies made in other ways stand apart.
func printAll(t testing.TB, list []*result) {
	t.Helper()
	place := map[string]int{}
	for i, p := range sim.Profiles() {
		place[p.Name] = i - len(sim.Profiles())
	}
	slices.SortStableFunc(list, func(a, b *result) int {
		return cmp.Or(cmp.Compare(a.Staff, b.Staff), cmp.Compare(a.Weeks, b.Weeks), cmp.Compare(place[a.Profile], place[b.Profile]), cmp.Compare(a.Profile, b.Profile), cmp.Compare(a.Seed, b.Seed))
	})
	for len(list) > 0 {
		size := list[:while(list, func(a, b *result) bool { return a.Staff == b.Staff && a.Weeks == b.Weeks })]
		list = list[len(size):]
		says := fmt.Sprintf(", %d people, %d weeks", size[0].Staff, size[0].Weeks)
		for rest := size; len(rest) > 0; {
			n := while(rest, func(a, b *result) bool { return a.Profile == b.Profile })
			benchOf("profile "+rest[0].Profile+says, rest[:n]).print(t)
			rest = rest[n:]
		}
		tuned := while(size, func(a, b *result) bool { return a.apart() == b.apart() })
		if size[0].apart() {
			tuned = 0
		}
		printSum(t, "all profiles"+says, size[:tuned])
		printSum(t, "companies made in other ways"+says, size[tuned:])
	}
}

// while is how many of a list, from its beginning, are like the first.
func while(list []*result, like func(a, b *result) bool) int {
	if n := slices.IndexFunc(list, func(r *result) bool { return !like(list[0], r) }); n >= 0 {
		return n
	}
	return len(list)
}

func printSum(t testing.TB, title string, list []*result) {
	t.Helper()
	if len(list) == 0 {
		return
	}
	all := benchOf(title, list)
	all.print(t)
	printAims(t, title, list)
	t.Log("  " + strings.Join(all.notes, "\n  "))
}
