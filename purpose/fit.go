package purpose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/catalog"
)

// CheckDatabase says which configured columns of tickets and contacts the database does not have, or has in a type that reasons
// cannot be checked with. Paths are as in Check. Tables that are not there are the catalogue's to report.
func (c *Config) CheckDatabase(s *catalog.Snapshot) catalog.Problems {
	t, k := &c.Ticket, &c.Contact
	found := checkColumns(s, "ticket", t.Table, map[string]string{
		"id": t.ID, "number": t.Number, "customer": t.Customer, "assignee": t.Assignee, "state": t.State,
	}, map[string]string{"opened_at": t.OpenedAt})
	return append(found, checkColumns(s, "contact", k.Table, map[string]string{
		"id": k.ID, "customer": k.Customer, "ticket": k.Ticket, "staff": k.Staff, "direction": k.Direction,
	}, map[string]string{"at": k.At})...)
}

// checkColumns looks up the columns of one table, of which some hold times.
func checkColumns(s *catalog.Snapshot, section, table string, columns, times map[string]string) (found catalog.Problems) {
	relation, ok := s.Table(table)
	if !ok {
		return nil
	}
	all := maps.Clone(columns)
	maps.Copy(all, times)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		name := all[key]
		column, ok := relation.Columns[name]
		_, timed := times[key]
		text := ""
		switch {
		case name == "":
		case !ok:
			text = fmt.Sprintf("the table %s has no column %q; expected one of %s", table, name,
				strings.Join(slices.Sorted(maps.Keys(relation.Columns)), ", "))
		case timed && !strings.HasPrefix(column.Type, "timestamp"):
			text = fmt.Sprintf("the column %s of %s is of type %s; expected a timestamp", name, table, column.Type)
		}
		if text != "" {
			found = append(found, catalog.Problem{Path: section + "." + key, Text: text})
		}
	}
	return found
}
