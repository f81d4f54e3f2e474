package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sallyport"
	"sallyport/keys"
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
	roomFine roomLevel = 0
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
	case roomFine:
		return "fine"
	case roomFull:
		return "full"
	case roomLow, roomLast:
	}
	return strconv.Itoa(int(l)) + " %"
}

// diskUse is how much there is and how much is taken.
type diskUse struct{ used, free, most, floor int64 }

// could is how much the record could take in all.
func (u diskUse) could() int64 {
	all := u.used + max(u.free-u.floor, 0)
	if u.most > 0 {
		all = min(all, u.most)
	}
	return max(all, 1)
}

// reserve is what of the most is left to what must not be lost.
func (u diskUse) reserve() int64 { return max(u.most/16, 2*segmentBytes) }

// at is the level that follows on another one: it is full until a segment more than it takes to be full is free again, so that it does not
// flicker.
func (u diskUse) at(before roomLevel) roomLevel {
	slack := int64(0)
	if before == roomFull {
		slack = segmentBytes
	}
	switch percent := 100 * float64(u.used) / float64(u.could()); {
	case u.free < u.floor+slack, u.most > 0 && u.used+slack > u.most-u.reserve():
		return roomFull
	case percent >= float64(roomLast):
		return roomLast
	case percent >= float64(roomLow):
		return roomLow
	}
	return roomFine
}

func (u diskUse) String() string {
	text := fmt.Sprintf("%s recorded, %s free", bytesText(u.used), bytesText(u.free))
	if u.most > 0 {
		text += fmt.Sprintf(", at most %s", bytesText(u.most))
	}
	return text + fmt.Sprintf(": %d %%", int64(100*float64(u.used)/float64(u.could())))
}

func bytesText(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

func newRoom(s *Server) *diskRoom {
	r := &diskRoom{s: s, free: s.o.Free}
	if r.free == nil {
		r.free = func() (int64, error) { return freeBytes(s.o.Data) }
	}
	_ = s.control.Read(1, func(e *sallyport.Event) error { // what cannot be read here is told of where it is folded
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
	return roomFine
}

// freeBytes is what a folder's disk has left for who is not root.
func freeBytes(folder string) (int64, error) {
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
	r.level, r.text = use.at(before), use.String()
	if r.level != before {
		r.turn(use)
	}
	r.put()
}

func (r *diskRoom) measure() (u diskUse, err error) {
	c := &r.s.o.Config.Record
	u = diskUse{used: r.s.access.Size() + r.s.control.Size(), most: c.MaxBytes, floor: cmp.Or(c.MinFree, usualMinFree)}
	u.free, err = r.free()
	return u, err
}

// errNoRoom is why nothing protected is reached.
var errNoRoom = errors.New("the room for the record is used up but for what must not be lost")

// turn lets another level take effect.
func (r *diskRoom) turn(use diskUse) {
	next := "make room under the data folder, or raise record.max_bytes; old entries go by retention, never by hand"
	switch r.level {
	case roomFull:
		r.s.access.SetFull(errNoRoom)
		r.s.log.Error("the room for the record is used up: nothing protected is reached until there is more", "disk", use.String(), "next", next)
		return
	case roomLow, roomLast:
		r.s.log.Warn("the room for the record runs out", "level", r.level.String(), "disk", use.String(), "next", next)
	case roomFine:
		r.s.log.Info("there is room for the record again", "disk", use.String())
	}
	r.s.access.SetFull(nil)
}

// put has the control stream know the level; where that cannot be written it is tried again with the next look.
func (r *diskRoom) put() {
	if r.recorded == r.level {
		return
	}
	err := r.s.orders.Give(nil, &sallyport.Event{
		Time: r.s.o.Clock(), Kind: sallyport.RecordRoom, Note: r.text, Order: &sallyport.Order{Action: "record", Details: r.level.String()},
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

// recordFindings are what stands against the record of a data folder, whether a serve runs in it or not.
func (c *Config) recordFindings(data string) (found []finding) {
	if c.Keys.Provider == keys.QuorumProvider && c.Record.Provider == "" {
		found = append(found, finding{
			Where: "record.provider", Note: true,
			What: "a quorum opens the keys, so the record is encrypted only where serve is given --key-file; expected who opens its key",
		})
	}
	if data == "" {
		return found
	}
	if _, err := keys.LookRecord(data); errors.Is(err, keys.ErrNone) && c.Protects() {
		found = append(found, finding{Where: data, Note: true, What: "the record is not encrypted yet: serve makes its key with --key-file, or as record.provider says"})
	}
	u := diskUse{most: c.Record.MaxBytes, floor: cmp.Or(c.Record.MinFree, usualMinFree)}
	for _, stream := range []string{"access", "control"} {
		segments, _ := filepath.Glob(filepath.Join(data, stream, "*.log")) // the pattern is a right one
		for _, name := range segments {
			if info, err := os.Stat(name); err == nil { // else it was replaced meanwhile
				u.used += info.Size()
			}
		}
	}
	var err error
	if u.free, err = freeBytes(data); err != nil {
		return append(found, finding{Where: data, What: err.Error()})
	}
	if u.at(roomFine) != roomFine {
		found = append(found, finding{Where: data, What: "the room for the record runs out: " + u.String() + "; make room, or raise record.max_bytes"})
	}
	return found
}
