package api

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
)

// TestCeremonies: whoever begins log-ins by the thousand takes them from his own place alone, and from nobody who is known.
func TestCeremonies(t *testing.T) {
	p, err := NewPasskeys("https://pages.example.org")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	begin := func(who sallyport.Staff, from string) (string, error) {
		return p.keep(&passkeyAttempt{who: who, from: from, does: "confirm"}, now)
	}
	for i := range mostOfPlace {
		if _, err := begin("", "10.0.0.1"); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, err := begin("", "10.0.0.1"); err == nil {
		t.Error("one place takes all")
	}
	for i := range mostCeremonies {
		_, _ = begin("", fmt.Sprintf("10.1.%d.1", i/20))
	}
	if _, err := begin("", "10.2.0.1"); err == nil {
		t.Error("there is no bound on all")
	}
	first, err := begin("s050", "")
	if err != nil {
		t.Fatalf("who is known cannot confirm: %v", err)
	}
	for i := range mostOfPerson {
		now = now.Add(time.Second)
		if _, err := begin("s050", ""); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, err := p.take(first, "confirm", now); err == nil {
		t.Error("the oldest of one person is kept")
	}
	now = now.Add(passkeyFor)
	if _, err := begin("", "10.0.0.1"); err != nil {
		t.Errorf("what is over counts: %v", err)
	}
}
