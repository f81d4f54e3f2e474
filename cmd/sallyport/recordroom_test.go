package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
)

// TestRoomLevels holds the levels to figures.
func TestRoomLevels(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		name   string
		use    diskUse
		before roomLevel
		want   roomLevel
	}{
		{"a large disk", diskUse{used: 32 * mib, free: 100 * gib, floor: usualMinFree}, roomFine, roomFine},
		{"most is reached by half", diskUse{used: 512 * mib, free: 100 * gib, most: gib, floor: usualMinFree}, roomFine, roomFine},
		{"at 80", diskUse{used: 820 * mib, free: 100 * gib, most: gib, floor: usualMinFree}, roomFine, roomLow},
		{"at 90", diskUse{used: 925 * mib, free: 100 * gib, most: gib, floor: usualMinFree}, roomLow, roomLast},
		{"a sixteenth below the most", diskUse{used: 961 * mib, free: 100 * gib, most: gib, floor: usualMinFree}, roomLast, roomFull},
		{"full, and not a segment below that yet", diskUse{used: 950 * mib, free: 100 * gib, most: gib, floor: usualMinFree}, roomFull, roomFull},
		{"full, and a segment below that", diskUse{used: 943 * mib, free: 100 * gib, most: gib, floor: usualMinFree}, roomFull, roomLast},
		{"the disk is what ends first", diskUse{used: 800 * mib, free: 400 * mib, floor: usualMinFree}, roomFine, roomLow},
		{"the floor", diskUse{used: 800 * mib, free: 255 * mib, floor: usualMinFree}, roomLast, roomFull},
		{"a floor of one's own", diskUse{used: 800 * mib, free: 2 * gib, floor: 3 * gib}, roomFine, roomFull},
		{"nothing recorded on a full disk", diskUse{free: 0, floor: usualMinFree}, roomFine, roomFull},
	} {
		if got := c.use.at(c.before); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestRoomRunsOut fills the disk under a running serve: alarms come at 80 and 90 %, protected reads stop, nothing that must be recorded is lost,
// unprotected traffic and orders go on, and with room it all works again.
func TestRoomRunsOut(t *testing.T) {
	var free atomic.Int64
	free.Store(100 << 30)
	f := newFort(t, "", func(o *ServerOptions) { o.Free = func() (int64, error) { return free.Load(), nil } })
	used := f.server.access.Size() + f.server.control.Size()
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	read := fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)
	if got := c.one(read); got != customer.Email {
		t.Fatalf("with room: %q", got)
	}
	disk := func() string {
		for _, line := range f.server.status(f.ctx) {
			if line.What == "disk" {
				return line.How
			}
		}
		return ""
	}
	for _, step := range []struct {
		percent int64
		level   roomLevel
	}{{85, roomLow}, {95, roomLast}} {
		free.Store(usualMinFree + used*(100-step.percent)/step.percent)
		f.server.room.look()
		if got := c.one(read); got != customer.Email {
			t.Errorf("at %d %%: %q", step.percent, got)
		}
		if !strings.Contains(disk(), fmt.Sprintf("%d %%", step.percent)) && !strings.Contains(disk(), fmt.Sprintf("%d %%", step.percent-1)) {
			t.Errorf("status at %d %%: %s", step.percent, disk())
		}
	}

	free.Store(100 << 20)
	f.server.room.look()
	if err := c.fails(read); err.Code != "SP012" {
		t.Errorf("a protected read without room: %s %s", err.Code, err.Message)
	}
	if !strings.Contains(disk(), "FULL") {
		t.Errorf("status: %s", disk())
	}
	if got := c.one("SELECT count(*) FROM support.staff"); got == "0" {
		t.Error("unprotected traffic stopped")
	}
	f.lock(f.org.Agents()[5].ID) // orders are heard
	f.connect(f.org.Agents()[1].ID).must("SELECT 1")

	free.Store(100 << 30)
	f.server.room.look()
	again := f.connect(who)
	again.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := again.one(read); got != customer.Email {
		t.Errorf("with room again: %q", got)
	}
	var levels []string
	fatal(t, f.server.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.RecordRoom {
			levels = append(levels, e.Order.Details)
		}
		return nil
	}))
	if want := []string{"80 %", "90 %", "full", "fine"}; !slices.Equal(levels, want) {
		t.Errorf("on record: %q, want %q", levels, want)
	}
	for _, words := range []string{"runs out", "used up", "room for the record again"} {
		if !strings.Contains(f.log.String(), words) {
			t.Errorf("the log does not say %q", words)
		}
	}
	_ = c.Close(context.WithoutCancel(f.ctx))
	within(t, 10*time.Second, "the session that was refused is on record to its end", func() bool {
		return slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Kind == sallyport.SessionEnd && e.Who.Staff == who })
	})
}
