package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/export"
	"sallyport/record"
	"sallyport/respond"
	logs "sallyport/sources"
)

// watchtower is a record that detection reads along with, without a gateway.
type watchtower struct {
	t               *testing.T
	access, control *record.Stream
	orders          *api.Orders
	state           *control.State
	options         detect.Options
	log             *lockedBuffer
	keep            *record.Key // of what detection keeps; nil: nothing is kept
	folder          string
}

func newWatchtower(t *testing.T) *watchtower {
	t.Helper()
	w := &watchtower{t: t, state: control.NewState(), log: &lockedBuffer{}, options: detect.Options{Canaries: map[sallyport.Subject]bool{"999": true}}}
	var err error
	for name, stream := range map[string]**record.Stream{"access": &w.access, "control": &w.control} {
		*stream, err = record.Open(filepath.Join(t.TempDir(), name), record.Options{})
		fatal(t, err)
		t.Cleanup(func() { _ = (*stream).Close() })
	}
	w.orders, err = api.NewOrders(w.control, w.state)
	fatal(t, err)
	return w
}

// staff are twenty agents.
func (w *watchtower) staff() (list []sallyport.Employee) {
	for i := range 20 {
		list = append(list, sallyport.Employee{ID: sallyport.Staff(fmt.Sprintf("s%03d", i)), Name: "x", Role: "agent"})
	}
	return list
}

func (w *watchtower) detecting() *detecting {
	d := &detecting{access: w.access, control: w.control, orders: w.orders, options: w.options, staff: w.staff(), clock: time.Now, log: slog.New(slog.NewTextHandler(w.log, nil))}
	nobody := func(sallyport.Staff) bool { return false }
	d.heard = hearing{
		parts: logs.Parts{Record: w.access.ID(), Service: nobody}, login: func(s string) sallyport.Staff { return sallyport.Staff(s) }, program: nobody, tickets: map[string]heardTicket{},
		canary: w.options.Canaries,
	}
	d.settings = "test"
	if d.keep = newDetectKeep(w.folder, w.keep); d.keep != nil {
		d.keep.entries = 1
	}
	return d
}

// run reads along until stop is called.
func (w *watchtower) run(d *detecting) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.run(ctx); err != nil {
			w.t.Errorf("detection ended: %v", err)
		}
	})
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// lines are all of findings on record, as they stand there.
func (w *watchtower) lines() (list []string) {
	w.t.Helper()
	fatal(w.t, w.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.FindingKind {
			list = append(list, string(e.Order.Finding))
		}
		return nil
	}))
	return list
}

// looked is a look at customers, as the gateway records one.
func looked(at time.Time, who sallyport.Staff, statement uint64, customers ...sallyport.Subject) *sallyport.Event {
	e := &sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who, Session: "x" + string(who), Address: "10.0.0.7:5000", Database: "support"}}
	e.Reveal = &sallyport.Revealed{Statement: statement, Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}}
	for _, s := range customers {
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: s, Digest: sallyport.Digest{byte(statement)}})
	}
	return e
}

// weeks are working days of all, with two thefts on the last ones.
func weeks(staff []sallyport.Employee, days int) (list []*sallyport.Event) {
	return weeksOf(staff, days, func(n uint64) uint64 { return n })
}

// weeksOf has them look at whom says, instead of at one after the other.
func weeksOf(staff []sallyport.Employee, days int, whom func(n uint64) uint64) (list []*sallyport.Event) {
	r := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // a made-up week
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	n := uint64(0)
	for d := range days {
		for hour := 8; hour < 17; hour++ {
			for i := range staff {
				for range r.IntN(3) {
					n++
					list = append(list, looked(day.Add(time.Duration(hour)*time.Hour+time.Duration(len(list)%3500)*time.Second), staff[i].ID, n, sallyport.Subject(fmt.Sprint(1000+r.IntN(100000)))))
				}
				if i == 4 && d >= days-4 || i == 9 && d >= days-2 {
					for range 40 {
						n++
						list = append(list, looked(day.Add(time.Duration(hour)*time.Hour+time.Duration(len(list)%3500)*time.Second), staff[i].ID, n, sallyport.Subject(fmt.Sprint(500000+whom(n)))))
					}
				}
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	slices.SortStableFunc(list, func(a, b *sallyport.Event) int { return a.Time.Compare(b.Time) })
	return list
}

func (w *watchtower) append(list []*sallyport.Event) {
	w.t.Helper()
	for _, e := range list {
		_, err := w.access.Enqueue(e)
		for errors.Is(err, record.ErrUnwritable) { // no room for more that waits
			fatal(w.t, w.access.Sync())
			_, err = w.access.Enqueue(e)
		}
		fatal(w.t, err)
	}
	fatal(w.t, w.access.Sync())
}

func (w *watchtower) caughtUp(d *detecting) {
	w.t.Helper()
	within(w.t, 60*time.Second, "detection has read everything", func() bool { return d.read.Load() == w.access.Last() })
}

// TestInvariant9SameRecordSameFinding: what is found live, with starts in between, by a replay, and by analyze over an export is the same, byte for byte.
func TestInvariant9SameRecordSameFinding(t *testing.T) {
	w := newWatchtower(t)
	all := weeks(w.staff(), 20)
	for i := range 4 { // four lives of serve
		d := w.detecting()
		stop := w.run(d)
		w.append(all[i*len(all)/4 : (i+1)*len(all)/4])
		if i != 1 { // once it is stopped in the middle
			w.caughtUp(d)
		}
		stop()
	}
	d := w.detecting()
	stop := w.run(d)
	w.caughtUp(d)
	stop()
	live := w.lines()
	if len(live) < 2 || !strings.Contains(strings.Join(live, "\n"), `"staff":["s004"]`) {
		t.Fatalf("%d lines found of %d looks", len(live), len(all))
	}

	encoder, err := export.NewEncoder(export.OCSF, w.access.ID(), "test", nil)
	fatal(t, err)
	var text []byte
	fatal(t, w.access.Read(1, func(e *sallyport.Event) error {
		for _, m := range encoder.Append(nil, e) {
			text = append(append(text, m.Body...), '\n')
		}
		return nil
	}))
	file := filepath.Join(t.TempDir(), "export.jsonl")
	fatal(t, os.WriteFile(file, text, 0o600))
	timeline, err := (&logs.Reader{}).Open(logs.Files{Events: []string{file}})
	fatal(t, err)
	defer timeline.Close()
	detector, err := detect.New(w.options)
	fatal(t, err)
	detector.Hire(w.staff())
	var offline []string
	for {
		in, err := timeline.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		fatal(t, err)
		for _, f := range detector.Observe(in) {
			line, err := json.Marshal(f)
			fatal(t, err)
			offline = append(offline, string(line))
		}
	}
	if !slices.Equal(live, offline) {
		t.Errorf("live %d lines, offline %d:\n%s\n\n%s", len(live), len(offline), strings.Join(live, "\n"), strings.Join(offline, "\n"))
	}
	t.Logf("%d looks, %d lines, the same four ways", len(all), len(live))
}

// TestInputsKeepTheirPlace: what comes on the other stream is read at the same place again, and the findings that hang on it are the same.
func TestInputsKeepTheirPlace(t *testing.T) {
	w := newWatchtower(t)
	w.options.Known.Alerts = true
	all := weeks(w.staff(), 14)
	d := w.detecting()
	stop := w.run(d)
	for i := range 10 {
		w.append(all[i*len(all)/10 : (i+1)*len(all)/10])
		at := all[(i+1)*len(all)/10-1].Time
		for _, who := range []string{"s004", "s009"} {
			line := fmt.Sprintf(`{"time":%q,"staff":%q,"source":"dlp","severity":4,"title":"t"}`, at.Format(time.RFC3339), who)
			fatal(t, w.orders.Give(nil, &sallyport.Event{Time: at, Kind: sallyport.InputKind, Order: &sallyport.Order{Input: &sallyport.Heard{Source: "t", Format: config.FeedAlerts, Text: line}}}))
		}
	}
	w.caughtUp(d)
	within(t, 20*time.Second, "the last alarm is taken", func() bool {
		taken := 0
		fatal(t, w.control.Read(1, func(e *sallyport.Event) error {
			if e.Kind == sallyport.InputKind {
				taken++
			}
			if e.Kind == sallyport.DetectingKind && e.Order.Taken > 0 && taken == 20 {
				taken++
			}
			return nil
		}))
		return taken == 21
	})
	stop()
	first := w.lines()
	if len(first) == 0 {
		t.Fatal("nothing was found")
	}
	again := w.detecting()
	stop = w.run(again)
	w.caughtUp(again)
	stop()
	if n := len(w.lines()); n != len(first) {
		t.Fatalf("a start found %d lines a second time", n-len(first))
	}
	forgot := w.detecting() // as if no line were on record
	fatal(t, forgot.begin())
	forgot.past.position, forgot.past.lines = 0, 0
	ctx, cancel := contextOf(t)
	var wg sync.WaitGroup
	wg.Go(func() { _ = forgot.follow(ctx) })
	within(t, 60*time.Second, "it is found again", func() bool { return len(w.lines()) >= 2*len(first) })
	w.caughtUp(forgot)
	cancel()
	wg.Wait()
	if got := w.lines()[len(first):]; !slices.Equal(got, first) {
		t.Errorf("first\n%s\n\nthen\n%s", strings.Join(first, "\n"), strings.Join(got, "\n"))
	}
}

// responds makes what answers, which acts.
func (w *watchtower) responds(mode string) *responding {
	w.t.Helper()
	ladder, err := respond.DefaultLadder()
	fatal(w.t, err)
	fatal(w.t, w.orders.Give(nil, &sallyport.Event{Time: time.Now(), Kind: sallyport.RespondingKind, Order: &sallyport.Order{Details: mode}}))
	return &responding{
		orders: w.orders, state: w.state, ladder: ladder, acts: func() bool { return w.state.Responds() == control.ModeAct }, program: func(sallyport.Staff) bool { return false },
		from: func(time.Time) uint64 { return 1 }, last: w.access.Last, outside: map[string]doer{}, clock: time.Now, log: slog.New(slog.DiscardHandler),
		wake: make(chan struct{}, 1), tries: map[string]*attempts{}, plays: func(sallyport.Staff) bool { return false },
	}
}

// TestTrustFalls measures how long an event takes to change somebody's trust, at 5,000 events a second.
func TestTrustFalls(t *testing.T) {
	w := newWatchtower(t)
	d := w.detecting()
	d.respond = w.responds(control.ModeAct).answer
	stop := w.run(d)
	defer stop()
	within(t, 20*time.Second, "detection runs", func() bool { return len(w.lines()) == 0 && w.control.Last() >= 2 })
	var worst time.Duration
	began, n := time.Now(), uint64(0)
	for round := range 5 {
		for range 20 { // 5,000 a second, in twenties of a twentieth
			for range 250 {
				n++
				who := sallyport.Staff(fmt.Sprintf("s%03d", 5+n%15))
				_, _ = w.access.Enqueue(looked(time.Now(), who, n, sallyport.Subject(fmt.Sprint(n%5000+1000)))) // where there is no room, fewer
			}
			if ahead := time.Until(began.Add(time.Duration(n) * time.Second / 5000)); ahead > 0 {
				<-time.After(ahead)
			}
		}
		who := sallyport.Staff(fmt.Sprintf("s%03d", round))
		e := looked(time.Now(), who, 1, "999")
		e.Reveal.Purposes = []sallyport.Purpose{{Kind: "ticket", Ref: "1"}} // another made the reason: it lowers trust, and locks nobody
		at := time.Now()
		_, err := w.access.Append(e)
		fatal(t, err)
		within(t, 20*time.Second, "trust falls", func() bool { return w.state.Door(who).Trust < control.FullTrust })
		worst = max(worst, time.Since(at))
		if w.state.Standing(who).Locked || w.state.Standing(who).Suspended {
			t.Errorf("%s is stopped for a reason that somebody else made", who)
		}
	}
	t.Logf("from an event to changed trust, recorded and all: at most %s of 5, at %.0f events a second", worst.Round(time.Microsecond), float64(n)/time.Since(began).Seconds())
}
