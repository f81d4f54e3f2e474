package control

import (
	"testing"
	"time"

	"sallyport"
)

// TestFiles: the first files hold by themselves; others take two people whom they are not about, and follow on those that hold.
func TestFiles(t *testing.T) {
	s := NewState()
	order := func(kind sallyport.EventKind, o sallyport.Order) {
		s.Apply(&sallyport.Event{Kind: kind, Time: time.Unix(1000, 0), Order: &o})
	}
	holds := func(want, when string) {
		t.Helper()
		if got, _ := s.Files(); got != want {
			t.Errorf("%s: %q holds, want %q", when, got, want)
		}
	}
	adopt := func(hash string, alone bool) {
		order(sallyport.Adopted, sallyport.Order{Details: hash, Alone: alone})
	}
	adopt("", true)
	holds("", "no files")
	adopt("a", true)
	adopt("b", false)
	holds("b", "while one person is enough")
	adopt("c", true)
	holds("b", "files that say of themselves that one person is enough")
	order(sallyport.Proposed, sallyport.Order{ID: "about", Action: Files, By: "o1", Details: "d", Base: "b", Subjects: []sallyport.Staff{"o1"}})
	order(sallyport.Proposed, sallyport.Order{ID: "stale", Action: Files, By: "o1", Details: "d", Base: "a"})
	order(sallyport.Proposed, sallyport.Order{ID: "same", Action: Files, By: "o1", Details: "b", Base: "b"})
	if n := len(s.Proposals()); n != 0 {
		t.Errorf("%d proposals that may not be", n)
	}
	order(sallyport.Proposed, sallyport.Order{ID: "p", Action: Files, By: "o1", Details: "d", Base: "b", Subjects: []sallyport.Staff{"o3"}})
	order(sallyport.Proposed, sallyport.Order{ID: "q", Action: Files, By: "o1", Details: "e", Base: "b"})
	for _, by := range []sallyport.Staff{"o1", "o3", ""} {
		order(sallyport.Approved, sallyport.Order{ID: "p", By: by, Details: "x"})
		holds("b", "approved by "+string(by))
	}
	turned := s.Turned()
	order(sallyport.Approved, sallyport.Order{ID: "p", By: "o2", Details: "x", Alone: true})
	holds("d", "approved")
	select {
	case <-turned:
	default:
		t.Error("no result that runs hears of other policies")
	}
	order(sallyport.Approved, sallyport.Order{ID: "q", By: "o2"})
	holds("d", "what was proposed before other files held")
	if _, alone := s.Files(); alone {
		t.Error("an approval said that one person is enough")
	}
}
