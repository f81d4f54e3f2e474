package detect

import (
	"fmt"
	"os"
	"slices"
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
	taken, all := map[sallyport.Staff]int{}, whole()
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
		for _, f := range d.Observe(in) {
			r.note(&f, guilty, taken, c)
		}
		if in.Access != nil && all {
			naive.Observe(in)
		}
	})
	r.health = d.Health()
	if all {
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
		r.false_ = append(r.false_, fmt.Sprintf("%s %s %s %s", f.Time.Format(time.DateOnly), who, f.Kind, f.Evidence[min(1, len(f.Evidence)-1)].Text))
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
