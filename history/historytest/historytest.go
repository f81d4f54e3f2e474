// Package historytest is the contract of history.Store as a test: whoever keeps history elsewhere runs it against his own.
package historytest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/history"
)

// Opener opens the same store again and again, as a restart does. Its record's id is Record, its names are Names', and columns identify as Identifies says.
type Opener func(t *testing.T) history.Store

// Record is the id of the record that the store is the history of.
const Record = "00112233445566778899aabbccddeeff"

// Names gives pseudonyms by a key of the test.
func Names() *history.Names {
	names, err := history.NewNames([]byte("a key that is known to the tests"))
	if err != nil {
		panic(err)
	}
	names.Service = func(who sallyport.Staff) bool { return who == "svc_desk" }
	return names
}

// Columns of the tests: an address identifies, a name does not.
var (
	Email = sallyport.Column{Schema: "support", Table: "customers", Name: "email"}     //nolint:gochecknoglobals // a constant
	Name  = sallyport.Column{Schema: "support", Table: "customers", Name: "full_name"} //nolint:gochecknoglobals // a constant
)

// Identifies says so.
func Identifies(c sallyport.Column) bool { return c == Email }

// Journal is a record in memory.
type Journal struct{ Events []*sallyport.Event }

// Add appends an event and numbers it.
func (j *Journal) Add(e *sallyport.Event) *sallyport.Event {
	e.Seq = uint64(len(j.Events) + 1)
	j.Events = append(j.Events, e)
	return e
}

// Start of the tests' days.
var Start = time.Date(2026, 3, 2, 8, 0, 0, 123_456_000, time.UTC) //nolint:gochecknoglobals // a constant

// Statement appends a statement and, where there are values, their reveal.
func (j *Journal) Statement(at time.Time, who sallyport.Who, id uint64, purpose string, values ...sallyport.RevealedValue) {
	var purposes []sallyport.Purpose
	if purpose != "" {
		purposes = []sallyport.Purpose{{Kind: "ticket", Ref: purpose}}
	}
	j.Add(&sallyport.Event{Time: at, Kind: sallyport.StatementKind, Who: who, Statement: &sallyport.Statement{
		ID: id, Verb: "SELECT", Fingerprint: "f1", Columns: []sallyport.Column{Email, Name}, Purposes: purposes,
	}})
	if len(values) > 0 {
		j.Add(&sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: who, Reveal: &sallyport.Revealed{
			Statement: id, Columns: []sallyport.Column{Email, Name}, Values: sallyport.ValuesOf(values...), Purposes: purposes,
		}})
	}
}

// Who is somebody in a session.
func Who(staff sallyport.Staff, session string) sallyport.Who {
	return sallyport.Who{Staff: staff, Login: string(staff) + "_login", Session: session, Application: "desk", Address: "10.4.0.17:5" + session[1:], Database: "support", Team: "support-eu"}
}

// Value is one value of a customer.
func Value(subject sallyport.Subject, column uint16, d byte) sallyport.RevealedValue {
	return sallyport.RevealedValue{Subject: subject, Column: column, Digest: sallyport.Digest{d, 15: d}}
}

// story is a record that has each case of who-saw: direct, found by value before and after, a namesake, a text for a key, observed rows, an
// application that acts for a person, a grant, two batches of one statement, and days apart.
func story() *Journal {
	j := &Journal{}
	at := Start
	j.Statement(at, Who("s003", "x3"), 1, "1", Value("", 0, 10))
	j.Statement(at.Add(time.Second), Who("s001", "x1"), 1, "4711", Value("7", 0, 10), Value("7", 1, 20))
	e := j.Events[len(j.Events)-1]
	more := *e
	more.Time, more.Reveal = at.Add(2*time.Second), &sallyport.Revealed{Statement: 1, Columns: e.Reveal.Columns, Values: sallyport.ValuesOf(Value("8", 0, 11)), Purposes: e.Reveal.Purposes}
	j.Add(&more)
	j.Statement(at.Add(3*time.Second), Who("s002", "x2"), 1, "2", Value("8", 0, 11), Value("8", 1, 20))
	j.Statement(at.Add(26*time.Hour), Who("s004", "x4"), 9, "3", Value("9", 0, 10))
	j.Statement(at.Add(26*time.Hour), Who("s005", "x5"), 1, "3", sallyport.RevealedValue{Subject: "10"})
	acting := Who("s001", "x7")
	acting.Via, acting.Claimed = "svc_desk", true
	j.Statement(at.Add(27*time.Hour), acting, 3, "", Value("a7e1-uuid", 1, 30))
	j.Events[len(j.Events)-1].Reveal.Grant = "g8k2"
	j.Statement(at.Add(50*time.Hour), Who("s006", "x6"), 1, "4711", sallyport.RevealedValue{Subject: "7", Column: 99})
	j.Statement(at.Add(51*time.Hour), Who("s008", "x8"), 2, "")
	j.Add(&sallyport.Event{Time: at.Add(51 * time.Hour), Kind: sallyport.ObservedKind, Who: Who("s008", "x8"), Touch: &sallyport.Touched{Statement: 2, Reached: []sallyport.Subject{"7", "11"}}})
	j.Add(&sallyport.Event{Time: at.Add(51 * time.Hour), Kind: sallyport.TouchKind, Who: Who("s009", "x9"), Touch: &sallyport.Touched{Statement: 2, Reached: []sallyport.Subject{"7", "12"}}})
	j.Add(&sallyport.Event{Time: at.Add(51 * time.Hour), Kind: sallyport.RefusedKind, Who: Who("s009", "x9"), Statement: &sallyport.Statement{ID: 4, Refused: "SP003"}, Note: "s009 may not"})
	j.Add(&sallyport.Event{Time: at.Add(51 * time.Hour), Kind: sallyport.BudgetReached, Who: Who("s009", "x9"), Limit: &sallyport.Limit{Measure: "reached", Window: "day", Budget: 100, Count: 100}})
	j.Add(&sallyport.Event{Time: at.Add(51 * time.Hour), Kind: sallyport.CountersKind, Who: Who("s009", "x9"), Counters: &sallyport.Counters{Rows: 3}})
	j.Statement(at.Add(52*time.Hour), Who("s010", "xa"), 1, "5", Value("", 1, 20), Value("7", 0, 12))
	return j
}

// Conform runs the contract.
func Conform(t *testing.T, fresh func(t *testing.T) Opener) {
	t.Run("WhoSaw", func(t *testing.T) { whoSaw(t, fresh) })
	t.Run("OneByOne", func(t *testing.T) { oneByOne(t, fresh) })
	t.Run("ExactlyOnce", func(t *testing.T) { exactlyOnce(t, fresh(t)) })
	t.Run("Forget", func(t *testing.T) { forget(t, fresh) })
	t.Run("Tells", func(t *testing.T) { tells(t, fresh) })
	t.Run("Finds", func(t *testing.T) { finds(t, fresh) })
	t.Run("Select", func(t *testing.T) { selects(t, fresh(t)) })
	t.Run("Attacks", func(t *testing.T) { attacks(t, fresh(t)) })
}

// asked are the customers that the story is asked about.
func asked() []sallyport.Subject {
	return []sallyport.Subject{"7", "8", "9", "10", "11", "12", "a7e1-uuid", "none"}
}

// whoSaw compares, at each place where the story can be cut between history and record, the answer with that of the record alone.
func whoSaw(t *testing.T, fresh func(t *testing.T) Opener) {
	j := story()
	for cut := 0; cut <= len(j.Events); cut++ {
		open := fresh(t)
		store := open(t)
		if cut > 0 {
			must(t, store.Add(t.Context(), uint64(cut), j.Events[:cut])) //nolint:gosec // small
		}
		if cut%3 == 0 { // a restart in between must not show
			must(t, store.Close())
			store = open(t)
		}
		compare(t, j, store, cut)
		must(t, store.Close())
	}
}

// compare asks for each customer of a story, some of which is in a store, and holds the answer to that of the record alone.
func compare(t *testing.T, j *Journal, store history.Store, in int) {
	t.Helper()
	alone := &history.Past{Record: j, Tells: Identifies}
	past := &history.Past{Record: j, Tells: Identifies, Lend: func() (history.Store, func()) { return store, func() {} }}
	for _, customer := range asked() {
		want, err := alone.WhoSaw(t.Context(), customer)
		must(t, err)
		got, err := past.WhoSaw(t.Context(), customer)
		must(t, err)
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("customer %s, %d entries in history: the record alone (-) and with history (+) differ:\n%s", customer, in, diff)
		}
	}
}

// oneByOne adds the story's entries one after the other, and then once more with its days in another order, so that a customer's values come
// before, with and after those that equal them elsewhere. However a store has put away what came earlier, it must find it.
func oneByOne(t *testing.T, fresh func(t *testing.T) Opener) {
	for name, j := range map[string]*Journal{"as it was": story(), "turned": turned()} {
		store := fresh(t)(t)
		for i := range j.Events {
			must(t, store.Add(t.Context(), uint64(i+1), j.Events[i:i+1])) //nolint:gosec // small
			compare(t, j, store, i+1)
		}
		must(t, store.Close())
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// turned is the story with each statement on a day of its own, the last first.
func turned() *Journal {
	told, j := story().Events, &Journal{}
	for at := Start; len(told) > 0; at = at.Add(24 * time.Hour) {
		from := len(told) - 1
		for from > 0 && told[from].Kind != sallyport.StatementKind {
			from--
		}
		for _, e := range told[from:] {
			e.Time = at
			j.Add(e)
		}
		told = told[:from]
	}
	return j
}

// sorted has what stands in no order within a sighting in one.
func sorted(list []*history.Sighting) []*history.Sighting {
	for _, s := range list {
		slices.Sort(s.Columns)
		slices.Sort(s.ByValue)
		slices.Sort(s.Under)
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exactlyOnce gives entries twice, in overlapping batches, over restarts.
func exactlyOnce(t *testing.T, open Opener) {
	j := story()
	last := uint64(len(j.Events))
	store := open(t)
	at, err := store.Position(t.Context())
	must(t, err)
	if at != (history.Position{Record: Record}) {
		t.Errorf("a new history is at %+v", at)
	}
	must(t, store.Add(t.Context(), 5, j.Events[:5]))
	must(t, store.Add(t.Context(), 5, j.Events[:5]))
	must(t, store.Add(t.Context(), 9, j.Events[2:9]))
	must(t, store.Close())
	store = open(t)
	must(t, store.Add(t.Context(), last, j.Events))
	must(t, store.Close())
	store = open(t)
	if at, err = store.Position(t.Context()); err != nil || at.Entry != last {
		t.Errorf("at %+v, %v; want entry %d", at, err, last)
	}
	values := 0
	for _, e := range j.Events {
		if e.Reveal != nil {
			values += e.Reveal.Values.Len()
		}
	}
	if n := number(t, store, "SELECT count(*) FROM reveals"); n != int64(values) {
		t.Errorf("%d reveals, want %d", n, values)
	}
	must(t, store.Close())
}

func number(t *testing.T, store history.Store, sql string) int64 {
	t.Helper()
	rows, err := store.Select(t.Context(), sql, bounds)
	must(t, err)
	n, ok := rows.Rows[0][0].(int64)
	if !ok {
		t.Fatalf("%s: %v is no number", sql, rows.Rows)
	}
	return n
}

var bounds = history.Bounds{Time: 20 * time.Second, Rows: 1000, Bytes: 1 << 20} //nolint:gochecknoglobals // a constant

// forget lets a day go, then entries, and looks for what is left of them.
func forget(t *testing.T, fresh func(t *testing.T) Opener) {
	j := story()
	last := uint64(len(j.Events))
	store := fresh(t)(t)
	must(t, store.Add(t.Context(), last, j.Events))
	must(t, store.Forget(t.Context(), history.Forgetting{Before: Start.Add(24 * time.Hour).Truncate(24 * time.Hour)}))
	answer, err := store.Saw(t.Context(), history.Question{Customer: "7"})
	must(t, err)
	for _, s := range answer.Sightings {
		if s.Time.Before(Start.Add(12 * time.Hour)) {
			t.Errorf("%+v is of a day that is over", s)
		}
	}
	if slices.Contains(answer.Digests, sallyport.Digest{20, 15: 20}) {
		t.Error("the digest of a name that was last seen on a day that is over is kept")
	}
	if n := number(t, store, "SELECT count(*) FROM sessions WHERE person = '"+Names().Person("s002")+"'"); n != 0 {
		t.Error("a session of a day that is over is kept")
	}
	if n := number(t, store, "SELECT count(*) FROM accesses"); n == 0 {
		t.Error("the other days went, too")
	}
	var erased []uint64
	for _, e := range j.Events {
		if e.Who.Staff == "s006" {
			erased = append(erased, e.Seq)
		}
	}
	must(t, store.Forget(t.Context(), history.Forgetting{Entries: erased}))
	for _, view := range []string{"reveals", "accesses", "sessions"} {
		if n := number(t, store, "SELECT count(*) FROM "+view+" WHERE person = '"+Names().Person("s006")+"'"); n != 0 {
			t.Errorf("%s: %d rows of entries that were erased", view, n)
		}
	}
	must(t, store.Close())
}

// selects asks in SQL, and looks for names.
func selects(t *testing.T, open Opener) {
	j := story()
	store := open(t)
	must(t, store.Add(t.Context(), uint64(len(j.Events)), j.Events))
	for _, c := range []struct {
		sql  string
		want string
	}{
		{"SELECT count(DISTINCT customer) FROM reveals WHERE person = '" + Names().Person("s001") + "'", "[[3]]"},
		{"SELECT count(*) FROM accesses WHERE kind = 'statement'", "[[9]]"},
		{"SELECT customer, readable FROM reached ORDER BY ALL", "[[11 true] [12 false] [7 false] [7 true]]"},
		{`SELECT "column", customer_number FROM reveals WHERE customer = '9'`, "[[support.customers.email 9]]"},
		{"SELECT kind, note FROM findings ORDER BY kind", "[[budget reached, day, budget 100] [refused <nil>]]"},
		{"SELECT via, claimed, \"grant\" FROM accesses WHERE via IS NOT NULL AND kind = 'reveal'", "[[svc_desk true " + Names().Grant("g8k2") + "]]"},
		{"SELECT purposes FROM accesses WHERE kind = 'reveal' AND person = '" + Names().Person("s006") + "'", "[[" + Names().Purpose("ticket:4711") + "]]"},
		{"WITH few AS (SELECT DISTINCT customer FROM reveals WHERE customer_number = 8) SELECT count(*) FROM few", "[[1]]"},
	} {
		rows, err := store.Select(t.Context(), c.sql, bounds)
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if got := fmt.Sprint(rows.Rows); got != c.want {
			t.Errorf("%s: %s, want %s", c.sql, got, c.want)
		}
	}
	for _, view := range []string{"reveals", "reached", "accesses", "sessions", "findings"} {
		rows, err := store.Select(t.Context(), "SELECT * FROM "+view, bounds)
		must(t, err)
		if len(rows.Rows) == 0 {
			t.Errorf("%s is empty", view)
		}
		for _, row := range rows.Rows {
			noNames(t, view, fmt.Sprint(row))
		}
	}
	few, err := store.Select(t.Context(), "SELECT * FROM range(1000)", history.Bounds{Time: bounds.Time, Rows: 10, Bytes: 1 << 20})
	if err != nil || len(few.Rows) != 10 || !few.Truncated {
		t.Errorf("%v, %v; want 10 rows and a word that there are more", few, err)
	}
	must(t, store.Close())
}

// noNames looks for what would say who somebody is.
func noNames(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range Secrets() {
		if contains(text, secret) {
			t.Errorf("%s says %q: %s", where, secret, text)
		}
	}
}

// Secrets are words of the story that no question in SQL may be answered with.
func Secrets() []string {
	return []string{"s001", "s002", "s003", "s004", "s005", "s006", "s008", "s009", "s010", "_login", "10.4.0.17", "4711", "g8k2", "support-eu", "s009 may"}
}

func contains(text, part string) bool {
	for i := 0; i+len(part) <= len(text); i++ {
		if text[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

// attacks are questions that are none. Each was tried because it might read, write or wait for something.
func attacks(t *testing.T, open Opener) {
	j := story()
	store := open(t)
	must(t, store.Add(t.Context(), uint64(len(j.Events)), j.Events))
	for _, sql := range Attacks() {
		rows, err := store.Select(t.Context(), sql, history.Bounds{Time: time.Second, Rows: 100, Bytes: 1 << 20})
		if err == nil {
			t.Errorf("answered: %.80s: %.200v", sql, rows.Rows)
			continue
		}
		if !errors.Is(err, history.ErrRefused) {
			t.Errorf("%.80s: %v; want it refused", sql, err)
		}
		noNames(t, "an error", err.Error())
	}
	if n := number(t, store, "SELECT count(*) FROM accesses"); n == 0 {
		t.Error("nothing is left after the attacks")
	}
	must(t, store.Close())
}
