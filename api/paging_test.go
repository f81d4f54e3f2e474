package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sallyport"
	"sallyport/cases"
	"sallyport/control"
	"sallyport/drill"
	"sallyport/program/training"
)

// TestMorePages walks through the lists of canaries' viewers, shredded tokens, drills, training and calibration, each a page at a time, and comes to what one page says.
func TestMorePages(t *testing.T) {
	views := make([]CanaryView, 7)
	for i := range views {
		views[i] = CanaryView{Staff: sallyport.Staff(fmt.Sprintf("s1%02d", i/2)), Posterior: 1 / float64(i+1), Looks: []CanaryLook{{Entry: uint64(i)}}} //nolint:gosec // small
	}
	r := start(t, func(c *Config) {
		book, learnt := cases.NewBook(), training.NewBook()
		want(t, c.Orders.Fold(book.Apply), "")
		want(t, c.Orders.Fold(learnt.Apply), "")
		c.Cases = &Cases{Book: book, Control: c.Orders.stream}
		c.Program = &Program{Training: learnt}
		c.Canaries = &Canaries{
			Digest: func(string) string { return "00" },
			Who: func(string) (*CanaryAnswer, error) {
				return &CanaryAnswer{Scheme: sallyport.Email, Given: true, None: 0.25, Heard: []CanaryHeard{{Own: true}}, Views: slices.Clone(views)}, nil
			},
		}
		c.Drills = &Drills{
			Plans:  func() []DrillPlan { return []DrillPlan{{Name: "pair"}} },
			Runs:   func() []drill.Run { return []drill.Run{{ID: "1"}, {ID: "2"}, {ID: "3"}} },
			Report: func(string) (json.RawMessage, bool) { return nil, false },
		}
	})
	for _, e := range []sallyport.Event{
		{Kind: sallyport.Proposed, Order: &sallyport.Order{ID: "p", Action: control.Shred, By: "a", Details: "17"}},
		{Kind: sallyport.Approved, Order: &sallyport.Order{ID: "p", By: "b"}},
		{Kind: sallyport.Shredding, Order: &sallyport.Order{ID: "p", Details: "17", Dead: []sallyport.Digest{{5}, {3}, {9}, {1}, {7}}}},
	} {
		e.Time = r.clock.Now()
		r.state.Apply(&e)
	}
	want(t, r.as("s050").ImportTraining(t.Context(), []sallyport.TrainingFact{
		{Staff: "s001", Kind: "course", Name: "phishing", Due: r.clock.Now()}, {Staff: "s002", Kind: "course", Name: "phishing", Due: r.clock.Now()}, {Staff: "s060", Kind: "course", Name: "phishing", Due: r.clock.Now()},
	}), "")
	client := r.as("s060")
	for _, c := range []struct {
		path, name, beside string
		most               int
	}{
		{"/v1/canaries/who?detail=a@example.org", "views", `"given":true`, 7},
		{"/v1/keys/shredded", "tokens", "", 5},
		{"/v1/drills", "runs", `"plans":[`, 3},
		{"/v1/program/training", "people", "", 3},
		{"/v1/calibration", "bins", "", len(cases.NewBook().Calibration())},
	} {
		glue := "?"
		if strings.Contains(c.path, "?") {
			glue = "&"
		}
		as := func(q *http.Request) { q.SetBasicAuth("s060", password) }
		status, body, _ := r.call("GET", c.path+glue+"limit=2", "", as)
		if more := strings.Contains(body, `"next"`); status != http.StatusOK || more != (c.most > 2) || !strings.Contains(body, c.beside) {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
		if status, body, _ := r.call("GET", c.path+glue+"limit=0", "", as); status != http.StatusBadRequest {
			t.Errorf("%s takes pages of nothing: %d %s", c.path, status, body)
		}
		whole, err := pages[any](t.Context(), client, c.path, c.name)
		want(t, err, "")
		byTwo, err := pages[any](t.Context(), client, c.path+glue+"limit=2", c.name)
		want(t, err, "")
		if fmt.Sprint(byTwo) != fmt.Sprint(whole) || len(whole) != c.most {
			t.Errorf("%s: %d of %d, at once %d", c.path, len(byTwo), c.most, len(whole))
		}
	}
	a, err := client.CanaryWho(t.Context(), "a@example.org")
	want(t, err, "")
	if len(a.Views) != 7 || !a.Given || a.Scheme != sallyport.Email || a.None != 0.25 || len(a.Heard) != 1 || a.Hidden {
		t.Errorf("%+v", a)
	}
	tokens, err := client.ShreddedTokens(t.Context())
	want(t, err, "")
	if len(tokens) != 5 || !tokens[sallyport.Digest{9}] {
		t.Errorf("%d tokens", len(tokens))
	}
	list, err := client.Drills(t.Context())
	want(t, err, "")
	if len(list.Runs) != 3 || len(list.Plans) != 1 {
		t.Errorf("%+v", list)
	}
}
