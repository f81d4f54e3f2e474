package serve

import (
	"fmt"
	"slices"

	"sallyport"
	"sallyport/canary"
)

// manyCustomers is from how many customers on an approved grant is an export: canaries are among whatever it shows.
const manyCustomers = 100

// traps are the customers who do not exist that Sallyport planted, as detection learns of them from the record. Like everything that hearing knows
// it is a pure function of the entries before.
type traps struct {
	open     func(sealed []byte) *canary.Canary // waits until the keys are open; nil: they were sealed with others
	walks    func(sallyport.Staff) bool
	plants   sallyport.Staff         // the service as which canaries are written
	standing func(grant string) bool // it is one of the configuration, for many customers

	tokens map[sallyport.Digest]sallyport.Subject
	byID   map[string]sallyport.Subject
	drill  *drillWatch     // nil: no drill is ever played
	bulk   map[string]bool // grants that were asked for, by their ids
	makers map[statementKey]sallyport.Staff
	recent []statementKey // of makers, the oldest first
}

// statementKey is one statement of one session.
type statementKey struct {
	session string
	id      uint64
}

// mostMakers is of how many statements it is remembered who made their reasons: what they reveal comes right behind them.
const mostMakers = 4096

// watch adds an access, with what it has to do with canaries: whom nobody has a reason to come by. An export that was approved for many, and a service
// that walks over all of them, come by them too. Where somebody else made the reason it is he whom the touch speaks about.
func (t *traps) watch(list []sallyport.Input, a *sallyport.Access, e *sallyport.Event, canaries map[sallyport.Subject]bool) []sallyport.Input {
	if t == nil {
		return append(list, sallyport.Input{Time: a.Time, Access: a})
	}
	t.note(e)
	if len(t.tokens) > 0 && e.Touch != nil {
		for _, d := range e.Touch.Values {
			if s, ok := t.tokens[d]; ok && !slices.Contains(a.Subjects, s) {
				a.Subjects = append(slices.Clip(a.Subjects), s)
			}
		}
	}
	touched := t.touched(a, canaries)
	if len(touched) == 0 {
		return append(list, sallyport.Input{Time: a.Time, Access: a})
	}
	maker := t.makers[statementKey{a.Session, a.Statement}]
	excused := t.excused(a)
	if excused || maker != "" && maker != a.Staff {
		a.Subjects = slices.DeleteFunc(slices.Clone(a.Subjects), func(s sallyport.Subject) bool { return canaries[s] })
	}
	list = append(list, sallyport.Input{Time: a.Time, Access: a})
	if !excused && maker != "" && maker != a.Staff {
		list = append(list, sallyport.Input{Time: a.Time, Access: &sallyport.Access{
			UID: a.UID + ".by", Time: a.Time, Arrived: a.Arrived, Activity: sallyport.ReadActivity, Staff: maker, Subjects: touched, Database: a.Database, Table: a.Table,
		}})
	}
	return list
}

func (t *traps) touched(a *sallyport.Access, canaries map[sallyport.Subject]bool) (list []sallyport.Subject) {
	for _, s := range a.Subjects {
		if canaries[s] {
			list = append(list, s)
		}
	}
	return list
}

func (t *traps) excused(a *sallyport.Access) bool {
	inserts := a.Activity == sallyport.WriteActivity // what it plants may be known before it is read that it was written
	return inserts && a.Staff == t.plants && t.plants != "" || t.walks(a.Staff) || a.Purpose.Kind == "grant" && (t.bulk[a.Purpose.Ref] || t.standing(a.Purpose.Ref))
}

// note remembers who made the reasons of a statement, and that somebody was shown a canary's value in another customer's row.
func (t *traps) note(e *sallyport.Event) {
	st := e.Statement
	if e.Kind != sallyport.StatementKind || st == nil || st.Known == nil {
		return
	}
	for i := range st.Known.Reasons {
		r := &st.Known.Reasons[i]
		if r.Is&sallyport.FactCovers == 0 || r.OpenedBy == "" {
			continue
		}
		key := statementKey{e.Who.Session, st.ID}
		if len(t.recent) >= mostMakers {
			delete(t.makers, t.recent[0])
			t.recent = t.recent[1:]
		}
		t.makers[key], t.recent = r.OpenedBy, append(t.recent, key)
		return
	}
}

// order takes what the control stream says of canaries and of exports. The empty input has it put on record when it was read.
func (t *traps) order(e *sallyport.Event, canaries map[sallyport.Subject]bool) []sallyport.Input {
	o := e.Order
	if t == nil || o == nil {
		return nil
	}
	switch e.Kind { //nolint:exhaustive // nothing else is handed over
	case sallyport.Requested:
		if g := o.Grant; g != nil && len(g.Only) == 0 && g.Customers >= manyCustomers {
			t.bulk[o.ID] = true
			return []sallyport.Input{{Time: e.Time}}
		}
	case sallyport.CanaryPlanted:
		c := t.open(o.Sealed)
		if c == nil {
			return nil
		}
		canaries[c.Subject] = !c.Gone && !c.Drill
		t.drill.knows(c)
		t.byID[string(c.ID[:])] = c.Subject
		for _, d := range c.Tokens {
			t.tokens[d] = c.Subject
		}
		return []sallyport.Input{{Time: e.Time}}
	case sallyport.DrillKind:
		return t.drill.turn(e)
	case sallyport.CanaryHeardKind:
		return heardAt(e, canaries)
	}
	return nil
}

// certain is from how likely a source is on that what was heard speaks about him, in millionths.
const certain = 950_000

// heardAt is what detection makes of a mail or a call to a detail that only one person was shown: he came by a customer who does not exist, by a reason
// that somebody else may have made. It is another one each time, since he had come by this one before.
func heardAt(e *sallyport.Event, canaries map[sallyport.Subject]bool) []sallyport.Input {
	h := e.Order.CanaryHeard
	if h == nil || h.Own {
		return nil
	}
	for _, s := range h.Suspects {
		if s.Millionth < certain {
			continue
		}
		one := sallyport.Subject(fmt.Sprintf("heard:%d", e.Seq))
		canaries[one] = true
		return []sallyport.Input{{Time: e.Time, Access: &sallyport.Access{
			UID: string(one), Time: e.Time, Activity: sallyport.RevealActivity, Staff: s.Staff, Subjects: []sallyport.Subject{one},
			Purpose: sallyport.Purpose{Kind: "call", Ref: "canary"},
		}}}
	}
	return nil
}
