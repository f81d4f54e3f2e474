package serve

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"sallyport"
)

// TestRetentionErasesWhatIsOld: entries whose time is up go at the next start, those that are held and those of other kinds stay, and the copy verifies.
func TestRetentionErasesWhatIsOld(t *testing.T) {
	f, elsewhere, ahead := ledgerFort(t)
	f.reveal()
	f.reveal()
	f.settled()
	var held *sallyport.Event
	for _, e := range f.events() {
		if e.Kind == sallyport.SessionStart && held == nil {
			held = e
		}
	}
	if held == nil {
		t.Fatal("no session began")
	}
	f.stop()
	f.edit("demonstration: true", "demonstration: true\nretention: {days: {session_start: 40, session_end: 40, reveal: 50}, hold: {entries: ['access:"+strconv.FormatUint(held.Seq, 10)+"']}}")
	ahead.Store(int64(45 * 24 * time.Hour)) // reveals are not old enough
	f.options.Config = f.config
	f.start()
	within(t, 30*time.Second, "sessions are erased", func() bool { return kindsIn(f, sallyport.SessionEnd) == 0 && len(f.server.State.Erasures()) == 0 })
	if kindsIn(f, sallyport.RevealKind) == 0 || kindsIn(f, sallyport.StatementKind) == 0 {
		t.Error("what is kept is gone")
	}
	if !slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Seq == held.Seq }) {
		t.Error("what is held is gone")
	}
	if n := kindsIn(f, sallyport.SessionStart); n != 1 {
		t.Errorf("%d beginnings of sessions are left, expected the one that is held", n)
	}
	f.settled()
	f.stop()
	if out, err := runMainOf(t, "ledger", "verify", f.options.Data, "--complete", "--checkpoint", elsewhere); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func kindsIn(f *fort, kind sallyport.EventKind) (n int) {
	for _, e := range f.events() {
		if e.Kind == kind && e.Time.Before(f.server.O.Clock().AddDate(0, 0, -40)) {
			n++
		}
	}
	return n
}
