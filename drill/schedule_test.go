package drill

import (
	"math/rand/v2"
	"testing"
	"time"

	"sallyport"
)

var t0 = time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)

// TestMoments: each falls into its window, each tenth of the window gets as many as another, and what is left of a window is used.
func TestMoments(t *testing.T) {
	e := Every{Drill: "snoop", Days: 30, For: 10}
	from, until := e.Window(t0, time.Time{})
	if !from.Equal(t0.AddDate(0, 0, 30)) || !until.Equal(t0.AddDate(0, 0, 40)) {
		t.Fatalf("%s to %s", from, until)
	}
	if from, until := e.Window(time.Time{}, t0); !from.Equal(t0) || !until.Equal(t0.AddDate(0, 0, 10)) {
		t.Errorf("the first: %s to %s", from, until)
	}
	r := rand.New(rand.NewPCG(1, 2))
	const draws = 20_000
	for _, now := range []time.Time{t0, from.AddDate(0, 0, 5)} {
		begin, tenths := from, [10]int{}
		if now.After(from) {
			begin = now
		}
		for range draws {
			at := Moment(from, until, now, r.Uint64())
			if at.Before(begin) || at.After(until) {
				t.Fatalf("%s is outside of the window", at)
			}
			tenths[min(int(10*at.Sub(begin)/until.Sub(begin)), 9)]++
		}
		chi := 0.0
		for _, n := range tenths {
			chi += float64((n-draws/10)*(n-draws/10)) / (draws / 10)
		}
		if chi > 27.9 { // 1 in 1,000 with 9 degrees
			t.Errorf("from %s: χ² = %.1f, %v", begin, chi, tenths)
		}
	}
	if at := Moment(from, until, until.AddDate(0, 1, 0), 7); !at.Equal(until.AddDate(0, 1, 0)) {
		t.Errorf("a window that is over: %s", at)
	}
}

// TestRuns: an end belongs to the drill that is open, with its report, from which what an error said is left out.
func TestRuns(t *testing.T) {
	b := &Book{}
	entry := func(at int, name string, ended bool, text []byte) {
		b.Apply(&sallyport.Event{Time: t0.AddDate(0, 0, at), Kind: sallyport.DrillKind, Order: &sallyport.Order{ID: "7", Drill: &sallyport.DrillRun{Name: name, Ended: ended}, Drilled: text}})
	}
	seconds := 6.8
	text, err := (&Report{Drill: "snoop", Score: 95, Detect: &seconds, Trouble: "an error", Marks: []Mark{{What: "found"}}}).Kept()
	if err != nil {
		t.Fatal(err)
	}
	entry(0, "snoop", false, nil)
	entry(0, "snoop", true, text)
	entry(30, "snoop", false, nil)
	entry(31, "snoop", true, nil)
	entry(40, "snoop", false, nil)
	runs := b.Runs()
	if len(runs) != 3 || runs[0].Report == nil || runs[0].Report.Score != 95 || *runs[0].Report.Detect != seconds || runs[0].Report.Trouble != "" || runs[0].Report.State != "failed" || len(runs[0].Report.Marks) != 0 {
		t.Fatalf("%+v", runs)
	}
	if runs[1].Report != nil || runs[1].Ended.IsZero() || !runs[2].Ended.IsZero() || !b.Last("snoop").Equal(t0.AddDate(0, 0, 40)) || !b.Last("dba-bypass").IsZero() {
		t.Errorf("%+v", runs)
	}
}
