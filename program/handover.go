package program

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport"
)

// Habits fold how people work: what a successor, who is to do the same work, should look at.
type Habits struct {
	From, Until time.Time
	local       func(who sallyport.Staff, at time.Time) (hour int64, onShift bool)
	of          map[sallyport.Staff]*habits
}

type habits struct {
	batches, bulk, off, searches int
	reasons                      map[string]int // kinds
	columns                      map[string]int
	customers                    map[sallyport.Subject]*regular
	days                         map[int64]bool
}

// regular is a customer at whom somebody looks.
type regular struct {
	days    map[int64]bool
	reasons int // batches for a ticket, call or job
	others  int // for work lists, grants, or nothing
	last    time.Time
	entry   uint64
}

// NewHabits counts between two moments. local tells whether a moment is somebody's working time.
func NewHabits(from, until time.Time, local func(who sallyport.Staff, at time.Time) (hour int64, onShift bool)) *Habits {
	return &Habits{from, until, local, map[sallyport.Staff]*habits{}}
}

// Access takes an entry of the access stream.
func (h *Habits) Access(e *sallyport.Event) {
	if e.Time.Before(h.From) || !e.Time.Before(h.Until) || e.Reveal == nil && e.Touch == nil && e.Kind != sallyport.StatementKind {
		return
	}
	p := h.of[e.Who.Staff]
	if p == nil {
		p = &habits{reasons: map[string]int{}, columns: map[string]int{}, customers: map[sallyport.Subject]*regular{}, days: map[int64]bool{}}
		h.of[e.Who.Staff] = p
	}
	if st := e.Statement; st != nil && e.Kind == sallyport.StatementKind && st.Verb == "COPY" {
		p.bulk++
	}
	if e.Touch != nil && len(e.Touch.Probes) > 0 {
		p.searches++
	}
	if e.Reveal == nil {
		return
	}
	p.batches++
	p.days[e.Time.Unix()/86400] = true
	if _, onShift := h.local(e.Who.Staff, e.Time); !onShift {
		p.off++
	}
	checked := false
	for _, kind := range kindsOf(e.Reveal) {
		p.reasons[kind]++
		checked = checked || kind == "ticket" || kind == "call" || kind == "job"
	}
	columns, subjects := map[uint16]bool{}, map[sallyport.Subject]bool{}
	for v := range e.Reveal.Values.All() {
		columns[v.Column], subjects[v.Subject] = true, true
	}
	for c := range columns {
		if int(c) < len(e.Reveal.Columns) {
			p.columns[e.Reveal.Columns[c].String()]++
		}
	}
	for s := range subjects {
		p.sees(s, checked, e)
	}
}

func kindsOf(r *sallyport.Revealed) (out []string) {
	if r.Grant != "" {
		return []string{"grant"}
	}
	for _, p := range r.Purposes {
		out = append(out, p.Kind)
	}
	if len(out) == 0 {
		out = []string{"none"}
	}
	return out
}

func (p *habits) sees(s sallyport.Subject, checked bool, e *sallyport.Event) {
	if s == "" {
		return
	}
	r := p.customers[s]
	if r == nil {
		r = &regular{days: map[int64]bool{}}
		p.customers[s] = r
	}
	r.days[e.Time.Unix()/86400] = true
	r.last, r.entry = e.Time, e.Seq
	if checked {
		r.reasons++
	} else {
		r.others++
	}
}

// Handover is what whoever takes over somebody's work should look at.
type Handover struct {
	Staff     sallyport.Staff `json:"staff"` // whose work it was
	From      time.Time       `json:"from"`
	Until     time.Time       `json:"until"`
	Peers     int             `json:"peers"` // of the same team and role, with whom he is compared
	Days      int             `json:"days"`  // on which he was shown anything
	Customers int             `json:"customers"`
	Habits    []Habit         `json:"habits"`   // that most of his peers do not have, the oddest first
	Regulars  []Regular       `json:"regulars"` // customers whom he looked at on several days without a reason that was checked
}

// Habit is something that he does more than his peers.
type Habit struct {
	What  string  `json:"what"`
	His   float64 `json:"his"`   // share of his results, 0 to 1
	Peers float64 `json:"peers"` // median of theirs
	Look  string  `json:"look"`  // what the successor should ask
}

// Regular is a customer whom he kept looking at.
type Regular struct {
	Customer sallyport.Subject `json:"customer"`
	Days     int               `json:"days"`
	Without  int               `json:"without"` // results for no ticket, call or job
	With     int               `json:"with"`
	Last     time.Time         `json:"last"`
	Entry    uint64            `json:"entry"` // of the access stream
}

// The bounds of what a hand-over report tells: habits that are seldom or common say nothing.
const (
	habitShare   = 0.05 // of his results
	habitTimes   = 3    // as often as his peers
	regularDays  = 3
	mostRegulars = 20
)

// Of is the hand-over of somebody's work, beside peers who do the same.
func (h *Habits) Of(who sallyport.Staff, peers []sallyport.Staff) *Handover {
	out := &Handover{Staff: who, From: h.From, Until: h.Until, Habits: []Habit{}, Regulars: []Regular{}}
	p := h.of[who]
	if p == nil {
		return out
	}
	out.Days, out.Customers = len(p.days), len(p.customers)
	var others []*habits
	for _, x := range peers {
		if o := h.of[x]; o != nil && x != who && o.batches > 0 {
			others = append(others, o)
		}
	}
	out.Peers = len(others)
	for _, t := range p.traits() {
		shares := []float64{}
		for _, o := range others {
			shares = append(shares, t.of(o))
		}
		his, theirs := t.of(p), median(shares)
		if his >= habitShare && his >= habitTimes*theirs {
			out.Habits = append(out.Habits, Habit{t.what, his, theirs, t.look})
		}
	}
	slices.SortStableFunc(out.Habits, func(a, b Habit) int {
		return cmp.Or(cmp.Compare(b.His-b.Peers, a.His-a.Peers), cmp.Compare(a.What, b.What))
	})
	for _, s := range slices.Sorted(maps.Keys(p.customers)) {
		if r := p.customers[s]; len(r.days) >= regularDays && r.others > r.reasons {
			out.Regulars = append(out.Regulars, Regular{s, len(r.days), r.others, r.reasons, r.last, r.entry})
		}
	}
	slices.SortStableFunc(out.Regulars, func(a, b Regular) int { return cmp.Compare(b.Without, a.Without) })
	out.Regulars = out.Regulars[:min(len(out.Regulars), mostRegulars)]
	return out
}

// trait is one kind of habit, as a share of results.
type trait struct {
	what, look string
	of         func(*habits) float64
}

// traits are those that somebody could have.
func (p *habits) traits() []trait {
	share := func(n func(*habits) int) func(*habits) float64 {
		return func(x *habits) float64 { return float64(n(x)) / float64(max(x.batches, 1)) }
	}
	list := []trait{
		{"outside of his working time", "Is there a duty at that hour? If not, nobody need look then.", share(func(x *habits) int { return x.off })},
		{"searches for values that no reason covered", "Do tickets come without the customer's number? If not, these searches end.", share(func(x *habits) int { return x.searches })},
		{"copies in bulk", "Who needs the file, and could it be made by a job that somebody approves?", share(func(x *habits) int { return x.bulk })},
	}
	for _, kind := range slices.Sorted(maps.Keys(p.reasons)) {
		if kind == "ticket" || kind == "call" {
			continue
		}
		list = append(list, trait{fmt.Sprintf("results for the reason %s", kind), "Ask what it was for; with tickets of your own you may not need it.", share(func(x *habits) int { return x.reasons[kind] })})
	}
	for _, column := range slices.Sorted(maps.Keys(p.columns)) {
		list = append(list, trait{"reads " + column, "Leave it out until the work asks for it.", share(func(x *habits) int { return x.columns[column] })})
	}
	return list
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)/2]
}
