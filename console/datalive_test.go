package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport"
	"sallyport/api"
)

// movingAt has a stage say that a column is on its way, as far as share says.
func movingAt(share *atomic.Uint64) func(*api.Config) {
	tables := func(context.Context) []api.DataTable {
		at := math.Float64frombits(share.Load())
		c := api.DataColumn{Column: "email", Class: "contact", Scheme: "email", Group: "email", State: "moving in", Moved: &at}
		if at > 1 {
			c.State, c.Moved = "protected", nil
		}
		return []api.DataTable{{Table: "support.customers", Path: "id", Columns: []api.DataColumn{c}}}
	}
	return func(c *api.Config) {
		inner := c.Holdings
		c.DataTables, c.Rotations = tables, nil
		c.Holdings = func(ctx context.Context) api.Holdings {
			h := inner(ctx)
			h.Tables = tables(ctx)
			return h
		}
	}
}

// browserDataLive sees the open page follow how far a column is, to its end, without being loaded anew.
func browserDataLive(t *testing.T, x *browsers) {
	var share atomic.Uint64
	share.Store(math.Float64bits(0.25))
	s := newStage(t, movingAt(&share))
	b := x.open(t, s.web.URL, false, 360)
	b.logIn("s050", password)
	b.open("/data")
	b.shows("25.0 % of its rows")
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("window.same = true"))
	fatal(t, err)
	before := s.count(sallyport.Queried)
	for _, step := range []struct {
		at   float64
		says string
	}{{0.9999, "99.9 % of its rows"}, {1, "all rows are through"}, {2, "protected"}} {
		share.Store(math.Float64bits(step.at))
		b.says(step.says)
	}
	same, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("window.same === true && document.querySelectorAll('#live meter').length === 0"))
	fatal(t, err)
	if !same {
		t.Error("the page was loaded anew, or shows a meter of what is through")
	}
	if n := s.count(sallyport.Queried); n != before {
		t.Errorf("an open page makes %d entries", n-before)
	}
	b.quiet()
	agent := s.as("s001")
	agent.get("/data/part").is(t, http.StatusForbidden)
	agent.get("/data/stream").is(t, http.StatusForbidden)
	s.stranger().get("/data/stream").is(t, http.StatusUnauthorized)
}

// browserTraceLive sees the ranking move in an open page as a colleague's reports arrive, what somebody is typing untouched.
func browserTraceLive(t *testing.T, x *browsers) {
	s := newStage(t, func(c *api.Config) {
		list := c.Reports.List
		c.Reports.Trace = func(context.Context, sallyport.Staff, time.Time, func(sallyport.Staff) string) (json.RawMessage, error) {
			have, err := list()
			n := len(have)
			if n < 2 {
				return json.RawMessage(fmt.Sprintf(`{"reports":%d,"verdict":"not_enough","suspects":[{"staff":["p-aaaaaaaaaa"],"posterior":0.%d}],"none":0.5,"more_reports_needed":%d}`, n, 4+n, 2-n)), err
			}
			return json.RawMessage(`{"reports":2,"verdict":"named","suspects":[{"staff":["p-aaaaaaaaaa"],"posterior":0.97}],"none":0.01,"forged_reports_to_overturn":1}`), err
		}
	})
	b := x.open(t, s.web.URL, false, 360)
	b.logIn("s050", password)
	b.open("/trace")
	b.shows("40.0 %")
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`window.same = true; document.querySelector("textarea").value = "48211,na"; true`))
	fatal(t, err)
	for _, says := range []string{"50.0 %", "The reports name p-aaaaaaaaaa"} {
		s.as("s060").post("/trace/upload", "reports", "48211,name", "channel", "call").is(t, http.StatusSeeOther)
		b.says(says)
	}
	same, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`window.same === true && document.querySelector("textarea").value === "48211,na" && document.querySelectorAll("#live td").length > 4`))
	fatal(t, err)
	if !same {
		t.Error("the page was loaded anew, lost what was being typed, or does not list what arrived")
	}
	b.quiet()
	agent := s.as("s001")
	agent.get("/trace/part").is(t, http.StatusForbidden)
	agent.get("/trace/stream").is(t, http.StatusForbidden)
}
