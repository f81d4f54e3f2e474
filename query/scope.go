package query

import (
	"cmp"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// scope is what names mean at one place of a statement. Sub-selects see the scopes around them.
type scope struct {
	outer *scope // the query around
	left  *scope // what a LATERAL item inside a join sees to the join's left
	ctes  map[string]*cte
	items []*item
	star  []field // what * stands for
	vague bool    // * stands for more than star, and where is not known
}

// item is one entry of a FROM list, by the name that references use.
type item struct {
	name     string
	columns  []field
	relation *Relation
	vague    bool  // has columns that are not known
	rest     value // what those may be
	shy      bool  // is found by qualified names only
}

// cte is one WITH query.
type cte struct {
	query   *pg.CommonTableExpr
	scope   *scope // where it was written
	result  result
	done    bool
	busy    bool
	started bool // result holds what is known while it is busy
}

// result is what a query returns.
type result struct {
	columns []field
	vague   bool // there are further columns, and their places are not known
}

// inner opens a scope below.
func (s *scope) inner() *scope { return &scope{outer: s} }

// next is where names are looked up after s.
func (s *scope) next() *scope {
	if s.left != nil {
		return s.left
	}
	return s.outer
}

// aside is the scope without its own FROM items: what a sub-select that is not LATERAL sees.
func (s *scope) aside() *scope { return &scope{outer: s.outer, ctes: s.ctes} }

// add puts a FROM item and its columns into the scope.
func (s *scope) add(it *item) {
	s.items = append(s.items, it)
	s.star = append(s.star, it.fields()...)
	s.vague = s.vague || it.vague
}

// fields are the item's columns as references to it, as * yields them.
func (it *item) fields() []field {
	out := make([]field, len(it.columns))
	for i, f := range it.columns {
		out[i] = field{f.name, f.value.named(it, f.name, span{})}
	}
	return out
}

// whole is the item as one row value.
func (it *item) whole() value {
	if it.vague {
		v := value{open: true}
		for _, f := range it.fields() {
			v.sources = join(v.sources, f.value.allSources())
			v.mixed, v.of = v.mixed || f.value.protected(), cmp.Or(v.of, f.value.origin())
			v = v.madeFrom(f.value)
		}
		v.mixed = v.mixed || it.rest.protected()
		return v.madeFrom(it.rest)
	}
	return value{row: it.fields()}
}

// protected tells whether any column of the item holds something protected.
func (it *item) protected() bool {
	for i := range it.columns {
		if it.columns[i].value.protected() {
			return true
		}
	}
	return it.rest.protected()
}

// cte finds a WITH query by name.
func (s *scope) cte(name string) *cte {
	for ; s != nil; s = s.next() {
		if c, ok := s.ctes[name]; ok {
			return c
		}
	}
	return nil
}

// systemColumn tells whether every table has a column of that name that holds no data.
func systemColumn(name string) bool {
	switch name {
	case "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid":
		return true
	}
	return false
}

// column resolves a bare name: the innermost scope that has it wins. An item whose columns are not known may have it, so
// then what the outer scopes have counts too. found is false where no scope is sure to have it.
func (s *scope) column(name string, ref span) (v value, found bool) {
	for ; s != nil; s = s.next() {
		here, sure, vague := s.ownColumn(name, ref)
		if sure { // were it in a vague item too, the server would call it ambiguous
			return either(v, here), true
		}
		if vague {
			for _, it := range s.items {
				v = either(v, it.rest)
			}
			v.open = true
		}
	}
	return v, false
}

// ownColumn resolves a bare name in this scope alone. sure says that an item has such a column, vague that one whose columns
// are not known may have it.
func (s *scope) ownColumn(name string, ref span) (v value, sure, vague bool) {
	for _, it := range s.items {
		if it.shy {
			continue
		}
		for _, f := range it.columns {
			if f.name == name {
				v, sure = either(v, f.value.named(it, name, ref)), true
			}
		}
		vague = vague || it.vague
	}
	return v, sure, vague
}

// named lists the items that a qualifier may mean: those of the innermost scope that has any.
func (s *scope) named(name string) []*item {
	for ; s != nil; s = s.next() {
		var out []*item
		for _, it := range s.items {
			if it.name == name {
				out = append(out, it)
			}
		}
		if out != nil {
			return out
		}
	}
	return nil
}

// touches tells whether any item in reach holds something protected.
func (s *scope) touches() bool {
	for ; s != nil; s = s.next() {
		for _, it := range s.items {
			if it.protected() {
				return true
			}
		}
	}
	return false
}

// isVague tells whether any item in reach has columns that are not known.
func (s *scope) isVague() bool {
	for ; s != nil; s = s.next() {
		for _, it := range s.items {
			if it.vague {
				return true
			}
		}
	}
	return false
}
