package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/history"
	logs "sallyport/sources"
	"sallyport/trace"
)

// tracer answers who may be the source of the reports, from the record: the same entries in the same order as a file of them, by the same code.
// What it has read of the access stream it keeps for a while, so that the next question reads on.
type tracer struct {
	r    *reporting
	past func() *history.Past

	mu     sync.Mutex // held while a question is answered; guards what follows
	read   uint64     // the entry of the access stream that was read last
	heard  *hearing
	x      *trace.Exposures
	opened map[string]sallyport.Staff // ticket → who made it
	since  map[string]uint64          // and by which entry
	forget *time.Timer
}

// How long what was read is kept: a day where it is small, since reading a long record takes minutes and questions come again while reports do.
const (
	keptExposures = 15 * time.Minute
	keptSmall     = 24 * time.Hour
	smallRows     = 4_000_000 // customers and people, 32 bytes each
)

// answer traces, without weighing who asks, and names people as he may know them.
func (t *tracer) answer(ctx context.Context, me sallyport.Staff, since time.Time, call func(sallyport.Staff) string) (json.RawMessage, error) {
	line, err := t.trace(ctx, since, []sallyport.Staff{me})
	if err != nil {
		return nil, err
	}
	for i := range line.Suspects {
		for j, who := range line.Suspects[i].Staff {
			line.Suspects[i].Staff[j] = sallyport.Staff(call(who))
		}
	}
	line.You = true
	text, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("write what was traced: %w", err)
	}
	return text, nil
}

// suspectedFor is how long before the last of them reports are suspected, unless somebody says since when: nobody had to choose it for what the reports are like.
const suspectedFor = 90 * 24 * time.Hour

// trace weighs the reports on record since some time, against those before.
func (t *tracer) trace(ctx context.Context, since time.Time, without []sallyport.Staff) (*LiveTrace, error) {
	reports, err := t.r.all()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.follow(ctx); err != nil {
		return nil, err
	}
	list, by := tracedReports(reports)
	if since.IsZero() {
		since = lately(list)
	}
	result := t.x.Trace(list, trace.Options{Customers: t.r.s.O.Config.Reports.Customers, From: since, Without: without})
	return &LiveTrace{traceLine: TraceJSON(&result, 0, 0), Entry: t.read, ConfirmedBy: by, Since: since}, nil
}

// lately is since when the reports are suspected of themselves; zero where there is none that weighs.
func lately(list []trace.Report) (since time.Time) {
	for i := range list {
		if at := list[i].At.Add(-suspectedFor); !list[i].Unconfirmed && at.After(since) {
			since = at
		}
	}
	return since.Truncate(time.Second)
}

// tracedReports are those that count, and who confirmed how many: whoever confirms many alone could turn the result.
func tracedReports(reports []api.Report) (list []trace.Report, by map[sallyport.Staff]int) {
	by = map[sallyport.Staff]int{}
	for _, x := range reports {
		if x.State == api.ReportDenied {
			continue
		}
		if x.State == api.ReportConfirmed && x.By != "" {
			by[x.By]++
		}
		list = append(list, trace.Report{
			Customer: x.Customer, At: x.Time, Quoted: trace.ParseFields(x.Quoted), Unconfirmed: x.State != api.ReportConfirmed, Taker: x.Taker,
		})
	}
	return list, by
}

// LiveTrace is what trace prints of files, and how far the record was read.
type LiveTrace struct {
	traceLine
	Entry       uint64                  `json:"entry"`
	ConfirmedBy map[sallyport.Staff]int `json:"confirmed_by"`
	You         bool                    `json:"without_you"`    // who asked was not weighed
	Since       time.Time               `json:"since,omitzero"` // reports before are of calm
}

// follow reads what has come since the last question. t.mu is held.
func (t *tracer) follow(ctx context.Context) error {
	s := t.r.s
	if t.x == nil {
		c := s.O.Config
		t.read, t.x, t.opened, t.since = 0, trace.NewExposures(), map[string]sallyport.Staff{}, map[string]uint64{}
		t.x.Team, t.x.Same = map[sallyport.Staff]string{}, map[sallyport.Staff]sallyport.Staff{}
		for _, e := range c.Employees(s.staffing.now()) {
			t.x.Team[e.ID] = e.Team
		}
		for id, p := range c.People {
			if p.SameAs != "" {
				t.x.Same[sallyport.Staff(id)] = sallyport.Staff(p.SameAs)
			}
		}
		t.heard = &hearing{parts: logs.Parts{Record: s.AccessStream.ID(), Service: c.IsProgram}, login: c.Owners(), program: c.IsProgram, tickets: map[string]heardTicket{}}
	}
	last := s.AccessStream.Last()
	err := t.past().Told(ctx, t.read, last, history.Listener{Event: t.event, Exposed: t.exposed, Under: t.tickets})
	if err != nil {
		t.drop()
		return err
	}
	t.read = max(t.read, last)
	if t.forget != nil {
		t.forget.Stop()
	}
	kept := keptExposures
	if t.x.Rows() <= smallRows {
		kept = keptSmall
	}
	t.forget = time.AfterFunc(kept, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.drop()
	})
	return nil
}

// event takes in an entry of the record.
func (t *tracer) event(e *sallyport.Event) error {
	for i, in := range t.heard.hear(e.AsItWas()) {
		switch {
		case in.Ticket != nil && in.Ticket.OpenedBy != "":
			t.opened[in.Ticket.ID], t.since[in.Ticket.ID] = in.Ticket.OpenedBy, e.Seq
		case in.Access != nil:
			a, opened := t.heard.list[i].Access, t.opened
			if t.since[a.Purpose.Ref] > e.Seq {
				opened = nil // when he looked it was no ticket of a colleague's yet
			}
			Expose(t.x, a, opened)
		}
	}
	return nil
}

// exposed takes in what history has of many entries.
func (t *tracer) exposed(x *history.Exposed) error {
	fields := make([]trace.Fields, len(x.Shows))
	for i, s := range x.Shows {
		fields[i] = fieldsOf(s.Columns, s.Ticket)
	}
	for i, n := range x.Whom {
		customer := x.Keys[n]
		if n >= 0 {
			customer = sallyport.Subject(strconv.FormatInt(n, 10))
		}
		t.x.Add(trace.Seen{Staff: x.People[x.Who[i]], Customer: customer, At: time.Unix(x.First[i], 0), Fields: fields[x.What[i]]})
	}
	return nil
}

// tickets are those that people made: whoever looked at a customer by one of a colleague's counts for both.
func (t *tracer) tickets() []string {
	list := make([]string, 0, len(t.opened))
	for id := range t.opened {
		list = append(list, "ticket:"+id)
	}
	return list
}

// drop forgets what was read.
func (t *tracer) drop() { t.x, t.heard, t.opened, t.since, t.read = nil, nil, nil, nil, 0 }

// stop ends the timer.
func (t *tracer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forget != nil {
		t.forget.Stop()
	}
	t.drop()
}

// Result is a trace as it is printed.
func (l *traceLine) Result() *trace.Result {
	r := &trace.Result{
		Reports: l.Reports, Unconfirmed: l.Unconfirmed, Verdict: l.Verdict, None: l.None, Background: l.Background, FalseNaming: l.FalseNaming, More: -1, AskNext: l.AskNext, Forged: l.Forged, Calm: l.Calm, Aside: l.Aside,
	}
	if l.More != nil {
		r.More = *l.More
	}
	for _, s := range l.Suspects {
		r.Suspects = append(r.Suspects, trace.Suspect{Staff: slices.Clone(s.Staff), Posterior: s.Posterior, LogOdds: s.LogOdds, Seen: s.Seen, Expected: s.Expected, Customers: s.Customers})
	}
	return r
}
