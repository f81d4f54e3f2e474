package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"sallyport"
)

// Canaries is what may be asked and ordered about customers who do not exist. Which ones they are nobody is told.
type Canaries struct {
	// Check says why none can be planted; nil: they can.
	Check func(q *PlantRequest) error
	// Ordered is called once an order is on record.
	Ordered func()
	Status  func() (CanaryStatus, error)
	// Who are those who were shown a contact detail. Its error is a sentence for people.
	Who func(detail string) (*CanaryAnswer, error)
	// Digest is that of a detail, in hexadecimal digits: the record holds it in the detail's place.
	Digest func(detail string) string
}

// PlantRequest is the body of an order to plant.
type PlantRequest struct {
	Count  int           `json:"count"`
	Over   time.Duration `json:"over"`
	Reason string        `json:"reason"`
	Drill  bool          `json:"drill,omitempty"` // for drills alone
}

// MostPlanted is how many are planted by one order.
const MostPlanted = 10_000

// CanaryStatus are figures.
type CanaryStatus struct {
	Planted int    `json:"planted"`
	Due     int    `json:"due"` // are to be planted yet
	Drill   int    `json:"drill"`
	Shown   int    `json:"shown"`
	Viewers int    `json:"viewers"`
	Heard   int    `json:"heard"`
	Trouble string `json:"trouble,omitempty"` // why the last one could not be planted
}

// CanaryAnswer is who was shown a detail.
type CanaryAnswer struct {
	Scheme sallyport.Scheme `json:"scheme"`
	Given  bool             `json:"given"` // it is one of the company's for canaries; whoever asks for another one learns nothing
	Views  []CanaryView     `json:"views"`
	Heard  []CanaryHeard    `json:"heard"`
	None   float64          `json:"none"`             // how likely none of them is the source
	Hidden bool             `json:"hidden,omitempty"` // one view is about who asks, and is not shown
}

// CanaryView is one viewer in one period or under one grant.
type CanaryView struct {
	Staff     sallyport.Staff `json:"staff"`
	Name      string          `json:"name,omitempty"`
	Grant     string          `json:"grant,omitempty"`
	Posterior float64         `json:"posterior"` // how likely he is the source
	Looks     []CanaryLook    `json:"looks"`
}

// CanaryLook is one statement by which it was shown.
type CanaryLook struct {
	Time        time.Time       `json:"time"`
	Session     string          `json:"session"`
	Statement   uint64          `json:"statement"`
	Entry       uint64          `json:"entry"` // of the access stream
	Application string          `json:"application,omitempty"`
	Address     string          `json:"address,omitempty"`
	Via         sallyport.Staff `json:"via,omitempty"`
}

// CanaryHeard is a mail or call that came to the detail.
type CanaryHeard struct {
	At     time.Time `json:"at"`
	From   string    `json:"from,omitempty"`
	Own    bool      `json:"own,omitempty"`
	Quoted bool      `json:"quoted,omitempty"`
}

func (s *Server) canaryRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/canaries", s.as(administrators, s.plantCanaries))
	mux.Handle("GET /v1/canaries", s.as(overseers, s.canaryStatus))
	mux.Handle("GET /v1/canaries/who", s.as(investigators, s.canaryWho))
}

func noCanaries() error {
	return &Problem{http.StatusNotFound, "no_canaries", "This serve knows nothing of canaries.", "See docs/canaries.md for how they are configured."}
}

// plantCanaries puts on record that customers are to be made who do not exist. Serve makes them.
func (s *Server) plantCanaries(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Canaries == nil {
		return nil, noCanaries()
	}
	var q PlantRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reason := request{Reason: q.Reason}
	if err := reason.reasoned(); err != nil {
		return nil, err
	}
	if q.Count < 1 || q.Count > MostPlanted || q.Over < 0 || q.Over > 366*24*time.Hour {
		return nil, &Problem{http.StatusBadRequest, "bad_planting", "That many cannot be planted, or not over so long.", "Plant 1 to 10,000 over at most a year."}
	}
	if err := s.c.Canaries.Check(&q); err != nil {
		return nil, &Problem{http.StatusConflict, "not_planted", sentence(err), "docs/canaries.md says what it takes."}
	}
	e := s.event(sallyport.CanaryPlanning, me, &sallyport.Order{Action: "plant", By: me, Reason: reason.Reason, Planting: &sallyport.Planting{Count: q.Count, Over: q.Over, Drill: q.Drill}})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	s.c.Canaries.Ordered()
	return map[string]int{"count": q.Count}, nil
}

func (s *Server) canaryStatus(_ *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Canaries == nil {
		return nil, noCanaries()
	}
	return s.c.Canaries.Status()
}

// canaryWho answers who was shown a contact detail. That somebody asked is recorded first, by the detail's digest. Nobody reads what is about himself.
func (s *Server) canaryWho(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Canaries == nil {
		return nil, noCanaries()
	}
	detail := r.URL.Query().Get("detail")
	if len(detail) < 5 || len(detail) > 320 {
		return nil, &Problem{http.StatusBadRequest, "no_detail", "No contact detail is named.", "Give an e-mail address, or a telephone number as +49…"}
	}
	e := s.event(sallyport.Queried, me, &sallyport.Order{Action: "canary_who", By: me, Details: s.c.Canaries.Digest(detail)})
	e.Note = "who was shown a contact detail"
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	answer, err := s.c.Canaries.Who(detail)
	if err != nil {
		return nil, &Problem{http.StatusConflict, "not_answered", sentence(err), "Try again when serve is ready."}
	}
	n := len(answer.Views)
	answer.Views = slices.DeleteFunc(answer.Views, func(v CanaryView) bool { return v.Staff == me })
	answer.Hidden = len(answer.Views) < n
	for i := range answer.Views {
		if s.c.Named != nil {
			answer.Views[i].Name = s.c.Named(answer.Views[i].Staff)
		}
	}
	return pagedWith(r, "views", answer.Views, viewID, map[string]any{"scheme": answer.Scheme, "given": answer.Given, "heard": answer.Heard, "none": answer.None, "hidden": answer.Hidden})
}

// viewID tells one view of a detail from the others.
func viewID(v *CanaryView) string {
	first := uint64(0)
	if len(v.Looks) > 0 {
		first = v.Looks[0].Entry
	}
	return fmt.Sprintf("%s %s %d", v.Staff, v.Grant, first)
}

// PlantCanaries has customers made who do not exist.
func (c *Client) PlantCanaries(ctx context.Context, q PlantRequest) error {
	var answer struct {
		Count int `json:"count"`
	}
	return c.call(ctx, http.MethodPost, "/v1/canaries", q, &answer)
}

// CanaryStatus tells how many there are.
func (c *Client) CanaryStatus(ctx context.Context) (n CanaryStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/canaries", nil, &n)
	return n, err
}

// CanaryWho tells who was shown a contact detail.
func (c *Client) CanaryWho(ctx context.Context, detail string) (a CanaryAnswer, err error) {
	views, rest, err := pagesWith[CanaryView](ctx, c, "/v1/canaries/who?detail="+url.QueryEscape(detail), "views")
	if err != nil {
		return a, err
	}
	a.Views = views
	return a, readRest(c, rest, map[string]any{"scheme": &a.Scheme, "given": &a.Given, "heard": &a.Heard, "none": &a.None, "hidden": &a.Hidden})
}
