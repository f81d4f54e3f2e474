package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/cases"
	"sallyport/detect"
	"sallyport/program/training"
)

// teaching keeps what people have learnt, and gives them lessons for their mistakes. What it does stands in the control stream, so that a start does
// nothing twice.
type teaching struct {
	s      *Server
	book   *training.Book
	secret []byte // of signed messages
}

// usualDue is within how many days a lesson is due where nothing is configured.
const usualDue = 14

// run follows both streams until ctx ends, where lessons are to be given.
func (t *teaching) run(ctx context.Context) {
	c := &t.s.O.Config.Training
	if !c.Lessons {
		return
	}
	plays := t.s.O.Config.Drill.Plays(t.s.O.Config)
	rules := training.Rules{
		Often: c.After, Skip: func(who sallyport.Staff) bool { return t.s.O.Config.IsProgram(who) || plays(who) },
		Elsewhere: func(kind string) bool { _, is := t.s.O.Config.Purposes.Kinds[kind]; return is },
	}
	accesses, orders, ended := training.NewWatch(rules), training.NewWatch(rules), newEndings()
	var wg sync.WaitGroup
	wg.Go(func() {
		from := t.s.granting.days.from(dayOf(t.s.O.Clock().Add(-training.Window)))
		t.tell(ctx, t.s.AccessStream.FollowPaced(ctx, from, detectPace(), func(e *sallyport.Event) error {
			return t.give(accesses.Access(e))
		}))
	})
	wg.Go(func() {
		t.tell(ctx, t.s.ControlStream.Follow(ctx, 1, func(e *sallyport.Event) error {
			ended.note(e)
			return t.give(orders.Control(e, ended.careless)...)
		}))
	})
	wg.Wait()
}

func (t *teaching) tell(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		t.s.log.Error("lessons are not given any more until serve is restarted", "why", err.Error())
	}
}

// errKnows says that somebody has had a lesson already.
var errKnows = errors.New("he has had this lesson")

// give puts lessons on record. What is older than the time over which refusals are counted was not to be learnt from when it happened.
func (t *teaching) give(list ...*training.Miss) error {
	c := &t.s.O.Config.Training
	for _, m := range list {
		now := t.s.O.Clock()
		if m == nil || now.Sub(m.At) > training.Window {
			continue
		}
		var draw [8]byte
		_, _ = rand.Read(draw[:]) // it never fails
		step := t.book.Assign(m, cmp.Or(c.Days, usualDue), time.Duration(c.Wait)*24*time.Hour, binary.BigEndian.Uint64(draw[:]))
		if step == nil {
			continue
		}
		err := t.s.orders.Give(func() error {
			if t.book.Given(m.Staff, m.Lesson, m.At.Add(-training.Rest)) {
				return errKnows
			}
			return nil
		}, &sallyport.Event{Time: now, Kind: sallyport.TrainingKind, Order: &sallyport.Order{Action: training.Assigned, About: m.Staff, Training: step}})
		if err != nil && !errors.Is(err, errKnows) {
			return err
		}
	}
	return nil
}

// endings are cases that have ended, and which findings say that somebody was careless.
type endings struct {
	book      *cases.Book
	negligent map[string]bool
	closed    map[uint64]bool
}

func newEndings() *endings { return &endings{cases.NewBook(), map[string]bool{}, map[uint64]bool{}} }

// note takes each entry of the control stream.
func (n *endings) note(e *sallyport.Event) {
	n.book.Apply(e)
	if e.Kind != sallyport.FindingKind {
		return
	}
	var f detect.Finding
	if json.Unmarshal(e.Order.Finding, &f) == nil {
		n.negligent[f.ID] = f.Type == detect.Negligent // as its last line has it
	}
}

// careless are who did it, as two people said by this entry, of a case with a finding that says they were careless.
func (n *endings) careless(*sallyport.Event) (who []sallyport.Staff) {
	for _, c := range n.book.All() {
		if c.State != cases.Closed || n.closed[c.Number] {
			continue
		}
		n.closed[c.Number] = true
		if c.Outcome == cases.Confirmed && slices.ContainsFunc(c.Findings, func(id string) bool { return n.negligent[id] }) {
			who = append(who, c.Guilty...)
		}
	}
	return who
}
