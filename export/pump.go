package export

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"sallyport"
)

// Stream is what is read: a record.Stream.
type Stream interface {
	Follow(ctx context.Context, from uint64, fn func(*sallyport.Event) error) error
}

// Cursor remembers durably how far an output is: a record.Cursor.
type Cursor interface {
	Position() uint64
	Advance(seq uint64) error
}

// Sink is a receiver. Deliver returns how many messages, from the first on, the receiver is known to have; an error says why the next one is
// not there, a *RefusedError that trying again will not help. What is not known to be there is delivered again.
type Sink interface {
	Deliver(ctx context.Context, batch []Message) (taken int, err error)
}

// RefusedError is a receiver's no to what it was sent, which it would say again.
type RefusedError struct{ Err error }

// Error is the receiver's.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap is the receiver's error.
func (e *RefusedError) Unwrap() error { return e.Err }

// DeadLetters keeps what a receiver does not take, durably.
type DeadLetters interface {
	Keep(batch []Message) error
}

// Pump carries one stream to one output: in order, at least once, from where its cursor stands. An entry of which the last message was
// delivered is behind it.
type Pump struct {
	Output string // name of the output, for people
	Name   string // of the stream: access, control
	Stream Stream
	Cursor Cursor
	Encode *Encoder
	Sink   Sink
	Dead   DeadLetters // nil: nothing is given up, whatever the receiver says
	Meter  Meter       // nil: nobody counts
	Log    *slog.Logger

	Refusals int           // how often a receiver must refuse a message until it is put with the dead letters; 0: 5
	GiveUp   time.Duration // how long a receiver that does not answer is tried until what waits is put there; 0: for ever
	Linger   time.Duration // how long a message may wait for others; 0: 100 ms
	Most     int           // messages at a time; 0: 500
	Pause    Pause         // nil: a timer
}

// Pause waits, unless ctx ends.
type Pause func(ctx context.Context, d time.Duration)

// Meter counts what an output does.
type Meter interface {
	Delivered(output string, n int)
	Failed(output string)
	Dead(output string, n int)
	Behind(output, stream string, position uint64)
}

// Bounds of a Pump.
const (
	mostMessages  = 500
	mostBytes     = 1 << 20
	usualLinger   = 100 * time.Millisecond
	usualRefusals = 5
	firstPause    = 200 * time.Millisecond
	longestPause  = time.Minute
)

// entry is what one entry of the stream came to.
type entry struct {
	seq      uint64
	messages []Message
}

// Run goes on until ctx ends.
func (p *Pump) Run(ctx context.Context) {
	p.defaults()
	ctx, stop := context.WithCancel(ctx)
	entries := make(chan entry, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.follow(ctx, entries)
	}()
	p.carry(ctx, entries)
	stop()
	<-done
}

func (p *Pump) defaults() {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.Refusals == 0 {
		p.Refusals = usualRefusals
	}
	if p.Linger == 0 {
		p.Linger = usualLinger
	}
	if p.Most == 0 {
		p.Most = mostMessages
	}
	if p.Pause == nil {
		p.Pause = func(ctx context.Context, d time.Duration) {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
	}
}

// follow encodes entries as they become durable. Damage of the record is told of, and passed over as every reader does.
func (p *Pump) follow(ctx context.Context, entries chan<- entry) {
	last := p.Cursor.Position()
	for pause := firstPause; ctx.Err() == nil; {
		before := last
		err := p.Stream.Follow(ctx, last+1, func(e *sallyport.Event) error {
			one := entry{seq: e.Seq, messages: p.Encode.Append(nil, e)}
			select {
			case entries <- one:
				last = e.Seq
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if ctx.Err() != nil {
			return
		}
		if last > before {
			pause = firstPause
		}
		p.Log.Error("an output cannot read the record; it goes on behind that", "output", p.Output, "stream", p.Name, "after", last, "why", err.Error())
		p.Pause(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// carry gathers messages into batches and delivers them.
func (p *Pump) carry(ctx context.Context, entries <-chan entry) {
	var batch []Message
	var seq uint64
	bytes := 0
	linger := time.NewTimer(p.Linger)
	linger.Stop()
	flush := func() {
		linger.Stop()
		if p.deliver(ctx, batch) && seq > 0 {
			p.advance(seq)
		}
		batch, bytes, seq = batch[:0], 0, 0
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-linger.C:
			flush()
		case e := <-entries:
			if seq == 0 {
				linger.Reset(p.Linger)
			}
			seq = e.seq
			for _, m := range e.messages {
				bytes += len(m.Body)
			}
			if batch = append(batch, e.messages...); len(batch) >= p.Most || bytes >= mostBytes {
				flush()
			}
		}
	}
}

// advance moves the cursor. Where it cannot be moved what was delivered is delivered again after a restart.
func (p *Pump) advance(seq uint64) {
	if err := p.Cursor.Advance(seq); err != nil {
		p.Log.Error("an output cannot remember how far it is", "output", p.Output, "stream", p.Name, "why", err.Error())
		return
	}
	if p.Meter != nil {
		p.Meter.Behind(p.Output, p.Name, seq)
	}
}

// deliver gives a batch to the receiver until it has it, or gives up what it will not take. It is false where ctx has ended before.
func (p *Pump) deliver(ctx context.Context, batch []Message) bool {
	t := trying{p: p, left: batch}
	t.fresh()
	for len(t.left) > 0 {
		if ctx.Err() != nil {
			return false
		}
		send := t.left
		if t.refused > 0 {
			send = send[:1] // the one that it does not like is found by sending them one by one
		}
		taken, err := p.Sink.Deliver(ctx, send)
		t.took(taken)
		if err == nil {
			t.works()
			continue
		}
		if ctx.Err() != nil {
			return false
		}
		if t.fails(err); !t.bury(err) {
			t.wait(ctx)
		}
	}
	return true
}

// trying is how a batch fares.
type trying struct {
	p       *Pump
	left    []Message
	refused int           // how often the first of them was
	pause   time.Duration // before the next attempt
	waited  time.Duration // since something was taken
	failing bool
}

func (t *trying) fresh() { t.refused, t.pause, t.waited = 0, firstPause, 0 }

func (t *trying) took(n int) {
	if n == 0 {
		return
	}
	t.left = t.left[n:]
	t.fresh()
	t.p.meter(func(m Meter) { m.Delivered(t.p.Output, n) })
}

func (t *trying) works() {
	if t.failing {
		t.failing = false
		t.p.Log.Warn("an output takes messages again", "output", t.p.Output, "stream", t.p.Name)
	}
}

func (t *trying) fails(err error) {
	t.p.meter(func(m Meter) { m.Failed(t.p.Output) })
	if !t.failing {
		t.failing = true
		t.p.Log.Error("an output does not take messages; trying again until it does", "output", t.p.Output, "stream", t.p.Name, "why", err.Error())
	}
	if _, no := errors.AsType[*RefusedError](err); no {
		t.refused++
	}
}

// bury puts aside what was tried for long enough.
func (t *trying) bury(why error) bool {
	n := 0
	switch {
	case t.p.Dead == nil:
	case t.refused > t.p.Refusals:
		n = 1
	case t.p.GiveUp > 0 && t.waited >= t.p.GiveUp:
		n = len(t.left)
	}
	if n == 0 || !t.p.bury(t.left[:n], why) {
		return false
	}
	t.left = t.left[n:]
	t.fresh()
	return true
}

func (t *trying) wait(ctx context.Context) {
	wait := t.pause/2 + rand.N(t.pause/2+1) //nolint:gosec // it spreads retries and hides nothing
	t.p.Pause(ctx, wait)
	t.waited += wait
	t.pause = min(2*t.pause, longestPause)
}

// bury puts messages with the dead letters. Where even that fails they are tried again.
func (p *Pump) bury(batch []Message, why error) bool {
	if err := p.Dead.Keep(batch); err != nil {
		p.Log.Error("what an output does not take cannot be kept aside; trying again", "output", p.Output, "why", err.Error())
		return false
	}
	p.meter(func(m Meter) { m.Dead(p.Output, len(batch)) })
	p.Log.Error("an output does not take messages; they are kept aside", "output", p.Output, "messages", len(batch), "first", batch[0].UID, "why", why.Error(),
		"next", "sallyport export replay-dead "+p.Output)
	return true
}

func (p *Pump) meter(do func(Meter)) {
	if p.Meter != nil {
		do(p.Meter)
	}
}
