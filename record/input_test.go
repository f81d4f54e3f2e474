package record

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// TestInputs: they come back in the order of their arrival, by position, among other entries; a long one is cut between two letters.
func TestInputs(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{Key: testKey(t, 1)})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if _, err := s.Append(&sallyport.Event{Kind: sallyport.Locked, Order: &sallyport.Order{About: "s001"}}); err != nil {
		t.Fatal(err)
	}
	seq, err := s.AppendInput(sallyport.Heard{Source: "hr", Format: "hr", Text: `{"staff":"s017","type":"notice"}`}, at)
	if err != nil || seq != 2 {
		t.Fatal(seq, err)
	}
	var many []sallyport.Heard
	for i := range 5000 { // more than may wait at once
		many = append(many, sallyport.Heard{Source: "alerts", Format: "alerts", Text: fmt.Sprint(i, strings.Repeat("x", 400))})
	}
	if err := s.AppendInputs(many, at); err != nil || s.Last() != 5002 {
		t.Fatalf("%d entries, %v", s.Last(), err)
	}
	if _, err := s.AppendInput(sallyport.Heard{Source: "tickets", Format: "tickets", Text: "x" + strings.Repeat("ü", sallyport.MostHeard)}, at); err != nil {
		t.Fatal(err)
	}
	var got []sallyport.Heard
	err = s.Read(1, func(e *sallyport.Event) error {
		if e.Kind != sallyport.InputKind {
			return nil
		}
		if e.Seq != uint64(len(got)+2) || !e.Time.Equal(at) {
			t.Errorf("input %d arrived at %d, %v", len(got), e.Seq, e.Time)
		}
		got = append(got, *e.Order.Input)
		return nil
	})
	if err != nil || len(got) != 5002 {
		t.Fatalf("%d inputs, %v", len(got), err)
	}
	if diff := cmp.Diff(many, got[1:5001]); diff != "" {
		t.Error(diff)
	}
	if last := got[5001]; !last.Cut || len(last.Text) > sallyport.MostHeard || !utf8.ValidString(last.Text) || len(last.Text) < sallyport.MostHeard-4 {
		t.Errorf("a long one has %d bytes, cut: %v", len(last.Text), last.Cut)
	}
}
