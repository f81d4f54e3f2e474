package token

import "sync"

// scratch is working space for one operation. It lives on the heap and is pooled, because what is given to a
// cipher.Block escapes: on the stack it would be an allocation per row.
type scratch struct {
	x    [16]byte // the block in flight, and the result of a MAC
	y    [16]byte // counter of SIV, and the result of a second MAC
	tail [32]byte // the last two blocks of a message
	buf  []byte   // grows to the longest token seen, up to keepScratch
}

// Room is working space for whoever reveals value after value, in one goroutine. The zero Room is ready.
type Room struct{ scratch scratch }

// keepScratch bounds what the pool keeps after a long text.
const keepScratch = 64 << 10

// scratchPool hands out scratch space. The zero value is ready.
type scratchPool struct{ pool sync.Pool }

func (p *scratchPool) get() *scratch {
	if s, ok := p.pool.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

func (p *scratchPool) put(s *scratch) {
	if cap(s.buf) > keepScratch {
		s.buf = nil
	}
	p.pool.Put(s)
}

// room returns s.buf with length n.
func (s *scratch) room(n int) []byte {
	if cap(s.buf) < n {
		s.buf = make([]byte, n, max(n, 512))
	}
	s.buf = s.buf[:n]
	return s.buf
}
