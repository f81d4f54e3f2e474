package exposure

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport"
)

// world is a lender and gateways that borrow from it, with everything that can go wrong between them. Its time is the lender's clock.
type world struct {
	t         *rapid.T
	random    *rand.Rand // of a seed that rapid draws: what it draws itself is mostly small, and little happens
	now       time.Time
	lender    *Lender
	record    []*sallyport.Event // the controller's, of which so many are on disk
	synced    int
	gateways  []*worldGateway
	shown     map[ID]map[Key][]time.Time
	customers int // there are
	full      int // how often a budget was used up
	budgets   map[ID]Most
}

type worldGateway struct {
	name     string
	lives    int
	began    time.Time
	rate     float64 // of its clock
	borrower *Borrower
	journal  []*sallyport.Event // on its disk
	sent     int                // of journal, on this connection
	up, down []any              // on their way; nil: there is no connection
	on       bool
	heard    time.Duration // when it sent the last beat that was answered
	pending  []*worldBatch
	asked    []*worldAsk
}

// worldBatch is what is counted and not on record yet.
type worldBatch struct {
	at     time.Duration
	who    sallyport.Subject
	charge sallyport.Charge
}

type worldAsk struct {
	at    time.Duration
	who   sallyport.Subject
	wants []Want
}

type (
	askUp   struct{ ask *worldAsk }
	answers struct {
		ask  *worldAsk
		list []Answer
	}
	returnUp struct{ h Holding }
	copyUp   struct{ e *sallyport.Event }
	beat     struct{ at time.Duration }
)

// between is a number from low to high.
func (w *world) between(low, high int) int { return low + w.random.IntN(high-low+1) }

func (w *world) life(g *worldGateway) string { return fmt.Sprint(g.name, g.lives) }

func (w *world) since(g *worldGateway) time.Duration {
	return time.Duration(float64(w.now.Sub(g.began)) * g.rate)
}

// put is an entry of the controller's record, which the lender has counted or is about to.
func (w *world) put(e *sallyport.Event, sync bool) {
	e.Time = w.now
	w.record = append(w.record, e)
	if sync {
		w.synced = len(w.record)
	}
}

func (w *world) connect(g *worldGateway) {
	g.up, g.down, g.on = nil, nil, true
	fresh, err := w.lender.Join(g.name, "stream of "+g.name, w.life(g), uint64(len(g.journal)))
	if err != nil {
		w.t.Fatal(err)
	}
	if fresh {
		w.put(&sallyport.Event{Kind: sallyport.JoinedKind, Lent: &sallyport.Lent{Gateway: g.name, Life: w.life(g), Start: uint64(len(g.journal)), Record: "stream of " + g.name}}, true)
	}
	w.lender.Resume(g.name, w.life(g), g.borrower.Holdings())
	g.sent = int(w.lender.Seen(g.name))
}

// kill loses what a gateway has in memory.
func (w *world) kill(g *worldGateway) {
	g.lives++
	g.began, g.borrower, g.pending, g.asked, g.heard, g.on, g.up, g.down = w.now, NewBorrower(), nil, nil, -time.Hour, false, nil, nil
	g.rate = 0.97 + 0.06*w.random.Float64()
}

// crash loses what the controller has in memory, and of its record what was not synced.
func (w *world) crash() {
	w.record = w.record[:w.between(w.synced, len(w.record))]
	w.synced = len(w.record)
	w.lender = NewLender()
	for _, e := range w.record {
		w.lender.Fold(w.now, e)
	}
	for _, g := range w.gateways {
		g.on, g.up, g.down = false, nil, nil
	}
}

func (w *world) accounts() (loans []Loan) {
	for _, id := range []ID{{Person, "s1", Revealed}, {Team, "eu", Revealed}} {
		loans = append(loans, Loan{ID: id, Most: w.budgets[id]})
	}
	return loans
}

// show begins to show somebody: it pays, or asks for what lacks.
func (w *world) show(g *worldGateway, who sallyport.Subject, free []bool) {
	loans, paid := w.accounts(), make([]int, 2)
	for i := range free {
		loans[i].Free = free[i]
	}
	lacks := g.borrower.Spend(w.since(g), []Key{lentKey(who)}, loans, paid)
	if lacks == nil {
		c := sallyport.Charge{Measure: string(Revealed), Subjects: []sallyport.Subject{who}}
		for i := range loans {
			c.Accounts = append(c.Accounts, sallyport.Portion{Scope: string(loans[i].ID.Scope), Name: loans[i].ID.Name, Units: paid[i]})
		}
		g.pending = append(g.pending, &worldBatch{w.since(g), who, c})
		return
	}
	if !g.on || free != nil {
		return // cut
	}
	ask := &worldAsk{at: w.since(g), who: who}
	for _, l := range lacks {
		ask.wants = append(ask.wants, Want{ID: loans[l.At].ID, Most: loans[l.At].Most, Need: l.Units, Subjects: []sallyport.Subject{who}})
	}
	g.asked = append(g.asked, ask)
	g.up = append(g.up, askUp{ask})
}

// settle puts a batch on record; where the controller was not heard for a second, or the batch is old, nothing leaves.
func (w *world) settle(g *worldGateway, b *worldBatch) {
	e := &sallyport.Event{Kind: sallyport.CountedKind, Time: w.now, Charged: []sallyport.Charge{b.charge}}
	if w.since(g)-g.heard < time.Second && w.since(g)-b.at < 15*time.Second {
		e.Kind, e.Reveal = sallyport.RevealKind, &sallyport.Revealed{}
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: b.who})
		for id := range w.budgets {
			w.shown[id][lentKey(b.who)] = append(w.shown[id][lentKey(b.who)], w.now)
		}
	}
	g.journal = append(g.journal, e)
	w.check()
}

// check holds what was shown to the budgets.
func (w *world) check() {
	for id, most := range w.budgets {
		for i, n := range most {
			count := 0
			for _, times := range w.shown[id] {
				if slices.ContainsFunc(times, func(at time.Time) bool { return w.now.Sub(at) < time.Duration(window(i).length()) }) {
					count++
				}
			}
			if count == n {
				w.full++
			}
			if count > n {
				w.t.Fatalf("%v: %d customers in the %v; the budget is %d", id, count, window(i), n)
			}
		}
	}
}

// arrive is a message at the lender.
func (w *world) arrive(g *worldGateway, m any) {
	switch m := m.(type) {
	case askUp:
		list := w.lender.Ask(w.now, g.name, w.life(g), m.ask.wants)
		if portions := Portions(m.ask.wants, list); len(portions) > 0 {
			w.put(&sallyport.Event{Kind: sallyport.LentKind, Lent: &sallyport.Lent{Gateway: g.name, Life: w.life(g), Portions: portions}}, true)
		}
		g.down = append(g.down, answers{m.ask, list})
	case returnUp:
		w.lender.Return(g.name, w.life(g), m.h.ID, m.h.Returned)
	case copyUp:
		e := *m.e
		origin := *e.Origin
		origin.Arrived = w.now
		e.Origin = &origin
		if origin.Seq <= w.lender.Seen(g.name) {
			return
		}
		w.put(&e, false)
		w.lender.Fold(w.now, &e)
	case beat:
		g.down = append(g.down, m)
	}
}

// hear is a message at a gateway.
func (w *world) hear(g *worldGateway, m any) {
	switch m := m.(type) {
	case answers:
		g.borrower.Take(w.since(g), m.list)
		free := make([]bool, 2)
		for _, a := range m.list {
			if a.Limit != nil || a.Busy {
				return
			}
			for i, l := range w.accounts() {
				free[i] = free[i] || a.Known && l.ID == a.ID
			}
		}
		if w.since(g)-m.ask.at <= time.Second { // else nobody waits for it any more
			w.show(g, m.ask.who, free)
		}
	case beat:
		g.heard = m.at
	}
}

func (w *world) step() {
	g := w.gateways[w.between(0, len(w.gateways)-1)]
	switch what := w.between(0, 99); {
	case what < 30:
		w.show(g, sallyport.Subject(fmt.Sprint(w.between(1, w.customers))), nil)
	case what < 55:
		w.deliver(g)
	case what < 70:
		if len(g.pending) > 0 {
			i := w.between(0, len(g.pending)-1)
			b := g.pending[i]
			g.pending = slices.Delete(g.pending, i, i+1)
			w.settle(g, b)
		}
	case what < 80:
		w.send(g)
	case what < 85:
		if g.on {
			g.up = append(g.up, beat{w.since(g)})
		}
	case what < 91:
		w.pass()
	case what < 95:
		returned := g.borrower.Recall(ID{Person, "s1", Revealed})
		if what > 93 {
			returned = g.borrower.Idle(w.since(g), time.Second)
		}
		for _, h := range returned {
			if g.on {
				g.up = append(g.up, returnUp{h})
			}
		}
	case what < 97:
		if m := len(g.up); m > 0 {
			if _, ask := g.up[m-1].(askUp); !ask {
				g.up = append(g.up, g.up[m-1]) // it comes twice
			}
		}
	default:
		w.fault(g)
	}
}

// send puts a gateway's next entry on its way.
func (w *world) send(g *worldGateway) {
	if g.on && g.sent < len(g.journal) {
		e := *g.journal[g.sent]
		g.sent++
		e.Origin = &sallyport.Origin{Gateway: g.name, Seq: uint64(g.sent)}
		g.up = append(g.up, copyUp{&e})
	}
}

// pass lets time pass: mostly little, and after a longer while mostly everybody who can hears of the lender.
func (w *world) pass() {
	if w.between(0, 2) > 0 {
		w.now = w.now.Add(time.Duration(w.between(0, int(time.Second))))
		return
	}
	w.now = w.now.Add(time.Duration(w.between(int(time.Second), int(50*time.Minute))))
	for _, g := range w.gateways {
		if w.between(0, 3) > 0 {
			g.heard = w.since(g)
			if !g.on {
				w.connect(g)
			}
		}
	}
}

// fault is that something breaks, or is there again.
func (w *world) fault(g *worldGateway) {
	switch w.between(0, 5) {
	case 0:
		w.kill(g)
	case 1:
		w.crash()
	case 2:
		g.on, g.up, g.down = false, nil, nil
	default:
		w.connect(g)
	}
}

// deliver is the next message of either way.
func (w *world) deliver(g *worldGateway) {
	if len(g.up) > 0 {
		m := g.up[0]
		g.up = g.up[1:]
		w.arrive(g, m)
	}
	if len(g.down) > 0 {
		m := g.down[0]
		g.down = g.down[1:]
		w.hear(g, m)
	}
}

func newWorld(t *rapid.T, gateways int) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), //nolint:gosec // a test
		now: start(), lender: NewLender(), shown: map[ID]map[Key][]time.Time{}, budgets: map[ID]Most{
			{Person, "s1", Revealed}: {3, 5, 9},
			{Team, "eu", Revealed}:   {4, 4, math.MaxInt},
		}}
	if w.customers = 12; rapid.Bool().Draw(t, "large") {
		w.customers = 40
		w.budgets[ID{Person, "s1", Revealed}] = Most{20, 28, math.MaxInt}
		w.budgets[ID{Team, "eu", Revealed}] = Most{22, 30, 60}
	}
	for id := range w.budgets {
		w.shown[id] = map[Key][]time.Time{}
	}
	for i := range gateways {
		g := &worldGateway{name: fmt.Sprint("g", i)}
		w.gateways = append(w.gateways, g)
		w.kill(g)
		w.connect(g)
		g.heard = 0
	}
	return w
}

// TestLentNeverTwice: whatever is late, lost or told twice, whoever crashes, and however clocks drift, never are more distinct customers shown
// in a window than the budget says.
func TestLentNeverTwice(t *testing.T) {
	var shown, full, worlds int
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(2, 3).Draw(t, "gateways"))
		for range 3000 {
			w.step()
		}
		worlds++
		for _, times := range w.shown[ID{Person, "s1", Revealed}] {
			shown += len(times)
		}
		full += w.full
	})
	t.Logf("%d worlds: %d customers were shown, %d of them as the last one of a budget", worlds, shown, full)
	if shown < worlds || full < worlds {
		t.Error("hardly anything was tried")
	}
}

// run lets everything that is on its way arrive, and everything that is counted be shown.
func (w *world) run() {
	for again := true; again; {
		again = false
		for _, g := range w.gateways {
			for len(g.up) > 0 || len(g.down) > 0 || len(g.pending) > 0 || g.on && g.sent < len(g.journal) {
				again = true
				for len(g.up) > 0 {
					m := g.up[0]
					g.up = g.up[1:]
					w.arrive(g, m)
				}
				for len(g.down) > 0 {
					m := g.down[0]
					g.down = g.down[1:]
					w.hear(g, m)
				}
				for _, b := range g.pending {
					g.heard = w.since(g)
					w.settle(g, b)
				}
				g.pending = nil
				for g.on && g.sent < len(g.journal) {
					w.send(g)
				}
			}
		}
	}
}

// TestLentToTheLast: where nothing goes wrong all of a budget can be used, whoever shows whom, and who was shown before can be shown again
// when it is used up, at either gateway.
func TestLentToTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 2)
		id := ID{Person, "s1", Revealed}
		w.budgets = map[ID]Most{id: {40, 60, 90}, {Team, "eu", Revealed}: {math.MaxInt, math.MaxInt, math.MaxInt}}
		for i := range 150 {
			g := w.gateways[rapid.IntRange(0, 1).Draw(t, "gateway")]
			w.show(g, sallyport.Subject(fmt.Sprint(1+i%50)), nil)
			w.run()
			if i%3 == 0 { // what the other one asks for is called back
				for _, other := range w.gateways {
					for _, h := range other.borrower.Recall(id) {
						other.up = append(other.up, returnUp{h})
					}
				}
				w.run()
			}
		}
		if n := len(w.shown[id]); n != 40 {
			t.Errorf("%d of 40 customers were shown", n)
		}
		before := len(w.shown[id][lentKey("1")])
		for _, g := range w.gateways {
			w.now = w.now.Add(2 * time.Minute) // what it remembers is over
			w.show(g, "1", nil)
			w.run()
		}
		if after := len(w.shown[id][lentKey("1")]); after != before+2 {
			t.Errorf("who was shown before is shown %d times more, not twice", after-before)
		}
	})
}

// TestForget: what was lent to a gateway that is lost counts as spent for as long as a window is long, and its other record is refused until
// then.
func TestForget(t *testing.T) {
	l, id := NewLender(), ID{Person, "s1", Revealed}
	most := Most{10, 10, 10}
	want := func(n int, who string) []Want {
		return []Want{{ID: id, Most: most, Need: n, Subjects: []sallyport.Subject{sallyport.Subject(who)}}}
	}
	if _, err := l.Join("g1", "r1", "a", 0); err != nil {
		t.Fatal(err)
	}
	if a := l.Ask(start(), "g1", "a", want(4, "1")); a[0].Units != 4 {
		t.Fatalf("asked for 4, and got %+v", a)
	}
	if _, err := l.Join("g1", "r2", "b", 0); err == nil {
		t.Error("another record is taken for the former")
	}
	l.Fold(start(), &sallyport.Event{Time: start(), Kind: sallyport.ForgotKind, Lent: &sallyport.Lent{Gateway: "g1"}})
	if _, err := l.Join("g1", "r2", "b", 0); err != nil {
		t.Error(err)
	}
	if a := l.Ask(start(), "g1", "b", want(7, "2")); !a[0].Busy {
		t.Errorf("7 of 6 are lent: %+v", a)
	}
	if a := l.Ask(start().Add(30*24*time.Hour), "g1", "b", want(7, "2")); !a[0].Busy {
		t.Errorf("what is lost is forgotten before its window is over: %+v", a)
	}
	if a := l.Ask(start().Add(32*24*time.Hour), "g1", "b", want(7, "2")); a[0].Units < 7 {
		t.Errorf("what is lost is never forgotten: %+v", a)
	}
}

// TestLifeBefore: what a gateway had before it was killed is free again once all is counted that it left behind, and no sooner.
func TestLifeBefore(t *testing.T) {
	l, id := NewLender(), ID{Person, "s1", Revealed}
	want := []Want{{ID: id, Most: Most{10, 10, 10}, Need: 6, Subjects: []sallyport.Subject{"1"}}}
	for life, start := range map[string]uint64{"a": 0} {
		if _, err := l.Join("g1", "r", life, start); err != nil {
			t.Fatal(err)
		}
	}
	l.Ask(start(), "g1", "a", want)
	if _, err := l.Join("g1", "r", "b", 2); err != nil {
		t.Fatal(err)
	}
	if a := l.Ask(start(), "g1", "b", want); !a[0].Busy {
		t.Errorf("what an earlier life may have spent is lent again: %+v", a)
	}
	for seq := range uint64(2) {
		l.Fold(start(), &sallyport.Event{Kind: sallyport.CountedKind, Origin: &sallyport.Origin{Gateway: "g1", Seq: seq + 1, Arrived: start()}})
	}
	if a := l.Ask(start(), "g1", "b", want); a[0].Units < 6 {
		t.Errorf("what nobody can spend any more is not lent: %+v", a)
	}
	if _, err := l.Join("g1", "r", "c", 1); err == nil {
		t.Error("an older copy of a gateway's record is taken for the record")
	}
}

// TestSecondUnderOne: a second e-mail under one customer is another customer, also where the first was seen at another gateway; and when that
// exceeds the budget not even who counts already is shown.
func TestSecondUnderOne(t *testing.T) {
	l, id := NewLender(), ID{Person, "s1", Revealed}
	most := Most{2, 2, 2}
	column := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	for i, g := range []string{"g1", "g2", "g3"} {
		if _, err := l.Join(g, "r"+g, "a", 0); err != nil {
			t.Fatal(err)
		}
		want := []Want{{ID: id, Most: most, Need: 1, Subjects: []sallyport.Subject{"7"}}}
		if a := l.Ask(start(), g, "a", want)[0]; i == 0 && a.Units < 1 || i > 0 && !a.Known {
			t.Fatalf("%s: %+v", g, a)
		}
		e := &sallyport.Event{
			Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: "s1"}, Origin: &sallyport.Origin{Gateway: g, Seq: 1, Arrived: start()},
			Reveal: &sallyport.Revealed{Columns: []sallyport.Column{column}},
			Charged: []sallyport.Charge{
				{Measure: "revealed", Accounts: []sallyport.Portion{{Name: "s1"}}, Telling: []int{0}},
				{Measure: "revealed", Accounts: []sallyport.Portion{{Name: "s1", Units: 1}}, Subjects: []sallyport.Subject{"7"}},
			},
		}
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: "7", Digest: sallyport.Digest{byte(i + 1)}})
		l.Fold(start(), e)
		if n := l.Count(start(), id); n[0] != i+1 {
			t.Errorf("%d values under one customer count as %d", i+1, n[0])
		}
	}
	if a := l.Ask(start(), "g1", "a", []Want{{ID: id, Most: most, Need: 1, Subjects: []sallyport.Subject{"7"}}})[0]; a.Known || a.Limit == nil {
		t.Errorf("beyond the budget: %+v", a)
	}
}
