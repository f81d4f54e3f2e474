package policy

import (
	"strings"
	"testing"

	"sallyport"
)

// TestReasonFacts: policies may ask everything that is known of a reason, by its name, and are held to the names that there are.
func TestReasonFacts(t *testing.T) {
	_, cases := load(t, false)
	world, copiers := cases.World()
	if len(world.Staff) < 2 {
		t.Fatal("a company of one")
	}
	me, other := world.Staff[0].ID, world.Staff[1].ID
	column := world.Columns[0].Column
	set := func(condition string) (*Set, []Problem) {
		text := `@id("x") @because("x") permit (principal, action == Action::"reveal", resource) when { context has purpose && ` + condition + ` };`
		return Load([]Text{{Name: "x.cedar", Content: text}}, world, copiers)
	}
	whole := sallyport.Reason{
		Kind: Ticket, Covers: true, Open: true, State: "open", Minutes: 90, Contacted: true, Looks: 9, Lookers: 3, OwnLooks: 2,
		Assignee: me, OpenedBy: other, AssignedBy: other, OpenedByProgram: "customer", AssignedByProgram: "router",
	}
	for condition, hold := range map[string]bool{
		`context.purpose.looks > 8 && context.purpose.looks < 10`:                                        true,
		`context.purpose.lookers == 3`:                                                                   true,
		`context.purpose.looks - context.purpose.ownLooks == 7`:                                          true,
		`context.purpose has assignee && context.purpose.assignee == principal`:                          true,
		`context.purpose has openedBy && context.purpose.openedBy != principal`:                          true,
		`context.purpose has assignedBy && context.purpose.assignedBy == Staff::"` + string(other) + `"`: true,
		`context.purpose has openedByProgram && context.purpose.openedByProgram == "customer"`:           true,
		`context.purpose has assignedByProgram && context.purpose.assignedByProgram like "rou*"`:         true,
		`context.purpose.contacted && context.purpose.minutes > 60 && context.purpose.state == "open"`:   true,
		`context.purpose has assignedBy && context.purpose.assignedBy == principal`:                      false,
		`context.purpose has openedByProgram && context.purpose.openedByProgram == "router"`:             false,
	} {
		s, problems := set(condition)
		if len(problems) > 0 {
			t.Errorf("%s: %v", condition, problems)
			continue
		}
		ask := Ask{Who: me, Action: ActionReveal, Column: column, Context: usual()}
		ask.Context.Purpose = &whole
		if got := s.Decide(ask).Verdict == sallyport.Reveal; got != hold {
			t.Errorf("%s: %t", condition, got)
		}
		ask.Context.Purpose = &sallyport.Reason{Kind: Ticket}
		if strings.Contains(condition, " has ") && strings.Contains(condition, "purpose has") && s.Decide(ask).Verdict == sallyport.Reveal {
			t.Errorf("%s holds of a reason of which nothing is known", condition)
		}
	}
	for _, condition := range []string{`context.purpose.openedBy == principal`, `context.purpose.asignee == principal`, `context.purpose.openedByProgram == 7`} {
		if _, problems := set(condition); len(problems) == 0 {
			t.Errorf("%s is taken", condition)
		}
	}
}
