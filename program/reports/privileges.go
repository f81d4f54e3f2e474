package reports

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/policy"
	"sallyport/program"
	"sallyport/replay"
	"sallyport/rulebook"
)

// PrivilegesFound is what is allowed beside what was used, and a smaller policy; nil: there is none to propose.
type PrivilegesFound struct {
	Privileges *program.Privileges `json:"privileges"`
	Proposal   *SmallerPolicy      `json:"proposal"`
}

// privilegesReport has people by what they are called. Where that is a pseudonym their teams are left out, and the order, since both would lead to them.
func (r *Record) privilegesReport(ctx context.Context, q *api.ReportQuestion) (*PrivilegesFound, error) {
	if q.Longer <= 0 || q.Longer > 3660 {
		return nil, config.Usagef("%d days; expected --replay-days 365, or another number from 1 to 3660", q.Longer)
	}
	p, err := r.privileges(ctx, q.Days)
	if err != nil {
		return nil, err
	}
	out := &PrivilegesFound{Privileges: p}
	if len(p.Propose) > 0 {
		if out.Proposal, err = r.smaller(ctx, p, cmp.Or(q.Paragraph, "access-policy.md#4.4"), q.Longer); err != nil {
			return nil, err
		}
	}
	for i := range p.People {
		x := &p.People[i]
		if called := sallyport.Staff(r.Call(x.Staff)); called != x.Staff {
			x.Staff, x.Team, x.Role = called, "", ""
		}
	}
	slices.SortFunc(p.People, func(a, b program.PersonUse) int { return cmp.Compare(a.Staff, b.Staff) })
	return out, nil
}

// privileges are what today's policies allow beside what was used.
func (r *Record) privileges(ctx context.Context, days int) (*program.Privileges, error) {
	var allowed []program.Allowed
	for _, a := range r.Set.WhoCan(policy.ActionReveal) {
		if len(a.Ways) == 0 || a.Service || slices.ContainsFunc(a.Unless, func(w policy.Way) bool { return w.If == "" && w.Respond == policy.Refuse }) {
			continue
		}
		for _, who := range a.Who {
			if p, ok := r.Roster.People[who]; ok {
				allowed = append(allowed, program.Allowed{Staff: who, Team: p.Place.Team, Role: p.Place.Role, Column: a.Column.String()})
			}
		}
	}
	uses := program.NewUses(r.Now.AddDate(0, 0, -days), r.Now)
	if err := r.accesses(ctx, uses.Access); err != nil {
		return nil, err
	}
	return program.ComparePrivileges(allowed, uses), nil
}

// SmallerPolicy is a proposal with what it would have meant.
type SmallerPolicy struct {
	Removes  float64           `json:"removes"`  // share of what is allowed
	Accesses int               `json:"accesses"` // that it would have hindered
	People   int               `json:"people"`
	ReplayOf int               `json:"replay_days"`
	Replay   *replay.Report    `json:"replay"`
	Diff     []rulebook.Change `json:"diff"`
	Cedar    string            `json:"cedar"`
	Files    []policy.Text     `json:"files,omitempty"` // today's policies and that one
}

func (r *Record) smaller(ctx context.Context, p *program.Privileges, document string, days int) (*SmallerPolicy, error) {
	texts, err := rulebook.Texts(r.Config, r.Config.PolicyFolder())
	if err != nil {
		return nil, err
	}
	s := &SmallerPolicy{Removes: p.Removes, Cedar: p.Cedar(document), ReplayOf: days}
	s.Files = append(slices.Clone(texts), policy.Text{Name: "unused.cedar", Content: s.Cedar})
	after, _, err := rulebook.LoadTexts(r.Config, s.Files)
	if err != nil {
		return nil, err
	}
	s.Replay, err = rulebook.Replay(r.Config, ctx, rulebook.Replayed{Before: r.Set, After: after, Access: r.Access, Control: r.Control, From: r.Now.AddDate(0, 0, -days), Until: r.Now, Names: r.Names})
	if err != nil {
		return nil, err
	}
	for _, x := range s.Replay.Refused {
		if strings.Contains(x.Policy, "unused.") {
			s.Accesses += x.New
			s.People = max(s.People, x.People)
		}
	}
	s.Diff = rulebook.GroupChanges(policy.Diff(r.Set, after))
	return s, nil
}

// Write puts the policies into a folder, if there are any and a folder is named; they are not printed with the rest.
func (s *SmallerPolicy) Write(folder string) error {
	if s == nil {
		return nil
	}
	files := s.Files
	s.Files = nil
	if folder == "" {
		return nil
	}
	if err := os.Mkdir(folder, 0o750); err != nil {
		return config.Usagef("write the smaller policies: %w", err)
	}
	for _, t := range files {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(t.Name)), []byte(t.Content), 0o640); err != nil { //nolint:gosec // policies are read by whoever administers
			return fmt.Errorf("write the smaller policies: %w", err)
		}
	}
	return nil
}
