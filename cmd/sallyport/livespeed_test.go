package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
)

// TestLiveSpeed times trace and blast on a record of many looks at customers, each of three entries, written by the record's own writer: what a first and a
// later question cost (docs/trace.md, docs/blast.md). SALLYPORT_LIVE=1000000 takes so many looks; the usual run takes a few, and logs what it took.
func TestLiveSpeed(t *testing.T) {
	looks := 2_000
	if s := os.Getenv("SALLYPORT_LIVE"); s != "" {
		var err error
		looks, err = strconv.Atoi(s)
		fatal(t, err)
	}
	f := reported(t, "detect: {off: true}\nhistory: {off: true}\n")
	agents := f.org.Agents()
	thief := agents[0].ID
	stolen := f.record(looks, agents[0].ID, agents[1].ID, agents[2].ID)
	o1, o2 := f.officer("o1"), f.officer("o2")
	for _, c := range stolen[:12] {
		id, err := o1.AddReport(t.Context(), api.Report{Customer: c, Channel: "call"})
		fatal(t, err)
		fatal(t, o2.JudgeReport(t.Context(), id, true, "call"))
	}
	entries := f.server.access.Last()
	timed := func(what string, do func() error) {
		began, before := time.Now(), computed(t)
		fatal(t, do())
		t.Logf("%s: %.2f s, of them %.2f s computing, for %d entries", what, time.Since(began).Seconds(), computed(t)-before, entries) // a busy machine answers later, by no more work
	}
	trace := func() error {
		text, err := o1.Trace(t.Context())
		var line liveTrace
		if err == nil {
			err = json.Unmarshal(text, &line)
		}
		if err == nil && (line.Suspects[0].Seen != 12 || line.Suspects[0].Staff[0] != sallyport.Staff(f.server.names.Person(thief))) {
			t.Errorf("%+v", line.Suspects[0])
		}
		return err
	}
	f.server.reports.tracer.stop() // what confirming made it read
	timed("the first trace", trace)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d MiB are in use", m.HeapAlloc>>20)
	timed("the next trace", trace)
	timed("blast", func() error {
		text, err := o1.Blast(t.Context(), f.server.names.Person(thief), "")
		var line radiusLine
		if err == nil {
			err = json.Unmarshal(text, &line)
		}
		if err == nil && line.Customers.Certain != len(stolen) {
			t.Errorf("%d of %d customers", line.Customers.Certain, len(stolen))
		}
		return err
	})
}

// record writes looks of many people at customers: a statement, what it revealed, and its result. It returns those of the first of the named ones.
func (f *fort) record(looks int, named ...sallyport.Staff) (his []sallyport.Subject) {
	f.t.Helper()
	dice := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test
	people := append([]sallyport.Staff{}, named...)
	for i := len(people); i < max(10, looks/2000); i++ {
		people = append(people, sallyport.Staff(fmt.Sprintf("x%04d", i)))
	}
	columns := []sallyport.Column{{Schema: "support", Table: "customers", Name: "full_name"}, {Schema: "support", Table: "customers", Name: "email"}, {Schema: "support", Table: "customers", Name: "phone"}}
	put := func(e *sallyport.Event) {
		if _, err := f.server.access.Enqueue(e); err != nil { // too many wait
			_, err = f.server.access.Append(e)
			f.need(err)
		}
	}
	seen := map[sallyport.Subject]bool{}
	at := time.Now().Add(-30 * 24 * time.Hour)
	for i := range looks {
		p := dice.IntN(len(people))
		who := sallyport.Who{Staff: people[p], Login: string(people[p]), Session: fmt.Sprintf("%s-%d", people[p], i/20_000), Application: "desk", Address: "10.0.0.1:5000"}
		c := uint64(1_000_000 + dice.IntN(max(1000, looks))) //nolint:gosec // positive
		at = at.Add(20 * 24 * time.Hour / time.Duration(looks))
		n := uint64(i + 1) //nolint:gosec // positive
		ticket := sallyport.Purpose{Kind: "ticket", Ref: fmt.Sprint(c)}
		put(&sallyport.Event{Time: at, Kind: sallyport.StatementKind, Who: who, Statement: &sallyport.Statement{
			ID: n, Fingerprint: "0123456789abcdef", Verb: "SELECT", Tables: []string{"support.customers"}, Columns: columns, Purposes: []sallyport.Purpose{ticket},
		}})
		r := &sallyport.Revealed{Statement: n, Columns: columns, Purposes: []sallyport.Purpose{ticket}}
		for k := range columns {
			var d sallyport.Digest
			d[0], d[1], d[2], d[3], d[4] = byte(k), byte(c), byte(c>>8), byte(c>>16), byte(c>>24) //nolint:gosec // a digest
			r.Values.AddNumber(c, uint16(k), d)                                                   //nolint:gosec // a column
		}
		put(&sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: who, Reveal: r})
		put(&sallyport.Event{Time: at, Kind: sallyport.ResultKind, Who: who, Statement: &sallyport.Statement{ID: n}, Result: &sallyport.Result{Rows: 1, Revealed: 3}})
		if s := sallyport.Subject(fmt.Sprint(c)); p == 0 && !seen[s] {
			seen[s] = true
			his = append(his, s)
		}
	}
	return his
}

// computed is how long this process has computed, in seconds.
func computed(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	fatal(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
