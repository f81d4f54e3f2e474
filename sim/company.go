package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"sallyport"
)

// Profile says how a made-up company works. Profiles differ in what detection finds hard: how much is unexplained, how much days and people
// differ, which facts are missing.
type Profile struct {
	Name      string
	Staff     int
	Weeks     int
	Customers int64

	Touches   float64 // looks of an agent at tickets, a day
	Tickets   float64 // new tickets of an agent, a day
	Days      float64 // median of a ticket's life
	Tail      float64 // sigma of its logarithm
	Moves     float64 // reassignments of a ticket
	Others    float64 // people beside its assignees who look at it
	Unlinked  float64 // share of looks without a ticket
	Differ    float64 // sigma of the logarithm of people's unlinked rates
	Fano      float64 // of an agent's looks a day, variance over mean
	Bursts    float64 // chance of a day with many unlinked looks, for agents
	BurstSize float64
	Quality   float64 // share of staff who look through other people's tickets
	Calls     float64 // share of tickets that an agent opens for a caller
	Unheard   float64 // share of contacts that are on no record
	Undated   float64 // share of assignments that are on no record
	Gaps      int     // days on which tickets and contacts are missing
	Bulk      float64 // bulk work of an engineer, a week
	Unlogged  float64 // share of it that no job is on record for
	Surges    int     // launches, with three times the tickets
	Drift     float64 // of each person's unlinked rate, sigma of its logarithm over the weeks
	Night     bool    // shifts round the clock
	Early     float64 // share of agents who begin at six
	Late      float64 // share of them who begin at one in the afternoon
	Urgent    float64 // tickets of a hundred people that cannot wait for the morning, a night
	Promoted  float64 // share of agents who come to look after quality in these weeks
	Desk      bool    // made in another way, see Desk
	Clumps    float64 // share of unlinked looks that come with one to four more
	Restless  float64 // of each person's day, sigma of the logarithm of his unlinked rate
	Mood      float64 // the same, lasting for days
	Spells    float64 // chance a week of a week or two with twice the unlinked looks

	Cast []Part // the insiders; nil: one of each scheme
}

// Part is an insider to be made up.
type Part struct {
	Scheme Scheme
	Type   string // malicious, negligent, compromised
	Rate   float64
}

// usualCast is one of each scheme, and sellers of several appetites.
func usualCast() []Part {
	return []Part{
		{Seller, "malicious", 1},
		{Seller, "malicious", 5},
		{Seller, "malicious", 20},
		{Seller, "malicious", 500},
		{Exporter, "malicious", 4000},
		{Snooper, "malicious", 1.5},
		{Stolen, "compromised", 2000},
		{Negligent, "negligent", 2500},
		{Pair, "malicious", 3},
		{Mimic, "malicious", 5},
	}
}

// Profiles are companies that detection was built with, and, last, those that were kept from its making.
func Profiles() []Profile {
	base := Profile{
		Staff: 200, Weeks: 26, Customers: 12_000_000, Touches: 36, Tickets: 7.2, Days: 22. / 24, Tail: 2.23, Moves: 0.94, Others: 1.88, Unlinked: 0.06, Differ: 0.5,
		Fano: 18, Quality: 0.03, Calls: 0.3, Unheard: 0.03, Undated: 0.02, Bulk: 0.5, Surges: 2, Drift: 0.1, Early: 0.1, Late: 0.24, Urgent: 2, Promoted: 0.04,
	}
	with := func(name string, change func(*Profile)) Profile {
		p := base
		p.Name = name
		change(&p)
		return p
	}
	return []Profile{
		with("consumer", func(*Profile) {}),
		with("business", func(p *Profile) {
			p.Touches, p.Tickets, p.Days, p.Tail, p.Others, p.Calls, p.Unlinked, p.Differ = 18, 2, 6, 1.5, 2.5, 0.1, 0.1, 0.8
		}),
		with("queues", func(p *Profile) {
			p.Fano, p.Differ, p.Bursts, p.BurstSize, p.Tail, p.Surges = 20, 0.9, 0.01, 10, 2.6, 5
		}),
		with("quality", func(p *Profile) { p.Quality, p.Unlinked, p.Bursts, p.BurstSize = 0.12, 0.08, 0.005, 15 }),
		with("gaps", func(p *Profile) { p.Gaps, p.Unheard, p.Undated = 9, 0.1, 0.1 }),
		with("sparse", func(p *Profile) { p.Unheard, p.Undated, p.Unlinked, p.Unlogged = 0.5, 0.4, 0.15, 0.3 }),
		// Kept from the making: looked at once, in the end.
		with("held-night", func(p *Profile) {
			p.Night, p.Drift, p.Fano, p.Unlinked, p.Touches, p.Tickets, p.Differ, p.Calls = true, 0.35, 14, 0.09, 26, 5, 0.7, 0.5
		}),
		with("held-loose", func(p *Profile) {
			p.Unlinked, p.Differ, p.Bursts, p.BurstSize, p.Unlogged, p.Unheard, p.Bulk, p.Days = 0.15, 1, 0.02, 8, 0.5, 0.2, 1, 3
		}),
	}
}

// Scheme is what an insider does.
type Scheme string

// The insiders.
const (
	Seller    Scheme = "seller"    // so many customers a day outside of his tickets
	Exporter  Scheme = "exporter"  // thousands on a few days, after he gave notice
	Snooper   Scheme = "snooper"   // famous customers, now and then
	Stolen    Scheme = "stolen"    // somebody else uses his account, at night, quickly
	Negligent Scheme = "negligent" // thousands in one result, which then leaves by mail
	Pair      Scheme = "pair"      // two who divide the customers between them, and now and then share a device
	Mimic     Scheme = "mimic"     // opens a ticket for each customer himself
)

// Insider is what is true of one.
type Insider struct {
	Scheme Scheme
	Type   string // malicious, negligent, compromised
	Staff  []sallyport.Staff
	Rate   float64   // a day
	From   time.Time // of the first day
	Day    int
	people []int
}

// Company is one organisation over its weeks. It is made by Run alone, in the order of time.
type Company struct {
	Profile  Profile
	Begin    time.Time
	Insiders []Insider
	Watched  []sallyport.Subject

	random  *rand.Rand
	staff   []sallyport.Employee
	agents  []agent
	plan    [][]act
	order   []uint64 // of a day's deeds
	duties  []duty   // by day
	early   []act    // tickets that were there before
	tickets int
	uid     int
	surge   []float64
	missing []bool
	repeat  []int64 // customers who come again
	recent  []served
	zones   []*time.Location
	bare    bool // no insiders
	tasks   []job
	bursts  bursts
}

// agent is how a person works.
type agent struct {
	index    int // of staff
	role     string
	team     int
	unlinked float64
	device   string
	address  string
	from, to int // minutes of his day, in UTC; to may be beyond midnight
	hired    int // day
	leave    [2]int
	weight   []float64 // by day; 0: absent
	weekend  bool
	turned   int // day of a change of teams; 0: none
	promoted int // day of a change of roles; 0: none
	trainer  bool
	insider  *Insider
	drift    float64
	mood     float64
	spell    int // the day on which one ends
}

// NewCompany makes one up. The insiders are those of the profile's usual list, or none.
func NewCompany(p Profile, seed uint64, insiders bool) *Company {
	c := &Company{
		Profile: p, Begin: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), bare: !insiders,
		random: rand.New(rand.NewPCG(mix(seed), mix(seed+0x5a11)+hashName(p.Name))), //nolint:gosec // made up by a seed, not secret
		zones:  []*time.Location{time.UTC, time.FixedZone("Etc/GMT+5", -5*3600), time.FixedZone("Etc/GMT-8", 8*3600)},
	}
	days := p.Weeks * 7
	c.plan, c.duties = make([][]act, days+1), make([]duty, days+1)
	c.surge, c.missing = make([]float64, days), make([]bool, days)
	for d := range c.surge {
		c.surge[d] = 1
	}
	for range p.Surges {
		at := 20 + c.random.IntN(max(1, days-25))
		for d := at; d < min(days, at+2); d++ {
			c.surge[d] = 2.5
		}
	}
	for range p.Gaps {
		c.missing[c.random.IntN(days)] = true
	}
	for range 40_000 {
		c.repeat = append(c.repeat, 1+c.random.Int64N(p.Customers))
	}
	for range 50 {
		c.Watched = append(c.Watched, sallyport.Subject(fmt.Sprint(1+c.random.Int64N(p.Customers))))
	}
	if p.Desk {
		c.furnish()
	} else {
		c.employ()
	}
	if insiders {
		c.turn()
	}
	return c
}

func hashName(s string) (h uint64) {
	for _, ch := range []byte(s) {
		h = mix(h + uint64(ch))
	}
	return h
}

// Staff is the staff file.
func (c *Company) Staff() []sallyport.Employee { return slices.Clone(c.staff) }

// employ makes up the people: four in five are agents.
func (c *Company) employ() {
	p, days := &c.Profile, c.Profile.Weeks*7
	for i := range p.Staff {
		a := agent{index: i, role: "agent", team: i % c.teams(), hired: -1}
		share := float64(i) / float64(p.Staff)
		switch {
		case share < 0.02:
			a.role = "service"
		case share < 0.05:
			a.role = "engineer"
		case share < 0.08:
			a.role = "lead"
		case share < 0.08+p.Quality:
			a.role, a.trainer = "quality", i%3 == 0
		}
		c.shift(&a)
		zone := c.zones[0]
		if p.Night && a.role == "agent" {
			zone = c.zones[i%3]
			_, offset := c.Begin.In(zone).Zone()
			a.from -= offset / 60
			a.to -= offset / 60
		}
		a.unlinked = p.Unlinked * p.Touches * math.Exp(p.Differ*c.random.NormFloat64()-p.Differ*p.Differ/2)
		a.device, a.address = fmt.Sprintf("lap-%03d", i), fmt.Sprintf("10.%d.%d.7", 1+i/200, i%200)
		a.weekend = c.random.Float64() < 0.2
		a.leave[0] = c.random.IntN(days)
		a.leave[1] = a.leave[0] + 5 + c.random.IntN(12)
		if c.random.Float64() < 0.06 {
			a.hired = 20 + c.random.IntN(max(1, days-30))
		}
		if a.role == "agent" && c.random.Float64() < 0.08 {
			a.turned = 20 + c.random.IntN(max(1, days-30))
		} else if a.role == "agent" && c.random.Float64() < p.Promoted {
			a.promoted = 20 + c.random.IntN(max(1, days-30))
		}
		c.present(&a)
		c.agents = append(c.agents, a)
		e := sallyport.Employee{
			ID: sallyport.Staff(fmt.Sprintf("s%04d", i+1)), Name: fmt.Sprintf("Person %d", i+1), Team: teamName(a.team), Role: a.role, Zone: zone,
			Service: a.role == "service", Hired: c.Begin.AddDate(-1, 0, 0),
		}
		if a.hired > 0 {
			e.Hired = c.Begin.AddDate(0, 0, a.hired)
		}
		if !p.Night {
			e.Shift = [2]int{a.from, a.to}
		}
		c.staff = append(c.staff, e)
	}
}

// present says on which days he works, and how much: gamma-distributed, for the Fano factor.
func (c *Company) present(a *agent) {
	p := &c.Profile
	a.weight = make([]float64, p.Weeks*7)
	shape := p.Touches / max(0.5, p.Fano-1)
	for d := range a.weight {
		away := d < a.hired || d >= a.leave[0] && d < a.leave[1] || c.random.Float64() < 0.04
		weekend := d%7 >= 5
		if a.role == "service" {
			a.weight[d] = 1
			continue
		}
		if !away && (!weekend || a.weekend && c.random.Float64() < 0.5) {
			a.weight[d] = c.gamma(shape) / shape
		}
	}
}

// turn makes insiders of some agents, one of each scheme.
func (c *Company) turn() {
	weeks := c.Profile.Weeks
	var free []int
	for i := range c.agents {
		if a := &c.agents[i]; a.role == "agent" && a.hired < 0 && a.turned == 0 && a.promoted == 0 {
			free = append(free, i)
		}
	}
	c.random.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	cast := c.Profile.Cast
	if cast == nil {
		cast = usualCast()
	}
	for _, s := range cast {
		n := 1
		if s.Scheme == Pair {
			n = 2
		}
		if len(free) < n {
			return
		}
		in := Insider{Scheme: s.Scheme, Type: s.Type, Rate: s.Rate, people: free[:n]}
		free = free[n:]
		in.Day = c.firstDay(&c.agents[in.people[0]], 7*(weeks*2/5)+c.random.IntN(7*max(1, weeks/4)))
		in.From = c.Begin.AddDate(0, 0, in.Day)
		for _, i := range in.people {
			in.Staff = append(in.Staff, c.staff[i].ID)
		}
		c.Insiders = append(c.Insiders, in)
	}
	for i := range c.Insiders {
		for _, who := range c.Insiders[i].people {
			c.agents[who].insider = &c.Insiders[i]
		}
		if c.Insiders[i].Scheme == Exporter {
			c.staff[c.Insiders[i].people[0]].NoticeFrom = c.Begin.AddDate(0, 0, c.Insiders[i].Day-7)
		}
	}
}

// firstDay is the first day from then on that he works.
func (c *Company) firstDay(a *agent, d int) int {
	for ; d < len(a.weight)-1 && a.weight[d] == 0; d++ {
	}
	return d
}

// gamma draws by Marsaglia and Tsang's method; mean and variance are the shape.
func (c *Company) gamma(shape float64) float64 {
	if shape < 1 {
		return c.gamma(shape+1) * math.Pow(c.random.Float64(), 1/shape)
	}
	d := shape - 1./3
	for {
		x := c.random.NormFloat64()
		v := 1 + x/math.Sqrt(9*d)
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(c.random.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

func (c *Company) poisson(mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*c.random.NormFloat64())))
	}
	limit, n := math.Exp(-mean), 0
	for p := c.random.Float64(); p > limit; p *= c.random.Float64() {
		n++
	}
	return n
}
