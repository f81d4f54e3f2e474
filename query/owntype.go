package query

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// typed tells whether a scheme is for columns of one type and named after it, and its tokens are values of that type.
func typed(s sallyport.Scheme) bool {
	switch s {
	case sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return true
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text, sallyport.Date:
		return false
	}
	return false
}

func integer(s sallyport.Scheme) bool { return s == sallyport.Int4 || s == sallyport.Int8 }

// ownType is the scheme that is named after a type, where a column is protected by it: a cast to the type changes nothing then. A
// length would round.
func (a *analysis) ownType(t *pg.TypeName) (sallyport.Scheme, bool) {
	names, _ := fieldNames(t.GetNames())
	if len(a.schema.typed) == 0 || t.GetPctType() || t.GetSetof() || len(t.GetTypmods()) > 0 || len(names) == 0 || len(names) > 2 || len(names) == 2 && names[0] != "pg_catalog" {
		return "", false
	}
	name := names[len(names)-1]
	return sallyport.Scheme(name), a.schema.typed[sallyport.Scheme(name)]
}

// castToOwn keeps in a value what a cast to a protected type leaves as it is; false: the value has other parts.
func castToOwn(v value, to sallyport.Scheme) (value, bool) {
	if v.open || v.calc || v.mixed || v.cut || v.row != nil || len(v.sources)+len(v.stored) == 0 {
		return v, false
	}
	return keepOnly(v, func(s sallyport.Scheme) bool { return s == to }), true
}

// hasNumbers tells whether tokens that are numbers may be in a value: what is computed from several columns may hold any.
func (a *analysis) hasNumbers(v *value) bool {
	if !a.schema.typed[sallyport.Int4] && !a.schema.typed[sallyport.Int8] {
		return false
	}
	for _, s := range v.allStored() {
		if integer(s.protection.Scheme) {
			return true
		}
	}
	if v.mixed {
		return true
	}
	for i := range v.row {
		if a.hasNumbers(&v.row[i].value) {
			return true
		}
	}
	return false
}

// chosen tells whether a value is a number that somebody may have chosen, so that a function or operator could hold it against a
// token that is one.
func (v *value) chosen() bool {
	if v.digits || len(v.sources) > 0 {
		return true
	}
	for i := range v.row {
		if v.row[i].value.chosen() {
			return true
		}
	}
	return false
}
