package assure

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport"
)

var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// call is one that can be scheduled, with its code.
func call(id string, bits byte) (sallyport.AssuredCall, string) {
	code := Code([8]byte{1, 2, 3, 4, 5, 6, 7, bits})
	d, _ := Digest(code)
	return sallyport.AssuredCall{ID: id, Do: Schedule, Customer: "48211", Code: d[:], From: monday.Add(time.Hour), Until: monday.Add(90 * time.Minute), Caller: "s001", Name: "Ada", Team: "support", About: "invoice"}, code
}

func give(b *Book, a sallyport.AssuredCall, at time.Time) {
	b.Apply(&sallyport.Event{Time: at, Kind: sallyport.AssuredKind, Order: &sallyport.Order{By: "s001", Assured: &a}})
}

// TestNow asks about a code at each moment of a call's life.
func TestNow(t *testing.T) {
	b := NewBook()
	a, code := call("c1", 1)
	if err := b.CheckSchedule(&a, monday); err != nil {
		t.Fatal(err)
	}
	give(b, a, monday)
	for _, c := range []struct {
		code string
		at   time.Duration
		want bool
	}{
		{code, 0, false},
		{code, 54 * time.Minute, false},
		{code, 55 * time.Minute, true},
		{code, time.Hour, true},
		{code, 95 * time.Minute, true},
		{code, 96 * time.Minute, false},
		{strings.ToLower(strings.ReplaceAll(code, "-", " ")), time.Hour, true},
		{code[:13], time.Hour, false},
		{"", time.Hour, false},
		{code + "A", time.Hour, false},
		{"+49 30 1234567", time.Hour, false},
		{"CS-4821-7730", time.Hour, false},
		{"c1", time.Hour, false},
		{"48211", time.Hour, false},
	} {
		got, ok := b.Now(c.code, monday.Add(c.at))
		if ok != c.want || ok && got.Name != "Ada" || !ok && got.ID != "" {
			t.Errorf("%q after %v: %+v %v", c.code, c.at, got, ok)
		}
	}
	give(b, sallyport.AssuredCall{ID: "c1", Do: Cancel}, monday)
	if _, ok := b.Now(code, monday.Add(time.Hour)); ok {
		t.Error("a call that was called off holds")
	}
	give(b, a, monday) // the same again does not bring it back
	if _, ok := b.Now(code, monday.Add(time.Hour)); ok {
		t.Error("scheduled twice")
	}
}

// TestSchedule holds calls to their bounds.
func TestSchedule(t *testing.T) {
	b := NewBook()
	for what, change := range map[string]func(*sallyport.AssuredCall){
		"over":        func(a *sallyport.AssuredCall) { a.From, a.Until = monday.Add(-time.Hour), monday },
		"far":         func(a *sallyport.AssuredCall) { a.From, a.Until = monday.Add(Ahead+1), monday.Add(Ahead+time.Hour) },
		"long":        func(a *sallyport.AssuredCall) { a.Until = a.From.Add(Longest + 1) },
		"backwards":   func(a *sallyport.AssuredCall) { a.Until = a.From.Add(-time.Minute) },
		"topic":       func(a *sallyport.AssuredCall) { a.About = "your password" },
		"no customer": func(a *sallyport.AssuredCall) { a.Customer = "" },
		"no code":     func(a *sallyport.AssuredCall) { a.Code = nil },
	} {
		a, _ := call("c1", 1)
		change(&a)
		if err := b.CheckSchedule(&a, monday); !errors.Is(err, ErrCall) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range mostOpen {
		a, _ := call(string(rune('A'+i)), byte(i))
		if err := b.CheckSchedule(&a, monday); err != nil {
			t.Fatal(err)
		}
		give(b, a, monday)
	}
	a, _ := call("more", 255)
	if err := b.CheckSchedule(&a, monday); !errors.Is(err, ErrCall) {
		t.Errorf("one more than can be: %v", err)
	}
	if n := len(b.Of("s001", false, monday)); n != mostOpen {
		t.Errorf("%d of his", n)
	}
	if n := len(b.Of("s002", false, monday)); n != 0 {
		t.Errorf("%d of somebody else", n)
	}
	if b.CheckCancel("A", "s002", false) == nil || b.CheckCancel("A", "s001", false) != nil || b.CheckCancel("A", "s050", true) != nil {
		t.Error("who may call off")
	}
	late, _ := call("late", 254)
	late.From, late.Until = monday.Add(20*24*time.Hour), monday.Add(20*24*time.Hour+time.Hour)
	give(b, late, monday.Add(20*24*time.Hour))
	if len(b.calls) != 1 || len(b.byCode) != 1 || len(b.order) != 1 {
		t.Errorf("%d calls are kept", len(b.calls))
	}
}

// TestCodes: every code is read as it was written, and two are the same only if their 60 bits are.
func TestCodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		bytes := func(n uint64) (out [8]byte) {
			for i := range out {
				out[i] = byte(n >> (56 - 8*i))
			}
			return out
		}
		x, y := Code(bytes(a)), Code(bytes(b))
		if dx, ok := Digest(x); !ok || (x == y) != (a<<4 == b<<4) {
			t.Fatalf("%s %s %x", x, y, dx)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add("K7QM-2XZP-9TRA")
	f.Add("ſſſſſſſſſſſſ")
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := Digest(text)
		if !ok && d != [32]byte{} {
			t.Error("what is no code has a digest")
		}
	})
}

// TestLimit: one place does not spend what others have, many places together do not either, and all is forgotten after a while.
func TestLimit(t *testing.T) {
	l := &Limit{Each: 3, All: 5, Every: time.Minute}
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	take := func(from netip.Addr, at time.Time, want bool) {
		t.Helper()
		if got := l.Take(from, at); got != want {
			t.Errorf("%v at %v: %v", from, at, got)
		}
	}
	for range 3 {
		take(a, monday, true)
	}
	take(a, monday, false)
	take(netip.MustParseAddr("::ffff:192.0.2.1"), monday, false)
	take(b, monday, true)
	take(c, monday, true) // the same network
	take(b, monday, false)
	take(netip.MustParseAddr("192.0.2.2"), monday, false) // all together
	take(a, monday.Add(time.Minute), true)
	take(netip.Addr{}, monday.Add(time.Minute), true)
}

// TestLink: what was not signed by this key, is over, or is none, opens nothing.
func TestLink(t *testing.T) {
	key, other, now := []byte("a key"), []byte("another"), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	until := now.Add(time.Hour)
	text := SignLink(key, [16]byte{1, 2, 3}, until)
	if id, ok := ReadLink(key, text, now); !ok || id != LinkName([16]byte{1, 2, 3}) {
		t.Errorf("%q %v", id, ok)
	}
	for name, bad := range map[string]struct {
		key  []byte
		text string
		at   time.Time
	}{
		"another key": {other, text, now}, "over": {key, text, until}, "cut": {key, text[:len(text)-1], now}, "longer": {key, text + "AA", now}, "none": {key, "", now},
		"another id": {key, "B" + text[1:], now}, "a later end": {key, text[:25] + "B" + text[26:], now},
	} {
		if _, ok := ReadLink(bad.key, bad.text, bad.at); ok {
			t.Errorf("%s opens it", name)
		}
	}
	l := NewLinks()
	give := func(do string) {
		l.Apply(&sallyport.Event{Time: now, Kind: sallyport.LinkKind, Order: &sallyport.Order{By: "s050", Link: &sallyport.CustomerLink{ID: "x", Do: do, Customer: "1", Until: until}}})
	}
	if give(EndLink); len(l.Held(now)) != 0 {
		t.Error("what nobody issued is there")
	}
	give(IssueLink)
	give(OpenedLink)
	if x, ok := l.Holds("x", now); !ok || x.Opened != 1 || x.By != "s050" {
		t.Errorf("%+v %v", x, ok)
	}
	if _, ok := l.Holds("x", until); ok {
		t.Error("it holds beyond its time")
	}
	if give(EndLink); len(l.Held(now)) != 0 {
		t.Error("it goes on")
	}
}
