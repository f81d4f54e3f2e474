package console

import (
	"net"
	"net/netip"
	"sync"

	"sallyport/assure"
)

// Bounded closes at once what comes beyond so many connections at a time, of all places (most) or of one (each; 0: as many as of all): whoever holds
// thousands of them open takes none from the gateway, which lives in the same process.
func Bounded(l net.Listener, most, each int) net.Listener {
	if each == 0 {
		each = most
	}
	return &bounded{Listener: l, most: most, each: each, of: map[netip.Prefix]int{}}
}

type bounded struct {
	net.Listener
	most, each int

	mu  sync.Mutex // guards what follows
	all int
	of  map[netip.Prefix]int
}

// Accept is net.Listener's.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // what is no address is one place of its own
		place := assure.Place(at.Addr())
		if b.take(place) {
			return &boundedConn{Conn: c, leave: sync.OnceFunc(func() { b.leave(place) })}, nil
		}
		_ = c.Close() // nobody is told: that takes work, too
	}
}

func (b *bounded) take(place netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= b.most || b.of[place] >= b.each {
		return false
	}
	b.all++
	b.of[place]++
	return true
}

func (b *bounded) leave(place netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.of[place]--; b.of[place] == 0 {
		delete(b.of, place)
	}
}

// boundedConn gives its place back once it is closed.
type boundedConn struct {
	net.Conn
	leave func()
}

// Close is net.Conn's.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
