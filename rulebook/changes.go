package rulebook

import (
	"fmt"
	"slices"
	"strings"

	"sallyport"
	"sallyport/policy"
)

// Change is a change as JSON.
type Change struct {
	Staff   []sallyport.Staff `json:"staff"`
	Action  string            `json:"action"`
	Columns []string          `json:"columns"`
	Gains   []string          `json:"gains,omitempty"`
	Loses   []string          `json:"loses,omitempty"`
	Changed bool              `json:"changed,omitempty"`
}

// Lines are a change for people.
func (p *Change) Lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s %s:\n", SomeStaff(p.Staff), p.Action, strings.Join(p.Columns, ", "))
	for _, g := range p.Gains {
		fmt.Fprintln(&b, "  gains:", g)
	}
	for _, l := range p.Loses {
		fmt.Fprintln(&b, "  loses:", l)
	}
	if p.Changed {
		fmt.Fprintln(&b, "  conditions read otherwise; no situation that was tried shows a difference")
	}
	return b.String()
}

// GroupChanges puts columns of which the same is true into one.
func GroupChanges(changes []policy.Change) (grouped []Change) {
	for _, c := range changes {
		p := Change{Staff: c.Who, Action: c.Action, Gains: c.Gains, Loses: c.Loses, Changed: c.Changed}
		i := slices.IndexFunc(grouped, func(g Change) bool {
			return g.Action == p.Action && slices.Equal(g.Staff, p.Staff) && slices.Equal(g.Gains, p.Gains) && slices.Equal(g.Loses, p.Loses)
		})
		if i < 0 {
			grouped, i = append(grouped, p), len(grouped)
		}
		grouped[i].Columns = append(grouped[i].Columns, AboutWhat(c.Action, c.Column))
	}
	return grouped
}

// AboutWhat is what a question to policies is about, for people.
func AboutWhat(action string, column sallyport.Column) string {
	if policy.OfSallyport(action) {
		return "Sallyport itself"
	}
	return strings.Trim(column.String(), ".")
}

// SomeStaff names people, the first few of many.
func SomeStaff(who []sallyport.Staff) string {
	const most = 8
	var names []string
	for _, w := range who {
		names = append(names, string(w))
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
