package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/canary"
	"sallyport/control"
	"sallyport/drill"
)

// drills are thefts that are played while serve runs, one at a time.
type drills struct {
	s     *Server
	start chan *playing
	book  *drill.Book // those on record
	plan  *drillPlan

	mu      sync.Mutex // guards what follows
	reports map[string]*drill.Report
	busy    bool
	waits   time.Duration // for what is to be found, after the last step
}

// drillWaits is how long it is waited for detection and for containment, and drillLasts how long a drill may take in all.
const (
	drillWaits = time.Minute
	drillLasts = 15 * time.Minute
)

func newDrills(s *Server) *drills {
	d := &drills{s: s, start: make(chan *playing, 1), book: &drill.Book{}, reports: map[string]*drill.Report{}, waits: drillWaits}
	d.plan = &drillPlan{d: d}
	return d
}

func (d *drills) desk() *api.Drills {
	return &api.Drills{Start: d.begin, Report: d.report, Plans: d.plans, Runs: d.runs}
}

// customers are those of drills.
func (d *drills) customers() (list []*canary.Canary) {
	book := d.s.canaries.book.Load()
	if book == nil {
		return nil
	}
	for _, c := range book.Canaries() {
		if c.Drill && !c.Gone {
			list = append(list, c)
		}
	}
	return list
}

// begin puts a drill on record, and has it played.
func (d *drills) begin(by sallyport.Staff, name, reason string) (id string, err error) {
	plan, ok := drill.Find(name)
	config := d.s.O.Config
	customers := d.customers()
	switch {
	case !ok:
		return "", fmt.Errorf("there is no drill %q; there are %s", name, strings.Join(drill.Names(), ", "))
	case len(config.Drill.Accounts) < plan.Accounts:
		return "", fmt.Errorf("the configuration names %d accounts by which it could be played (drill.accounts), and it takes %d", len(config.Drill.Accounts), plan.Accounts)
	case len(customers) == 0:
		return "", errors.New("there are no customers to play it on: 'sallyport drill prepare --count 120' makes some who do not exist")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy {
		return "", errors.New("another drill is being played")
	}
	accounts := config.Drill.Staff(config)[:plan.Accounts]
	for _, who := range accounts {
		d.s.acquit(who)
	}
	now, from := d.s.O.Clock(), d.s.ControlStream.Last()+1 // its entry is this one, or soon behind it
	e := &sallyport.Event{Time: now, Kind: sallyport.DrillKind, Order: &sallyport.Order{Action: "drill", By: by, Reason: reason, Drill: &sallyport.DrillRun{Name: name, Accounts: accounts}}}
	if err := d.s.orders.Give(nil, e); err != nil {
		return "", err
	}
	id = strconv.FormatUint(from, 10)
	r := &drill.Report{
		Drill: name, ID: id, Story: plan.Story, State: "running", Acts: d.s.State.Responds() == control.ModeAct, Began: now, Customers: len(customers), Marks: []drill.Mark{},
	}
	for _, who := range accounts {
		r.Accounts = append(r.Accounts, string(who))
	}
	d.reports[id], d.busy = r, true
	d.start <- &playing{d: d, plan: plan, accounts: accounts, customers: customers, report: r, by: by, from: from, lost: map[sallyport.Subject]bool{}, tokens: map[sallyport.Subject]bool{}, asked: map[sallyport.Subject]bool{}}
	return id, nil
}

// acquit takes back what was counted of who plays: by all gateways, where there are several.
func (s *Server) acquit(who sallyport.Staff) {
	if s.Hub != nil {
		s.Hub.Acquit(who)
		return
	}
	s.book.Forget(who)
}

func (d *drills) report(id string) (json.RawMessage, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.reports[id]
	for _, run := range d.book.Runs() { // of before the start of serve
		if !ok && run.ID == id && run.Report != nil {
			r, ok = run.Report, true
		}
	}
	if !ok {
		return nil, false
	}
	text, err := json.Marshal(r)
	return text, err == nil
}

// plans are those that can be played, or why not.
func (d *drills) plans() (list []api.DrillPlan) {
	accounts, customers := len(d.s.O.Config.Drill.Accounts), len(d.customers())
	for _, p := range drill.Plans() {
		x := api.DrillPlan{Name: p.Name, Story: p.Story, Accounts: p.Accounts}
		switch {
		case accounts < p.Accounts:
			x.Missing = fmt.Sprintf("The configuration names %d accounts by which it could be played (drill.accounts), and it takes %d.", accounts, p.Accounts)
		case customers == 0:
			x.Missing = "There are no customers to play it on: 'sallyport drill prepare --count 120' makes some who do not exist."
		}
		list = append(list, x)
	}
	return list
}

// runs are the drills on record, the oldest first, with the figures so far of the one that is being played.
func (d *drills) runs() []drill.Run {
	list := d.book.Runs()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, r := range d.reports {
		if last := len(list) - 1; last >= 0 && r.Ended.IsZero() && list[last].Ended.IsZero() {
			now := *r
			list[last].ID, list[last].Report = id, &now
		}
	}
	return list
}

// change changes a report.
func (d *drills) change(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
}

// tend plays what is begun until ctx ends.
func (d *drills) tend(ctx context.Context) {
	d.endLast()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-d.start:
			limited, cancel := context.WithTimeout(ctx, drillLasts)
			err := p.play(limited)
			cancel()
			p.end(err) //nolint:contextcheck // it ends what a stop of serve cuts off, too
		}
	}
}

// endLast ends a drill that a stop of serve cut off.
func (d *drills) endLast() {
	var open *sallyport.DrillRun
	err := d.s.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.DrillKind && e.Order != nil && e.Order.Drill != nil {
			if open = e.Order.Drill; open.Ended {
				open = nil
			}
		}
		return nil
	})
	if err == nil && open != nil {
		err = d.s.orders.Give(nil, &sallyport.Event{
			Time: d.s.O.Clock(), Kind: sallyport.DrillKind, Note: "cut off by a stop", Order: &sallyport.Order{Action: "drill", Drill: &sallyport.DrillRun{Name: open.Name, Ended: true, Accounts: open.Accounts}},
		})
	}
	if err != nil {
		d.s.log.Error("a drill that was cut off could not be ended", "why", err.Error())
	}
}
