package policy

import (
	"os"
	"strings"
	"testing"
)

// trainingCases are what the optional policies about training say once somebody has taken the comment signs away.
const trainingCases = `
company:
  staff: {ada: {role: agent, team: eu}, lea: {role: lead, team: eu}}
  services: {svc_billing: {team: services}}
  columns: {support.customers.email: {class: contact, scheme: email}}
cases:
  - {case: nothing overdue, who: ada, column: support.customers.email, why: {kind: ticket, mine: true}, then: reveal, by: reason.own-ticket}
  - {case: overdue since today he still works, who: ada, column: support.customers.email, why: {kind: ticket, mine: true}, with: {overdue: 1}, then: reveal, by: reason.own-ticket}
  - {case: but takes nothing along, who: ada, do: export, column: support.customers.email, grant: {customers: 10, left: 10}, with: {overdue: 1}, then: deny, by: training.no-export}
  - {case: with a grant and nothing overdue he does, who: ada, do: export, column: support.customers.email, grant: {customers: 10, left: 10}, then: reveal}
  - {case: for two weeks he works, who: ada, column: support.customers.email, why: {kind: ticket, mine: true}, with: {overdue: 14}, then: reveal, by: reason.own-ticket}
  - {case: then a colleague must agree, who: ada, column: support.customers.email, why: {kind: ticket, mine: true}, with: {overdue: 15}, then: wait, by: training.second-person}
  - {case: who did, who: ada, column: support.customers.email, why: {kind: ticket, mine: true}, with: {overdue: 15, second: 5}, then: reveal, by: reason.own-ticket}
  - {case: after a month he gets masks, who: ada, column: support.customers.email, why: {kind: ticket, mine: true}, with: {overdue: 32, second: 5}, then: mask, by: training.mask}
  - {case: a lead too, who: lea, column: support.customers.email, why: {kind: ticket, mine: true}, with: {overdue: 32, second: 5}, then: mask, by: training.mask}
  - {case: overdue opens nothing, who: ada, column: support.customers.email, with: {overdue: 32, second: 5}, then: token, by: default}
  - {case: a program learns nothing, who: svc_billing, do: export, column: support.customers.email, grant: {customers: 10, left: 10}, with: {overdue: 400}, then: reveal}
`

// TestOptionalTraining: as it comes overdue training changes nothing; with the comment signs taken away each of the policies does what its sentence says, and
// none of them is without a case that fails where it is missing.
func TestOptionalTraining(t *testing.T) {
	cases, err := ReadCases(Text{Name: "training.yaml", Content: trainingCases})
	if err != nil {
		t.Fatal(err)
	}
	world, copiers := cases.World()
	raw, err := os.ReadFile("defaults/training.cedar")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(raw)) {
		if code := strings.TrimPrefix(line, "// "); strings.HasPrefix(code, "@") || strings.HasPrefix(code, "forbid") || strings.HasPrefix(code, "when") || strings.HasPrefix(code, "unless") {
			text.WriteString(code)
		}
	}
	run := func(without string) (failed []string) {
		texts := Defaults(false)
		for i := range texts {
			if texts[i].Name == "training.cedar" {
				texts[i].Content = text.String()
			}
		}
		set, problems := Load(texts, world, copiers)
		if len(problems) > 0 {
			t.Fatalf("%v", problems)
		}
		set.memory = nil
		set.permits, set.forbids = drop(set.permits, without), drop(set.forbids, without)
		for _, o := range cases.Run(set) {
			if !o.Passed {
				failed = append(failed, o.Case.Name+": "+o.Trouble+o.Ruling.Verdict.String()+" by "+o.Ruling.Policy())
			}
		}
		return failed
	}
	if failed := run(""); len(failed) > 0 {
		t.Errorf("%s", strings.Join(failed, "\n"))
	}
	for _, id := range []string{"training.no-export", "training.second-person", "training.mask"} {
		if len(run(id)) == 0 {
			t.Errorf("no case fails without %s", id)
		}
	}
	set, _ := load(t, false)
	for id := range set.rules {
		if strings.HasPrefix(string(id), "training.") {
			t.Errorf("%s holds without anybody having said so", id)
		}
	}
}
