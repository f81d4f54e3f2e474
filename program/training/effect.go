package training

import (
	"math"
	"slices"
	"time"

	"sallyport"
)

// Looks are a person's looks at customers on one day, and how many of them nothing explains.
type Looks struct{ All, Unexplained int64 }

// Days are everybody's looks, by days since 1970.
type Days map[sallyport.Staff]map[int64]Looks

// Add counts looks.
func (d Days) Add(who sallyport.Staff, at time.Time, all, unexplained int64) {
	if d[who] == nil {
		d[who] = map[int64]Looks{}
	}
	l := d[who][dayOf(at)]
	d[who][dayOf(at)] = Looks{l.All + all, l.Unexplained + unexplained}
}

func dayOf(at time.Time) int64 { return at.Unix() / (24 * 60 * 60) }

// Bounds of what is told: so many people in each group, and so many unexplained looks before and after.
const (
	leastOf   = 8
	leastSeen = 10
)

// Effect is what became of unexplained looks after a mistake, of who was told of a lesson at once and of who was told later.
type Effect struct {
	Lesson string `json:"lesson"` // empty: any
	Days   int    `json:"days"`   // before and after; as long as they waited
	Told   Group  `json:"told"`
	Wait   Group  `json:"wait"`
	// Ratio is by which factor the change of those who were told differs from that of those who waited: 0.7 is 30 % fewer; with the interval that holds
	// 95 in 100.
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// Says is fewer, more, no difference seen, or not measured; Why then says what is missing.
	Says string `json:"says"`
	Why  string `json:"why,omitempty"`
}

// Group are people who made a mistake, with their unexplained looks in a working day.
type Group struct {
	People int     `json:"people"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// What an effect may say.
const (
	Fewer       = "fewer"
	More        = "more"
	NoneSeen    = "no difference seen"
	NotMeasured = "not measured"
)

// Effects are what lessons came to: all together first, then each. days is how long who waits does.
//
// Whoever gets a lesson has just had a bad time, which mostly would have ended by itself; and before it he did not make the mistake often enough. So his
// days after it can be compared neither with the days before nor with anybody else's: both find effects where there are none. They are compared with those
// of people who made the same mistake and whom a draw had wait. Whether they read it counts for nothing, since who reads soon is another kind of person.
func Effects(lessons []Taught, looks Days, days int, now time.Time) []Effect {
	ids := []string{""}
	for i := range lessons {
		if !slices.Contains(ids, lessons[i].Lesson) {
			ids = append(ids, lessons[i].Lesson)
		}
	}
	slices.Sort(ids)
	out := make([]Effect, len(ids))
	for i, id := range ids {
		out[i] = effect(id, lessons, looks, days, now)
	}
	return out
}

// sums are one person's, before and after.
type sums struct{ before, beforeDays, after, afterDays float64 }

func (s *sums) add(looks map[int64]Looks, at, days int64) {
	for d := int64(1); d <= days; d++ {
		if l := looks[at-d]; l.All > 0 {
			s.before, s.beforeDays = s.before+float64(l.Unexplained), s.beforeDays+1
		}
		if l := looks[at+d]; l.All > 0 {
			s.after, s.afterDays = s.after+float64(l.Unexplained), s.afterDays+1
		}
	}
}

func effect(id string, lessons []Taught, looks Days, days int, now time.Time) Effect {
	e := Effect{Lesson: id, Days: days, Says: NotMeasured}
	var groups [2][]sums
	counted := map[sallyport.Staff]bool{}
	for i := range lessons {
		t := &lessons[i]
		if id != "" && t.Lesson != id || counted[t.Staff] {
			continue
		}
		counted[t.Staff] = true // his first one: what comes later has several causes
		if !t.Drawn || now.Before(t.At.AddDate(0, 0, days+1)) {
			continue
		}
		late := 0
		if t.From.After(t.At) {
			late = 1
		}
		var s sums
		if s.add(looks[t.Staff], dayOf(t.At), int64(days)); s.beforeDays > 0 && s.afterDays > 0 {
			groups[late] = append(groups[late], s)
		}
	}
	e.judge(groups[0], groups[1])
	return e
}

// judge takes the ratio of two changes, with a variance that lets people differ and their days hang together: what each person adds to it is one number.
func (e *Effect) judge(told, wait []sums) {
	e.Told, e.Wait = groupOf(told), groupOf(wait)
	few := func(list []sums) bool { s := sum(list); return s.before < leastSeen || s.after < leastSeen }
	switch {
	case len(told)+len(wait) == 0:
		e.Why = "nobody was drawn to wait (training.wait), or it is too soon"
		return
	case len(told) < leastOf || len(wait) < leastOf:
		e.Why = "fewer than 8 people in one of the groups"
		return
	case few(told) || few(wait):
		e.Why = "fewer than 10 unexplained looks before or after in one of the groups"
		return
	}
	a, varA := change(told)
	b, varB := change(wait)
	half := student(len(told)+len(wait)-2) * math.Sqrt(varA+varB)
	e.Ratio, e.Low, e.High = a/b, a/b*math.Exp(-half), a/b*math.Exp(half)
	switch {
	case e.High < 1:
		e.Says = Fewer
	case e.Low > 1:
		e.Says = More
	default:
		e.Says = NoneSeen
	}
}

func groupOf(list []sums) Group {
	g, s := Group{People: len(list)}, sum(list)
	if len(list) > 0 {
		g.Before, g.After = s.before/s.beforeDays, s.after/s.afterDays
	}
	return g
}

func sum(list []sums) (all sums) {
	for _, s := range list {
		all.before, all.beforeDays, all.after, all.afterDays = all.before+s.before, all.beforeDays+s.beforeDays, all.after+s.after, all.afterDays+s.afterDays
	}
	return all
}

// change is the ratio of the rates after and before, and the variance of its logarithm, linearised, by person.
func change(list []sums) (ratio, variance float64) {
	all := sum(list)
	before, after := all.before/all.beforeDays, all.after/all.afterDays
	for _, s := range list {
		part := (s.after-after*s.afterDays)/all.after - (s.before-before*s.beforeDays)/all.before
		variance += part * part
	}
	n := float64(len(list))
	return after / before, variance * n / (n - 1)
}

// student is the 97.5 % point of Student's t, by the expansion around the normal one (Abramowitz and Stegun 26.7.5); to 0.002 from 7 degrees of freedom on.
func student(degrees int) float64 {
	const z = 1.959964
	v := float64(degrees)
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v) + (3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*v*v*v)
}
