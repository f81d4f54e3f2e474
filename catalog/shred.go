package catalog

import (
	"fmt"
	"strings"

	"sallyport"
)

// RowQuery reads the rows of some customers in one table, with their places.
type RowQuery struct {
	// SQL has one parameter, the customers' keys as text[]. Its outputs are texts: the customer's key, the table or partition as SQL writes
	// it, the row's place (ctid), then Columns. The table's rows can be locked by appending FOR UPDATE OF t0.
	SQL     string
	Columns []*Protected
}

// RowQueries find every row of some customers that has protected columns: one query for the customer table, one for each table with
// a path to it.
func (s *Snapshot) RowQueries() []RowQuery {
	var queries []RowQuery
	for i := range s.sources {
		src := &s.sources[i]
		outputs := []string{src.key + "::pg_catalog.text", "t0.tableoid::pg_catalog.regclass::pg_catalog.text", "t0.ctid::pg_catalog.text"}
		q := RowQuery{}
		for _, c := range src.columns {
			outputs, q.Columns = append(outputs, c.sql+"::pg_catalog.text"), append(q.Columns, c.protected)
		}
		q.SQL = fmt.Sprintf("SELECT %s FROM %s WHERE %s = ANY ($1::pg_catalog.text[]::%s[])", strings.Join(outputs, ", "), src.from, src.key, src.keyType)
		queries = append(queries, q)
	}
	return queries
}

// Homeless are the protected columns of tables that have no path to the customer: nothing tells whose they are.
func (s *Snapshot) Homeless() []sallyport.Column {
	found := map[*Protected]bool{}
	for i := range s.sources {
		for _, c := range s.sources[i].columns {
			found[c.protected] = true
		}
	}
	var out []sallyport.Column
	for _, p := range s.protected {
		if !found[p] {
			out = append(out, p.Column)
		}
	}
	return out
}
