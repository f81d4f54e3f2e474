package control

import (
	"errors"
	"testing"
	"time"

	"sallyport"
)

// TestErase takes two people, and remembers a list until the record says that it was carried out.
func TestErase(t *testing.T) {
	s, at := NewState(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	list := &sallyport.Erasure{Record: "r", Runs: []uint64{3, 5}, Count: 3, Digest: []byte{1}}
	if err := s.CheckProposal(&sallyport.Order{ID: "a", Action: Erase, By: "s050"}); !errors.Is(err, ErrProposal) {
		t.Errorf("a proposal without a list: %v", err)
	}
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Proposed, Order: &sallyport.Order{ID: "a", Action: Erase, By: "s050", Erased: list}})
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: "a", By: "s050"}})
	if len(s.Pending(Erase)) != 0 {
		t.Error("who proposed it has approved it")
	}
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: "a", By: "s051"}})
	pending := s.Pending(Erase)
	if len(pending) != 1 || pending[0].Erased == nil || pending[0].Erased.Count != 3 {
		t.Fatalf("%+v", pending)
	}
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Erasing, Order: &sallyport.Order{ID: "a", Erased: list}})
	if got := s.Erasures(); len(got) != 1 || got[0].List.Count != 3 {
		t.Errorf("%+v", got)
	}
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Erased, Note: "3 entries", Order: &sallyport.Order{ID: "a"}})
	if len(s.Erasures()) != 0 || len(s.Pending(Erase)) != 0 || !s.Proposals()[0].Done {
		t.Error("it is not done")
	}
}
