package protect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Set is what is protected and how: schema.table.column → the form of its tokens. It stands in the mark and in the record, so that
// a configuration from which a column was taken shows.
type Set map[string]string

// SetOf is the set of these columns.
func SetOf(columns []Column) Set {
	set := make(Set, len(columns))
	for _, c := range columns {
		set[c.Column.String()] = c.Codec.Form()
	}
	return set
}

// Change is how one column differs between two sets; empty: it is not protected there.
type Change struct{ Column, From, To string }

// Changes lists the columns in which another set differs, by name.
func (s Set) Changes(to Set) []Change {
	all := maps.Clone(s)
	if all == nil {
		all = Set{}
	}
	maps.Copy(all, to)
	var list []Change
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s[name] != to[name] {
			list = append(list, Change{name, s[name], to[name]})
		}
	}
	return list
}

// Lost are the changes after which something would not be protected as it is: all but new columns.
func Lost(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.From == "" })
}

// NarrowError says that a run was asked for less than is protected already.
type NarrowError struct {
	Where   string // who says that it is protected
	Changes []Change
}

func (e *NarrowError) Error() string {
	lines := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		to := "is asked for as " + c.To
		if c.To == "" {
			to = "is not among the columns to protect"
		}
		lines[i] = fmt.Sprintf("\n  %s is protected as %s by %s, and %s", c.Column, c.From, e.Where, to)
	}
	return "columns would lose their protection, which only protect --undo takes away; bring their lines in the configuration back:" + strings.Join(lines, "")
}

// refuseNarrower holds a run to what is protected already: by the mark, and by the record, which a DBA cannot write.
func (r *run) refuseNarrower(mark Set) error {
	wanted := SetOf(r.Columns)
	if lost := Lost(mark.Changes(wanted)); len(lost) > 0 {
		return &NarrowError{"the mark in the database", lost}
	}
	if r.Renamed && !r.marked {
		return nil
	}
	if lost := Lost(r.Recorded.Changes(wanted)); len(lost) > 0 {
		return &NarrowError{"the record in the data folder", lost}
	}
	return nil
}
