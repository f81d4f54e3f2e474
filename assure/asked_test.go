package assure

import (
	"testing"
	"time"

	"sallyport"
)

// TestQuestions folds what was asked and answered: what has no answer stays open, what was asked before answers were on record does not.
func TestQuestions(t *testing.T) {
	q, at := NewQuestions(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	apply := func(id, do, language string) {
		at = at.Add(time.Second)
		q.Apply(&sallyport.Event{Time: at, Kind: sallyport.AssuredKind, Order: &sallyport.Order{Assured: &sallyport.AssuredCall{ID: id, Do: do, Customer: "7", Language: language}}})
	}
	q.Apply(&sallyport.Event{Kind: sallyport.AssuredKind})
	apply("as-0", Asked, "") // by an older version
	for _, id := range []string{"as-3", "as-1", "as-2"} {
		apply(id, Asked, "de")
	}
	apply("ca-1", Schedule, "")
	apply("as-1", Told, "")
	if list := q.Open(); len(list) != 2 || list[0].ID != "as-3" || list[1].ID != "as-2" || list[0].Language != "de" || list[0].Customer != "7" || !list[0].At.Before(list[1].At) {
		t.Errorf("open are %+v", list)
	}
	apply("as-3", Untold, "")
	apply("as-2", Told, "")
	if list := q.Open(); len(list) != 0 {
		t.Errorf("open are %+v", list)
	}
}
