package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/query"
)

// analyze is the plan of a text, or why there is none. Where a backslash stands in it, its reading hangs on settings, and the
// server tells of those only before ReadyForQuery: so what was sent before is awaited, and behind a statement that was
// executed since the last Sync such strings cannot be read at all.
func (s *session) analyze(ctx context.Context, sql string) (*query.Plan, *query.Refusal) {
	backslash := strings.IndexByte(sql, '\\') >= 0
	if backslash {
		if err := s.awaitAll(); err != nil {
			return nil, refusal(codeShutdown, "the session ends", "")
		}
	}
	s.mu.Lock()
	scs, foreign := !s.unread, s.foreign
	s.mu.Unlock()
	if backslash && s.unsynced {
		scs = false
		if !ascii(sql) {
			return nil, refusal(codeUnsupported, "letters beside a backslash cannot be read safely behind a statement that may change client_encoding",
				"Send a Sync before it.")
		}
	}
	plan, err := s.plan(ctx, sql, scs)
	if err != nil {
		if r, ok := errors.AsType[*query.Refusal](err); ok {
			return nil, r
		}
		return nil, refusal("42601", "the statement cannot be analysed", "")
	}
	for i := range plan.Statements {
		if refused := s.refuses(&plan.Statements[i], sql, foreign); refused != nil {
			return plan, refused
		}
	}
	return plan, nil
}

// refuses is why a statement does not pass, whatever may be known once it is executed. foreign: client_encoding is not UTF8.
func (s *session) refuses(st *query.Statement, sql string, foreign bool) *query.Refusal {
	switch {
	case st.Refusal != nil:
		return st.Refusal
	case foreign && (st.Prepare != nil || st.Execute != nil || st.Deallocate != nil) && !ascii(sql):
		return refusal(codeUnsupported, "names of prepared statements are ASCII in this client_encoding", "SET client_encoding = 'UTF8'; and try again.")
	case foreign && st.Touches:
		return refusal(codeUnsupported, "protected columns are reached with client_encoding UTF8 only", "SET client_encoding = 'UTF8'; and try again.")
	}
	return s.actsOn(s.me(), st)
}

// actsOn refuses what somebody may not do, whatever may be known once it is executed.
func (s *session) actsOn(as *acting, st *query.Statement) *query.Refusal {
	if refused := s.mayCopy(as, st); refused != nil {
		return refused
	}
	return s.mayUse(as, st)
}

// plan analyses a text by a catalogue that holds whatever was committed before it came, where that may matter.
func (s *session) plan(ctx context.Context, sql string, scs bool) (*query.Plan, error) {
	analyzer := s.analyzer()
	s.by = analyzer // or a later one: then what is prepared of it is looked at once more
	plan, err := analyzer.Analyze(sql, scs)
	if err != nil || !slices.ContainsFunc(plan.Statements, func(st query.Statement) bool { return leans(&st) }) {
		return plan, err
	}
	if len(plan.Statements) == 1 && s.postpones(basis{source: sql, analyzer: analyzer}, &plan.Statements[0]) {
		return plan, nil
	}
	if refused := s.fresh(ctx); refused != nil {
		return nil, refused
	}
	if current := s.analyzer(); current != analyzer {
		return current.Analyze(sql, scs)
	}
	return plan, nil
}

func leans(st *query.Statement) bool {
	return st.Leans || st.Prepare != nil && st.Prepare.Body != nil && st.Prepare.Body.Leans
}

// What bounds how long a statement waits for the catalogue: in a transaction it may be its own that keeps it from being read.
const (
	freshTimeout     = 15 * time.Second
	freshTimeoutHeld = 3 * time.Second
)

func (s *session) fresh(ctx context.Context) *query.Refusal {
	limit := freshTimeoutHeld
	if s.idle.Load() {
		limit = freshTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := s.gw.Protection.Catalog.Fresh(ctx); err != nil {
		s.gw.Log.Warn("the catalogue cannot be read", "reason", plainReason(err))
		return refusal(codeAway, "what is protected cannot be looked up now", "Try again in a moment; the administrator sees the reason in Sallyport's log.")
	}
	return nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
