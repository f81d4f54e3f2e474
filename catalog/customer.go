package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport"
)

// CustomerQuery reads the protected values of some customers out of one table.
type CustomerQuery struct {
	// SQL has one parameter, the customers' keys as text[]. Its first output is the customer's key, then follow Columns. Read the
	// results in text format under DateStyle ISO: then they are what clients are sent, also of char(n) with its padding.
	SQL     string
	Columns []*Protected
	// Stands are outputs behind those, by the index of a column that is on its way: how its row stands (Snapshot.Stands).
	Stands map[int]int
}

// CustomerQueries read every protected value of some customers: one query for the customer table, one for each table with a path to
// it. With schemes only columns of those are read; tables without any are left out.
func (s *Snapshot) CustomerQueries(schemes ...sallyport.Scheme) []CustomerQuery {
	var queries []CustomerQuery
	for i := range s.sources {
		src := &s.sources[i]
		outputs, columns := []string{src.key + "::pg_catalog.text"}, []*Protected(nil)
		for _, c := range src.columns {
			if len(schemes) == 0 || slices.Contains(schemes, c.protected.Scheme) {
				outputs, columns = append(outputs, c.sql), append(columns, c.protected)
			}
		}
		if len(columns) == 0 {
			continue
		}
		stands := map[int]int{}
		for i, p := range columns {
			if how, ok := s.Stands(p); ok {
				stands[i] = len(outputs)
				outputs = append(outputs, how.How)
			}
		}
		sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s = ANY ($1::pg_catalog.text[]::%s[])", strings.Join(outputs, ", "), src.from, src.key, src.keyType)
		queries = append(queries, CustomerQuery{SQL: sql, Columns: columns, Stands: stands})
	}
	return queries
}

// source is one table whose rows belong to customers, with the joins that lead there: t0 is the table.
type source struct {
	from    string
	key     string // the customer's key, of the last table of the way
	keyType string
	columns []sourceColumn
}

type sourceColumn struct {
	sql       string
	protected *Protected
}

// findPaths resolves the customer's key and the configured paths, marks the columns that rows find their customer through, and makes
// the sources of CustomerQueries.
func (b *builder) findPaths() {
	if len(b.config.Columns) == 0 && b.config.Customer.Table == "" {
		return
	}
	customer := b.find(b.config.Customer.Table, "customer.table")
	if customer == nil {
		return
	}
	key := b.findColumn(customer, b.config.Customer.Table, b.config.Customer.Key, "customer.key")
	if key == nil {
		return
	}
	b.link(customer, key.Name, true)
	b.addSource(customer, source{from: customer.sql() + " t0", key: "t0." + quote(key.Name), keyType: key.TypeName})
	for _, table := range slices.Sorted(maps.Keys(b.config.Paths)) {
		b.findPath(table)
	}
}

// findPath follows the way from one table to the customer.
func (b *builder) findPath(table string) {
	at := "paths." + table
	start := b.find(table, at)
	if start == nil {
		return
	}
	src := source{from: start.sql() + " t0"}
	for r, name, hop := start, table, 0; ; hop++ {
		s, _ := parseStep(b.config.Paths[name])
		column := b.findColumn(r, name, s.column, at)
		if column == nil {
			return
		}
		own := fmt.Sprintf("t%d.%s", hop, quote(column.Name))
		last := s.target == "" || s.target == b.config.Customer.Table
		b.link(r, column.Name, last)
		if last {
			src.key, src.keyType = own, column.TypeName
			b.addSource(start, src)
			return
		}
		next := b.find(s.target, at)
		if next == nil {
			return
		}
		target := b.keyOf(r, column, next)
		if target == nil {
			b.problem(at, "%s.%s has no foreign key to %s, which has no primary key of one column: nothing says which row is meant",
				name, s.column, s.target)
			return
		}
		b.link(next, target.Name, false)
		b.anchor(next, target.Name, b.held(r, column, next, target))
		src.from += fmt.Sprintf(" JOIN %s t%d ON t%d.%s = %s", next.sql(), hop+1, hop+1, quote(target.Name), own)
		r, name = next, s.target
	}
}

// keyOf is the column of a table that another table's column refers to: by foreign key, else the primary key.
func (b *builder) keyOf(from *relation, column *rawColumn, to *relation) *rawColumn {
	var primary *rawColumn
	for _, k := range b.raw.keys {
		switch {
		case k.Relation == from.OID && k.Column == column.Number && k.References == to.OID:
			return to.numbered(k.ReferencesColumn)
		case k.Relation == to.OID && k.References == 0:
			primary = to.numbered(k.Column)
		}
	}
	return primary
}

// link marks a column of a table and of its parts.
func (b *builder) link(r *relation, column string, customerKey bool) {
	withParts(r, func(part *relation) {
		if c := part.column(column); c != nil {
			part.links[c.Number] = true
			part.origins[c.Number].CustomerKey = part.origins[c.Number].CustomerKey || customerKey
		}
	})
}

// findKeys notes the primary keys of one column.
func (b *builder) findKeys() {
	b.primary = map[attribute]bool{}
	for _, k := range b.raw.keys {
		if k.References == 0 {
			b.primary[attribute{k.Relation, k.Column}] = true
		}
	}
}

// spreadLinks makes columns that Link columns refer to Links too, in whatever table: changing one changes what refers to it,
// where the foreign key says ON UPDATE CASCADE.
func (b *builder) spreadLinks() {
	for again := true; again; {
		again = false
		for _, k := range b.raw.keys {
			from, to := b.relations[k.Relation], b.relations[k.References]
			if from == nil || to == nil || !from.links[k.Column] || to.links[k.ReferencesColumn] {
				continue
			}
			if c := to.numbered(k.ReferencesColumn); c != nil {
				b.link(to, c.Name, false)
				again = again || to.links[k.ReferencesColumn]
			}
		}
	}
}

// addSource adds what a table has of protected columns.
func (b *builder) addSource(r *relation, src source) {
	for _, c := range r.columns {
		if p := r.origins[c.Number].Protected; p != nil {
			src.columns = append(src.columns, sourceColumn{sql: "t0." + quote(c.Name), protected: p})
		}
	}
	if len(src.columns) > 0 {
		b.sources = append(b.sources, src)
	}
}

// findColumn looks a column up by its configured name, or finds the one that had it.
func (b *builder) findColumn(r *relation, table, name, path string) *rawColumn {
	configured := table + "." + name
	if c := r.column(name); c != nil {
		b.numbers[configured] = attribute{r.OID, c.Number}
		return c
	}
	if b.previous != nil {
		if before := b.previous.numbers[configured]; before.relation == r.OID {
			if c := r.numbered(before.number); c != nil {
				b.drift(path, "the column %s of %s is called %s now: change the configuration", name, table, c.Name)
				b.numbers[configured] = before
				return c
			}
		}
	}
	b.problem(path, "the table %s has no column %q; expected one of %s", table, name, r.columnNames())
	return nil
}

// HolderQuery finds the customers whose rows hold a value of one column.
type HolderQuery struct {
	SQL    string // one parameter, the forms of the value as text[]; its output are two keys at most
	Column *Protected
}

// HolderQueries are those of the columns of some schemes, in the customer table and in tables with a path to it.
func (s *Snapshot) HolderQueries(schemes ...sallyport.Scheme) (queries []HolderQuery) {
	for i := range s.sources {
		src := &s.sources[i]
		for _, c := range src.columns {
			if slices.Contains(schemes, c.protected.Scheme) {
				sql := fmt.Sprintf("SELECT DISTINCT %s::pg_catalog.text FROM %s WHERE %s = ANY ($1::pg_catalog.text[]) LIMIT 2", src.key, src.from, c.sql)
				queries = append(queries, HolderQuery{sql, c.protected})
			}
		}
	}
	return queries
}
