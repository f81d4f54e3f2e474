package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"sallyport/internal/socket"
	"sallyport/wire/pg"
)

// bufferSize is what one read takes at most; a longer message grows its own buffer.
const bufferSize = 64 << 10

// buffers lends read and write buffers to connections that have bytes at hand, so that an idle session holds none.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, bufferSize)
}

func (p *buffers) put(b []byte) {
	if cap(b) == bufferSize {
		b = b[:0]
		p.pool.Put(&b)
	}
}

// stream reads messages from one connection.
type stream struct {
	conn net.Conn
	raw  syscall.RawConn // nil where the connection is not a socket of its own (TLS)
	tls  *socket.Pausing // what is below TLS, or nil
	sip  []byte          // where TLS is waited on
	pool *buffers
	buf  []byte // buf[at:] is what was read and not yet taken
	at   int
	err  error // sticky: what the last read ended with

	reading, writing tried // made once: what is waited with must not be allocated for each read
}

// tried is a step that the poller repeats until the socket is ready.
type tried struct {
	try  func(fd uintptr) (done bool)
	n    int
	err  error
	rest []byte // writing: what is not sent yet
}

func newStream(conn net.Conn, pool *buffers) *stream {
	s := &stream{conn: conn, pool: pool}
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw, s.reading.try, s.writing.try = raw, s.tryRead, s.tryWrite
		}
	}
	if encrypted, ok := conn.(*tls.Conn); ok {
		s.tls, _ = encrypted.NetConn().(*socket.Pausing)
	}
	return s
}

// buffered says how many bytes are there without another read.
func (s *stream) buffered() int { return len(s.buf) - s.at }

// whole says whether a whole message is there without another read. A malformed header counts: message reports it.
func (s *stream) whole() bool {
	_, size, ok, err := pg.Header(s.buf[s.at:])
	return err != nil || ok && s.buffered() >= size
}

// message returns the next whole message; it is valid until the next call. It waits for bytes as long as it must.
func (s *stream) message() (kind byte, m []byte, err error) {
	for {
		kind, size, ok, err := pg.Header(s.buf[s.at:])
		if err != nil {
			return 0, nil, err
		}
		if ok && s.buffered() >= size {
			m := s.buf[s.at : s.at+size : s.at+size]
			s.at += size
			return kind, m, nil
		}
		if !ok {
			size = pg.HeaderLen
		}
		if err := s.fill(size); err != nil {
			return 0, nil, err
		}
	}
}

// another returns the next message if it is there as a whole, and of this kind; else nil.
func (s *stream) another(kind byte) []byte {
	b := s.buf[s.at:]
	if len(b) == 0 || b[0] != kind {
		return nil
	}
	_, size, ok, err := pg.Header(b)
	if err != nil || !ok || size > len(b) {
		return nil // message reports what is malformed
	}
	s.at += size
	return b[:size:size]
}

// ahead is what was read and not yet taken, valid until the next read; skip takes n bytes of it.
func (s *stream) ahead() []byte { return s.buf[s.at:] }

func (s *stream) skip(n int) { s.at += n }

// head returns kind and size of the next message without taking anything.
func (s *stream) head() (kind byte, size int, err error) {
	for {
		kind, size, ok, err := pg.Header(s.buf[s.at:])
		if ok || err != nil {
			return kind, size, err
		}
		if err := s.fill(pg.HeaderLen); err != nil {
			return 0, 0, err
		}
	}
}

// some returns at least one and at most n of the next bytes, valid until the next call.
func (s *stream) some(n int) ([]byte, error) {
	if s.buffered() == 0 {
		if err := s.fill(1); err != nil {
			return nil, err
		}
	}
	return s.exactly(min(n, s.buffered()))
}

// exactly returns the next n bytes, valid until the next call; for the start-up packets, which have no kind.
func (s *stream) exactly(n int) ([]byte, error) {
	for s.buffered() < n {
		if err := s.fill(n); err != nil {
			return nil, err
		}
	}
	b := s.buf[s.at : s.at+n : s.at+n]
	s.at += n
	return b, nil
}

// peek returns n bytes without taking them.
func (s *stream) peek(n int) ([]byte, error) {
	b, err := s.exactly(n)
	if err == nil {
		s.at -= n
	}
	return b, err
}

// fill reads once more, with room for a message of size bytes.
func (s *stream) fill(size int) error {
	if s.err != nil {
		return s.err
	}
	s.room(size)
	n, err := s.read()
	if n == 0 && err == nil {
		err = io.EOF
	}
	if s.buffered() > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !timedOut(err) {
		s.err = err
	}
	return err
}

// room makes space for at least size bytes from s.at on. A long message's buffer grows with what has arrived, not with
// what its header promises: a header costs a client five bytes.
func (s *stream) room(size int) {
	if s.buf == nil {
		return // read borrows one when bytes are ready
	}
	if s.at > 0 {
		n := copy(s.buf, s.buf[s.at:])
		s.buf, s.at = s.buf[:n], 0
	}
	if len(s.buf) < cap(s.buf) || size <= cap(s.buf) {
		return
	}
	grown := make([]byte, len(s.buf), min(2*cap(s.buf), size))
	copy(grown, s.buf)
	s.pool.put(s.buf)
	s.buf = grown
}

// read waits until bytes are ready and only then borrows a buffer.
func (s *stream) read() (int, error) {
	if s.buffered() == 0 {
		s.release()
	}
	if s.tls != nil && s.buf == nil {
		return s.readEncrypted()
	}
	if s.raw == nil {
		if s.buf == nil {
			s.buf = s.pool.get()
		}
		n, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		return n, err
	}
	err := s.raw.Read(s.reading.try)
	n := s.reading.n
	if err == nil {
		err = s.reading.err
	}
	if err != nil {
		return 0, err
	}
	s.buf = s.buf[:len(s.buf)+n]
	return n, nil
}

// sipSize is what an idle TLS connection waits with.
const sipSize = 1 << 10

// readEncrypted waits with a small buffer, and borrows one for that and for whatever else of it is decrypted.
func (s *stream) readEncrypted() (int, error) {
	if s.sip == nil {
		s.sip = make([]byte, sipSize)
	}
	n, err := s.conn.Read(s.sip)
	if n == 0 {
		return 0, err
	}
	s.buf = append(s.pool.get(), s.sip[:n]...)
	clear(s.sip[:n]) // it may have been a password
	if n < len(s.sip) || err != nil {
		return n, err
	}
	s.tls.Pause(true)
	more, err := s.conn.Read(s.buf[n:cap(s.buf)])
	s.tls.Pause(false)
	if more == 0 && timedOut(err) {
		err = nil
	}
	s.buf = s.buf[:n+more]
	return n + more, err
}

// tryRead borrows a buffer and reads into it, or says that nothing is ready.
func (s *stream) tryRead(fd uintptr) bool {
	if s.buf == nil {
		s.buf = s.pool.get()
	}
	s.reading.n, s.reading.err = readNow(fd, s.buf[len(s.buf):cap(s.buf)])
	if s.reading.err == syscall.EAGAIN { //nolint:errorlint // straight from the kernel
		s.release()
		return false
	}
	return true
}

// write sends all of b.
func (s *stream) write(b []byte) (int, error) {
	if s.raw == nil || len(b) == 0 {
		return s.conn.Write(b)
	}
	s.writing.rest, s.writing.err = b, nil
	err := s.raw.Write(s.writing.try)
	if err == nil {
		err = s.writing.err
	}
	n := len(b) - len(s.writing.rest)
	s.writing.rest = nil
	return n, err
}

// tryWrite sends what goes, and says whether there is more to wait for.
func (s *stream) tryWrite(fd uintptr) bool {
	for len(s.writing.rest) > 0 {
		n, err := writeNow(fd, s.writing.rest)
		if err == syscall.EAGAIN { //nolint:errorlint // straight from the kernel
			return false
		}
		if err != nil {
			s.writing.err = err
			return true
		}
		s.writing.rest = s.writing.rest[n:]
	}
	return true
}

// release gives the buffer back where nothing stands in it.
func (s *stream) release() {
	if s.buf != nil && s.buffered() == 0 {
		s.pool.put(s.buf)
		s.buf, s.at = nil, 0
	}
}

// timedOut says whether a read ended because its deadline passed, after which it may be tried again.
func timedOut(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // deadline errors come unwrapped from the connection itself
	return ok && ne.Timeout()
}
