package serve

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
)

// askingRules let agents ask for e-mail addresses and names of a few customers, which two officers approve.
const askingRules = `
grants:
  groups:
    officers: {roles: [security]}
  rules:
    - {name: small, for: {roles: [agent]}, columns: [support.customers.email, support.customers.full_name], customers: 10, hours: 8, approvals: [[{of: 2, from: officers}]]}
    - {name: large, for: {roles: [agent]}, columns: [support.customers.email], customers: 3000, hours: 8, approvals: [[{of: 3, from: officers}]]}
`

// asking is a fort whose people use commands, on a clock that the test moves.
type asking struct {
	*fort
	moved atomic.Int64 // how far the clock is ahead
}

func newAsking(t *testing.T, extra string, change ...func(*Options)) *asking {
	t.Helper()
	return newAskingBy(t, extra+askingRules, change...)
}

// newAskingBy has rules of its own.
func newAskingBy(t *testing.T, extra string, change ...func(*Options)) *asking {
	t.Helper()
	a := &asking{}
	a.fort = newFort(t, extra, func(o *Options) {
		for id, p := range o.Config.People {
			if p.Role != "agent" {
				continue
			}
			hash, err := officerHash("agent")
			fatal(t, err)
			p.Password = hash
			o.Config.People[id] = p
		}
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(a.moved.Load())) }
		for _, c := range change {
			c(o)
		}
	})
	return a
}

// fine ends the test where something did not work.
func (a *asking) fine(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *asking) move(d time.Duration) { a.moved.Add(int64(d)) }

// agent is an agent on the control socket.
func (a *asking) agent(id sallyport.Staff) *api.Client {
	c := api.NewClient(filepath.Join(a.options.Data, SocketName), id, "agent-password")
	a.t.Cleanup(c.Close)
	return c
}

// granted asks for e-mail addresses, and has officers agree.
func (a *asking) granted(who sallyport.Staff, q api.GrantRequest) (id string) {
	a.t.Helper()
	if q.Columns == nil {
		q.Columns = []string{"support.customers.email"}
	}
	if q.Minutes == 0 {
		q.Minutes = 120
	}
	q.Reason = "test"
	g, err := a.agent(who).RequestGrant(a.ctx, q)
	a.fine(err)
	for _, o := range officers {
		if g.Status == "active" {
			break
		}
		g, err = a.officer(o).ApproveGrant(a.ctx, g.ID)
		a.fine(err)
	}
	if g.Status != "active" {
		a.t.Fatalf("%+v is not active", g)
	}
	return g.ID
}

// refusedAs is the code of a refusal on the control socket.
func refusedAs(err error) string {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return p.Code
}

// emails are the addresses of customers, by a statement that a client sends; a token is left out.
func emails(c *client, ids ...int64) (plain []string, err error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.FormatInt(id, 10)
	}
	rows, err := c.rows("SELECT email FROM support.customers WHERE id IN (" + strings.Join(texts, ",") + ") ORDER BY id")
	for _, row := range rows {
		if !strings.HasSuffix(row[0], "k1.invalid") {
			plain = append(plain, row[0])
		}
	}
	return plain, err
}

// TestGrantWay: asked for, agreed to by two, used by the one whom it is for and nobody else, counted over sessions and a restart, over with
// its last customer, and reported.
func TestGrantWay(t *testing.T) {
	a := newAsking(t, "")
	who := a.org.Agents()[0].ID
	ids := []int64{11, 12, 13, 14}
	want := func(ids ...int64) (out []string) {
		for _, id := range ids {
			out = append(out, a.org.Customer(id).Email)
		}
		return out
	}
	q := api.GrantRequest{Columns: []string{"support.customers.email"}, Customers: 3, Minutes: 60, Reason: "whom INC-1 hit"}
	g, err := a.agent(who).RequestGrant(a.ctx, q)
	fatal(t, err)
	if g.Rule != "small" || g.Needs != "2 of officers" || g.Status != "asked" || g.Asked != 3 {
		t.Errorf("%+v", g)
	}
	c := a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + g.ID + "'")
	if !c.heard("nobody has agreed to") {
		t.Error("a request that nobody approved: no word about it")
	}
	if got, err := emails(c, ids[:1]...); len(got) > 0 || err != nil {
		t.Errorf("before anybody approved it: %q, %v", got, err)
	}

	// Who must not approve, and who must not ask.
	if _, err := a.agent(who).ApproveGrant(a.ctx, g.ID); refusedAs(err) != "not_yours_to_decide" {
		t.Errorf("who asks approves: %v", err)
	}
	if _, err := a.agent(a.org.Agents()[1].ID).ApproveGrant(a.ctx, g.ID); refusedAs(err) != "no_such_grant" {
		t.Errorf("somebody whom it does not concern: %v", err)
	}
	if _, err := a.officer("o1").Approve(a.ctx, g.ID); refusedAs(err) != "no_such_proposal" {
		t.Errorf("as a proposal: %v", err)
	}
	for what, wrong := range map[string]api.GrantRequest{
		"not_for_others": {For: a.org.Agents()[1].ID, Columns: q.Columns, Customers: 1, Minutes: 1, Reason: "r"},
		"no_rule":        {Columns: []string{"support.customers.phone"}, Customers: 1, Minutes: 1, Reason: "r"},
		"no_reason":      {Columns: q.Columns, Customers: 1, Minutes: 1},
		"bad_request":    {Columns: q.Columns, Minutes: 1, Reason: "r"},
	} {
		if _, err := a.agent(who).RequestGrant(a.ctx, wrong); refusedAs(err) != what {
			t.Errorf("%s: %v", what, err)
		}
	}
	if g, err = a.officer("o1").ApproveGrant(a.ctx, g.ID); err != nil || g.Status != "asked" {
		t.Fatalf("%+v, %v", g, err)
	}
	if _, err := a.officer("o1").ApproveGrant(a.ctx, g.ID); refusedAs(err) != "not_yours_to_decide" {
		t.Errorf("twice: %v", err)
	}
	if got, _ := emails(c, ids[:1]...); len(got) > 0 {
		t.Errorf("one approval was enough: %q", got)
	}
	if g, err = a.officer("o2").ApproveGrant(a.ctx, g.ID); err != nil || g.Status != "active" {
		t.Fatalf("%+v, %v", g, err)
	}

	// It is used by whom it is for, when he says so, for its column.
	if got, err := emails(c, 11, 12); err != nil || !slices.Equal(got, want(11, 12)) {
		t.Errorf("%q, %v", got, err)
	}
	if got := c.one("SELECT full_name FROM support.customers WHERE id = 11"); got == a.org.Customer(11).FullName {
		t.Error("another column is open")
	}
	c.must("RESET sallyport.purpose")
	if got, _ := emails(c, 11); len(got) > 0 {
		t.Errorf("nobody said that it is by the grant: %q", got)
	}
	thief := a.connect(a.org.Agents()[1].ID)
	thief.must("SET sallyport.purpose = 'grant:" + g.ID + "'")
	if got, _ := emails(thief, 11); len(got) > 0 || !thief.heard("you have no grant of this name") {
		t.Errorf("somebody else uses it: %q", got)
	}

	// Another session, after a restart: two are counted, one is left.
	a.restart()
	c = a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + g.ID + "'")
	if got, err := emails(c, 12, 13); err != nil || !slices.Equal(got, want(12, 13)) {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	_, err = emails(c, 14)
	if broken := (*pgconn.PgError)(nil); !errors.As(err, &broken) || broken.Code != "SP010" || !strings.Contains(broken.Message, "the grant is used up: 3 customers") {
		t.Errorf("the fourth: %v", err)
	}
	if st := a.server.State.Standing(who); st.Suspended {
		t.Error("he is suspended for what he was granted")
	}
	c = a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + g.ID + "'")
	if got, _ := emails(c, 11); len(got) > 0 || !c.heard("is over") {
		t.Errorf("after its end: %q", got)
	}
	within(t, 20*time.Second, "what was seen is on record", func() bool {
		shown, err := a.officer("o1").Grant(a.ctx, g.ID)
		fatal(t, err)
		x, _ := a.server.State.Grant(g.ID)
		return shown.Status == "ended" && strings.Contains(shown.EndedFor, "used up") && x.Use != nil && x.Use.Customers == 3 && x.Use.Values == 4 && x.Use.Sessions == 2
	})
}

// TestGrantMany: what many small ones come to takes the rule of a large one.
func TestGrantMany(t *testing.T) {
	a := newAsking(t, "")
	who := a.org.Agents()[0].ID
	var rules []string
	for range 3 {
		g, err := a.agent(who).RequestGrant(a.ctx, api.GrantRequest{Columns: []string{"support.customers.email"}, Customers: 5, Minutes: 60, Reason: "r"})
		fatal(t, err)
		rules = append(rules, g.Rule)
	}
	if !slices.Equal(rules, []string{"small", "small", "large"}) {
		t.Errorf("%v", rules)
	}
	_, err := a.agent(who).RequestGrant(a.ctx, api.GrantRequest{Columns: []string{"support.customers.full_name"}, Customers: 5, Minutes: 60, Reason: "r"})
	if refusedAs(err) != "no_rule" || !strings.Contains(fmt.Sprint(err), "by his other grants of 30 days") {
		t.Errorf("%v", err)
	}
}

// TestGrantOnly: for named customers, and for a team's tickets, whatever a query puts beside what.
func TestGrantOnly(t *testing.T) {
	a := newAsking(t, "")
	who := a.org.Agents()[0].ID
	named := a.granted(who, api.GrantRequest{Customers: 2, Only: []sallyport.Subject{"21", "22"}})
	c := a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + named + "'")
	if got, err := emails(c, 20, 21, 22, 23); err != nil || !slices.Equal(got, []string{a.org.Customer(21).Email, a.org.Customer(22).Email}) {
		t.Errorf("%q, %v", got, err)
	}
	stranger := a.org.Customer(23)
	for _, sql := range []string{
		"SELECT g.id, v.email FROM support.customers g, support.customers v WHERE g.id = 21 AND v.id = 23",
		"SELECT 21 AS id, email FROM support.customers WHERE id = 23",
		"WITH g AS (SELECT id FROM support.customers WHERE id = 21) SELECT g.id, (SELECT email FROM support.customers WHERE id = 23) FROM g",
	} {
		for _, row := range c.must(sql) {
			if slices.Contains(row, stranger.Email) {
				t.Errorf("%s shows another customer", sql)
			}
		}
	}

	agent, _, customer := a.hasTicket(1)
	team := a.config.People[string(agent)].Team
	tickets := a.granted(who, api.GrantRequest{Customers: 2900, Team: team})
	c = a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + tickets + "'")
	covered := map[int64]bool{}
	for _, other := range a.org.Agents() {
		if a.config.People[string(other.ID)].Team == team {
			for _, id := range a.org.OpenTickets(other.ID) {
				covered[a.org.Ticket(id).Customer] = true
			}
		}
	}
	if got, _ := emails(c, customer.ID); len(got) != 1 {
		t.Errorf("a customer of the team's tickets: %q", got)
	}
	shown := 0
	for _, row := range c.must("SELECT id, email FROM support.customers") {
		id, _ := strconv.ParseInt(row[0], 10, 64)
		plain := !strings.HasSuffix(row[1], "k1.invalid")
		if plain && !covered[id] {
			t.Errorf("customer %d has no ticket of the team", id)
		}
		if plain {
			shown++
		}
	}
	if shown == 0 || shown > len(covered) {
		t.Errorf("%d of %d customers of the team's tickets", shown, len(covered))
	}
}

// reading reads a long result under a grant, and notes when the last plain value came.
type reading struct {
	last atomic.Int64 // nanoseconds since 1970
	seen atomic.Int64
	done chan error
}

func (a *asking) reads(who sallyport.Staff, grant, sql string) *reading {
	a.t.Helper()
	c := a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + grant + "'")
	r := &reading{done: make(chan error, 1)}
	go func() {
		rows, err := c.Query(a.ctx, sql, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			r.done <- err
			return
		}
		defer rows.Close()
		for rows.Next() {
			if !strings.HasSuffix(string(rows.RawValues()[0]), "k1.invalid") {
				r.last.Store(time.Now().UnixNano())
				r.seen.Add(1)
			}
		}
		r.done <- rows.Err()
	}()
	within(a.t, 20*time.Second, "values come", func() bool { return r.seen.Load() > 1000 })
	return r
}

const longResult = "SELECT email FROM support.customers, generate_series(1, 100000) WHERE id <= 1000"

// TestGrantEndsInTheMiddle: by hand, and by its time, a result under way is cut within a second.
func TestGrantEndsInTheMiddle(t *testing.T) {
	a := newAsking(t, "")
	who := a.org.Agents()[0].ID
	for name, end := range map[string]func(id string){
		"by hand": func(id string) {
			_, err := a.officer("o1").EndGrant(a.ctx, id, "enough")
			fatal(t, err)
		},
		"by its time": func(string) { a.move(3 * time.Hour) },
	} {
		id := a.granted(who, api.GrantRequest{Customers: 1400})
		r := a.reads(who, id, longResult)
		at := time.Now()
		end(id)
		ordered := time.Since(at)
		select {
		case err := <-r.done:
			if broken := (*pgconn.PgError)(nil); !errors.As(err, &broken) || broken.Code != "SP010" || !strings.Contains(broken.Message, "is over") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(stretched(20 * time.Second)):
			t.Fatalf("%s: the result goes on", name)
		}
		took := time.Unix(0, r.last.Load()).Sub(at.Add(ordered))
		t.Logf("%s: the last value came %s after the end, the order took %s, %d values before", name, took.Round(time.Millisecond), ordered.Round(time.Millisecond), r.seen.Load())
		if took > stretched(time.Second) {
			t.Errorf("%s: values came for %s after the end", name, took)
		}
		if g, _ := a.server.State.Grant(id); g.Status != control.GrantOver || a.server.State.Standing(who).Suspended {
			t.Errorf("%s: %s", name, g.Status)
		}
	}
	a.move(-3 * time.Hour) // a clock that is set back brings nothing back
	for _, g := range a.server.State.Grants() {
		if g.Status == control.GrantActive {
			t.Errorf("%s is active again", g.ID)
		}
	}
}
