package rulebook

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/history"
	"sallyport/policy"
	"sallyport/record"
	"sallyport/replay"
)

// ReplaySets are today's policies and the other ones, on everybody whom configuration and record know.
func ReplaySets(c *config.Config, orders *record.Stream, other string, now time.Time) (before, after *policy.Set, err error) {
	state := control.NewState()
	if err := orders.Read(1, func(e *sallyport.Event) error {
		state.Apply(e)
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("read who is who: %w", err)
	}
	c.Roster = state.Directory().Roster(c.Own(), c.Rules(), now)
	if before, _, err = Load(c, c.PolicyFolder()); err != nil || other == "" {
		return before, before, err
	}
	after, _, err = Load(c, other)
	return before, after, err
}

// Replayed is what a record is run under. A change of policies that widens access is proposed with the report and its hash.
type Replayed struct {
	Before, After   *policy.Set     // today's, and the other ones
	Budgets         *config.Budgets // nil: the configuration's
	Access, Control *record.Stream  // may be in use by serve: they are only read
	From, Until     time.Time
	Names           *history.Names           // gives pseudonyms
	Progress        func(done, total uint64) // nil: nobody looks
	Percent         int                      // of those budgets; 0: as they are
	First           uint64                   // entry of the access stream before which nothing matters; 0: all do
}

// Replay runs what was accessed under other policies or budgets.
func Replay(c *config.Config, ctx context.Context, o Replayed) (*replay.Report, error) {
	company := replayCompany(c, o.Budgets)
	company.Name = func(who sallyport.Staff) sallyport.Staff { return sallyport.Staff(o.Names.Person(who)) }
	if o.Percent > 0 {
		of := company.Budgets
		company.Budgets = func(who sallyport.Staff, team string) exposure.Budgets { return percentOf(of(who, team), o.Percent) }
	}
	r := replay.New(company, o.Before, o.After, o.From, o.Until)
	next, stop := iter.Pull2(o.Control.Events(ctx))
	defer stop()
	order, err, more := next()
	last := o.Access.Last()
	readErr := o.Access.Read(max(1, o.First), func(e *sallyport.Event) error {
		if e.Seq > last {
			return record.ErrEnough
		}
		for more && err == nil && !order.Time.After(e.Time) {
			r.Control(order)
			order, err, more = next()
		}
		r.Access(e)
		if o.Progress != nil && e.Seq%4096 == 0 {
			o.Progress(e.Seq, last)
		}
		return errors.Join(err, ctx.Err())
	})
	if readErr != nil {
		return nil, fmt.Errorf("read the record: %w", readErr)
	}
	if o.Progress != nil {
		o.Progress(last, last)
	}
	return r.Report()
}

// percentOf are budgets of so many percent, of one customer at least.
func percentOf(b exposure.Budgets, percent int) exposure.Budgets {
	for _, m := range []*exposure.Budget{&b.Revealed, &b.Reached, &b.Probed} {
		for _, n := range []*int{&m.Hour, &m.Day, &m.Month} {
			*n = max(1, *n*percent/100)
		}
	}
	return b
}

// replayCompany is what the record does not say.
func replayCompany(c *config.Config, budgets *config.Budgets) replay.Company {
	if budgets == nil {
		budgets = &c.Budgets
	}
	grants := map[string]int{}
	for _, g := range c.Grants.Standing {
		grants[g.ID] = g.Customers
	}
	return replay.Company{
		Service: func(who sallyport.Staff) bool {
			_, ok := c.Services[string(who)]
			return ok
		},
		Local:  c.Local,
		Scheme: func(column sallyport.Column) sallyport.Scheme { return c.Protect.Columns[column.String()].Scheme },
		Budgets: func(who sallyport.Staff, team string) exposure.Budgets {
			return budgets.Of(c.TeamOf(who, team))
		},
		Grant: func(id string) (int, bool) {
			n, ok := grants[id]
			return n, ok
		},
	}
}

// Would says in a word what became of an access.
func Would(what string) string {
	return map[string]string{"token": "stayed tokens", "mask": "been masked", "wait": "waited", "slow": "gone slower", "suspend": "suspended", "cut": "been cut", "statement": "been refused"}[what]
}
