package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport"
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

// softLevel has a lead come near the end of a budget: the next customer waits until she has confirmed that it is she.
func (d *demo) softLevel(ctx context.Context) error {
	d.title("Before a budget is used up: a soft level")
	lead := d.officers[0]
	tickets, err := d.ofTeam(ctx, lead.Team)
	if err != nil {
		return err
	}
	d.say("The terminal at the counter may show %d customers a day, whoever sits there. %s, a lead, reads %d of her team's there. For the next one the\npolicies want to know that it is she:", levelCustomers, lead.ID, levelBefore)
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
		out, err := d.program(reading, lead.ID, d.gatewayAddress(), "psql", append(args, "application_name="+levelTerminal)...)
		done <- result{out, err}
	}()
	if err := d.waits(ctx, lead.ID); err != nil {
		stop()
		r := <-done
		if r.out != nil {
			d.quote(r.out.lines(60))
		}
		return errors.Join(err, r.err)
	}
	confirmed := time.Now()
	client := d.officer(0)
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
	*f = demoLevel{Staff: string(lead.ID), Customers: levelCustomers, Before: levelBefore, Waited: true, Seconds: time.Since(confirmed).Seconds(), Read: r.out.contains(last.Email)}
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
	d.say("    She ran `sallyport confirm --as %s` in another window; psql was done %s later (wall clock). That it was she is on record.", lead.ID, short(f.Seconds))
	return nil
}

// waits waits until a statement of somebody waits for him.
func (d *demo) waits(ctx context.Context, who sallyport.Staff) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(stretchedDemo); time.Now().Before(end); {
		if len(d.server.waitingFor(who)) > 0 {
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

// ofTeam are open tickets of a team about different customers, none of a thief's.
func (d *demo) ofTeam(ctx context.Context, team string) (list []openTicket, err error) {
	customers := map[int64]bool{}
	for i, agent := range d.org.Agents() {
		if agent.Team != team || d.steals(i) {
			continue
		}
		own, err := d.openTickets(ctx, agent.ID)
		if err != nil {
			return nil, err
		}
		for _, t := range own {
			if customers[t.customer] {
				continue
			}
			customers[t.customer] = true
			if list = append(list, t); len(list) == levelBefore+1 {
				return list, nil
			}
		}
	}
	return nil, fmt.Errorf("the team %s has open tickets of %d customers, and the story needs %d", team, len(list), levelBefore+1)
}
