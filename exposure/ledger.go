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
	mu    sync.Mutex // guards all fields
	index map[Key]int32
	slots []slot // slots[0] is the ring's anchor: its next is the oldest, its prev the newest
	free  int32  // head of the list of unused slots, linked by next; 0 is none
	edge  [windows]int32
	count [windows]int
	now   int64
}

// slot is 32 bytes, and 20 more in the index.
type slot struct {
	key        Key
	at         int64
	prev, next int32
}

// anchor ends the ring; as a boundary it says that the window is empty.
const anchor = 0

func newLedger() *ledger {
	return &ledger{index: map[Key]int32{}, slots: make([]slot, 1, 8), now: math.MinInt64 / 2}
}

// advance moves the windows on to now, or leaves them where they are if they are further already, and returns their time.
func (l *ledger) advance(now int64) int64 {
	if now <= l.now {
		return l.now
	}
	l.now = now
	for w := range windows {
		start := now - w.length()
		for l.edge[w] != anchor && l.slots[l.edge[w]].at <= start {
			l.edge[w] = l.slots[l.edge[w]].next
			l.count[w]--
		}
	}
	for old := l.slots[anchor].next; old != l.edge[month]; old = l.slots[anchor].next {
		l.drop(old)
	}
	return now
}

// touch makes k the newest key, seen at the ledger's time.
func (l *ledger) touch(k Key, at int64) {
	i, known := l.index[k]
	if !known {
		i = l.take()
		l.index[k] = i
		l.slots[i].key = k
	}
	for w := range windows {
		if !known || l.slots[i].at <= at-w.length() {
			l.count[w]++
		} else if l.edge[w] == i {
			l.edge[w] = l.slots[i].next
		}
	}
	if known {
		l.unlink(i)
	}
	l.slots[i].at = at
	l.link(i)
	for w := range windows {
		if l.edge[w] == anchor {
			l.edge[w] = i
		}
	}
}

// drop forgets a key that no window holds any more.
func (l *ledger) drop(i int32) {
	delete(l.index, l.slots[i].key)
	l.unlink(i)
	if len(l.index) == 0 {
		// A map never shrinks by itself: begin anew with what a quiet person needs.
		l.index, l.slots, l.free = map[Key]int32{}, make([]slot, 1, 8), 0
		return
	}
	l.slots[i] = slot{next: l.free}
	l.free = i
}

func (l *ledger) take() int32 {
	if i := l.free; i != 0 {
		l.free = l.slots[i].next
		return i
	}
	l.slots = append(l.slots, slot{})
	return int32(len(l.slots) - 1)
}

func (l *ledger) unlink(i int32) {
	s := l.slots[i]
	l.slots[s.prev].next = s.next
	l.slots[s.next].prev = s.prev
}

func (l *ledger) link(i int32) {
	newest := l.slots[anchor].prev
	l.slots[i].prev, l.slots[i].next = newest, anchor
	l.slots[newest].next = i
	l.slots[anchor].prev = i
}
