package catalog

import (
	"fmt"
	"strings"
)

// Of an integer or a uuid on its way nothing tells whether it is a token, or of which of two keys. The database says it of the row: protect and
// rotations write down how far they are in the transactions of the rows (sallyport.ranges, sallyport.turning), and triggers what others write meanwhile
// (sallyport.written, sallyport.turning_written). Read in one statement with the row it is exact, whatever changes beside it.

// rawPrimary is the primary key of a table, in its order.
type rawPrimary struct {
	Relation uint32
	Columns  []int16
}

const selectPrimaries = `SELECT k.conrelid, k.conkey FROM pg_catalog.pg_constraint k WHERE k.contype = 'p'`

// rawProgress is a list of progress that the reader may read.
type rawProgress struct{ Table string }

const selectProgress = `SELECT x.name FROM (VALUES ('sallyport.ranges'), ('sallyport.turning'), ('sallyport.written'), ('sallyport.turning_written')) AS x (name)
	WHERE pg_catalog.to_regclass(x.name) IS NOT NULL AND pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace('sallyport'), 'USAGE')
		AND pg_catalog.has_table_privilege(pg_catalog.to_regclass(x.name), 'SELECT')`

// Stands is what SQL about one column on its way takes.
type Stands struct {
	Table, Column, Type string // as SQL writes them; the column as one of t0
	// How is an expression over a row t0: of a column that moves 'true' where it holds tokens, else 'false'; of one whose keys are rotated the
	// epoch of the newer key and behind a space 'true' where it is of that, '0 false' where none ever were. NULL where the database does not say.
	How string
}

// Stands is how the rows of a column that is on its way stand; false of any other, and where the database would not tell.
func (s *Snapshot) Stands(p *Protected) (Stands, bool) {
	if p == nil || !p.Apart() || p.stands.How == "" {
		return Stands{}, false
	}
	return p.stands, true
}

// Apart tells whether the column is on its way and nothing in a value tells how far.
func (p *Protected) Apart() bool { return p.Moving && p.Formless() }

// stand finds out how the rows of columns stand that are on their way.
func (b *builder) stand() {
	for _, r := range b.relations {
		for i := range r.origins {
			p := r.origins[i].Protected
			if p == nil || !p.Apart() || r.table() != (Table{p.Column.Schema, p.Column.Table}) {
				continue
			}
			c := r.numbered(int16(i)) //nolint:gosec // an attribute's number
			key, ok := b.primaryOf(r)
			if c == nil || !ok {
				continue
			}
			p.stands = Stands{Table: r.sql(), Column: "t0." + quote(c.Name), Type: c.TypeName}
			switch {
			case p.Hidden && b.progress("sallyport.turning"):
				p.stands.How = turningOf(p, key, b.progress("sallyport.turning_written"))
			case !p.Hidden && b.progress("sallyport.ranges"):
				p.stands.How = rangeOf(r.OID, p.Column.Name, key, b.progress("sallyport.written"))
			}
		}
	}
}

func (b *builder) progress(table string) bool {
	for _, p := range b.raw.progress {
		if p.Table == table {
			return true
		}
	}
	return false
}

// primaryOf are the columns of a table's primary key.
func (b *builder) primaryOf(r *relation) (key []*rawColumn, ok bool) {
	for _, k := range b.raw.primaries {
		if k.Relation != r.OID {
			continue
		}
		for _, n := range k.Columns {
			c := r.numbered(n)
			if c == nil {
				return nil, false
			}
			key = append(key, c)
		}
	}
	return key, len(key) > 0
}

// turningOf says how far the rotation is (protect.Turn), or what is noted of the value.
func turningOf(p *Protected, key []*rawColumn, notes bool) string {
	newer := "g.after IS NOT NULL AND " + beside(key, "<=", "g.after")
	if notes { // a row that got another primary key notes of which key it is, whatever its place says
		newer = fmt.Sprintf("coalesce((SELECT w.epoch > 0 FROM sallyport.turning_written w WHERE w.name = %s AND w.key = %s AND pg_catalog.abs(w.epoch) = g.epoch), %s)", literal(p.Column.String()), keyText(key), newer)
	}
	return fmt.Sprintf(`coalesce((SELECT g.epoch || ' ' || (g.done OR %s) FROM sallyport.turning g WHERE g.relation = %[2]s AND g.join_group = %[3]s AND %[4]s = ANY (g.columns)),
		CASE WHEN NOT EXISTS (SELECT FROM sallyport.turning g WHERE g.relation = %[2]s AND g.join_group = %[3]s) THEN '0 false' END)`,
		newer, literal(p.Column.Schema+"."+p.Column.Table), literal(p.Group), literal(p.Column.String()))
}

// rangeOf says what is noted of the value, or whether the range of the row holds tokens (protect's progress).
func rangeOf(oid uint32, name string, key []*rawColumn, notes bool) string {
	of := fmt.Sprintf(`(SELECT g.tokens::pg_catalog.text FROM sallyport.ranges g WHERE g.relation = %d AND (g.after IS NULL OR %s) AND (g.up_to IS NULL OR %s))`,
		oid, beside(key, ">", "g.after"), beside(key, "<=", "g.up_to"))
	if !notes {
		return of
	}
	return fmt.Sprintf("coalesce((SELECT w.tokens::pg_catalog.text FROM sallyport.written w WHERE w.relation = %d AND w.name = %s AND w.key = %s), %s)", oid, literal(name), keyText(key), of)
}

// keyText is the row's primary key as the notes have it (protect).
func keyText(key []*rawColumn) string {
	parts := make([]string, len(key))
	for i, c := range key {
		parts[i] = "t0." + quote(c.Name)
	}
	return "pg_catalog.jsonb_build_array(" + strings.Join(parts, ", ") + ")::pg_catalog.text"
}

// beside compares a row's primary key with one that is kept as texts.
func beside(key []*rawColumn, operator, kept string) string {
	var own, others []string
	for i, c := range key {
		own = append(own, "t0."+quote(c.Name))
		others = append(others, fmt.Sprintf("%s[%d]::%s", kept, i+1, c.TypeName))
	}
	return fmt.Sprintf("(%s) %s (%s)", strings.Join(own, ", "), operator, strings.Join(others, ", "))
}

// literal is a text in SQL, whatever standard_conforming_strings is.
func literal(s string) string {
	text := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.ContainsRune(s, '\\') {
		return " E" + strings.ReplaceAll(text, `\`, `\\`)
	}
	return text
}
