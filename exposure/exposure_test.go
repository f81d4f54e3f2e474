package exposure

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport"
)

func start() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }

// key has those that follow each other for neighbours, as the gateway's are.
func key(i int) (k Key) {
	k[0] = byte(i % neighbours)
	binary.BigEndian.PutUint64(k[8:], uint64(i/neighbours)) //nolint:gosec // a small one
	return k
}

func TestReserve(t *testing.T) {
	type step struct {
		after time.Duration // since the start
		key   int
		want  *sallyport.Limit
	}
	limit := func(window string, budget, count int) *sallyport.Limit {
		return &sallyport.Limit{Measure: "revealed", Window: window, Budget: budget, Count: count}
	}
	wide := Budget{Hour: 100, Day: 100, Month: 100}
	tests := []struct {
		name  string
		in    Budget
		steps []step
		count [3]int // at the last step's time
	}{
		{"a key counts once", wide, []step{{0, 1, nil}, {time.Minute, 1, nil}, {time.Minute, 2, nil}}, [3]int{2, 2, 2}},
		{
			"the hour is full, and a known key still passes",
			Budget{Hour: 2, Day: 9, Month: 9},
			[]step{{0, 1, nil}, {1, 2, nil}, {2, 3, limit("hour", 2, 2)}, {3, 1, nil}},
			[3]int{2, 2, 2},
		},
		{
			"the hour slides",
			Budget{Hour: 2, Day: 9, Month: 9},
			[]step{
				{0, 1, nil},
				{1, 2, nil},
				{time.Hour - 1, 3, limit("hour", 2, 2)},
				{time.Hour, 3, nil},
				{time.Hour, 4, limit("hour", 2, 2)},
				{time.Hour + 1, 4, nil},
			},
			[3]int{2, 4, 4},
		},
		{
			"seen again is held for longer",
			Budget{Hour: 1, Day: 9, Month: 9},
			[]step{{0, 1, nil}, {50 * time.Minute, 1, nil}, {100 * time.Minute, 2, limit("hour", 1, 1)}, {110 * time.Minute, 2, nil}},
			[3]int{1, 2, 2},
		},
		{
			"a refusal does not hold",
			Budget{Hour: 1, Day: 9, Month: 9},
			[]step{{0, 1, nil}, {30 * time.Minute, 2, limit("hour", 1, 1)}, {time.Hour, 3, nil}},
			[3]int{1, 2, 2},
		},
		{
			"the day",
			Budget{Hour: 9, Day: 2, Month: 9},
			[]step{{0, 1, nil}, {2 * time.Hour, 2, nil}, {4 * time.Hour, 3, limit("day", 2, 2)}, {24 * time.Hour, 3, nil}},
			[3]int{1, 2, 3},
		},
		{
			"known to the day, new to the hour",
			Budget{Hour: 1, Day: 9, Month: 9},
			[]step{{0, 1, nil}, {2 * time.Hour, 2, nil}, {2*time.Hour + 1, 1, limit("hour", 1, 1)}},
			[3]int{1, 2, 2},
		},
		{
			"30 days",
			Budget{Hour: 9, Day: 9, Month: 2},
			[]step{
				{0, 1, nil},
				{48 * time.Hour, 2, nil},
				{96 * time.Hour, 3, limit("30 days", 2, 2)},
				{720*time.Hour - 1, 3, limit("30 days", 2, 2)},
				{720 * time.Hour, 3, nil},
			},
			[3]int{1, 1, 2},
		},
		{"the longest full window is named", Budget{Hour: 1, Day: 1, Month: 1}, []step{{0, 1, nil}, {0, 2, limit("30 days", 1, 1)}}, [3]int{1, 1, 1}},
		{"none at all", Budget{Hour: 9, Day: -1, Month: 9}, []step{{0, 1, limit("day", 0, 0)}}, [3]int{}},
		{"zero is the default", Budget{Hour: 1}, []step{{0, 1, nil}, {time.Hour, 2, nil}, {time.Hour, 3, limit("hour", 1, 1)}}, [3]int{1, 2, 2}},
		{
			"time does not go back",
			Budget{Hour: 2, Day: 9, Month: 9},
			[]step{{time.Hour, 1, nil}, {0, 2, nil}, {2*time.Hour - 1, 3, limit("hour", 2, 2)}, {2 * time.Hour, 3, nil}},
			[3]int{1, 3, 3},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBook()
			var now time.Time
			for i, s := range tt.steps {
				now = start().Add(s.after)
				if diff := cmp.Diff(s.want, b.Reserve(now, "s1", Revealed, key(s.key), tt.in)); diff != "" {
					t.Errorf("step %d: %s", i, diff)
				}
			}
			h, d, m := b.Count(now, "s1", Revealed)
			if got := [3]int{h, d, m}; got != tt.count {
				t.Errorf("count %v, want %v", got, tt.count)
			}
		})
	}
}

func TestNoneAtAllHoldsForKnownKeys(t *testing.T) {
	b := NewBook()
	b.Reserve(start(), "s1", Reached, key(1), Budget{})
	if b.Reserve(start(), "s1", Reached, key(1), Budget{Month: -1}) == nil {
		t.Error("a known key passed a budget of nothing")
	}
}

func TestReserveAll(t *testing.T) {
	b, in := NewBook(), Budget{Hour: 5, Day: 8, Month: 100}
	keys := func(list ...int) (out []Key) {
		for _, i := range list {
			out = append(out, key(i))
		}
		return out
	}
	for i, step := range []struct {
		after time.Duration
		keys  []Key
		want  string // the window that is full
		hour  int
	}{
		{0, keys(1, 2, 3), "", 3},
		{1, keys(4, 5, 6), "hour", 3},                       // none of them is counted
		{2, keys(3, 4, 5), "", 5},                           // one was known
		{3, keys(1, 2, 3, 4, 5), "", 5},                     // all were
		{4, keys(6), "hour", 5},                             // the same as one key
		{2 * time.Hour, keys(6, 7, 8, 9), "day", 0},         // 5 + 4 in a day
		{2 * time.Hour, keys(6, 7, 8), "", 3},               // 5 + 3
		{2*time.Hour + 1, keys(1, 2, 3), "hour", 3},         // known to the day, new to the hour
		{2*time.Hour + 2, keys(1, 2), "", 5},                // as far as it goes
		{26 * time.Hour, keys(11, 12, 13, 14, 15), "", 5},   // the day before is over
		{26*time.Hour + 1, keys(11, 12, 13, 14), "", 5},     // known
		{26*time.Hour + 1, keys(11, 12, 13, 16), "hour", 5}, // one is not
	} {
		got := ""
		if l := b.ReserveAll(start().Add(step.after), "s1", Probed, step.keys, in); l != nil {
			got = l.Window
		}
		if h, _, _ := b.Count(start().Add(step.after), "s1", Probed); got != step.want || h != step.hour {
			t.Errorf("step %d: limit %q, %d in the hour", i, got, h)
		}
	}
	if l := b.ReserveAll(start().Add(27*time.Hour), "s1", Probed, keys(1), Budget{Month: -1}); l == nil {
		t.Error("a budget of nothing lets something pass")
	}
}

func TestPeopleAndMeasuresAreApart(t *testing.T) {
	b, one := NewBook(), Budget{Hour: 1, Day: 1, Month: 1}
	for _, who := range []sallyport.Staff{"s1", "s2"} {
		for _, m := range []Measure{Revealed, Reached, Probed} {
			if l := b.Reserve(start(), who, m, key(1), one); l != nil {
				t.Errorf("%s %s: %v", who, m, l)
			}
		}
	}
	if b.Reserve(start(), "s1", "stolen", key(1), Budget{}) == nil {
		t.Error("an unknown measure has a budget")
	}
}

func TestRestore(t *testing.T) {
	b, now := NewBook(), start()
	b.Restore(now, now.Add(-31*24*time.Hour), "s1", Revealed, key(1)) // too old
	b.Restore(now, now.Add(-48*time.Hour), "s1", Revealed, key(2))
	b.Restore(now, now.Add(-2*time.Hour), "s1", Revealed, key(3))
	b.Restore(now, now.Add(-time.Minute), "s1", Revealed, key(2))
	b.Restore(now, now.Add(time.Hour), "s1", Revealed, key(4)) // by a clock that was ahead
	if h, d, m := b.Count(now, "s1", Revealed); h != 2 || d != 3 || m != 3 {
		t.Errorf("restored %d %d %d", h, d, m)
	}
	if h, _, _ := b.Count(now.Add(time.Hour), "s1", Revealed); h != 0 {
		t.Errorf("%d keys are held after the hour", h)
	}
	if l := b.Reserve(now.Add(time.Hour), "s1", Revealed, key(5), Budget{Day: 3}); l == nil || l.Window != "day" {
		t.Errorf("restored keys do not count: %v", l)
	}
}

func TestQuietLedgerGivesMemoryBack(t *testing.T) {
	b := NewBook()
	for i := range 1000 {
		b.Reserve(start(), "s1", Reached, key(i), Budget{})
	}
	b.Count(start().Add(31*24*time.Hour), "s1", Reached)
	if l := b.ledger(ID{Person, "s1", Reached}); l.index.used != 0 || len(l.index.cells) != 0 || l.slots.count != 1 || cap(l.slots.pieces[0]) > 8 {
		t.Errorf("an empty ledger holds %d keys and %d slots", l.index.used, cap(l.slots.pieces[0]))
	}
}

// TestNeighboursTakeLittle holds a million customers who were seen in one result, a few hundred at a time, to 8 bytes each, where single keys take 60.
func TestNeighboursTakeLittle(t *testing.T) {
	b, now := NewBook(), start()
	budget := Budget{Hour: 1 << 30, Day: 1 << 30, Month: 1 << 30}
	const customers, atOnce = 1_000_000, 500
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range customers {
		if i%atOnce == 0 {
			now = now.Add(time.Millisecond)
		}
		if l := b.Reserve(now, "s1", Reached, key(i), budget); l != nil {
			t.Fatal(l)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if h, d, m := b.Count(now, "s1", Reached); h != customers || d != customers || m != customers {
		t.Errorf("%d %d %d customers are counted", h, d, m)
	}
	if took := float64(after.HeapAlloc-before.HeapAlloc) / customers; took > 8 {
		t.Errorf("%.1f bytes a customer", took)
	}
	if h, d, _ := b.Count(now.Add(time.Hour-time.Second), "s1", Reached); h >= customers || h == 0 || d != customers {
		t.Errorf("an hour after the first, %d and %d customers are counted", h, d)
	}
}

// naive is the specification: when each key was last seen.
type naive struct {
	seen map[Key]time.Time
	now  time.Time
}

func (n *naive) at(t time.Time) time.Time {
	if t.After(n.now) {
		n.now = t
	}
	return n.now
}

func (n *naive) count(now time.Time, length time.Duration) (c int) {
	for _, at := range n.seen {
		if now.Sub(at) < length {
			c++
		}
	}
	return c
}

func (n *naive) reserve(now time.Time, k Key, most [3]int) bool {
	now = n.at(now)
	seen, known := n.seen[k]
	for i, length := range []time.Duration{time.Hour, 24 * time.Hour, 720 * time.Hour} {
		if (!known || now.Sub(seen) >= length) && n.count(now, length) >= most[i] {
			return false
		}
	}
	n.seen[k] = now
	return true
}

func TestAgainstNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, model := NewBook(), naive{seen: map[Key]time.Time{}}
		budget := Budget{
			Hour:  rapid.IntRange(1, 6).Draw(t, "hour"),
			Day:   rapid.IntRange(1, 12).Draw(t, "day"),
			Month: rapid.IntRange(1, 20).Draw(t, "month"),
		}
		steps := []time.Duration{
			0, 1, time.Minute, 20 * time.Minute, time.Hour - 1, time.Hour, 7 * time.Hour, 24 * time.Hour, 200 * time.Hour,
			720 * time.Hour, -time.Minute, -2 * time.Hour,
		}
		now := start()
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom(steps).Draw(t, "step"))
			k := key(rapid.IntRange(1, 30).Draw(t, "key"))
			got := b.Reserve(now, "s1", Revealed, k, budget) == nil
			if want := model.reserve(now, k, [3]int{budget.Hour, budget.Day, budget.Month}); got != want {
				t.Fatalf("reserve is %v, want %v", got, want)
			}
			h, d, m := b.Count(now, "s1", Revealed)
			at := model.at(now)
			if want := [3]int{model.count(at, time.Hour), model.count(at, 24*time.Hour), model.count(at, 720*time.Hour)}; want != [3]int{h, d, m} {
				t.Fatalf("count is %v, want %v", [3]int{h, d, m}, want)
			}
		}
	})
}

// TestReserveIsAtomic lets many sessions of one person take what is left at once.
func TestReserveIsAtomic(t *testing.T) {
	b, budget := NewBook(), Budget{Hour: 100, Day: 100, Month: 100}
	granted := make([]int, 8)
	var wg sync.WaitGroup
	for g := range granted {
		wg.Go(func() {
			for i := range 100 {
				if b.Reserve(start(), "s1", Revealed, key(g*1000+i), budget) == nil {
					granted[g]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range granted {
		sum += n
	}
	if sum != 100 {
		t.Errorf("%d keys were granted, the budget is 100", sum)
	}
}

func TestBudgets(t *testing.T) {
	var team Budgets
	err := yaml.UnmarshalWithOptions([]byte("revealed: {day: 150}\nprobed: {hour: -1}\n"), &team, yaml.Strict())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Revealed.Day, want.Probed.Hour = 150, -1
	if diff := cmp.Diff(want, team.Over(Default())); diff != "" {
		t.Error(diff)
	}
	for m, b := range map[Measure]Budget{Revealed: want.Revealed, Reached: want.Reached, Probed: want.Probed, "x": {-1, -1, -1}} {
		if got := want.Of(m); got != b {
			t.Errorf("budget of %s is %v", m, got)
		}
	}
}

func BenchmarkReserve(b *testing.B) {
	for _, held := range []int{200, 50_000} {
		b.Run(fmt.Sprint(held), func(b *testing.B) {
			book, now := NewBook(), start()
			budget := Budget{Hour: 1 << 30, Day: 1 << 30, Month: 1 << 30}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				now = now.Add(30 * 24 * time.Hour / time.Duration(held))
				book.Reserve(now, "s1", Reached, key(i), budget)
			}
		})
	}
}

// TestIndexAgainstMap takes keys that all begin their search in a few places, so that searches pass each other's gaps.
func TestIndexAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		var s slots
		s.grow() // the anchor
		model := map[Key]int32{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			var k Key
			k[7] = byte(rapid.IntRange(0, 3).Draw(t, "place"))
			k[0] = byte(rapid.IntRange(0, 15).Draw(t, "key"))
			k[12] = k[0] &^ 7 // the halves cancel out
			at, known := model[k]
			if got := x.find(&s, &k); got != at {
				t.Fatalf("slot %d is found, not %d", got, at)
			}
			switch remove := rapid.Bool().Draw(t, "remove"); {
			case known && remove:
				x.remove(&s, at)
				delete(model, k)
			case !known && !remove:
				at = s.grow()
				s.at(at).group, s.at(at).in = k.split()
				x.add(&s, at)
				model[k] = at
			}
			for k, at := range model {
				if got := x.find(&s, &k); got != at {
					t.Fatalf("after a step slot %d is found, not %d", got, at)
				}
			}
			if x.used != len(model) {
				t.Fatalf("%d keys in, not %d", x.used, len(model))
			}
		}
	})
}
