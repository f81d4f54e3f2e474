package exposure

import (
	"fmt"
	"math"
	"math/bits"
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

// ledger holds one person's keys for one measure. One slot has those of eight neighbours that were last seen at one time (customers mostly come
// side by side, many at a time); slots are linked in the order of their times. For each window a boundary points at the oldest slot within it.
// Time only moves boundaries towards the newest slot, and each slot is passed once by each boundary, so every operation is O(1) amortised.
type ledger struct {
	serial uint64 // several ledgers are locked in its order

	mu    sync.Mutex // guards all fields below
	index index
	slots slots // slot 0 is the ring's anchor: its next is the oldest, its prev the newest
	free  int32 // head of the list of unused slots, linked by next; 0 is none
	edge  [windows]int32
	count [windows]int // of keys
	now   int64
}

// slot is 40 bytes, and some 16 more in the index. No key is in two slots.
type slot struct {
	group      Key // what its keys have in common: without the lowest three bits
	at         int64
	prev, next int32
	in         uint8 // a bit for each of the eight
}

// split is what a key has in common with its neighbours, and its bit among them.
func (k *Key) split() (group Key, bit uint8) {
	group = *k
	group[0] &^= neighbours - 1
	return group, 1 << (k[0] % neighbours)
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
			old := l.slots.at(l.edge[w])
			l.edge[w] = old.next
			l.count[w] -= bits.OnesCount8(old.in)
		}
	}
	for old := l.slots.at(anchor).next; old != l.edge[month]; old = l.slots.at(anchor).next {
		l.drop(old)
	}
	return now
}

// touch has k seen at the ledger's time. i is the slot that it is in, or none.
func (l *ledger) touch(k *Key, i int32, at int64) {
	since := int64(math.MinInt64)
	if i != none {
		if since = l.slots.at(i).at; since == at {
			return
		}
	}
	for w := range windows {
		if since <= at-w.length() {
			l.count[w]++
		}
	}
	group, bit := k.split()
	if i != none {
		l.leave(i, bit)
	}
	l.join(&group, bit, at)
}

// leave takes a key out of its slot.
func (l *ledger) leave(i int32, bit uint8) {
	s := l.slots.at(i)
	if s.in &^= bit; s.in != 0 {
		return
	}
	for w := range windows {
		if l.edge[w] == i {
			l.edge[w] = s.next
		}
	}
	l.index.remove(&l.slots, i)
	l.unlink(i)
	*s = slot{next: l.free}
	l.free = i
}

// join puts a key, which is in no slot, into that of its neighbours of this time.
func (l *ledger) join(group *Key, bit uint8, at int64) {
	newest := l.slots.at(l.slots.at(anchor).prev)
	if newest.in == 0 || newest.at != at || newest.group != *group {
		i := l.index.together(&l.slots, group, at)
		if i == none {
			i = l.take()
			*l.slots.at(i) = slot{group: *group, at: at}
			l.index.add(&l.slots, i)
			l.link(i)
		}
		newest = l.slots.at(i)
		for w := range windows {
			if l.edge[w] == anchor {
				l.edge[w] = i
			}
		}
	}
	newest.in |= bit
}

// drop forgets keys that no window holds any more.
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
