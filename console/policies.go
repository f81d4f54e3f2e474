package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sallyport/api"
)

func (s *Console) policyRoutes(mux *http.ServeMux) {
	mux.Handle("GET /policies", s.as(func(v *visit) error { return v.policies(&policiesPage{Days: 30, Percent: 100}) }))
	mux.Handle("POST /policies", s.as(s.replay))
}

// policiesPage are the policies beside the written policy, and what other budgets would have meant.
type policiesPage struct {
	api.Policies
	Days, Percent int
	Replay        *replayed
}

// replayed is what the page shows of a report of 'sallyport replay'.
type replayed struct {
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Accesses int       `json:"accesses"`
	Values   int       `json:"values"`
	Hash     string    `json:"hash"`
	Refused  []struct {
		Policy    string `json:"policy"`
		Because   string `json:"because"`
		What      string `json:"what"`
		Accesses  int    `json:"accesses"`
		New       int    `json:"new"`
		Customers int    `json:"customers"`
		People    int    `json:"people"`
	} `json:"refused"`
	People []struct {
		Staff     string `json:"staff"`
		Customers int    `json:"customers"`
		Accesses  int    `json:"accesses"`
		Refused   int    `json:"refused"`
		Missing   int    `json:"missing"`
		Cuts      int    `json:"cuts"`
		Cut       *struct {
			At      time.Time `json:"at"`
			Measure string    `json:"measure"`
			Window  string    `json:"window"`
			Count   int       `json:"count"`
		} `json:"cut"`
	} `json:"people"`
	Assumes []string `json:"assumes"`

	More int `json:"-"` // people who are not shown
}

// Asked is how many cases there are.
func (p *policiesPage) Asked() int { return p.Passed + len(p.Cases) }

// Choices are the days that can be replayed.
func (p *policiesPage) Choices() []int { return []int{1, 7, 30, 90} }

// mostHindered is how many people a page shows.
const mostHindered = 30

func (v *visit) policies(p *policiesPage) error {
	var err error
	if p.Policies, err = v.api.Policies(v.r.Context()); err != nil {
		return err
	}
	return v.show("policies", "Policies", p)
}

// replay asks the time machine. What is asked for travels in the body, and the page comes back with the answer: it works without a script.
func (s *Console) replay(v *visit) error {
	p := policiesPage{}
	p.Days, _ = strconv.Atoi(v.form("days"))
	p.Percent, _ = strconv.Atoi(v.form("percent")) // what is no number is refused as 0
	raw, err := v.api.Replay(v.r.Context(), p.Days, p.Percent)
	if err != nil {
		return err
	}
	p.Replay = &replayed{}
	if err := json.Unmarshal(raw, p.Replay); err != nil {
		return fmt.Errorf("read what was replayed: %w", err)
	}
	if n := len(p.Replay.People); n > mostHindered {
		p.Replay.People, p.Replay.More = p.Replay.People[:mostHindered], n-mostHindered
	}
	return v.policies(&p)
}
