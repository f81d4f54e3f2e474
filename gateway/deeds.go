package gateway

import (
	"context"
	"slices"
	"strings"

	"sallyport"
	"sallyport/policy"
	"sallyport/query"
)

// Besides what it reveals, a statement does things that policies may forbid: it touches a table, searches for values, writes them. They are
// asked before it is forwarded, each time it is executed.

// act is one thing that a statement does.
type act struct {
	action string
	column sallyport.Column // of a query its table
}

// acts are what a statement does, each once.
func acts(st *query.Statement) []act {
	var out []act
	note := func(a act) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, table := range st.Tables {
		note(act{policy.ActionQuery, table})
	}
	slot := func(s *query.Slot) {
		switch {
		case s == nil || s.Purpose || s.Actor || s.Parted:
		case s.Use == query.Store:
			note(act{policy.ActionWrite, s.Column})
		default:
			note(act{policy.ActionSearch, s.Column})
		}
	}
	for i := range st.Edits {
		slot(st.Edits[i].Slot)
	}
	for i := range st.Params {
		slot(&st.Params[i].Slot)
	}
	if st.Copy != nil {
		for i := range st.Copy.Fields {
			slot(st.Copy.Fields[i].Slot)
		}
	}
	return out
}

// mayAct asks the policies about what a statement does. Where they have it wait, it waits here, before anything of it is forwarded; what is only parsed
// now waits when it is executed.
func (s *session) mayAct(ctx context.Context, st *query.Statement, v *sight, look bool) (*query.Refusal, error) {
	var g gate
	defer g.close()
	for _, a := range acts(st) {
		r, refused := v.acting(a)
		if !refused {
			continue
		}
		if s.observing() {
			s.observe("would have refused: " + r.Because)
			continue
		}
		hint := explained(v.as.person.Staff, a)
		if r.Verdict == sallyport.Wait {
			if look {
				continue
			}
			opened, how, err := s.waitToAct(ctx, &g, st, v, a)
			if err != nil {
				return nil, err
			}
			if opened {
				continue
			}
			if hint = how + " Then try again."; !g.waited {
				hint = how
			}
			r, _ = v.acting(a)
		}
		why := refusal(codeDenied, r.Because, hint)
		why.Decision = &sallyport.Decision{Action: a.action, Columns: []sallyport.Column{a.column}, Policy: r.Policy()}
		return why, nil
	}
	if g.waited {
		return s.asBefore(ctx, v, g.analyzer), nil
	}
	return nil, nil
}

// explained is how an administrator sees why policies do not let somebody do something.
func explained(who sallyport.Staff, a act) string {
	return "An administrator sees why: sallyport policy explain " + string(who) + " " + strings.TrimSuffix(a.column.String(), ".") + " --action " + a.action
}

// acting asks about one act under each reason and grant there is; the most open answer holds. A slower answer is for values alone.
func (v *sight) acting(a act) (r policy.Ruling, refused bool) {
	ask := v.asking
	ask.Action, ask.Column = a.action, a.column
	r = v.policies.Decide(ask)
	better := func(ask policy.Ask) {
		if other := v.policies.Decide(ask); other.Verdict > r.Verdict {
			r = other
		}
	}
	for _, c := range v.covers {
		if r.Verdict == sallyport.Reveal {
			break
		}
		why := ask
		why.Context.Purpose = &c.Reason
		better(why)
	}
	for i := range v.grants {
		if r.Verdict == sallyport.Reveal {
			break
		}
		under := ask
		under.Context.Grant = granted(&v.grants[i].Grant)
		better(under)
	}
	if r.Respond == policy.Suspend && v.bar != nil {
		v.bar(r.Because)
		v.bar = nil
	}
	return r, r.Verdict != sallyport.Reveal
}

// granted is a grant as policies read it; its budget is counted by customer.
func granted(g *policy.Grant) *policy.Granted {
	return &policy.Granted{ID: g.ID, Customers: int64(g.Customers), Left: int64(g.Customers)}
}
