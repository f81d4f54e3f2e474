package exposure

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"sallyport"
)

func TestGrants(t *testing.T) {
	g := NewGrants()
	g.Of("g").Restore("7", key(7))
	for _, who := range []sallyport.Subject{"1", "7", "x-1", "1"} {
		if l := g.Of("g").Reserve(who, Key([]byte("0123456789abcdef")), 3); l != nil {
			t.Errorf("%s: %+v", who, l)
		}
	}
	want := sallyport.Limit{Measure: "revealed", Window: "grant", Budget: 3, Count: 3}
	if l := g.Of("g").Reserve("8", key(8), 3); l == nil || *l != want {
		t.Errorf("a fourth customer: %+v", l)
	}
	if l := g.Of("g").Reserve("7", key(7), 3); l != nil {
		t.Errorf("one of the three: %+v", l)
	}
	if l := g.Of("other").Reserve("8", key(8), 3); l != nil {
		t.Errorf("another grant: %+v", l)
	}
	if n := g.Of("g").Count(); n != 3 {
		t.Errorf("%d customers", n)
	}
}

// TestGrantsAgainstMap holds the bitmap to a map of texts, over keys that look like numbers and those that nearly do.
func TestGrantsAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, seen := NewGrants(), map[sallyport.Subject]bool{}
		most := rapid.IntRange(0, 20).Draw(t, "most")
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			who := rapid.SampledFrom([]sallyport.Subject{"0", "00", "01", "1", "10", "-1", "1 ", "a", "18446744073709551616", "9223372036854775807"}).Draw(t, "who")
			if rapid.Bool().Draw(t, "plain") {
				who = sallyport.Subject(fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "n")))
			}
			var k Key
			copy(k[:], who)
			refused := g.Of("g").Reserve(who, k, most) != nil
			if refused != (!seen[who] && len(seen) >= most) {
				t.Fatalf("%q of %d: refused %v", who, len(seen), refused)
			}
			if !refused {
				seen[who] = true
			}
			if g.Of("g").Count() != len(seen) {
				t.Fatalf("%d counted, %d seen", g.Of("g").Count(), len(seen))
			}
		}
	})
}

// BenchmarkGrants is one customer of many.
func BenchmarkGrants(b *testing.B) {
	g := NewGrants()
	names := make([]sallyport.Subject, 1<<20)
	for i := range names {
		names[i] = sallyport.Subject(fmt.Sprint(i))
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		g.Of("g").Reserve(names[i%len(names)], Key{}, 1<<30)
		i++
	}
}
