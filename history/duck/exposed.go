package duck

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/history"
)

// exposedRows is how many values one part of Exposed is made of, about.
const exposedRows = 2_000_000

// Exposed is history.Store's.
func (s *Store) Exposed(ctx context.Context, q history.Exposing) (history.Exposed, error) {
	var x history.Exposed
	err := s.reading(ctx, func(conn *sql.Conn) error {
		return (&exposing{question{s: s, ctx: ctx, conn: conn}, q, &x}).answer()
	})
	if err != nil {
		return history.Exposed{}, broken("ask history", err)
	}
	return x, nil
}

// exposing is an Exposed that is being answered.
type exposing struct {
	question
	q history.Exposing
	x *history.Exposed
}

// values are those that left in plain under a customer's name, by the entries that are asked for.
func (q *exposing) values(columns string) string {
	of := fmt.Sprintf(" WHERE field > 0 AND customer >= %s AND entry > %d AND entry <= %d", literal(q.q.From), q.q.After, q.q.To)
	if q.x.More {
		of += " AND customer < " + literal(q.x.Next)
	}
	return "(SELECT " + columns + " FROM seen" + of + " UNION ALL SELECT " + columns + " FROM fresh" + of + ")"
}

func (q *exposing) answer() error {
	if err := q.bound(); err != nil {
		return err
	}
	type shows struct {
		fields int32
		ticket bool
	}
	people, what, hashed := map[int32]uint32{}, map[shows]uint32{}, map[int64]bool{}
	var person int32
	var s shows
	var customer, first int64
	err := q.each(`SELECT v.person, v.customer, b.fields, coalesce(starts_with(r.purposes, 'ticket:'), false), epoch_us(min(b.time)) // 1000000
		FROM `+q.values("person, customer, entry")+` v JOIN batches b ON b.entry = v.entry LEFT JOIN reasons r ON r.id = b.reason
		WHERE b.kind = `+literal(int16(kindReveal))+` GROUP BY ALL`, func(scan func(...any) error) error {
		if err := scan(&person, &customer, &s.fields, &s.ticket, &first); err != nil {
			return err
		}
		who, known := people[person]
		if !known {
			who = uint32(len(q.x.People)) //nolint:gosec // a company has fewer people
			people[person] = who
			q.x.People = append(q.x.People, q.person(person))
		}
		shown, known := what[s]
		if !known {
			shown = uint32(len(q.x.Shows)) //nolint:gosec // sets of columns
			what[s] = shown
			q.x.Shows = append(q.x.Shows, history.Shows{Columns: q.names(s.fields), Ticket: s.ticket})
		}
		if customer < 0 {
			hashed[customer] = true
		}
		q.x.Who, q.x.What, q.x.Whom, q.x.First = append(q.x.Who, who), append(q.x.What, shown), append(q.x.Whom, customer), append(q.x.First, first)
		return nil
	})
	if err != nil || len(hashed) == 0 {
		return err
	}
	return q.keys(hashed)
}

// bound finds where this part ends.
func (q *exposing) bound() error {
	most := cmp.Or(q.s.o.ExposedRows, exposedRows)
	var n int
	if err := q.conn.QueryRowContext(q.ctx, "SELECT count(*) FROM "+q.values("1")).Scan(&n); err != nil || n <= most {
		return err
	}
	query := fmt.Sprintf("SELECT approx_quantile(customer, %g) FROM %s", float64(most)/float64(n), q.values("customer")) //nolint:gosec // numbers
	if err := q.conn.QueryRowContext(q.ctx, query).Scan(&q.x.Next); err != nil {
		return err
	}
	q.x.More, q.x.Next = true, max(q.x.Next, q.q.From+1)
	return nil
}

// names are the bare names of a set of columns.
func (q *exposing) names(set int32) (names []string) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	text := q.s.dict.texts[set]
	if text == "" {
		return nil
	}
	for name := range strings.SplitSeq(text, ", ") {
		names = append(names, name[strings.LastIndexByte(name, '.')+1:])
	}
	return names
}

// keys are those of customers that are no numbers.
func (q *exposing) keys(hashed map[int64]bool) (err error) {
	q.x.Keys, err = q.texts(slices.Collect(maps.Keys(hashed)))
	return err
}
