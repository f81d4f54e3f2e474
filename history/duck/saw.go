package duck

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/history"
)

// Saw is history.Store's.
func (s *Store) Saw(ctx context.Context, q history.Question) (history.Answer, error) {
	a, err := s.saw(ctx, q)
	if err != nil {
		return history.Answer{}, broken("ask history", err)
	}
	return a, nil
}

// named finds whom a pseudonym stands for.
func (s *Store) named(pseudonym string) sallyport.Staff {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who := range s.dict.people {
		if s.o.Names.Person(who) == pseudonym {
			return who
		}
	}
	return ""
}

// question is one that is being answered, in one transaction.
type question struct {
	history.Question
	s     *Store
	ctx   context.Context //nolint:containedctx // of one question
	conn  *sql.Conn
	id    int64
	rows  []sawRow
	under map[int64]sallyport.Subject
	loose []sallyport.Digest // values of his that are not compacted as his: shared does not say who else has them
}

// sawRow is one value of the answer.
type sawRow struct {
	entry    int64
	field    int16
	customer int64
}

func (s *Store) saw(ctx context.Context, question_ history.Question) (a history.Answer, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return a, err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION"); err != nil {
		return a, err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // it only read
	q := &question{Question: question_, s: s, ctx: ctx, conn: conn, id: customerID(question_.Customer), under: map[int64]sallyport.Subject{}}
	if err := conn.QueryRowContext(ctx, "SELECT max(entry) FROM position").Scan(&a.Position); err != nil {
		return a, err
	}
	if q.Customer != "" || len(q.Digests) > 0 {
		if err := q.direct(); err != nil {
			return a, err
		}
		if err := q.elsewhere(); err != nil {
			return a, err
		}
		a.Digests = q.Digests
		if a.Sightings, err = q.sightings(); err != nil {
			return a, err
		}
	}
	if q.Person != "" {
		a.Person = s.named(q.Person)
	}
	a.Statements, err = q.statements(q.Places)
	return a, err
}

// direct finds rows of the customer, and his values.
func (q *question) direct() error {
	if q.Customer == "" {
		q.loose = q.Digests
		return nil
	}
	err := q.each(`SELECT entry, field FROM seen WHERE customer = ?1 AND field >= 0 UNION ALL SELECT entry, field FROM fresh WHERE customer = ?1 AND field >= 0`,
		func(scan func(...any) error) error {
			r := sawRow{customer: q.id}
			if err := scan(&r.entry, &r.field); err != nil {
				return err
			}
			q.rows = append(q.rows, r)
			return nil
		}, q.id)
	if err != nil {
		return err
	}
	compacted := map[sallyport.Digest]bool{}
	for _, d := range q.Digests {
		compacted[d] = false
	}
	err = q.each(`SELECT hi, lo, true FROM held WHERE customer = ?1 UNION SELECT hi, lo, false FROM fresh WHERE customer = ?1 AND (hi <> 0 OR lo <> 0)`,
		func(scan func(...any) error) error {
			var hi, lo int64
			var is bool
			if err := scan(&hi, &lo, &is); err != nil {
				return err
			}
			d := whole(hi, lo)
			compacted[d] = compacted[d] || is
			return nil
		}, q.id)
	q.Digests = slices.Collect(maps.Keys(compacted))
	for d, is := range compacted {
		if !is {
			q.loose = append(q.loose, d)
		}
	}
	return err
}

// matching is the condition that a value is one of some.
func matching(digests []sallyport.Digest) string {
	his := make([]int64, 0, len(digests))
	match := make([]string, 0, len(digests))
	for _, d := range digests {
		hi, lo := halves(d)
		his = append(his, hi)
		match = append(match, "hi = "+literal(hi)+" AND lo = "+literal(lo))
	}
	return "hi IN (" + list(his) + ") AND (" + strings.Join(match, " OR ") + ")"
}

// elsewhere finds equal values in rows that are not the customer's: of columns that identify somebody, or where nobody knows whose they are.
func (q *question) elsewhere() error {
	if len(q.Digests) == 0 {
		return nil
	}
	q.s.mu.Lock()
	fields := append(q.s.dict.telling(), 0)
	q.s.mu.Unlock()
	matches := matching(q.Digests)
	take := func(scan func(...any) error) error {
		var r sawRow
		if err := scan(&r.entry, &r.field, &r.customer); err != nil {
			return err
		}
		q.rows = append(q.rows, r)
		return nil
	}
	tell := "(customer = " + literal(int64(nobody)) + " OR field IN (" + list(fields) + "))"
	if err := q.each("SELECT entry, field, customer FROM fresh WHERE customer <> ?1 AND field > 0 AND "+matches+" AND "+tell, take, q.id); err != nil {
		return err
	}
	others := map[int64]bool{nobody: true}
	query := "SELECT DISTINCT customer FROM shared WHERE customer <> ?1 AND " + matches
	if len(q.loose) > 0 { // only a value that was compacted as his was compared with everybody's then
		query += " UNION SELECT customer FROM held WHERE customer <> ?1 AND field IN (" + list(fields) + ") AND " + matching(q.loose)
	}
	err := q.each(query, func(scan func(...any) error) error {
		var other int64
		err := scan(&other)
		others[other] = true
		return err
	}, q.id)
	if err != nil {
		return err
	}
	for _, other := range slices.Sorted(maps.Keys(others)) {
		if other == q.id {
			continue
		}
		err := q.each(`SELECT r.entry, r.field, r.customer FROM seen r JOIN (SELECT field, nth FROM held WHERE customer = ?1 AND `+matches+` AND `+tell+`) h
			ON h.field = r.field AND h.nth = r.nth WHERE r.customer = ?1`, take, other)
		if err != nil {
			return err
		}
	}
	return nil
}

// sightings makes one of each statement out of the rows.
func (q *question) sightings() ([]*history.Sighting, error) {
	if err := q.keys(); err != nil {
		return nil, err
	}
	entries := map[int64]*history.Sighting{}
	for _, r := range q.rows {
		entries[r.entry] = nil
	}
	if err := q.entries(entries); err != nil {
		return nil, err
	}
	slices.SortFunc(q.rows, func(a, b sawRow) int {
		return cmp.Or(cmp.Compare(a.entry, b.entry), cmp.Compare(a.field, b.field), cmp.Compare(a.customer, b.customer))
	})
	found := map[history.Place]*history.Sighting{}
	list := []*history.Sighting{}
	for _, r := range q.rows {
		from := entries[r.entry]
		if from == nil {
			continue // an entry that went meanwhile
		}
		s := found[from.Place()]
		if s == nil {
			s = from
			found[from.Place()] = s
			list = append(list, s)
		}
		if r.field > 0 {
			s.Add(q.column(r.field), q.under[r.customer], r.customer == q.id && q.Customer != "")
		}
	}
	return list, q.describe(list)
}

func (q *question) column(field int16) string {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	return history.ColumnName(q.s.dict.columns[field])
}

// keys finds the keys of other customers.
func (q *question) keys() error {
	var hashed []int64
	for _, r := range q.rows {
		switch {
		case r.customer >= 0:
			q.under[r.customer] = sallyport.Subject(strconv.FormatInt(r.customer, 10))
		case r.customer != nobody:
			hashed = append(hashed, r.customer)
		}
	}
	texts, err := q.texts(hashed)
	maps.Copy(q.under, texts)
	return err
}

// texts are the keys of customers that are no numbers.
func (q *question) texts(ids []int64) (map[int64]sallyport.Subject, error) {
	keys := map[int64]sallyport.Subject{}
	for some := range slices.Chunk(ids, perList) {
		in := list(some)
		err := q.each("SELECT id, key FROM customers WHERE id IN ("+in+") UNION SELECT id, key FROM fresh_keys WHERE id IN ("+in+")", func(scan func(...any) error) error {
			var id int64
			var key sallyport.Subject
			err := scan(&id, &key)
			keys[id] = key
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// entries fills in what is known of the entries themselves.
func (q *question) entries(of map[int64]*history.Sighting) error {
	type reference struct {
		s             *history.Sighting
		actor, reason int32
	}
	var refs []reference
	for some := range slices.Chunk(slices.Sorted(maps.Keys(of)), 4000) {
		err := q.each("SELECT entry, time, kind, actor, statement, verb, reason FROM batches WHERE entry IN ("+list(some)+")", func(scan func(...any) error) error {
			var entry, statement int64
			var at time.Time
			var kind int8
			var verb int32
			r := reference{s: &history.Sighting{Columns: []string{}}}
			if err := scan(&entry, &at, &kind, &r.actor, &statement, &verb, &r.reason); err != nil {
				return err
			}
			if kind == kindReached {
				return nil
			}
			r.s.Entry, r.s.Time, r.s.Observed, r.s.Statement = uint64(entry), at.UTC(), kind == kindObserved, uint64(statement) //nolint:gosec // there and back
			r.s.Verb = q.word(verb)
			of[entry] = r.s
			refs = append(refs, r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	actors, reasons := map[int32]*actor{}, map[int32][]string{}
	for _, r := range refs {
		actors[r.actor], reasons[r.reason] = nil, nil
	}
	if err := q.actors(actors); err != nil {
		return err
	}
	if err := q.reasons(reasons); err != nil {
		return err
	}
	for _, r := range refs {
		if a := actors[r.actor]; a != nil {
			r.s.Staff, r.s.Via, r.s.Claimed, r.s.Session, r.s.Login, r.s.Application, r.s.Address = a.staff, a.via, a.claimed, a.session, a.login, a.application, a.address
		}
		if texts := reasons[r.reason]; len(texts) > 0 {
			r.s.Grant, r.s.Purposes = texts[0], texts[1:]
			if len(r.s.Purposes) == 0 {
				r.s.Purposes = nil
			}
		}
	}
	return nil
}

func (q *question) word(id int32) string {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	return q.s.dict.texts[id]
}

func (q *question) each(query string, fn func(scan func(...any) error) error, args ...any) error {
	return each(q.ctx, q.conn, query, fn, args...)
}

func literal[T int16 | int32 | int64](n T) string {
	if int64(n) == nobody {
		return "(" + strconv.FormatInt(nobody+1, 10) + " - 1)"
	}
	return strconv.FormatInt(int64(n), 10)
}

func list[T int16 | int32 | int64](numbers []T) string {
	var b strings.Builder
	for i, n := range numbers {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(literal(n))
	}
	return b.String()
}

// chunks and tuples write entries into a statement.
func chunks(entries []uint64, size int) [][]uint64 {
	return slices.Collect(slices.Chunk(entries, size))
}

func tuples(entries []uint64) string {
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("(" + strconv.FormatUint(e, 10) + ")")
	}
	return b.String()
}
