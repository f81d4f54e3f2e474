package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
	"sallyport/record/room"
)

// TestRoomRunsOut fills the disk under a running serve: alarms come at 80 and 90 %, protected reads stop, nothing that must be recorded is lost,
// unprotected traffic and orders go on, and with room it all works again.
func TestRoomRunsOut(t *testing.T) {
	var free atomic.Int64
	free.Store(100 << 30)
	f := newFort(t, "", func(o *Options) { o.Free = func() (int64, error) { return free.Load(), nil } })
	used := f.server.AccessStream.Size() + f.server.ControlStream.Size()
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
		level   room.Level
	}{{85, room.Low}, {95, room.Last}} {
		free.Store(room.UsualMinFree + used*(100-step.percent)/step.percent)
		f.server.room.Look()
		if got := c.one(read); got != customer.Email {
			t.Errorf("at %d %%: %q", step.percent, got)
		}
		if !strings.Contains(disk(), fmt.Sprintf("%d %%", step.percent)) && !strings.Contains(disk(), fmt.Sprintf("%d %%", step.percent-1)) {
			t.Errorf("status at %d %%: %s", step.percent, disk())
		}
	}

	free.Store(100 << 20)
	f.server.room.Look()
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
	f.server.room.Look()
	again := f.connect(who)
	again.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := again.one(read); got != customer.Email {
		t.Errorf("with room again: %q", got)
	}
	var levels []string
	fatal(t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
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
