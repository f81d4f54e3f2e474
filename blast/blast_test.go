package blast

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

func at(minute int) time.Time {
	return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
}

func column(name string) sallyport.Column {
	return sallyport.Column{Schema: "support", Table: "customers", Name: name}
}

func digest(text string) (d sallyport.Digest) {
	copy(d[:], text)
	return d
}

// story is a day of two agents; entries get their sequences in order.
type story struct{ list []*sallyport.Event }

func (s *story) add(minute int, kind sallyport.EventKind, who sallyport.Staff, change func(e *sallyport.Event)) {
	e := &sallyport.Event{Seq: uint64(len(s.list) + 1), Time: at(minute), Kind: kind, Who: sallyport.Who{Staff: who, Session: "x-" + string(who)}}
	if change != nil {
		change(e)
	}
	s.list = append(s.list, e)
}

func (s *story) shows(minute int, who sallyport.Staff, ticket string, customer sallyport.Subject, fields ...string) {
	s.add(minute, sallyport.RevealKind, who, func(e *sallyport.Event) {
		e.Reveal = &sallyport.Revealed{Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: ticket}}}
		for i, f := range fields {
			e.Reveal.Columns = append(e.Reveal.Columns, column(f))
			e.Reveal.Values.Add(sallyport.RevealedValue{Subject: customer, Column: uint16(i), Digest: digest(f + string(customer))}) //nolint:gosec // few
		}
	})
}

func (s *story) fact(minute int, by, assignee sallyport.Staff, ticket string, customer sallyport.Subject) {
	s.add(minute, sallyport.FactKind, by, func(e *sallyport.Event) {
		e.Facts = []sallyport.Fact{{Table: "ticket", ID: ticket, Customer: customer, Assignee: string(assignee), Open: true}}
	})
}

func (s *story) radius(q Question) *Radius {
	q.Tells = func(c sallyport.Column) bool { return c.Name == "email" || c.Name == "phone" }
	q.Program = func(who sallyport.Staff) bool { return who == "router" }
	search := New(q)
	for _, e := range s.list {
		search.Add(e)
	}
	if search.Twice() {
		for _, e := range s.list {
			search.Again(e)
		}
	}
	return search.Result([]string{"support.customers.full_name", "support.customers.email", "support.customers.phone", "support.customers.notes"}, 0)
}

func (r *Radius) of(c sallyport.Subject) string {
	for _, x := range r.Customers {
		if x.Subject == c {
			return fmt.Sprintf("%s %v %s %s", x.Certainty, x.Unexplained, strings.ReplaceAll(strings.Join(x.Fields, "+"), "support.customers.", ""), strings.ReplaceAll(strings.Join(x.Maybe, "+"), "support.customers.", ""))
		}
	}
	return "–"
}

// theDay has each way by which somebody may learn something of a customer.
func theDay() *story {
	s := &story{}
	s.fact(0, "router", "s017", "T1", "1")
	s.fact(0, "router", "s017", "T2", "2")
	s.fact(0, "s017", "s017", "T3", "3") // he made himself a reason
	s.fact(0, "s017", "s018", "T4", "4") // and a colleague one
	s.shows(1, "s017", "T1", "1", "email")
	s.shows(2, "s017", "T1", "1", "phone")
	s.shows(3, "s017", "T3", "3", "email")
	s.shows(4, "s018", "T4", "4", "email")
	s.shows(5, "s018", "T5", "5", "email") // a colleague's own
	s.shows(6, "s018", "T6", "6", "email")
	s.add(7, sallyport.TouchKind, "s017", func(e *sallyport.Event) {
		e.Touch = &sallyport.Touched{Reached: []sallyport.Subject{"2", "7"}}
	})
	s.add(8, sallyport.RevealKind, "s017", func(e *sallyport.Event) { // customer 6's address, which somebody put into customer 1's row
		e.Reveal = &sallyport.Revealed{Columns: []sallyport.Column{column("email")}, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "T1"}}}
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: "1", Digest: digest("email6")})
	})
	s.add(9, sallyport.RevealKind, "s017", func(e *sallyport.Event) { // an application says that it is he
		e.Who.Via, e.Who.Claimed = "svc_desk", true
		e.Reveal = &sallyport.Revealed{Columns: []sallyport.Column{column("full_name")}}
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: "8", Digest: digest("name8")})
	})
	s.add(10, sallyport.ImportedKind, "", func(e *sallyport.Event) {
		e.Imported = &sallyport.Imported{Access: sallyport.Access{Staff: "s017", Time: at(10), Subjects: []sallyport.Subject{"9"}, Table: "crm.people", Columns: []string{"phone"}}}
	})
	s.add(11, sallyport.StatementKind, "s018", func(e *sallyport.Event) {
		e.Statement = &sallyport.Statement{Tables: []string{"billing.cards", "support.customers"}}
	})
	s.add(12, sallyport.StatementKind, "s017", func(e *sallyport.Event) {
		e.Statement = &sallyport.Statement{Tables: []string{"support.customers"}, Columns: []sallyport.Column{column("email")}}
	})
	return s
}

func TestEachWay(t *testing.T) {
	r := theDay().radius(Question{Staff: []sallyport.Staff{"s017"}})
	for c, want := range map[sallyport.Subject]string{
		"1": "certain false email+phone ",
		"2": "possible true  ",
		"3": "certain true email ",
		"4": "possible true email ",
		"5": "–",
		"6": "likely true email ",
		"7": "possible true  ",
		"8": "likely true full_name ",
		"9": "likely true crm.people.phone ",
	} {
		if got := r.of(c); got != want {
			t.Errorf("customer %s: %q, expected %q", c, got, want)
		}
	}
	if !r.Customers[0].Unexplained || r.Customers[0].Subject != "3" || r.Customers[len(r.Customers)-1].Subject != "1" {
		t.Errorf("the order: %+v", r.Customers)
	}
	if want := []string{"support.customers.notes"}; !slices.Equal(r.Untouched.Columns, want) {
		t.Errorf("untouched columns %v", r.Untouched.Columns)
	}
	if want := []string{"billing.cards"}; !slices.Equal(r.Untouched.Tables, want) || !r.Untouched.Sure {
		t.Errorf("untouched tables %v, sure %v", r.Untouched.Tables, r.Untouched.Sure)
	}
}

// TestFromWhen: what was before the start does not count.
func TestFromWhen(t *testing.T) {
	r := theDay().radius(Question{Staff: []sallyport.Staff{"s017"}, From: at(3)})
	if got := r.of("3"); got != "certain true email " {
		t.Errorf("customer 3: %q", got)
	}
	if got := r.of("1"); !strings.HasPrefix(got, "certain false email") { // once more at minute 8
		t.Errorf("customer 1: %q", got)
	}
	if r := theDay().radius(Question{Staff: []sallyport.Staff{"s017"}, From: at(60)}); len(r.Customers) != 0 || len(r.Columns) != 0 {
		t.Errorf("afterwards: %+v", r.Customers)
	}
}

// TestNotTouchedIsNotClaimedBlindly: whatever could hide something takes the certainty away, or is said.
func TestNotTouchedIsNotClaimedBlindly(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(s *story)
		says   string
		sure   bool
	}{
		{"nothing", func(*story) {}, "", true},
		{"a statement of which only the count is known", func(s *story) {
			s.add(20, sallyport.CountersKind, "s017", func(e *sallyport.Event) {
				e.Statement, e.Counters = &sallyport.Statement{Fingerprint: "f1"}, &sallyport.Counters{Statements: 3}
			})
		}, "which tables is not on record (3)", false},
		{"one whose text is known", func(s *story) {
			s.add(20, sallyport.CountersKind, "s017", func(e *sallyport.Event) {
				e.Statement, e.Counters = &sallyport.Statement{Fingerprint: "f2"}, &sallyport.Counters{Statements: 3}
			})
			s.add(21, sallyport.ShapeKind, "s018", func(e *sallyport.Event) {
				e.Statement = &sallyport.Statement{Fingerprint: "f2", Tables: []string{"support.plans"}}
			})
		}, "", true},
		{"a gap", func(s *story) { s.list = slices.Delete(s.list, 5, 7) }, "entries of the record are missing (2)", true},
		{"replication", func(s *story) { s.add(20, sallyport.ReplicationStart, "s017", nil) }, "replicated whole tables", true},
		{"a way around", func(s *story) { s.add(20, sallyport.AroundKind, "s017", nil) }, "a way around the gateway", true},
		{"nameless rows", func(s *story) {
			s.add(20, sallyport.TouchKind, "s017", func(e *sallyport.Event) { e.Touch = &sallyport.Touched{Values: make([]sallyport.Digest, 4)} })
		}, "customers who are not known (4)", true},
	} {
		s := theDay()
		c.change(s)
		r := s.radius(Question{Staff: []sallyport.Staff{"s017"}})
		if got := strings.Join(r.Limits, "; "); (c.says == "") != (got == "") || !strings.Contains(got, c.says) || r.Untouched.Sure != c.sure {
			t.Errorf("%s: %q, sure %v", c.what, got, r.Untouched.Sure)
		}
	}
	if r := theDay().radius(Question{Staff: []sallyport.Staff{"s017"}, From: at(-1000)}); len(r.Limits) != 1 || !strings.Contains(r.Limits[0], "the record begins at") {
		t.Errorf("an older start: %v", r.Limits)
	}
}
