package trace

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"sallyport"
)

// TestLeakedFile: five people made ten exports of 3,000 of 100,000 customers each, some of them nearly the same, and looked at others one by
// one. A twentieth of one export, in any order, a fifth of it foreign rows, says which one it was.
func TestLeakedFile(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	l := NewLeak()
	var exports [][]sallyport.Subject
	for e := range 10 {
		var set []sallyport.Subject
		if e%2 == 1 { // the one before, with a tenth of it exchanged
			set = append(set, exports[e-1]...)
			for i := range 300 {
				set[i*10] = subject(dice.IntN(100_000))
			}
		} else {
			for range 3000 {
				set = append(set, subject(dice.IntN(100_000)))
			}
		}
		exports = append(exports, set)
		l.Add(fmt.Sprint("e", e), sallyport.Staff(fmt.Sprint("s", e%5)), day(2), set)
	}
	for range 2000 {
		l.Add("", sallyport.Staff(fmt.Sprint("s", dice.IntN(5))), day(3), []sallyport.Subject{subject(dice.IntN(100_000))})
	}
	for e, set := range exports {
		var part []sallyport.Subject
		for _, i := range dice.Perm(len(set))[:120] {
			part = append(part, set[i])
		}
		for range 20 {
			part = append(part, subject(100_000+dice.IntN(100_000)))
		}
		list, none := l.Sources(part, 10, Options{Customers: 200_000})
		if best := list[0]; best.Kind != "export" || best.ID != fmt.Sprint("e", e) || best.Posterior < 0.95 || best.Staff[0] != sallyport.Staff(fmt.Sprint("s", e%5)) || none > 0.01 {
			t.Errorf("part of e%d: %+v, none %.3f", e, list[:2], none)
		}
	}
	var strangers []sallyport.Subject
	for i := range 150 {
		strangers = append(strangers, subject(200_000+i))
	}
	if list, none := l.Sources(strangers, 0, Options{Customers: 1_000_000}); none < 0.95 {
		t.Errorf("customers whom nobody saw: %+v, none %.3f", list, none)
	}
}

// What one person took one by one, and never as a whole, is his.
func TestLeakedView(t *testing.T) {
	dice := rand.New(rand.NewPCG(5, 6))
	l := NewLeak()
	seen := map[sallyport.Staff][]sallyport.Subject{}
	for range 6000 {
		who, c := sallyport.Staff(fmt.Sprint("s", dice.IntN(8))), subject(dice.IntN(20_000))
		seen[who] = append(seen[who], c)
		l.Add("x", who, day(2), []sallyport.Subject{c})
	}
	if list, none := l.Sources(seen["s3"][:60], 12, Options{}); list[0].Kind != "viewer" || list[0].ID != "s3" || list[0].Posterior < 0.95 || none > 0.05 {
		t.Errorf("%+v, none %.3f", list[0], none)
	}
}

// Keys that are texts are recognised in another case; where that means two customers, nobody is.
func TestLeakedInAnotherCase(t *testing.T) {
	l := NewLeak()
	var set []sallyport.Subject
	for i := range 200 {
		set = append(set, sallyport.Subject(fmt.Sprintf("7f3a-%04x-Kd", i)))
	}
	l.Add("e0", "s1", day(2), set)
	l.Add("e1", "s2", day(2), []sallyport.Subject{"Ab-1", "aB-1"})
	for cell, want := range map[string]sallyport.Subject{
		"7F3A-00C0-KD": "7f3a-00c0-Kd", " 7f3a-00c0-kd ": "7f3a-00c0-Kd", "7f3a-00c0-Kd": "7f3a-00c0-Kd", "7f3a-9999-kd": "", "aB-1": "aB-1", "AB-1": "", "": "",
	} {
		if got := l.Known(cell); got != want {
			t.Errorf("%q is %q, expected %q", cell, got, want)
		}
	}
	l.Add("e2", "s3", day(2), []sallyport.Subject{"New-1"})
	if got := l.Known("NEW-1"); got != "New-1" {
		t.Errorf("who came later is %q", got)
	}
}
