package purpose

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
)

// TestLooks: how often a customer was looked at, by how many, and how often by oneself, in a day; a statement counts once in however
// many batches its result left, and bulk work does not count.
func TestLooks(t *testing.T) {
	f := NewFacts()
	reveal := func(who sallyport.Staff, session string, statement uint64, at time.Time, values int, subjects ...sallyport.Subject) {
		e := &sallyport.Event{Kind: sallyport.RevealKind, Time: at, Who: sallyport.Who{Staff: who, Session: session}, Reveal: &sallyport.Revealed{Statement: statement}}
		for _, subject := range subjects {
			for range values {
				e.Reveal.Values.Add(sallyport.RevealedValue{Subject: subject})
			}
		}
		version := f.Version()
		f.Apply(e)
		if f.Version() != version {
			t.Error("a look makes refusals be asked anew")
		}
	}
	count := func(who sallyport.Staff, subject sallyport.Subject, now time.Time) string {
		all, people, own := f.looks.count(subject, who, now)
		return fmt.Sprint(all, people, own)
	}
	day := noon
	reveal("s001", "a", 1, day, 3, "7", "8")
	reveal("s001", "a", 1, day, 3, "7") // the next batch of the same statement
	reveal("s001", "a", 2, day.Add(time.Minute), 1, "7")
	reveal("s001", "b", 1, day.Add(2*time.Minute), 1, "7") // another session
	reveal("s002", "a", 1, day.Add(3*time.Minute), 1, "7")
	reveal("s003", "x", 9, day.Add(4*time.Minute), bulkValues+1, "7")
	for _, c := range []struct {
		who     sallyport.Staff
		subject sallyport.Subject
		after   time.Duration
		want    string
	}{
		{"s001", "7", time.Hour, "4 2 3"},
		{"s002", "7", time.Hour, "4 2 1"},
		{"s003", "7", time.Hour, "4 2 0"},
		{"s001", "8", time.Hour, "1 1 1"},
		{"s001", "9", time.Hour, "0 0 0"},
		{"s001", "7", 24*time.Hour + 90*time.Second, "2 2 1"},
		{"s001", "7", 25 * time.Hour, "0 0 0"},
	} {
		if got := count(c.who, c.subject, day.Add(c.after)); got != c.want {
			t.Errorf("%s of %s after %s: %s, want %s", c.who, c.subject, c.after, got, c.want)
		}
	}
	for i := range uint64(mostLooks + 5) {
		reveal("s001", "c", i, day.Add(time.Duration(i)*time.Second), 1, "5")
	}
	if got := count("s001", "5", day.Add(time.Hour)); got != fmt.Sprint(mostLooks, 1, mostLooks) {
		t.Error(got)
	}
	reveal("s001", "d", 1, day.Add(49*time.Hour), 1, "6")
	if len(f.looks.of) != 1 {
		t.Errorf("%d customers are remembered after two days", len(f.looks.of))
	}
}

// TestLookElsewhere: what another gateway is told of a look counts there as it does here, and says nothing of what was seen.
func TestLookElsewhere(t *testing.T) {
	here, there := NewFacts(), NewFacts()
	seen := func(who sallyport.Staff, statement uint64, at time.Time, values int) *sallyport.Event {
		e := &sallyport.Event{Seq: 9, Kind: sallyport.RevealKind, Time: at, Who: sallyport.Who{Staff: who, Session: "a", Address: "10.0.0.1"}, Reveal: &sallyport.Revealed{Statement: statement}}
		for i := range values {
			e.Reveal.Values.Add(sallyport.RevealedValue{Subject: sallyport.Subject(fmt.Sprint(i % 2)), Column: 1, Digest: sallyport.Digest{1}})
		}
		return e
	}
	now := noon.Add(time.Hour)
	for i, e := range []*sallyport.Event{seen("s001", 1, noon, 3), seen("s001", 1, noon, 1), seen("s001", 2, noon, 2), seen("s002", 3, noon, 4)} {
		here.Apply(e)
		told := Look(e, now)
		if told == nil {
			t.Fatalf("of look %d nothing is told", i)
		}
		there.Apply(told)
		for v := range told.Reveal.Values.All() {
			if v.Digest != (sallyport.Digest{}) || v.Column != 0 {
				t.Error("it is told what was seen")
			}
		}
		if told.Who.Address != "" || told.Seq != e.Seq {
			t.Errorf("told: %+v", told)
		}
	}
	for _, subject := range []sallyport.Subject{"0", "1", "2"} {
		all, people, own := here.looks.count(subject, "s001", now)
		a, p, o := there.looks.count(subject, "s001", now)
		if a != all || p != people || o != own || all == 0 && subject == "0" {
			t.Errorf("customer %s: %d looks of %d people, %d own; there %d, %d, %d", subject, all, people, own, a, p, o)
		}
	}
	for what, e := range map[string]*sallyport.Event{
		"bulk work": seen("s001", 1, noon, bulkValues+1), "a look of the day before": seen("s001", 1, noon.Add(-lookWindow), 1), "nobody's": seen("", 1, noon, 1), "no reveal": {Kind: sallyport.RevealKind},
	} {
		if Look(e, now) != nil {
			t.Errorf("%s is told", what)
		}
	}
}
