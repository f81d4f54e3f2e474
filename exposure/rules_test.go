package exposure

import (
	"testing"
	"time"

	"sallyport"
)

// The rules of lending one by one, each in the fewest steps that break if it is broken (lease/faults_test.go breaks them).

var ruled = ID{Person, "s1", Revealed} //nolint:gochecknoglobals // constant

// joined is a lender with one gateway in its first life.
func joined(t *testing.T) *Lender {
	t.Helper()
	l := NewLender()
	if _, err := l.Join("g1", "r1", "a", 0); err != nil {
		t.Fatal(err)
	}
	return l
}

func wants(need int, who ...sallyport.Subject) []Want {
	return []Want{{ID: ruled, Most: Most{10, 10, 10}, Need: need, Subjects: who}}
}

func (l *Lender) out() (units int) {
	for _, d := range l.Debts() {
		units += d.Units
	}
	return units
}

// entry is one of a gateway's that shows somebody; units is what he cost, and 0 if he was known.
func entry(seq uint64, arrived time.Time, who sallyport.Subject, units int) *sallyport.Event {
	c := sallyport.Charge{Measure: string(Revealed), Accounts: []sallyport.Portion{{Name: "s1", Units: units}}}
	if units > 0 {
		c.Subjects = []sallyport.Subject{who}
	}
	e := &sallyport.Event{Kind: sallyport.RevealKind, Time: arrived, Reveal: &sallyport.Revealed{}, Charged: []sallyport.Charge{c}, Origin: &sallyport.Origin{Gateway: "g1", Seq: seq, Arrived: arrived}}
	e.Reveal.Values.Add(sallyport.RevealedValue{Subject: who})
	return e
}

func holds(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// TestReturned: what is told twice to be given back is given back once, and nobody gives back what another life has.
func TestReturned(t *testing.T) {
	l := joined(t)
	holds(t, "lent", l.Ask(start(), "g1", "a", wants(6, "1"))[0].Units, 6)
	l.Return("g1", "a", ruled, 2)
	l.Return("g1", "a", ruled, 2)
	holds(t, "out behind a return that came twice", l.out(), 4)
	l.Return("g1", "before", ruled, 4)
	holds(t, "out behind a return of another life", l.out(), 4)
}

// TestAskedByFormerLife: what a life that is over asks for it does not get.
func TestAskedByFormerLife(t *testing.T) {
	l := joined(t)
	if _, err := l.Join("g1", "r1", "b", 0); err != nil {
		t.Fatal(err)
	}
	if a := l.Ask(start(), "g1", "a", wants(1, "1"))[0]; a.Units != 0 || !a.Busy {
		t.Errorf("it gets %+v", a)
	}
	holds(t, "out", l.out(), 0)
}

// TestResumed: of what was lent over a connection that is over only what arrived is out, less what was given back on the way.
func TestResumed(t *testing.T) {
	for name, c := range map[string]struct {
		had  []Holding
		want int
	}{
		"nothing arrived":                {nil, 0},
		"all arrived":                    {[]Holding{{ID: ruled, Got: 6}}, 6},
		"some was given back on the way": {[]Holding{{ID: ruled, Got: 6, Returned: 2}}, 4},
	} {
		l := joined(t)
		l.Ask(start(), "g1", "a", wants(6, "1"))
		l.Resume("g1", "a", c.had)
		holds(t, name, l.out(), c.want)
	}
}

// TestSettled: an entry settles what it cost, once, and only of the life that wrote it; who was paid for counts, shown or not.
func TestSettled(t *testing.T) {
	l := joined(t)
	l.Ask(start(), "g1", "a", wants(4, "1"))
	l.Fold(start(), entry(1, start(), "1", 1))
	l.Fold(start(), entry(1, start(), "2", 1))
	holds(t, "out behind an entry that came twice", l.out(), 3)
	holds(t, "counted", l.Count(start(), ruled)[0], 1)
	unshown := entry(2, start(), "3", 1)
	unshown.Kind, unshown.Reveal = sallyport.CountedKind, nil
	l.Fold(start(), unshown)
	holds(t, "counted with one who was paid for and not shown", l.Count(start(), ruled)[0], 2)

	if _, err := l.Join("g1", "r1", "b", 3); err != nil { // entry 3 is on its way
		t.Fatal(err)
	}
	holds(t, "of the life before", l.out(), 2)
	holds(t, "lent to the new one", l.Ask(start(), "g1", "b", wants(4, "5"))[0].Units, 4)
	l.Fold(start(), entry(3, start(), "4", 1))
	holds(t, "out when the life before is settled", l.out(), 4)
}

// TestKnown: somebody is known while he is in every window that has a bound; who is told to be known counts anew from then on, also behind a crash;
// and of several all are known, or none is.
func TestKnown(t *testing.T) {
	var record []*sallyport.Event
	l := joined(t)
	put := func(now time.Time, e *sallyport.Event) {
		record = append(record, e)
		l.Fold(now, e)
	}
	record = append(record, &sallyport.Event{Kind: sallyport.JoinedKind, Time: start(), Lent: &sallyport.Lent{Gateway: "g1", Life: "a", Record: "r1"}})
	put(start(), entry(1, start(), "1", 1))
	if a := l.Ask(start(), "g1", "a", wants(2, "1", "2"))[0]; a.Known {
		t.Error("one of two is known, and both pass")
	} else {
		l.Return("g1", "a", ruled, a.Units)
	}
	later := start().Add(55 * time.Minute)
	w := wants(1, "1")
	answers := l.Ask(later, "g1", "a", w)
	if !answers[0].Known {
		t.Fatalf("who counts is not known: %+v", answers[0])
	}
	record = append(record, &sallyport.Event{Kind: sallyport.LentKind, Time: later, Lent: &sallyport.Lent{Gateway: "g1", Life: "a", Portions: Portions(w, answers)}})
	holds(t, "counted an hour and more after he was told to be known", l.Count(start().Add(110*time.Minute), ruled)[0], 1)
	again := NewLender()
	for _, e := range record {
		again.Fold(later, e)
	}
	holds(t, "likewise behind a crash", again.Count(start().Add(110*time.Minute), ruled)[0], 1)

	l = joined(t)
	l.Fold(start(), entry(1, start(), "1", 1))
	if a := l.Ask(start().Add(2*time.Hour), "g1", "a", wants(1, "1"))[0]; a.Known {
		t.Error("who was seen two hours ago is known in this hour")
	}
}

// TestWindows: a window lasts a thirtieth longer here than there; who is shown again counts from then on though he cost nothing; and an entry whose time is
// ahead of the lender's clock does not stay for ever.
func TestWindows(t *testing.T) {
	l := joined(t)
	l.Fold(start(), entry(1, start(), "1", 1))
	holds(t, "behind 61 minutes", l.Count(start().Add(61*time.Minute), ruled)[0], 1)
	holds(t, "behind 63 minutes", l.Count(start().Add(63*time.Minute), ruled)[0], 0)

	l = joined(t)
	l.Fold(start(), entry(1, start(), "1", 1))
	l.Fold(start().Add(50*time.Minute), entry(2, start().Add(50*time.Minute), "1", 0))
	holds(t, "shown again, behind 70 minutes", l.Count(start().Add(70*time.Minute), ruled)[0], 1)

	l = joined(t)
	l.Fold(start(), entry(1, start().Add(240*time.Hour), "1", 1))
	holds(t, "from the future, behind two hours", l.Count(start().Add(2*time.Hour), ruled)[0], 0)
}

// TestLentBehindCrash: what was lent is lent when the record is folded anew.
func TestLentBehindCrash(t *testing.T) {
	l := joined(t)
	w := wants(6, "1")
	portions := Portions(w, l.Ask(start(), "g1", "a", w))
	again := NewLender()
	for _, e := range []*sallyport.Event{
		{Kind: sallyport.JoinedKind, Time: start(), Lent: &sallyport.Lent{Gateway: "g1", Life: "a", Record: "r1"}},
		{Kind: sallyport.LentKind, Time: start(), Lent: &sallyport.Lent{Gateway: "g1", Life: "a", Portions: portions}},
	} {
		again.Fold(start(), e)
	}
	holds(t, "out", again.out(), 6)
	if a := again.Ask(start(), "g1", "a", wants(5, "9"))[0]; !a.Busy {
		t.Errorf("it is lent a second time: %+v", a)
	}
}

// TestForgetLives: of a gateway that is lost what its lives before had counts as spent, too.
func TestForgetLives(t *testing.T) {
	l := joined(t)
	l.Ask(start(), "g1", "a", wants(6, "1"))
	if _, err := l.Join("g1", "r1", "b", 2); err != nil {
		t.Fatal(err)
	}
	l.Fold(start(), &sallyport.Event{Time: start(), Kind: sallyport.ForgotKind, Lent: &sallyport.Lent{Gateway: "g1"}})
	if _, err := l.Join("g1", "r2", "c", 0); err != nil {
		t.Fatal(err)
	}
	if a := l.Ask(start(), "g1", "c", wants(5, "2"))[0]; !a.Busy {
		t.Errorf("what the lost one had is lent again: %+v", a)
	}
}

// TestSpent: a borrower spends what it has, in all accounts or in none; who was paid for costs nothing for a moment; what is given back is gone.
func TestSpent(t *testing.T) {
	other := ID{Team, "eu", Revealed}
	loans := []Loan{{ID: ruled, Most: Most{10, 10, 10}}, {ID: other, Most: Most{10, 10, 10}}}
	paid := make([]int, 2)
	b := NewBorrower()
	spend := func(since time.Duration, who sallyport.Subject) bool {
		return b.Spend(since, []Key{lentKey(who)}, loans, paid) == nil
	}
	b.Take(0, []Answer{{ID: ruled, Units: 2}})
	if spend(0, "1") {
		t.Error("it spends what it has not got")
	}
	b.Take(0, []Answer{{ID: other, Units: 3}})
	if !spend(0, "1") || !spend(0, "2") {
		t.Error("it cannot spend all that it has: something was spent when another account lacked")
	}
	if !spend(time.Second, "1") || paid[0]+paid[1] != 0 {
		t.Errorf("who was paid for costs %v", paid)
	}
	if spend(time.Second, "3") {
		t.Error("it spends more than it has got")
	}
	if spend(2*time.Minute, "1") {
		t.Error("who was paid for two minutes ago costs nothing")
	}
	back := b.Recall(other)
	if len(back) != 1 || back[0].Returned != 1 {
		t.Fatalf("given back: %+v", back)
	}
	b.Take(2*time.Minute, []Answer{{ID: ruled, Units: 1}})
	if spend(2*time.Minute, "3") {
		t.Error("it spends what it gave back")
	}
}

// TestAcquitted: who plays a drill anew begins with all of his budget, at the lender and at who borrowed; what others were shown counts on.
func TestAcquitted(t *testing.T) {
	now := start()
	l, b := joined(t), NewBorrower()
	most := Most{3, 3, 3}
	seq := uint64(0)
	shows := func(who string, customers ...string) (all bool) {
		id := ID{Person, who, Revealed}
		for _, c := range customers {
			key := lentKey(sallyport.Subject(c))
			loans, paid := []Loan{{ID: id, Most: most}}, make([]int, 1)
			lacks := b.Spend(time.Second, []Key{key}, loans, paid)
			if lacks != nil {
				answers := l.Ask(now, "g1", "a", []Want{{ID: id, Most: most, Need: 1, Subjects: []sallyport.Subject{sallyport.Subject(c)}}})
				b.Take(time.Second, answers)
				loans[0].Free = answers[0].Known
				if lacks = b.Spend(time.Second, []Key{key}, loans, paid); lacks != nil {
					return false
				}
			}
			seq++
			e := entry(seq, now, sallyport.Subject(c), paid[0])
			e.Who.Staff, e.Charged[0].Accounts[0].Name = sallyport.Staff(who), who
			l.Fold(now, e)
		}
		return true
	}
	if !shows("drill1", "1", "2", "3") || !shows("s001", "1", "2", "3") || shows("drill1", "4") || shows("s001", "4") {
		t.Fatal("the budget of three is not one of three")
	}
	l.Acquit("drill1")
	b.Forget("drill1")
	if !shows("drill1", "4", "5") || !shows("drill1", "1") || shows("drill1", "2") {
		t.Error("he does not begin with all of his budget, or with more")
	}
	if shows("s001", "4") || !shows("s001", "1") {
		t.Error("somebody else's budget changed")
	}
}
