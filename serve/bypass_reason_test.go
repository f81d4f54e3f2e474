package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
	"sallyport/sim"
)

// scheme is a way to a reason that its owner made himself. It ends with a ticket that he gives as his purpose.
type scheme struct {
	name   string
	open   string
	make   func(p *plot) (ticket int64)
	honest bool // it is a good reason: the control
}

// plot is one agent who wants to read one victim, with everybody whom he can use.
type plot struct {
	t                   *testing.T
	f                   *fort
	me                  sallyport.Staff
	c, engineer, router *client
	phone               *client
	own                 sim.Ticket // a genuine one
	victim              int64
	theirs              sim.Ticket // a ticket about the victim that is somebody else's
	id                  int64      // free, for rows of his own
	closed              sim.Ticket // one of his that is closed
	closedOf            int64
}

func (p *plot) opens(c *client, id, customer int64, assignee sallyport.Staff, openedAt string) {
	p.t.Helper()
	c.must(fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at)
		VALUES (%d, 'CS-%04d-%04d', %d, '%s', 'q', 'open', 'help', %s)`, id, id/10000%10000, id%10000, customer, assignee, openedAt))
}

func (p *plot) calls(c *client, id, customer int64, ticket, direction, staff, at string) {
	p.t.Helper()
	c.must(fmt.Sprintf(`INSERT INTO support.contacts (id, customer_id, ticket_id, channel, direction, staff, at) VALUES (%d, %d, %s, 'call', '%s', %s, %s)`,
		id, customer, ticket, direction, staff, at))
}

func schemes() []scheme {
	quoted := func(s sallyport.Staff) string { return "'" + string(s) + "'" }
	return []scheme{
		{name: "the router's ticket", honest: true, make: func(p *plot) int64 { p.opens(p.router, p.id, p.victim, p.me, "now()"); return p.id }},
		{name: "a call to the phone agent", honest: true, make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.calls(p.phone, p.id, p.victim, "NULL", "in", quoted(p.me), "now()")
			return p.id
		}},
		{name: "the router's, handed over with the whole row", honest: true, make: func(p *plot) int64 {
			p.opens(p.router, p.id, p.victim, "s003", "now()")
			p.router.must(fmt.Sprintf("UPDATE support.tickets SET customer_id = %d, assignee = '%s', state = 'open' WHERE id = %d", p.victim, p.me, p.id))
			return p.id
		}},
		{name: "taken around the gateway, given to another by the router and back", honest: true, make: func(p *plot) int64 {
			p.f.superExec(p.f.database, fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", p.me, p.theirs.ID))
			p.router.must(fmt.Sprintf("BEGIN; UPDATE support.tickets SET assignee = 's003' WHERE id = %[1]d; UPDATE support.tickets SET assignee = '%[2]s' WHERE id = %[1]d; COMMIT", p.theirs.ID, p.me))
			return p.theirs.ID
		}},
		{name: "the router's, by ON CONFLICT", honest: true, make: func(p *plot) int64 { p.upsert("open"); return p.id }},
		{name: "made around the gateway, then written by the router's ON CONFLICT", make: func(p *plot) int64 {
			p.slip(p.id)
			p.upsert("open")
			p.upsert("pending")
			return p.id
		}},
		{name: "taken around the gateway, while a router that keeps the assignee waits", make: func(p *plot) int64 {
			p.behind(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", p.me, p.theirs.ID),
				fmt.Sprintf("UPDATE support.tickets SET assignee = coalesce(assignee, 's003'), customer_id = %d, state = 'open' WHERE id = %d", p.victim, p.theirs.ID))
			return p.theirs.ID
		}},
		{name: "made around the gateway under another id, which the router changes", make: func(p *plot) int64 {
			p.slip(p.id + 1)
			p.router.must(fmt.Sprintf("UPDATE support.tickets SET id = %d, customer_id = %d, assignee = '%s', state = 'open' WHERE id = %d", p.id, p.victim, p.me, p.id+1))
			return p.id
		}},
		{name: "his own ticket", make: func(p *plot) int64 { p.opens(p.c, p.id, p.victim, p.me, "now()"); return p.id }},
		{name: "another log-in's row as an engineer", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, "s003", "now()")
			p.c.must(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", p.me, p.id))
			return p.id
		}},
		{name: "somebody's ticket, taken", make: func(p *plot) int64 {
			p.c.must(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", p.me, p.theirs.ID))
			return p.theirs.ID
		}},
		{name: "somebody's ticket, taken in a WITH", make: func(p *plot) int64 {
			_, _ = p.c.rows(fmt.Sprintf("WITH u AS (UPDATE support.tickets SET assignee = '%s' WHERE id = %d RETURNING id) SELECT * FROM u", p.me, p.theirs.ID))
			return p.theirs.ID
		}},
		{name: "somebody's ticket, taken by EXECUTE", make: func(p *plot) int64 {
			_, _ = p.c.rows("PREPARE taken AS UPDATE support.tickets SET assignee = $1 WHERE id = $2")
			_, _ = p.c.rows(fmt.Sprintf("EXECUTE taken('%s', %d)", p.me, p.theirs.ID))
			return p.theirs.ID
		}},
		{name: "somebody's ticket, taken by MERGE", make: func(p *plot) int64 {
			_, _ = p.c.rows(fmt.Sprintf("MERGE INTO support.tickets t USING (SELECT 1) x ON t.id = %d WHEN MATCHED THEN UPDATE SET assignee = '%s'", p.theirs.ID, p.me))
			return p.theirs.ID
		}},
		{name: "taken in a WITH, then written whole by the router", make: func(p *plot) int64 {
			_, _ = p.c.rows(fmt.Sprintf("WITH u AS (UPDATE support.tickets SET assignee = '%s' WHERE id = %d RETURNING id) SELECT * FROM u", p.me, p.theirs.ID))
			return p.whole()
		}},
		{name: "taken by EXECUTE, then written whole by the router", make: func(p *plot) int64 {
			_, _ = p.c.rows("PREPARE taken AS UPDATE support.tickets SET assignee = $1 WHERE id = $2")
			_, _ = p.c.rows(fmt.Sprintf("EXECUTE taken('%s', %d)", p.me, p.theirs.ID))
			return p.whole()
		}},
		{name: "taken by MERGE, then written whole by the router", make: func(p *plot) int64 {
			_, _ = p.c.rows(fmt.Sprintf("MERGE INTO support.tickets t USING (SELECT 1) x ON t.id = %d WHEN MATCHED THEN UPDATE SET assignee = '%s'", p.theirs.ID, p.me))
			return p.whole()
		}},
		{name: "taken plainly, then written whole by the router", make: func(p *plot) int64 {
			p.c.must(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", p.me, p.theirs.ID))
			return p.whole()
		}},
		{name: "taken around the gateway, then written whole by the router", make: func(p *plot) int64 {
			p.f.superExec(p.f.database, fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", p.me, p.theirs.ID))
			return p.whole()
		}},
		{name: "taken among others, of which only the first is fetched, then written whole", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.own.Customer, p.me, "now()")
			p.aside(func(w *wire) {
				w.ask(w.query("BEGIN"))
				w.ask(w.parse("", fmt.Sprintf("UPDATE support.tickets t SET assignee = '%s' FROM (VALUES (%d), (%d)) v(id) WHERE t.id = v.id RETURNING t.id", p.me, p.id, p.theirs.ID)), w.bind("", ""),
					&pgproto3.Execute{MaxRows: 1}, theSync())
				w.ask(w.query("COMMIT"))
			})
			return p.whole()
		}},
		{name: "taken while hanging up, then written whole", make: func(p *plot) int64 {
			p.aside(func(w *wire) {
				w.send(w.query(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d RETURNING repeat('x', 9000000), pg_sleep(0.3)", p.me, p.theirs.ID)))
			})
			within(p.t, 5*time.Second, "the server has written it", func() bool {
				var assignee string
				err := p.f.direct().QueryRow(p.t.Context(), "SELECT assignee FROM support.tickets WHERE id = $1", p.theirs.ID).Scan(&assignee)
				return err == nil && assignee == string(p.me)
			})
			return p.whole()
		}},
		{name: "an old call and a ticket dated back", make: func(p *plot) int64 {
			p.calls(p.phone, p.id, p.victim, "NULL", "in", quoted(p.me), "now() - interval '20 days'")
			p.opens(p.c, p.id, p.victim, p.me, "now() - interval '20 days'")
			return p.id
		}},
		{name: "an old mail that nobody took, and a ticket dated back", make: func(p *plot) int64 {
			p.calls(p.phone, p.id, p.victim, "NULL", "in", "NULL", "now() - interval '9 days'")
			p.opens(p.c, p.id, p.victim, p.me, "now() - interval '9 days'")
			return p.id
		}},
		{name: "a ticket moved to the time of an old call", make: func(p *plot) int64 {
			p.calls(p.phone, p.id, p.victim, "NULL", "in", quoted(p.me), "now() - interval '5 days'")
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.c.must(fmt.Sprintf("UPDATE support.tickets SET opened_at = now() - interval '5 days' WHERE id = %d", p.id))
			return p.id
		}},
		{name: "his closed ticket, opened again", make: func(p *plot) int64 {
			p.victim = p.closedOf
			p.c.must(fmt.Sprintf("UPDATE support.tickets SET state = 'open' WHERE id = %d", p.closed.ID))
			return p.closed.ID
		}},
		{name: "his closed ticket, opened again by way of ON CONFLICT", make: func(p *plot) int64 {
			p.victim = p.closedOf
			_, _ = p.c.rows(fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at) VALUES (%d, 'CS-0000-0001', %d, '%s', 'q', 'open', 's', now())
				ON CONFLICT (id) DO UPDATE SET state = excluded.state`, p.closed.ID, p.closedOf, p.me))
			return p.closed.ID
		}},
		{name: "his ticket, pointed at the victim", make: func(p *plot) int64 {
			for _, sql := range []string{
				"UPDATE support.tickets SET customer_id = %d WHERE id = %d", "UPDATE support.tickets SET (queue, customer_id) = ('q', %d) WHERE id = %d", "WITH u AS (UPDATE support.tickets SET customer_id = %d WHERE id = %d RETURNING 1) SELECT 1",
				"MERGE INTO support.tickets t USING (SELECT %d::bigint AS v) x ON t.id = %d WHEN MATCHED THEN UPDATE SET customer_id = x.v", "UPDATE support.tickets AS t SET customer_id = v.x FROM (SELECT %d AS x) v WHERE t.id = %d", "PREPARE aim AS UPDATE support.tickets SET customer_id = %d WHERE id = %d",
			} {
				_, _ = p.c.rows(fmt.Sprintf(sql, p.victim, p.own.ID))
			}
			_, _ = p.c.rows("EXECUTE aim")
			return p.own.ID
		}},
		{name: "a contact that an engineer wrote", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.calls(p.engineer, p.id, p.victim, "NULL", "in", quoted(p.me), "now()")
			return p.id
		}},
		{name: "a contact that was copied in", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			_, _ = p.engineer.PgConn().CopyFrom(p.t.Context(), strings.NewReader(fmt.Sprintf("%d\t%d\t\\N\tcall\tin\t%s\t%s\n", p.id, p.victim, p.me, time.Now().Format(time.RFC3339))), "COPY support.contacts FROM STDIN")
			return p.id
		}},
		{name: "the telephony's contact, pointed at the victim by an engineer", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.calls(p.phone, p.id, p.own.Customer, "NULL", "in", quoted(p.me), "now()")
			_, _ = p.engineer.rows(fmt.Sprintf("UPDATE support.contacts SET customer_id = %d WHERE id = %d", p.victim, p.id))
			p.f.superExec(p.f.database, fmt.Sprintf("UPDATE support.contacts SET customer_id = %d WHERE id = %d", p.victim, p.id))
			return p.id
		}},
		{name: "a call that he made himself", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.calls(p.phone, p.id, p.victim, "NULL", "out", quoted(p.me), "now()")
			return p.id
		}},
		{name: "an outgoing call, turned round by an engineer", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.calls(p.phone, p.id, p.victim, "NULL", "out", quoted(p.me), "now()")
			_, _ = p.engineer.rows(fmt.Sprintf("UPDATE support.contacts SET direction = 'in' WHERE id = %d", p.id))
			return p.id
		}},
		{name: "a colleague's call", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.calls(p.phone, p.id, p.victim, "NULL", "in", "'s004'", "now()")
			return p.id
		}},
		{name: "a call about another ticket", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.calls(p.phone, p.id, p.victim, fmt.Sprint(p.theirs.ID), "in", quoted(p.me), "now()")
			return p.id
		}},
		{name: "a contact that the telephony rolled back", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.phone.must("BEGIN")
			p.calls(p.phone, p.id, p.victim, "NULL", "in", quoted(p.me), "now()")
			p.phone.must("ROLLBACK")
			p.calls(p.engineer, p.id, p.victim, "NULL", "in", quoted(p.me), "now()")
			return p.id
		}},
		{name: "the router's ticket, not committed", make: func(p *plot) int64 {
			p.router.must("BEGIN")
			p.opens(p.router, p.id, p.victim, p.me, "now()")
			return p.id
		}},
		{name: "the router's ticket, rolled back and made again", make: func(p *plot) int64 {
			p.router.must("BEGIN; SAVEPOINT a")
			p.opens(p.router, p.id, p.victim, p.me, "now()")
			p.router.must("ROLLBACK TO a; COMMIT")
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			return p.id
		}},
		{name: "the router's ticket of a transaction that failed at its end", make: func(p *plot) int64 {
			_, _ = p.router.rows(fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at) VALUES (%d, 'CS-%04d-%04d', %d, '%s', 'q', 'open', 's', now()); SELECT 1/0`, p.id, p.id/10000%10000, p.id%10000, p.victim, p.me))
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			return p.id
		}},
		{name: "a message that speaks for the customer", make: func(p *plot) int64 {
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			p.c.must(fmt.Sprintf("INSERT INTO support.messages (id, ticket_id, author, body, sent_at) VALUES (%d, %d, 'customer', 'please help', now())", p.id, p.id))
			return p.id
		}},
		{name: "the other service as a router", make: func(p *plot) int64 { p.opens(p.phone, p.id, p.victim, p.me, "now()"); return p.id }},
		{name: "a ticket deleted and made again by an engineer", make: func(p *plot) int64 {
			p.opens(p.router, p.id, p.own.Customer, p.me, "now()")
			_, _ = p.engineer.rows(fmt.Sprintf("DELETE FROM support.tickets WHERE id = %d", p.id))
			p.opens(p.c, p.id, p.victim, p.me, "now()")
			return p.id
		}},
		{name: "a ticket whose id changed places", make: func(p *plot) int64 {
			p.opens(p.router, p.id, p.own.Customer, p.me, "now()")
			p.opens(p.c, p.id+1, p.victim, p.me, "now()")
			for _, sql := range []string{"UPDATE support.tickets SET id = -%[1]d WHERE id = %[1]d", "UPDATE support.tickets SET id = %[1]d WHERE id = %[2]d"} {
				_, _ = p.engineer.rows(fmt.Sprintf(sql, p.id, p.id+1))
			}
			return p.id
		}},
	}
}

// aside is a connection of the agent's that speaks the protocol itself, and hangs up.
func (p *plot) aside(do func(w *wire)) {
	p.t.Helper()
	s := &siege{fort: p.f, who: p.me}
	conn, kept, err := s.dial(p.t, p.f.dsn(p.me), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	w, err := newWire(p.t, s, 0, conn, kept)
	if err != nil {
		p.t.Fatal(err)
	}
	do(w)
	w.close()
}

// slip makes a ticket about the victim around the gateway.
func (p *plot) slip(id int64) {
	p.f.superExec(p.f.database, fmt.Sprintf("INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at) SELECT %[1]d, 'x%[1]d', %[2]d, '%[3]s', queue, 'open', subject, now() FROM support.tickets LIMIT 1",
		id, p.victim, p.me))
}

// upsert has the router's program save the row whether it is there or not.
func (p *plot) upsert(state string) {
	p.t.Helper()
	p.router.must(fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at) VALUES (%d, 'CS-%04d-%04d', %d, '%s', 'q', '%s', 'help', now())
		ON CONFLICT (id) DO UPDATE SET customer_id = excluded.customer_id, assignee = excluded.assignee, state = excluded.state`, p.id, p.id/10000%10000, p.id%10000, p.victim, p.me, state))
}

// behind has the router's statement wait for the lock of one that is made around the gateway and committed meanwhile.
func (p *plot) behind(around, router string) {
	p.t.Helper()
	super := p.f.direct()
	if _, err := super.Exec(p.t.Context(), "BEGIN; "+around); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := p.router.rows(router)
		done <- err
	}()
	within(p.t, 5*time.Second, "the router waits", func() bool {
		var waits bool
		err := super.QueryRow(p.t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Scan(&waits)
		return err == nil && waits
	})
	if _, err := super.Exec(p.t.Context(), "COMMIT"); err != nil {
		p.t.Fatal(err)
	}
	if err := <-done; err != nil {
		p.t.Fatal(err)
	}
}

// whole has the router's program save the whole row, as many programs do.
func (p *plot) whole() int64 {
	var assignee string
	conn := p.f.direct()
	if err := conn.QueryRow(p.t.Context(), "SELECT coalesce(assignee, '') FROM support.tickets WHERE id = $1", p.theirs.ID).Scan(&assignee); err != nil {
		p.t.Fatal(err)
	}
	p.router.must(fmt.Sprintf("UPDATE support.tickets SET customer_id = %d, assignee = '%s', state = 'open', queue = 'other' WHERE id = %d", p.victim, assignee, p.theirs.ID))
	return p.theirs.ID
}

func TestBypassReasons(t *testing.T) {
	f := newFort(t, rich+"copy:\n  support.tickets.id: [svc_router]\n")
	who, own, _ := f.hasTicket(0)
	var engineers []sallyport.Staff
	for _, p := range f.org.Staff {
		if p.Role == sim.Engineer {
			engineers = append(engineers, p.ID)
		}
	}
	served := map[int64]bool{}
	for id := int64(1); id <= f.org.Tickets; id++ {
		if tk := f.org.Ticket(id); tk.Assignee == who {
			served[tk.Customer] = true
		}
	}
	closed := closedTicket(f, who)
	next := f.org.Tickets
	for i, k := range schemes() {
		t.Run(k.name, func(t *testing.T) {
			p := &plot{t: t, f: f, me: who, own: own, id: 800000 + int64(i)*10, closed: closed, closedOf: closed.Customer}
			p.c, p.engineer, p.router, p.phone = f.connect(who), f.connect(engineers[0]), f.connect("svc_router"), f.connect("svc_phone")
			for ; next > 0; next-- { // a victim of this row's own
				tk := f.org.Ticket(next)
				if tk.State != sim.Closed && tk.Assignee != "" && tk.Assignee != who && !served[tk.Customer] {
					p.theirs, p.victim = tk, tk.Customer
					served[tk.Customer] = true
					next--
					break
				}
			}
			id := k.make(p)
			victim := f.org.Customer(p.victim)
			shown := false
			for _, purpose := range []string{fmt.Sprintf("ticket:%d", id), "work:mine", fmt.Sprintf("ticket:%d,work:mine,ticket:%d", p.own.ID, id)} {
				p.c.must("SET sallyport.purpose = '" + purpose + "'")
				for _, row := range p.c.must(fmt.Sprintf("SELECT full_name, email, phone FROM support.customers WHERE id IN (%d, %d) OR id = (SELECT customer_id FROM support.tickets WHERE id = %d)", p.victim, p.own.Customer, id)) {
					shown = shown || row[0] == victim.FullName || row[1] == victim.Email || victim.Phone != "" && row[2] == victim.Phone
				}
			}
			switch {
			case shown == k.honest:
			case k.open != "":
				t.Logf("OPEN (%s): the victim is readable", k.open)
			case shown:
				t.Errorf("the victim is readable through ticket %d", id)
			default:
				t.Error("a good reason opens nothing, so this table proves nothing")
			}
			for _, c := range []*client{p.c, p.engineer, p.router, p.phone} {
				_ = c.Close(t.Context())
			}
		})
	}
}
