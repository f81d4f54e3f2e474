package serve

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"sallyport/api"
	"sallyport/policy"
	"sallyport/program"
	"sallyport/rulebook"
)

// rulebook answers what the policies say.
func (s *Server) rulebook() *api.Rulebook {
	if s.O.Config.File == "" {
		return nil
	}
	return &api.Rulebook{Policies: s.showPolicies, Replay: s.replayBudgets}
}

// showPolicies are the policies that hold, beside the written policy, with what their cases came to.
func (s *Server) showPolicies() (api.Policies, error) {
	out := api.Policies{Policies: []api.PolicyText{}, Documents: []api.WrittenDoc{}, Cases: []api.PolicyCase{}}
	set := s.policies.current()
	docs, err := s.O.Config.Documents()
	if err != nil {
		return out, &api.Problem{Status: 503, Code: "bad_document", Sentence: "A written policy cannot be read: " + err.Error() + ".", Hint: "See console.documents in docs/configuration.md."}
	}
	written := map[string]string{}
	for _, d := range docs {
		for _, p := range d.Paragraphs {
			written[d.Name+"#"+p.Number] = p.Number + " " + p.Text
		}
	}
	var enforcing []program.Enforcing
	for _, p := range set.All() {
		effect := "permit"
		if p.Forbids {
			effect = "forbid"
		}
		out.Policies = append(out.Policies, api.PolicyText{ID: p.Policy, Effect: effect, Because: p.Because, Document: p.Document, Paragraph: written[p.Document], Place: p.Place, Text: p.Cedar})
		enforcing = append(enforcing, program.Enforcing{ID: p.Policy, Document: p.Document, Place: p.Place})
	}
	out.Documents = s.writtenParts(docs, enforcing)
	if c := s.O.Config; c.Demonstration && c.PolicyFolder() == "" {
		out.Note = "This is a demonstration: a log-in at the database is good enough, and nobody confirms before a budget is used up. Cases and paragraphs about that do not hold."
	}
	if err := s.askCases(&out, set); err != nil {
		out.Problem = "The tests of the policies cannot be asked: " + err.Error()
	}
	return out, nil
}

// writtenParts says of each document where it and the policies part, and how many have read it.
func (s *Server) writtenParts(docs []*program.Document, enforcing []program.Enforcing) []api.WrittenDoc {
	var staff []program.Member
	for who, p := range s.staffing.now().People {
		if p.Employment != "left" {
			staff = append(staff, program.Member{Staff: who, Team: p.Place.Team, Role: p.Place.Role, Away: p.Employment == "leave"})
		}
	}
	drift := program.FindDrift(docs, enforcing, staff, s.program.Read)
	list := []api.WrittenDoc{}
	for i, d := range docs {
		v := drift.Documents[i]
		x := api.WrittenDoc{Name: d.Name, Version: hex.EncodeToString(d.Digest), Paragraphs: len(d.Paragraphs), Readers: v.Readers, Have: v.Have, Parts: []api.DataDrift{}}
		for _, p := range append(drift.Unenforced, drift.Broken...) {
			if strings.HasPrefix(p.Where, d.Name+"#") {
				x.Parts = append(x.Parts, api.DataDrift{Where: p.Where, What: p.What})
			}
		}
		if i == len(docs)-1 {
			for _, p := range drift.Unwritten {
				x.Parts = append(x.Parts, api.DataDrift{Where: p.Where, What: p.What})
			}
		}
		list = append(list, x)
	}
	return list
}

// askCases asks the tests beside the policies, each on its own company or on the configured one.
func (s *Server) askCases(out *api.Policies, set *policy.Set) error {
	c := s.O.Config
	texts, err := rulebook.Cases(c.PolicyFolder())
	if err != nil {
		return err
	}
	policies, err := s.heldTexts()
	if err != nil {
		return err
	}
	for _, text := range texts {
		cases, err := policy.ReadCases(text)
		if err != nil {
			return err
		}
		of := set
		if world, copiers := cases.World(); world != nil {
			var problems []policy.Problem
			if of, problems = policy.Load(policies, world, copiers); of == nil {
				return fmt.Errorf("the company of %s does not fit the policies: %w", filepath.Base(text.Name), &rulebook.Error{Problems: problems})
			}
		}
		for _, o := range cases.Run(of) {
			if o.Passed {
				out.Passed++
			} else {
				out.Cases = append(out.Cases, failedCase(&o))
			}
		}
	}
	return nil
}

func failedCase(o *policy.Outcome) api.PolicyCase {
	got, want := o.Trouble, o.Case.Then
	if got == "" {
		got = o.Ruling.Verdict.String() + " by " + o.Ruling.Policy()
	}
	if o.Case.By != "" {
		want += " by " + o.Case.By
	}
	return api.PolicyCase{Case: o.Case.Name, Place: o.Place, Want: want, Got: got}
}

// heldTexts are the texts of the policies that hold.
func (s *Server) heldTexts() ([]policy.Text, error) {
	c := s.O.Config
	if approved, _ := s.State.Files(); approved != "" {
		if b, err := keptBundle(s.O.Data, approved); err == nil && b.Config == c.Text {
			return b.textsOr(c), nil
		}
	}
	return rulebook.Texts(c, c.PolicyFolder())
}

// replayBudgets runs the record of the last days under other budgets, and today's policies.
func (s *Server) replayBudgets(ctx context.Context, days, percent int) (json.RawMessage, error) {
	c := *s.O.Config
	c.Roster = s.staffing.now()
	now, set := s.O.Clock(), s.policies.current()
	from := now.AddDate(0, 0, -days)
	report, err := rulebook.Replay(&c, ctx, rulebook.Replayed{
		Before: set, After: set, Access: s.AccessStream, Control: s.ControlStream, From: from, Until: now, Names: s.Names, Percent: percent,
		First: s.granting.days.from(dayOf(from) - usualDays - 1),
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(report)
}
