package exposure

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAcrossAgainstNaive holds charges to several accounts at once to the specification: all of them count, or none does.
func TestAcrossAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBook()
		most := [][3]int{{4, 6, 8}, {3, 8, 9}, {5, 5, 100}}
		accounts := []Account{b.Account("s1", Revealed), b.Shared(Team, "eu"), b.Shared(Country, Unknown)}
		models := []naive{{seen: map[Key]time.Time{}}, {seen: map[Key]time.Time{}}, {seen: map[Key]time.Time{}}}
		now := start()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(8*time.Hour)).Draw(t, "after")))
			k := key(rapid.IntRange(0, 11).Draw(t, "key"))
			first := rapid.IntRange(0, 1).Draw(t, "from") // others share an account, too
			var charges []Charge
			for i := first; i < len(accounts); i++ {
				charges = append(charges, accounts[i].Shared(Budget{Hour: most[i][0], Day: most[i][1], Month: most[i][2]}))
			}
			limit, at := Across(now, []Key{k}, charges)
			full := -1
			for i := first; i < len(models) && full < 0; i++ {
				trial := naive{seen: map[Key]time.Time{}, now: models[i].now}
				maps.Copy(trial.seen, models[i].seen)
				if !trial.reserve(now, k, most[i]) {
					full = i
				}
			}
			if (limit != nil) != (full >= 0) || limit != nil && at != full-first {
				t.Fatalf("limit %v of charge %d; the model is full at %d", limit, at, full-first)
			}
			if full < 0 {
				for i := first; i < len(models); i++ {
					models[i].reserve(now, k, most[i])
				}
			}
			for i := range models {
				models[i].at(now)
			}
		}
	})
}

// TestUsed: how much is used is told in steps of ten, by the fullest window, and less again when windows move on.
func TestUsed(t *testing.T) {
	b := NewBook()
	c := b.Shared(Team, "eu").Shared(Budget{Hour: 30, Day: 300})
	for i := range 30 {
		k := key(i)
		if limit := c.Reserve(start(), &k); limit != nil {
			t.Fatal(limit)
		}
		if want := (i + 1) * 10 / 30 * 10; c.Used() != want {
			t.Errorf("%d of 30: %d percent, not %d", i+1, c.Used(), want)
		}
	}
	if c.Look(start().Add(2 * time.Hour)); c.Used() != 10 {
		t.Errorf("when the hour has passed: %d percent", c.Used())
	}
	open := b.Shared(Team, "us").Shared(Budget{})
	k := key(1)
	if limit := open.Reserve(start(), &k); limit != nil || open.Used() != 0 {
		t.Errorf("without a bound: %v, %d percent", limit, open.Used())
	}
	none := b.Shared(Team, "us").Shared(Budget{Hour: -1})
	if none.Reserve(start(), &k) == nil {
		t.Error("a budget of none lets a known customer pass")
	}
}

// TestAcrossTogether: charges that share accounts in any order neither wait for each other for ever nor count over a budget.
func TestAcrossTogether(t *testing.T) {
	b := NewBook()
	names := []string{"a", "b", "c", "d"}
	done := make(chan int, 8)
	for g := range 8 {
		go func() {
			passed := 0
			for i := range 500 {
				var charges []Charge
				for j := range names {
					charges = append(charges, b.Shared(Device, names[(j*(g%2*2-1)+g+4)%4]).Shared(Budget{Hour: 100}))
				}
				if limit, _ := Across(start(), []Key{key(g*500 + i)}, charges); limit == nil {
					passed++
				}
			}
			done <- passed
		}()
	}
	sum := 0
	for range 8 {
		sum += <-done
	}
	if sum != 100 {
		t.Errorf("%d customers passed a budget of 100", sum)
	}
}

// BenchmarkAcross is one new customer, charged to so many accounts.
func BenchmarkAcross(b *testing.B) {
	for _, n := range []int{1, 2, 4, 7} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			book := NewBook()
			var charges []Charge
			for i := range n {
				charges = append(charges, book.Shared(Device, fmt.Sprint(i)).Shared(Budget{Month: 1 << 40}))
			}
			keys := make([]Key, 1)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				keys[0] = key(i % (1 << 20))
				if n == 1 {
					charges[0].Reserve(start(), &keys[0])
				} else {
					Across(start(), keys, charges)
				}
				i++
			}
		})
	}
}
