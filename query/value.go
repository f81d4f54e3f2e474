package query

import (
	"cmp"
	"slices"

	"sallyport"
)

// value is what an expression may yield, as far as protection is concerned. The parts add up: COALESCE(email, $1) may be the
// stored token or the parameter. A value without any part is NULL or DEFAULT.
type value struct {
	sources []origin    // exactly these literals and parameters
	stored  []stored    // exactly what stands in these protected columns
	mixed   bool        // computed from protected columns
	of      *Protection // one of those, to name it in a sentence; nil where it is not known
	open    bool        // anything else: unprotected columns, results of functions, text built from literals
	calc    bool        // a number, truth value or moment that no text went into as it is
	digits  bool        // a number that somebody may have chosen: a phone number, say
	cut     bool        // went through a cast that may shorten it
	array   bool        // an array of what the parts say
	rowJSON bool        // a whole row as JSON, whose keys are column names
	given   bool        // made from literals and parameters alone
	veil    veil        // of masked columns
	mask    *Mask       // one of those, or nil
	row     []field     // a row of these; the parts above then say nothing
}

// field is one named column of a row, a relation or a result.
type field struct {
	name  string
	value value
}

// origin is a source as it arrives somewhere.
type origin struct {
	source  *source
	element bool // an element of the array that the source is
}

// stored is a protected column as it arrives somewhere.
type stored struct {
	protection *Protection
	from       *item  // the FROM item that the reference names
	column     string // and the column of it
	ref        span   // where the reference stands in the text; empty behind * and sub-selects
}

// span is a range of bytes in the text.
type span struct{ start, end int }

// source is a literal or parameter of the statement, with all that is wanted of it.
type source struct {
	span    // of a literal
	param   int
	value   string
	number  bool // written as a number
	usable  bool // a literal that can be replaced in place
	demands []demand
	plain   bool    // used where nothing is tokenised
	parted  *demand // of a column whose protection was undone
	wide    *Edit   // where all forms of a literal are written, and how
}

// demand says which token a source must become somewhere.
type demand struct {
	protection *Protection
	use        Use
	array      bool
	row        *RowKey // of Store, where it is known
}

// protected tells whether anything of protected columns is in the value.
func (v *value) protected() bool {
	if v.mixed || len(v.stored) > 0 {
		return true
	}
	for i := range v.row {
		if v.row[i].value.protected() {
			return true
		}
	}
	return false
}

// harmless tells whether the value can only be NULL, a number, a truth value or a moment.
func (v *value) harmless() bool { return v.clean() && !v.protected() }

// clean tells whether nothing in the value could be text of the statement or of unprotected columns: it may meet tokens.
func (v *value) clean() bool {
	if v.open {
		return false
	}
	for _, s := range v.sources {
		if !s.source.number {
			return false
		}
	}
	for i := range v.row {
		if !v.row[i].value.clean() {
			return false
		}
	}
	return true
}

// empty tells whether the value can only be NULL or DEFAULT.
func (v *value) empty() bool {
	return len(v.sources) == 0 && len(v.stored) == 0 && !v.mixed && !v.open && !v.calc && v.veil == bare && v.row == nil
}

// either is what may be the one or the other.
func either(a, b value) value {
	switch {
	case a.empty() && !a.array:
		return b
	case b.empty() && !b.array:
		return a
	case a.row != nil && len(a.row) == len(b.row):
		out := value{row: make([]field, len(a.row))}
		for i := range a.row {
			out.row[i] = field{a.row[i].name, either(a.row[i].value, b.row[i].value)}
		}
		return out
	case a.row != nil || b.row != nil:
		return value{
			mixed: a.protected() || b.protected(), of: cmp.Or(a.origin(), b.origin()), open: true, sources: join(a.allSources(), b.allSources()),
			veil: eitherVeil(a, b), mask: cmp.Or(a.masks(), b.masks()),
		}
	}
	out := value{
		sources: join(a.sources, b.sources), stored: join(a.stored, b.stored),
		mixed: a.mixed || b.mixed, of: cmp.Or(a.of, b.of), open: a.open || b.open, calc: a.calc || b.calc, digits: a.digits || b.digits, cut: a.cut || b.cut,
		array: a.array || b.array, rowJSON: a.rowJSON && b.rowJSON, given: a.given && b.given, veil: eitherVeil(a, b), mask: cmp.Or(a.mask, b.mask),
	}
	if a.array != b.array { // {…} beside an array of sources: only a bare source can become one
		out.open = out.open || out.calc || len(out.stored) > 0
	}
	return out
}

// join appends what is not yet there. The left list is not changed.
func join[T comparable](a, b []T) []T {
	out := slices.Clip(a)
outer:
	for _, x := range b {
		for _, y := range a {
			if x == y {
				continue outer
			}
		}
		out = append(out, x)
	}
	return out
}

// allSources are the sources of a value and of its fields.
func (v *value) allSources() []origin {
	out := v.sources
	for i := range v.row {
		out = join(out, v.row[i].value.allSources())
	}
	return out
}

// allStored are the protected columns of a value and of its fields.
func (v *value) allStored() []stored {
	out := v.stored
	for i := range v.row {
		out = join(out, v.row[i].value.allStored())
	}
	return out
}

// detached is the value as a sub-select's column hands it on: what stood where inside is no longer of use.
func (v value) detached() value {
	if len(v.stored) > 0 {
		list := make([]stored, 0, len(v.stored))
		for _, s := range v.stored {
			list = join(list, []stored{{protection: s.protection}})
		}
		v.stored = list
	}
	if v.row != nil {
		row := make([]field, len(v.row))
		for i, f := range v.row {
			row[i] = field{f.name, f.value.detached()}
		}
		v.row = row
	}
	return v
}

// named is the value as a reference to a column of an item yields it.
func (v value) named(from *item, column string, ref span) value {
	if len(v.stored) == 0 {
		return v
	}
	list := make([]stored, len(v.stored))
	for i, s := range v.stored {
		list[i] = stored{protection: s.protection, from: from, column: column, ref: ref}
	}
	v.stored = list
	return v
}

// equal tells whether two detached values have the same parts.
func (v *value) equal(w *value) bool {
	if v.mixed != w.mixed || v.open != w.open || v.calc != w.calc || v.digits != w.digits || v.cut != w.cut || v.array != w.array || v.rowJSON != w.rowJSON || v.veil != w.veil || v.given != w.given ||
		len(v.sources) != len(w.sources) || len(v.stored) != len(w.stored) || len(v.row) != len(w.row) {
		return false
	}
	for i := range v.row {
		if !v.row[i].value.equal(&w.row[i].value) {
			return false
		}
	}
	return len(join(v.sources, w.sources)) == len(v.sources) && len(join(v.stored, w.stored)) == len(v.stored)
}

// elements is what the elements of an array value may be.
func (v value) elements() value {
	if v.array {
		v.array = false
		return v
	}
	if len(v.sources) > 0 {
		list := make([]origin, len(v.sources))
		for i, s := range v.sources {
			list[i] = origin{s.source, true}
		}
		v.sources = list
	}
	if len(v.stored) > 0 { // a protected column is text: it has no elements
		v.stored, v.mixed, v.of = nil, true, v.stored[0].protection
	}
	return v
}

// field is a named field of a row, or nil.
func (v *value) field(name string) *field {
	for i := range v.row {
		if v.row[i].name == name {
			return &v.row[i]
		}
	}
	return nil
}

// origin is one of the protected columns that a value comes from, or nil.
func (v *value) origin() *Protection {
	if all := v.allStored(); len(all) > 0 {
		return all[0].protection
	}
	if v.of != nil {
		return v.of
	}
	for i := range v.row {
		if p := v.row[i].value.origin(); p != nil {
			return p
		}
	}
	return nil
}

// column names that column for a sentence.
func (v *value) column() sallyport.Column {
	if p := v.origin(); p != nil {
		return p.Column
	}
	return sallyport.Column{}
}

// garbled is what a function or operator makes of a value.
func (v *value) garbled(open bool) value {
	return value{mixed: v.protected(), of: v.origin(), open: open, given: v.given && v.row == nil}.madeFrom(*v)
}
