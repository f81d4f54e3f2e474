package control

import (
	"crypto/sha256"
	"testing"
	"time"

	"sallyport"
)

func order(kind sallyport.EventKind, o sallyport.Order) *sallyport.Event { return event(kind, 0, o) }

// TestCredentials holds what people log in with to whom it belongs and how long it lasts; a lock takes it away, and nobody gives it back.
func TestCredentials(t *testing.T) {
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	digest := sha256.Sum256([]byte("ada's"))
	made := func(s *State, by, about sallyport.Staff) {
		s.Apply(&sallyport.Event{Time: start, Kind: sallyport.CredentialMade, Order: &sallyport.Order{By: by, About: about, Credential: &sallyport.Credential{
			Digest: digest[:], Until: start.Add(10 * time.Hour), Proven: start.Add(-time.Minute), Factors: true,
		}}})
	}
	holds := func(s *State, after time.Duration) bool {
		c, ok := s.Credential(digest, start.Add(after))
		return ok && c.Staff == "ada"
	}
	for _, c := range []struct {
		name  string
		event *sallyport.Event
		after time.Duration
		want  bool
	}{
		{"at once", nil, 0, true},
		{"just before its end", nil, 10*time.Hour - 1, true},
		{"at its end", nil, 10 * time.Hour, false},
		{"locked", order(sallyport.Locked, sallyport.Order{By: "lead", About: "ada"}), time.Hour, false},
		{"suspended", order(sallyport.Suspended, sallyport.Order{About: "ada"}), time.Hour, false},
		{"somebody else is locked", order(sallyport.Locked, sallyport.Order{By: "lead", About: "bob"}), time.Hour, true},
		{"given back", order(sallyport.CredentialEnded, sallyport.Order{By: "ada", About: "ada", Credential: &sallyport.Credential{Digest: digest[:]}}), time.Hour, false},
		{"given back by another", order(sallyport.CredentialEnded, sallyport.Order{By: "bob", About: "bob", Credential: &sallyport.Credential{Digest: digest[:]}}), time.Hour, true},
		{"given back in his name by another", order(sallyport.CredentialEnded, sallyport.Order{By: "bob", About: "ada", Credential: &sallyport.Credential{Digest: digest[:]}}), time.Hour, true},
	} {
		s := NewState()
		made(s, "ada", "ada")
		if c.event != nil {
			c.event.Time = start
			s.Apply(c.event)
		}
		if got := holds(s, c.after); got != c.want {
			t.Errorf("%s: it holds: %v", c.name, got)
		}
	}

	// Nobody makes one for somebody else, and an unlock does not bring back what a lock took.
	s := NewState()
	made(s, "bob", "ada")
	if holds(s, 0) {
		t.Error("bob made a credential for ada")
	}
	made(s, "ada", "ada")
	s.Apply(order(sallyport.Locked, sallyport.Order{By: "lead", About: "ada"}))
	s.Apply(order(sallyport.Proposed, sallyport.Order{ID: "p", Action: Unlock, By: "lead", About: "ada"}))
	s.Apply(order(sallyport.Approved, sallyport.Order{ID: "p", By: "lead2"}))
	if st := s.Standing("ada"); st.Locked || holds(s, 0) {
		t.Errorf("after the unlock: %+v, the credential holds: %v", st, holds(s, 0))
	}

	// A credential of nobody, or with half a digest, is none.
	s.Apply(order(sallyport.CredentialMade, sallyport.Order{Credential: &sallyport.Credential{Digest: digest[:], Until: start.Add(time.Hour)}}))
	s.Apply(order(sallyport.CredentialMade, sallyport.Order{By: "ada", About: "ada", Credential: &sallyport.Credential{Digest: digest[:8], Until: start.Add(time.Hour)}}))
	if len(s.keys.credentials) != 0 {
		t.Errorf("%d credentials", len(s.keys.credentials))
	}
}

// TestInvitation takes both halves of a code, of two people, neither of them the one who is invited.
func TestInvitation(t *testing.T) {
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	a, b, c := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b")), sha256.Sum256([]byte("c"))
	invited := func(approver sallyport.Staff, first, second []byte) *State {
		s := NewState()
		for _, e := range []*sallyport.Event{
			order(sallyport.Proposed, sallyport.Order{ID: "i", Action: Invite, By: "lead", About: "ada", Code: first}),
			order(sallyport.Approved, sallyport.Order{ID: "i", By: approver, Code: second}),
		} {
			e.Time = start
			s.Apply(e)
		}
		return s
	}
	s := invited("lead2", a[:], b[:])
	for _, try := range []struct {
		who           sallyport.Staff
		first, second [sha256.Size]byte
		after         time.Duration
		want          bool
	}{
		{"ada", a, b, time.Hour, true},
		{"ada", b, a, time.Hour, false},
		{"ada", a, a, time.Hour, false},
		{"ada", a, c, time.Hour, false},
		{"bob", a, b, time.Hour, false},
		{"ada", a, b, InvitedFor, false},
	} {
		if got := s.Invited(try.who, try.first, try.second, start.Add(try.after)); got != try.want {
			t.Errorf("%s, after %s: %v", try.who, try.after, got)
		}
	}
	for name, s := range map[string]*State{
		"the proposer approves":         invited("lead", a[:], b[:]),
		"who is invited approves":       invited("ada", a[:], b[:]),
		"one half is all of the code":   invited("lead2", a[:], a[:]),
		"approved without a half":       invited("lead2", a[:], nil),
		"proposed without a half":       invited("lead2", nil, b[:]),
		"approved as any proposal, nil": NewState(),
	} {
		if s.Invited("ada", a, b, start) || s.Invited("ada", a, a, start) || s.Invited("ada", [sha256.Size]byte{}, b, start) {
			t.Errorf("%s: and the code is good", name)
		}
	}
	s.Apply(order(sallyport.PasswordSet, sallyport.Order{By: "lead", About: "ada", Password: "hash"}))
	if s.Password("ada") != "" {
		t.Error("the lead set ada's password")
	}
	s.Apply(order(sallyport.PasswordSet, sallyport.Order{By: "ada", About: "ada", Password: "hash"}))
	if s.Password("ada") != "hash" || s.Invited("ada", a, b, start) {
		t.Errorf("the password is %q; the code is still good: %v", s.Password("ada"), s.Invited("ada", a, b, start))
	}
}
