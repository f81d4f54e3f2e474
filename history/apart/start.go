package apart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sallyport"
	"sallyport/history"
)

// Store is a store in another process. It is safe for use by many goroutines.
type Store struct {
	cmd  *exec.Cmd
	conn net.Conn
	said *lastWords
	gone chan struct{} // closed once the process has ended
	why  error         // valid then

	writing sync.Mutex // held for one call; guards out
	out     *speaker

	mu      sync.Mutex // guards what follows
	number  uint64
	waiting map[uint64]chan *answer
}

var _ history.Store = (*Store)(nil)

// Start starts the process and has it open a store. The command runs a program that calls Serve on its standard input, which is one end of
// the pair of sockets; it gets nothing else of this process, and ends when this process does. errors.Is(err, history.ErrBroken) where the
// store is to be made again.
func Start(cmd *exec.Cmd, o Opening) (*Store, error) {
	enc, dec, err := modes()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, fmt.Errorf("start history's process: %w", err)
	}
	s := &Store{cmd: cmd, conn: ours, said: &lastWords{}, gone: make(chan struct{}), out: &speaker{to: ours, enc: enc}, waiting: map[uint64]chan *answer{}}
	cmd.Stdin, cmd.Stderr = theirs, s.said
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "TZ="+os.Getenv("TZ"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at our terminal is for us, who then end it in order
	err = cmd.Start()
	_ = theirs.Close() // the process has its own
	if err != nil {
		return nil, fmt.Errorf("start history's process: %w", errors.Join(err, ours.Close()))
	}
	go s.hear(&listener{from: ours, dec: dec})
	if _, err := s.ask(context.Background(), &call{Open: &o}); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// pair is two sockets that are connected to each other.
func pair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	mine := os.NewFile(uintptr(fds[0]), "history")  //nolint:gosec // a descriptor
	theirs = os.NewFile(uintptr(fds[1]), "history") //nolint:gosec // likewise
	defer mine.Close()
	if ours, err = net.FileConn(mine); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// hear hands answers to who waits for them, until the process has ended.
func (s *Store) hear(answers *listener) {
	var err error
	for err == nil {
		var a answer
		if err = answers.hear(&a); err != nil {
			break
		}
		s.mu.Lock()
		if to := s.waiting[a.Number]; to != nil {
			to <- &a // it has room for the one answer
			delete(s.waiting, a.Number)
		}
		s.mu.Unlock()
	}
	_ = s.conn.Close()
	ended := s.cmd.Wait()
	s.why = fmt.Errorf("%w (%w)%s", ErrGone, errors.Join(err, ended), s.said.quote())
	close(s.gone)
}

// Gone is closed once the process has ended: nothing is to be had of this store any more.
func (s *Store) Gone() <-chan struct{} { return s.gone }

// PID is the process's.
func (s *Store) PID() int { return s.cmd.Process.Pid }

// ask makes a call and waits for what comes of it. Where ctx ends the call is cancelled, and its answer still waited for: it says whether
// it took place.
func (s *Store) ask(ctx context.Context, c *call) (*answer, error) {
	to := make(chan *answer, 1)
	s.mu.Lock()
	s.number++
	c.Number = s.number
	s.waiting[c.Number] = to
	s.mu.Unlock()
	s.send(c)
	done := ctx.Done()
	for {
		select {
		case a := <-to:
			return a, a.Failed.err()
		case <-done:
			done = nil
			s.send(&call{Number: c.Number, Cancel: true})
		case <-s.gone:
			return nil, s.why
		}
	}
}

// send writes a call. Where that fails the process is gone, or as good as.
func (s *Store) send(c *call) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.out.say(c); err != nil {
		_ = s.conn.Close()
	}
}

// Position is history.Store's.
func (s *Store) Position(ctx context.Context) (history.Position, error) {
	a, err := s.ask(ctx, &call{Position: true})
	if err != nil {
		return history.Position{}, err
	}
	return *a.Position, nil
}

// Add is history.Store's.
func (s *Store) Add(ctx context.Context, to uint64, entries []*sallyport.Event) error {
	_, err := s.ask(ctx, &call{Add: &adding{to, entries}})
	return err
}

// Saw is history.Store's.
func (s *Store) Saw(ctx context.Context, q history.Question) (history.Answer, error) {
	a, err := s.ask(ctx, &call{Saw: &q})
	if err != nil {
		return history.Answer{}, err
	}
	return *a.Saw, nil
}

// Select is history.Store's.
func (s *Store) Select(ctx context.Context, sql string, b history.Bounds) (*history.Rows, error) {
	a, err := s.ask(ctx, &call{Select: &selecting{sql, b}})
	if err != nil {
		return nil, err
	}
	return a.Rows, nil
}

// Find is history.Store's.
func (s *Store) Find(ctx context.Context, w history.Wanted) (history.Found, error) {
	a, err := s.ask(ctx, &call{Find: &w})
	if err != nil {
		return history.Found{}, err
	}
	return *a.Found, nil
}

// Exposed is history.Store's.
func (s *Store) Exposed(ctx context.Context, q history.Exposing) (history.Exposed, error) {
	a, err := s.ask(ctx, &call{Exposed: &q})
	if err != nil {
		return history.Exposed{}, err
	}
	return *a.Exposed, nil
}

// Forget is history.Store's.
func (s *Store) Forget(ctx context.Context, f history.Forgetting) error {
	_, err := s.ask(ctx, &call{Forget: &f})
	return err
}

// Close ends the process in order, or kills it where it does not end.
func (s *Store) Close() error {
	timer := time.AfterFunc(closeWithin, s.kill)
	defer timer.Stop()
	_, err := s.ask(context.Background(), &call{Close: true})
	_ = s.conn.Close()
	<-s.gone
	if errors.Is(err, ErrGone) && s.cmd.ProcessState.Success() {
		return nil
	}
	return err
}

func (s *Store) kill() {
	_ = s.cmd.Process.Kill() // where it ended already there is nothing to kill
	_ = s.conn.Close()
	<-s.gone
}

// lastWords keeps the beginning of what the process says before it ends badly: a fault's cause stands at its top.
type lastWords struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// mostWords are kept.
const mostWords = 2048

func (w *lastWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b[:min(len(b), max(0, mostWords-w.text.Len()))])
	return len(b), nil
}

func (w *lastWords) quote() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.text.Len() == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(w.text.String())
}
