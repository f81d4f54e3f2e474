package serve

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"sallyport"
	"sallyport/history/apart"
)

// TestHistoryKilled kills the process that keeps history while serve runs: who asks who saw a customer gets the same answer all the time, and a
// new process goes on.
func TestHistoryKilled(t *testing.T) {
	f := newFort(t, "")
	agent, ticket, of := f.hasTicket(0)
	c := f.connect(agent)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.one("SELECT email FROM support.customers WHERE id = $1", of.ID)
	customer := sallyport.Subject(fmt.Sprint(of.ID))
	process := func() *apart.Store {
		store, release := f.server.history.Lend()
		defer release()
		s, _ := store.(*apart.Store)
		return s
	}
	within(t, 20*time.Second, "history is open", func() bool { return process() != nil })
	want := len(f.whoSaw(customer))
	if want == 0 {
		t.Fatal("nobody saw him: this proves nothing")
	}
	killed := process()
	priority, err := syscall.Getpriority(syscall.PRIO_PROCESS, killed.PID())
	fatal(t, err)
	own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	fatal(t, err)
	if priority >= own { // the kernel counts from 20 down
		t.Errorf("history's process has priority %d, serve has %d", priority, own)
	}
	fatal(t, syscall.Kill(killed.PID(), syscall.SIGKILL))
	for range 3 {
		if got := len(f.whoSaw(customer)); got != want {
			t.Fatalf("%d sightings while history is gone; want %d", got, want)
		}
	}
	within(t, 20*time.Second, "a new process has what the record has", func() bool {
		s := process()
		if s == nil || s == killed {
			return false
		}
		at, err := s.Position(t.Context())
		return err == nil && at.Entry == f.server.AccessStream.Last()
	})
	if got := len(f.whoSaw(customer)); got != want {
		t.Errorf("%d sightings from the new process; want %d", got, want)
	}
}

// TestHistoryStoreAlone: nobody but serve starts it.
func TestHistoryStoreAlone(t *testing.T) {
	null, err := os.Open(os.DevNull)
	fatal(t, err)
	defer null.Close()
	err = OpenStoreOn(null)
	if exitCode(err) != ExitUsage {
		t.Errorf("%v; want it refused as a wrong use", err)
	}
}
