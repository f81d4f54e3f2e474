package gateway

import (
	"net"
	"time"
)

// PostgreSQL sends a long result in pieces of 8 KiB. Whoever takes each as it comes is woken for each, which costs both sides more than the bytes:
// so in the middle of a long result the server's side waits until there is a bufferful, if that does not take long.
const (
	gatherFrom = 4 * bufferSize     // so much of a result has come before it is long
	gatherMost = bufferSize * 3 / 4 // waited for; a part of a row may stand in the buffer already
	gatherFor  = time.Millisecond   // the longest wait: the end of a result is not a bufferful
	gatherSend = 4 * bufferSize     // what waits for nothing leaves when it is so much
)

// gathering is how far a result has come.
type gathering struct {
	came    int  // bytes of its rows
	patient bool // the socket says that it is readable only when there is a bufferful
	looked  bool // within the present wait
}

// gather waits for a bufferful of a long result. false: there is nothing to wait for, or it does not come, and the session goes on as it would.
func (s *session) gather() (ready bool, err error) {
	g := &s.gathering
	if g.came < gatherFrom || s.server.raw == nil {
		return false, nil
	}
	if _, ok := s.serverConn.(*net.TCPConn); !ok || !g.patient && !s.beforeReadable(gatherMost) {
		g.came = 0
		return false, nil
	}
	g.patient = true
	if len(s.out) >= gatherSend && !s.waiting() {
		if err := s.flush(); err != nil {
			return false, err
		}
	}
	if err := s.deadline(time.Now().Add(gatherFor)); err != nil {
		return false, err
	}
	g.looked = false
	if s.server.raw.Read(s.gathered) != nil {
		return false, s.gatherNoMore()
	}
	return true, s.deadline(time.Now().Add(trickle)) // of what is to be read now; for ever nobody waits while the socket is patient
}

// gathered tells whether the wait is over, at first because the bytes are there, then because the socket says so.
func (s *session) gathered(fd uintptr) bool {
	over := s.gathering.looked || queued(fd) >= gatherMost
	s.gathering.looked = true
	return over
}

// gatherNoMore takes what comes as it comes again.
func (s *session) gatherNoMore() error {
	if s.gathering.patient && !s.beforeReadable(1) {
		return errEnded // the socket is closed
	}
	s.gathering = gathering{}
	return nil
}

// beforeReadable sets how many bytes there have to be before the server's socket says that it is readable.
func (s *session) beforeReadable(n int) (done bool) {
	err := s.server.raw.Control(func(fd uintptr) { done = readableFrom(fd, n) })
	return err == nil && done
}
