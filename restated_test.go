package sallyport

import (
	"slices"
	"testing"
	"time"
)

// TestRestate: what stands in an erased entry's place says of the others what that one said, at its time, and nothing of the customer; also the second time.
func TestRestate(t *testing.T) {
	then, now := time.Date(2026, 1, 2, 8, 0, 0, 0, time.UTC), time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	e := &Event{
		Seq: 7, Time: then, Kind: RevealKind, Who: Who{Staff: "s017"}, Statement: &Statement{ID: 3, Covers: []Subject{"1", "2"}},
		Reveal:   &Revealed{Statement: 3, Columns: []Column{{Name: "email"}}, Values: ValuesOf(RevealedValue{Subject: "1", Digest: Digest{1}}, RevealedValue{Subject: "2", Digest: Digest{2}}, RevealedValue{Subject: "3"})},
		Touch:    &Touched{Reached: []Subject{"1", "4"}},
		Imported: &Imported{Access: Access{Subjects: []Subject{"1"}, Reached: []Subject{"5"}}},
	}
	for i, gone := range []Subject{"1", "2"} {
		r := e.Restate(gone, now)
		was := r.AsItWas()
		if r.Kind != RestatedKind || !r.Time.Equal(now) || r.Restates.Entry != e.Seq || was.Kind != RevealKind || !was.Time.Equal(then) || was.Who.Staff != "s017" {
			t.Fatalf("%+v of %+v", was, r)
		}
		left := slices.Concat(was.Reveal.Values.Distinct(nil), was.Touch.Reached, was.Statement.Covers, was.Imported.Access.Subjects, was.Imported.Access.Reached)
		if want := [][]Subject{{"2", "3", "4", "2", "5"}, {"3", "4", "5"}}[i]; !slices.Equal(left, want) {
			t.Errorf("without %s: %v, expected %v", gone, left, want)
		}
		if e.Seq == 7 && e.Reveal.Values.Len() != 3 {
			t.Error("the entry itself was changed")
		}
		e, r.Seq = r, 9
	}
}
