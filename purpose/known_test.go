package purpose

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// TestKnown: what policies may ask of a ticket of the protected database, by the word of others alone.
func TestKnown(t *testing.T) {
	w := newWorld(t, Options{
		Named: func(login string) (Person, bool) {
			for _, p := range []Person{adam, bea, lead} {
				if login == p.Logins[0] {
					p.Team = "eu"
					return p, true
				}
			}
			return Person{}, false
		},
		Team:  func(p Person) []string { return map[string][]string{"lead": {"s001", "s002"}}[p.Role] },
		Clock: func() time.Time { return noon },
	})
	known := func(who Person, id int) sallyport.Reason {
		t.Helper()
		w.later()
		cover := w.resolve(who, fmt.Sprintf("ticket:%d", id))
		if cover.Refused != "" {
			t.Fatal(cover.Refused)
		}
		return cover.Reason
	}
	id := w.open(router, "s001")
	if r := known(adam, id); !r.Mine || r.Assignee != "s001" || r.OpenedByProgram != "svc_router" || r.AssignedByProgram != "svc_router" || r.OpenedBy != "" || r.AssignedBy != "" ||
		r.State != "open" || r.Contacted || r.Minutes == 0 {
		t.Errorf("%+v", r)
	}
	// Contacts that people, other services or he himself wrote are none.
	for _, by := range []Person{adam, bea, biller} {
		w.contact(by, "in", "s001", id, 5, 1)
		if r := known(adam, id); r.Contacted {
			t.Errorf("%s made the customer get in touch", by.Staff)
		}
	}
	w.contact(phone, "out", "s001", id, 5, 1)
	w.contact(phone, "in", "s001", id, 5, 2)
	if r := known(adam, id); r.Contacted {
		t.Error("a call that we made, or another customer's, counts")
	}
	w.contact(phone, "in", "s002", id, 5, 1)
	if r := known(adam, id); !r.Contacted {
		t.Error("the customer's call does not count")
	}
	w.set(lead, id, "assignee = 's002'", wroteAssignee)
	if r := known(bea, id); r.AssignedBy != "s003" || r.AssignedByProgram != "" || r.OpenedByProgram != "svc_router" || r.AssignedBySelf {
		t.Errorf("%+v", r)
	}
	colleague := w.open(router, "s001")
	if r := known(lead, colleague); r.Mine || r.Assignee != "s001" || r.Team != "eu" {
		t.Errorf("%+v", r)
	}
	for i, who := range []sallyport.Staff{"s001", "s001", "s002"} {
		e := &sallyport.Event{Kind: sallyport.RevealKind, Time: noon.Add(-time.Hour), Who: sallyport.Who{Staff: who, Session: "s"}, Reveal: &sallyport.Revealed{Statement: uint64(i)}}
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: "1"})
		w.facts.Apply(e)
	}
	if r := known(adam, colleague); r.Looks != 3 || r.Lookers != 2 || r.OwnLooks != 2 {
		t.Errorf("%+v", r)
	}
}

// TestGrantPurpose: who knows grants says whose customers one covers; without him there is no such purpose.
func TestGrantPurpose(t *testing.T) {
	if got := newWorld(t, Options{}).resolve(adam, "grant:g1").Refused; !strings.HasPrefix(got, "there is no purpose of this kind") {
		t.Error(got)
	}
	w := newWorld(t, Options{Grant: func(_ context.Context, who Person, id string) (GrantCover, error) {
		if who.Staff != "s001" || id != "g1" {
			return GrantCover{Refused: "there is no such grant of yours"}, nil
		}
		return GrantCover{Subjects: []sallyport.Subject{"2", "3"}, Reason: sallyport.Reason{Open: true, Mine: true}}, nil
	}})
	cover := w.resolve(adam, "grant:g1")
	if cover.Refused != "" || cover.Reason.Kind != "grant" || !cover.Reason.Covers || !strings.Contains(texts(cover), "mail 2=customers.email@2") || strings.Contains(texts(cover), "@1") {
		t.Errorf("%+v %s", cover.Reason, texts(cover))
	}
	if got := w.resolve(bea, "grant:g1").Refused; got != "there is no such grant of yours" {
		t.Error(got)
	}
}

// TestAnswerTooOld: an answer that took longer than two seconds is none, however it would have been.
func TestAnswerTooOld(t *testing.T) {
	w := newWorld(t, Options{})
	w.resolver.options.Vet = func(Person, *Cover) error {
		w.clock.Add(int64(3 * time.Second)) // as if the look had taken so long
		return nil
	}
	id := w.open(router, "s001")
	_, err := w.resolver.Resolve(t.Context(), adam, sallyport.Purpose{Kind: "ticket", Ref: fmt.Sprint(id)})
	if err == nil || !strings.Contains(err.Error(), "one that is older than 2s covers nothing") {
		t.Error(err)
	}
}
