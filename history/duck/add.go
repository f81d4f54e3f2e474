package duck

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"sallyport"
	"sallyport/history"
)

// Add is history.Store's. It compacts when there is enough to compact, or a day is over.
func (s *Store) Add(ctx context.Context, to uint64, entries []*sallyport.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to <= s.at {
		return nil
	}
	if err := s.sorted(ctx, false); err != nil {
		return err
	}
	before := s.fresh
	err := transact(ctx, s.writer, func() error { return s.write(to, entries) })
	if err != nil {
		s.fresh = before
		// What is in memory may number what was not stored.
		unsorted := s.sorted(context.WithoutCancel(ctx), true)
		return broken("add to history", errors.Join(err, unsorted, s.reload(context.WithoutCancel(ctx))))
	}
	s.at = to
	enough := cmp.Or(s.o.CompactRows, compactRows)
	s.due = s.turnDay(entries) && s.fresh >= enough/partOfRows || s.due || s.fresh >= enough
	if !s.due || s.beside != nil && s.fresh-s.beside.rows < enough {
		return nil // what is under way may end first: to wait for it here would leave a processor idle
	}
	return s.sort(ctx)
}

// turnDay moves to the day of the last entry, and says whether rows of an earlier one wait, to which no more will be added.
func (s *Store) turnDay(entries []*sallyport.Event) bool {
	before := s.day
	for _, e := range entries {
		s.day = max(s.day, dayOf(e.Time))
	}
	return before != 0 && s.day > before && s.fresh > 0
}

// transact does something all or not at all.
func transact(ctx context.Context, conn *sql.Conn, do func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION"); err != nil {
		return err
	}
	return finish(ctx, conn, do)
}

// finish does it in the transaction that is open.
func finish(ctx context.Context, conn *sql.Conn, do func() error) error {
	if err := do(); err != nil {
		_, back := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, back)
	}
	return patiently(ctx, conn, "COMMIT")
}

// batch writes the rows of entries through an appender for each table.
type batch struct {
	d         *dictionaries
	names     *history.Names
	conn      driver.Conn
	appenders map[string]*duckdb.Appender
	many      many
	keys      map[int64]bool // of customers whose key is a text, which this batch has noted
	rows      int

	// Of the entry that is being added.
	day    int32
	entry  int64
	whose  *working // nil: nobody has asked yet
	person int32
}

// moment is the day and the entry that rows follow of.
func (b *batch) moment(e *sallyport.Event) {
	b.day, b.entry, b.whose = dayOf(e.Time), int64(e.Seq), nil //nolint:gosec // entries are counted from 1
}

// who is who acts in the entry.
func (b *batch) who(e *sallyport.Event) *working {
	if b.whose == nil {
		b.whose = b.d.at(b.day, &e.Who)
	}
	return b.whose
}

func (s *Store) write(to uint64, entries []*sallyport.Event) error {
	return s.append(s.writer, func(b *batch) (err error) {
		if err := b.open(); err != nil {
			return err
		}
		for _, e := range entries {
			if e.Seq <= s.at {
				continue
			}
			if err := b.add(e); err != nil {
				return err
			}
		}
		s.fresh += b.rows
		return errors.Join(b.numbered(), b.row("position", to)) // the highest counts; a compaction takes the others away
	})
}

// append writes rows through appenders, within the transaction that is open.
func (s *Store) append(to *sql.Conn, do func(*batch) error) error {
	return to.Raw(func(conn any) (err error) {
		b := &batch{d: s.dict, names: s.o.Names, conn: conn.(driver.Conn), appenders: map[string]*duckdb.Appender{}, keys: map[int64]bool{}}
		defer func() {
			err = errors.Join(err, b.close())
		}()
		return do(b)
	})
}

// open begins with the tables that get many rows.
func (b *batch) open() (err error) {
	b.many, err = openMany(b.conn)
	return err
}

// close brings over what is left of all tables.
func (b *batch) close() (err error) {
	for _, a := range b.appenders {
		err = errors.Join(err, a.Close())
	}
	return errors.Join(err, b.many.close())
}

func (b *batch) table(name string) (*duckdb.Appender, error) {
	if a := b.appenders[name]; a != nil {
		return a, nil
	}
	a, err := duckdb.NewAppenderFromConn(b.conn, "", name)
	if err == nil {
		b.appenders[name] = a
	}
	return a, err
}

func (b *batch) row(table string, values ...driver.Value) error {
	a, err := b.table(table)
	if err != nil {
		return err
	}
	return a.AppendRow(values...)
}

// dayOf counts days since 1970, in UTC.
func dayOf(t time.Time) int32 {
	s := t.Unix()
	if s < 0 {
		s -= 86_399
	}
	return int32(s / 86_400) //nolint:gosec // until the year 5881580
}

func date(day int32) time.Time { return time.Unix(int64(day)*86_400, 0).UTC() }

// add writes one entry, where history keeps its kind.
func (b *batch) add(e *sallyport.Event) error {
	if e.Restates != nil { // it is kept as what it was, and where it stands until its own time is up
		b.moment(e)
		if err := b.row("marks", date(b.day), b.entry, int8(markAgain), b.d.person(e.Who.Staff), b.d.person(e.Who.Via)); err != nil {
			return err
		}
		e = e.AsItWas()
	}
	b.moment(e)
	if err := b.mark(e); err != nil {
		return err
	}
	switch e.Kind {
	case sallyport.RevealKind, sallyport.ObservedKind, sallyport.TouchKind:
		return errors.Join(b.revealed(e), b.reached(e))
	case sallyport.StatementKind:
		if e.Statement != nil {
			b.d.began(history.Place{Session: e.Who.Session, Statement: e.Statement.ID}, b.d.word(e.Statement.Verb))
		}
	default:
	}
	if isAct(e.Kind) {
		return b.act(e)
	}
	return nil
}

// mark notes where an entry stands that is not kept here and that a question about somebody needs, and which tables it mentions.
func (b *batch) mark(e *sallyport.Event) error {
	if st := e.Statement; st != nil {
		for _, name := range st.Tables {
			if b.d.mention(name) {
				if err := b.row("mentions", name); err != nil {
					return err
				}
			}
		}
	}
	what := int8(markOther)
	switch {
	case len(e.Facts) > 0:
		what = markFacts
	case e.Imported != nil, e.Kind == sallyport.ObservedKind, e.Kind == sallyport.ShapeKind:
		what = markTells
	case e.Who.Staff == "" && e.Who.Via == "" || standsHere(e), e.Kind == sallyport.ResultKind && (e.Result == nil || e.Result.Masked == 0):
		return nil
	}
	return b.row("marks", date(b.day), b.entry, what, b.d.person(e.Who.Staff), b.d.person(e.Who.Via))
}

// standsHere says whether an entry has a row in acts or batches.
func standsHere(e *sallyport.Event) bool {
	switch e.Kind {
	case sallyport.RevealKind:
		return e.Reveal != nil
	case sallyport.TouchKind:
		return e.Reveal != nil || e.Touch != nil
	default:
		return isAct(e.Kind)
	}
}

// isAct says whether entries of a kind are kept without values.
func isAct(kind sallyport.EventKind) bool {
	switch kind {
	case sallyport.StatementKind, sallyport.RefusedKind, sallyport.PowerKind, sallyport.CopyKind, sallyport.BudgetReached, sallyport.StrayKind, sallyport.AroundKind,
		sallyport.EntryRefused, sallyport.ActingKind, sallyport.SessionStart, sallyport.SessionEnd, sallyport.ReplicationStart, sallyport.ReplicationEnd:
		return true
	default: // counters, facts and ties are no access to anything protected
		return false
	}
}

func (b *batch) revealed(e *sallyport.Event) error {
	if e.Reveal == nil {
		return nil
	}
	kind := int8(kindReveal)
	if e.Kind == sallyport.ObservedKind {
		kind = kindObserved
	}
	if err := b.batchRow(e, kind, e.Reveal.Statement, e.Reveal.Columns, e.Reveal.Purposes, e.Reveal.Grant); err != nil {
		return err
	}
	fields := b.d.setOf(b.who(e), e.Reveal.Columns).fields
	for v := range e.Reveal.Values.Numbered() {
		field := int16(0)
		if int(v.Column) < len(fields) {
			field = fields[v.Column]
		} else {
			field = b.d.field(sallyport.Column{})
		}
		customer, err := b.customer(v.Number, v.Key)
		if err == nil {
			err = b.value(customer, field, &v.Digest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reached writes customers whose rows were returned, readable while serve observed, else not.
func (b *batch) reached(e *sallyport.Event) error {
	if e.Touch == nil || e.Kind == sallyport.RevealKind {
		return nil
	}
	kind, field := int8(kindReached), int16(fieldReached)
	if e.Kind == sallyport.ObservedKind {
		kind, field = kindObserved, fieldRow
	}
	if e.Reveal == nil {
		if err := b.batchRow(e, kind, e.Touch.Statement, nil, nil, ""); err != nil {
			return err
		}
	}
	for _, c := range e.Touch.Reached {
		customer, err := b.keyed(c)
		if err == nil {
			err = b.value(customer, field, &sallyport.Digest{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// customer is the id of a customer with a number or, where there is one, a key.
func (b *batch) customer(number uint64, key []byte) (int64, error) {
	switch {
	case key != nil:
		return b.keyed(sallyport.Subject(key))
	case number < 1<<63:
		return int64(number), nil //nolint:gosec // checked
	}
	return b.keyed(sallyport.Subject(strconv.FormatUint(number, 10)))
}

// keyed is the id of a customer by the key. What that is called is noted where the id does not say it.
func (b *batch) keyed(key sallyport.Subject) (int64, error) {
	id := customerID(key)
	if id >= 0 || id == nobody || b.keys[id] {
		return id, nil
	}
	b.keys[id] = true
	return id, b.row("fresh_keys", id, string(key))
}

func halves(d sallyport.Digest) (hi, lo int64) {
	return int64(binary.BigEndian.Uint64(d[:8])), int64(binary.BigEndian.Uint64(d[8:])) //nolint:gosec // there and back
}

func whole(hi, lo int64) (d sallyport.Digest) {
	binary.BigEndian.PutUint64(d[:8], uint64(hi)) //nolint:gosec // there and back
	binary.BigEndian.PutUint64(d[8:], uint64(lo)) //nolint:gosec // there and back
	return d
}

// act writes an entry that has no values. Sentences for people are left out: they may name somebody.
func (b *batch) act(e *sallyport.Event) error {
	var statement int64
	var verb, shape, fields, reason, code, note int32
	writes := false
	if st := e.Statement; st != nil {
		statement = int64(st.ID) //nolint:gosec // there and back
		verb, shape, code, writes = b.d.word(st.Verb), b.d.word(st.Fingerprint), b.d.word(st.Refused), st.Writes
		w := b.who(e)
		reason, fields = b.d.reasonOf(w, st.Purposes, ""), b.d.setOf(w, st.Columns).word
	}
	switch {
	case e.Limit != nil:
		note = b.d.word(fmt.Sprintf("%s, %s, budget %d", e.Limit.Measure, e.Limit.Window, e.Limit.Budget))
	case e.Decision != nil && !e.Decision.Permitted:
		note = b.d.word("denied " + e.Decision.Action + " by " + e.Decision.Policy)
	case e.Power != nil:
		kinds := make([]string, len(e.Power.Kinds))
		for i, k := range e.Power.Kinds {
			kinds[i] = string(k)
		}
		note = b.d.word(strings.Join(kinds, ", "))
	}
	r := b.many.acts
	i := r.n
	r.day[i], r.entry[i], r.time[i], r.kind[i], r.actor[i] = b.day, b.entry, e.Time.UnixMicro(), b.d.word(string(e.Kind)), b.who(e).actor
	r.statement[i], r.verb[i], r.shape[i], r.fields[i] = statement, verb, shape, fields
	r.reason[i], r.code[i], r.writes[i], r.note[i] = reason, code, writes, note
	return r.next()
}

// numbered stores what got a number in this batch. Actors come first: they make words and people.
func (b *batch) numbered() error {
	p := &b.d.pending
	defer func() { *p = pending{} }()
	for _, a := range p.actors {
		w := &a.who
		err := b.row("actors", date(a.day), a.id, b.d.person(w.Staff), b.d.person(w.Via), w.Claimed, b.names.Session(w.Session),
			b.d.word(b.names.Application(w.Application, w)), b.d.word(b.names.Address(w.Address)), b.d.word(b.names.Device(w.Device)), b.d.word(w.Country),
			b.d.word(b.names.Team(w.Team)), b.d.word(w.Database))
		if err != nil {
			return err
		}
	}
	for _, r := range p.reasons {
		grant, purposes := b.pseudonyms(r.text)
		if err := b.row("reasons", date(r.day), r.id, purposes, grant); err != nil {
			return err
		}
	}
	for _, n := range p.people {
		name := b.names.Person(n.who)
		if err := b.row("people", n.id, name, name == string(n.who), b.names.Seal(padded(string(n.who)), personPlace(n.id))); err != nil {
			return err
		}
	}
	for _, id := range p.words {
		if err := b.row("words", id, b.d.texts[id]); err != nil {
			return err
		}
	}
	for _, id := range p.fields {
		c := b.d.columns[id]
		if err := b.row("fields", id, c.Schema, c.Table, c.Name, b.d.tells(c)); err != nil {
			return err
		}
	}
	return b.boxes(p)
}

// pseudonyms are those of a reason.
func (b *batch) pseudonyms(reason string) (grant, purposes string) {
	grant, rest, _ := strings.Cut(reason, "\n")
	if rest == "" {
		return b.names.Grant(grant), ""
	}
	list := strings.Split(rest, "\n")
	for i, p := range list {
		list[i] = b.names.Purpose(p)
	}
	return b.names.Grant(grant), strings.Join(list, ",")
}

// boxes seals the names behind actors and reasons.
func (b *batch) boxes(p *pending) error {
	w := b.boxer("fresh_boxes")
	for _, a := range p.actors {
		if err := w.put(boxActors, a.day, a.id, a.who.Session, a.who.Login, a.who.Application, a.who.Address); err != nil {
			return err
		}
	}
	for _, r := range p.reasons {
		if err := w.put(boxReasons, r.day, r.id, r.text); err != nil {
			return err
		}
	}
	return w.end()
}

// boxer packs names, those of a day apart, so that they go with it.
type boxer struct {
	b     *batch
	table string              // of those that are not full
	open  map[[2]int32]*boxed // by kind and day
}

func (b *batch) boxer(table string) *boxer { return &boxer{b, table, map[[2]int32]*boxed{}} }

func (w *boxer) put(kind int8, day, id int32, texts ...string) error {
	at := [2]int32{int32(kind), day}
	if w.open[at] == nil {
		w.open[at] = &boxed{}
	}
	box := w.open[at]
	box.IDs, box.Texts = append(box.IDs, id), append(box.Texts, texts)
	if len(box.IDs) < perBox {
		return nil
	}
	delete(w.open, at)
	return w.write("boxes", kind, day, box) // a full one stays as it is
}

func (w *boxer) end() error {
	for at, box := range w.open {
		if err := w.write(w.table, int8(at[0]), at[1], box); err != nil { //nolint:gosec // a kind
			return err
		}
	}
	return nil
}

func (w *boxer) write(table string, kind int8, day int32, names *boxed) error {
	first, last := names.IDs[0], names.IDs[len(names.IDs)-1]
	box, err := names.seal(w.b.names, boxPlace(kind, first))
	if err != nil {
		return err
	}
	return w.b.row(table, date(day), kind, first, last, box)
}
