// Package blast says what one person's access came to: which customers were shown to him, how sure that is, which of their fields, which of
// it nobody can explain; and with the same certainty what was not touched.
//
// It does no I/O and reads no clock. It refuses to call certain what stands on anybody's word alone, to call a customer unharmed where the
// record has a gap, and to say that something was not touched without saying what it could not see.
//
// Invariant: the same entries give the same answer; entries after the question's end, and of other people, add nothing.
package blast

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"sallyport"
)

// Certainty is how sure it is that somebody could read something of a customer.
type Certainty uint8

// The certainties, the surest first.
const (
	Certain  Certainty = iota // values left in plain to him, by the record of before they left
	Likely                    // an application says that it was for him; another system's log says so; or it was his value in somebody else's row
	Possible                  // rows came back as tokens; or he made a colleague the reason by which that one looked
)

// String is the word of it.
func (c Certainty) String() string {
	switch c {
	case Certain:
		return "certain"
	case Likely:
		return "likely"
	case Possible:
		return "possible"
	}
	return "unknown"
}

// Question is about whom, and from when on.
type Question struct {
	Staff    []sallyport.Staff // all accounts of one person
	From     time.Time         // what was before does not count; zero: everything
	Tells    func(sallyport.Column) bool
	Program  func(sallyport.Staff) bool // services route tickets; nil: nobody is one
	HeldBy   func(login string) sallyport.Staff
	Programs bool // the question is about a program
}

// Customer is one whom it concerns.
type Customer struct {
	Subject     sallyport.Subject
	Certainty   Certainty
	Fields      []string // schema.table.column, that were readable with that certainty
	Maybe       []string // with less
	Unexplained bool     // no ticket that somebody else gave him, and no call of the customer, explains it
	First, Last time.Time
	Entries     []uint64 // of the access stream, the first ones
}

// mostEntries are named of each customer.
const mostEntries = 20

// Radius is the answer.
type Radius struct {
	Customers []Customer // unexplained first, then by certainty, then by time
	Nameless  map[string]int
	Columns   map[string]Certainty // that were readable, or whose tokens may have come back (Possible)
	Tables    map[string]bool      // that his statements mention
	Untouched Untouched
	Limits    []string // what could not be seen
	Entries   [2]uint64
	Sessions  int
}

// Untouched is what no statement of his mentions.
type Untouched struct {
	Columns []string // protected ones
	Tables  []string
	Sure    bool // of tables: every statement of his is known by its text without literals
}

// found is a customer as he is gathered.
type found struct {
	fields      map[string]Certainty
	best        Certainty
	first, last time.Time
	entries     []uint64
	explained   bool
}

// Search gathers. Add MUST be given the access stream in its order, or Pass in its place; then Again, where Twice says so, the same entries once more.
type Search struct {
	q         Question
	staff     map[sallyport.Staff]bool
	facts     facts
	customers map[sallyport.Subject]*found
	nameless  map[string]int
	columns   map[string]Certainty
	tables    map[string]bool
	known     map[string]bool            // tables that any statement on record mentions
	shapes    map[string][]string        // fingerprint → tables
	plain     map[string]uint64          // fingerprints of his statements that touch nothing protected → how many
	digests   map[sallyport.Digest]shown // identifying values that he was shown
	sessions  map[string]bool
	limits    map[string]int
	first     uint64
	last      uint64
	gaps      uint64
	began     time.Time
}

// shown is under whom, and when first.
type shown struct {
	under sallyport.Subject
	at    time.Time
	entry uint64
}

// New is a search that has read nothing.
func New(q Question) *Search {
	s := &Search{
		q: q, staff: map[sallyport.Staff]bool{}, facts: newFacts(), customers: map[sallyport.Subject]*found{}, nameless: map[string]int{}, columns: map[string]Certainty{}, tables: map[string]bool{},
		known: map[string]bool{}, shapes: map[string][]string{}, plain: map[string]uint64{}, digests: map[sallyport.Digest]shown{}, sessions: map[string]bool{}, limits: map[string]int{},
	}
	for _, who := range q.Staff {
		s.staff[who] = true
	}
	return s
}

// Begun says whether it has taken an entry. The first one of the stream it has to see whole.
func (s *Search) Begun() bool { return s.first != 0 }

// Pass takes note of an entry that is there, and of which somebody else knows that it concerns nobody whom the question is about.
func (s *Search) Pass(seq uint64) {
	if seq > s.last+1 {
		s.gaps += seq - s.last - 1
	}
	s.last = seq
}

// Know takes tables that statements on record mention, whose entries Pass passes over.
func (s *Search) Know(tables []string) {
	for _, t := range tables {
		s.known[t] = true
	}
}

// Add takes one entry.
func (s *Search) Add(e *sallyport.Event) {
	if s.first == 0 {
		s.first, s.began = e.Seq, e.Time
	}
	s.Pass(e.Seq)
	s.facts.add(e, &s.q)
	if st := e.Statement; st != nil {
		for _, t := range st.Tables {
			s.known[t] = true
		}
		if e.Kind == sallyport.ShapeKind {
			s.shapes[st.Fingerprint] = st.Tables
		}
	}
	if e.Kind == sallyport.RevealKind && e.Reveal != nil && !s.staff[e.Who.Staff] {
		s.reasonsHeMade(e)
	}
	if a := e.Imported; a != nil && s.staff[a.Access.Staff] && !e.Time.Before(s.q.From) {
		s.imported(e, &a.Access)
	}
	if !s.staff[e.Who.Staff] && !s.staff[e.Who.Via] || e.Time.Before(s.q.From) {
		return
	}
	s.his(e)
}

// his takes an entry about what he did himself, or a program in his name. An end of a statement that showed nothing masked says nothing.
func (s *Search) his(e *sallyport.Event) {
	if e.Kind == sallyport.ResultKind && (e.Result == nil || e.Result.Masked == 0) {
		return
	}
	if e.Who.Session != "" {
		s.sessions[e.Who.Session] = true
	}
	s.statement(e)
	switch e.Kind {
	case sallyport.RevealKind:
		s.reveal(e, Certain)
	case sallyport.ObservedKind:
		s.reveal(e, Certain)
		if e.Touch != nil {
			for _, c := range e.Touch.Reached { // everybody could read what a result held
				s.note(c, e, s.fieldsOf(e), Certain, e.Time)
			}
		}
	case sallyport.TouchKind:
		s.touch(e)
	case sallyport.CountersKind:
		if e.Statement != nil {
			s.plain[e.Statement.Fingerprint] += max(1, e.Counters.Statements)
		}
	case sallyport.ReplicationStart, sallyport.ReplicationEnd:
		s.limits["he replicated whole tables, as tokens: of which customers is not on record"]++
	case sallyport.AroundKind:
		s.limits["a way around the gateway was open to him: what he read there is not on record here"]++
	case sallyport.ResultKind:
		if r := e.Result; r != nil && r.Masked > 0 {
			s.limits["values were shown to him masked: whose is not on record"] += int(min(r.Masked, 1<<40)) //nolint:gosec // bounded
		}
	default:
		// The rest shows nothing of a customer.
	}
}

// statement notes what a statement mentions.
func (s *Search) statement(e *sallyport.Event) {
	st := e.Statement
	if st == nil || e.Kind == sallyport.ShapeKind || e.Kind == sallyport.CountersKind {
		return
	}
	for _, t := range st.Tables {
		s.tables[t] = true
	}
	for _, c := range st.Columns {
		s.column(c.String(), Possible)
		s.tables[c.Schema+"."+c.Table] = true
	}
}

func (s *Search) column(name string, c Certainty) {
	if had, ok := s.columns[name]; !ok || c < had {
		s.columns[name] = c
	}
}

// fieldsOf are the columns of an entry that has no values.
func (s *Search) fieldsOf(e *sallyport.Event) (list []string) {
	if e.Statement != nil {
		for _, c := range e.Statement.Columns {
			list = append(list, c.String())
		}
	}
	return list
}

// reveal notes values that left in plain. On an application's word alone it is only likely that they came to him.
func (s *Search) reveal(e *sallyport.Event, sure Certainty) {
	r := e.Reveal
	if r == nil {
		return
	}
	if e.Who.Claimed {
		sure = Likely
	}
	for v := range r.Values.All() {
		if int(v.Column) >= len(r.Columns) {
			continue
		}
		column := r.Columns[v.Column]
		name := column.String()
		s.column(name, sure)
		if v.Subject == "" {
			s.nameless[name]++
		} else {
			s.note(v.Subject, e, []string{name}, sure, e.Time)
		}
		if v.Digest != (sallyport.Digest{}) && (v.Subject == "" || s.q.Tells != nil && s.q.Tells(column)) {
			if _, again := s.digests[v.Digest]; !again {
				s.digests[v.Digest] = shown{v.Subject, e.Time, e.Seq}
			}
		}
	}
}

// touch notes rows that came back as tokens.
func (s *Search) touch(e *sallyport.Event) {
	t := e.Touch
	if t == nil {
		return
	}
	for _, c := range t.Reached {
		s.note(c, e, nil, Possible, e.Time)
	}
	if n := len(t.Values); n > 0 {
		s.limits["rows came back as tokens of customers who are not known"] += n
	}
	if n := len(t.Probes) + len(t.Dates); n > 0 {
		s.limits["values that he named were looked for outside of his reasons: whose is not on record"] += n
	}
}

// reasonsHeMade: a colleague looked by a ticket that he had made.
func (s *Search) reasonsHeMade(e *sallyport.Event) {
	if e.Time.Before(s.q.From) {
		return
	}
	for _, p := range e.Reveal.Purposes {
		if p.Kind != "ticket" || !s.staff[s.facts.maker(p.Ref)] {
			continue
		}
		for v := range e.Reveal.Values.All() {
			if v.Subject != "" && int(v.Column) < len(e.Reveal.Columns) {
				s.note(v.Subject, e, []string{e.Reveal.Columns[v.Column].String()}, Possible, e.Time)
			}
		}
	}
}

// imported notes what another system's log says.
func (s *Search) imported(e *sallyport.Event, a *sallyport.Access) {
	if a.Refused {
		return
	}
	var fields []string
	for _, c := range a.Columns {
		fields = append(fields, cmp.Or(a.Table, "?")+"."+c)
		s.column(cmp.Or(a.Table, "?")+"."+c, Likely)
	}
	if a.Table != "" {
		s.tables[a.Table] = true
	}
	for _, c := range a.Subjects {
		s.note(c, e, fields, Likely, a.Time)
	}
	for _, c := range a.Reached {
		s.note(c, e, nil, Possible, a.Time)
	}
	if len(a.Subjects) == 0 && a.Count > 0 {
		s.limits["other systems' logs count customers whom they do not name"] += int(min(a.Count, 1<<40))
	}
}

// note adds what one entry shows of a customer.
func (s *Search) note(c sallyport.Subject, e *sallyport.Event, fields []string, sure Certainty, at time.Time) {
	f := s.customers[c]
	if f == nil {
		f = &found{fields: map[string]Certainty{}, best: sure, first: at, last: at}
		s.customers[c] = f
	}
	f.best = min(f.best, sure)
	for _, name := range fields {
		if had, ok := f.fields[name]; !ok || sure < had {
			f.fields[name] = sure
		}
	}
	if at.Before(f.first) {
		f.first = at
	}
	if at.After(f.last) {
		f.last = at
	}
	if n := len(f.entries); n < mostEntries && (n == 0 || f.entries[n-1] != e.Seq) {
		f.entries = append(f.entries, e.Seq)
	}
	f.explained = f.explained || sure != Possible && (s.facts.explain(s.staff, c, at) || s.checked(e, c))
}

// checked tells whether the gateway had checked a reason for what an entry shows of a customer. A ticket that he made himself is none.
func (s *Search) checked(e *sallyport.Event, c sallyport.Subject) bool {
	if e.Reveal == nil || e.Kind != sallyport.RevealKind || len(e.Reveal.Purposes) == 0 && e.Reveal.Grant == "" {
		return false
	}
	mine, others := 0, 0
	for _, t := range s.facts.of[c] {
		if s.staff[t.maker] {
			mine++
		} else {
			others++
		}
	}
	return mine == 0 || others > 0 || e.Reveal.Grant != ""
}

// Twice says whether Again has anything to look for.
func (s *Search) Twice() bool { return len(s.digests) > 0 }

// Shown are the values that Again looks for, and under whom each stood when it was shown to him first; under nobody where that is not known.
func (s *Search) Shown() iter.Seq2[sallyport.Digest, sallyport.Subject] {
	return func(yield func(sallyport.Digest, sallyport.Subject) bool) {
		for d, v := range s.digests {
			if !yield(d, v.under) {
				return
			}
		}
	}
}

// Again takes one entry a second time: a value that he was shown in one customer's row may be another customer's, whose token somebody had put there.
func (s *Search) Again(e *sallyport.Event) {
	if e.Seq > s.last || e.Reveal == nil || e.Kind != sallyport.RevealKind && e.Kind != sallyport.ObservedKind {
		return
	}
	for v := range e.Reveal.Values.All() {
		if v.Subject == "" || int(v.Column) >= len(e.Reveal.Columns) {
			continue
		}
		had, ok := s.digests[v.Digest]
		column := e.Reveal.Columns[v.Column]
		if !ok || had.under == v.Subject || s.q.Tells != nil && !s.q.Tells(column) && had.under != "" {
			continue
		}
		s.note(v.Subject, &sallyport.Event{Seq: had.entry}, []string{column.String()}, Likely, had.at)
	}
}

// Result is what was found. Protected are the columns that are protected now; erased is how many entries of the stream were erased by list.
func (s *Search) Result(protected []string, erased uint64) *Radius {
	r := &Radius{Nameless: s.nameless, Columns: s.columns, Tables: s.tables, Entries: [2]uint64{s.first, s.last}, Sessions: len(s.sessions)}
	for c, f := range s.customers {
		one := Customer{Subject: c, Certainty: f.best, Unexplained: !f.explained, First: f.first, Last: f.last, Entries: f.entries}
		for _, name := range slices.Sorted(maps.Keys(f.fields)) {
			if f.fields[name] == f.best {
				one.Fields = append(one.Fields, name)
			} else {
				one.Maybe = append(one.Maybe, name)
			}
		}
		r.Customers = append(r.Customers, one)
	}
	slices.SortFunc(r.Customers, func(a, b Customer) int {
		if a.Unexplained != b.Unexplained {
			if a.Unexplained {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Certainty, b.Certainty), a.First.Compare(b.First), cmp.Compare(a.Subject, b.Subject))
	})
	s.plainStatements(r)
	for _, name := range protected {
		if _, touched := s.columns[name]; !touched {
			r.Untouched.Columns = append(r.Untouched.Columns, name)
		}
	}
	slices.Sort(r.Untouched.Columns)
	for _, t := range slices.Sorted(maps.Keys(s.known)) {
		if !s.tables[t] {
			r.Untouched.Tables = append(r.Untouched.Tables, t)
		}
	}
	s.limit(r, erased)
	return r
}

// plainStatements adds the tables of statements that touched nothing protected, as far as their texts are known.
func (s *Search) plainStatements(r *Radius) {
	r.Untouched.Sure = true
	unknown := uint64(0)
	for print, n := range s.plain {
		tables, ok := s.shapes[print]
		if !ok {
			unknown += n
			continue
		}
		for _, t := range tables {
			s.tables[t] = true
		}
	}
	if unknown > 0 {
		r.Untouched.Sure = false
		s.limits["statements of his touched nothing protected, and which tables is not on record"] += int(min(unknown, 1<<40)) //nolint:gosec // bounded
	}
}

// limit says what could not be seen.
func (s *Search) limit(r *Radius, erased uint64) {
	if s.gaps > 0 {
		s.limits["entries of the record are missing"] = int(min(s.gaps, 1<<40)) //nolint:gosec // bounded
	}
	if erased > 0 {
		s.limits["entries were lawfully erased"] = int(min(erased, 1<<40)) //nolint:gosec // bounded
	}
	if !s.q.From.IsZero() && s.first > 0 && s.began.After(s.q.From) {
		r.Limits = append(r.Limits, fmt.Sprintf("the record begins at %s, after the start that was asked for", s.began.UTC().Format(time.RFC3339)))
	}
	for _, what := range slices.Sorted(maps.Keys(s.limits)) {
		r.Limits = append(r.Limits, fmt.Sprintf("%s (%d)", what, s.limits[what]))
	}
}
