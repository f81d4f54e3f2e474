package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Grant is time-boxed permission to see columns of at most so many customers, whatever the purpose. The configuration's list
// stands in for approvals until those exist.
type Grant struct {
	ID         string            `yaml:"id"`
	For        sallyport.Staff   `yaml:"for"`         // the beneficiary: a person or a service
	Columns    []string          `yaml:"columns"`     // schema.table.column
	Customers  int               `yaml:"customers"`   // most customers over the grant's life
	Until      time.Time         `yaml:"until"`       // the first moment at which it no longer holds
	ApprovedBy []sallyport.Staff `yaml:"approved_by"` // two people, neither the beneficiary
}

// ActiveGrants returns the grants of who that hold now, by id. What CheckGrants complains about is not active.
func ActiveGrants(grants []Grant, now time.Time, who sallyport.Staff) []Grant {
	var active []Grant
	for i := range grants {
		g := &grants[i]
		if g.For == who && now.Before(g.Until) && g.defect() == "" {
			active = append(active, *g)
		}
	}
	slices.SortFunc(active, func(a, b Grant) int { return cmp.Compare(a.ID, b.ID) })
	return active
}

// Problem is what is wrong with one key of the configuration. Path leads to it: "grants[0].approved_by".
type Problem struct{ Path, Text string }

// CheckGrants says what is wrong with the configured grants.
func CheckGrants(grants []Grant) []Problem {
	var problems []Problem
	seen := map[string]bool{}
	for i := range grants {
		g := &grants[i]
		at := fmt.Sprintf("grants[%d]", i)
		if key := g.defect(); key != "" {
			problems = append(problems, Problem{at + "." + key, defects(key)})
		}
		if g.ID != "" && seen[g.ID] {
			problems = append(problems, Problem{at + ".id", "two grants have this id"})
		}
		seen[g.ID] = true
	}
	return problems
}

// defect names the first key that keeps the grant from ever being active, empty where there is none.
func (g *Grant) defect() string {
	switch {
	case g.ID == "":
		return "id"
	case g.For == "":
		return "for"
	case len(g.Columns) == 0 || slices.ContainsFunc(g.Columns, func(c string) bool { return strings.Count(c, ".") != 2 }):
		return "columns"
	case g.Customers <= 0:
		return "customers"
	case g.Until.IsZero():
		return "until"
	case !g.approved():
		return "approved_by"
	}
	return ""
}

// approved holds a grant to two people for power: two different approvers, neither of them its subject. A beneficiary among
// the approvers spoils the grant, even beside two others.
func (g *Grant) approved() bool {
	different := map[sallyport.Staff]bool{}
	for _, by := range g.ApprovedBy {
		if by == g.For || by == "" {
			return false
		}
		different[by] = true
	}
	return len(different) >= 2
}

func defects(key string) string {
	switch key {
	case "id":
		return "a grant needs an id, which the record names it by"
	case "for":
		return "a grant needs the person or service that it is for"
	case "columns":
		return "a grant lists at least one column as schema.table.column"
	case "customers":
		return "a grant says for how many customers at most"
	case "until":
		return "a grant says until when it holds, for example 2026-12-31T00:00:00Z"
	}
	return "a grant is approved by two different people, neither of them the one it is for"
}
