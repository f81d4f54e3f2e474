package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/cases"
)

// Today is what goes on right now, people by pseudonym: how many customers were revealed today, beside the days before.
type Today struct {
	Day       string         `json:"day"` // UTC
	Time      time.Time      `json:"time"`
	Missing   string         `json:"missing,omitempty"` // why there are no figures
	Entry     uint64         `json:"entry"`             // of the record, up to which the figures tell
	Customers int            `json:"customers"`
	Usual     int            `json:"usual"` // median of the days of Past on which anything was revealed
	Most      int            `json:"most"`
	Past      []DayCustomers `json:"past"`
	Cells     []Cell         `json:"cells"` // largest first
	Live      []RecordLine   `json:"live"`  // newest first

	Findings int `json:"findings"` // that you may read and whose case is open
	Cases    int `json:"cases"`    // likewise: open ones
}

// DayCustomers are the distinct customers that were revealed on one day.
type DayCustomers struct {
	Day       string `json:"day"`
	Customers int    `json:"customers"`
}

// Cell is one person by one application and one class of data.
type Cell struct {
	Person      string `json:"person"`
	Application string `json:"application"`
	Class       string `json:"class"`
	Customers   int    `json:"customers"`
}

// The bounds of Today.
const (
	pastDays   = 30
	mostCells  = 300
	mostLive   = 12
	liveEntry  = time.Hour // how often it is recorded that somebody has Now open
	liveWindow = 400       // entries that are looked through for what was revealed last
)

func (s *Server) nowRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/now", s.as(investigators, s.now))
	mux.Handle("GET /v1/now/follow", s.streamed(investigators, s.followNow))
	mux.Handle("GET /v1/me", s.as(everybody, s.me))
}

// Me is who calls, and what policies let him do at this moment.
type Me struct {
	Staff sallyport.Staff `json:"staff"`
	Name  string          `json:"name,omitempty"`
	Role  string          `json:"role"`
	May   []string        `json:"may"` // investigate, approve, administer
}

func (s *Server) me(r *http.Request, me sallyport.Staff) (any, error) {
	m := Me{Staff: me, Role: s.role(me), May: []string{}}
	if s.c.Named != nil {
		m.Name = s.c.Named(me)
	}
	for _, a := range []audience{investigators, approvers, administrators} {
		if s.allows(r, callerOf(r), a) {
			m.May = append(m.May, string(a))
		}
	}
	return m, nil
}

// now answers what goes on. That somebody looks is recorded first; of a page that stays open once an hour.
func (s *Server) now(r *http.Request, me sallyport.Staff) (any, error) {
	if v := sessionOf(r); v == nil || v.looks(s.c.Now()) {
		if err := s.asked(me, "now", "", "looks at what goes on"); err != nil {
			return nil, err
		}
	}
	return s.nowFor(r.Context(), me)
}

// nowFor is what goes on, for somebody.
func (s *Server) nowFor(ctx context.Context, me sallyport.Staff) (Today, error) {
	t, err := s.todaysFigures(ctx)
	if err != nil {
		return t, err
	}
	found, err := s.lines(recordQuery{stream: accessStream, kind: string(sallyport.RevealKind), most: mostLive, window: liveWindow}, me)
	if err != nil {
		return t, err
	}
	t.Live = found.Lines
	t.Findings, t.Cases = s.open(me)
	return t, nil
}

// open counts findings and cases that somebody may see and nobody has closed.
func (s *Server) open(me sallyport.Staff) (findings, open int) {
	closed := map[string]bool{}
	if s.c.Cases != nil {
		for _, c := range s.c.Cases.Book.All() {
			switch {
			case c.State == cases.Closed:
				for _, id := range c.Findings {
					closed[id] = true
				}
			case c.Barred(me, s.c.Cases.Line) == "":
				open++
			}
		}
	}
	for _, f := range s.state.Findings() {
		if !closed[f.ID] && !s.aboutHimself(&f, me) {
			findings++
		}
	}
	return findings, open
}

// looks tells whether it is to be recorded that he looks.
func (v *Session) looks(now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.live.IsZero() && now.Sub(v.live) < liveEntry {
		return false
	}
	v.live = now
	return true
}

// cellsSQL counts by person, application and class. The names of columns are the configuration's.
func (s *Server) cellsSQL(day string) string {
	class := `'other'`
	if len(s.c.Classes) > 0 {
		var b strings.Builder
		b.WriteString("CASE r.\"column\"")
		names := make([]string, 0, len(s.c.Classes))
		for name := range s.c.Classes {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&b, " WHEN %s THEN %s", quoted(name), quoted(s.c.Classes[name]))
		}
		b.WriteString(" ELSE 'other' END")
		class = b.String()
	}
	return "SELECT r.person, a.application, " + class + " AS class, count(DISTINCT r.customer) AS customers FROM reveals r JOIN accesses a ON a.entry = r.entry AND a.day = r.day" +
		" WHERE r.day = '" + day + "' AND a.day = '" + day + "' GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT " + fmt.Sprint(mostCells)
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func count(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	}
	return 0
}

func text(v any) string {
	s, _ := v.(string) // nil is nothing
	return s
}

// Now asks what goes on.
func (c *Client) Now(ctx context.Context) (t Today, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/now", nil, &t)
	return t, err
}

// Me asks who one is, and what one may do.
func (c *Client) Me(ctx context.Context) (m Me, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/me", nil, &m)
	return m, err
}
