package historytest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"sallyport"
)

// The organisation of the figures: that of 2019, for 90 days.
const (
	WorkCustomers = 12_000_000 // who may be looked at
	workStaff     = 3_000
	workPerDay    = 1_111_111 // reveals: 100 million in 90 days
	PerStatement  = 4         // values: name, address, number, ticket
	perTicket     = 3         // statements
)

// Work makes up who looks at whom: the same for the same seed.
type Work struct {
	seq     uint64
	day     int
	days    int
	perDay  int // statements
	done    int
	dice    *rand.Rand
	columns []sallyport.Column
	desk    []desk
}

// desk is what one of the staff is at.
type desk struct {
	who       sallyport.Who
	customer  uint64
	ticket    sallyport.Purpose
	left      int
	statement uint64
}

// NewWork is that of so many values that left, about, in as many days as they take.
func NewWork(reveals int) *Work {
	days := max(1, reveals/workPerDay)
	w := &Work{days: days, perDay: reveals / days / PerStatement, dice: rand.New(rand.NewPCG(1, 1)), desk: make([]desk, workStaff)} //nolint:gosec // made up, and the same again
	for _, name := range []string{"full_name", "email", "phone", "birth_date"} {
		w.columns = append(w.columns, sallyport.Column{Schema: "support", Table: "customers", Name: name})
	}
	return w
}

// Day counts the days of work that are over.
func (w *Work) Day() int { return w.day }

// Next are the entries of some statements, until the work is done.
func (w *Work) Next(statements int) []*sallyport.Event {
	var events []*sallyport.Event
	for range statements {
		if w.done == w.perDay {
			w.day, w.done = w.day+1, 0
		}
		if w.day == w.days {
			return events
		}
		events = append(events, w.statement()...)
		w.done++
	}
	return events
}

func (w *Work) statement() []*sallyport.Event {
	i := w.dice.IntN(workStaff)
	d := &w.desk[i]
	if w.done < workStaff && d.who.Session[max(0, len(d.who.Session)-3):] != fmt.Sprintf("%03d", w.day) || d.who.Staff == "" { // a session a day
		d.who = sallyport.Who{
			Staff: sallyport.Staff(fmt.Sprintf("s%04d", i)), Login: fmt.Sprintf("agent_%04d", i), Session: fmt.Sprintf("%016x%03d", w.dice.Uint64(), w.day), Application: "desk",
			Address: fmt.Sprintf("10.4.%d.%d:%d", i/250, i%250, 40_000+w.dice.IntN(20_000)), Database: "support", Team: fmt.Sprintf("team-%d", i/20), Device: fmt.Sprintf("lap-%04d", i),
		}
		d.statement = 0
	}
	if d.left == 0 {
		d.customer, d.left = 1+w.dice.Uint64N(WorkCustomers), perTicket
		d.ticket = sallyport.Purpose{Kind: "ticket", Ref: fmt.Sprintf("ZQ-%04d-%04d", w.dice.IntN(10_000), w.dice.IntN(10_000))}
	}
	d.left--
	d.statement++
	at := time.Date(2026, 3, 2+w.day, 7, 0, 0, 0, time.UTC).Add(time.Duration(float64(w.done) / float64(w.perDay) * float64(12*time.Hour))).Add(time.Duration(w.dice.IntN(1_000_000)))
	var values sallyport.Values
	for c := range uint16(PerStatement) {
		values.AddNumber(d.customer, c, digestOf(d.customer, c))
	}
	purposes := []sallyport.Purpose{d.ticket}
	w.seq += 2
	return []*sallyport.Event{
		{Seq: w.seq - 1, Time: at, Kind: sallyport.StatementKind, Who: d.who, Statement: &sallyport.Statement{
			ID: d.statement, Verb: "SELECT", Fingerprint: "3fab0c" + strconv.Itoa(int(d.customer%40)), Columns: w.columns, Purposes: purposes, //nolint:gosec // small
		}},
		{Seq: w.seq, Time: at.Add(3 * time.Millisecond), Kind: sallyport.RevealKind, Who: d.who, Reveal: &sallyport.Revealed{Statement: d.statement, Columns: w.columns, Values: values, Purposes: purposes}},
	}
}

// digestOf is that of a customer's value: as random as a keyed one.
func digestOf(customer uint64, column uint16) (d sallyport.Digest) {
	x := rand.New(rand.NewPCG(customer, uint64(column))) //nolint:gosec // made up
	binary.BigEndian.PutUint64(d[:8], x.Uint64())
	binary.BigEndian.PutUint64(d[8:], x.Uint64())
	return d
}
