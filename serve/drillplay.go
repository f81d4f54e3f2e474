package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/canary"
	"sallyport/config"
	"sallyport/control"
	"sallyport/drill"
	"sallyport/entrance"
)

// playing is one drill while it is played. Every statement that it sends names customers of drills by their keys, and no other.
type playing struct {
	d         *drills
	plan      drill.Plan
	accounts  []sallyport.Staff
	customers []*canary.Canary
	report    *drill.Report
	by        sallyport.Staff
	from      uint64 // the entry that began it

	conn                 *pgx.Conn // of the thief; nil: none
	application          string
	lost, tokens, asked  map[sallyport.Subject]bool
	detail               string // an address that reached him
	tickets              []string
	likeness, accomplice *planter
	stopped              time.Time // when he was first kept out
}

// columns are what a thief wants of the customer table.
func (p *playing) columns() (table, key string, names []string) {
	named := p.d.s.O.Config.Protect.Customer.Named()
	p.d.s.mu.Lock()
	g := p.d.s.guard
	p.d.s.mu.Unlock()
	for _, c := range g.catalog.Snapshot().Columns() {
		if c.Column.Schema == named.Schema && c.Column.Table == named.Name && (c.Scheme == sallyport.Email || c.Scheme == sallyport.Phone || c.Scheme == sallyport.Name) {
			names = append(names, pgx.Identifier{c.Column.Name}.Sanitize())
		}
	}
	return pgx.Identifier{named.Schema, named.Name}.Sanitize(), pgx.Identifier{p.d.s.O.Config.Protect.Customer.Key}.Sanitize(), names
}

// play takes the steps until the thief is kept out, then waits for what the record says of him.
func (p *playing) play(ctx context.Context) error {
	defer p.clean(ctx)
	for _, step := range p.plan.Steps {
		if p.out() {
			break
		}
		if err := p.take(ctx, step); err != nil {
			return err
		}
	}
	return p.await(ctx)
}

func (p *playing) out() bool { return !p.stopped.IsZero() }

// take does one step.
func (p *playing) take(ctx context.Context, step drill.Step) error {
	list := p.customers
	if step.Most > 0 {
		list = list[:min(step.Most, len(list))]
	}
	switch step.Do {
	case drill.Export:
		return p.export(ctx, list)
	case drill.Direct:
		return p.direct(ctx, list)
	case drill.Elsewhere:
		p.application = "python3"
		p.hangUp(ctx)
	case drill.Look, drill.OwnTicket, drill.Given:
	}
	for _, c := range list {
		if p.out() || ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.one(ctx, step.Do, c); err != nil {
			return err
		}
	}
	return nil
}

// one looks at one customer. That the gateway refuses is what is measured, and no error.
func (p *playing) one(ctx context.Context, do drill.Do, c *canary.Canary) error {
	if !p.connected(ctx) {
		return nil
	}
	if do == drill.OwnTicket || do == drill.Given {
		ticket, err := p.ticket(ctx, do == drill.Given, c)
		if err != nil {
			return err
		}
		if ticket == "" || !p.tried(p.exec(ctx, "SET sallyport.purpose = 'ticket:"+ticket+"'")) {
			return nil
		}
	}
	table, key, names := p.columns()
	p.asked[c.Subject] = true
	rows, err := p.conn.Query(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+table+" WHERE "+key+" = "+literal(string(c.Subject)), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		p.tried(err)
		return nil
	}
	for rows.Next() {
		p.got(c.Subject, rows.RawValues())
	}
	rows.Close()
	p.tried(rows.Err())
	return nil
}

// got counts what reached the thief.
func (p *playing) got(who sallyport.Subject, fields [][]byte) {
	p.d.s.mu.Lock()
	ring := p.d.s.guard.ring
	p.d.s.mu.Unlock()
	for _, f := range fields {
		if len(f) == 0 {
			continue
		}
		if _, _, _, token := ring.Find(f, 0); token || string(f) == "***" {
			p.tokens[who] = true
			continue
		}
		p.lost[who] = true
		if p.detail == "" && bytes.IndexByte(f, '@') > 0 {
			p.detail = string(f)
		}
	}
	p.d.change(func() { p.report.Asked, p.report.Lost, p.report.Tokens = len(p.asked), len(p.lost), len(p.tokens) })
}

// tried notes what became of a statement; false: it was refused.
func (p *playing) tried(err error) bool {
	if err == nil {
		return true
	}
	p.d.change(func() { p.report.Refused++ })
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || answer.Severity == "FATAL" || p.conn == nil || p.conn.IsClosed() {
		p.conn = nil
	}
	return false
}

func (p *playing) exec(ctx context.Context, sql string) error {
	_, err := p.conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// connected logs in where he is not; that he is not let in any more ends the theft.
func (p *playing) connected(ctx context.Context) bool {
	if p.conn != nil && !p.conn.IsClosed() {
		return true
	}
	a := p.d.s.O.Config.Drill.Accounts[0]
	password, err := config.ReadSecretFile(p.d.s.O.Config.Path(a.PasswordFile))
	if err == nil {
		p.conn, err = p.d.s.canaries.connectAs(ctx, a.Login, password, p.application)
	}
	if err == nil {
		return true
	}
	p.conn = nil
	p.stopped = p.d.s.O.Clock()
	p.mark(p.stopped, "the thief is not let in: "+oneLine(err))
	return false
}

func (p *playing) hangUp(ctx context.Context) {
	if p.conn != nil {
		_ = p.conn.Close(ctx)
		p.conn = nil
	}
}

func (p *playing) mark(at time.Time, what string) {
	p.d.change(func() { p.report.Marks = append(p.report.Marks, drill.Mark{Time: at, What: what}) })
}

// subjects is a list of customers for SQL.
func subjectList(list []*canary.Canary) string {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(literal(string(c.Subject)))
	}
	return b.String()
}

// export takes all at once: in one COPY, and where that is refused in a SELECT.
func (p *playing) export(ctx context.Context, list []*canary.Canary) error {
	table, key, names := p.columns()
	query := "SELECT " + key + "::text, " + strings.Join(names, ", ") + " FROM " + table + " WHERE " + key + " IN (" + subjectList(list) + ")"
	for _, c := range list {
		p.asked[c.Subject] = true
	}
	if !p.connected(ctx) {
		return nil
	}
	var out bytes.Buffer
	_, err := p.conn.PgConn().CopyTo(ctx, &out, "COPY ("+query+") TO STDOUT")
	for line := range bytes.Lines(out.Bytes()) {
		fields := bytes.Split(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"))
		for i := range fields {
			if string(fields[i]) == `\N` {
				fields[i] = nil
			}
		}
		if len(fields) > 1 {
			p.got(sallyport.Subject(fields[0]), fields[1:])
		}
	}
	if p.tried(err) || !p.connected(ctx) {
		return nil
	}
	rows, err := p.conn.Query(ctx, query, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		p.tried(err)
		return nil
	}
	for rows.Next() {
		p.got(sallyport.Subject(rows.RawValues()[0]), rows.RawValues()[1:])
	}
	rows.Close()
	p.tried(rows.Err())
	return nil
}

// direct reads the tables beside the gateway, and stays until the guard has looked.
func (p *playing) direct(ctx context.Context, list []*canary.Canary) error {
	a := p.d.s.O.Config.Drill.Accounts[0]
	password, err := config.ReadSecretFile(p.d.s.O.Config.Path(a.PasswordFile))
	if err != nil {
		return err
	}
	config, err := entrance.As(p.d.s.Upstream, p.d.s.O.Config.Upstream.Database, a.Login, password)
	if err != nil {
		return err
	}
	config.RuntimeParams = map[string]string{"application_name": "psql"}
	for _, c := range list {
		p.asked[c.Subject] = true
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		p.tried(err)
		p.stopped = p.d.s.O.Clock()
		p.mark(p.stopped, "the server lets nobody in but the gateway: "+oneLine(err))
		return nil
	}
	p.conn = conn
	table, key, names := p.columns()
	rows, err := conn.Query(ctx, "SELECT "+key+"::text, "+strings.Join(names, ", ")+" FROM "+table+" WHERE "+key+" IN ("+subjectList(list)+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		p.tried(err)
		return nil
	}
	for rows.Next() {
		p.got(sallyport.Subject(rows.RawValues()[0]), rows.RawValues()[1:])
	}
	rows.Close()
	p.tried(rows.Err())
	return nil
}

// await waits for what the record says of the thief, and asks for a name as soon as something was lost.
func (p *playing) await(ctx context.Context) error {
	p.sell()
	until := time.NewTimer(p.d.waits)
	defer until.Stop()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		done, err := p.look()
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-until.C:
			return nil
		case <-ticker.C:
		}
	}
}

// sell has a mail come to a detail that was lost, as a buyer would write, and asks who was shown it.
func (p *playing) sell() {
	if p.detail == "" {
		return
	}
	began := time.Now()
	err := p.d.s.canaries.take(message{id: "drill:" + p.report.ID, scheme: sallyport.Email, to: p.detail, from: "drill"})
	if err != nil {
		p.mark(p.d.s.O.Clock(), "the mail to a detail that was lost could not be heard: "+err.Error())
		return
	}
	a, err := p.d.s.canaries.who(p.detail)
	if err != nil || len(a.Views) != 1 {
		return
	}
	seconds := time.Since(began).Seconds()
	p.d.change(func() { p.report.Name, p.report.Named = &seconds, string(a.Views[0].Staff) })
}

// toldOf is what both streams say about the thief.
type toldOf struct {
	found, held *time.Time
	marks       []drill.Mark
}

func (t *toldOf) note(at time.Time, what string, is ...**time.Time) {
	for _, x := range is {
		if *x == nil || at.Before(**x) {
			*x = &at
		}
	}
	t.marks = append(t.marks, drill.Mark{Time: at, What: what})
}

// order takes an entry of the control stream about who plays.
func (t *toldOf) order(e *sallyport.Event) {
	o := e.Order
	switch e.Kind { //nolint:exhaustive // what stops somebody, or says why
	case sallyport.FindingKind:
		if o.Action == "find" { // and not a rule of many eyes
			t.note(e.Time, "found: "+o.ID, &t.found)
		}
	case sallyport.Suspended:
		t.note(e.Time, string(o.About)+" is suspended: "+o.Reason, &t.found, &t.held)
	case sallyport.Locked:
		t.note(e.Time, string(o.About)+" is locked: "+o.Reason, &t.found, &t.held)
	case sallyport.Trusted:
		t.note(e.Time, string(o.About)+" is trusted "+o.Details+" of 100: "+o.Reason, &t.found)
	case sallyport.ResponseKind:
		if o.Response != nil && o.Response.State == control.Would {
			t.note(e.Time, "would have been done: "+o.Response.Step)
		}
	}
}

// look reads what both streams say about the thief since the drill began; done: he is found and held.
func (p *playing) look() (done bool, err error) {
	t := &toldOf{}
	s := p.d.s
	err = s.ControlStream.Read(p.from, func(e *sallyport.Event) error {
		if e.Order != nil && slices.Contains(p.accounts, e.Order.About) {
			t.order(e)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("read what the record says: %w", err)
	}
	login := s.O.Config.Drill.Accounts[0].Login
	err = s.AccessStream.Read(s.granting.days.from(dayOf(p.report.Began)), func(e *sallyport.Event) error {
		if e.Kind == sallyport.AroundKind && e.Who.Login == login && !e.Time.Before(p.report.Began) {
			t.note(e.Time, e.Note, &t.found)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("read what the record says: %w", err)
	}
	p.d.change(func() {
		r := p.report
		own := slices.DeleteFunc(slices.Clone(r.Marks), func(m drill.Mark) bool { return !strings.HasPrefix(m.What, "the ") })
		r.Marks = append(own, t.marks...)
		if t.found != nil {
			r.Detect = r.Seconds(*t.found)
		}
		if t.held != nil {
			r.Contain = r.Seconds(*t.held)
		} else if p.out() {
			r.Contain = r.Seconds(p.stopped)
		}
	})
	beside := p.plan.Steps[0].Do == drill.Direct // whom the gateway cannot stop
	return t.found != nil && (t.held != nil || p.out() || beside), nil
}

// end puts on record what came of it.
func (p *playing) end(err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = errors.Join(err, p.closeTickets(ctx))
	now := p.d.s.O.Clock()
	p.d.change(func() {
		r := p.report
		r.Ended = now
		if err != nil {
			r.Trouble = oneLine(err)
		}
		r.Asked, r.Lost, r.Tokens = len(p.asked), len(p.lost), len(p.tokens)
		r.Judge()
	})
	kept, keptErr := p.report.Kept()
	err = errors.Join(err, keptErr)
	e := &sallyport.Event{Time: now, Kind: sallyport.DrillKind, Note: p.report.Sentence(), Order: &sallyport.Order{
		Drilled: kept, ID: p.report.ID, Action: "drill", By: p.by, Drill: &sallyport.DrillRun{Name: p.plan.Name, Ended: true, Accounts: p.accounts},
	}}
	if err := p.d.s.orders.Give(nil, e); err != nil {
		p.d.s.log.Error("the end of a drill could not be recorded", "why", err.Error())
	}
	p.d.change(func() { // only now are the accounts free again
		p.report.State, p.d.busy = "ended", false
		if err != nil {
			p.report.State = "failed"
		}
	})
}
