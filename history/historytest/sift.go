package historytest

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/history"
)

// around is the story with what stands between looks: facts, a log of another system, a statement's text, counts, an end that showed a mask.
func around() *Journal {
	j := &Journal{}
	j.Add(&sallyport.Event{Time: Start, Kind: sallyport.FactKind, Who: Who("s001", "x1"), Facts: []sallyport.Fact{{Table: "ticket", ID: "4711", Customer: "7"}}})
	j.Add(&sallyport.Event{Time: Start, Kind: sallyport.ShapeKind, Statement: &sallyport.Statement{Fingerprint: "f2", Shape: "SELECT", Tables: []string{"support.plans"}}})
	for _, e := range story().Events {
		j.Add(e)
	}
	at := Start.Add(60 * time.Hour)
	j.Add(&sallyport.Event{Time: at, Kind: sallyport.FactKind, Who: Who("s002", "x2"), Facts: []sallyport.Fact{{Table: "contact", ID: "1", Customer: "8"}}})
	j.Add(&sallyport.Event{Time: at, Kind: sallyport.ImportedKind, Imported: &sallyport.Imported{Source: "crm", Access: sallyport.Access{Staff: "s001", Time: at, Subjects: []sallyport.Subject{"9"}}}})
	j.Add(&sallyport.Event{Time: at, Kind: sallyport.CountersKind, Who: Who("s001", "x1"), Statement: &sallyport.Statement{Fingerprint: "f2"}, Counters: &sallyport.Counters{Statements: 2}})
	j.Add(&sallyport.Event{Time: at, Kind: sallyport.ResultKind, Who: Who("s001", "x1"), Statement: &sallyport.Statement{ID: 1}, Result: &sallyport.Result{Rows: 1}})
	j.Add(&sallyport.Event{Time: at, Kind: sallyport.ResultKind, Who: Who("s001", "x1"), Statement: &sallyport.Statement{ID: 2}, Result: &sallyport.Result{Masked: 1}})
	j.Statement(at, Who("s001", "x1"), 3, "4711", Value("8", 0, 11), Value("7", 0, 10))
	j.Statement(at, Who("svc_desk", "xd"), 1, "4711", Value("9", 0, 11))
	return j
}

// saw is that somebody could read these columns of a customer.
type saw struct {
	Staff    sallyport.Staff
	Customer sallyport.Subject
	Columns  string
	Ticket   bool
}

// telling is what Told delivers.
type telling struct {
	Saw   map[saw]int64      // and when first, Unix time
	Under []uint64           // entries under the reason that was asked for
	Other []*sallyport.Event // what is no reveal
}

func (l *telling) add(s saw, at int64) {
	if first, known := l.Saw[s]; !known || at < first {
		l.Saw[s] = at
	}
}

func (l *telling) event(e *sallyport.Event) error {
	switch e.Kind {
	case sallyport.FactKind, sallyport.ShapeKind, sallyport.ImportedKind, sallyport.ObservedKind:
		l.Other = append(l.Other, e)
	case sallyport.RevealKind:
		if slices.Contains(e.Reveal.Purposes, spokenOf) {
			l.Under = append(l.Under, e.Seq)
		}
		s := saw{Staff: e.Who.Staff, Ticket: len(e.Reveal.Purposes) > 0 && e.Reveal.Purposes[0].Kind == "ticket"}
		for _, c := range e.Reveal.Columns {
			s.Columns += c.Name + " "
		}
		for _, c := range e.Reveal.Values.Distinct(nil) {
			s.Customer = c
			l.add(s, e.Time.Unix())
		}
	default:
	}
	return nil
}

func (l *telling) exposed(x *history.Exposed) error {
	for i, customer := range x.Whom {
		shows := x.Shows[x.What[i]]
		s := saw{x.People[x.Who[i]], sallyport.Subject(strconv.FormatInt(customer, 10)), "", shows.Ticket}
		if customer < 0 {
			s.Customer = x.Keys[customer]
		}
		for _, c := range shows.Columns {
			s.Columns += c + " "
		}
		l.add(s, x.First[i])
	}
	return nil
}

// spokenOf is the reason of which each entry is asked for.
var spokenOf = sallyport.Purpose{Kind: "ticket", Ref: "4711"} //nolint:gochecknoglobals // a constant

// told is what Told delivers of entries after one.
func told(t *testing.T, past *history.Past, after uint64) telling {
	t.Helper()
	l := telling{Saw: map[saw]int64{}}
	must(t, past.Told(t.Context(), after, past.Record.Last(), history.Listener{Event: l.event, Exposed: l.exposed, Under: func() []string { return []string{spokenOf.String()} }}))
	slices.Sort(l.Under) // what the store has comes after what it has not
	l.Under = slices.Compact(l.Under)
	return l
}

// tells: wherever history ends, and whatever days have gone, it says of who saw whom what the record says.
func tells(t *testing.T, fresh func(t *testing.T) Opener) {
	j := around()
	want := told(t, &history.Past{Record: j}, 0)
	if len(want.Saw) < 8 || len(want.Under) < 3 || len(want.Other) < 5 {
		t.Fatalf("the story says little: %+v", want)
	}
	for cut := 0; cut <= len(j.Events); cut += 3 {
		store := fresh(t)(t)
		if cut > 0 {
			must(t, store.Add(t.Context(), uint64(cut), j.Events[:cut])) //nolint:gosec // positive
		}
		past := &history.Past{Record: j, Tells: Identifies, Lend: func() (history.Store, func()) { return store, func() {} }}
		if d := cmp.Diff(want, told(t, past, 0)); d != "" {
			t.Errorf("history has %d entries of %d (-record +with history):\n%s", cut, len(j.Events), d)
		}
		if d := cmp.Diff(told(t, &history.Past{Record: j}, 9), told(t, past, 9)); d != "" {
			t.Errorf("from entry 10 on, history has %d entries (-record +with history):\n%s", cut, d)
		}
		must(t, store.Forget(t.Context(), history.Forgetting{Before: Start.Add(24 * time.Hour)}))
		if d := cmp.Diff(want, told(t, past, 0)); d != "" {
			t.Errorf("history has %d entries of %d, without the first day (-record +with history):\n%s", cut, len(j.Events), d)
		}
		must(t, store.Close())
	}
}

// finds: what was asked for is found, and what somebody does not concern is not.
func finds(t *testing.T, fresh func(t *testing.T) Opener) {
	j := around()
	store := fresh(t)(t)
	must(t, store.Add(t.Context(), j.Last(), j.Events))
	for _, c := range j.findings() {
		c.found(t, store, j)
	}
	must(t, store.Forget(t.Context(), history.Forgetting{Entries: j.by("s001")}))
	f, err := store.Find(t.Context(), history.Wanted{Staff: []sallyport.Staff{"s001"}})
	must(t, err)
	if len(f.Entries) > 0 {
		t.Errorf("entries that were erased are found: %v", f.Entries)
	}
	must(t, store.Close())
}

func valuesOf(e *sallyport.Event) (list []sallyport.RevealedValue) {
	if e.Reveal != nil {
		list = slices.Collect(e.Reveal.Values.All())
	}
	return list
}

// finding is what is asked of the story, and which entries it is.
type finding struct {
	what string
	w    history.Wanted
	want []uint64
}

func (c finding) found(t *testing.T, store history.Store, j *Journal) {
	t.Helper()
	f, err := store.Find(t.Context(), c.w)
	must(t, err)
	slices.Sort(c.want)
	if c.want = slices.Compact(c.want); !slices.Equal(f.Entries, c.want) {
		t.Errorf("%s: %v, expected %v", c.what, f.Entries, c.want)
	}
	if c.want == nil && c.what != "nothing" {
		t.Errorf("%s: the story has none", c.what)
	}
	c.w.After = 12
	late, err := store.Find(t.Context(), c.w)
	must(t, err)
	if want := slices.DeleteFunc(slices.Clone(c.want), func(seq uint64) bool { return seq <= 12 }); !slices.Equal(late.Entries, want) {
		t.Errorf("%s, after entry 12: %v, expected %v", c.what, late.Entries, want)
	}
	if !slices.Contains(f.Tables, "support.plans") || f.From != 1 || f.To != j.Last() {
		t.Errorf("%s: tables %v, entries %d to %d", c.what, f.Tables, f.From, f.To)
	}
}

// of are the entries of a kind.
func (j *Journal) of(pick func(e *sallyport.Event) bool) (list []uint64) {
	for _, e := range j.Events {
		if pick(e) {
			list = append(list, e.Seq)
		}
	}
	return list
}

// by are those by or for somebody, but for ends of statements that showed nothing masked.
func (j *Journal) by(who sallyport.Staff) []uint64 {
	return j.of(func(e *sallyport.Event) bool {
		ended := e.Kind == sallyport.ResultKind && e.Result.Masked == 0
		return !ended && (e.Who.Staff == who || e.Who.Via == who)
	})
}

// shows are those in which a value stands under another customer.
func (j *Journal) shows(customer sallyport.Subject, d byte) []uint64 {
	return j.of(func(e *sallyport.Event) bool {
		return slices.ContainsFunc(valuesOf(e), func(v sallyport.RevealedValue) bool {
			return v.Subject != "" && v.Subject != customer && v.Digest == Value("", 0, d).Digest
		})
	})
}

func (j *Journal) findings() []finding {
	return []finding{
		{"nothing", history.Wanted{}, nil},
		{"somebody", history.Wanted{Staff: []sallyport.Staff{"s001"}}, j.by("s001")},
		{"a program", history.Wanted{Staff: []sallyport.Staff{"svc_desk"}}, j.by("svc_desk")},
		{"two", history.Wanted{Staff: []sallyport.Staff{"s002", "s009", "nobody"}}, append(j.by("s002"), j.by("s009")...)},
		{"facts", history.Wanted{Facts: true}, j.of(func(e *sallyport.Event) bool {
			return len(e.Facts) > 0 || e.Imported != nil || e.Kind == sallyport.ObservedKind || e.Kind == sallyport.ShapeKind
		})},
		{"facts of one", history.Wanted{FactsOf: []sallyport.Staff{"s001"}}, j.of(func(e *sallyport.Event) bool { return len(e.Facts) > 0 && e.Who.Staff == "s001" })},
		{"a reason", history.Wanted{Purposes: []string{"ticket:4711"}}, j.of(func(e *sallyport.Event) bool {
			return e.Kind == sallyport.RevealKind && slices.Contains(e.Reveal.Purposes, sallyport.Purpose{Kind: "ticket", Ref: "4711"})
		})},
		{"a value elsewhere", history.Wanted{Shown: []history.Shown{{Digest: Value("", 0, 10).Digest, Under: "7"}}}, j.shows("7", 10)},
		{"a value that was nobody's", history.Wanted{Shown: []history.Shown{{Digest: Value("", 0, 20).Digest}}}, j.shows("", 20)},
	}
}
