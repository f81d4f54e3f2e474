package exposure

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// window is one of the sliding windows, the shortest first.
type window int

const (
	hour window = iota
	day
	month
	windows // their number
)

// length is in nanoseconds. A key is in the window while it is younger than that.
func (w window) length() int64 {
	switch w {
	case hour:
		return int64(time.Hour)
	case day:
		return int64(24 * time.Hour)
	case month:
		return int64(30 * 24 * time.Hour)
	case windows:
	}
	return math.MaxInt64 // no key is ever too old for a window that does not exist
}

// String is the window's name in a Limit.
func (w window) String() string {
	switch w {
	case hour:
		return "hour"
	case day:
		return "day"
	case month:
		return "30 days"
	case windows:
	}
	return fmt.Sprintf("window(%d)", int(w))
}

// ledger holds one person's keys for one measure: one slot for each distinct key, linked in the order in which they were last
// seen. For each window a boundary points at the oldest slot within it. Time only moves boundaries towards the newest slot, and each
// slot is passed once by each boundary for each time it was seen, so every operation is O(1) amortised.
type ledger struct {
	serial uint64 // several ledgers are locked in its order

	mu    sync.Mutex // guards all fields below
	index index
	slots slots // slot 0 is the ring's anchor: its next is the oldest, its prev the newest
	free  int32 // head of the list of unused slots, linked by next; 0 is none
	edge  [windows]int32
	count [windows]int
	now   int64
}

// slot is 32 bytes, and some 16 more in the index.
type slot struct {
	key        Key
	at         int64
	prev, next int32
}

// anchor ends the ring; as a boundary it says that the window is empty.
const anchor = 0

func newLedger(serial uint64) *ledger {
	l := &ledger{serial: serial, now: math.MinInt64 / 2}
	l.slots.grow()
	return l
}

// advance moves the windows on to now, or leaves them where they are if they are further already, and returns their time.
func (l *ledger) advance(now int64) int64 {
	if now <= l.now {
		return l.now
	}
	l.now = now
	for w := range windows {
		start := now - w.length()
		for l.edge[w] != anchor && l.slots.at(l.edge[w]).at <= start {
			l.edge[w] = l.slots.at(l.edge[w]).next
			l.count[w]--
		}
	}
	for old := l.slots.at(anchor).next; old != l.edge[month]; old = l.slots.at(anchor).next {
		l.drop(old)
	}
	return now
}

// touch makes k the newest key, seen at the ledger's time. i is its slot, or none.
func (l *ledger) touch(k *Key, i int32, at int64) {
	known := i != none
	if !known {
		i = l.take()
		l.slots.at(i).key = *k
		l.index.add(&l.slots, i)
	}
	s := l.slots.at(i)
	for w := range windows {
		if !known || s.at <= at-w.length() {
			l.count[w]++
		} else if l.edge[w] == i {
			l.edge[w] = s.next
		}
	}
	if known {
		l.unlink(i)
	}
	s.at = at
	l.link(i)
	for w := range windows {
		if l.edge[w] == anchor {
			l.edge[w] = i
		}
	}
}

// drop forgets a key that no window holds any more.
func (l *ledger) drop(i int32) {
	l.index.remove(&l.slots, i)
	l.unlink(i)
	if l.index.used == 0 { // begin anew with what a quiet person needs
		l.index, l.slots, l.free = index{}, slots{}, none
		l.slots.grow()
		return
	}
	*l.slots.at(i) = slot{next: l.free}
	l.free = i
}

func (l *ledger) take() int32 {
	if i := l.free; i != none {
		l.free = l.slots.at(i).next
		return i
	}
	return l.slots.grow()
}

func (l *ledger) unlink(i int32) {
	s := l.slots.at(i)
	l.slots.at(s.prev).next = s.next
	l.slots.at(s.next).prev = s.prev
}

func (l *ledger) link(i int32) {
	first, s := l.slots.at(anchor), l.slots.at(i)
	s.prev, s.next = first.prev, anchor
	l.slots.at(first.prev).next = i
	first.prev = i
}
