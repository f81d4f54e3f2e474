package canary

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

func newKey(t *testing.T, first byte) Key {
	t.Helper()
	k, err := NewKey(append([]byte{first}, bytes.Repeat([]byte{7}, KeySize-1)...))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func zeros() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

// TestSealed: only the key opens it, whatever is altered shows, and its length tells nothing of what it holds.
func TestSealed(t *testing.T) {
	k := newKey(t, 1)
	c := &Canary{ID: ID{1, 2}, Subject: "48211", Email: "a@post.example.net", Values: []sallyport.Digest{{1}}, Planted: noon}
	sealed, err := k.Seal(c, zeros())
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Open(sealed)
	if err != nil || cmp.Diff(c, got) != "" {
		t.Fatalf("%v %s", err, cmp.Diff(c, got))
	}
	if _, err := newKey(t, 2).Open(sealed); err == nil {
		t.Error("another key opens it")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad); err == nil {
			t.Fatalf("altered at %d it opens", i)
		}
	}
	other, err := k.Seal(&Canary{ID: ID{3}, Subject: "1", Planted: noon, Values: []sallyport.Digest{{2}}}, zeros())
	if err != nil || len(other) != len(sealed) {
		t.Errorf("%d and %d bytes: %v", len(other), len(sealed), err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, k); strings.ContainsAny(text, "0123456789") {
		t.Errorf("a key prints: %s", text)
	}
}

// TestDetails: each viewer, canary, grant and period has an address of its own with 66 bits, the same whenever it is asked for.
func TestDetails(t *testing.T) {
	b := NewBook(newKey(t, 1), Settings{Domains: []string{"post.example.net", "mail.example.org"}})
	form := regexp.MustCompile(`^([bdfghjklmnprstvz][aeio]){3,5}\.([bdfghjklmnprstvz][aeio]){5,7}[0-9]{2}@(post\.example\.net|mail\.example\.org)$`)
	seen, domains := map[string]string{}, map[string]int{}
	for canary := range 5 {
		for viewer := range 40 {
			for period := range 3 {
				for _, grant := range []string{"", "g1"} {
					c := &Canary{ID: ID{byte(canary)}}
					v := View{Viewer: sallyport.Staff(fmt.Sprintf("s%03d", viewer)), Grant: grant, Time: noon.Add(time.Duration(period) * 24 * time.Hour)}
					text, e := b.Show(c, sallyport.Email, v)
					name := fmt.Sprintf("%d %s %s %s", canary, v.Viewer, grant, e.Period)
					if before, known := seen[text]; known && before != name || !form.MatchString(text) {
						t.Fatalf("%s for %s and for %s", text, name, before)
					}
					seen[text] = name
					domains[text[strings.Index(text, "@"):]]++
					v.Time = v.Time.Add(5 * time.Hour)
					if again, _ := b.Show(c, sallyport.Email, v); again != text {
						t.Fatalf("later that day it is %s, not %s", again, text)
					}
				}
			}
		}
	}
	if len(seen) != 5*40*(3+1) || len(domains) != 2 { // a grant has one period
		t.Errorf("%d addresses at %v", len(seen), domains)
	}
	if bits := syllables*6 + math.Log2(100); bits < 64 {
		t.Errorf("%f bits", bits)
	}
	if text, e := NewBook(newKey(t, 1), Settings{}).Show(&Canary{}, sallyport.Email, View{}); text != "" || e != nil {
		t.Errorf("nothing is given, and %q is shown", text)
	}
}

// TestBookIsAFold: after a start, and with other domains, who was shown what is known as before, and he is shown the same as long as that can be.
func TestBookIsAFold(t *testing.T) {
	k := newKey(t, 1)
	numbers := []string{"+4930901820", "+4930901821", "+4930901822"}
	settings := Settings{Domains: []string{"post.example.net"}, Numbers: numbers}
	b := NewBook(k, settings)
	var events []*sallyport.Event
	apply := func(e *sallyport.Event) {
		e.Seq = uint64(len(events) + 1)
		events = append(events, e)
		if err := b.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	c := &Canary{ID: ID{9}, Subject: "7", Email: "base@post.example.net", Phone: "+4917155555", Values: []sallyport.Digest{{1}, {2}}, Tokens: []sallyport.Digest{{3}}, Planted: noon}
	sealed, err := k.Seal(c, zeros())
	if err != nil {
		t.Fatal(err)
	}
	apply(&sallyport.Event{Kind: sallyport.CanaryPlanted, Time: noon, Order: &sallyport.Order{Sealed: sealed}})
	if b.ByValue(sallyport.Digest{2}).Subject != "7" || b.ByValue(sallyport.Digest{3}) != nil || b.ByToken(sallyport.Digest{3}).Subject != "7" || b.Subject("8") != nil {
		t.Error("it is not known by its values")
	}
	text := map[string]string{}
	used := map[string]int{}
	for i := range 6 {
		who := sallyport.Staff(fmt.Sprintf("s%d", i))
		for _, scheme := range []sallyport.Scheme{sallyport.Email, sallyport.Phone} {
			shown, e := b.Show(c, scheme, View{Viewer: who, Time: noon})
			if _, ok := b.Base(who, scheme, shown); !ok {
				t.Errorf("%s means nothing", shown)
			}
			if contains(b.Who(scheme, shown), who) {
				t.Errorf("%s is said to have been shown before that is on record", shown)
			}
			apply(&sallyport.Event{Kind: sallyport.CanaryShownKind, Time: noon, Who: sallyport.Who{Staff: who, Session: "x"}, Canary: e})
			text[string(who)+string(scheme)] = shown
			used[shown]++
		}
	}
	for _, n := range numbers {
		if used[n] != 2 {
			t.Errorf("%s was shown %d times; they are to be dealt out evenly", n, used[n])
		}
	}
	mine := text["s4"+string(sallyport.Phone)]
	if base, ok := b.Base("s0", sallyport.Phone, mine); ok && text["s0"+string(sallyport.Phone)] != mine {
		t.Errorf("another's number means %s", base)
	}
	b = NewBook(k, Settings{Domains: []string{"other.example", "post.example.net"}, Numbers: append([]string{"+4930901829"}, numbers...)})
	for _, e := range events {
		if err := b.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		who := sallyport.Staff(fmt.Sprintf("s%d", i))
		for _, scheme := range []sallyport.Scheme{sallyport.Email, sallyport.Phone} {
			want := text[string(who)+string(scheme)]
			if got, _ := b.Show(c, scheme, View{Viewer: who, Time: noon}); got != want {
				t.Errorf("%s is shown %s, before %s", who, got, want)
			}
			list := b.Who(scheme, " "+strings.ToUpper(want)+" ")
			if !contains(list, who) || scheme == sallyport.Email && len(list) != 1 {
				t.Errorf("%s was shown to %+v", want, list)
			}
		}
	}
	b = NewBook(k, Settings{Domains: []string{"other.example"}})
	for _, e := range events {
		_ = b.Apply(e)
	}
	want := text["s1email"]
	if got, _ := b.Show(c, sallyport.Email, View{Viewer: "s1", Time: noon}); !strings.HasSuffix(got, "@other.example") || !contains(b.Who(sallyport.Email, want), "s1") {
		t.Errorf("the domain is given back, and he is shown %s", got)
	}
	if err := NewBook(newKey(t, 2), settings).Apply(events[0]); err == nil {
		t.Error("what was sealed with another key is no error")
	}
}

func contains(list []Sighting, who sallyport.Staff) bool {
	for _, s := range list {
		if s.Viewer == who {
			return true
		}
	}
	return false
}

// TestCallsAreWeighed: a call at a number that is called anyway says little; at a quiet one, soon after it was shown, by somebody who knows the name, much.
func TestCallsAreWeighed(t *testing.T) {
	day := 24 * time.Hour
	began, now := noon.Add(-200*day), noon
	shown := []Candidate{{"s1", noon.Add(-20 * day)}}
	quiet := Background{Calls: 1, Days: 4000}
	loud := Background{Calls: 2000, Days: 4000}
	call := func(ago int, quoted bool) Call { return Call{noon.Add(-time.Duration(ago) * day), quoted} }
	every := func(n int) (list []Call) {
		for i := range 200 / n {
			list = append(list, call(i*n, false))
		}
		return list
	}
	for _, c := range []struct {
		name     string
		calls    []Call
		other    Background
		from, to float64
	}{
		{"nobody calls", nil, quiet, 0, 0.001},
		{"one call to a quiet number", []Call{call(3, false)}, quiet, 0.001, 0.1},
		{"one who knows the name", []Call{call(3, true)}, quiet, 0.9, 1},
		{"three calls to a quiet number", []Call{call(3, false), call(5, false), call(9, false)}, quiet, 0.05, 0.9},
		{"eight calls to a quiet number", []Call{call(1, false), call(2, false), call(3, false), call(4, false), call(5, false), call(7, false), call(8, false), call(9, false)}, quiet, 0.95, 1},
		{"one call to a loud number", append(every(2), call(3, false)), loud, 0, 0.01},
		{"a number that was always called", every(4), quiet, 0, 0.05},
		{"calls from before it was shown", []Call{call(30, true), call(50, false)}, quiet, 0, 0.01},
	} {
		each, none := Suspicion(c.calls, shown, c.other, began, now)
		if each[0] < c.from || each[0] > c.to || math.Abs(each[0]+none-1) > 1e-9 {
			t.Errorf("%s: %.4f, none %.4f; expected %g to %g", c.name, each[0], none, c.from, c.to)
		}
	}
	two := []Candidate{{"s1", noon.Add(-20 * day)}, {"s2", noon.Add(-4 * day)}}
	each, _ := Suspicion([]Call{call(18, true), call(9, false), call(8, false)}, two, quiet, began, now)
	if each[0] < 0.95 || each[1] > 0.05 {
		t.Errorf("it rang before the second one saw it, and they are %v", each)
	}
}

// TestSuspicionIsCalibrated: over made-up pools in which some viewers leak at the prior's rate, of those that are named at 95 % at least 95 % are guilty.
func TestSuspicionIsCalibrated(t *testing.T) {
	r := rand.New(zeros())
	day := 24 * time.Hour
	var named, guilty, leaks int
	for range 12_000 {
		rate := math.Exp(r.NormFloat64() - 5.5) // calls a day that come anyway
		leaks1 := r.Float64() < priorLeak*20    // more than the prior says, so that there are some
		began, since, now := noon.Add(-120*day), noon.Add(-time.Duration(1+r.IntN(60))*day), noon
		buyer := buyers()[r.IntN(len(buyers()))]
		var calls []Call
		draw := func(from time.Time, rate, knows float64) {
			for at := from; ; {
				at = at.Add(time.Duration(r.ExpFloat64() / rate * float64(day)))
				if !at.Before(now) {
					return
				}
				calls = append(calls, Call{at, r.Float64() < knows})
			}
		}
		draw(began, rate, knowsChance)
		if leaks1 {
			leaks++
			draw(since, buyer, knowsLeaked)
		}
		each, _ := Suspicion(calls, []Candidate{{"s1", since}}, Background{Calls: 16, Days: 4000}, began, now)
		if each[0] >= 0.95 {
			named++
			if leaks1 {
				guilty++
			}
		}
	}
	t.Logf("%d of %d leaks were named by their calls, %d named in all", guilty, leaks, named)
	if guilty == 0 || float64(guilty) < 0.95*float64(named) {
		t.Errorf("of %d named %d are guilty", named, guilty)
	}
}

func TestLikeness(t *testing.T) {
	r := rand.New(zeros())
	if got := Name("Anna Maria Kowalska", "Jens Peter Hansen"); got != "Anna Maria Hansen" {
		t.Error(got)
	}
	if got := Reshape("CS-4821 ä", 3, r); len([]rune(got)) != 9 || got[:3] != "CS-" || got[7] != ' ' {
		t.Error(got)
	}
	for _, n := range []int{5, 25, 40} {
		got := Mailbox([]string{"post.example.net"}, n, r)
		if want := max(n, 27); len(got) != want {
			t.Errorf("%s has %d, not %d", got, len(got), want)
		}
	}
	if n := len(Phrase(200, r)); n < 150 || n > 230 {
		t.Errorf("a phrase of %d", n)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("x"))
	k, err := NewKey(bytes.Repeat([]byte{1}, KeySize))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := k.Open(b); err == nil {
			t.Errorf("%+v", c)
		}
	})
}

// BenchmarkByValue is what each revealed value pays.
func BenchmarkByValue(b *testing.B) {
	book := NewBook(Key{}, Settings{})
	known := &values{of: map[sallyport.Digest]*Canary{}}
	for i := range 400 {
		known.add(sallyport.Digest{byte(i * 167), byte(i >> 3), 7}, &Canary{})
	}
	book.values.Store(known)
	b.ReportAllocs()
	for i := range b.N {
		if book.ByValue(sallyport.Digest{byte(i), byte(i >> 8), 9}) != nil {
			b.Fatal("found")
		}
	}
}
