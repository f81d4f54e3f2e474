package respond

import (
	"slices"
	"strings"
	"testing"

	"sallyport"
	"sallyport/detect"
)

// case1 is a finding whose evidence adds up to its odds.
func case1(kind, what string, evidence ...detect.Evidence) *detect.Finding {
	f := &detect.Finding{ID: "s017-1", Kind: kind, Type: what, Staff: []sallyport.Staff{"s017"}, Evidence: evidence}
	for _, e := range evidence {
		f.Log10Odds += e.Log10
	}
	return f
}

func ev(source string, log10 float64) detect.Evidence {
	return detect.Evidence{Source: source, Log10: log10}
}

// TestLadder: what can be taken back comes first, and nobody is stopped by what others can bring about, whatever the odds.
func TestLadder(t *testing.T) {
	own, err := DefaultLadder()
	if err != nil {
		t.Fatal(err)
	}
	prior := ev("prior", -2.5)
	tools := detect.Evidence{Source: "sink", Text: "other tools saw data leave: 9 in a day; expected none", Log10: 9}
	for _, c := range []struct {
		name string
		c    Case
		want string
	}{
		{"weak: people are told", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 2))}, "hold page"},
		{"slow", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 2.7))}, "hold throttle page"},
		{"confirm", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 3.2))}, "hold step_up page"},
		{"a colleague", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 3.6))}, "hold second_person page"},
		{"masked", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 4.5))}, "hold mask revoke page"},
		{"careless", Case{Finding: case1("sink", detect.Negligent, prior, ev("sink", 2.6))}, "hold mask page"},
		{"stolen", Case{Finding: case1("exposure", detect.Compromised, prior, ev("exposure", 4.2))}, "hold mask revoke suspend page"},
		{"stopped", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 6))}, "hold mask revoke suspend page"},
		{"extreme", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 9))}, "hold mask revoke lock database provider page"},
		{"only what is new", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 6)), Taken: []string{Hold, Page, Mask, Revoke}}, "suspend"},
		{"canary", Case{Finding: case1("canary", detect.Malicious, prior, ev("canary", 4))}, "hold mask revoke lock database provider page"},
		// Somebody makes a reason about a canary, gives it to a colleague, and lets him look.
		{"canary by another's reason", Case{Finding: case1("canary", detect.Malicious, prior, ev("canary", 4)), Given: true}, "hold mask revoke page"},
		// Somebody sets off another tool's alarms, mistypes passwords, calls the hotline: a hundred million to one, and nothing of it his.
		{"alarms of others", Case{Finding: case1("sink", detect.Malicious, prior, tools, ev("login", 2), ev("report", 3))}, "hold mask revoke page"},
		{"his part is not extreme", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 4), tools)}, "hold mask revoke suspend page"},
		{"too many were stopped", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 9)), Stopped: 3}, "hold mask revoke page"},
		{"a program", Case{Finding: case1("exposure", detect.Malicious, prior, ev("exposure", 30)), Service: true}, "hold throttle page"},
	} {
		var got []string
		for _, s := range own.Decide(c.c) {
			got = append(got, s.Name)
			if s.Why == "" {
				t.Errorf("%s: %s has no reason", c.name, s.Name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, strings.Join(got, " "), c.want)
		}
	}
}

// TestLadderIsBounded: no file makes a ladder that locks people on little.
func TestLadderIsBounded(t *testing.T) {
	good := string(OwnLadder())
	for _, c := range [][3]string{
		{"lock_odds: 6", "lock_odds: 1", "for extreme odds"},
		{"lock_odds: 6", "lock_odds: .nan", "for extreme odds"},
		{"stops_per_hour: 3", "stops_per_hour: 1000", "expected 1 to 20"},
		{"stops_per_hour: 3", "", "expected 1 to 20"},
		{"do: [throttle]", "do: [dismiss]", `no step "dismiss"`},
		{"id: slow", "id: tell", "an id of its own"},
		{"types: [negligent]", "types: [lazy]", `no type "lazy"`},
		{"ladder:", "lader:", "lader"},
	} {
		if !strings.Contains(good, c[0]) {
			t.Fatalf("the ladder has no %q", c[0])
		}
		if _, err := ParseLadder([]byte(strings.Replace(good, c[0], c[1], 1))); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%q: %v, want %q", c[1], err, c[2])
		}
	}
	// A ladder that locks on any finding locks nobody.
	l, err := ParseLadder([]byte("lock_odds: 5\nstops_per_hour: 20\nladder:\n  - {id: all, odds: -99, do: [lock]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	steps := l.Decide(Case{Finding: case1("exposure", detect.Malicious, ev("prior", -2.5), ev("exposure", 4))})
	if slices.ContainsFunc(steps, func(s Step) bool { return s.Name == Lock }) {
		t.Errorf("a lock without a person: %v", steps)
	}
}
