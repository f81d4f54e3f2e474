package training

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Miss is a mistake that went well this time: what it was, and by which entries it is known.
type Miss struct {
	Staff  sallyport.Staff
	Lesson string
	At     time.Time
	Causes []sallyport.TrainingCause
}

// Rules say when mistakes assign a lesson.
type Rules struct {
	Often int                        // so many refusals of one kind within Window do; others do at once
	Skip  func(sallyport.Staff) bool // programs and who plays thefts; nil: nobody
}

// Bounds of watching. What a program tries again by itself is one mistake; a lesson is not given twice within Rest.
const (
	Window = 30 * 24 * time.Hour
	Rest   = 90 * 24 * time.Hour
	again  = 10 * time.Minute
)

// Watch finds mistakes in both streams. It is a fold, and not safe for concurrent use.
type Watch struct {
	rules    Rules
	sessions map[string]asked
	refusals map[key][]sallyport.TrainingCause
}

type key struct {
	who    sallyport.Staff
	lesson string
}

// asked is what a session's statement was about.
type asked struct {
	id      uint64
	verb    string
	reasons []sallyport.KnownReason
	told    bool // that it was refused
}

// NewWatch begins to watch.
func NewWatch(r Rules) *Watch {
	return &Watch{rules: r, sessions: map[string]asked{}, refusals: map[key][]sallyport.TrainingCause{}}
}

// Access takes an entry of the access stream; nil: nothing is to be learnt from it.
func (w *Watch) Access(e *sallyport.Event) *Miss {
	switch e.Kind { //nolint:exhaustive // what tells of a mistake
	case sallyport.StatementKind:
		if s := e.Statement; s != nil {
			now := asked{id: s.ID, verb: s.Verb}
			if s.Known != nil {
				now.reasons = s.Known.Reasons
			}
			w.sessions[e.Who.Session] = now
		}
	case sallyport.SessionEnd:
		delete(w.sessions, e.Who.Session)
	case sallyport.RefusedKind:
		if s := e.Statement; s != nil {
			return w.refused(e, map[string]string{"SP013": NotAReason, "SP003": Power, "SP007": Power}[s.Refused])
		}
	case sallyport.PowerKind:
		if e.Power != nil && e.Power.Refused {
			return w.refused(e, Power)
		}
	case sallyport.BudgetReached:
		if e.Limit != nil && e.Limit.Scope == "" && !strings.HasPrefix(e.Limit.Window, "grant") { // his own work was too large, and no grant too small
			return w.refused(e, TooMany)
		}
	case sallyport.ResultKind:
		return w.result(e)
	case sallyport.AroundKind:
		return w.once(e, e.Who.Staff, Around, "access")
	}
	return nil
}

// result finds reasons that were given and did not hold.
func (w *Watch) result(e *sallyport.Event) *Miss {
	st, ok := w.sessions[e.Who.Session]
	if !ok || st.told || e.Statement == nil || st.id != e.Statement.ID || e.Result == nil || e.Result.Left == 0 {
		return nil
	}
	if lesson := w.why(&st, e.Result.Rulings); lesson != "" {
		st.told = true
		w.sessions[e.Who.Session] = st
		return w.refused(e, lesson)
	}
	return nil
}

// why is which mistake left values unreadable, where it was one: a reason was given, and no reason showed anything.
func (w *Watch) why(st *asked, rulings []sallyport.Ruled) string {
	shown := func(r sallyport.Ruled) bool {
		return r.Verdict != sallyport.Token.String() && r.Verdict != sallyport.Deny.String()
	}
	if strings.HasPrefix(st.verb, "COPY") && !slices.ContainsFunc(rulings, shown) {
		return BulkCopy
	}
	if slices.ContainsFunc(rulings, shown) {
		return ""
	}
	for _, r := range rulings {
		if r.Purpose == 0 || r.Purpose > len(st.reasons) {
			continue
		}
		switch is := st.reasons[r.Purpose-1].Is; {
		case is&(sallyport.FactOpenedBySelf|sallyport.FactAssignedBySelf) != 0 && is&sallyport.FactContacted == 0:
			return OwnReason
		case is&sallyport.FactOpen == 0 || is&sallyport.FactMine == 0:
			return NotYourTicket
		}
	}
	return ""
}

// refused counts a refusal; the last of so many is a miss.
func (w *Watch) refused(e *sallyport.Event, lesson string) *Miss {
	who := e.Who.Staff
	if lesson == "" || w.skips(who) {
		return nil
	}
	k := key{who, lesson}
	list := w.refusals[k]
	if n := len(list); n > 0 && e.Time.Sub(list[n-1].Time) < again {
		return nil
	}
	list = slices.DeleteFunc(list, func(c sallyport.TrainingCause) bool { return e.Time.Sub(c.Time) > Window })
	list = append(list, sallyport.TrainingCause{Stream: "access", Entry: e.Seq, Time: e.Time})
	w.refusals[k] = list
	if len(list) < cmp.Or(w.rules.Often, 3) {
		return nil
	}
	delete(w.refusals, k)
	return &Miss{who, lesson, e.Time, list}
}

// once is a miss by itself.
func (w *Watch) once(e *sallyport.Event, who sallyport.Staff, lesson, stream string) *Miss {
	if w.skips(who) {
		return nil
	}
	return &Miss{who, lesson, e.Time, []sallyport.TrainingCause{{Stream: stream, Entry: e.Seq, Time: e.Time}}}
}

func (w *Watch) skips(who sallyport.Staff) bool {
	return who == "" || w.rules.Skip != nil && w.rules.Skip(who)
}

// Control takes an entry of the control stream, in the order of the stream. A negligent finding is learnt from when its case has ended and says that it was
// so: nobody is to learn by a lesson that he is looked into. careless are who that is of a case that an entry closes; others none.
func (w *Watch) Control(e *sallyport.Event, careless func(*sallyport.Event) []sallyport.Staff) (list []*Miss) {
	add := func(who sallyport.Staff, lesson string) {
		if m := w.once(e, who, lesson, "control"); m != nil {
			list = append(list, m)
		}
	}
	o := e.Order
	switch {
	case o == nil:
	case e.Kind == sallyport.Approved && careless != nil:
		for _, who := range careless(e) {
			add(who, WrongPlace)
		}
	case e.Kind == sallyport.GlassReviewed && o.Details == "misused":
		add(o.About, BreakGlass)
	case e.Kind == sallyport.TrainingKind && o.Training != nil && o.Training.Do == Imported:
		for _, f := range o.Training.Rows {
			if f.Kind == Phishing && Fell(&f) && e.Time.Sub(f.Time) < Window {
				add(f.Staff, Mail)
			}
		}
	}
	return list
}

// Assign is the step that a miss comes to; nil where he has had the lesson not long before, or since. With a wait, half of those who are to learn
// something are told only after it, and a draw decides who: without somebody who waits nothing could be said about what lessons change (Effects).
func (b *Book) Assign(m *Miss, days int, wait time.Duration, draw uint64) *sallyport.TrainingStep {
	if b.Given(m.Staff, m.Lesson, m.At.Add(-Rest)) {
		return nil
	}
	step := &sallyport.TrainingStep{Do: Assigned, Staff: m.Staff, Lesson: m.Lesson, From: m.At, Drawn: wait > 0, Misses: m.Causes}
	if draw%2 == 1 {
		step.From = m.At.Add(wait)
	}
	step.Due = step.From.Add(time.Duration(days) * 24 * time.Hour)
	return step
}
