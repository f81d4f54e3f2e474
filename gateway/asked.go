package gateway

import (
	"context"
	"crypto/sha256"
	"net"
	"slices"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/wire/pg"
)

// Some ask for values without SQL: "what stands for this token?", "which token stands for this value?". Each such call is a session of its own,
// without a connection to the server: it passes the same functions as a statement, so there is one set of doors.

// Asker is who asks, and how he proved to Sallyport itself who he is.
type Asker struct {
	Person      purpose.Person
	Login       string
	Address     string // HOST:PORT; [local] for the socket of this machine
	Application string
	Strength    policy.Strength
	Until       time.Time // when what he logged in with ends; zero: with this call
	Proven      time.Time
	Factors     bool
	Credential  [sha256.Size]byte // digest of it; zero: it was none
	Actor       string            // the assertion that says for whom a service acts; empty: for itself
	Purpose     string            // as SET sallyport.purpose takes it
}

// Item is one token or value of a protected column.
type Item struct {
	Column sallyport.Column
	Text   string
	Store  bool // to be written, and not only searched for; of values alone
}

// Answer is what became of an item. Where Done is false Text is empty, and Why says what was in the way.
type Answer struct {
	Done  bool
	Text  string
	Older []string // a value's tokens of an older key, under which it may still stand
	Why   Refused
}

// Refused is a code, a sentence and a hint, as a client of SQL reads them. The zero value: nothing was.
type Refused struct{ Code, Sentence, Hint string }

// MostItems is how many items one call may have.
const MostItems = 1000

// Reveal answers with the values of tokens that the reasons, or a grant, show to who asks. The entry that names them is on stable storage before it
// returns. refused, where it has a code, is why there are no answers, or why there are no more of them: a budget was reached.
func (g *Gateway) Reveal(ctx context.Context, who *Asker, items []Item) (answers []Answer, refused Refused) {
	return g.asked(ctx, who, items, "REVEAL", (*session).revealItem)
}

// Tokenise answers with the tokens of values. A value outside the reasons counts as a probe.
func (g *Gateway) Tokenise(ctx context.Context, who *Asker, items []Item) (answers []Answer, refused Refused) {
	return g.asked(ctx, who, items, "TOKENISE", (*session).tokeniseItem)
}

// asked is one call from the log-in to the record.
func (g *Gateway) asked(ctx context.Context, who *Asker, items []Item, verb string, do func(*session, context.Context, *run, *catalog.Protected, *Item) Answer) (answers []Answer, refused Refused) {
	p := g.Protection
	switch {
	case p == nil || g.observing():
		return nil, Refused{codeUnsupported, "nothing is protected here", "Values stand in the database as they are."}
	case len(items) == 0 || len(items) > MostItems:
		return nil, Refused{codeUnsupported, "a call has from 1 to 1,000 items", "Make several calls."}
	}
	if g.Ready != nil && g.Ready() != nil {
		return nil, Refused{codeAway, "the database cannot be served yet", "Try again in a moment."}
	}
	s := g.askingSession(who)
	if !g.register(s) {
		return nil, Refused{codeShutdown, "Sallyport is shutting down", "Try again in a moment."}
	}
	defer g.endAsked(s)
	defer func() {
		if fault := recover(); fault != nil { // what it was about could be a value, so only its place is told
			g.Log.Error("call ended by an internal fault", "place", faultPlace())
			answers, refused = nil, Refused{"XX000", "an internal fault ended this call", "The administrator sees the place in Sallyport's log."}
		}
	}()
	if st := g.Standing.Standing(s.person.Staff); st.Locked || st.Suspended || st.Left {
		return nil, Refused{codeLocked, lockSentence(st.Locked || st.Left, st.Reason), "Ask a lead for `sallyport unlock`."}
	}
	s.self = s.ownself()
	s.note(sallyport.Event{Kind: sallyport.SessionStart, Note: s.proof.note(s.strength)})
	s.openAccounts()
	columns, why := g.columnsOf(items)
	if why != nil {
		return nil, told(why)
	}
	st := askedStatement(verb, who, columns, items)
	r, why := s.askedRun(ctx, st)
	if why != nil {
		s.noteRefusal(st, why)
		return nil, s.whyEnded(told(why))
	}
	answers = make([]Answer, 0, len(items))
	for i := range items {
		if ctx.Err() != nil {
			return nil, Refused{codeCanceled, "the call was given up", ""}
		}
		a := do(s, ctx, r, columns[items[i].Column], &items[i])
		if s.over.Load() { // this one was not counted, or not allowed any more
			break
		}
		answers = append(answers, a)
	}
	return s.release(answers)
}

// askingSession is a session of somebody's who has logged in elsewhere. Nothing is behind it.
func (g *Gateway) askingSession(who *Asker) *session {
	void := &nowhere{}
	s := &session{
		gw: g, id: newID(), person: who.Person, strength: who.Strength, protected: true, unattended: true,
		proof:  proof{until: who.Until, at: who.Proven, second: who.Factors, credential: who.Credential},
		client: newStream(void, &g.pool), server: newStream(void, &g.pool), clientConn: void,
		prepared: map[string]*prepared{}, portals: map[string]*portal{}, described: map[string]*layout{}, written: map[string]written{},
	}
	s.wake.L = &s.mu
	s.setting = newSetting("")
	s.who = sallyport.Who{
		Staff: who.Person.Staff, Team: who.Person.Team, Login: who.Login, Session: s.id,
		Application: who.Application, Address: who.Address, Database: g.Protection.Database,
	}
	s.who.Country = s.country()
	return s
}

// endAsked is the end of the call. What it still remembers goes.
func (g *Gateway) endAsked(s *session) {
	g.forget(s)
	s.settleUnsent()
	clear(s.plain[:cap(s.plain)])
	s.batch.free(&g.pool)
	s.note(sallyport.Event{Kind: sallyport.SessionEnd, Counters: &sallyport.Counters{Statements: 1}})
}

// columnsOf are the protected columns of the items.
func (g *Gateway) columnsOf(items []Item) (map[sallyport.Column]*catalog.Protected, *query.Refusal) {
	columns := map[sallyport.Column]*catalog.Protected{}
	for i := range items {
		c := items[i].Column
		if columns[c] != nil {
			continue
		}
		p := g.protectedColumn(c)
		switch {
		case p == nil:
			return nil, refusal(codeUnsupported, "a column of the call is not protected", "Columns are named schema.table.column; an administrator lists them: sallyport status.")
		case p.Hidden || p.Moving || p.Leaving:
			return nil, refusal(codeUnsupported, "the column "+c.String()+" is on its way, or is given other keys", "Ask by SQL meanwhile, or try again later.")
		}
		columns[c] = p
	}
	return columns, nil
}

// askedStatement is what stands of the call on record, and what policies are asked about.
func askedStatement(verb string, who *Asker, columns map[sallyport.Column]*catalog.Protected, items []Item) *query.Statement {
	st := &query.Statement{Verb: verb, Fingerprint: "api:" + verb, Touches: true, Comment: &who.Purpose}
	if who.Actor != "" {
		st.Actor = &who.Actor
	}
	for c := range columns {
		table := sallyport.Column{Schema: c.Schema, Table: c.Table}
		st.Columns = append(st.Columns, c)
		if !slices.Contains(st.Tables, table) {
			st.Tables = append(st.Tables, table)
			st.Mentions = append(st.Mentions, c.Schema+"."+c.Table)
		}
	}
	slices.SortFunc(st.Columns, byName)
	slices.SortFunc(st.Tables, byName)
	slices.Sort(st.Mentions)
	if verb == "TOKENISE" {
		for i := range items {
			slot := slotOf(columns[items[i].Column], &items[i])
			if !slices.ContainsFunc(st.Params, func(p query.Param) bool { return p.Slot.Column == slot.Column && p.Slot.Use == slot.Use }) {
				st.Params = append(st.Params, query.Param{Number: 1, Slot: *slot})
			}
		}
	}
	return st
}

func byName(a, b sallyport.Column) int {
	switch x, y := a.String(), b.String(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// slotOf is the place of a value, as if it stood in a statement.
func slotOf(p *catalog.Protected, i *Item) *query.Slot {
	use, forms := query.Match, 0
	if i.Store {
		use = query.Store
	} else if p.Rotating {
		forms = 2
	}
	return &query.Slot{Column: p.Column, Scheme: p.Scheme, Group: p.Group, Use: use, Forms: forms}
}

// askedRun is the first door: who acts, whether policies let him, and why. The statement is on stable storage afterwards.
func (s *session) askedRun(ctx context.Context, st *query.Statement) (*run, *query.Refusal) {
	if _, err := sallyport.ParsePurposes(*st.Comment); err != nil {
		return nil, refusal(codePurpose, "the purpose cannot be read: "+unreadable(err), "Write for example ticket:4711.")
	}
	now := stance{}
	r, refused, err := s.prepareRun(ctx, st, &now, false)
	switch {
	case refused != nil:
		return nil, refused
	case err != nil || r == nil:
		return nil, refusal(codeAway, "the purpose cannot be checked now", "Try again in a moment.")
	}
	r.outer = st
	if s.over.Load() {
		return nil, refusal(codeLocked, "you are locked or suspended", "Ask a lead for `sallyport unlock`.")
	}
	return r, s.recordStatement(r)
}

// revealItem is one token: a row of one field, for all that looks at it.
func (s *session) revealItem(ctx context.Context, r *run, p *catalog.Protected, i *Item) Answer {
	l := &layout{columns: make([]column, 1), key: -1, visible: 1, inspect: true, looks: true}
	if err := s.gw.guard(&l.columns[0], p); err != nil {
		return Answer{Why: Refused{codeUnsupported, "a protected column was changed meanwhile", "Try again."}}
	}
	c := &l.columns[0]
	c.typ = typeText
	if codec := c.codec; codec.Recognisable() && !codec.IsToken([]byte(i.Text)) && !codec.Overflowed([]byte(i.Text)) {
		return Answer{Why: Refused{codeValue, "this is no token of the column", "Send the token as the database holds it."}}
	}
	before := r.revealed
	s.accounts.asked = false // each may come a while after the one before
	fields := [][]byte{[]byte(i.Text)}
	_, _, err := s.rowFields(ctx, r, l, fields)
	why := s.heard()
	switch {
	case err != nil || s.over.Load() || r.spent:
		return Answer{}
	case r.revealed > before:
		return Answer{Done: true, Text: string(fields[0])}
	case why.Code != "": // it waits, or its reason has ended
		return Answer{Why: why}
	}
	s.adviseOnResult(ctx, r)
	return Answer{Why: s.heard()}
}

// tokeniseItem is one value, as a parameter of a statement.
func (s *session) tokeniseItem(_ context.Context, r *run, p *catalog.Protected, i *Item) Answer {
	forms, refused := s.forms(r, slotOf(p, i), []byte(i.Text)) //nolint:contextcheck // the vault bounds its own time
	if refused != nil {
		return Answer{Why: told(refused)}
	}
	a := Answer{Done: true, Text: string(forms[0])}
	for _, older := range forms[1:] {
		if text := string(older); text != a.Text && !slices.Contains(a.Older, text) {
			a.Older = append(a.Older, text)
		}
	}
	return a
}

// release is the record: what was answered is on stable storage when it leaves, or it does not. Of a call that a budget cut, what came before it
// leaves, as rows do; of one whose person was locked meanwhile nothing.
func (s *session) release(answers []Answer) ([]Answer, Refused) {
	err := s.record()
	if err == nil {
		err = s.gw.Access.Sync() // probes
	}
	s.mu.Lock()
	over := s.ending
	s.mu.Unlock()
	switch {
	case err != nil && over == nil:
		return nil, Refused{codeJournal, "the record cannot be written, so nothing is told", hintJournal}
	case over == nil:
		return answers, Refused{}
	case err != nil || over.Get(pg.SQLState) != codeBudget:
		return nil, noticed(over)
	}
	return answers, noticed(over)
}

// whyEnded is why the call ended, where it did, else what is given.
func (s *session) whyEnded(otherwise Refused) Refused {
	if over := s.ended(); over != nil {
		return noticed(over)
	}
	return otherwise
}

// heard takes what a client would have read beside its rows: the last of it says why there are no more.
func (s *session) heard() (last Refused) {
	void, _ := s.clientConn.(*nowhere)
	void.got = append(void.got, s.out...)
	if s.out != nil {
		s.out, s.clean = s.out[:0], 0
	}
	for b := void.got; ; {
		_, size, ok, err := pg.Header(b)
		if err != nil || !ok || size > len(b) {
			break
		}
		if n, err := pg.ParseNotice(b[:size]); err == nil {
			last = noticed(&n)
		}
		b = b[size:]
	}
	void.got = void.got[:0]
	return last
}

func noticed(n *pg.Notice) Refused {
	const ours = "sallyport: "
	sentence := n.Get(pg.Message)
	if len(sentence) > len(ours) && sentence[:len(ours)] == ours {
		sentence = sentence[len(ours):]
	}
	return Refused{n.Get(pg.SQLState), sentence, n.Get(pg.Hint)}
}

func told(r *query.Refusal) Refused { return Refused{r.Code, r.Sentence, r.Hint} }

// nowhere is the connection of who has none: it keeps what is said to him, and nothing comes from it.
type nowhere struct{ got []byte }

// Write keeps it.
func (n *nowhere) Write(p []byte) (int, error) {
	n.got = append(n.got, p...)
	return len(p), nil
}

// Read ends.
func (*nowhere) Read([]byte) (int, error) { return 0, net.ErrClosed }

// Close does nothing.
func (*nowhere) Close() error { return nil }

// LocalAddr is that of no network.
func (*nowhere) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr is that of no network.
func (*nowhere) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// SetDeadline does nothing: nothing is waited for.
func (*nowhere) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (*nowhere) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (*nowhere) SetWriteDeadline(time.Time) error { return nil }
