package policy

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// load is the default policies on the company of their cases.
func load(t testing.TB, demonstration bool) (*Set, *Cases) {
	t.Helper()
	cases, err := ReadCases(DefaultCases())
	if err != nil {
		t.Fatal(err)
	}
	world, copiers := cases.World()
	set, problems := Load(Defaults(demonstration), world, copiers)
	if len(problems) > 0 {
		t.Fatalf("the default policies: %v", problems)
	}
	return set, cases
}

// TestDefaults asks every case of the default policies.
func TestDefaults(t *testing.T) {
	set, cases := load(t, false)
	outcomes := cases.Run(set)
	if len(outcomes) < 80 {
		t.Errorf("%d cases, at least 80 are due", len(outcomes))
	}
	decided := map[string]bool{}
	for _, o := range outcomes {
		if !o.Passed {
			t.Errorf("%s: %s: %s %s by %s, want %s by %s", o.Place, o.Case.Name, o.Trouble, o.Ruling.Verdict, o.Ruling.Policy(), o.Case.Then, o.Case.By)
		}
		for _, id := range o.Ruling.Policies {
			decided[id] = true
		}
	}
	for id := range set.rules {
		if !decided[string(id)] {
			t.Errorf("no case is decided by %s", id)
		}
	}
}

// TestEveryCaseCounts takes each policy away in turn: some case must then fail, or the policy does nothing that anybody checks.
func TestEveryCaseCounts(t *testing.T) {
	set, cases := load(t, false)
	for id := range set.rules {
		without := *set
		without.memory = nil
		without.permits, without.forbids = drop(set.permits, string(id)), drop(set.forbids, string(id))
		failed := 0
		for _, o := range cases.Run(&without) {
			if !o.Passed {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("without %s every case passes", id)
		}
	}
}

func drop(of map[string]policies, id string) map[string]policies {
	out := map[string]policies{}
	for action, ps := range of {
		for _, r := range ps {
			if r.id != id {
				out[action] = append(out[action], r)
			}
		}
	}
	return out
}

// TestLoadProblems holds mistakes to a place and a sentence.
func TestLoadProblems(t *testing.T) {
	world := &World{
		Teams: []string{"support-eu"}, Roles: Roles(), Staff: []Member{{ID: "s001", Team: "support-eu", Role: "agent"}}, Services: []Service{{ID: "svc"}},
		Columns: []Column{{Column: sallyport.Column{Schema: "support", Table: "customers", Name: "email"}, Class: sallyport.Contact, Scheme: sallyport.Email}},
	}
	const good = "@id(\"a\")\n@because(\"b\")\n"
	for _, c := range []struct {
		what, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"a good one", good + `permit (principal in Team::"support-eu", action == Action::"reveal", resource in Class::"contact");`, nil},
		{"an unknown team", good + `permit (principal in Team::"suport-eu", action == Action::"reveal", resource);`, []string{`x.cedar:3:22: there is no team "suport-eu"`}},
		{"an unknown role in a condition", good + "permit (principal, action == Action::\"reveal\", resource)\nwhen {\n  principal in Role::\"agnt\" };", []string{`x.cedar:5:16: there is no role "agnt"`}},
		{"an unknown kind", good + `permit (principal, action == Action::"reveal", resource) when { context has purpose && context.purpose.kind == Kind::"tiket" };`, []string{`x.cedar:3:112: there is no kind "tiket"`}},
		{"an unknown column", good + `permit (principal, action == Action::"reveal", resource == Column::"support.customers.mail");`, []string{`x.cedar:3:60: there is no column "support.customers.mail"`}},
		{"somebody who left", good + `permit (principal == Staff::"s002", action == Action::"reveal", resource);`, []string{`x.cedar:3:22: there is no staff "s002" (warning)`}},
		{"an unknown attribute", good + `permit (principal, action == Action::"reveal", resource) when { context.trst > 3 };`, []string{"x.cedar:3:73: attribute `trst` in context for Action::\"reveal\" not found"}},
		{"an attribute that may be absent", good + `permit (principal, action == Action::"reveal", resource) when { context.purpose.open };`, []string{"x.cedar:3:73: unable to guarantee safety of access to optional attribute `purpose` in context for Action::\"reveal\""}},
		{"a text for a number", good + `permit (principal, action == Action::"reveal", resource) when { context.trust > "3" };`, []string{"x.cedar:3:1: unexpected type: expected Long but saw String"}},
		{"an unknown action", good + `permit (principal, action == Action::"revel", resource);`, []string{"x.cedar:3:1: unable to find an applicable action given the policy scope constraints", "x.cedar:3:30: unrecognized action `Action::\"revel\"`"}},
		{"no id", `@because("b") permit (principal, action == Action::"reveal", resource);`, []string{`x.cedar:1:15: the policy has no id: write @id("…") before it`}},
		{"no reason", `@id("a") permit (principal, action == Action::"reveal", resource);`, []string{`x.cedar:1:10: the policy has no reason: write @because("…"), the sentence that people read`}},
		{"an unknown answer", good + `@respond("scold") forbid (principal, action == Action::"reveal", resource);`, []string{`x.cedar:3:1: there is no answer "scold": use one of throttle, step_up, second_person, mask, suspend`}},
		{"an answer of a permit", good + `@respond("mask") permit (principal, action == Action::"reveal", resource);`, []string{`x.cedar:3:1: only a forbid answers: take @respond away`}},
		{"an unknown annotation", good + `@becuase("x") permit (principal, action == Action::"reveal", resource);`, []string{`x.cedar:3:1: there is no annotation @becuase: use @id, @because, @document, @respond`}},
		{"one id twice", good + "permit (principal, action == Action::\"reveal\", resource);\n" + good + "permit (principal, action == Action::\"reveal\", resource);", []string{`x.cedar:4:1: the id "a" is that of the policy at x.cedar:1 too`}},
		{"no Cedar", good + `permit (principal, action = Action::"reveal", resource);`, []string{`x.cedar:3:29: this is not Cedar: "Action": exact got = want ,`}},
	} {
		set, problems := Load([]Text{{Name: "x.cedar", Content: c.text}}, world, Copiers{})
		var got []string
		bad := false
		for _, p := range problems {
			line := p.String()
			if p.Warning {
				line += " (warning)"
			}
			bad = bad || !p.Warning
			got = append(got, line)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
		if (set == nil) != bad {
			t.Errorf("%s: a set: %t", c.what, set != nil)
		}
	}
}

// TestForbidThatFails holds a forbid that cannot be evaluated to forbidding (in Cedar's own order it would be skipped), and a permit to
// permitting nothing.
func TestForbidThatFails(t *testing.T) {
	const overflow = `when { context.trust * 9223372036854775807 > 0 };`
	for effect, want := range map[string]sallyport.Verdict{"forbid": sallyport.Deny, "permit": sallyport.Deny} {
		text := `@id("fails") @because("x") ` + effect + ` (principal, action == Action::"query", resource) ` + overflow
		if effect == "forbid" {
			text += `@id("all") @because("x") permit (principal, action, resource);`
		}
		set, problems := Load([]Text{{Name: "x.cedar", Content: text}}, &World{Roles: Roles()}, Copiers{})
		if set == nil {
			t.Fatal(problems)
		}
		if got := set.Decide(Ask{Who: "s001", Action: ActionQuery, Context: usual()}); got.Verdict != want {
			t.Errorf("a %s that fails: %+v", effect, got)
		}
	}
}

// TestNoSet holds no policies to permitting nothing.
func TestNoSet(t *testing.T) {
	var none *Set
	for _, action := range Actions() {
		if got := none.Decide(Ask{Who: "s001", Action: action, Context: usual()}); got.Verdict != sallyport.Deny && got.Verdict != sallyport.Token {
			t.Errorf("%s: %+v", action, got)
		}
	}
	if (Ruling{}).Verdict != sallyport.Deny || (Ruling{}).Policy() != ByDefault {
		t.Error("the zero ruling does not deny")
	}
}

func BenchmarkDecide(b *testing.B) {
	set, cases := load(b, false)
	var asks []Ask
	for _, o := range cases.Run(set) {
		asks = append(asks, o.Ask)
	}
	set.memory = nil // what it remembers costs a look into a map, see BenchmarkDecideAgain
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		set.Decide(asks[i%len(asks)])
		i++
	}
}

// BenchmarkDecideLive asks about people as the directory has them at that moment, as a gateway does.
func BenchmarkDecideLive(b *testing.B) {
	set, cases := load(b, false)
	var asks []Ask
	for _, o := range cases.Run(set) {
		asks = append(asks, o.Ask)
	}
	people := map[sallyport.Staff]Member{}
	for _, m := range set.world.Staff {
		people[m.ID] = m
	}
	set.memory = nil
	set = set.Live(func(who sallyport.Staff) (Member, bool) {
		m, ok := people[who]
		return m, ok
	})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		set.Decide(asks[i%len(asks)])
		i++
	}
}

func BenchmarkDecideAgain(b *testing.B) {
	set, cases := load(b, false)
	var asks []Ask
	for _, o := range cases.Run(set) {
		asks = append(asks, o.Ask)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		set.Decide(asks[i%len(asks)])
		i++
	}
}

// TestDecisionTime logs what a decision takes, under the default policies: the first time, and where the same was asked before. docs/policies.md has the
// figures. On a busy machine the processor's time is what a decision costs.
func TestDecisionTime(t *testing.T) {
	for name, bench := range map[string]func(*testing.B){"a decision": BenchmarkDecide, "a decision about somebody of a live directory": BenchmarkDecideLive, "the same once more": BenchmarkDecideAgain} {
		before, all := processor(t), 0
		r := testing.Benchmark(func(b *testing.B) { bench(b); all += b.N })
		if r.N == 0 {
			t.Fatal("nothing was decided")
		}
		t.Logf("%s: %.2f µs by the clock, about %.2f µs of the processor, %d allocations", name, float64(r.T.Nanoseconds())/float64(r.N)/1000,
			float64((processor(t)-before).Nanoseconds())/float64(all)/1000, r.AllocsPerOp())
	}
}

// processor is what this process has had of it.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
