package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/sim"
)

// trial is one run of a company, with all that is compared.
type trialRun struct {
	alarms   map[sallyport.Staff]caught // the first finding about each
	first    map[sallyport.Staff]time.Time
	innocent struct{ days, alarms float64 }
	scores   [methods][]dayScore
	insiders []sim.Insider
	stolen   map[sallyport.Staff][]theft
	history  map[sallyport.Staff][]observed
	took     time.Duration
	events   int64
	health   []Health
	false_   []string
}

type caught struct {
	at    time.Time
	taken int
	kind  string
	what  string
}

type theft struct {
	at time.Time
	n  int
}

type observed struct {
	day int64
	x   float64
	v   volume
}

// volume is what the baselines see of a day.
type volume struct{ looks, bare, most, odd, device float64 }

type dayScore struct {
	who   sallyport.Staff
	day   int64
	score float64
}

// The methods that are compared.
const (
	ours = iota
	zScore
	forest
	unclaimed
	methods
)

// whole tells whether all is compared, which takes its time.
func whole() bool { return os.Getenv("SALLYPORT_SIEGE") != "" && !quick() }

func methodNames() [methods]string {
	return [methods]string{"Sallyport", "robust z-score of volume", "isolation forest", "sequential test on reads without a claimed purpose"}
}

// run lets one company pass two detectors, ours and one that believes every claim and knows nothing else, and the baselines.
func run(t testing.TB, p sim.Profile, seed uint64, insiders bool) *trialRun {
	t.Helper()
	c := sim.NewCompany(p, seed, insiders)
	r := &trialRun{alarms: map[sallyport.Staff]caught{}, insiders: c.Insiders, stolen: map[sallyport.Staff][]theft{}, history: map[sallyport.Staff][]observed{}}
	guilty := map[sallyport.Staff]int64{} // the first day
	for _, in := range c.Insiders {
		for _, who := range in.Staff {
			guilty[who] = in.From.Unix() / 86400
		}
	}
	d := detector(t, c, Options{Known: Sources{true, true, true, true, true, true, true, true}})
	claims, err := ParseTemplates([]byte("templates: [{id: claimed, fact: purpose, whose: anybody, weight: 1, says: claimed}]"))
	fatal(t, err)
	naive := detector(t, c, Options{Templates: claims})
	today := map[sallyport.Staff]*volume{}
	d.watch = func(p *person) {
		if p.service {
			return
		}
		r.scores[ours] = append(r.scores[ours], dayScore{p.id, p.day, p.highest})
		v := today[p.id]
		if v == nil {
			v = &volume{}
		}
		r.history[p.id] = append(r.history[p.id], observed{p.day, p.streams[exposure].x, *v})
		today[p.id] = nil
		if from, bad := guilty[p.id]; !bad || p.day < from {
			r.innocent.days++
		}
	}
	naive.watch = func(p *person) {
		if !p.service {
			r.scores[unclaimed] = append(r.scores[unclaimed], dayScore{p.id, p.day, p.highest})
		}
	}
	taken := map[sallyport.Staff]int{}
	var spent time.Duration
	c.Run(func(in *sallyport.Input, stealing bool) {
		if a := in.Access; a != nil {
			r.events++
			if stealing {
				taken[a.Staff] += len(a.Subjects)
				r.stolen[a.Staff] = append(r.stolen[a.Staff], theft{in.Time, len(a.Subjects)})
			}
			if today[a.Staff] == nil {
				today[a.Staff] = &volume{}
			}
			today[a.Staff].see(a)
		}
		began := time.Now()
		found := d.Observe(in)
		spent += time.Since(began)
		for _, f := range found {
			r.note(&f, guilty, taken, c)
		}
		if in.Access != nil && whole() {
			naive.Observe(in)
		}
	})
	r.took, r.health = spent, d.Health()
	if whole() {
		r.baselines()
	}
	return r
}

func detector(t testing.TB, c *sim.Company, o Options) *Detector {
	t.Helper()
	o.Watched = map[sallyport.Subject]bool{}
	for _, s := range c.Watched {
		o.Watched[s] = true
	}
	d, err := New(o)
	fatal(t, err)
	d.Hire(c.Staff())
	return d
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (v *volume) see(a *sallyport.Access) {
	v.looks += float64(len(a.Subjects))
	if a.Purpose.Kind == "" {
		v.bare += float64(len(a.Subjects))
	}
	v.most = max(v.most, float64(len(a.Subjects)))
	if h := a.Time.Hour(); h < 7 || h > 19 {
		v.odd++
	}
	if strings.HasPrefix(a.Device, "unknown") {
		v.device = 1
	}
}

// note takes a finding: the first line of each is the alarm.
func (r *trialRun) note(f *Finding, guilty map[sallyport.Staff]int64, taken map[sallyport.Staff]int, c *sim.Company) {
	if r.first == nil {
		r.first = map[sallyport.Staff]time.Time{}
	}
	id := sallyport.Staff(f.ID)
	if _, grew := r.first[id]; grew {
		return
	}
	r.first[id] = f.Time
	who := f.Staff[0]
	from, bad := guilty[who]
	if !bad || f.Time.Unix()/86400 < from {
		r.innocent.alarms++
		r.false_ = append(r.false_, fmt.Sprintf("%s %s %s %s", f.Time.Format(time.DateOnly), who, f.Kind, f.Evidence[1].Text))
		return
	}
	if _, known := r.alarms[who]; known {
		return
	}
	n := 0
	for _, in := range c.Insiders {
		if slices.Contains(in.Staff, who) {
			for _, s := range in.Staff {
				n += taken[s]
			}
		}
	}
	r.alarms[who] = caught{f.Time, n, f.Type, f.Kind}
}

// baselines scores days by the robust z-score of a person's volume against his past, and by an isolation forest that may train on all
// days, the future's too.
func (r *trialRun) baselines() {
	names := make([]string, 0, len(r.history))
	for who := range r.history {
		names = append(names, string(who))
	}
	slices.Sort(names)
	var points [][]float64
	var of []dayScore
	for _, name := range names {
		var past []float64
		for _, day := range r.history[sallyport.Staff(name)] {
			z := 0.0
			if len(past) >= 10 {
				middle := median(past)
				off := make([]float64, len(past))
				for i, v := range past {
					off[i] = math.Abs(v - middle)
				}
				z = (day.v.looks - middle) / max(1.4826*median(off), 1)
			}
			past = append(past, day.v.looks)
			s := dayScore{sallyport.Staff(name), day.day, z}
			r.scores[zScore] = append(r.scores[zScore], s)
			of = append(of, s)
			points = append(points, []float64{math.Log1p(day.v.looks), math.Log1p(day.v.bare), math.Log1p(day.v.most), math.Log1p(day.v.odd)})
		}
	}
	for i, s := range isolation(points, rand.New(rand.NewPCG(1, 2))) {
		of[i].score = s
		r.scores[forest] = append(r.scores[forest], of[i])
	}
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// isolation is Liu, Ting and Zhou's forest: 100 trees over 256 points each; the score is 2^(−path/c).
func isolation(points [][]float64, random *rand.Rand) []float64 {
	const trees, sample = 100, 256
	sums := make([]float64, len(points))
	usual := func(n int) float64 {
		if n < 2 {
			return 0
		}
		return 2*(math.Log(float64(n-1))+0.5772156649) - 2*float64(n-1)/float64(n)
	}
	type node struct {
		feature     int
		split       float64
		left, right *node
		size        int
	}
	var grow func(some [][]float64, depth int) *node
	grow = func(some [][]float64, depth int) *node {
		if len(some) < 2 || depth >= 8 {
			return &node{size: len(some)}
		}
		f := random.IntN(len(some[0]))
		low, high := some[0][f], some[0][f]
		for _, p := range some {
			low, high = min(low, p[f]), max(high, p[f])
		}
		if low == high {
			return &node{size: len(some)}
		}
		at := low + random.Float64()*(high-low)
		var left, right [][]float64
		for _, p := range some {
			if p[f] < at {
				left = append(left, p)
			} else {
				right = append(right, p)
			}
		}
		return &node{feature: f, split: at, left: grow(left, depth+1), right: grow(right, depth+1)}
	}
	for range trees {
		some := make([][]float64, 0, sample)
		for range min(sample, len(points)) {
			some = append(some, points[random.IntN(len(points))])
		}
		root := grow(some, 0)
		for i, p := range points {
			depth, at := 0.0, root
			for at.left != nil {
				depth++
				if p[at.feature] < at.split {
					at = at.left
				} else {
					at = at.right
				}
			}
			sums[i] += depth + usual(at.size)
		}
	}
	for i := range sums {
		sums[i] = math.Exp2(-sums[i] / trees / usual(sample))
	}
	return sums
}

// oracle is the same test by somebody who knows the person's base rate, how much his days differ, and the rate of the theft: the customers
// taken until it alarms, and until the limit ln A / KL. It looks at whole days, as ln A / KL does.
func (r *trialRun) oracle(in *sim.Insider, level float64) (taken, limit float64, ok bool) {
	who, from := in.Staff[0], in.From.Unix()/86400
	sum, square, n := 0.0, 0.0, 0.0
	for _, o := range r.history[who] {
		if o.day < from {
			sum, square, n = sum+o.x, square+o.x*o.x, n+1
		}
	}
	if n < 10 {
		return 0, 0, false
	}
	mu := max(sum/n, 0.05)
	k := min(100, mu*mu/max(square/n-mu*mu-mu, mu*mu/100))
	byDay := map[int64]float64{}
	for _, s := range r.stolen[who] {
		byDay[s.at.Unix()/86400] += float64(s.n)
	}
	log := math.Inf(-1)
	for _, o := range r.history[who] {
		if o.day < from {
			continue
		}
		taken += byDay[o.day]
		log = max(log, 0) + math.Log1p(math.Exp(-math.Abs(log))) + ratio(o.x, mu, k, in.Rate)
		if log >= level {
			ok = true
			break
		}
	}
	kl := ratio(mu+in.Rate, mu, k, in.Rate)
	return taken, in.Rate * level / kl, ok
}

// bench is what runs of one profile come to.
type bench struct {
	profile  string
	runs     int
	days     float64
	alarms   float64
	insiders map[string]*tally
	recall   [methods][3][2]float64 // at 1, 2, 5 alarms in 1,000 days: caught, of how many
	chance   [3]float64
	took     time.Duration
	events   int64
	notes    []string // false alarms
	missed   []string
}

type tally struct {
	n, caught, right int
	days, taken      []float64
	ratio, limit     []float64
	seconds          []float64
}

// quick leaves the other methods out.
func quick() bool { return os.Getenv("SALLYPORT_QUICK") != "" }

func benchProfile(t testing.TB, p sim.Profile, seeds int) *bench {
	t.Helper()
	b := &bench{profile: p.Name, insiders: map[string]*tally{}}
	level := math.Log(1 / DefaultBudget)
	first := firstSeed(t, 1000)
	for seed := range seeds {
		r := run(t, p, uint64(seed)+first, true)
		b.runs++
		b.days += r.innocent.days
		b.alarms += r.innocent.alarms
		b.took += r.took
		b.events += r.events
		for _, s := range r.false_ {
			b.notes = append(b.notes, fmt.Sprintf("seed %d: %s", uint64(seed)+first, s))
		}
		for i := range r.insiders {
			b.insider(r, &r.insiders[i], level)
		}
		b.compare(r)
		for _, h := range r.health {
			if h.Warning != "" {
				t.Logf("  seed %d, %s: %+v", uint64(seed)+first, p.Name, h)
			}
		}
	}
	return b
}

func (b *bench) insider(r *trialRun, in *sim.Insider, level float64) {
	name := string(in.Scheme)
	if in.Scheme == sim.Seller {
		name = fmt.Sprintf("seller %3.0f a day", in.Rate)
	}
	c := b.insiders[name]
	if c == nil {
		c = &tally{}
		b.insiders[name] = c
	}
	var thefts []theft
	for _, who := range in.Staff {
		thefts = append(thefts, r.stolen[who]...)
	}
	if len(thefts) == 0 {
		return // he left before he began
	}
	slices.SortFunc(thefts, func(x, y theft) int { return x.at.Compare(y.at) })
	c.n++
	var first *caught
	for _, who := range in.Staff {
		if a, ok := r.alarms[who]; ok && (first == nil || a.at.Before(first.at)) {
			first = &a
		}
	}
	oracle, limit, ok := r.oracle(in, level)
	if first == nil {
		taken := 0
		for _, x := range thefts {
			taken += x.n
		}
		after := "never"
		if ok {
			after = fmt.Sprintf("after %.0f", oracle)
		}
		b.missed = append(b.missed, fmt.Sprintf("%s %s took %d in all; who knows all rates alarms %s", name, in.Staff[0], taken, after))
		return
	}
	c.caught++
	if first.kind == in.Type {
		c.right++
	}
	c.days = append(c.days, first.at.Sub(thefts[0].at).Hours()/24)
	c.seconds = append(c.seconds, first.at.Sub(thefts[0].at).Seconds())
	c.taken = append(c.taken, float64(first.taken))
	if ok && oracle > 0 {
		c.ratio = append(c.ratio, float64(first.taken)/oracle)
		c.limit = append(c.limit, float64(first.taken)/limit)
	}
}

// compare finds for each method the score that so many innocent days exceed, and whom it catches then.
func (b *bench) compare(r *trialRun) {
	guilty := map[sallyport.Staff]*sim.Insider{}
	for i := range r.insiders {
		for _, who := range r.insiders[i].Staff {
			guilty[who] = &r.insiders[i]
		}
	}
	for m := range methods {
		if len(r.scores[m]) == 0 {
			continue
		}
		var clean []float64
		best := map[*sim.Insider]float64{}
		for _, s := range r.scores[m] {
			in := guilty[s.who]
			if in == nil || s.day < in.From.Unix()/86400 {
				clean = append(clean, s.score)
				continue
			}
			if have, ok := best[in]; !ok || s.score > have {
				best[in] = s.score
			}
		}
		slices.Sort(clean)
		for i, rate := range []float64{1, 2, 5} {
			bar := clean[min(len(clean)-1, int(float64(len(clean))*(1-rate/1000)))]
			for in := range best {
				b.recall[m][i][1]++
				if best[in] > bar {
					b.recall[m][i][0]++
				}
			}
		}
	}
	for i, rate := range []float64{1, 2, 5} {
		for j := range r.insiders {
			days := 0.0
			for _, s := range r.scores[ours] {
				if guilty[s.who] == &r.insiders[j] && s.day >= r.insiders[j].From.Unix()/86400 {
					days++
				}
			}
			b.chance[i] += 1 - math.Pow(1-rate/1000, days)
		}
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

// firstSeed is SALLYPORT_FIRST_SEED, or this.
func firstSeed(t testing.TB, usual uint64) uint64 {
	t.Helper()
	s := os.Getenv("SALLYPORT_FIRST_SEED")
	if s == "" {
		return usual
	}
	n, err := strconv.ParseUint(s, 10, 64)
	fatal(t, err)
	return n
}

// seedsAsked is SALLYPORT_SEEDS, or this.
func seedsAsked(t testing.TB, usual int) int {
	t.Helper()
	s := os.Getenv("SALLYPORT_SEEDS")
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	fatal(t, err)
	return n
}

// freshAsked is how many companies that nothing was tuned to are tried, too: SALLYPORT_FRESH.
func freshAsked(t testing.TB) int {
	t.Helper()
	s := os.Getenv("SALLYPORT_FRESH")
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	fatal(t, err)
	return n
}

// print writes the table.
func (b *bench) print(t testing.TB) {
	t.Helper()
	low, high := poissonInterval(b.alarms)
	per := 1000 / b.days
	t.Logf("profile %s: %d runs, %d events at %.0f events/s; false alarms per 1,000 person-days %.3f (95 %%: %.3f to %.3f), promised %.3f",
		b.profile, b.runs, b.events, float64(b.events)/b.took.Seconds(), b.alarms*per, low*per, high*per, 1000*DefaultBudget)
	names := make([]string, 0, len(b.insiders))
	for name := range b.insiders {
		names = append(names, name)
	}
	slices.Sort(names)
	t.Logf("  %-18s %9s %16s %20s %14s %12s %8s", "insider", "caught", "days med/p90", "customers med/p90", "÷ oracle med", "÷ limit med", "type")
	for _, name := range names {
		c := b.insiders[name]
		t.Logf("  %-18s %4d of %2d %8.2f %7.2f %10.0f %9.0f %14.2f %12.2f %3d of %2d", name, c.caught, c.n, quantile(c.days, 0.5), quantile(c.days, 0.9),
			quantile(c.taken, 0.5), quantile(c.taken, 0.9), quantile(c.ratio, 0.5), quantile(c.limit, 0.5), c.right, c.caught)
	}
	t.Logf("  recall at 1, 2, 5 alarms per 1,000 person-days; chance %.0f, %.0f, %.0f %%", 100*b.chance[0]/b.recall[ours][0][1], 100*b.chance[1]/b.recall[ours][1][1], 100*b.chance[2]/b.recall[ours][2][1])
	for m, name := range methodNames() {
		t.Logf("    %-52s %3.0f %3.0f %3.0f %%", name, 100*b.recall[m][0][0]/b.recall[m][0][1], 100*b.recall[m][1][0]/b.recall[m][1][1], 100*b.recall[m][2][0]/b.recall[m][2][1])
	}
	for _, note := range b.missed {
		t.Log("  missed: " + note)
	}
	for _, note := range b.notes {
		t.Log("  false alarm: " + note)
	}
}

// TestBenchDetect is `make bench-detect`; without SALLYPORT_SIEGE one small company is enough.
func TestBenchDetect(t *testing.T) {
	profiles, seeds := sim.Profiles(), 30
	if !whole() && !quick() {
		p := profiles[0]
		p.Staff, p.Weeks = 80, 14
		b := benchProfile(t, p, 1)
		b.print(t)
		for _, must := range []string{"seller  20 a day", "seller 500 a day", "exporter", "stolen", "negligent"} {
			if c := b.insiders[must]; c == nil || c.caught != c.n || c.n == 0 {
				t.Errorf("%s: %+v", must, c)
			}
		}
		if low, _ := poissonInterval(b.alarms); low > b.days*DefaultBudget {
			t.Errorf("%.0f false alarms on %.0f days", b.alarms, b.days)
		}
		return
	}
	seeds = seedsAsked(t, seeds)
	for i := range freshAsked(t) {
		profiles = append(profiles, sim.Fresh(uint64(i)+1)) //nolint:gosec // small
	}
	for _, p := range profiles {
		only := os.Getenv("SALLYPORT_PROFILE")
		if only != "" && !slices.Contains(strings.Split(only, ","), p.Name) {
			continue
		}
		if s := os.Getenv("SALLYPORT_STAFF"); s != "" {
			n, err := strconv.Atoi(s)
			fatal(t, err)
			p.Staff = n
		}
		if s := os.Getenv("SALLYPORT_WEEKS"); s != "" {
			n, err := strconv.Atoi(s)
			fatal(t, err)
			p.Weeks = n
		}
		benchProfile(t, p, seeds).print(t)
	}
}
