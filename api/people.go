package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/history"
)

// Work answers how people work, as detection has it. Both say false where it is not there to answer.
type Work struct {
	Sums    func(ctx context.Context, since time.Time) ([]WorkSum, bool)
	Profile func(ctx context.Context, who sallyport.Staff) (WorkProfile, bool)
}

// WorkSum is what the last days of somebody come to.
type WorkSum struct {
	Staff       sallyport.Staff
	Peers       string
	Days        int
	Customers   float64
	Unexplained float64
	Expected    float64
	Last        time.Time
}

// WorkProfile is how somebody works beside his peers.
type WorkProfile struct {
	Peers string
	Of    int
	Days  []WorkDay
}

// WorkDay is one day on which somebody worked: customers, those whom no reason explains (in parts, where one explains a part), how many of these
// were expected of him, and how many his peers had in the mean.
type WorkDay struct {
	Day         time.Time `json:"day"`
	Customers   float64   `json:"customers"`
	Unexplained float64   `json:"unexplained"`
	Expected    float64   `json:"expected"`
	Peers       float64   `json:"peers"`
}

// PersonLine is one person among all.
type PersonLine struct {
	Person      string    `json:"person"` // pseudonym, or the id where two agreed that whoever asks sees it
	Peers       string    `json:"peers"`  // role
	Trust       int       `json:"trust"`
	Days        int       `json:"days"`
	Customers   float64   `json:"customers"`
	Unexplained float64   `json:"unexplained"`
	Expected    float64   `json:"expected"`
	Findings    int       `json:"findings"`
	Last        time.Time `json:"last"`
}

// People are who worked in the last days, the one first who has most beyond what was expected of him.
type People struct {
	Missing string       `json:"missing,omitempty"` // why there are no figures
	Days    int          `json:"days"`
	All     int          `json:"all"` // people; People are at most mostPeople of them
	People  []PersonLine `json:"people"`
}

// PersonDetails is one person: his work day by day, how far he is trusted and why, grants, and by what he comes.
type PersonDetails struct {
	Person   string        `json:"person"`
	Named    bool          `json:"named"` // two agreed that whoever asks sees who it is
	Name     string        `json:"name,omitempty"`
	Peers    string        `json:"peers"`
	Of       int           `json:"of"` // how many peers there are, he among them
	Missing  string        `json:"missing,omitempty"`
	Days     []WorkDay     `json:"days"`
	Trust    int           `json:"trust"`
	Doubts   []PersonDoubt `json:"doubts"`
	Findings []string      `json:"findings"`
	Holding  int           `json:"holding"` // grants that he has now
	Grants   []Grant       `json:"grants"`  // where he is named: a grant tells whose it is
	Comes    []PersonWay   `json:"comes"`
}

// PersonDoubt is a reason for which somebody is trusted less.
type PersonDoubt struct {
	Trust    int       `json:"trust"` // that it leaves him
	Finding  string    `json:"finding,omitempty"`
	Response string    `json:"response,omitempty"` // Sallyport's own step; empty: a person's word
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Why      string    `json:"why,omitempty"` // a person's, where the name of whom it is about is known
}

// PersonWay is by what somebody comes, by pseudonyms.
type PersonWay struct {
	Device      string `json:"device"`
	Country     string `json:"country"`
	Application string `json:"application"`
	First       string `json:"first"` // day
	Last        string `json:"last"`
	Sessions    int    `json:"sessions"`
}

// The bounds of what is told of people.
const (
	peopleDays = 30
	mostPeople = 100
	mostWays   = 20
)

func (s *Server) peopleRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/people", s.as(investigators, s.people))
	mux.Handle("GET /v1/people/{person}", s.as(investigators, s.person))
}

// notLooking is said where detection is not there to answer.
const notLooking = "Detection does not answer: it is off (detect.off), starting, or reading what it missed. See 'sallyport status'."

// people answers who works how. That somebody asks is recorded first. Nobody stands in his own list.
func (s *Server) people(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.asked(me, "people", "", "looked at how people work"); err != nil {
		return nil, err
	}
	out := People{Days: peopleDays, People: []PersonLine{}}
	var list []WorkSum
	ok := false
	if s.c.Work != nil {
		list, ok = s.c.Work.Sums(r.Context(), s.c.Now().AddDate(0, 0, -peopleDays))
	}
	if !ok {
		out.Missing = notLooking
	}
	found := map[sallyport.Staff]int{}
	for _, f := range s.state.Findings() {
		found[f.About]++
	}
	call := s.callsTo(me)
	for _, x := range list {
		if x.Staff == me {
			continue
		}
		if out.All++; len(out.People) == mostPeople {
			continue
		}
		out.People = append(out.People, PersonLine{
			Person: call(x.Staff), Peers: x.Peers, Trust: s.state.Door(x.Staff).Trust, Days: x.Days, Customers: x.Customers, Unexplained: x.Unexplained, Expected: x.Expected,
			Findings: found[x.Staff], Last: x.Last,
		})
	}
	return out, nil
}

// person answers about one. Nobody reads what is about himself, as with findings: it tells what detection makes of him.
func (s *Server) person(r *http.Request, me sallyport.Staff) (any, error) {
	asked := r.PathValue("person")
	if len(asked) > 200 {
		return nil, noSuchPerson()
	}
	if err := s.asked(me, "person", asked, "looked at how somebody works"); err != nil {
		return nil, err
	}
	who, err := s.personCalled(r.Context(), me, asked)
	switch {
	case err != nil:
		return nil, err
	case who == "":
		return nil, noSuchPerson()
	case who == me:
		return nil, &Problem{http.StatusForbidden, "yourself", "Nobody reads what is about himself.", "Ask another lead or security."}
	}
	call := s.callsTo(me)
	out := PersonDetails{
		Person: call(who), Named: s.shownTo(me)(who), Days: []WorkDay{}, Trust: s.state.Door(who).Trust, Doubts: s.doubts(me, who), Findings: []string{}, Grants: []Grant{}, Comes: []PersonWay{},
	}
	if out.Named && s.c.Named != nil {
		out.Name = s.c.Named(who)
	}
	for _, f := range s.state.Findings() {
		if f.About == who && !s.aboutHimself(&f, me) {
			out.Findings = append(out.Findings, Pseudonymous(f.ID, who, call(who)))
		}
	}
	s.grantsOf(&out, who, me)
	known := false
	if s.c.Work != nil {
		var p WorkProfile
		if p, known = s.c.Work.Profile(r.Context(), who); known {
			out.Peers, out.Of, out.Days = p.Peers, p.Of, append(out.Days, p.Days...)
		}
	}
	if !known {
		out.Missing = notLooking
	}
	return out, s.ways(r.Context(), &out, s.c.Names.Person(who))
}

func noSuchPerson() error {
	return &Problem{http.StatusNotFound, "no_such_person", "Nobody whom you may look at is called so.", "GET /v1/people lists pseudonyms."}
}

// personCalled is who is called so: by pseudonym, or by name for who may see that. By a name that he may not see nobody is there.
func (s *Server) personCalled(ctx context.Context, me sallyport.Staff, called string) (sallyport.Staff, error) {
	if !strings.HasPrefix(called, history.PersonPrefix) {
		if who := sallyport.Staff(called); s.shownTo(me)(who) && (s.c.Known == nil || s.c.Known(who)) {
			return who, nil
		}
		return "", nil
	}
	for who := range s.c.People {
		if s.c.Names.Person(who) == called {
			return who, nil
		}
	}
	if s.c.Directory != nil {
		for _, m := range s.c.Directory.List() {
			if s.c.Names.Person(m.Staff) == called {
				return m.Staff, nil
			}
		}
	}
	return s.past.Person(ctx, called, s.c.Names)
}

// doubts are why somebody is trusted as he is.
func (s *Server) doubts(me, who sallyport.Staff) []PersonDoubt {
	list, call, named := []PersonDoubt{}, s.callsTo(me), s.shownTo(me)(who)
	for _, d := range s.state.Doubts(who) {
		x := PersonDoubt{Trust: d.Trust}
		if a, ok := s.state.Answer(d.Response); ok && d.Response != "" {
			x.Finding, x.Response, x.At = Pseudonymous(a.Finding, who, call(who)), Pseudonymous(a.ID, who, call(who)), a.At
		} else {
			x.At = d.At
			if named {
				x.By, x.Why = byWhom(d.By), d.Reason
			}
		}
		list = append(list, x)
	}
	return list
}

// grantsOf are somebody's. Which they are is told where he is named: whoever had a say in one would know by it who he is.
func (s *Server) grantsOf(out *PersonDetails, who, me sallyport.Staff) {
	s.state.Advance(s.c.Now())
	for _, g := range s.state.Grants() {
		if g.Terms.For != who {
			continue
		}
		if g.Status == control.GrantActive {
			out.Holding++
		}
		if out.Named && s.c.Desk != nil {
			out.Grants = append(out.Grants, s.grantOf(&g, me))
		}
	}
}

// ways are by what somebody came, as history has it.
func (s *Server) ways(ctx context.Context, out *PersonDetails, pseudonym string) error {
	if s.c.History == nil {
		return nil
	}
	store, release := s.c.History.Lend()
	defer release()
	if store == nil {
		return nil
	}
	rows, err := store.Select(ctx, "SELECT device, country, application, CAST(min(day) AS VARCHAR), CAST(max(day) AS VARCHAR), count(DISTINCT session) FROM sessions WHERE person = "+quoted(pseudonym)+
		" AND session IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 5 DESC, 6 DESC, 1, 2, 3 LIMIT "+strconv.Itoa(mostWays), s.c.History.Bounds)
	if err != nil {
		return err
	}
	for _, r := range rows.Rows {
		out.Comes = append(out.Comes, PersonWay{text(r[0]), text(r[1]), text(r[2]), text(r[3]), text(r[4]), count(r[5])})
	}
	return nil
}

// People asks who works how.
func (c *Client) People(ctx context.Context) (p People, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/people", nil, &p)
	return p, err
}

// Person asks about one, by his pseudonym.
func (c *Client) Person(ctx context.Context, person string) (p PersonDetails, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/people/"+url.PathEscape(person), nil, &p)
	return p, err
}
