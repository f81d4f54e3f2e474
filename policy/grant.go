package policy

import (
	"cmp"
	"slices"
	"time"

	"sallyport"
)

// Grant is time-boxed permission to see columns of at most so many customers, whatever the purpose. The configuration's list
// stands in for approvals until those exist.
type Grant struct {
	ID         string            `yaml:"id"`          // which no other grant has
	For        sallyport.Staff   `yaml:"for"`         // the beneficiary: a person or a service
	Columns    []string          `yaml:"columns"`     // schema.table.column
	Customers  int               `yaml:"customers"`   // most customers over the grant's life
	Until      time.Time         `yaml:"until"`       // the first moment at which it no longer holds
	ApprovedBy []sallyport.Staff `yaml:"approved_by"` // two people, neither the beneficiary
}

// ActiveGrants returns the grants of who that hold now, by id. A grant that lacks anything, or whose approvers are not two people
// beside its beneficiary, never holds, whatever a check of the configuration let pass.
func ActiveGrants(grants []Grant, now time.Time, who sallyport.Staff) []Grant {
	var active []Grant
	for i := range grants {
		g := &grants[i]
		if g.For == who && now.Before(g.Until) && g.sound() {
			active = append(active, *g)
		}
	}
	slices.SortFunc(active, func(a, b Grant) int { return cmp.Compare(a.ID, b.ID) })
	return active
}

// sound tells whether the grant can be active at all.
func (g *Grant) sound() bool {
	return g.ID != "" && g.For != "" && len(g.Columns) > 0 && g.Customers > 0 && !g.Until.IsZero() && g.approved()
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
