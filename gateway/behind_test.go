package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/purpose"
	"sallyport/record"
)

// besides is a session without a server, whose client is the other end of a pipe.
func besides(t *testing.T, suspend func()) (*session, net.Conn, *record.Stream) {
	t.Helper()
	access, err := record.Open(t.TempDir(), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = access.Close() })
	g := &Gateway{Config: Config{
		Access: access, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		Protection: &Protection{Suspend: func(sallyport.Staff, sallyport.Limit) error { suspend(); return nil }},
	}}
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	s := &session{gw: g, protected: true, person: purpose.Person{Staff: "a"}, client: newStream(near, &g.pool), clientConn: near, server: &stream{}}
	s.wake.L = &s.mu
	return s, far, access
}

// TestNothingBehindACutMessage lets a session end while the batch before is being sent, and that is cut in the middle: why the session
// ends would be read as a part of the cut message.
func TestNothingBehindACutMessage(t *testing.T) {
	s, far, _ := besides(t, func() {})
	why := fatal(codeLocked, "locked", "")
	s.ending = &why
	s.behind.done = make(chan error, 1)
	s.behind.done <- os.ErrDeadlineExceeded
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(far)
		got <- b
	}()
	s.serverDone(t.Context(), errEnded)
	_ = s.clientConn.Close()
	if b := <-got; len(b) > 0 {
		t.Errorf("the client reads %q behind a message that was cut", b)
	}
	if err := s.flush(); !errors.Is(err, errEnded) {
		t.Errorf("more may be sent: %v", err)
	}
}

// TestBudgetsBiteWhoLeaves: who goes away while a batch is on its way is suspended for the budget that the next row reaches all the same.
func TestBudgetsBiteWhoLeaves(t *testing.T) {
	suspended := false
	s, _, _ := besides(t, func() { suspended = true })
	s.behind.done = make(chan error, 1)
	s.behind.done <- io.ErrClosedPipe
	if !s.overspent(&run{}, &sallyport.Limit{Measure: "reached", Window: "hour"}) {
		t.Error("the result goes on")
	}
	if !suspended || s.ended() == nil {
		t.Error("the person goes on")
	}
}

// TestRecordedBeforeSent makes batches in every way that a session has, with reading statements in between, and looks at the record
// whenever something arrives: all of it is on disk by then, and in the end the record holds each of them once.
func TestRecordedBeforeSent(t *testing.T) {
	const results, most = 60, 40
	s, far, stream := besides(t, func() {})
	values := make(chan uint64, 1)
	go func() {
		defer close(values)
		for {
			var b [8]byte
			if _, err := io.ReadFull(far, b[:]); err != nil {
				return
			}
			values <- binary.BigEndian.Uint64(b[:])
		}
	}()
	checked := make(chan int, 1)
	go func() {
		known, n := onDisk{stream: stream}, 0
		for v := range values {
			n++
			if !known.has(t, v) {
				t.Errorf("%x was sent before it was on disk", v)
			}
		}
		if known.has(t, 0) {
			t.Error("what nobody revealed is on record")
		}
		checked <- n
	}()

	rng, sent := rand.New(rand.NewPCG(1, 2)), 0
	digest := func(n uint64) (d sallyport.Digest) {
		binary.BigEndian.PutUint64(d[:], n<<16|n&0xffff)
		binary.BigEndian.PutUint64(d[8:], n)
		return d
	}
	for i := uint64(1); i <= results; i++ {
		r := &run{id: i << 32, recorded: true, sight: &sight{}}
		e := &sallyport.Event{Kind: sallyport.StatementKind, Who: s.who, Statement: &sallyport.Statement{ID: r.id}}
		if _, err := stream.Enqueue(e); err != nil {
			t.Fatal(err)
		}
		s.reads.Add(1)
		s.out = binary.BigEndian.AppendUint64(s.out, r.id)
		sent++
		for j := range uint64(rng.IntN(most)) {
			n := r.id | j + 1
			switch rng.IntN(3) {
			case 0:
				s.addValue(r, &shown{of: &catalog.Protected{Column: sallyport.Column{Name: strings.Repeat("c", rng.IntN(3))}}, customer: customerOf("s"), digest: digest(n)})
			case 1:
				key := [16]byte(digest(n))
				s.addReached(r, key, nil, digest(n))
			default:
				n = r.id
			}
			s.out = binary.BigEndian.AppendUint64(s.out, n)
			sent++
			if step := []func() error{s.handOver, s.flush, s.record}; rng.IntN(4) == 0 {
				if err := step[rng.IntN(len(step))](); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.finish(t.Context(), r, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	_ = s.clientConn.Close()
	if n := <-checked; n != sent {
		t.Errorf("%d of %d arrived", n, sent)
	}
}

// onDisk is what the record holds, as far as it was read.
type onDisk struct {
	stream *record.Stream
	next   uint64
	seen   map[uint64]bool
}

func (o *onDisk) has(t *testing.T, n uint64) bool {
	if o.seen == nil {
		o.seen = map[uint64]bool{}
	}
	add := func(n uint64) {
		if o.seen[n] {
			t.Errorf("%x is on record twice", n)
		}
		o.seen[n] = true
	}
	err := o.stream.Read(o.next+1, func(e *sallyport.Event) error {
		o.next = e.Seq
		if e.Statement != nil {
			add(e.Statement.ID)
		}
		if e.Reveal != nil {
			for v := range e.Reveal.Values.All() {
				if int(v.Column) >= len(e.Reveal.Columns) {
					t.Errorf("a value of column %d of %d", v.Column, len(e.Reveal.Columns))
				}
				add(binary.BigEndian.Uint64(v.Digest[8:]))
			}
		}
		if e.Touch != nil {
			for _, d := range e.Touch.Values {
				add(binary.BigEndian.Uint64(d[8:]))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return o.seen[n]
}
