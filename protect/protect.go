// Package protect turns the values of a database into tokens, row by row, while nobody else is connected, and leaves the mark
// by which a gateway knows such a database.
//
// It refuses, before it changes anything, what could not be undone or would leave something plain: too narrow columns, values
// that have no token, keys, triggers, other people's sessions. It never prints or wraps a value.
// Its invariants: a range of rows changes in one transaction, so that a run may be cut at any point and started again; and
// the mark is complete only after every value of every protected column was read again and found to be a token.
package protect

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"sallyport"
	"sallyport/token"
)

// Options say what to protect. All fields are required but those that say otherwise.
type Options struct {
	DSN      string // of the tables' owner, who may create roles and a schema: usually the superuser
	Columns  []Column
	Reader   Reader
	RecordID string    // of the record that the gateway will write, 16 bytes in hex
	Position uint64    // how far that record has come
	Random   io.Reader // MUST be safe for concurrent use, such as crypto/rand.Reader
	Recorded Set       // what that record says is protected; nil: nothing yet
	Renamed  bool      // the record does not know the database by name: Recorded counts only where it is marked

	// Dead tells whether a token was drawn at random for a customer who was shredded: it stands for nothing, and stays. Optional.
	Dead func(c Column, tok string) bool

	// Begin is called once everything was found fit, before the first change. It MUST be durable when it returns: from then on the
	// record knows what is protected, whatever becomes of the mark. Optional.
	Begin func(Set) error

	// Progress is called now and then for each table, from one goroutine at a time. Every row counts three times: it is
	// examined, moved, and looked at again. Optional.
	Progress func(table string, done, total int64)

	Live     *Live  // the serve beside which MoveIn and MoveOut work; Run has none
	Proposal string // of MoveOut: that two people agreed on

	Connections int // that work at the same time; default 2
	RangeRows   int // rows a transaction; default 5,000
}

// Column is one column to protect.
type Column struct {
	Column   sallyport.Column
	Codec    *token.Codec
	Overflow *token.Overflow // what has no token is kept in the vault; nil: it is refused
}

// Reader is the role with which the gateway resolves reasons: it may read the protected tables and Tables, and nothing else.
type Reader struct {
	User     string
	Password Password
	Tables   []Table // to read besides those with protected columns: where reasons stand
}

// Table names a table.
type Table struct{ Schema, Name string }

// String is schema.table, for people.
func (t Table) String() string { return t.Schema + "." + t.Name }

// Report says what a run did.
type Report struct {
	Columns []ColumnReport // in the order of Options.Columns; of MoveIn and MoveOut, those that moved
	Remains []Remainder    // of MoveIn: what still holds the values as they were
	Steps   []Step         // of MoveIn and MoveOut: how long each took
}

// Step is a part of a run.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Remainder is a place where plain values are still to be found.
type Remainder struct {
	What  string `json:"what"`
	Purge string `json:"purge"` // how it is rid of them
}

// ColumnReport is what became of one column.
type ColumnReport struct {
	Column sallyport.Column
	Tokens int64 // values that are tokens now
	Moved  int64 // of these, made by this run
}

// Run protects the columns. On an error the database may be partly protected; the next run goes on from there.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.check(); err != nil {
		return Report{}, err
	}
	r := &run{Options: o}
	defer r.close(ctx)
	for _, step := range []func(context.Context) error{
		r.connect,
		r.excludeOthers,
		r.readMark,
		r.inspect, // from here on r.tables is complete
		r.examine, // nothing has changed so far
		r.begin,
		r.makeBondIndexes,
		r.move,
		r.dropBondIndexes,
		r.rebuild,
		r.verify,
		r.release,
		r.end,
	} {
		if err := step(ctx); err != nil {
			return r.report(), err
		}
	}
	return r.report(), nil
}

func (o *Options) check() error {
	switch id, err := hex.DecodeString(o.RecordID); {
	case o.DSN == "":
		return errors.New("protect: no database given")
	case len(o.Columns) == 0:
		return errors.New("protect: no column given")
	case o.Reader.User == "" || o.Reader.Password == Password{}:
		return errors.New("protect: the reader has no name or no password")
	case o.Random == nil:
		return errors.New("protect: no source of randomness given")
	case err != nil || len(id) != recordIDBytes:
		return fmt.Errorf("protect: the record's id is not %d bytes in hex", recordIDBytes)
	case o.Position > math.MaxInt64:
		return fmt.Errorf("protect: position %d is out of range", o.Position)
	}
	for _, c := range o.Columns {
		if c.Codec == nil {
			return fmt.Errorf("protect: no codec for %s", c.Column)
		}
	}
	if o.Connections < 1 {
		o.Connections = 2
	}
	if o.RangeRows < 1 {
		o.RangeRows = 5_000
	}
	return nil
}

// begin makes what is to be there before the first row changes.
func (r *run) begin(ctx context.Context) error {
	set := SetOf(r.Columns)
	if slices.ContainsFunc(r.tables, func(t *table) bool { return len(t.formless()) > 0 }) {
		if err := r.keepRanges(ctx); err != nil {
			return err
		}
		if err := r.hold(ctx); err != nil {
			return err
		}
	}
	if r.Begin != nil {
		if err := r.Begin(set); err != nil {
			return err
		}
	}
	if err := beginMark(ctx, r.main, Mark{RecordID: r.RecordID, Position: r.Position, Columns: set}, r.Random); err != nil {
		return err
	}
	return r.makeReader(ctx)
}

// end completes the mark.
func (r *run) end(ctx context.Context) error { return endMark(ctx, r.main) }

func (r *run) report() Report {
	report := Report{Columns: make([]ColumnReport, len(r.Columns)), Remains: r.remains, Steps: r.steps}
	for i, c := range r.Columns {
		report.Columns[i].Column = c.Column
	}
	for _, t := range r.tables {
		for _, c := range t.columns {
			report.Columns[c.index].Tokens, report.Columns[c.index].Moved = c.tokens.Load(), c.moved.Load()
		}
	}
	return report
}
