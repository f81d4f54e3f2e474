// Package replay runs recorded accesses under other policies or budgets: what would have been refused, whom it would have hindered, and at
// how many customers each person would have been cut.
//
// It asks the very policies that the gateway asks (policy.Set.Decide), counts in the very book that the gateway counts in (exposure.Book), and follows trust
// and confirmations as the gateway does (control.State). It refuses to make up what the record does not say: what it has to assume it counts and names.
// It does no I/O and reads no clock. Invariant: the same record, policies and budgets give the same report, byte for byte.
package replay

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/program/training"
)

// Company is what the record does not say of people and columns: as it is now.
type Company struct {
	Service func(who sallyport.Staff) bool
	// Local is somebody's hour and weekday at a time, and whether that is his working time.
	Local   func(who sallyport.Staff, at time.Time) (hour, weekday int64, onShift bool)
	Scheme  func(c sallyport.Column) sallyport.Scheme
	Budgets func(who sallyport.Staff, team string) exposure.Budgets
	Grant   func(id string) (customers int, ok bool)  // of the configuration; others stand in the control stream
	Name    func(who sallyport.Staff) sallyport.Staff // what the report calls somebody: a pseudonym; nil: by his name
}

// Replay is one run. Give it the control stream's events and the access stream's in the order of their times, then ask for the Report.
type Replay struct {
	company       Company
	before, after *policy.Set
	from, until   time.Time

	state     *control.State
	learnt    *training.Book
	book      *exposure.Book // as it would have been
	grants    *exposure.Grants
	first     map[sighting]sallyport.Digest
	sessions  map[string]map[uint64]*statement
	confirmed map[sallyport.Staff]time.Time // by whom the policies would have asked to confirm
	seconded  map[sallyport.Staff]time.Time
	result    results
}

// statement is what an entry said of one.
type statement struct {
	purposes []sallyport.Purpose
	known    *sallyport.Known
	exports  bool      // by COPY: values must be allowed to leave in bulk, too
	proven   time.Time // when the person last proved who he is, as policies were told then
}

type sighting struct {
	staff   sallyport.Staff
	subject sallyport.Subject
	column  sallyport.Column
}

// New prepares to judge what was accessed from one time until another. Both sets MUST be of the same world.
func New(c Company, before, after *policy.Set, from, until time.Time) *Replay {
	return &Replay{
		company: c, before: before, after: after, from: from, until: until, state: control.NewState(), learnt: training.NewBook(), book: exposure.NewBook(), grants: exposure.NewGrants(),
		first: map[sighting]sallyport.Digest{}, sessions: map[string]map[uint64]*statement{},
		confirmed: map[sallyport.Staff]time.Time{}, seconded: map[sallyport.Staff]time.Time{}, result: newResults(),
	}
}

// Since is the time of the first entry of the access stream that matters: budgets look 30 days back.
func (r *Replay) Since() time.Time { return r.from.AddDate(0, 0, -30) }

// Control takes an event of the control stream.
func (r *Replay) Control(e *sallyport.Event) {
	r.state.Apply(e)
	r.learnt.Apply(e)
}

// Access takes an event of the access stream.
func (r *Replay) Access(e *sallyport.Event) {
	if e.Time.Before(r.Since()) || e.Time.After(r.until) {
		return
	}
	r.result.entries++
	switch e.Kind {
	case sallyport.SessionEnd:
		delete(r.sessions, e.Who.Session)
	case sallyport.StatementKind:
		r.statement(e)
	case sallyport.RevealKind, sallyport.TouchKind:
		if e.Reveal != nil {
			r.reveal(e)
		}
		if e.Touch != nil {
			r.touch(e)
		}
	default:
		// The other kinds show nobody anything.
	}
}

// mostStatements is how many statements of a session are remembered: their values leave soon after they begin.
const mostStatements = 4096

func (r *Replay) statement(e *sallyport.Event) {
	of := r.sessions[e.Who.Session]
	if of == nil {
		of = map[uint64]*statement{}
		r.sessions[e.Who.Session] = of
	}
	if len(of) >= mostStatements {
		for id := range of {
			if id+mostStatements/2 < e.Statement.ID {
				delete(of, id)
			}
		}
	}
	st := &statement{purposes: e.Statement.Purposes, known: e.Statement.Known, exports: e.Statement.Verb == "COPY"}
	if k := st.known; k != nil && k.Proof > 0 {
		st.proven = e.Time.Add(-time.Duration(k.Proof-1) * time.Minute)
	}
	of[e.Statement.ID] = st
	if r.within(e) {
		r.queries(e, st)
		r.gains(e, st)
	}
}

func (r *Replay) within(e *sallyport.Event) bool { return !e.Time.Before(r.from) }

// reasons are what the policies are asked under: each purpose of a statement, or a grant.
func (r *Replay) reasons(e *sallyport.Event, st *statement, grant string) []policy.Context {
	base := r.situation(e, st)
	if grant != "" {
		customers, ok := r.company.Grant(grant)
		if g, asked := r.state.Grant(grant); asked {
			customers, ok = g.Terms.Customers, true
		}
		if !ok {
			r.result.note(e, r, "grants that neither the configuration nor the control stream knows any more: judged as one with a customer left")
			customers = r.grants.Of(grant).Count() + 1
		}
		base.Grant = &policy.Granted{ID: grant, Customers: int64(customers), Left: int64(customers)} // as the gateway asks: its budget is counted by customer
		return []policy.Context{base}
	}
	var list []policy.Context
	for i, p := range st.purposes {
		c := base
		reason := sallyport.Reason{Kind: p.Kind, Covers: true, Open: true, Mine: true}
		if st.known != nil && i < len(st.known.Reasons) {
			reason = st.known.Reasons[i].Reason(p.Kind)
		}
		c.Purpose = &reason
		if reason.Covers {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		list = append(list, base)
	}
	return list
}

// situation is what was known of the moment.
func (r *Replay) situation(e *sallyport.Event, st *statement) policy.Context {
	who := e.Who.Staff
	door := r.state.Door(who)
	c := policy.Context{
		Trust: int64(door.Trust), MFAMinutes: minutes(e.Time, latest(latest(door.Confirmed, st.proven), r.confirmed[who])), SecondMinutes: minutes(e.Time, latest(door.Seconded, r.seconded[who])),
	}
	c.Hour, c.Weekday, c.OnShift = r.company.Local(who, e.Time)
	hour, day, month := r.book.Count(e.Time, who, exposure.Revealed)
	c.SeenHour, c.SeenDay, c.SeenMonth = int64(hour), int64(day), int64(month)
	c.TrainingOverdue = r.learnt.Overdue(who, e.Time)
	c.Strength = policy.ByDatabase
	if st.known != nil {
		c.Strength = policy.Strength(st.known.Strength)
	}
	if at, err := netip.ParseAddrPort(e.Who.Address); err == nil {
		c.Address = at.Addr()
	}
	return c
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// minutes is whole minutes since, -1 for a time that never was.
func minutes(now, then time.Time) int64 {
	if then.IsZero() || then.After(now) {
		return -1
	}
	return int64(now.Sub(then) / time.Minute)
}

// question is what is asked of a set.
type question struct {
	who     sallyport.Staff
	service bool
	action  string
	column  sallyport.Column
	exports bool // of reveal: by COPY
}

// ruling is the most open answer under any of the reasons, as the gateway takes it.
func (q question) ruling(set *policy.Set, under []policy.Context) (best policy.Ruling) {
	for i, context := range under {
		ask := policy.Ask{Who: q.who, Service: q.service, Action: q.action, Column: q.column, Context: context}
		got := set.Decide(ask)
		if q.exports && got.Verdict != sallyport.Token {
			ask.Action = policy.ActionExport
			if bulk := set.Decide(ask); bulk.Verdict < got.Verdict {
				got = bulk
			}
		}
		if i == 0 || got.Verdict > best.Verdict {
			best = got
		}
		if got.Verdict == sallyport.Reveal {
			break
		}
	}
	return best
}

// reveal judges one batch of values that left, column by column.
func (r *Replay) reveal(e *sallyport.Event) {
	st := r.sessions[e.Who.Session][e.Reveal.Statement]
	if st == nil {
		st = &statement{purposes: e.Reveal.Purposes}
	}
	if r.within(e) && st.known == nil {
		r.result.note(e, r, "entries without what policies were told of the log-in and the reason (recorded before that was noted): judged as a log-in at the database, and an open ticket of one's own")
	}
	service := r.company.Service(e.Who.Staff)
	verdicts := make([]*judged, len(e.Reveal.Columns))
	for i, column := range e.Reveal.Columns {
		verdicts[i] = r.judge(e, st, column, service)
	}
	for v := range e.Reveal.Values.All() {
		var j *judged
		var column sallyport.Column
		if int(v.Column) < len(verdicts) {
			j, column = verdicts[v.Column], e.Reveal.Columns[v.Column]
		}
		r.value(e, v, column, j)
	}
	for i, j := range verdicts {
		r.result.access(r, e, e.Reveal.Columns[i], j)
	}
}

// judged is what would have become of a column's values in one batch.
type judged struct {
	was, is policy.Ruling
	waited  policy.Ruling // what would have had to be opened first; Verdict Wait
	values  int
	refused []sallyport.RevealedValue
	overs   int // values beyond a budget
}

// judge asks both sets. Whoever would have had to confirm, or to have a colleague agree, is taken to have done so at once.
func (r *Replay) judge(e *sallyport.Event, st *statement, c sallyport.Column, service bool) *judged {
	who := e.Who.Staff
	q := question{who, service, policy.ActionReveal, c, st.exports}
	under := r.reasons(e, st, e.Reveal.Grant)
	j := &judged{is: q.ruling(r.after, under)}
	if j.was = j.is; r.before != r.after {
		j.was = q.ruling(r.before, under)
	}
	for range 2 { // it may take both
		if j.is.Verdict != sallyport.Wait {
			break
		}
		j.waited = j.is
		if j.is.Respond == policy.SecondPerson {
			r.seconded[who] = e.Time
		} else {
			r.confirmed[who] = e.Time
		}
		j.is = q.ruling(r.after, r.reasons(e, st, e.Reveal.Grant))
	}
	return j
}

// value counts one value that would have left, or notes that it would not.
func (r *Replay) value(e *sallyport.Event, v sallyport.RevealedValue, c sallyport.Column, j *judged) {
	if j == nil {
		return
	}
	if r.within(e) {
		j.values++
		r.result.sets.Of("seen "+string(e.Who.Staff)).Restore(v.Subject, exposure.Key(v.Digest))
	}
	if j.is.Verdict != sallyport.Reveal {
		j.refused = append(j.refused, v)
		return
	}
	if e.Reveal.Grant != "" {
		r.grants.Of(e.Reveal.Grant).Restore(v.Subject, exposure.Key(v.Digest))
		return
	}
	if limit := r.count(e, exposure.Revealed, keyOf(v.Subject, v.Digest)); limit != nil {
		j.overs++
		j.refused = append(j.refused, v)
		return
	}
	if second := r.second(e.Who.Staff, v, c); second {
		_ = r.count(e, exposure.Revealed, hashed("second\x00"+string(v.Subject)+"\x00"+c.String()+"\x00"+string(v.Digest[:])))
	}
}

// second tells whether it is another e-mail, phone or name than the first that he saw under a customer: it counts as one more.
func (r *Replay) second(who sallyport.Staff, v sallyport.RevealedValue, c sallyport.Column) bool {
	switch scheme := r.company.Scheme(c); {
	case v.Subject == "":
		return false
	case scheme != sallyport.Email && scheme != sallyport.Phone && scheme != sallyport.Name:
		return false
	}
	at := sighting{who, v.Subject, c}
	first, known := r.first[at]
	if !known {
		r.first[at] = v.Digest
	}
	return known && first != v.Digest
}

// touch counts rows reached and probes.
func (r *Replay) touch(e *sallyport.Event) {
	for _, subject := range e.Touch.Reached {
		_ = r.count(e, exposure.Reached, keyOf(subject, sallyport.Digest{}))
	}
	for _, d := range e.Touch.Values {
		_ = r.count(e, exposure.Reached, exposure.Key(d))
	}
	for _, d := range e.Touch.Probes {
		_ = r.count(e, exposure.Probed, exposure.Key(d))
	}
	for _, d := range e.Touch.Dates {
		for i := range 10 { // a date counts tenfold
			_ = r.count(e, exposure.Probed, hashed(string(d[:])+string(rune('0'+i))))
		}
	}
}

// count reserves in the book. Before the window nothing is over a budget.
func (r *Replay) count(e *sallyport.Event, m exposure.Measure, k exposure.Key) *sallyport.Limit {
	who := e.Who.Staff
	if !r.within(e) {
		r.book.Restore(e.Time, e.Time, who, m, k)
		return nil
	}
	limit := r.book.Reserve(e.Time, who, m, k, r.company.Budgets(who, e.Who.Team).Of(m))
	if limit != nil {
		r.result.cut(r, e, limit)
	}
	return limit
}

// queries judges whether a statement would have been refused that touched tables with protected columns.
func (r *Replay) queries(e *sallyport.Event, st *statement) {
	seen := map[sallyport.Column]bool{}
	under := append(r.reasons(e, st, ""), r.situation(e, st)) // it needs no reason
	for _, c := range e.Statement.Columns {
		table := sallyport.Column{Schema: c.Schema, Table: c.Table}
		if seen[table] {
			continue
		}
		seen[table] = true
		q := question{e.Who.Staff, r.company.Service(e.Who.Staff), policy.ActionQuery, table, false}
		is := q.ruling(r.after, under)
		if is.Verdict == sallyport.Reveal {
			continue
		}
		r.result.person(e.Who.Staff).Statements++
		r.result.refuse(e, &judged{was: q.ruling(r.before, under)}, is.Policy(), is.Because, "statement", 0, nil)
	}
}

// gains notes what a statement left tokens of that the other policies would have shown under the same reason.
func (r *Replay) gains(e *sallyport.Event, st *statement) {
	if r.before == r.after || st.known == nil || len(st.purposes) == 0 || len(e.Statement.Columns) == 0 {
		return
	}
	under := r.reasons(e, st, "")
	if under[0].Purpose == nil {
		return
	}
	service := r.company.Service(e.Who.Staff)
	for _, c := range e.Statement.Columns {
		q := question{e.Who.Staff, service, policy.ActionReveal, c, st.exports}
		was, is := q.ruling(r.before, under), q.ruling(r.after, under)
		if was.Verdict < sallyport.Wait && is.Verdict >= sallyport.Wait {
			r.result.gain(e, c, is)
		}
	}
}

// keyOf is a customer in the book, or a value whose customer is not known.
func keyOf(who sallyport.Subject, d sallyport.Digest) exposure.Key {
	if who == "" {
		return exposure.Key(d)
	}
	if n, ok := sallyport.WholeNumber(who); ok {
		k := exposure.Key{15: 1}
		binary.LittleEndian.PutUint64(k[:8], n)
		return k
	}
	return hashed("customer\x00" + string(who))
}

func hashed(text string) exposure.Key {
	sum := sha256.Sum256([]byte(text))
	return exposure.Key(sum[:16])
}
