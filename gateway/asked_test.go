package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/gateway"
	"sallyport/policy"
	"sallyport/purpose"
)

// Columns by which the tests ask.
var (
	fullName = sallyport.Column{Schema: "support", Table: "customers", Name: "full_name"}  //nolint:gochecknoglobals // constant
	email    = sallyport.Column{Schema: "support", Table: "customers", Name: "email"}      //nolint:gochecknoglobals // constant
	phone    = sallyport.Column{Schema: "support", Table: "customers", Name: "phone"}      //nolint:gochecknoglobals // constant
	birth    = sallyport.Column{Schema: "support", Table: "customers", Name: "birth_date"} //nolint:gochecknoglobals // constant
)

// asker is somebody who has logged in at the identity provider.
func (s *stage) asker(id sallyport.Staff, purpose string) *gateway.Asker {
	return &gateway.Asker{
		Person: s.person(string(id)), Login: string(id), Address: "192.0.2.7:50000", Application: "api",
		Strength: policy.ByOIDC, Proven: time.Now(), Factors: true, Purpose: purpose,
	}
}

// stored is what the database holds.
func (s *stage) stored(column sallyport.Column, id int64) string {
	s.t.Helper()
	return s.one(fmt.Sprintf("SELECT %s::text FROM %s.%s WHERE id = %d", column.Name, column.Schema, column.Table, id))
}

func (s *stage) one(sql string) (text string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.cluster.SuperDSN("support"))
	s.must(err)
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	s.must(conn.QueryRow(s.t.Context(), sql).Scan(&text))
	return text
}

// since are the entries of the record from one on.
func (s *stage) since(seq uint64) (list []sallyport.Event) {
	s.t.Helper()
	s.must(s.access.Read(seq+1, func(e *sallyport.Event) error { list = append(list, *e); return nil }))
	return list
}

// revealed are the customers whose values the entries name, each value once.
func revealed(list []sallyport.Event) (out []sallyport.Subject) {
	for i := range list {
		if r := list[i].Reveal; r != nil {
			for v := range r.Values.All() {
				out = append(out, v.Subject)
			}
		}
	}
	return out
}

func kinds(list []sallyport.Event, kind sallyport.EventKind) (n int) {
	for i := range list {
		if list[i].Kind == kind {
			n++
		}
	}
	return n
}

// TestAsked asks for values without SQL, and tries to get by the doors.
func TestAsked(t *testing.T) {
	s := newOffice(t, nil)
	ann, bob := s.ann, s.bob
	mine := func(c sallyport.Column) gateway.Item { return gateway.Item{Column: c, Text: s.stored(c, ann.own.ID)} }
	his := func(c sallyport.Column) gateway.Item { return gateway.Item{Column: c, Text: s.stored(c, bob.own.ID)} }
	subject := sallyport.Subject(fmt.Sprint(ann.own.ID))

	t.Run("what the reason covers", func(t *testing.T) {
		at := s.access.Last()
		got, refused := s.gw.Reveal(t.Context(), s.asker(ann.id, ann.reason()), []gateway.Item{mine(fullName), mine(email), mine(phone), mine(birth)})
		want := []string{ann.own.FullName, ann.own.Email, ann.own.Phone, ann.own.BirthDate.Format(time.DateOnly)}
		if refused.Code != "" || len(got) != 4 {
			t.Fatalf("%+v %+v", got, refused)
		}
		for i := range want {
			if !got[i].Done || !strings.EqualFold(got[i].Text, want[i]) {
				t.Errorf("%d: done %v, not the customer's value", i, got[i].Done)
			}
		}
		list := s.since(at) // on stable storage already: Read reads no more than that
		if whose := revealed(list); len(whose) != 4 || slices.ContainsFunc(whose, func(v sallyport.Subject) bool { return v != subject }) {
			t.Errorf("on record as revealed: %v", whose)
		}
		st := list[slices.IndexFunc(list, func(e sallyport.Event) bool { return e.Kind == sallyport.StatementKind })]
		if st.Statement.Verb != "REVEAL" || len(st.Statement.Columns) != 4 || st.Who.Staff != ann.id || st.Who.Application != "api" || kinds(list, sallyport.SessionStart) != 1 {
			t.Errorf("the statement's entry: %+v", st)
		}
	})
	t.Run("somebody else's customer", func(t *testing.T) {
		at := s.access.Last()
		got, refused := s.gw.Reveal(t.Context(), s.asker(ann.id, ann.reason()), []gateway.Item{his(fullName), his(email), mine(email), his(phone), his(birth)})
		if refused.Code != "" || len(got) != 5 {
			t.Fatalf("%+v %+v", got, refused)
		}
		for i, a := range got {
			if a.Done != (i == 2) || !a.Done && (a.Text != "" || a.Why.Sentence == "") {
				t.Errorf("%d: %v %q", i, a.Done, a.Why.Sentence)
			}
		}
		list := s.since(at)
		if whose := revealed(list); len(whose) != 1 || whose[0] != subject {
			t.Errorf("revealed: %v", whose)
		}
		reached := 0
		for i := range list {
			if x := list[i].Touch; x != nil {
				reached += len(x.Reached) + len(x.Values)
			}
		}
		if reached == 0 {
			t.Error("nobody was counted as reached")
		}
	})
	t.Run("somebody else's ticket", func(t *testing.T) {
		for _, why := range []string{bob.reason(), "", "ticket:999999999", "work:mine"} {
			got, _ := s.gw.Reveal(t.Context(), s.asker(ann.id, why), []gateway.Item{his(email), his(fullName)})
			for _, a := range got {
				if a.Done {
					t.Errorf("under %q a value was shown", why)
				}
			}
		}
	})
	t.Run("tokens elsewhere, and what is none", func(t *testing.T) {
		token := mine(email).Text
		for _, i := range []gateway.Item{
			{Column: phone, Text: token}, {Column: email, Text: ann.own.Email}, {Column: email, Text: token + "x"}, {Column: fullName, Text: "tk1:AAAA"}, {Column: email, Text: ""},
		} {
			got, refused := s.gw.Reveal(t.Context(), s.asker(ann.id, ann.reason()), []gateway.Item{i})
			if len(got) != 1 || got[0].Done || strings.Contains(fmt.Sprint(got, refused), ann.own.Email) {
				t.Errorf("%s: %+v", i.Column, got)
			}
		}
		for _, name := range []string{"state", "nothing"} {
			if _, refused := s.gw.Reveal(t.Context(), s.asker(ann.id, ann.reason()), []gateway.Item{{Column: sallyport.Column{Schema: "support", Table: "tickets", Name: name}, Text: "x"}}); refused.Code == "" {
				t.Errorf("%s is asked for", name)
			}
		}
	})
	t.Run("tokens of values", func(t *testing.T) {
		at := s.access.Last()
		got, refused := s.gw.Tokenise(t.Context(), s.asker(ann.id, ann.reason()), []gateway.Item{
			{Column: email, Text: ann.own.Email}, {Column: email, Text: bob.own.Email}, {Column: phone, Text: "not a number"}, {Column: email, Text: mine(email).Text}, {Column: email, Text: "stranger@example.com", Store: true},
		})
		if refused.Code != "" || len(got) != 5 {
			t.Fatalf("%+v %+v", got, refused)
		}
		if got[0].Text != mine(email).Text || got[1].Text != his(email).Text || got[3].Text != mine(email).Text {
			t.Error("these are not the tokens that the database holds")
		}
		if got[2].Done || got[2].Why.Code != "SP005" || strings.Contains(got[2].Why.Sentence, "not a number") {
			t.Errorf("out of its domain: %+v", got[2])
		}
		probes := 0
		for _, e := range s.since(at) {
			if e.Touch != nil {
				probes += len(e.Touch.Probes)
			}
		}
		if probes != 2 { // Bob's customer and the stranger: what the reason covers is none
			t.Errorf("%d probes", probes)
		}
		back, _ := s.gw.Reveal(t.Context(), s.asker(ann.id, ann.reason()), []gateway.Item{{Column: email, Text: got[4].Text}, {Column: email, Text: got[1].Text}})
		for _, a := range back {
			if a.Done {
				t.Error("what one has tokenised becomes readable")
			}
		}
	})
	t.Run("for a person", func(t *testing.T) {
		service := s.asker("svc_desk", ann.reason())
		service.Strength, service.Factors = policy.ByPassword, false
		if got, _ := s.gw.Reveal(t.Context(), service, []gateway.Item{mine(email)}); len(got) == 1 && got[0].Done {
			t.Error("the service sees values by itself")
		}
		service.Actor = s.word(ann.id)
		got, refused := s.gw.Reveal(t.Context(), service, []gateway.Item{mine(email), his(email)})
		if len(got) != 2 || !got[0].Done || got[1].Done {
			t.Fatalf("%+v %+v", got, refused)
		}
		if _, refused = s.gw.Reveal(t.Context(), service, []gateway.Item{mine(email)}); refused.Code != "SP018" && refused.Code == "" {
			t.Error("an assertion is good twice")
		}
		if e := s.since(0); !slices.ContainsFunc(e, func(e sallyport.Event) bool {
			return e.Reveal != nil && e.Who.Staff == ann.id && e.Who.Via == "svc_desk"
		}) {
			t.Error("nothing says who asked for whom")
		}
		person := s.asker(bob.id, ann.reason())
		person.Actor = s.word(ann.id)
		if got, refused := s.gw.Reveal(t.Context(), person, []gateway.Item{mine(email)}); len(got) > 0 || refused.Code == "" {
			t.Error("a person acts for another one")
		}
	})
	t.Run("locked", func(t *testing.T) {
		s.standing.Apply(&sallyport.Event{Kind: sallyport.Locked, Time: time.Now(), Order: &sallyport.Order{Action: "lock", By: "s001", About: bob.id, Reason: "r"}})
		if got, refused := s.gw.Reveal(t.Context(), s.asker(bob.id, bob.reason()), []gateway.Item{his(email)}); len(got) > 0 || refused.Code != "SP011" {
			t.Errorf("%+v %+v", got, refused)
		}
	})
	t.Run("no record", func(t *testing.T) {
		s.must(s.access.Close())
		got, refused := s.gw.Reveal(t.Context(), s.asker(ann.id, ann.reason()), []gateway.Item{mine(email)})
		if len(got) > 0 || refused.Code != "SP012" {
			t.Errorf("%d answers, %+v", len(got), refused)
		}
	})
}

// TestAskedTooMuch cuts a call in its middle: what left before the budget was reached is on record, and nothing else.
func TestAskedTooMuch(t *testing.T) {
	var suspended []sallyport.Staff
	few := func(p purpose.Person) exposure.Budgets {
		b := rich(p)
		b.Revealed.Day, b.Probed.Day = 2, 2
		return b
	}
	s := newOffice(t, func(s *stage) {
		s.budgets = few
		s.suspend = func(who sallyport.Staff, _ sallyport.Limit) error { suspended = append(suspended, who); return nil }
	})
	var items []gateway.Item
	for _, id := range s.org.OpenTickets(s.ann.id) {
		customer := s.org.Ticket(id).Customer
		items = append(items, gateway.Item{Column: fullName, Text: s.stored(fullName, customer)})
	}
	if len(items) < 4 {
		t.Fatalf("%d tickets are too few", len(items))
	}
	at := s.access.Last()
	got, refused := s.gw.Reveal(t.Context(), s.asker(s.ann.id, "work:mine"), items)
	done := 0
	for _, a := range got {
		if a.Done {
			done++
		}
	}
	list := s.since(at)
	if done != 2 || refused.Code != "SP010" || len(revealed(list)) != 2 || kinds(list, sallyport.BudgetReached) != 1 || !slices.Equal(suspended, []sallyport.Staff{s.ann.id}) {
		t.Errorf("%d shown, %d on record, suspended %v, %+v", done, len(revealed(list)), suspended, refused)
	}

	var guesses []gateway.Item
	for i := range 5 {
		guesses = append(guesses, gateway.Item{Column: email, Text: fmt.Sprintf("guess%d@example.com", i)})
	}
	answers, refused := s.gw.Tokenise(t.Context(), s.asker(s.bob.id, ""), guesses)
	if len(answers) != 2 || refused.Code != "SP010" || !slices.Contains(suspended, s.bob.id) {
		t.Errorf("%d of 5 guesses, %+v, suspended %v", len(answers), refused, suspended)
	}
}

// TestAskedToConfirm: whom policies have prove anew who he is reads that, and nothing waits.
func TestAskedToConfirm(t *testing.T) {
	s := newOffice(t, func(s *stage) {
		s.real = true
		s.moment = func(purpose.Person) policy.Context {
			return policy.Context{Trust: control.FullTrust, MFAMinutes: -1, SecondMinutes: -1}
		}
	})
	asker := s.asker(s.ann.id, s.ann.reason())
	asker.Strength, asker.Factors = policy.ByPassword, false
	got, refused := s.gw.Reveal(t.Context(), asker, []gateway.Item{{Column: email, Text: s.stored(email, s.ann.own.ID)}})
	if len(got) != 1 || got[0].Done || !strings.Contains(got[0].Why.Hint, "sallyport confirm") {
		t.Errorf("%+v %+v", got, refused)
	}
}
