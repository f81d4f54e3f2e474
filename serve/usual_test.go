package serve

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sallyport"
	"sallyport/record"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// TestUsual counts distinct customers a day, for 30 days, by ordinary reasons.
func TestUsual(t *testing.T) {
	access, err := record.Open(t.TempDir(), record.Options{})
	fatal(t, err)
	defer access.Close()
	now := time.Date(2026, 5, 31, 12, 0, 0, 0, time.UTC)
	var index dayIndex
	saw := func(days int, who sallyport.Staff, grant string, customers ...int) {
		var values sallyport.Values
		for _, c := range customers {
			values.Add(sallyport.RevealedValue{Subject: sallyport.Subject(fmt.Sprint(c)), Digest: sallyport.Digest{byte(c)}})
		}
		e := &sallyport.Event{Time: now.AddDate(0, 0, -days), Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who}, Reveal: &sallyport.Revealed{Columns: make([]sallyport.Column, 1), Values: values, Grant: grant}}
		seq, err := access.Append(e)
		fatal(t, err)
		e.Seq = seq
		index.note(e)
	}
	saw(40, "ada", "", 1, 2, 3, 4, 5, 6, 7, 8, 9)
	saw(9, "ada", "", 1, 2)
	saw(9, "ada", "", 2, 3)
	saw(8, "ada", "", 1)
	saw(8, "eve", "", 1, 2, 3, 4, 5)
	saw(7, "ada", "g", 1, 2, 3, 4, 5, 6, 7)
	saw(2, "ada", "", 1, 2, 3, 4)
	want := sallyport.Usual{Median: 3, Most: 4, Days: 3}
	for _, from := range []uint64{1, index.from(dayOf(now) - usualDays)} {
		got, err := usualOf(t.Context(), access, from, now, "ada")
		if err != nil || got != want {
			t.Errorf("from %d: %+v, %v", from, got, err)
		}
	}
	if from := index.from(dayOf(now) - usualDays); from != 1 {
		t.Errorf("the first entry that could count is %d", from)
	}
	if from := index.from(dayOf(now) - 8); from != 4 {
		t.Errorf("8 days ago began with %d", from)
	}
	if got, _ := usualOf(t.Context(), access, 1, now, "nobody"); (got != sallyport.Usual{}) {
		t.Errorf("%+v", got)
	}
}
