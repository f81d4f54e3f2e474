package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sallyport"
)

// diskRoom watches how much of its disk the record takes. It warns in time, and stops what is protected before anything of what must be recorded
// could be lost: the rest of the room is for sessions and traffic that go on, and for orders.
type diskRoom struct {
	s    *Server
	free func() (int64, error)

	mu       sync.Mutex // guards what follows
	level    roomLevel
	recorded roomLevel // the last one that the control stream knows
	text     string
	failed   bool // to look; the log hears of it once
}

// roomLevel is how full the disk is.
type roomLevel int

// The levels.
const (
	RoomFine roomLevel = 0
	roomLow  roomLevel = 80
	roomLast roomLevel = 90
	roomFull roomLevel = 100
)

const (
	roomEvery    = time.Second
	segmentBytes = 16 << 20
)

// String is the level's name in the record.
func (l roomLevel) String() string {
	switch l {
	case RoomFine:
		return "fine"
	case roomFull:
		return "full"
	case roomLow, roomLast:
	}
	return strconv.Itoa(int(l)) + " %"
}

// DiskUse is how much there is and how much is taken.
type DiskUse struct{ Used, Free, Most, Floor int64 }

// could is how much the record could take in all.
func (u DiskUse) could() int64 {
	all := u.Used + max(u.Free-u.Floor, 0)
	if u.Most > 0 {
		all = min(all, u.Most)
	}
	return max(all, 1)
}

// reserve is what of the most is left to what must not be lost.
func (u DiskUse) reserve() int64 { return max(u.Most/16, 2*segmentBytes) }

// At is the level that follows on another one: it is full until a segment more than it takes to be full is free again, so that it does not
// flicker.
func (u DiskUse) At(before roomLevel) roomLevel {
	slack := int64(0)
	if before == roomFull {
		slack = segmentBytes
	}
	switch percent := 100 * float64(u.Used) / float64(u.could()); {
	case u.Free < u.Floor+slack, u.Most > 0 && u.Used+slack > u.Most-u.reserve():
		return roomFull
	case percent >= float64(roomLast):
		return roomLast
	case percent >= float64(roomLow):
		return roomLow
	}
	return RoomFine
}

func (u DiskUse) String() string {
	text := fmt.Sprintf("%s recorded, %s free", bytesText(u.Used), bytesText(u.Free))
	if u.Most > 0 {
		text += fmt.Sprintf(", at most %s", bytesText(u.Most))
	}
	return text + fmt.Sprintf(": %d %%", int64(100*float64(u.Used)/float64(u.could())))
}

func bytesText(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

func newRoom(s *Server) *diskRoom {
	r := &diskRoom{s: s, free: s.O.Free}
	if r.free == nil {
		r.free = func() (int64, error) { return FreeBytes(s.O.Data) }
	}
	_ = s.ControlStream.Read(1, func(e *sallyport.Event) error { // what cannot be read here is told of where it is folded
		if e.Kind == sallyport.RecordRoom {
			r.recorded = levelNamed(e.Order.Details)
		}
		return nil
	})
	return r
}

func levelNamed(name string) roomLevel {
	for _, l := range []roomLevel{roomLow, roomLast, roomFull} {
		if l.String() == name {
			return l
		}
	}
	return RoomFine
}

// FreeBytes is what a folder's disk has left for who is not root.
func FreeBytes(folder string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", folder, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:gosec,unconvert // other systems have other types
}

// watch looks until ctx ends.
func (r *diskRoom) watch(ctx context.Context) {
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.look()
		}
	}
}

// look measures, and stops or lets go on what is protected. A disk that cannot be measured changes nothing: writing finds out.
func (r *diskRoom) look() {
	use, err := r.measure()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if !r.failed {
			r.s.log.Warn("the room for the record cannot be measured", "why", err.Error())
		}
		r.failed = true
		return
	}
	r.failed = false
	before := r.level
	r.level, r.text = use.At(before), use.String()
	if r.level != before {
		r.turn(use)
	}
	r.put()
}

func (r *diskRoom) measure() (u DiskUse, err error) {
	c := &r.s.O.Config.Record
	u = DiskUse{Used: r.s.AccessStream.Size() + r.s.ControlStream.Size(), Most: c.MaxBytes, Floor: cmp.Or(c.MinFree, UsualMinFree)}
	u.Free, err = r.free()
	return u, err
}

// errNoRoom is why nothing protected is reached.
var errNoRoom = errors.New("the room for the record is used up but for what must not be lost")

// turn lets another level take effect.
func (r *diskRoom) turn(use DiskUse) {
	next := "make room under the data folder, or raise record.max_bytes; old entries go by retention, never by hand"
	switch r.level {
	case roomFull:
		r.s.AccessStream.SetFull(errNoRoom)
		r.s.log.Error("the room for the record is used up: nothing protected is reached until there is more", "disk", use.String(), "next", next)
		return
	case roomLow, roomLast:
		r.s.log.Warn("the room for the record runs out", "level", r.level.String(), "disk", use.String(), "next", next)
	case RoomFine:
		r.s.log.Info("there is room for the record again", "disk", use.String())
	}
	r.s.AccessStream.SetFull(nil)
}

// put has the control stream know the level; where that cannot be written it is tried again with the next look.
func (r *diskRoom) put() {
	if r.recorded == r.level {
		return
	}
	err := r.s.orders.Give(nil, &sallyport.Event{
		Time: r.s.O.Clock(), Kind: sallyport.RecordRoom, Note: r.text, Order: &sallyport.Order{Action: "record", Details: r.level.String()},
	})
	if err == nil {
		r.recorded = r.level
	}
}

// status is what `sallyport status` says.
func (r *diskRoom) status() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.level == roomFull {
		return r.text + "; FULL, nothing protected is reached"
	}
	return r.text
}
