package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/sim"
)

// demoLevel is what the soft level of a shared budget came to.
type demoLevel struct {
	Staff     string  `json:"staff"`
	Customers int     `json:"customers"`           // of the budget
	Before    int     `json:"read_before"`         // by then
	Waited    bool    `json:"waited"`              // the next one did
	Seconds   float64 `json:"confirmed_seconds"`   // from the confirmation to the end of psql
	Read      bool    `json:"read_when_confirmed"` // then it was readable
}

// levelTerminal is the application with a budget of its own in the demonstration's configuration, and how many customers that is.
const (
	levelTerminal  = "counter"
	levelCustomers = 5
	levelBefore    = 4
)

// softLevel has an agent come near the end of a budget: the next customer waits until he has confirmed that it is he.
func (d *demo) softLevel(ctx context.Context) error {
	d.title("Before a budget is used up: a soft level")
	who := d.counter
	tickets, err := d.atCounter(ctx, who)
	if err != nil {
		return err
	}
	d.say("The terminal at the counter may show %d customers a day, whoever sits there. %s reads %d of his there. For the next one the\npolicies want to know that it is he:", levelCustomers, who, levelBefore)
	var statements []string
	for _, t := range tickets {
		statements = append(statements, "SET sallyport.purpose = 'ticket:"+t.no+"'", fmt.Sprintf("SELECT id, full_name, email FROM support.customers WHERE id = %d", t.customer))
	}
	type result struct {
		out *excerpt
		err error
	}
	done := make(chan result, 1)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		args := []string{"-X", "-e", "-P", "pager=off", aligned}
		for _, statement := range statements {
			args = append(args, "-c", statement)
		}
		out, err := d.program(reading, who, d.gatewayAddress(), "psql", append(args, "application_name="+levelTerminal)...)
		done <- result{out, err}
	}()
	if err := d.waits(ctx, who); err != nil {
		stop()
		r := <-done
		if r.out != nil {
			d.quote(r.out.lines(60))
		}
		return errors.Join(err, r.err)
	}
	confirmed := time.Now()
	client := api.NewClient(d.server.Control(), who, d.passwords[who])
	defer client.Close()
	if err := client.Confirm(ctx); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	r := <-done
	if r.err != nil {
		return r.err
	}
	last := d.org.Customer(tickets[len(tickets)-1].customer)
	f := &d.figures.Level
	*f = demoLevel{Staff: string(who), Customers: levelCustomers, Before: levelBefore, Waited: true, Seconds: time.Since(confirmed).Seconds(), Read: r.out.contains(last.Email)}
	lines := r.out.lines(200)
	from := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "SET sallyport.purpose") {
			from = i
		}
	}
	d.quote(lines[from:])
	if !f.Read {
		return errors.New("what was confirmed stayed a token")
	}
	d.say("    He ran `sallyport confirm --as %s` in another window; psql was done %s later (wall clock). That it was he is on record.", who, short(f.Seconds))
	return nil
}

// waits waits until a statement of somebody waits for him.
func (d *demo) waits(ctx context.Context, who sallyport.Staff) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(stretchedDemo); time.Now().Before(end); {
		if len(d.server.WaitingFor(who)) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return fmt.Errorf("nothing waits for %s", who)
}

// stretchedDemo is how long the story waits for what is to happen at once.
const stretchedDemo = time.Minute

// busiest is the agent with the most open tickets who steals nothing.
func (s *demoStage) busiest() (who sallyport.Staff) {
	most := -1
	for i, agent := range s.org.Agents() {
		if n := len(s.org.OpenTickets(agent.ID)); n > most && !s.steals(i) {
			who, most = agent.ID, n
		}
	}
	return who
}

// atCounter are somebody's open tickets about different customers, those of the day too.
func (d *demo) atCounter(ctx context.Context, who sallyport.Staff) (list []openTicket, err error) {
	conn, err := pgx.Connect(ctx, d.cluster.SuperDSN(demoDatabase))
	if err != nil {
		return nil, fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows, err := conn.Query(ctx, "SELECT max(id), customer_id FROM support.tickets WHERE assignee = $1 AND state <> 'closed' GROUP BY customer_id ORDER BY 1 LIMIT $2",
		string(who), levelBefore+1)
	if err != nil {
		return nil, fmt.Errorf("read open tickets: %w", err)
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t openTicket, err error) {
		err = row.Scan(&t.id, &t.customer)
		t.no = sim.TicketNo(t.id)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("read open tickets: %w", err)
	}
	if len(list) <= levelBefore {
		return nil, fmt.Errorf("%s has open tickets of %d customers, and the story needs %d", who, len(list), levelBefore+1)
	}
	return list, nil
}
