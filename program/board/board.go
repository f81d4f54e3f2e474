// Package board is the page that the board gets once a month: exposure, what nobody could explain, times to detect, contain and name, false alarms beside
// the promise, reviews, training and drift, each over the last twelve months.
//
// It does no I/O and reads no clock. It refuses to invent a figure: where the record has nothing it says not measured, and why.
//
// Invariant: the same entries give the same page, byte for byte.
package board

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/cases"
	"sallyport/drill"
	"sallyport/program"
	"sallyport/program/training"
)

// span is over how many months figures are shown.
const span = 12

// Book gathers what the page needs. Give it inputs and the control stream, each in its order, then ask for the Page.
type Book struct {
	budget float64 // false alarms that are promised for a day of a person
	months map[string]*month
	cases  *cases.Book
	drills *drill.Book
	rest   *program.Book
	learnt *training.Book
	found  map[string]finding
	glass  map[string]time.Time
	now    time.Time
}

// month is what is summed up as it comes.
type month struct {
	pairs                    map[pair]bool
	tickets                  map[string]bool
	looks, unexplained, days int64
	glassBroken, glassSeen   int
	people, overdue          int // at its end, with training
	told                     bool
}

type pair struct {
	who      sallyport.Staff
	customer sallyport.Subject
}

type finding struct{ at, since time.Time }

// NewBook begins. budget is how many false alarms are promised for a day of a person; 0: nobody looks for insiders.
func NewBook(budget float64) *Book {
	return &Book{
		budget: budget, months: map[string]*month{}, cases: cases.NewBook(), drills: &drill.Book{}, rest: program.NewBook(), learnt: training.NewBook(), found: map[string]finding{},
		glass: map[string]time.Time{},
	}
}

func nameOf(at time.Time) string { return at.UTC().Format("2006-01") }

func (b *Book) at(t time.Time) *month {
	m := b.months[nameOf(t)]
	if m == nil {
		m = &month{pairs: map[pair]bool{}, tickets: map[string]bool{}}
		b.months[nameOf(t)] = m
	}
	return m
}

// pass ends the months before a moment: who is overdue is told as it was at their end.
func (b *Book) pass(t time.Time) {
	if !b.now.IsZero() && t.After(b.now) {
		for begin := monthOf(b.now); nameOf(begin) < nameOf(t); begin = begin.AddDate(0, 1, 0) {
			b.overdue(nameOf(begin), begin.AddDate(0, 1, 0))
		}
	}
	if t.After(b.now) {
		b.now = t
	}
}

func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

func (b *Book) overdue(name string, at time.Time) {
	m := b.months[name]
	if m == nil {
		m = &month{pairs: map[pair]bool{}, tickets: map[string]bool{}}
		b.months[name] = m
	}
	if m.told || !b.learnt.Known() {
		return
	}
	m.told = true
	for _, p := range b.learnt.People(at) {
		m.people++
		if p.Overdue > 0 {
			m.overdue++
		}
	}
}

// Input takes one input of detection, and what it came to: looks at customers, how many of them nothing explains, days of people that began by it.
func (b *Book) Input(in *sallyport.Input, looks, unexplained, days int64) {
	m := b.at(in.Time)
	m.looks, m.unexplained, m.days = m.looks+looks, m.unexplained+unexplained, m.days+days
	switch {
	case in.Access != nil && in.Access.Verdict == sallyport.Reveal.String():
		for _, s := range in.Access.Subjects {
			m.pairs[pair{in.Access.Staff, s}] = true
		}
	case in.Ticket != nil:
		m.tickets[in.Ticket.ID] = true
	}
}

// Control takes an entry of the control stream.
func (b *Book) Control(e *sallyport.Event) {
	b.pass(e.Time)
	m := b.at(e.Time)
	b.cases.Apply(e)
	b.drills.Apply(e)
	b.rest.Apply(e)
	b.learnt.Apply(e)
	switch o := e.Order; {
	case o == nil:
	case e.Kind == sallyport.FindingKind && !strings.HasPrefix(o.ID, "drill-"):
		if _, again := b.found[o.ID]; !again {
			var f struct {
				Since time.Time `json:"since"`
				Kind  string    `json:"kind"`
			}
			_ = json.Unmarshal(o.Finding, &f) // without it the time of the finding stands for when it began
			if f.Kind == program.SeparationFinding {
				return // a rule that was broken suspects nobody, so it cannot be a false alarm
			}
			since := f.Since
			if since.IsZero() {
				since = e.Time
			}
			b.found[o.ID] = finding{e.Time, since}
		}
	case e.Kind == sallyport.GlassBroken:
		m.glassBroken++
		b.glass[o.ID] = e.Time
	case e.Kind == sallyport.GlassReviewed:
		if at, ok := b.glass[o.ID]; ok {
			b.at(at).glassSeen++
			delete(b.glass, o.ID)
		}
	}
}

// Point is a figure of one month.
type Point struct {
	Month string   `json:"month"`
	Value *float64 `json:"value"` // null: not measured
}

// Figure is one line of the page.
type Figure struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	Value *float64 `json:"value"` // null: not measured
	Unit  string   `json:"unit"`
	Says  string   `json:"says"` // from what it is; of what is not measured why
	Past  []Point  `json:"past"` // the last twelve months, the page's own last
}

// Page is the page of a month.
type Page struct {
	Month   string    `json:"month"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`  // or when it was made, of a month that is not over
	Over    bool      `json:"over"`   // the month is
	Record  string    `json:"record"` // id of the access stream
	Entries uint64    `json:"entries"`
	Figures []Figure  `json:"figures"`
	Drills  []Score   `json:"drills"`
	Drift   *Drift    `json:"drift"` // null: not measured
}

// Score is a drill of the last twelve months.
type Score struct {
	At    time.Time `json:"at"`
	Drill string    `json:"drill"`
	Score int       `json:"score"`
	Lost  int       `json:"lost"`
	Of    int       `json:"of"`
}

// Drift is where written policies and what is enforced part, on the day on which the page was made.
type Drift struct {
	Documents    int `json:"documents"`
	Unenforced   int `json:"unenforced"` // paragraphs
	Unwritten    int `json:"unwritten"`  // policies
	Broken       int `json:"broken"`
	Contradicted int `json:"contradicted"`
	Unread       int `json:"unread"` // documents that somebody has not acknowledged
}

// DriftOf counts.
func DriftOf(d *program.Drift) *Drift {
	return &Drift{len(d.Documents), len(d.Unenforced), len(d.Unwritten), len(d.Broken), len(d.Contradicted), len(d.Unread)}
}

// Page makes the page of a month, 2026-11, as of now.
func (b *Book) Page(of, now time.Time) *Page {
	from := monthOf(of)
	p := &Page{Month: nameOf(from), From: from, Until: from.AddDate(0, 1, 0), Over: true, Drills: []Score{}}
	if now.Before(p.Until) {
		p.Until, p.Over = now, false
	}
	for begin := monthOf(b.now); !b.now.IsZero() && !now.Before(begin); begin = begin.AddDate(0, 1, 0) {
		end := begin.AddDate(0, 1, 0)
		if now.Before(end) {
			end = now
		}
		b.overdue(nameOf(begin), end)
	}
	for _, m := range b.measures() {
		f := Figure{ID: m.id, Title: m.title, Unit: m.unit}
		for i := span - 1; i >= 0; i-- {
			begin := from.AddDate(0, -i, 0)
			end := begin.AddDate(0, 1, 0)
			if now.Before(end) {
				end = now
			}
			value, says := m.of(begin, end)
			f.Past = append(f.Past, Point{nameOf(begin), value})
			f.Value, f.Says = value, says // the last one is the page's
		}
		p.Figures = append(p.Figures, f)
	}
	for _, r := range b.drills.Runs() {
		if r.Report != nil && !r.Began.Before(from.AddDate(0, 1-span, 0)) && r.Began.Before(p.Until) {
			p.Drills = append(p.Drills, Score{r.Began, r.Drill, r.Report.Score, r.Report.Lost, r.Report.Customers})
		}
	}
	slices.SortStableFunc(p.Drills, func(x, y Score) int { return cmp.Compare(x.At.UnixNano(), y.At.UnixNano()) })
	return p
}
