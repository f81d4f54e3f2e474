package serve

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/blast"
	"sallyport/history"
)

// TestLiveSpeed times trace and blast on a record of many looks at customers, each of three entries and every tenth with a fact, written by the record's own writer: what a first and a
// later question cost with history and by the record alone (docs/trace.md, docs/blast.md), and that both say the same. SALLYPORT_LIVE=1000000 takes so many
// looks; the usual run takes a few, and logs what it took.
func TestLiveSpeed(t *testing.T) {
	looks := 2_000
	if s := os.Getenv("SALLYPORT_LIVE"); s != "" {
		var err error
		looks, err = strconv.Atoi(s)
		fatal(t, err)
	}
	f := reported(t, "detect: {off: true}\n")
	agents := f.org.Agents()
	thief := agents[0].ID
	stolen := f.record(looks, agents[0].ID, agents[1].ID, agents[2].ID)
	o1, o2 := f.officer("o1"), f.officer("o2")
	for _, c := range stolen[:12] {
		id, err := o1.AddReport(t.Context(), api.Report{Customer: c, Channel: "call"})
		fatal(t, err)
		fatal(t, o2.JudgeReport(t.Context(), id, true, "call"))
	}
	entries := f.server.AccessStream.Last()
	within(t, 10*time.Second+time.Duration(looks)*time.Millisecond, "history has the record", func() bool { return f.inHistory() >= entries })
	t.Logf("%d entries are on record and in history", entries)
	s := f.server
	alone := func() *history.Past { return &history.Past{Record: s.AccessStream, Tells: s.O.Config.Identifies} }
	timed := func(what string, do func() error) {
		began, before := time.Now(), computed(t)
		fatal(t, do())
		t.Logf("%s: %.2f s, of them %.2f s computing, for %d entries", what, time.Since(began).Seconds(), computed(t)-before, entries) // a busy machine answers later, by no more work
	}
	answers := map[string][2]string{}
	for i, way := range []struct {
		name string
		past func() *history.Past
	}{{"with history", s.past}, {"by the record alone", alone}} {
		s.reports.tracer.stop() // what was read before
		s.reports.tracer.past = way.past
		for _, turn := range []string{"first", "next"} {
			timed("the "+turn+" trace, "+way.name, func() error {
				line, err := s.reports.tracer.trace(t.Context(), time.Time{}, []sallyport.Staff{"o1"})
				if err == nil && (line.Suspects[0].Seen != 12 || line.Suspects[0].Staff[0] != thief) {
					t.Errorf("%+v", line.Suspects[0])
				}
				line.Entry = 0 // the record goes on meanwhile
				answers["trace"] = set(answers["trace"], i, line)
				return err
			})
		}
		timed("blast, "+way.name, func() error {
			r, err := s.searchRadius(t.Context(), way.past(), thief, time.Time{})
			if err == nil && len(r.Customers) != len(stolen) {
				t.Errorf("%d of %d customers", len(r.Customers), len(stolen))
			}
			r.Entries[1] = 0
			answers["blast"] = set(answers["blast"], i, r)
			return err
		})
	}
	for what, a := range answers {
		if a[0] != a[1] {
			t.Errorf("%s says otherwise with history:\n%s\nand by the record alone:\n%s", what, a[0], a[1])
		}
	}
}

// set puts what was answered in one of two places.
func set(in [2]string, at int, answer any) [2]string {
	text, _ := json.Marshal(answer)
	in[at] = string(text)
	return in
}

// inHistory is up to which entry history is.
func (f *fort) inHistory() uint64 {
	store, release := f.server.history.Lend()
	defer release()
	if store == nil {
		return 0
	}
	at, err := store.Position(f.ctx)
	if err != nil {
		return 0
	}
	return at.Entry
}

// TestLiveSaysWhatTheRecordSays: with real sessions, a colleague's reason, a copied value and entries that were erased, trace and blast say with history what
// they say by the record alone, of everybody.
func TestLiveSaysWhatTheRecordSays(t *testing.T) {
	f := reported(t, "detect: {off: true}\n")
	agents := f.org.Agents()
	a, b := agents[0].ID, agents[1].ID
	seen := f.looks(a, 6)
	f.looks(b, 6)
	f.record(400, a, b, agents[2].ID)
	s := f.server
	columns := []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}
	put := func(e *sallyport.Event) {
		t.Helper()
		_, err := s.AccessStream.Append(e)
		fatal(t, err)
	}
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	who := func(staff sallyport.Staff) sallyport.Who {
		return sallyport.Who{Staff: staff, Login: string(staff), Session: "late-" + string(staff)}
	}
	shows := func(staff sallyport.Staff, ticket string, customer sallyport.Subject, digest byte) {
		r := &sallyport.Revealed{Statement: 1, Columns: columns, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: ticket}}}
		r.Values.Add(sallyport.RevealedValue{Subject: customer, Digest: sallyport.Digest{9, digest}})
		put(&sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: who(staff), Reveal: r})
	}
	put(&sallyport.Event{Time: at, Kind: sallyport.FactKind, Who: who(a), Facts: []sallyport.Fact{{Table: "ticket", ID: "900001", Customer: "5000001", Assignee: string(b), Open: true}}})
	shows(b, "900001", "5000001", 1) // by a reason that a made
	shows(b, "900005", "5000006", 4) // by one that a makes only afterwards
	put(&sallyport.Event{Time: at, Kind: sallyport.FactKind, Who: who(a), Facts: []sallyport.Fact{{Table: "ticket", ID: "900005", Customer: "5000006", Assignee: string(b), Open: true}}})
	shows(b, "900002", "5000002", 2)
	shows(a, "900003", "5000003", 2) // a value that is another customer's
	put(&sallyport.Event{Time: at, Kind: sallyport.TouchKind, Who: who(a), Touch: &sallyport.Touched{Statement: 2, Reached: []sallyport.Subject{"5000004"}, Probes: []sallyport.Digest{{1}}}})
	put(&sallyport.Event{Time: at, Kind: sallyport.ImportedKind, Imported: &sallyport.Imported{Source: "crm", Access: sallyport.Access{Staff: a, Time: at, Subjects: []sallyport.Subject{"5000005"}, Table: "people", Columns: []string{"phone"}}}})
	put(&sallyport.Event{Time: at, Kind: sallyport.CountersKind, Who: who(a), Statement: &sallyport.Statement{Fingerprint: "unknown"}, Counters: &sallyport.Counters{Statements: 3}})
	put(&sallyport.Event{Time: at, Kind: sallyport.ReplicationStart, Who: who(b)})
	fatal(t, s.AccessStream.Erase([]uint64{30, 34}))
	fatal(t, s.history.Erase(t.Context(), sequences([]uint64{30, 34})))
	o1, o2 := f.officer("o1"), f.officer("o2")
	for _, c := range seen[:3] {
		id, err := o1.AddReport(t.Context(), api.Report{Customer: sallyport.Subject(fmt.Sprint(c.ID)), Channel: "call", Quoted: []string{"email"}})
		fatal(t, err)
		fatal(t, o2.JudgeReport(t.Context(), id, true, "call"))
	}
	alone := func() *history.Past { return &history.Past{Record: s.AccessStream, Tells: s.O.Config.Identifies} }
	last := s.AccessStream.Last()
	within(t, 20*time.Second, "history has the record", func() bool { return f.inHistory() >= last })
	for _, staff := range []sallyport.Staff{a, b, agents[2].ID, "x0003", "nobody"} {
		for _, from := range []time.Time{{}, time.Now().Add(-25 * 24 * time.Hour), at} {
			var got [2]string
			for i, past := range []*history.Past{s.past(), alone()} {
				r, err := s.searchRadius(t.Context(), past, staff, from)
				fatal(t, err)
				if staff == a && (!slices.ContainsFunc(r.Customers, func(c blast.Customer) bool { return c.Subject == "5000001" && c.Certainty == blast.Possible }) ||
					!slices.ContainsFunc(r.Customers, func(c blast.Customer) bool { return c.Subject == "5000002" && c.Certainty == blast.Likely })) {
					t.Errorf("the colleague's look or the copied value is missing: %+v", r.Customers)
				}
				r.Entries[1] = 0 // the record goes on meanwhile
				got = set(got, i, r)
			}
			if got[0] != got[1] {
				t.Errorf("%s from %v: with history\n%s\nby the record alone\n%s", staff, from, got[0], got[1])
			}
		}
	}
	var got [2]string
	for i, past := range []func() *history.Past{s.past, alone} {
		s.reports.tracer.stop()
		s.reports.tracer.past = past
		line, err := s.reports.tracer.trace(t.Context(), time.Time{}, nil)
		fatal(t, err)
		if line.Reports != 3 {
			t.Errorf("%d reports", line.Reports)
		}
		line.Entry = 0 // likewise
		got = set(got, i, line)
	}
	if got[0] != got[1] {
		t.Errorf("trace says with history\n%s\nby the record alone\n%s", got[0], got[1])
	}
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
		if _, err := f.server.AccessStream.Enqueue(e); err != nil { // too many wait
			_, err = f.server.AccessStream.Append(e)
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
		if i%10 == 0 { // a colleague gave the ticket to its customer
			by := sallyport.Who{Staff: people[1+i/10%(len(people)-1)], Session: "desk"} // never the first
			put(&sallyport.Event{Time: at, Kind: sallyport.FactKind, Who: by, Facts: []sallyport.Fact{{Table: "ticket", ID: fmt.Sprint(c), Customer: sallyport.Subject(fmt.Sprint(c)), Assignee: string(people[p]), Open: true}}})
		}
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
