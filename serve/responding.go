package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/ledger"
	"sallyport/respond"
)

// responding answers findings. What takes effect inside Sallyport is an entry of the control stream and is done by it; what is done outside
// is asked for on record first, then tried until it works.
type responding struct {
	orders  *api.Orders
	state   *control.State
	ladder  respond.Ladder
	acts    func() bool
	program func(sallyport.Staff) bool
	plays   func(sallyport.Staff) bool   // a theft, as a drill
	from    func(since time.Time) uint64 // the first entry of the access stream of that day
	last    func() uint64                // of it
	outside map[string]doer              // by step; what is missing is not done
	pager   *pager                       // nil: nobody is told
	called  func(sallyport.Staff) string // by which pseudonym people are told of somebody; nil: by name
	clock   func() time.Time
	log     *slog.Logger
	wake    chan struct{}

	mu    sync.Mutex // guards what follows
	tries map[string]*attempts
}

// doer does a step outside of Sallyport, and takes it back. It may be called again for what it did already.
type doer interface {
	do(ctx context.Context, a *control.Answer) error
	undo(ctx context.Context, a *control.Answer) error
}

// attempts are those at one step.
type attempts struct {
	n     int
	next  time.Time
	cause string
}

// stopWindow is how long a stop by Sallyport counts.
const stopWindow = time.Hour

// answer takes the steps for a line of a finding. It is called after the line is on record.
func (r *responding) answer(f *detect.Finding, given bool) {
	for i, who := range f.Staff {
		c := respond.Case{Finding: f, Service: r.program(who), Given: given || i > 0, Stopped: r.stopped(who)}
		prefix := f.ID + "/"
		if i > 0 {
			prefix = f.ID + "+" + string(who) + "/" // of a pair the second is not stopped by the first one's deeds
		}
		for _, x := range r.state.Answers(f.ID) {
			if x.About == who {
				c.Taken = append(c.Taken, x.Step)
			}
		}
		for _, step := range r.ladder.Decide(c) {
			if r.plays(who) && outsideOf(step.Name) {
				continue // of a drill nobody is told, and nothing is done elsewhere
			}
			if err := r.take(f, who, prefix+step.Name, step); err != nil {
				r.log.Error("a step because of a finding could not be taken", "finding", f.ID, "step", step.Name, "why", err.Error())
			}
		}
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// stopped counts people whom Sallyport suspended or locked within the hour, besides one.
func (r *responding) stopped(besides sallyport.Staff) int {
	now, seen := r.clock(), map[sallyport.Staff]bool{besides: true}
	for _, x := range r.state.Answers("") {
		if (x.Step == respond.Suspend || x.Step == respond.Lock) && now.Sub(x.At) < stopWindow && !r.plays(x.About) {
			seen[x.About] = true
		}
	}
	return len(seen) - 1
}

// take does one step, or says that it would have.
func (r *responding) take(f *detect.Finding, who sallyport.Staff, id string, step respond.Step) error {
	x := &sallyport.Response{ID: id, Finding: f.ID, Step: step.Name, State: control.Did}
	o := &sallyport.Order{Action: "respond", About: who, Reason: "finding " + f.ID + ": " + step.Why, Response: x}
	kind := sallyport.ResponseKind
	harmless := step.Name == respond.Page || step.Name == respond.Hold
	if !r.acts() && !harmless {
		x.State = control.Would
		return r.give(kind, o)
	}
	switch step.Name {
	case respond.Throttle, respond.StepUp, respond.SecondPerson, respond.Mask:
		most, _ := respond.Trust(step.Name)
		kind, o.Action, o.Details = sallyport.Trusted, "trust", strconv.Itoa(most)
	case respond.Suspend:
		kind, o.Action = sallyport.Suspended, "suspend"
	case respond.Lock:
		kind, o.Action = sallyport.Locked, "lock"
	case respond.Revoke:
		return r.revoke(who, o)
	case respond.Hold:
		x.Held = &sallyport.Held{From: r.from(f.SinceLow), To: r.last()}
	default:
		if r.outside[step.Name] == nil && (step.Name != respond.Page || r.pager == nil) {
			return nil // not configured
		}
		x.State = control.Asked
	}
	return r.give(kind, o)
}

// revoke ends the grants that somebody has.
func (r *responding) revoke(who sallyport.Staff, o *sallyport.Order) error {
	var errs []error
	for _, g := range r.state.Grants() {
		if g.Status != control.GrantActive || g.Terms.For != who && g.Terms.Person != string(who) {
			continue
		}
		errs = append(errs, r.give(sallyport.GrantEnded, &sallyport.Order{ID: g.ID, Action: "end_grant", About: g.Terms.For, Reason: o.Reason}))
	}
	return errors.Join(append(errs, r.give(sallyport.ResponseKind, o))...)
}

func (r *responding) give(kind sallyport.EventKind, o *sallyport.Order) error {
	return r.orders.Give(nil, &sallyport.Event{Time: r.clock(), Kind: kind, Order: o})
}

// Attempts at what is done outside.
const (
	firstAgain   = time.Second
	longestAgain = 10 * time.Minute
	outsideFor   = 30 * time.Second // one attempt
	lookAgain    = time.Second      // people take back what was done
)

// tend does what is to be done outside of Sallyport, until ctx ends. What a stop interrupts is done after the next start.
func (r *responding) tend(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
		timer.Reset(min(r.work(ctx), lookAgain))
	}
}

// work tries whatever is due, and says how long nothing is.
func (r *responding) work(ctx context.Context) time.Duration {
	pause := r.page(ctx)
	for _, x := range r.state.Answers("") {
		back := x.Undone && (x.State == control.Did || x.State == control.Failed)
		if x.State != control.Asked && x.State != control.Failed && !back || x.Undone && !back {
			continue
		}
		does := r.outside[x.Step]
		if does == nil || ctx.Err() != nil {
			continue
		}
		if wait := r.due(x.ID); wait > 0 {
			pause = min(pause, wait)
			continue
		}
		pause = min(pause, r.try(ctx, does, &x, back))
	}
	return pause
}

func (r *responding) due(id string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tries[id]; t != nil {
		return time.Until(t.next)
	}
	return 0
}

// try does one step once. That it failed is recorded the first time, and that it worked.
func (r *responding) try(ctx context.Context, does doer, x *control.Answer, back bool) time.Duration {
	limited, cancel := context.WithTimeout(ctx, outsideFor)
	defer cancel()
	act, state := does.do, control.Did
	if back {
		act, state = does.undo, control.Reversed
	}
	err := act(limited, x)
	if ctx.Err() != nil {
		return longestAgain
	}
	n := r.tried(x.ID, err)
	switch {
	case err == nil:
		r.record(x, state, n, nil)
		return longestAgain
	case n == 1 && !back:
		r.record(x, control.Failed, n, err)
	}
	return max(r.due(x.ID), time.Millisecond)
}

// tried counts an attempt, and sets when the next one is due.
func (r *responding) tried(id string, err error) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tries[id]
	if t == nil {
		t = &attempts{}
		r.tries[id] = t
	}
	t.n++
	if err == nil {
		delete(r.tries, id)
		return t.n
	}
	t.next, t.cause = time.Now().Add(min(firstAgain<<min(t.n-1, 12), longestAgain)), err.Error()
	return t.n
}

// record says what became of a step outside.
func (r *responding) record(x *control.Answer, state string, attempts int, failed error) {
	y := x.Response
	y.State, y.Attempts, y.Trouble = state, attempts, ""
	if failed != nil {
		y.Trouble = failed.Error()
		r.log.Warn("a step because of a finding did not work; it is tried again", "step", x.Step, "finding", x.Finding, "why", failed.Error())
	}
	if err := r.give(sallyport.ResponseKind, &sallyport.Order{Action: "respond", About: x.About, Reason: x.Reason, Response: &y}); err != nil {
		r.log.Error("what became of a step cannot be recorded", "step", x.Step, "why", err.Error())
	}
}

// status says in which mode it is, and what does not work.
func (r *responding) status() []api.Standby {
	how := "acts on findings"
	if !r.acts() {
		how = "only says what it would have done (sallyport respond mode act, or respond.mode in the configuration)"
	}
	counts := map[string]int{}
	for _, x := range r.state.Answers("") {
		state := x.State
		if x.Undone && state != control.Reversed {
			state = "taken back"
		}
		counts[state]++
	}
	for _, part := range []struct{ state, says string }{
		{control.Would, "would have been done"}, {control.Did, "done"}, {control.Asked, "to be done"}, {control.Failed, "failed so far"}, {"taken back", "taken back"}, {control.Reversed, "taken back outside"},
	} {
		if n := counts[part.state]; n > 0 {
			how += fmt.Sprintf(", %d %s", n, part.says)
		}
	}
	out := []api.Standby{{What: "responds", How: how}}
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]string, 0, len(r.tries))
	for id := range r.tries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids[:min(len(ids), 20)] {
		t := r.tries[id]
		out = append(out, api.Standby{What: "failed", How: fmt.Sprintf("%s, %d attempts: %s", id, t.n, t.cause)})
	}
	return out
}

// keeps says why an entry is kept: the configuration wants it, or it is evidence of a finding that nobody has taken back.
func (s *Server) keeps(which ledger.Stream, e *sallyport.Event) string {
	why := s.O.Config.Retention.Hold.Held(which, e)
	if why == "" && s.casing != nil && s.casing.book.Holding() {
		why = s.casing.book.Holds(e, config.SpokenOf(e))
	}
	if why != "" || which != ledger.Access {
		return why
	}
	return s.State.Evidence(e.Seq, e.Who.Staff)
}

// FindingOf reads a line that is on record.
func FindingOf(text []byte) (f detect.Finding, err error) {
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("read a finding: %w", err)
	}
	if len(f.Staff) == 0 {
		return f, errors.New("read a finding: it is about nobody")
	}
	return f, nil
}
