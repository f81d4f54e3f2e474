// Package room watches how much of its disk the record takes. It warns in time, and stops what is protected before anything of what must be recorded could
// be lost: the rest of the room is for sessions and traffic that go on, and for orders.
//
// It removes nothing: that is for retention. A disk that cannot be measured changes nothing: writing finds out.
package room

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/record"
)

// Options are what a record's room is watched by.
type Options struct {
	Data            string // folder on whose disk both streams lie
	Access, Control *record.Stream
	Orders          *api.Orders           // take each change of the level
	Settings        *config.Record        // bounds of the configuration
	Free            func() (int64, error) // bytes that the disk has left; nil: the system is asked
	Clock           func() time.Time
	Log             *slog.Logger
}

// Room is the room of one record.
type Room struct {
	o Options

	mu       sync.Mutex // guards what follows
	level    Level
	recorded Level // the last one that the control stream knows
	text     string
	failed   bool // to look; the log hears of it once
}

// UsualMinFree is how many bytes of the disk are left free where nothing is said.
const UsualMinFree = 256 << 20

// Level is how full the disk is.
type Level int

// The levels.
const (
	Fine Level = 0
	Low  Level = 80
	Last Level = 90
	Full Level = 100
)

const (
	roomEvery    = time.Second
	segmentBytes = 16 << 20
)

// String is the level's name in the record.
func (l Level) String() string {
	switch l {
	case Fine:
		return "fine"
	case Full:
		return "full"
	case Low, Last:
	}
	return strconv.Itoa(int(l)) + " %"
}

// Use is how much there is and how much is taken.
type Use struct{ Used, Free, Most, Floor int64 }

// could is how much the record could take in all.
func (u Use) could() int64 {
	all := u.Used + max(u.Free-u.Floor, 0)
	if u.Most > 0 {
		all = min(all, u.Most)
	}
	return max(all, 1)
}

// reserve is what of the most is left to what must not be lost.
func (u Use) reserve() int64 { return max(u.Most/16, 2*segmentBytes) }

// At is the level that follows on another one: it is full until a segment more than it takes to be full is free again, so that it does not
// flicker.
func (u Use) At(before Level) Level {
	slack := int64(0)
	if before == Full {
		slack = segmentBytes
	}
	switch percent := 100 * float64(u.Used) / float64(u.could()); {
	case u.Free < u.Floor+slack, u.Most > 0 && u.Used+slack > u.Most-u.reserve():
		return Full
	case percent >= float64(Last):
		return Last
	case percent >= float64(Low):
		return Low
	}
	return Fine
}

func (u Use) String() string {
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

// New takes up from the level that the control stream knows; nothing is measured yet.
func New(o Options) *Room {
	r := &Room{o: o}
	if r.o.Free == nil {
		r.o.Free = func() (int64, error) { return FreeBytes(o.Data) }
	}
	_ = o.Control.Read(1, func(e *sallyport.Event) error { // what cannot be read here is told of where it is folded
		if e.Kind == sallyport.RecordRoom {
			r.recorded = levelNamed(e.Order.Details)
		}
		return nil
	})
	return r
}

func levelNamed(name string) Level {
	for _, l := range []Level{Low, Last, Full} {
		if l.String() == name {
			return l
		}
	}
	return Fine
}

// FreeBytes is what a folder's disk has left for who is not root.
func FreeBytes(folder string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", folder, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:gosec,unconvert // other systems have other types
}

// Watch looks until ctx ends.
func (r *Room) Watch(ctx context.Context) {
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.Look()
		}
	}
}

// Look measures, and stops or lets go on what is protected. A disk that cannot be measured changes nothing: writing finds out.
func (r *Room) Look() {
	use, err := r.measure()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if !r.failed {
			r.o.Log.Warn("the room for the record cannot be measured", "why", err.Error())
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

func (r *Room) measure() (u Use, err error) {
	c := r.o.Settings
	u = Use{Used: r.o.Access.Size() + r.o.Control.Size(), Most: c.MaxBytes, Floor: cmp.Or(c.MinFree, UsualMinFree)}
	u.Free, err = r.o.Free()
	return u, err
}

// errNoRoom is why nothing protected is reached.
var errNoRoom = errors.New("the room for the record is used up but for what must not be lost")

// turn lets another level take effect.
func (r *Room) turn(use Use) {
	next := "make room under the data folder, or raise record.max_bytes; old entries go by retention, never by hand"
	switch r.level {
	case Full:
		r.o.Access.SetFull(errNoRoom)
		r.o.Log.Error("the room for the record is used up: nothing protected is reached until there is more", "disk", use.String(), "next", next)
		return
	case Low, Last:
		r.o.Log.Warn("the room for the record runs out", "level", r.level.String(), "disk", use.String(), "next", next)
	case Fine:
		r.o.Log.Info("there is room for the record again", "disk", use.String())
	}
	r.o.Access.SetFull(nil)
}

// put has the control stream know the level; where that cannot be written it is tried again with the next look.
func (r *Room) put() {
	if r.recorded == r.level {
		return
	}
	err := r.o.Orders.Give(nil, &sallyport.Event{
		Time: r.o.Clock(), Kind: sallyport.RecordRoom, Note: r.text, Order: &sallyport.Order{Action: "record", Details: r.level.String()},
	})
	if err == nil {
		r.recorded = r.level
	}
}

// Status is what `sallyport status` says.
func (r *Room) Status() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.level == Full {
		return r.text + "; FULL, nothing protected is reached"
	}
	return r.text
}
