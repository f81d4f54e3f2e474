package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/sim"
)

// The working day: each agent is a real client with his own log-in, who types why, reads, writes and closes; the router and the
// telephone system write what proves the reasons.

// together is how many visits go on at once; more do not help two cores, and fewer leave the disk waiting.
const together = 16

// workingDay plays one and looks at it with the record's eyes.
func (d *demo) workingDay(ctx context.Context) error {
	d.title("An ordinary working day")
	plan := d.org.Day(d.clock.Now())
	if err := d.showHonest(ctx, plan); err != nil {
		return err
	}
	from := d.server.AccessStream.Last() + 1
	start, began := time.Now(), d.clock.Now()
	w := newWorkday(d.demoStage, plan)
	if err := w.play(ctx, newBars(d.m.Stderr)); err != nil {
		return fmt.Errorf("play the working day: %w", err)
	}
	f := &d.figures.Day
	*f = demoDay{
		Visits: len(plan.Visits), NewTickets: len(plan.Arrivals), Statements: w.statements.Load(), Read: w.read.Load(), Unread: w.unread.Load(),
		Notices: w.notices.Load(), CutOff: w.cut.Load(), WallSeconds: time.Since(start).Seconds(), SimulatedHours: d.clock.Now().Sub(began).Hours(),
	}
	if err := d.countDay(from, f); err != nil {
		return err
	}
	f.Suspended = len(d.server.State.Out())
	d.say("%d agents, each a client with his own log-in, %s visits to tickets, %d new tickets, %s statements: %.1f hours of the\n"+
		"simulated clock in %s (wall clock).", len(d.org.Agents()), grouped(int64(f.Visits)), f.NewTickets, grouped(f.Statements), f.SimulatedHours, wall(start))
	d.say("%s notices told an agent why something stayed a token, and what would help.", grouped(f.Notices))
	d.say("Revealed: %s values of %s customers, at most %d customers to one agent (the budget is 200). Of %s cases that they opened,\n"+
		"%d could not be read. Cut off: %d. Suspended: %d.",
		grouped(f.Values), grouped(f.Revealed), f.MostForOne, grouped(f.Read+f.Unread), f.Unread, f.CutOff, f.Suspended)
	if f.Unread+f.CutOff > 0 || f.Suspended > 0 {
		return fmt.Errorf("honest work was hindered: %d cases unread, %d sessions cut, %d people suspended; first: %w", f.Unread, f.CutOff, f.Suspended, w.hindrance())
	}
	return nil
}

// showHonest shows one visit in the real psql.
func (d *demo) showHonest(ctx context.Context, plan sim.Plan) error {
	i := slices.IndexFunc(plan.Visits, func(v sim.Visit) bool {
		return v.Ticket <= d.org.Tickets && d.org.Customer(v.Customer).Phone != ""
	})
	if i < 0 {
		return errors.New("nobody works on a ticket of yesterday's")
	}
	v := plan.Visits[i]
	d.clock.advance(v.At.Add(-15 * time.Minute))
	read := fmt.Sprintf("SELECT id, full_name, email, phone, birth_date FROM support.customers WHERE id = %d", v.Customer)
	out, err := d.psql(ctx, v.Staff, d.gatewayAddress(), expanded,
		read, fmt.Sprintf("SET sallyport.purpose = 'ticket:%s'", sim.TicketNo(v.Ticket)), read,
		fmt.Sprintf("SELECT author, body FROM support.messages WHERE ticket_id = %d ORDER BY id LIMIT 1", v.Ticket))
	if err != nil {
		return err
	}
	d.say("What %s sees of the customer of his ticket %s, before and after he says why (psql):", v.Staff, sim.TicketNo(v.Ticket))
	d.quote(out.lines(60))
	if customer := d.org.Customer(v.Customer); !out.contains(customer.Email) {
		return fmt.Errorf("%s does not see the customer of his own ticket", v.Staff)
	}
	return nil
}

// countDay sums up what the record says was revealed.
func (d *demo) countDay(from uint64, f *demoDay) error {
	everybody := map[sallyport.Subject]bool{}
	each := map[sallyport.Staff]map[sallyport.Subject]bool{}
	err := d.server.AccessStream.Read(from, func(e *sallyport.Event) error {
		if e.Reveal == nil {
			return nil
		}
		if each[e.Who.Staff] == nil {
			each[e.Who.Staff] = map[sallyport.Subject]bool{}
		}
		for v := range e.Reveal.Values.All() {
			everybody[v.Subject], each[e.Who.Staff][v.Subject] = true, true
		}
		f.Values += int64(e.Reveal.Values.Len())
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	f.Revealed = int64(len(everybody))
	for _, seen := range each {
		f.MostForOne = max(f.MostForOne, len(seen))
	}
	return nil
}

// workday is the play of one plan.
type workday struct {
	*demoStage
	plan   sim.Plan
	agents map[sallyport.Staff]chan sim.Visit

	statements, read, unread, notices, cut atomic.Int64

	mu      sync.Mutex // guards trouble
	trouble error      // the first thing that hindered an honest agent
}

func newWorkday(s *demoStage, plan sim.Plan) *workday {
	w := &workday{demoStage: s, plan: plan, agents: map[sallyport.Staff]chan sim.Visit{}}
	for _, a := range s.org.Agents() {
		w.agents[a.ID] = make(chan sim.Visit, together)
	}
	return w
}

// moment is one thing that happens.
type moment struct {
	at time.Time
	do func(ctx context.Context) error
}

// play lets everything happen in the order of its time. What services do is done before the clock moves on; visits of
// different agents overlap, as in life.
func (w *workday) play(ctx context.Context, progress *bars) error {
	defer progress.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	router, err := w.connect(ctx, sim.Router)
	if err != nil {
		return err
	}
	defer closeConn(ctx, router)
	phone, err := w.connect(ctx, sim.Telephony)
	if err != nil {
		return err
	}
	defer closeConn(ctx, phone)

	free := make(chan struct{}, together)
	var wg sync.WaitGroup
	for who, visits := range w.agents {
		wg.Go(func() {
			if err := w.agent(ctx, who, visits, free); err != nil {
				cancel(err)
			}
		})
	}
	moments := w.moments(router, phone, free)
	for i, m := range moments {
		if ctx.Err() != nil {
			break
		}
		w.clock.advance(m.at)
		if err := m.do(ctx); err != nil {
			cancel(err)
		}
		progress.set("working day", int64(i+1), int64(len(moments)))
	}
	for _, visits := range w.agents {
		close(visits)
	}
	wg.Wait()
	return context.Cause(ctx)
}

// moments are everything that happens, in the order of time.
func (w *workday) moments(router, phone *pgx.Conn, free chan struct{}) []moment {
	var list []moment
	for _, a := range w.plan.Arrivals {
		list = append(list,
			moment{a.At, func(ctx context.Context) error {
				return w.exec(ctx, router, `INSERT INTO support.tickets (id, ticket_no, customer_id, queue, state, subject, opened_at) VALUES ($1, $2, $3, $4, 'open', $5, $6)`,
					a.Ticket.ID, a.Ticket.No, a.Ticket.Customer, a.Ticket.Queue, a.Ticket.Subject, a.At)
			}},
			moment{a.AssignedAt, func(ctx context.Context) error {
				return w.exec(ctx, router, "UPDATE support.tickets SET assignee = $2 WHERE id = $1", a.Ticket.ID, string(a.Ticket.Assignee))
			}})
	}
	for _, c := range w.plan.Calls {
		list = append(list, moment{c.At, func(ctx context.Context) error {
			return w.exec(ctx, phone, "INSERT INTO support.contacts (id, customer_id, channel, direction, staff, at) VALUES ($1, $2, $3, $4, $5, $6)",
				c.ID, c.Customer, c.Channel, c.Direction, string(c.Staff), c.At)
		}})
	}
	for _, v := range w.plan.Visits {
		list = append(list, moment{v.At, func(ctx context.Context) error {
			select {
			case free <- struct{}{}:
				w.agents[v.Staff] <- v // has room: no more visits than that are on their way
			case <-ctx.Done():
			}
			return nil
		}})
	}
	slices.SortStableFunc(list, func(a, b moment) int { return a.at.Compare(b.at) })
	return list
}

func (w *workday) exec(ctx context.Context, conn *pgx.Conn, sql string, args ...any) error {
	w.statements.Add(1)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(strings.Fields(sql)[:3], " "), err)
	}
	return nil
}

// connect logs in through the gateway.
func (w *workday) connect(ctx context.Context, who sallyport.Staff) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(w.dsn(who, w.gatewayAddress(), "help desk"))
	if err != nil {
		return nil, fmt.Errorf("prepare the connection of %s: %w", who, err)
	}
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { w.notices.Add(1) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", who, err)
	}
	return conn, nil
}

func closeConn(ctx context.Context, conn *pgx.Conn) { _ = conn.Close(context.WithoutCancel(ctx)) } // nothing is under way

// agent is one person's day at the desk. That he is cut off is counted; it ends his day and not the others'.
func (w *workday) agent(ctx context.Context, who sallyport.Staff, visits <-chan sim.Visit, free <-chan struct{}) error {
	conn, err := w.connect(ctx, who)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	for v := range visits {
		if !conn.IsClosed() && ctx.Err() == nil {
			err := (&desk{w, conn, v}).visit(ctx)
			var refused *pgconn.PgError
			switch {
			case err == nil || ctx.Err() != nil:
			case errors.As(err, &refused) && strings.HasPrefix(refused.Code, "SP"), conn.IsClosed():
				w.cut.Add(1)
				w.note(fmt.Errorf("%s: %w", who, err))
			default:
				return fmt.Errorf("%s works on ticket %d: %w", who, v.Ticket, err)
			}
		}
		<-free
	}
	return nil
}

func (w *workday) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trouble == nil {
		w.trouble = err
	}
}

func (w *workday) hindrance() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// desk is one visit.
type desk struct {
	*workday
	conn *pgx.Conn
	v    sim.Visit
}

// visit goes through the steps. The purpose is set when it is first needed, and typed as people do.
func (d *desk) visit(ctx context.Context) error {
	purposeSet := false
	for _, step := range d.v.Steps {
		if !purposeSet && step != sim.ReadWorkList && step != sim.OpenTicket && step != sim.FindByEmail {
			purposeSet = true
			if err := d.exec(ctx, d.conn, "SET sallyport.purpose = 'ticket:"+sim.TicketNo(d.v.Ticket)+"'"); err != nil {
				return err
			}
		}
		if err := d.step(ctx, step); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}

func (d *desk) step(ctx context.Context, step sim.Step) error {
	v, now := d.v, d.clock.Now()
	switch step {
	case sim.OpenTicket:
		return d.exec(ctx, d.conn, `INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at) VALUES ($1, $2, $3, $4, $5, 'open', $6, $7)`,
			v.Opens.ID, v.Opens.No, v.Opens.Customer, string(v.Staff), v.Opens.Queue, v.Opens.Subject, v.Opens.OpenedAt)
	case sim.ReadWorkList:
		return d.readWorkList(ctx)
	case sim.FindByEmail:
		_, err := d.rows(ctx, "SELECT id, full_name, plan FROM support.customers WHERE email = $1", d.org.Customer(v.Customer).Email)
		return err
	case sim.ReadCase:
		return d.readCase(ctx)
	case sim.ReadMessages:
		_, err := d.rows(ctx, "SELECT author, sent_at, body FROM support.messages WHERE ticket_id = $1 ORDER BY id", v.Ticket)
		return err
	case sim.Reply:
		return d.exec(ctx, d.conn, "INSERT INTO support.messages (id, ticket_id, author, body, sent_at) VALUES ($1, $2, $3, $4, $5)",
			v.Message, v.Ticket, string(v.Staff), "Thank you for your message. It is being taken care of; we write again as soon as it is done.", now)
	case sim.ChangePhone:
		fresh := v.Customer + d.org.Customers // nobody's, so its number is new
		for d.org.Customer(fresh).Phone == "" {
			fresh += d.org.Customers
		}
		return d.exec(ctx, d.conn, "UPDATE support.customers SET phone = $2 WHERE id = $1", v.Customer, d.org.Customer(fresh).Phone)
	case sim.WriteNote:
		return d.exec(ctx, d.conn, "UPDATE support.customers SET notes = $2 WHERE id = $1", v.Customer, "Called; prefers to be called back in the afternoon.")
	case sim.Wait:
		return d.exec(ctx, d.conn, "UPDATE support.tickets SET state = 'pending' WHERE id = $1", v.Ticket)
	case sim.Close:
		return d.exec(ctx, d.conn, "UPDATE support.tickets SET state = 'closed', closed_at = $2 WHERE id = $1", v.Ticket, now)
	}
	return fmt.Errorf("no such step: %q", step)
}

// readWorkList reads the names and numbers of the agent's own open tickets.
func (d *desk) readWorkList(ctx context.Context) error {
	if err := d.exec(ctx, d.conn, "SET sallyport.purpose = 'work:mine'"); err != nil {
		return err
	}
	rows, err := d.rows(ctx, "SELECT id, ticket_no, full_name FROM support.open_cases WHERE assignee = $1", string(d.v.Staff))
	if err != nil {
		return err
	}
	readable := len(rows) > 0
	lastTicket := number(d.org.Tickets)
	for _, row := range rows {
		// A ticket that the router assigns at this very moment may show before the gateway has heard that it was committed.
		old := len(row[0]) <= len(lastTicket) && (len(row[0]) < len(lastTicket) || row[0] <= lastTicket)
		readable = readable && (!old || strings.HasPrefix(row[1], "CS-") && !strings.HasPrefix(row[2], "tk1:"))
	}
	d.saw(readable, "his work list")
	return nil
}

// readCase reads the ticket with its customer. Who may, must see the very address that the customer has.
func (d *desk) readCase(ctx context.Context) error {
	rows, err := d.rows(ctx, "SELECT id, ticket_no, subject, full_name, email, phone FROM support.open_cases WHERE id = $1", d.v.Ticket)
	if err != nil {
		return err
	}
	c := d.org.Customer(d.v.Customer)
	d.saw(len(rows) == 1 && rows[0][1] == sim.TicketNo(d.v.Ticket) && rows[0][3] == c.FullName && rows[0][4] == c.Email, fmt.Sprintf("ticket %d", d.v.Ticket))
	return nil
}

func (d *desk) saw(readable bool, what string) {
	if readable {
		d.read.Add(1)
		return
	}
	d.unread.Add(1)
	d.note(fmt.Errorf("%s could not read %s", d.v.Staff, what))
}

// rows reads a result; text and null columns come as text.
func (d *desk) rows(ctx context.Context, sql string, args ...any) ([][]string, error) {
	d.statements.Add(1)
	rows, err := d.conn.Query(ctx, sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		var texts []string
		for _, raw := range row.RawValues() {
			texts = append(texts, string(raw))
		}
		return texts, nil
	})
}
