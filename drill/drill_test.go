package drill

import (
	"strings"
	"testing"
	"time"
)

func TestPlans(t *testing.T) {
	for _, name := range []string{"support-2019", "bulk-export", "snoop", "stolen-account", "collusion", "dba-bypass"} {
		p, ok := Find(name)
		if !ok || len(p.Steps) == 0 || p.Accounts < 1 || p.Story == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if _, ok := Find("nothing"); ok || len(Names()) != 6 {
		t.Error(Names())
	}
}

// TestJudge: keeping everything is worth half, being early the rest, and losing everything unseen nothing.
func TestJudge(t *testing.T) {
	s := func(x float64) *float64 { return &x }
	for _, c := range []struct {
		r    Report
		want int
	}{
		{Report{Customers: 100, Lost: 100}, 0},
		{Report{Customers: 100, Lost: 50}, 25},
		{Report{Customers: 100, Detect: s(0), Contain: s(0)}, 100},
		{Report{Customers: 100, Detect: s(60), Contain: s(60)}, 75},
		{Report{Customers: 100, Lost: 100, Detect: s(60)}, 13},
	} {
		c.r.Judge()
		if c.r.Score != c.want {
			t.Errorf("%+v: %d, expected %d", c.r, c.r.Score, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	r := Report{Drill: "snoop", Story: "<b>x</b>", Began: at, Customers: 5, Lost: 1, Marks: []Mark{{at.Add(time.Second), "second"}, {at, "first <i>"}}}
	r.Detect = r.Seconds(at.Add(1500 * time.Millisecond))
	r.Judge()
	if got := r.Sentence(); got != "snoop: 1 customer of 5 customers would have been lost, detected after 1.5s, not contained, not named" {
		t.Error(got)
	}
	var b strings.Builder
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if page := b.String(); strings.Contains(page, "<b>x</b>") || strings.Contains(page, "<i>") || !strings.Contains(page, "1.50 s") || strings.Index(page, "first") > strings.Index(page, "second") {
		t.Error(page)
	}
}
