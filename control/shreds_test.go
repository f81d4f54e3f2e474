package control

import (
	"testing"
	"time"

	"sallyport"
)

// TestShreds: it takes two people to bar a customer, and the lists hold from the entry on.
func TestShreds(t *testing.T) {
	s := NewState()
	now := time.Unix(1000, 0)
	apply := func(kind sallyport.EventKind, o sallyport.Order) {
		s.Apply(&sallyport.Event{Kind: kind, Time: now, Order: &o})
	}
	dead, buried := sallyport.Digest{1}, sallyport.Digest{2}
	apply(sallyport.Proposed, sallyport.Order{ID: "none", Action: Shred, By: "a"})
	apply(sallyport.Proposed, sallyport.Order{ID: "p", Action: Shred, By: "a", Details: "17"})
	apply(sallyport.Approved, sallyport.Order{ID: "p", By: "a"})
	if s.Shreds() || s.Barred("17") || len(s.Proposals()) != 1 {
		t.Fatal("one person alone shredded a customer, or a proposal about nobody counts")
	}
	apply(sallyport.Approved, sallyport.Order{ID: "p", By: "b"})
	if !s.Barred("17") || !s.BarredText([]byte("17")) || s.Barred("18") || len(s.Pending(Shred)) != 1 {
		t.Error("the customer is not barred, or another one is")
	}
	apply(sallyport.Shredding, sallyport.Order{ID: "p", Details: "17", Dead: []sallyport.Digest{dead}, Buried: []sallyport.Digest{buried}, Gone: []sallyport.GoneKeys{{Group: "name", Epoch: 1, Leaves: []uint64{9}}}})
	if !s.Dead(dead) || s.Dead(buried) || !s.Buried(buried) || s.Buried(dead) {
		t.Error("the lists are not as they were given")
	}
	if leaf := (sallyport.Leaf{Group: "name", Epoch: 1, At: 9}); !s.Gone(leaf) || s.Gone(sallyport.Leaf{Group: "name", Epoch: 2, At: 9}) || len(s.GoneKeys()) != 1 {
		t.Error("the keys that are gone are not as they were given")
	}
	s.Apply(&sallyport.Event{Kind: sallyport.Shredded, Time: now, Note: "3 values", Order: &sallyport.Order{ID: "p", Details: "17"}})
	if p := s.Approved(Shred)[0]; !p.Done || p.Result != "3 values" || len(s.Pending(Shred)) != 0 || !s.Barred("17") {
		t.Errorf("done: %+v", p)
	}
}
