package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/detect"
	"sallyport/record"
)

// detecting runs detection over the record while serve runs. Its state is rebuilt from the record at each start.
//
// What is found hangs on the order in which detection reads the two streams, so that order is on record too: before anything of the control
// stream is taken, an entry says after which entry of the access stream it was (Position, Taken). A replay takes it there again, and finds
// the same. What was found before is not recorded a second time: a line counts as known if its position is before the last one on record.
type detecting struct {
	access, control *record.Stream
	orders          *api.Orders
	options         detect.Options
	staff           []sallyport.Employee
	heard           hearing
	settings        string // digest of all that decides what is found, besides the record
	clock           func() time.Time
	log             *slog.Logger
	respond         func(f *detect.Finding, given bool) // after the line is on record

	keep       *detectKeep // nil: a start reads the whole record
	detector   *detect.Detector
	past       detected
	at         uint64 // the entry of the access stream that was read last
	ordersAt   uint64 // of the control stream
	ordersWere uint64 // where it ended at the start
	lines      int    // found at it
	noted      uint64 // the last position on record
	notedAt    time.Time
	began      uint64 // where the access stream ended at the start
	older      uint64 // findings up to there are of a time before detection ran: they are recorded, and nothing is done

	read  atomic.Uint64 // at, for status
	found atomic.Int64  // lines recorded since the start
	mu    sync.Mutex    // guards why
	why   string        // it does not run; empty: it does

	asks chan func(*detect.Detector) // questions that change nothing, answered between two entries; nil: nobody asks
}

// detected is what stands on record of detection.
type detected struct {
	anchors  []anchor
	position uint64 // everything up to there was looked at
	lines    int    // lines recorded at that very position
	settings string
	epoch    int             // how often settings changed, from 1
	told     map[string]bool // ids of findings
}

func (p *detected) tell(id string) {
	if p.told == nil {
		p.told = map[string]bool{}
	}
	p.told[id] = true
}

// anchor says that the control stream up to taken was read after position.
type anchor struct{ position, taken uint64 }

// noteEvery is how often it is noted how far detection is, so that a start after a crash knows.
const noteEvery = 5 * time.Minute

// readAhead is how many entries of a stream wait for the detector: each may have thousands of values.
const readAhead = 8

// rush is how many bytes a second of the access stream tell that whole tables are being read: some ten thousand single reveals are as many.
const rush = 4 << 20

// detectPace has detection work beside the queries that pass. What crosses a threshold it reads within a moment also when a whole table is
// being read; the rest of the table can wait.
func detectPace() record.Pace {
	return record.Pace{Gather: 10 * time.Millisecond, Rush: rush, Part: 30, Behind: 2 * time.Second}
}

// digest is that of settings.
func (d *detecting) digest(parts ...any) (string, error) {
	text, err := json.Marshal(parts)
	if err != nil {
		return "", fmt.Errorf("write detection's settings: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// run detects until ctx ends.
func (d *detecting) run(ctx context.Context) error {
	if err := d.begin(); err != nil {
		return err
	}
	return d.follow(ctx)
}

// follow reads from the beginning, or from where it was kept, and goes on as entries come.
func (d *detecting) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	entries, orders := make(chan *sallyport.Event, readAhead), make(chan *sallyport.Event, readAhead)
	var wg sync.WaitGroup
	from := func(s *record.Stream, after uint64, to chan<- *sallyport.Event) {
		wg.Go(func() {
			err := s.FollowPaced(ctx, after+1, detectPace(), func(e *sallyport.Event) error {
				select {
				case to <- e:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	from(d.access, d.at, entries)
	from(d.control, d.ordersAt, orders)
	err := d.both(ctx, entries, orders)
	cancel(nil)
	wg.Wait()
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, record.ErrClosed) {
		d.keepNow(true)
		return d.note() // so that the next start knows
	}
	return err
}

// begin reads what is on record of detection, and makes the detector.
func (d *detecting) begin() error {
	erasedAt := uint64(0)
	err := d.control.Read(1, func(e *sallyport.Event) error {
		d.past.fold(e)
		if e.Kind == sallyport.Erasing || e.Kind == sallyport.Erased {
			erasedAt = e.Seq
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what was found before: %w", err)
	}
	d.began, d.ordersWere = d.access.Last(), d.control.Last()
	d.noted = d.past.position
	if d.past.settings != d.settings {
		if d.past.epoch++; d.past.epoch == 1 {
			d.older = d.began
		}
		if err := d.give(&sallyport.Order{Action: "detect", Details: d.settings, Position: d.past.position}); err != nil {
			return err
		}
	}
	if d.detector, err = detect.New(d.options); err != nil {
		return err
	}
	d.detector.Hire(d.staff)
	if d.takeUp(erasedAt) {
		d.notedAt = d.clock()
		return nil
	}
	if err := d.heard.drill().begin(d.options, d.staff); err != nil {
		return err
	}
	d.notedAt = d.clock()
	return nil
}

func (p *detected) fold(e *sallyport.Event) {
	o := e.Order
	if o == nil || e.Kind != sallyport.DetectingKind && (e.Kind != sallyport.FindingKind || o.Action != "find") { // rules of many eyes find, too
		return
	}
	if o.Position > p.position {
		p.position, p.lines = o.Position, 0
	}
	switch {
	case e.Kind == sallyport.FindingKind:
		p.tell(o.ID)
		if o.Position == p.position {
			p.lines++
		}
	case o.Taken > 0:
		p.anchors = append(p.anchors, anchor{o.Position, o.Taken})
	case o.Details != "":
		p.settings = o.Details
		p.epoch++
	}
}

// twoStreams is where both streams are.
type twoStreams struct {
	*detecting
	entries, orders <-chan *sallyport.Event
	ahead           *sallyport.Event // of the control stream, taken from its channel too early
}

// both reads both streams in the order in which they were read the first time, and from there on as entries come.
func (d *detecting) both(ctx context.Context, entries, orders <-chan *sallyport.Event) error {
	r := &twoStreams{detecting: d, entries: entries, orders: orders}
	for {
		if err := r.step(ctx); err != nil {
			return err
		}
		if r.ahead == nil && len(d.past.anchors) == 0 && d.at >= d.began {
			d.keepNow(false)
		}
		if d.clock().Sub(d.notedAt) >= noteEvery {
			if err := d.note(); err != nil {
				return err
			}
		}
	}
}

// step reads what is to be read next.
func (r *twoStreams) step(ctx context.Context) error {
	live := r.orders
	if r.at < r.began || len(r.past.anchors) > 0 {
		live = nil // first what was read before
	}
	if e := r.ahead; live != nil && e != nil {
		r.ahead = nil
		return r.take(e, r.orders)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case ask := <-r.asks:
		ask(r.detector)
		return nil
	case e := <-live:
		return r.take(e, r.orders)
	case e := <-r.entries:
		return r.entry(ctx, e)
	}
}

// entry reads one of the access stream, with what was read before and after it the first time.
func (r *twoStreams) entry(ctx context.Context, e *sallyport.Event) error {
	if err := r.again(ctx, e.Seq); err != nil {
		return err
	}
	r.at, r.lines = e.Seq, 0
	r.read.Store(e.Seq)
	if err := r.observe(r.heard.hear(e)); err != nil {
		return err
	}
	return r.again(ctx, e.Seq+1)
}

// again takes what was taken before an entry of the access stream.
func (r *twoStreams) again(ctx context.Context, before uint64) error {
	for len(r.past.anchors) > 0 && r.past.anchors[0].position < before {
		e, err := r.next(ctx)
		if err != nil {
			return err
		}
		if e.Seq > r.past.anchors[0].taken {
			r.ahead, r.past.anchors = e, r.past.anchors[1:]
			continue
		}
		r.ordersAt = e.Seq
		if err := r.observe(r.heard.order(e)); err != nil {
			return err
		}
	}
	return nil
}

// next is the next entry of the control stream.
func (r *twoStreams) next(ctx context.Context) (*sallyport.Event, error) {
	if e := r.ahead; e != nil {
		r.ahead = nil
		return e, nil
	}
	select {
	case e := <-r.orders:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// take reads entries of the control stream that are there by now, after it is on record that they are read here.
func (d *detecting) take(first *sallyport.Event, orders <-chan *sallyport.Event) error {
	const most = 256
	var list []sallyport.Input
	taken := uint64(0)
	for e, n := first, 0; ; n++ {
		d.ordersAt = e.Seq
		if e.Kind == sallyport.Erasing && e.Seq > d.ordersWere {
			if err := d.keep.forget(); err != nil {
				return err
			}
		}
		if in := d.heard.order(e); len(in) > 0 {
			list, taken = append(list, in...), e.Seq
		}
		if n >= most {
			break
		}
		select {
		case e = <-orders:
			continue
		default:
		}
		break
	}
	if taken == 0 {
		return nil
	}
	if err := d.give(&sallyport.Order{Action: "detect", Position: d.at, Taken: taken}); err != nil {
		return err
	}
	d.noted = d.at
	return d.observe(list)
}

// note puts on record how far detection is.
func (d *detecting) note() error {
	d.notedAt = d.clock()
	if d.at <= d.noted {
		return nil
	}
	d.noted = d.at
	err := d.give(&sallyport.Order{Action: "detect", Position: d.at})
	if errors.Is(err, record.ErrClosed) {
		return nil
	}
	return err
}

func (d *detecting) give(o *sallyport.Order) error {
	return d.orders.Give(nil, &sallyport.Event{Time: d.clock(), Kind: sallyport.DetectingKind, Order: o})
}

// observe lets inputs pass the detector, records what is found, and then has it answered.
func (d *detecting) observe(list []sallyport.Input) error {
	for i := range list {
		in := &list[i]
		if !d.heard.drill().concerns(in) {
			for _, f := range d.detector.Observe(in) {
				if err := d.line(&f, in); err != nil {
					return err
				}
			}
		}
		for _, f := range d.heard.drill().observe(in) {
			if err := d.line(&f, in); err != nil {
				return err
			}
		}
	}
	return nil
}

// mostFinding bounds a line on record; its evidence has at most as many parts as there are kinds.
const mostFinding = 32 << 10

// line records a line, unless it is on record.
func (d *detecting) line(f *detect.Finding, in *sallyport.Input) error {
	d.lines++
	if d.at < d.past.position || d.at == d.past.position && d.lines <= d.past.lines {
		return nil
	}
	if d.past.epoch > 1 {
		f.ID = fmt.Sprintf("%s.%d", f.ID, d.past.epoch) // settings have changed, and with them what the numbers mean
	}
	text, err := json.Marshal(foundBy(f))
	if err != nil {
		return fmt.Errorf("write a finding: %w", err)
	}
	if len(text) > mostFinding {
		return fmt.Errorf("write a finding: it has %d bytes, at most %d are kept", len(text), mostFinding)
	}
	d.noted = max(d.noted, d.at)
	err = d.orders.Give(nil, &sallyport.Event{Time: d.clock(), Kind: sallyport.FindingKind, Order: &sallyport.Order{
		ID: f.ID, Action: "find", About: f.Staff[0], Finding: text, Position: d.at,
		Grown: d.past.told[f.ID],
	}})
	if err != nil {
		return err
	}
	d.past.tell(f.ID)
	d.found.Add(1)
	if d.respond != nil && d.at > d.older {
		d.respond(f, given(in))
	}
	return nil
}

// given tells whether an access was for a reason that the gateway had checked: somebody other than who looked made it.
func given(in *sallyport.Input) bool {
	a := in.Access
	if a == nil || a.Activity != sallyport.RevealActivity || len(a.Subjects) == 0 {
		return false
	}
	switch a.Purpose.Kind {
	case "ticket", "call", "job", "grant", "work":
		return true
	}
	return false
}

// mostAsked is how long a question waits for detection, which may be reading what it missed.
const mostAsked = 2 * time.Second

// ask has detection answer a question, if it is there to answer.
func (d *detecting) ask(ctx context.Context, question func(*detect.Detector)) bool {
	ctx, cancel := context.WithTimeout(ctx, mostAsked)
	defer cancel()
	done := make(chan struct{})
	select {
	case d.asks <- func(x *detect.Detector) { defer close(done); question(x) }:
		<-done
		return true
	case <-ctx.Done():
		return false
	}
}

// status says how it is.
func (d *detecting) status() string {
	d.mu.Lock()
	why := d.why
	d.mu.Unlock()
	if why != "" {
		return "does not run: " + why
	}
	last, read := d.access.Last(), d.read.Load()
	if read < last {
		return fmt.Sprintf("has read %d of %d entries, %d lines found since the start", read, last, d.found.Load())
	}
	return fmt.Sprintf("reads along, %d lines found since the start", d.found.Load())
}

// tend runs it, and tries again after a while where it could not go on.
func (d *detecting) tend(ctx context.Context, renew func() (*detecting, error)) {
	for {
		err := d.run(ctx)
		if ctx.Err() != nil || err == nil {
			return
		}
		d.mu.Lock()
		d.why = err.Error()
		d.mu.Unlock()
		d.log.Error("detection does not run; it is tried again in a moment", "why", err.Error())
		select {
		case <-ctx.Done():
			return
		case <-time.After(longestPause):
		}
		if fresh, err := renew(); err == nil {
			d.renewFrom(fresh)
		}
	}
}

// renewFrom begins anew, by the settings that hold now: begin puts on record where they are others.
func (d *detecting) renewFrom(fresh *detecting) {
	d.heard, d.options, d.staff, d.settings = fresh.heard, fresh.options, fresh.staff, fresh.settings
	d.past, d.at, d.ordersAt, d.lines = detected{}, 0, 0, 0
	d.mu.Lock()
	d.why = ""
	d.mu.Unlock()
}
