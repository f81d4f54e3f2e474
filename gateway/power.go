package gateway

import (
	"fmt"
	"slices"
	"strings"

	"sallyport"
	"sallyport/query"
	"sallyport/wire/pg"
)

// codePower is that of a statement whose power the configuration gives to others.
const codePower = "SP007"

// mayUse refuses a statement that takes a power which its person was not given.
func (s *session) mayUse(as *acting, st *query.Statement) *query.Refusal {
	for _, p := range st.Powers {
		if !s.holds(p) || as.service != nil && !slices.Contains(s.gw.Protection.Powers[p], as.person.Staff) {
			return powerless(p)
		}
	}
	return nil
}

func (s *session) holds(p sallyport.Power) bool {
	return slices.Contains(s.gw.Protection.Powers[p], s.person.Staff)
}

func powerless(p sallyport.Power) *query.Refusal {
	return refusal(codePower, fmt.Sprintf("this takes the power %q, which you were not given", string(p)),
		fmt.Sprintf("Ask an administrator: Sallyport's configuration names who has it under powers.%s.", p))
}

// byItself refuses what others must be able to see before its session does anything with it, unless it stands alone outside of
// a transaction: then it is committed, and the catalogue knows it, before the next statement is looked at.
func (s *session) byItself(plan *query.Plan) (*query.Refusal, error) {
	if s.observing() || !wantsAlone(plan) {
		return nil, nil
	}
	if len(plan.Statements) > 1 || s.unsynced {
		return notByItself(), nil
	}
	if err := s.awaitAll(); err != nil {
		return nil, err
	}
	if !s.idle.Load() {
		return notByItself(), nil
	}
	return nil, nil
}

func wantsAlone(plan *query.Plan) bool {
	return slices.ContainsFunc(plan.Statements, func(st query.Statement) bool { return st.Alone })
}

func notByItself() *query.Refusal {
	return refusal(query.CodeForbidden, "what may run code is made only outside of a transaction, by a simple query that holds nothing else",
		"Send the statement by itself, without BEGIN and not prepared: as psql does, or in your driver's simple query mode.")
}

// recordPower puts the use of a power on disk before the statement is forwarded.
func (s *session) recordPower(r *run) *query.Refusal {
	if r.stmt == nil || len(r.stmt.Powers) == 0 {
		return nil
	}
	e := s.statementEvent(r, nil)
	e.Kind, e.Power = sallyport.PowerKind, &sallyport.PowerUse{Kinds: r.stmt.Powers}
	return s.recordFirst(e, "no power is used")
}

// notePower makes the entry of a refusal one of a refused power.
func (s *session) notePower(e *sallyport.Event, kinds []sallyport.Power) {
	e.Kind, e.Power = sallyport.PowerKind, &sallyport.PowerUse{Kinds: kinds, Refused: true}
	s.noteDurably(e)
}

// admitRole refuses a start-up packet that makes the session another role's, or has triggers sleep, unless the person may.
func (s *session) admitRole(packet *pg.Startup) error {
	if !s.protected && !s.guarded || s.observing() {
		return nil
	}
	for _, k := range []struct {
		power    sallyport.Power
		settings []string
	}{
		{sallyport.PowerSetRole, []string{"role", "session_authorization"}},
		{sallyport.PowerTrigger, []string{"session_replication_role"}},
	} {
		if s.holds(k.power) || !sets(packet, k.settings) {
			continue
		}
		why := powerless(k.power)
		e := s.statementEvent(&run{}, why)
		s.notePower(e, []sallyport.Power{k.power})
		return s.refuseStart(fatal(why.Code, why.Sentence, why.Hint))
	}
	return nil
}

// sets looks for settings among a packet's parameters and inside its options.
func sets(packet *pg.Startup, settings []string) bool {
	is := func(name string) bool {
		return slices.Contains(settings, strings.ReplaceAll(strings.ToLower(name), "-", "_"))
	}
	for _, param := range packet.Params {
		if is(param[0]) {
			return true
		}
		if param[0] != "options" {
			continue
		}
		words := splitOptions(param[1])
		for i, word := range words {
			setting := strings.TrimPrefix(strings.TrimPrefix(word, "-c"), "--")
			if word == "-c" && i+1 < len(words) {
				setting = words[i+1]
			}
			if name, _, _ := strings.Cut(setting, "="); is(name) {
				return true
			}
		}
	}
	return false
}
