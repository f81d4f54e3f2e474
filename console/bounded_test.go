package console

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestBounded: what comes beyond the bound is closed at once, and a place that was left is taken again.
func TestBounded(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	l := Bounded(plain, 3, 2)
	accepted := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", plain.Addr().String())
		fatal(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	first, _ := dial(), dial()
	one, two := <-accepted, <-accepted
	third := dial()
	fatal(t, third.SetReadDeadline(time.Now().Add(patience)))
	if _, err := third.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a third connection of one place is kept: %v", err)
	}
	fatal(t, first.Close())
	if _, err := io.Copy(io.Discard, one); err != nil {
		t.Error(err)
	}
	fatal(t, one.Close())
	_ = one.Close() // twice gives back one place
	dial()
	three := <-accepted
	fourth := dial()
	fatal(t, fourth.SetReadDeadline(time.Now().Add(patience)))
	if _, err := fourth.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a place was given back twice: %v", err)
	}
	fatal(t, two.Close())
	fatal(t, three.Close())
	fatal(t, l.Close())
	<-done
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // as the connection gives it
	return ok && ne.Timeout()
}
