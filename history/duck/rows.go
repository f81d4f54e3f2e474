package duck

import (
	"database/sql/driver"
	"errors"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"sallyport"
	"sallyport/history"
)

// Days of the tables' columns are those since 1970, times microseconds since then.

// freshRows are rows of fresh.
type freshRows struct {
	loader
	day, person             []int32
	entry, customer, hi, lo []int64
	field                   []int16
}

func newFreshRows(conn driver.Conn) (*freshRows, error) {
	r := &freshRows{}
	const number, long = mapping.TypeInteger, mapping.TypeBigInt
	return r, r.open(conn, "fresh", func() {
		r.day, r.entry, r.person, r.customer = column[int32](&r.loader, 0), column[int64](&r.loader, 1), column[int32](&r.loader, 2), column[int64](&r.loader, 3)
		r.field, r.hi, r.lo = column[int16](&r.loader, 4), column[int64](&r.loader, 5), column[int64](&r.loader, 6)
	}, number, long, number, long, mapping.TypeSmallInt, long, long)
}

// batchRows are rows of batches.
type batchRows struct {
	loader
	day, actor, verb, reason, fields []int32
	entry, time, statement           []int64
	kind                             []int8
}

func newBatchRows(conn driver.Conn) (*batchRows, error) {
	r := &batchRows{}
	const number, long = mapping.TypeInteger, mapping.TypeBigInt
	return r, r.open(conn, "batches", func() {
		r.day, r.entry, r.time, r.kind = column[int32](&r.loader, 0), column[int64](&r.loader, 1), column[int64](&r.loader, 2), column[int8](&r.loader, 3)
		r.actor, r.statement, r.verb = column[int32](&r.loader, 4), column[int64](&r.loader, 5), column[int32](&r.loader, 6)
		r.reason, r.fields = column[int32](&r.loader, 7), column[int32](&r.loader, 8)
	}, mapping.TypeDate, long, mapping.TypeTimestamp, mapping.TypeTinyInt, number, long, number, number, number)
}

// actRows are rows of acts.
type actRows struct {
	loader
	day, kind, actor, verb, shape, fields, reason, code, note []int32
	entry, time, statement                                    []int64
	writes                                                    []bool
}

func newActRows(conn driver.Conn) (*actRows, error) {
	r := &actRows{}
	const number, long = mapping.TypeInteger, mapping.TypeBigInt
	return r, r.open(conn, "acts", func() {
		r.day, r.entry, r.time, r.kind, r.actor = column[int32](&r.loader, 0), column[int64](&r.loader, 1), column[int64](&r.loader, 2), column[int32](&r.loader, 3), column[int32](&r.loader, 4)
		r.statement, r.verb, r.shape, r.fields = column[int64](&r.loader, 5), column[int32](&r.loader, 6), column[int32](&r.loader, 7), column[int32](&r.loader, 8)
		r.reason, r.code, r.writes, r.note = column[int32](&r.loader, 9), column[int32](&r.loader, 10), column[bool](&r.loader, 11), column[int32](&r.loader, 12)
	}, mapping.TypeDate, long, mapping.TypeTimestamp, number, number, long, number, number, number, number, number, mapping.TypeBoolean, number)
}

// many are the tables that get rows with nearly every entry.
type many struct {
	fresh   *freshRows
	batches *batchRows
	acts    *actRows
}

func openMany(conn driver.Conn) (m many, err error) {
	if m.fresh, err = newFreshRows(conn); err == nil {
		if m.batches, err = newBatchRows(conn); err == nil {
			m.acts, err = newActRows(conn)
		}
	}
	return m, err
}

func (m *many) close() (err error) {
	if m.fresh != nil {
		err = errors.Join(err, m.fresh.close())
	}
	if m.batches != nil {
		err = errors.Join(err, m.batches.close())
	}
	if m.acts != nil {
		err = errors.Join(err, m.acts.close())
	}
	return err
}

// batchRow is the row of an entry whose values or rows follow.
func (b *batch) batchRow(e *sallyport.Event, kind int8, statement uint64, columns []sallyport.Column, purposes []sallyport.Purpose, grant string) error {
	w, r := b.who(e), b.many.batches
	b.person = w.person
	i := r.n
	r.day[i], r.entry[i], r.time[i], r.kind[i] = b.day, b.entry, e.Time.UnixMicro(), kind
	r.actor[i], r.statement[i], r.verb[i] = w.actor, int64(statement), b.d.verbOf(history.Place{Session: e.Who.Session, Statement: statement}) //nolint:gosec // there and back
	r.reason[i], r.fields[i] = b.d.reasonOf(w, purposes, grant), b.d.setOf(w, columns).word
	return r.next()
}

// value is the row of one value, or of one customer whose row was returned.
func (b *batch) value(customer int64, field int16, d *sallyport.Digest) error {
	r := b.many.fresh
	i := r.n
	r.day[i], r.entry[i], r.person[i], r.customer[i], r.field[i] = b.day, b.entry, b.person, customer, field
	r.hi[i], r.lo[i] = halves(*d)
	b.rows++
	return r.next()
}
