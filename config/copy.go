package config

import (
	"fmt"
	"maps"
	"slices"

	"sallyport"
	"sallyport/catalog"
	"sallyport/policy"
)

// checkCopy holds who may copy to services, and what to columns.
func (c *Config) checkCopy(r *Document) {
	services := slices.Sorted(maps.Keys(c.Services))
	for _, column := range slices.Sorted(maps.Keys(c.Copy)) {
		path := "copy." + column
		if _, ok := catalog.ParseColumn(column); !ok {
			r.problem(r.Keys[path], "%q is no column; expected schema.table.column", column)
		}
		seen := map[string]bool{}
		for i, id := range c.Copy[column] {
			at := fmt.Sprintf("%s[%d]", path, i)
			_, person := c.People[id]
			switch {
			case person:
				r.problemAt(at, "%q is a person: a person who could copy could launder anybody into a reason; expected a service", id)
			case !slices.Contains(services, id):
				r.problemAt(at, "no service is called %q; expected %s", id, OneOf(id, services))
			case seen[id]:
				r.problemAt(at, "%q stands twice; expected each id once", id)
			}
			seen[id] = true
		}
	}
}

// Copiers is who may copy what, as the policies take it. Whose word about tickets or contacts counts may say whose one is.
func (c *Config) Copiers() policy.Copiers {
	out := policy.Copiers{Configured: map[string][]sallyport.Staff{}, Attesters: map[string][]sallyport.Staff{}}
	for column, ids := range c.Copy {
		for _, id := range ids {
			out.Configured[column] = append(out.Configured[column], sallyport.Staff(id))
		}
	}
	if t := c.Purposes.Ticket; t.Table != "" {
		out.Attesters[t.Table+"."+t.Customer] = append(out.Attesters[t.Table+"."+t.Customer], t.Routers...)
	}
	if k := c.Purposes.Contact; k.Table != "" {
		out.Attesters[k.Table+"."+k.Customer] = append(out.Attesters[k.Table+"."+k.Customer], k.Writers...)
	}
	return out
}
