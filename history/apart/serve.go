package apart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"sallyport/history"
)

// Serve is the process's side: it opens what the first call names, and answers until it is told to close, which is no error, or until the
// other side is gone.
func Serve(conn io.ReadWriter, open func(Opening) (history.Store, error)) error {
	enc, dec, err := modes()
	if err != nil {
		return err
	}
	s := &server{out: &speaker{to: conn, enc: enc}, running: map[uint64]context.CancelFunc{}}
	calls := &listener{from: conn, dec: dec}
	var first call
	if err := calls.hear(&first); err != nil {
		return fmt.Errorf("hear what to open: %w", err)
	}
	if first.Open == nil {
		return errors.New("hear what to open: another call came first")
	}
	s.store, err = open(*first.Open)
	if tell := s.tell(&answer{Number: first.Number, Failed: failureOf(err)}); err != nil || tell != nil {
		return errors.Join(err, tell)
	}
	return s.listen(calls)
}

// server answers calls, each on a goroutine of its own.
type server struct {
	store history.Store

	writing sync.Mutex // held for one answer; guards out
	out     *speaker

	mu      sync.Mutex // guards running
	running map[uint64]context.CancelFunc
	wg      sync.WaitGroup
}

func (s *server) listen(calls *listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	for {
		var c call
		if err := calls.hear(&c); err != nil {
			cancel()
			s.wg.Wait()
			return errors.Join(fmt.Errorf("hear a call: %w", err), s.store.Close())
		}
		switch {
		case c.Cancel:
			s.end(c.Number)
		case c.Close:
			cancel()
			s.wg.Wait()
			err := s.store.Close()
			return errors.Join(err, s.tell(&answer{Number: c.Number, Failed: failureOf(err)}))
		default:
			s.begin(ctx, &c)
		}
	}
}

func (s *server) begin(ctx context.Context, c *call) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.running[c.Number] = cancel
	s.mu.Unlock()
	s.wg.Go(func() {
		defer s.end(c.Number)
		a := s.do(ctx, c)
		a.Number = c.Number
		_ = s.tell(a) // who does not hear it is gone, which listen notices
	})
}

func (s *server) end(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.running[number]; cancel != nil {
		cancel()
		delete(s.running, number)
	}
}

func (s *server) do(ctx context.Context, c *call) *answer {
	a, err := &answer{}, errors.New("a call that nobody knows")
	switch {
	case c.Position:
		var at history.Position
		at, err = s.store.Position(ctx)
		a.Position = &at
	case c.Add != nil:
		err = s.store.Add(ctx, c.Add.To, c.Add.Entries)
	case c.Saw != nil:
		var saw history.Answer
		saw, err = s.store.Saw(ctx, *c.Saw)
		a.Saw = &saw
	case c.Select != nil:
		a.Rows, err = s.store.Select(ctx, c.Select.SQL, c.Select.Bounds)
	case c.Find != nil:
		var found history.Found
		found, err = s.store.Find(ctx, *c.Find)
		a.Found = &found
	case c.Exposed != nil:
		var exposed history.Exposed
		exposed, err = s.store.Exposed(ctx, *c.Exposed)
		a.Exposed = &exposed
	case c.Forget != nil:
		err = s.store.Forget(ctx, *c.Forget)
	}
	if err != nil {
		return &answer{Failed: failureOf(err)}
	}
	return a
}

func (s *server) tell(a *answer) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.out.say(a); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}
