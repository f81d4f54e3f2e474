package history

import (
	"context"
	"testing"

	"sallyport"
)

// fakeStore is a fake of a store that notes what it is given.
type fakeStore struct {
	Store
	at        uint64
	has, gone []uint64
}

func (s *fakeStore) Add(_ context.Context, to uint64, entries []*sallyport.Event) error {
	s.at = to
	for _, e := range entries {
		s.has = append(s.has, e.Seq)
	}
	return nil
}

func (s *fakeStore) Forget(_ context.Context, f Forgetting) error {
	s.gone = append(s.gone, f.Entries...)
	return nil
}

// TestErasedOnTheWay: what is erased after it was read and before it is added does not come into the store, and the position goes past it.
func TestErasedOnTheWay(t *testing.T) {
	store := &fakeStore{}
	k := &Keeper{store: store}
	g := &gathering{k: k}
	for seq := range uint64(3) {
		g.take(&sallyport.Event{Seq: seq + 1})
	}
	if err := k.Erase(t.Context(), []uint64{1, 3}); err != nil {
		t.Fatal(err)
	}
	if err := g.add(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(store.has) != 1 || store.has[0] != 2 || store.at != 3 || len(store.gone) != 2 {
		t.Errorf("the store has %v up to %d, and was told to forget %v", store.has, store.at, store.gone)
	}
	if len(k.erased) != 0 {
		t.Errorf("%v are kept although they are past", k.erased)
	}
	if err := k.Erase(t.Context(), []uint64{2}); err != nil || len(k.erased) != 0 {
		t.Errorf("%v, %v: what the store has is on no way", k.erased, err)
	}
}
