package control

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// asks is a request of ada's for five customers and an hour, which one lead and one of security approve.
func asks(id string, change ...func(*sallyport.Order)) *sallyport.Event {
	o := &sallyport.Order{ID: id, Action: "grant", By: "ada", Reason: "r", Grant: &sallyport.GrantTerms{
		For: "ada", Columns: []string{"support.customers.email"}, Customers: 5, Minutes: 60, Person: "Ada",
		Needs: [][]sallyport.Need{{{Of: 1, From: "leads"}, {Of: 1, From: "security"}}},
	}}
	for _, c := range change {
		c(o)
	}
	return &sallyport.Event{Time: start(), Kind: sallyport.Requested, Order: o}
}

// votes is an approval.
func votes(id string, by sallyport.Staff, after time.Duration, line sallyport.Line, groups ...string) *sallyport.Event {
	return &sallyport.Event{Time: start().Add(after), Kind: sallyport.Approved, Order: &sallyport.Order{
		ID: id, By: by, Vote: &sallyport.GrantVote{Person: "person of " + string(by), Groups: groups, Line: line},
	}}
}

func as(person string, e *sallyport.Event) *sallyport.Event {
	e.Order.Vote.Person = person
	return e
}

// TestGrantNeedsTwo walks the ways in which a request must not become a grant.
func TestGrantNeedsTwo(t *testing.T) {
	lead, sec := votes("gr-1", "lead", 1, "", "leads"), votes("gr-1", "sec", 2, "", "security")
	if g, _ := fold(asks("gr-1"), lead, sec).Grant("gr-1"); g.Status != GrantActive || !g.Until.Equal(start().Add(time.Hour+2)) || len(g.Votes) != 2 {
		t.Fatalf("agreed as the rule says: %+v", g)
	}
	for _, c := range []struct {
		name   string
		events []*sallyport.Event
	}{
		{"one alone", []*sallyport.Event{asks("gr-1"), lead}},
		{"the same twice", []*sallyport.Event{asks("gr-1"), lead, votes("gr-1", "lead", 2, "", "leads", "security")}},
		{"two accounts of one person", []*sallyport.Event{asks("gr-1"), as("Eve", votes("gr-1", "lead", 1, "", "leads")), as("Eve", votes("gr-1", "eve2", 2, "", "security"))}},
		{"an account of who asks", []*sallyport.Event{asks("gr-1"), lead, as("Ada", votes("gr-1", "ada2", 2, "", "security"))}},
		{"who asks", []*sallyport.Event{asks("gr-1"), lead, votes("gr-1", "ada", 2, "", "security")}},
		{"whom it is for", []*sallyport.Event{asks("gr-1", func(o *sallyport.Order) { o.Grant.For = "svc" }), lead, votes("gr-1", "svc", 2, "", "security")}},
		{"the report line alone", []*sallyport.Event{asks("gr-1"), votes("gr-1", "lead", 1, sallyport.Above, "leads"), votes("gr-1", "sec", 2, sallyport.SameTeam, "security")}},
		{"who reports to who asks", []*sallyport.Event{asks("gr-1"), lead, votes("gr-1", "sec", 2, sallyport.Below, "security")}},
		{"somebody of no group", []*sallyport.Event{asks("gr-1"), lead, votes("gr-1", "sec", 2, "")}},
		{"a group that is not needed", []*sallyport.Event{asks("gr-1"), lead, votes("gr-1", "sec", 2, "", "boards")}},
		{"nobody", []*sallyport.Event{asks("gr-1"), lead, votes("gr-1", "", 2, "", "security")}},
		{"an approval without a word about who it is", []*sallyport.Event{asks("gr-1"), lead, {Time: start(), Kind: sallyport.Approved, Order: &sallyport.Order{ID: "gr-1", By: "sec"}}}},
		{"after a day", []*sallyport.Event{asks("gr-1"), lead, votes("gr-1", "sec", Lifetime, "", "security")}},
		{"after a day, with the clock set back", []*sallyport.Event{asks("gr-1"), lead, {Time: start().Add(Lifetime), Kind: sallyport.LogInOK, Order: &sallyport.Order{}}, sec}},
		{"of another request", []*sallyport.Event{asks("gr-1"), asks("gr-2"), lead, votes("gr-2", "sec", 2, "", "security")}},
		{"before it was asked", []*sallyport.Event{lead, sec, asks("gr-1")}},
		{"once it was taken back", []*sallyport.Event{asks("gr-1"), {Time: start(), Kind: sallyport.Declined, Order: &sallyport.Order{ID: "gr-1", By: "ada"}}, lead, sec}},
		{"by a proposal's approval", []*sallyport.Event{asks("gr-1"), lead, {Time: start(), Kind: sallyport.Approved, Order: &sallyport.Order{ID: "gr-1", By: "sec", Action: Unlock, About: "ada"}}}},
	} {
		s := fold(c.events...)
		for _, g := range s.Grants() {
			if g.Status == GrantActive {
				t.Errorf("%s: %s is active", c.name, g.ID)
			}
		}
	}
}

// TestGrantTermsStay: what is approved is what was asked for, whoever asks under its id again.
func TestGrantTermsStay(t *testing.T) {
	more := asks("gr-1", func(o *sallyport.Order) { o.Grant.Customers, o.Grant.Needs, o.By = 1_000_000, nil, "eve" })
	s := fold(asks("gr-1"), more, votes("gr-1", "lead", 1, "", "leads"), more, votes("gr-1", "sec", 2, "", "security"), more)
	if g, _ := s.Grant("gr-1"); g.Terms.Customers != 5 || g.By != "ada" || g.Status != GrantActive || len(s.Grants()) != 1 {
		t.Errorf("%+v", g)
	}
	for name, change := range map[string]func(*sallyport.Order){
		"nobody approves": func(o *sallyport.Order) { o.Grant.Needs = nil }, "no customers": func(o *sallyport.Order) { o.Grant.Customers = 0 },
		"for ever": func(o *sallyport.Order) { o.Grant.Minutes = 0 }, "no columns": func(o *sallyport.Order) { o.Grant.Columns = nil },
		"no terms": func(o *sallyport.Order) { o.Grant = nil }, "another id": func(o *sallyport.Order) { o.ID = "k3x7q2mzpa" },
		"more named than asked for": func(o *sallyport.Order) { o.Grant.Only = make([]sallyport.Subject, 6) },
	} {
		e := asks("gr-9", change)
		if err := s.CheckGrant(e.Kind, e.Order); !errors.Is(err, ErrGrant) {
			t.Errorf("%s: %v", name, err)
		}
		s.Apply(e)
	}
	if len(s.Grants()) != 1 {
		t.Error("a request without sense was taken")
	}
}

// TestGrantEnds: by its time, by hand, and for good: a clock that is set back brings nothing back.
func TestGrantEnds(t *testing.T) {
	agreed := []*sallyport.Event{asks("gr-1"), votes("gr-1", "lead", 0, "", "leads"), votes("gr-1", "sec", 0, "", "security")}
	s := fold(agreed...)
	turned := s.Turned()
	s.Advance(start().Add(time.Hour - 1))
	if g, _ := s.Grant("gr-1"); g.Status != GrantActive || len(s.Unended(start())) != 0 {
		t.Errorf("just before its end: %s", g.Status)
	}
	s.Advance(start().Add(time.Hour))
	s.Advance(start())
	if g, _ := s.Grant("gr-1"); g.Status != GrantOver || len(s.Unended(start())) != 1 {
		t.Errorf("at its end: %s", g.Status)
	}
	use := &sallyport.GrantUse{Customers: 3}
	s.Apply(&sallyport.Event{Time: start(), Kind: sallyport.GrantEnded, Order: &sallyport.Order{ID: "gr-1", Reason: "time", Use: use}})
	select {
	case <-turned:
	default:
		t.Error("nobody is told of the end")
	}
	if g, _ := s.Grant("gr-1"); g.Status != GrantOver || g.Use != use || len(s.Unended(start())) != 0 {
		t.Errorf("%+v", g)
	}
	if g, _ := fold(append(agreed, &sallyport.Event{Time: start(), Kind: sallyport.GrantEnded, Order: &sallyport.Order{ID: "gr-1", By: "ada", Reason: "done"}})...).Grant("gr-1"); g.Status != GrantOver || g.EndedBy != "ada" {
		t.Errorf("ended by hand: %+v", g)
	}
}

// broke is ada breaking the glass.
func broke(id string, after time.Duration, change ...func(*sallyport.Order)) *sallyport.Event {
	e := asks(id, func(o *sallyport.Order) { o.Grant.Needs, o.Grant.Incident, o.Grant.Customers = nil, "INC-7", 20 })
	e.Kind, e.Time = sallyport.GlassBroken, start().Add(after)
	for _, c := range change {
		c(e.Order)
	}
	return e
}

func reviews(id string, by sallyport.Staff, finding string) *sallyport.Event {
	return &sallyport.Event{Time: start().Add(time.Hour), Kind: sallyport.GlassReviewed, Order: &sallyport.Order{
		ID: id, By: by, Details: finding, Reason: "r", Vote: &sallyport.GrantVote{Person: "person of " + string(by)},
	}}
}

// TestBreakGlass: one person, few customers, never again before somebody else has looked at it.
func TestBreakGlass(t *testing.T) {
	s := fold(broke("bg-1", 0))
	if g, _ := s.Grant("bg-1"); g.Status != GrantActive || !g.Glass {
		t.Fatalf("%+v", g)
	}
	for name, e := range map[string]*sallyport.Event{
		"again": broke("bg-2", 0), "after it ended": broke("bg-2", 10*time.Hour),
		"by another account": broke("bg-2", 0, func(o *sallyport.Order) { o.By, o.Grant.For = "ada2", "ada2" }),
	} {
		if err := s.CheckGrant(e.Kind, e.Order); !errors.Is(err, ErrGrant) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*sallyport.Order){
		"21 customers": func(o *sallyport.Order) { o.Grant.Customers = 21 }, "a day": func(o *sallyport.Order) { o.Grant.Minutes = 24 * 60 },
		"no incident": func(o *sallyport.Order) { o.Grant.Incident = "" }, "no reason": func(o *sallyport.Order) { o.Reason = "" },
		"for somebody else": func(o *sallyport.Order) { o.Grant.For = "eve" },
	} {
		if _, ok := fold(broke("bg-1", 0, change)).Grant("bg-1"); ok {
			t.Errorf("%s: it is taken", name)
		}
	}
	for name, e := range map[string]*sallyport.Event{
		"himself": reviews("bg-1", "ada", "justified"), "his other account": as("Ada", reviews("bg-1", "ada2", "justified")), "nobody": reviews("bg-1", "", "justified"),
		"no finding": reviews("bg-1", "sec", "fine"), "another": reviews("bg-2", "sec", "justified"),
	} {
		s.Apply(e)
		if g, _ := s.Grant("bg-1"); !g.Reviewed.IsZero() {
			t.Fatalf("reviewed by %s", name)
		}
	}
	if g, _ := s.Grant("bg-1"); g.Due(start().Add(24*time.Hour-1)) || !g.Due(start().Add(24*time.Hour)) {
		t.Error("a review is due after a day")
	}
	s.Apply(reviews("bg-1", "sec", "justified"))
	if g, _ := s.Grant("bg-1"); g.Reviewer != "sec" || g.Due(start().Add(48*time.Hour)) {
		t.Errorf("%+v", g)
	}
	s.Apply(broke("bg-2", 2*time.Hour))
	if g, ok := s.Grant("bg-2"); !ok || g.Status != GrantActive {
		t.Error("a reviewed one stands in the way of the next")
	}
	s.Apply(&sallyport.Event{Time: start(), Kind: sallyport.Suspended, Order: &sallyport.Order{ID: "bg-2", About: "ada", Reason: "not reviewed"}})
	if g, _ := s.Grant("bg-2"); !g.Overdue || !s.Standing("ada").Suspended {
		t.Errorf("suspended for it: %+v", g)
	}
}

// TestAskedFor takes many small grants for one large one, and EachOther finds two who always agree.
func TestAskedFor(t *testing.T) {
	other := func(by, person sallyport.Staff) func(*sallyport.Order) {
		return func(o *sallyport.Order) { o.By, o.Grant.For, o.Grant.Person = by, by, string(person) }
	}
	s := fold(asks("gr-1"), asks("gr-2"), asks("gr-3", other("eve", "person of eve")),
		&sallyport.Event{Time: start(), Kind: sallyport.Declined, Order: &sallyport.Order{ID: "gr-2", By: "ada"}}, asks("gr-4", other("ada2", "Ada")))
	for _, c := range []struct {
		t     sallyport.GrantTerms
		since time.Time
		want  int
	}{{sallyport.GrantTerms{For: "ada", Person: "Ada"}, time.Time{}, 10}, {sallyport.GrantTerms{For: "eve", Person: "x"}, time.Time{}, 5}, {sallyport.GrantTerms{For: "ada", Person: "Ada"}, start(), 0}} {
		if got := s.AskedFor(&c.t, c.since); got != c.want {
			t.Errorf("%+v: %d, want %d", c.t, got, c.want)
		}
	}
	s.Apply(as("person of eve", votes("gr-1", "eve", 0, "", "leads")))
	s.Apply(as("Ada", votes("gr-3", "ada", 0, "", "leads")))
	evesForAda, adasForEve := s.EachOther("person of eve", "Ada", time.Time{}, "")
	if (evesForAda != Each{1, 1} || adasForEve != Each{1, 1}) {
		t.Errorf("%v, %v", evesForAda, adasForEve)
	}
	if a, _ := s.EachOther("person of eve", "Ada", time.Time{}, "gr-1"); (a != Each{}) {
		t.Errorf("without the one that is asked about: %v", a)
	}
}

// TestGrantsAreAFold: the same events make the same grants, at whatever moment somebody asks in between.
func TestGrantsAreAFold(t *testing.T) {
	events := []*sallyport.Event{
		asks("gr-1"), votes("gr-1", "lead", time.Minute, "", "leads"), broke("bg-1", 2*time.Minute), votes("gr-1", "sec", 3*time.Minute, "", "security"),
		reviews("bg-1", "sec", "justified"),
		{Time: start().Add(2 * time.Hour), Kind: sallyport.GrantEnded, Order: &sallyport.Order{ID: "gr-1", Reason: "time"}},
	}
	whole := fold(events...)
	asked := NewState()
	for i, e := range events {
		asked.Advance(start().Add(time.Duration(i) * 30 * time.Hour)) // what somebody's clock says in between
		asked.Grants()
		asked.Apply(e)
	}
	asked.Advance(start().Add(1000 * time.Hour))
	whole.Advance(start().Add(1000 * time.Hour))
	if diff := cmp.Diff(whole.Grants(), asked.Grants()); diff != "" {
		t.Error(diff)
	}
	ids := []string{}
	for _, g := range whole.Grants() {
		ids = append(ids, fmt.Sprint(g.ID, " ", g.Status))
	}
	if !slices.Equal(ids, []string{"gr-1 ended", "bg-1 ended"}) {
		t.Error(ids)
	}
}
