package catalog

import (
	"slices"

	"sallyport"
)

// A row of tickets is what its messages hang on: they are the customer's whose it is. Changing its key or its customer is copying (Link); so
// is taking it away and putting another one with its key in its place, which leaves the messages to another customer. A
// foreign key stands in the way of that, unless both are done by one statement, or the key waits for the end of the transaction.

// anchor marks a column by whose values rows of another table find their customer. holds says that an immediate foreign key keeps a row
// from being taken away while others hang on it.
func (b *builder) anchor(r *relation, column string, holds bool) {
	name := sallyport.Column{Schema: r.Schema, Table: r.Name, Name: column}
	withParts(r, func(part *relation) {
		part.anchors = with(part.anchors, name)
		if !holds {
			part.adrift = with(part.adrift, name)
		}
	})
}

// held tells whether a foreign key leads from one column to another that is looked at with every statement. One that is not validated may
// have been made when rows hung on nothing, and one that is not enforced is not validated either.
func (b *builder) held(from *relation, column *rawColumn, to *relation, target *rawColumn) bool {
	return slices.ContainsFunc(b.raw.foreign, func(f rawForeign) bool {
		return f.Relation == from.OID && f.Column == column.Number && f.References == to.OID && f.ReferencesColumn == target.Number && f.Immediate
	})
}

// spreadAnchors passes on to views what is deleted and inserted through them, and to tables what is deleted with their rows.
func (b *builder) spreadAnchors() {
	for again := true; again; {
		again = false
		pass := func(below, above *relation, anchors bool) {
			if below == nil || above == nil {
				return
			}
			before := len(above.anchors) + len(above.adrift)
			if anchors {
				above.anchors = with(above.anchors, below.anchors...)
			}
			above.adrift = with(above.adrift, below.adrift...)
			again = again || len(above.anchors)+len(above.adrift) > before
		}
		for _, v := range b.relations {
			for _, u := range v.uses {
				pass(b.relations[u.Relation], v, true)
			}
		}
		for _, f := range b.raw.foreign {
			if f.Cascades {
				pass(b.relations[f.Relation], b.relations[f.References], false)
			}
		}
	}
}

// with adds columns to a list that holds each once.
func with(list []sallyport.Column, more ...sallyport.Column) []sallyport.Column {
	for _, c := range more {
		if !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}
