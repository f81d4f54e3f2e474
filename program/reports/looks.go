package reports

import (
	"context"
	"iter"

	"sallyport"
	"sallyport/detect"
)

// looking is one input of detection, and what it came to: looks at customers, how many of them nothing explains, and days of people that began by it.
type looking struct {
	in                       *sallyport.Input
	looks, unexplained, days int64
}

// looked lets detection read a record from its beginning, in the order of time, and hands on what each input came to. Who plays thefts is left out, as
// detection itself does. What is found is none of its business: that stands on record, as it was found.
func (r *Record) looked(ctx context.Context, take func(*looking)) error {
	c := r.Config
	options, err := c.DetectOptions()
	if err != nil {
		return err
	}
	d, err := detect.New(options)
	if err != nil {
		return err
	}
	d.Hire(c.Employees(c.Roster))
	inputs := r.Inputs()
	plays := c.Drill.Plays(c)
	observe := func(list []sallyport.Input) {
		for i := range list {
			in := &list[i]
			if in.Access != nil && plays(in.Access.Staff) || in.LogIn != nil && plays(in.LogIn.Staff) {
				continue
			}
			before := d.Counts()
			d.Observe(in)
			after := d.Counts()
			take(&looking{in, after.Looks - before.Looks, after.Unexplained - before.Unexplained, after.PersonDays - before.PersonDays})
		}
	}
	next, stop := iter.Pull2(r.Control.Events(ctx))
	defer stop()
	order, readErr, more := next()
	orders := func(until *sallyport.Event) {
		for more && readErr == nil && (until == nil || !order.Time.After(until.Time)) {
			if order.Kind == sallyport.InputKind || order.Kind == sallyport.ReportJudged || order.Kind == sallyport.LogInOK || order.Kind == sallyport.LogInBad {
				observe(inputs.Control(order))
			}
			order, readErr, more = next()
		}
	}
	if err := r.accesses(ctx, func(e *sallyport.Event) {
		orders(e)
		observe(inputs.Access(e))
	}); err != nil {
		return err
	}
	orders(nil)
	return readErr
}
