// Package history is the past: who could read which field of which customer, when and why, to be asked in milliseconds where the record
// would have to be read from its beginning.
//
// It is fed from the access stream, holds nothing that the stream does not hold, and can be thrown away and made again from it. It refuses to
// answer without the entries that it has not taken in yet (Past reads those from the record), to show who somebody is to who only browses
// (Names gives pseudonyms), and to let a question change anything.
//
// Invariant: an answer lacks nothing that was durable in the record when it was asked, as far back as history reaches.
package history

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport"
)

// Store keeps the past. Its contract is package historytest, which every implementation MUST pass.
type Store interface {
	// Position is how far the record was taken in. It is stored with the rows, in the same transaction.
	Position(ctx context.Context) (Position, error)
	// Add takes in entries of the record in their order, and moves the position to the given one: all of it or nothing. Entries up to
	// the present position are passed over, so that what is given twice stands once.
	Add(ctx context.Context, to uint64, entries []*sallyport.Event) error
	// Saw finds the statements by which values of a customer left. Names are the real ones.
	Saw(ctx context.Context, q Question) (Answer, error)
	// Find names the entries that are any of what is wanted: each of them, where the record still has it.
	Find(ctx context.Context, w Wanted) (Found, error)
	// Exposed says who could read something of whom. Names are the real ones.
	Exposed(ctx context.Context, q Exposing) (Exposed, error)
	// Select runs one SELECT over the documented views, in which people and purposes stand by pseudonyms. errors.Is(err, ErrRefused) where
	// the text is anything else, or asks for too much.
	Select(ctx context.Context, sql string, b Bounds) (*Rows, error)
	// Forget takes away days that are over, and entries that the record has erased.
	Forget(ctx context.Context, f Forgetting) error
	// Close ends it.
	Close() error
}

// Position names an entry of a record.
type Position struct {
	Record string // its id; empty: none was taken in yet
	Entry  uint64
}

// Question is what Saw is asked. Which columns' equal values mean the same customer the store knows from its opening.
type Question struct {
	Customer sallyport.Subject
	Digests  []sallyport.Digest // of values that are the customer's, besides those that the store knows
	Places   []Place            // statements that are to be described, too
	Person   string             // a pseudonym: who is it?
}

// Answer is what Saw found.
type Answer struct {
	Position   uint64 // up to which entry
	Sightings  []*Sighting
	Digests    []sallyport.Digest  // of the customer's values
	Statements map[Place]Statement // of Question.Places, as far as they are known
	Person     sallyport.Staff     // whom Question.Person stands for; empty: nobody whom it knows
}

// Place names one statement in the record.
type Place struct {
	Session   string
	Statement uint64
}

// Statement is what the statement's own entry says.
type Statement struct {
	Verb    string
	Columns []string
}

// Bounds are what a question may cost.
type Bounds struct {
	Time  time.Duration
	Rows  int
	Bytes int // of the answer, about
}

// Rows are the answer to a question in SQL. A value is nil, a bool, an int64, a float64 or a string.
type Rows struct {
	Columns   []string `json:"columns"`
	Rows      [][]any  `json:"rows"`
	Truncated bool     `json:"truncated,omitempty"` // there were more than the bounds allow
}

// Forgetting is what is to go.
type Forgetting struct {
	Before  time.Time // days before this one; zero: none
	Entries []uint64  // of the record
}

// ErrRefused says that a question is none that history answers.
var ErrRefused = errors.New("not a question for history")

// ErrBroken says that the store must be made again from the record.
var ErrBroken = errors.New("history is damaged")

// ErrGone says that the store is not there any more, though what it keeps is: it is to be opened again.
var ErrGone = errors.New("the process that kept history has ended")

// Sighting is one statement by which somebody could read values of a customer.
type Sighting struct {
	Time        time.Time       `json:"time"` // when the first of them left
	Staff       sallyport.Staff `json:"staff"`
	Via         sallyport.Staff `json:"via,omitempty"`     // the service that acted for him
	Claimed     bool            `json:"claimed,omitempty"` // on its own word alone
	Login       string          `json:"login,omitempty"`
	Application string          `json:"application,omitempty"`
	Address     string          `json:"address,omitempty"`
	Session     string          `json:"session"`
	Statement   uint64          `json:"statement"`
	Verb        string          `json:"verb,omitempty"`
	Columns     []string        `json:"columns"`
	Purposes    []string        `json:"purposes,omitempty"`
	Grant       string          `json:"grant,omitempty"`
	// ByValue lists the columns that were found by an equal value only: the row that carried it was another customer's
	// (Under), or nobody knows whose.
	ByValue []string            `json:"by_value,omitempty"`
	Under   []sallyport.Subject `json:"under,omitempty"`
	// Observed: while serve only observed. Columns are then those that the statement asked for, whatever its purpose.
	Observed bool `json:"observed,omitempty"`

	Entry uint64 `json:"-" cbor:"entry"` // of the record, the first of them
}

// Place is the statement's.
func (s *Sighting) Place() Place { return Place{s.Session, s.Statement} }

// SightingOf is what an entry of a reveal, or of a row that was read while serve observed, says of itself.
func SightingOf(e *sallyport.Event) *Sighting {
	s := &Sighting{
		Time: e.Time, Staff: e.Who.Staff, Via: e.Who.Via, Claimed: e.Who.Claimed, Login: e.Who.Login, Application: e.Who.Application, Address: e.Who.Address,
		Session: e.Who.Session, Columns: []string{}, Observed: e.Kind == sallyport.ObservedKind, Entry: e.Seq,
	}
	if e.Reveal == nil {
		s.Statement = e.Touch.Statement
		return s
	}
	s.Statement, s.Grant = e.Reveal.Statement, e.Reveal.Grant
	for _, p := range e.Reveal.Purposes {
		s.Purposes = append(s.Purposes, p.String())
	}
	return s
}

// Unnamed is the name of a column that an entry refers to and does not list.
const Unnamed = "a column that the entry does not name"

// ColumnName is how a sighting names a column.
func ColumnName(c sallyport.Column) string {
	if c == (sallyport.Column{}) {
		return Unnamed
	}
	return c.String()
}

// Add notes one value of the statement: under whom it stood, and whether that is the customer.
func (s *Sighting) Add(column string, under sallyport.Subject, direct bool) {
	include(&s.Columns, column)
	if direct {
		return
	}
	include(&s.ByValue, column)
	if under != "" {
		include(&s.Under, under)
	}
}

// Describe adds what the statement's own entry says.
func (s *Sighting) Describe(of Statement) {
	s.Verb = of.Verb
	if !s.Observed {
		return
	}
	for _, column := range of.Columns {
		include(&s.Columns, column)
	}
}

// join adds what a later entry of the same statement showed.
func (s *Sighting) join(later *Sighting) {
	for _, c := range later.Columns {
		include(&s.Columns, c)
	}
	for _, c := range later.ByValue {
		include(&s.ByValue, c)
	}
	for _, c := range later.Under {
		include(&s.Under, c)
	}
	if s.Verb == "" {
		s.Verb = later.Verb
	}
}

func include[T comparable](list *[]T, one T) {
	if !slices.Contains(*list, one) {
		*list = append(*list, one)
	}
}
