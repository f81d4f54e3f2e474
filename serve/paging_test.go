package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/respond"
)

// paged keeps what it is told, and refuses the first messages.
type paged struct {
	mu     sync.Mutex // guards what follows
	refuse int
	got    []respond.Message
}

func (p *paged) Send(_ context.Context, m *respond.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse > 0 {
		p.refuse--
		return errors.New("not now")
	}
	p.got = append(p.got, *m)
	return nil
}

// TestAStormIsTold: of 500 findings within an hour all are told, in few messages; and what one receiver took is not sent to it again because
// another one did not.
func TestAStormIsTold(t *testing.T) {
	w := newWatchtower(t)
	r := w.responds(control.ModeObserve)
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	r.clock = func() time.Time { return now }
	good, shy := &paged{}, &paged{refuse: 1}
	r.pager = &pager{r: r, most: 4, told: map[string]map[string]bool{}, senders: []namedSender{{"good", good}, {"shy", shy}}}
	for i := range 500 {
		r.answer(&detect.Finding{ID: fmt.Sprintf("s%03d-1", i), Kind: "exposure", Type: detect.Malicious, Staff: []sallyport.Staff{sallyport.Staff(fmt.Sprintf("s%03d", i))}, Log10Odds: 2}, false)
	}
	stopped := 0
	for _, x := range r.state.Answers("") {
		if x.State == control.Did && x.Step != respond.Hold {
			stopped++
		}
	}
	if stopped != 0 {
		t.Errorf("%d steps were taken while it observes", stopped)
	}
	r.work(t.Context())
	if len(good.got) != 1 || len(shy.got) != 0 {
		t.Fatalf("%d and %d", len(good.got), len(shy.got))
	}
	r.tries["page"].next = time.Time{}
	r.work(t.Context())
	if len(good.got) != 4 || len(shy.got) != 4 || good.got[3].Event != "digest" || len(good.got[3].Findings) != 200 {
		t.Fatalf("%d and %d messages", len(good.got), len(shy.got))
	}
	waiting := 0
	for _, x := range r.state.Answers("") {
		if x.Step == respond.Page && x.State != control.Did {
			waiting++
		}
	}
	if waiting != 0 {
		t.Errorf("%d are not told", waiting)
	}
	r.answer(&detect.Finding{ID: "s900-1", Kind: "exposure", Type: detect.Malicious, Staff: []sallyport.Staff{"s900"}}, false)
	if r.work(t.Context()); len(good.got) != 4 {
		t.Error("more than so many an hour")
	}
	now = now.Add(time.Hour)
	if r.work(t.Context()); len(good.got) != 5 || good.got[4].Event != "finding" {
		t.Errorf("an hour later there are %d messages", len(good.got))
	}
}

// TestManyAreNotStopped: whoever can set off alarms about everybody stops three people, and not the house.
func TestManyAreNotStopped(t *testing.T) {
	w := newWatchtower(t)
	r := w.responds(control.ModeAct)
	for i := range 50 {
		who := sallyport.Staff(fmt.Sprintf("s%03d", i))
		r.answer(&detect.Finding{
			ID: string(who) + "-1", Kind: "exposure", Type: detect.Malicious, Staff: []sallyport.Staff{who}, Log10Odds: 8, Evidence: []detect.Evidence{{Source: "exposure", Log10: 8}},
		}, false)
	}
	if n := len(w.state.Out()); n != 3 {
		t.Errorf("%d people are stopped", n)
	}
	if got := w.state.Door("s049").Trust; got != 24 {
		t.Errorf("the last one's trust is %d", got)
	}
}

// TestFeeds: lines of a file are on record once, however they come, and the rest of a line waits for its end.
func TestFeeds(t *testing.T) {
	w := newWatchtower(t)
	file := filepath.Join(t.TempDir(), "alerts.csv")
	f := &feeding{s: &Server{orders: w.orders, ControlStream: w.control, log: slog.New(slog.DiscardHandler), O: Options{Clock: time.Now}}, told: map[string]feedState{}}
	at := uint64(0)
	read := func() {
		t.Helper()
		var err error
		at, err = f.read(config.FeedAlerts, file, at)
		fatal(t, err)
	}
	write := func(s string) {
		t.Helper()
		out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		fatal(t, err)
		_, err = out.WriteString(s)
		fatal(t, errors.Join(err, out.Close()))
	}
	write("time,staff,source,severity,title\n2026-03-02T09:00:00Z,s001,dlp,4,one\n2026-03-02T09:01:00Z,s002,dlp,9,wrong\n2026-03-02T09:02:00Z,s0")
	read()
	read()
	write("03,dlp,4,two\n")
	read()
	var got []string
	fatal(t, w.control.Read(1, func(e *sallyport.Event) error {
		for _, in := range (&hearing{}).order(e) {
			got = append(got, string(in.Alert.Staff))
		}
		return nil
	}))
	if !slices.Equal(got, []string{"s001", "s003"}) || f.told[config.FeedAlerts].bad != 1 {
		t.Errorf("%v, %+v", got, f.told)
	}
}
