package serve

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/policy"
	"sallyport/rulebook"
	"sallyport/staff"
)

// bigHouse is a directory of n people in a hundred teams.
func bigHouse(n int) *staff.State {
	s := staff.NewState()
	people := make([]sallyport.Listed, n)
	for i := range people {
		people[i] = sallyport.Listed{Staff: sallyport.Staff(fmt.Sprintf("s%05d", i)), Place: sallyport.Place{Team: fmt.Sprintf("t%d", i%100), Role: "agent"}, Placed: true}
	}
	s.Apply(staff.SCIM, people, nil)
	return s
}

// BenchmarkLiveDirectory is a decision about one of 10,000 people, as he is right now.
func BenchmarkLiveDirectory(b *testing.B) {
	house := bigHouse(10_000)
	c, err := config.Parse("sallyport.yaml", []byte("version: 1\nprotect: {customer: {table: a.b, key: id}, columns: {a.b.mail: {class: contact, scheme: email}}, email_domain: k1.invalid}\nupstream: {address: '127.0.0.1:1', database: x, reader: {user: r}}\n"))
	if err != nil {
		b.Fatal(err)
	}
	set, _, err := rulebook.LoadTexts(c, policy.Defaults(true))
	if err != nil {
		b.Fatal(err)
	}
	live := set.Live(func(who sallyport.Staff) (policy.Member, bool) {
		p, ok := house.Person(who, nil, staff.Rules{}, time.Unix(0, 0))
		return policy.Member{ID: who, Team: p.Place.Team, Role: p.Place.Role, Employment: p.Employment}, ok
	})
	column, _ := policy.ParseColumn("a.b.mail")
	ask := policy.Ask{Who: "s00017", Action: policy.ActionReveal, Column: column}
	ask.Context = policy.Context{Trust: 100, Strength: policy.ByOIDC, OnShift: true, Purpose: &sallyport.Reason{Kind: policy.Ticket, Covers: true, Open: true, Mine: true}}
	if r := live.Decide(ask); r.Verdict != sallyport.Reveal {
		b.Fatalf("%+v", r)
	}
	for b.Loop() {
		live.Decide(ask)
	}
}

// BenchmarkChangedDirectory is what a change of the directory costs whoever next needs all of it, with 10,000 people.
func BenchmarkChangedDirectory(b *testing.B) {
	house := bigHouse(10_000)
	for b.Loop() {
		house.Roster(nil, staff.Rules{}, time.Unix(0, 0))
	}
}
