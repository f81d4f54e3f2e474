package catalog

import (
	"maps"
	"slices"
)

// inheritProtection gives what is protected and masked of a table to everything that inherits from it.
func (b *builder) inheritProtection() {
	for _, r := range b.parentsFirst() {
		for _, child := range r.children {
			inherit(r, child)
		}
	}
}

// parentsFirst are all relations, each behind those that it inherits from. A table may inherit from the same one by many ways.
func (b *builder) parentsFirst() []*relation {
	var order []*relation
	seen := map[*relation]bool{}
	for _, oid := range slices.Sorted(maps.Keys(b.relations)) {
		childrenFirst(b.relations[oid], seen, func(r *relation) { order = append(order, r) })
	}
	slices.Reverse(order)
	return order
}

// childrenFirst visits everything that inherits from a relation, and then the relation, unless it was seen.
func childrenFirst(r *relation, seen map[*relation]bool, visit func(*relation)) {
	if seen[r] {
		return
	}
	seen[r] = true
	for _, child := range r.children {
		childrenFirst(child, seen, visit)
	}
	visit(r)
}

// inherit gives a table's protected and masked columns to one that inherits from it.
func inherit(r, child *relation) {
	for _, c := range r.columns {
		from, own := r.origins[c.Number], child.column(c.Name)
		if own == nil {
			continue
		}
		to := &child.origins[own.Number]
		if from.Protected != nil {
			to.Protected = from.Protected
		}
		if from.Masked != nil {
			to.Masked = from.Masked
		}
		if from.Parted != nil {
			to.Parted = from.Parted
		}
	}
}

// withParts calls mark for a table and everything that inherits from it.
func withParts(r *relation, mark func(*relation)) {
	childrenFirst(r, map[*relation]bool{}, mark)
}
