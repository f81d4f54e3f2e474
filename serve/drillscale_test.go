package serve

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestDrillAtScale plays the theft of 2019 on an installation of 1,000,000 customers (SALLYPORT_SIEGE=1; SALLYPORT_DRILL_ROWS for another number), with 120
// who do not exist and the budgets that the product begins with, and logs its figures: those of docs/drills.md.
func TestDrillAtScale(t *testing.T) {
	if os.Getenv("SALLYPORT_SIEGE") == "" {
		t.Skip("SALLYPORT_SIEGE=1 plays a drill on 1,000,000 customers (half an hour)")
	}
	rows, customers := 1_000_000, 120
	if s := os.Getenv("SALLYPORT_DRILL_ROWS"); s != "" {
		var err error
		rows, err = strconv.Atoi(s)
		fatal(t, err)
	}
	began := time.Now()
	s := built(t, func() (*stage, error) { return newStageOf(100, int64(rows)) })
	t.Cleanup(func() {
		if err := s.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d customers made and protected in %s", rows, time.Since(began).Round(time.Second))
	began = time.Now()
	f := theatreOn(t, s, customers, "  teams: {drill: {reached: {hour: 5000, day: 5000, month: 50000}, probed: {hour: 50, day: 50, month: 500}}}\n")
	t.Logf("%d more who do not exist, and serve, in %s", customers, time.Since(began).Round(time.Second))
	r := f.playDrill("support-2019")
	t.Logf("%+v", r)
	if r.Lost != 0 || r.Detect == nil || r.Contain == nil || r.Asked < 20 {
		t.Errorf("%d lost, found %v, contained %v", r.Lost, r.Detect, r.Contain)
	}
}
