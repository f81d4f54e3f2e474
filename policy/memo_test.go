package policy

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"sallyport"
)

// odd are policies that read the context in every way there is.
const odd = `
@id("a") @because("a") permit (principal, action == Action::"reveal", resource) when { context has purpose && context.purpose.minutes < 3 };
@id("b") @because("b") permit (principal, action == Action::"reveal", resource) when { context has mfaMinutes && context.trust > 1 };
@id("c") @because("c") permit (principal, action == Action::"search", resource) when { context has purpose && (if context.purpose.open then context.purpose else context.purpose).looks > 1 };
@id("d") @because("d") permit (principal, action == Action::"write", resource) when { context has secondMinutes && context["secondMinutes"] < 2 };
@id("e") @because("e") permit (principal, action == Action::"export", resource) when { [context.seenHour, context.hour].contains(2) };
@id("f") @because("f") permit (principal, action == Action::"query", resource) when { context has purpose && context.purpose == context.purpose && context.purpose.lookers == 1 };
@id("g") @because("g") permit (principal, action == Action::"copy", resource) when { context == context && context.seenDay > 1 };
`

// TestMemoryAnswersAlike holds remembered answers to those that are worked out.
func TestMemoryAnswersAlike(t *testing.T) {
	column := sallyport.Column{Schema: "s", Table: "t", Name: "c"}
	w := &World{Roles: Roles(), Staff: []Member{{ID: "p", Role: "agent"}}, Columns: []Column{{Column: column, Class: sallyport.Contact}}}
	set, problems := Load([]Text{{Name: "odd.cedar", Content: odd}}, w, Copiers{})
	if set == nil {
		t.Fatal(problems)
	}
	defaults, problems := Load(Defaults(false), w, Copiers{})
	if defaults == nil {
		t.Fatal(problems)
	}
	small := func(t *rapid.T, name string) int64 { return rapid.Int64Range(-1, 3).Draw(t, name) }
	permitted := 0
	rapid.Check(t, func(t *rapid.T) {
		a := Ask{Who: "p", Action: rapid.SampledFrom(Actions()).Draw(t, "action"), Column: column, Context: Context{
			Strength: rapid.SampledFrom(Strengths()).Draw(t, "strength"), Trust: small(t, "trust"), MFAMinutes: small(t, "mfa"), SecondMinutes: small(t, "second"),
			Hour: small(t, "hour"), SeenHour: small(t, "seen"), SeenDay: small(t, "day"),
		}}
		if rapid.Bool().Draw(t, "purposed") {
			a.Context.Purpose = &sallyport.Reason{Kind: Ticket, Open: true, Mine: rapid.Bool().Draw(t, "mine"), Minutes: small(t, "minutes"), Looks: small(t, "looks"), Lookers: small(t, "lookers")}
		}
		for _, s := range []*Set{set, defaults} {
			want := s.decide(&a)
			if got := s.Decide(a); !reflect.DeepEqual(got, want) {
				t.Fatalf("remembered %+v, worked out %+v", got, want)
			}
			if want.Verdict == sallyport.Reveal {
				permitted++
			}
		}
	})
	if permitted == 0 {
		t.Error("nothing was permitted: the questions prove little")
	}
}

// TestMemoryIsBounded asks more questions than it keeps.
func TestMemoryIsBounded(t *testing.T) {
	set, _ := load(t, false)
	for i := range int64(mostRemembered + 10) {
		set.Decide(Ask{Who: "s017", Action: ActionReveal, Context: Context{Trust: i}})
	}
	if n := len(set.memory.answers); n == 0 || n > mostRemembered {
		t.Errorf("%d answers are kept, at most %d may be", n, mostRemembered)
	}
}

// TestLiveMember: what is remembered of somebody does not outlive a change of who he is.
func TestLiveMember(t *testing.T) {
	w := &World{Roles: []string{"agent", "lead", "security"}, Teams: []string{"t"}, Columns: []Column{{Column: sallyport.Column{Schema: "a", Table: "b", Name: "c"}, Class: sallyport.Contact}}}
	set, problems := Load(Defaults(true), w, Copiers{})
	if set == nil {
		t.Fatal(problems)
	}
	m, known := Member{ID: "x", Team: "t", Role: "agent"}, true
	live := set.Live(func(sallyport.Staff) (Member, bool) { return m, known })
	c := usual()
	c.Purpose = &sallyport.Reason{Kind: Ticket, Covers: true, Open: true, Mine: true, Contacted: true}
	reads := func() bool {
		a := Ask{Who: "x", Action: ActionReveal, Column: w.Columns[0].Column, Context: c}
		first := live.Decide(a)
		if again := live.Decide(a); again.Verdict != first.Verdict {
			t.Errorf("asked again: %v, then %v", first.Verdict, again.Verdict)
		}
		return first.Verdict == sallyport.Reveal
	}
	for _, step := range []struct {
		m     Member
		known bool
		want  bool
	}{
		{Member{ID: "x", Role: "agent"}, true, true},
		{Member{ID: "x", Role: "agent", Employment: "left"}, true, false},
		{Member{ID: "x", Role: "agent", Employment: "leave"}, true, false},
		{Member{ID: "x", Role: "agent"}, true, true},
		{Member{ID: "x"}, true, false},
		{Member{}, false, false},
		{Member{ID: "x", Role: "lead"}, true, true},
	} {
		m, known = step.m, step.known
		if got := reads(); got != step.want {
			t.Errorf("%+v reads: %v", step, got)
		}
	}
	if set.Decide(Ask{Who: "x", Action: ActionReveal, Column: w.Columns[0].Column, Context: c}).Verdict == sallyport.Reveal {
		t.Error("the set itself knows nobody, and remembers what a live one said")
	}
}
