package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport"
)

// AccountsOf are all accounts of one person.
func (c *Config) AccountsOf(who sallyport.Staff) []sallyport.Staff {
	first := cmp.Or(sallyport.Staff(c.People[string(who)].SameAs), who)
	list := []sallyport.Staff{first}
	for _, id := range slices.Sorted(maps.Keys(c.People)) {
		if sallyport.Staff(c.People[id].SameAs) == first {
			list = append(list, sallyport.Staff(id))
		}
	}
	return list
}

// Columns are those that are read.
func (b *BlastConfig) Columns() (list []string) {
	all := map[string]bool{}
	if b.Country != "" {
		all[b.Country] = true
	}
	for _, s := range b.Segments {
		if s.Column != "" {
			all[s.Column] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// BlastConfig names columns of the customers' table (protect.customer.table) that tell customers apart. They are read by the role
// upstream.reader, as they stand when somebody asks; none of them may be protected.
type BlastConfig struct {
	Country  string                  `yaml:"country"`  // column with the country, for counts by regulator; empty: none are made
	Segments map[string]BlastSegment `yaml:"segments"` // name → which customers or data it is: it is said of each whether it was touched
}

// BlastSegment is a part of the customers, or a part of the data.
type BlastSegment struct {
	Column string   `yaml:"column"` // of the customers' table: those with one of Values
	Values []string `yaml:"values"` // of the column
	Tables []string `yaml:"tables"` // schema.table; in place of column and values
}

func (b *BlastConfig) check(r *Document, c *Config) {
	if !c.Protects() && (b.Country != "" || len(b.Segments) > 0) {
		r.problemAt("blast", "without protected columns there is no table of customers; expected protect.customer")
		return
	}
	open := func(path, column string) {
		if _, protected := c.Protect.Columns[c.Protect.Customer.Table+"."+column]; protected {
			r.problemAt(path, "%s is protected, so nobody can count by it; expected a column that is not", column)
		}
	}
	if b.Country != "" {
		open("blast.country", b.Country)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Segments)) {
		s, path := b.Segments[name], "blast.segments."+name
		switch {
		case (s.Column == "") == (len(s.Tables) == 0) || (s.Column == "") != (len(s.Values) == 0):
			r.problemAt(path, "expected column and values, or tables")
		case s.Column != "":
			open(path+".column", s.Column)
		}
		for i, t := range s.Tables {
			if strings.Count(t, ".") != 1 {
				r.problemAt(fmt.Sprintf("%s.tables[%d]", path, i), "%q is no table; expected schema.table", t)
			}
		}
	}
}
