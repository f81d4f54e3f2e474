package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/control"
	"sallyport/exposure"
)

// asked runs a statement that is expected to wait at the second door. The notice that says so is sent to waits.
type asked struct {
	conn  *pgconn.PgConn
	waits chan *pgconn.Notice
	rows  chan []string
}

// askAside sends one statement; what comes back, and the error, go to rows.
func (f *fort) askAside(who sallyport.Staff, sql ...string) *asked {
	f.t.Helper()
	a := &asked{waits: make(chan *pgconn.Notice, 16), rows: make(chan []string, 1)}
	config, err := pgconn.ParseConfig(f.dsn(who))
	if err != nil {
		f.t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if strings.Contains(n.Message, "waits") || strings.Contains(n.Message, "in time") {
			a.waits <- n
		}
	}
	if a.conn, err = pgconn.ConnectConfig(f.ctx, config); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = a.conn.Close(context.Background()) })
	go func() {
		results, err := a.conn.Exec(f.ctx, strings.Join(sql, "; ")).ReadAll()
		var out []string
		if err != nil {
			out = append(out, "error: "+err.Error())
		}
		for _, r := range results {
			for _, row := range r.Rows {
				for _, field := range row {
					out = append(out, string(field))
				}
			}
		}
		a.rows <- out
	}()
	return a
}

func (a *asked) notice(t *testing.T) *pgconn.Notice {
	t.Helper()
	select {
	case n := <-a.waits:
		return n
	case out := <-a.rows:
		t.Fatalf("it did not wait: %q", out)
	case <-time.After(20 * time.Second):
		t.Fatal("no notice came")
	}
	return nil
}

func (a *asked) result(t *testing.T) string {
	t.Helper()
	select {
	case out := <-a.rows:
		return strings.Join(out, "|")
	case <-time.After(20 * time.Second):
		t.Fatal("no result came")
	}
	return ""
}

// order gives an order of the control stream, as the control socket would.
func (f *fort) order(kind sallyport.EventKind, o sallyport.Order) {
	f.t.Helper()
	if err := f.server.orders.Give(nil, &sallyport.Event{Time: f.server.O.Clock(), Kind: kind, Order: &o}); err != nil {
		f.t.Fatal(err)
	}
}

// TestSecondDoor holds results back until a person has proven who he is, or a colleague agreed; masks and suspends below that.
func TestSecondDoor(t *testing.T) {
	f := newFort(t, "", func(o *Options) { o.Config.Demonstration = false })
	who, ticket, customer := f.hasTicket(0)
	set := fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)
	read := fmt.Sprintf("SELECT email, birth_date FROM support.customers WHERE id = %d", customer.ID)
	born := customer.BirthDate.Format(time.DateOnly)

	// The database's word alone is not enough. What waits goes on the moment he confirms.
	a := f.askAside(who, set, read)
	n := a.notice(t)
	if want := "sallyport: this waits: the database alone vouches for you: confirm that it is you"; n.Message != want || !strings.Contains(n.Hint, "sallyport confirm --as "+string(who)) {
		t.Errorf("%q, %q", n.Message, n.Hint)
	}
	start := time.Now()
	f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
	if got := a.result(t); got != customer.Email+"|"+born {
		t.Errorf("after a confirmation: %q", got)
	}
	t.Logf("from the confirmation to the result: %s", time.Since(start).Round(time.Microsecond))
	if got := f.askAside(who, set, read).result(t); got != customer.Email+"|"+born {
		t.Errorf("a confirmation is good for a while: %q", got)
	}

	// Nobody confirms for somebody else.
	other, ticket2, customer2 := f.hasTicket(1)
	a = f.askAside(other, fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket2.ID), fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer2.ID))
	a.notice(t)
	f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: other})
	if err := a.conn.CancelRequest(f.ctx); err != nil {
		t.Fatal(err)
	}
	if got := a.result(t); got == customer2.Email || !strings.HasSuffix(got, "k1.invalid") {
		t.Errorf("a statement that was cancelled while it waited: %q", got)
	}

	// A colleague agrees, who is not the person himself.
	f.order(sallyport.Trusted, sallyport.Order{Action: "trust", By: "o1", About: who, Details: "30", Reason: "test"})
	a = f.askAside(who, set, read)
	n = a.notice(t)
	open := f.open(control.Second)
	if len(open) != 1 || !strings.Contains(n.Hint, "sallyport approve "+open[0].ID) {
		t.Fatalf("%q, proposals %+v", n.Hint, open)
	}
	f.order(sallyport.Approved, sallyport.Order{ID: open[0].ID, By: who}) // changes nothing
	if _, err := f.officer("o2").Approve(f.ctx, open[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := a.result(t); got != customer.Email+"|"+born {
		t.Errorf("after a colleague agreed: %q", got)
	}

	// Slowed: each row but the first takes a while.
	f.order(sallyport.Approved, sallyport.Order{ID: f.trusts(who, "70"), By: "o2"})
	f.seen(who, 21)
	all := fmt.Sprintf("SELECT c.email FROM support.customers c, generate_series(1, 5) WHERE c.id = %d", customer.ID)
	start = time.Now()
	if got, took := f.askAside(who, set, all).result(t), time.Since(start); strings.Count(got, customer.Email) != 5 || took < 4*250*time.Millisecond {
		t.Errorf("slowed: %q in %s", got, took)
	}

	// Masked, and at the end suspended.
	f.order(sallyport.Trusted, sallyport.Order{Action: "trust", By: "o1", About: who, Details: "20", Reason: "test"})
	if got := f.askAside(who, set, read).result(t); !strings.HasPrefix(got, "***|") || strings.Contains(got, born) {
		t.Errorf("masked: %q", got)
	}
	f.order(sallyport.Trusted, sallyport.Order{Action: "trust", By: who, About: who, Details: "100", Reason: "I say so"})
	if got := f.server.State.Door(who).Trust; got != 20 {
		t.Errorf("he trusts himself: %d", got)
	}
	f.order(sallyport.Trusted, sallyport.Order{Action: "trust", By: "o1", About: who, Details: "5", Reason: "test"})
	if got := f.askAside(who, set, read).result(t); strings.Contains(got, customer.Email) || !strings.Contains(got, "suspended") {
		t.Errorf("below 10: %q", got)
	}
	if st := f.server.State.Standing(who); !st.Suspended {
		t.Error("he is not suspended")
	}
}

// trusts proposes how far somebody is to be trusted.
func (f *fort) trusts(who sallyport.Staff, trust string) (proposal string) {
	f.order(sallyport.Proposed, sallyport.Order{ID: "trust" + trust, Action: control.Trust, By: "o1", About: who, Details: trust, Reason: "test"})
	return "trust" + trust
}

// seen counts so many customers as revealed to somebody.
func (f *fort) seen(who sallyport.Staff, n int) {
	for i := range n {
		f.server.book.Reserve(time.Now(), who, exposure.Revealed, exposure.Key{0xff, byte(i)}, exposure.Budget{Hour: 1000, Day: 1000, Month: 1000})
	}
}

// open are the open proposals of an action.
func (f *fort) open(action string) (out []control.Proposal) {
	for _, p := range f.server.State.Proposals() {
		if p.Action == action && p.Status == control.Open {
			out = append(out, p)
		}
	}
	return out
}

// TestRolesDecide holds the default policies in front of a real database: leads see their team's tickets, engineers nothing, and a policy of
// the company's own narrows what a reason covers.
func TestRolesDecide(t *testing.T) {
	// The made-up organisation's leads are a team of their own: here the last of each team leads it.
	f := newFort(t, "", func(o *Options) {
		last := map[string]string{}
		for _, id := range slices.Sorted(maps.Keys(o.Config.People)) {
			if o.Config.People[id].Role == "agent" {
				last[o.Config.People[id].Team] = id
			}
		}
		for _, id := range last {
			p := o.Config.People[id]
			p.Role = "lead"
			o.Config.People[id] = p
		}
	})
	who, ticket, customer := f.hasTicket(0)
	team := f.config.People[string(who)].Team
	read := []string{fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)}
	leads := 0
	for id, p := range f.config.People {
		if f.passwords[sallyport.Staff(id)] == "" || sallyport.Staff(id) == who {
			continue
		}
		want := p.Team == team && p.Role == "lead"
		if want {
			leads++
		}
		got := f.askAside(sallyport.Staff(id), read...).result(t)
		if (got == customer.Email) != want {
			t.Errorf("%s, %s of %s, reads %q by a ticket of %s in %s", id, p.Role, p.Team, got, who, team)
		}
	}
	if leads == 0 {
		t.Error("nobody leads the team: that leads see its tickets was not tried")
	}
	if got := f.askAside(who, read...).result(t); got != customer.Email {
		t.Errorf("%s himself reads %q", who, got)
	}
}

// TestSecondDoorClientGone: who hangs up while a result waits for him gets nothing opened by what he confirms later.
func TestSecondDoorClientGone(t *testing.T) {
	f := newFort(t, "", func(o *Options) { o.Config.Demonstration = false })
	who, ticket, customer := f.hasTicket(0)
	a := f.askAside(who, fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
	a.notice(t)
	if len(f.server.WaitingFor(who)) != 1 {
		t.Fatal("nothing is said to wait for him: this proves nothing")
	}
	fatal(t, a.conn.Conn().Close())
	within(t, 20*time.Second, "nothing waits for who is gone", func() bool { return len(f.server.WaitingFor(who)) == 0 })
	f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
	within(t, 20*time.Second, "his session is over", func() bool {
		return slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Kind == sallyport.SessionEnd && e.Who.Staff == who })
	})
	if slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Kind == sallyport.RevealKind && e.Who.Staff == who }) {
		t.Error("values were opened for nobody")
	}
}
