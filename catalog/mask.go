package catalog

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/query"
)

// A masked column holds plain values; only what the gateway sends is masked. Nothing here calls it protected. Where both kinds are
// followed through views, functions and triggers, they are followed one after the other: what may pass differs.

// MaskConfig says which columns are masked in results, and for whom they are not.
type MaskConfig struct {
	Columns map[string]MaskColumn `yaml:"columns"` // schema.table.column → how
	SeenBy  []string              `yaml:"seen_by"` // ids of people and services who get the values as they are
}

// MaskColumn is one masked column.
type MaskColumn struct {
	Show Show `yaml:"show"` // what is left to see; empty: none
}

// Show is what is left to see of a masked value.
type Show string

// What may be left to see, of texts only.
const (
	ShowNone   Show = "none"   // ***
	ShowLast4  Show = "last4"  // ***4821, of 8 characters and more
	ShowFirst  Show = "first"  // A***, of 2 characters and more
	ShowDomain Show = "domain" // ***@example.com
)

// Masked is one masked column of the configuration.
type Masked struct {
	Column sallyport.Column
	Show   Show
	Text   bool // its type is one of texts
	Moving bool // nobody configured it: the column is moving
}

// checkMasks says what is wrong with the masked columns by themselves.
func (c *Config) checkMasks(report func(path, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Masked)) {
		at := "mask.columns." + name
		if _, ok := ParseColumn(name); !ok {
			report(at, "expected schema.table.column, for example support.customers.email")
			continue
		}
		if _, both := c.Columns[name]; both {
			report(at, "the column is protected: its values are not here to be masked; expected it in one of protect.columns and mask.columns")
		}
		switch c.Masked[name].Show {
		case "", ShowNone, ShowLast4, ShowFirst, ShowDomain:
		default:
			report(at+".show", "there is no way to show %q; expected none, last4, first or domain", c.Masked[name].Show)
		}
	}
}

// mask finds each masked column.
func (b *builder) mask() {
	for _, name := range slices.Sorted(maps.Keys(b.config.Masked)) {
		column, _ := ParseColumn(name)
		m := &Masked{Column: column, Show: b.config.Masked[name].Show}
		if m.Show == "" {
			m.Show = ShowNone
		}
		b.masked = append(b.masked, m)
		b.maskNamed("mask.columns."+name, m)
	}
}

// maskNamed marks the column that has the configured name now.
func (b *builder) maskNamed(at string, m *Masked) {
	r, c := b.named(at, "mask", m.Column)
	if c == nil {
		return
	}
	b.setText(m, c)
	if !m.Text && m.Show != ShowNone {
		b.problem(at+".show", "the column is of type %s: a part can be shown of text, varchar, char and citext only; expected show: none", c.TypeName)
		return
	}
	if partOnly(b, at, "mask", r, c, b.config.Masked) {
		return
	}
	r.origins[c.Number].Masked = m
}

func (b *builder) setText(m *Masked, c *rawColumn) {
	base, name := b.baseType(c.Type)
	m.Text = typeFits(sallyport.Text, base, name)
}

// keepMasking carries masks over from the last snapshot, as keepProtecting does.
func (b *builder) keepMasking() {
	current := map[sallyport.Column]*Masked{}
	for _, m := range b.masked {
		current[m.Column] = m
	}
	b.eachKept(func(before Origin, now *relation, c *rawColumn) {
		to := &now.origins[c.Number]
		if before.Masked == nil || before.Masked.Moving || to.Masked != nil {
			return
		}
		m := current[before.Masked.Column]
		b.setText(m, c)
		to.Masked = m
		if len(now.parents) == 0 {
			b.drift("mask.columns."+m.Column.String(), "%s.%s, which was this column, stays masked under its new name", now.table(), c.Name)
		}
	})
}

// checkReferences wants both sides of a foreign key masked: the same values stand there.
func (b *builder) checkReferences() {
	if b.previous != nil {
		return // who serves goes on; check tells
	}
	for _, f := range b.raw.foreign {
		from, to := b.relations[f.Relation], b.relations[f.References]
		if from == nil || to == nil || int(f.Column) >= len(from.origins) || int(f.ReferencesColumn) >= len(to.origins) {
			continue
		}
		b.checkSameMasked(from.origins[f.Column].Masked, to, to.numbered(f.ReferencesColumn), f.Name)
		b.checkSameMasked(to.origins[f.ReferencesColumn].Masked, from, from.numbered(f.Column), f.Name)
	}
}

// checkSameMasked wants a column masked that holds the values of a masked one.
func (b *builder) checkSameMasked(m *Masked, r *relation, c *rawColumn, key string) {
	if m != nil && !m.Moving && c != nil && r.origins[c.Number].Masked == nil {
		b.problem("mask.columns."+m.Column.String(), "%s.%s holds the same values (%s) and is not masked; expected it under mask.columns too", r.table(), c.Name, key)
	}
}

// masks tells whether a column of the relation itself is masked.
func (r *relation) masks() bool {
	return slices.ContainsFunc(r.origins, func(o Origin) bool { return o.Masked != nil || o.Veiled })
}

// spread is how far one kind of columns reaches.
type spread struct {
	hot                   map[uint32]bool
	risks                 map[uint32]string
	typeRisks, classRisks map[uint32]string
}

// spreadRisks follows protected columns, then masked ones. Afterwards hot speaks of protected ones and veiled of masked ones.
func (b *builder) spreadRisks() {
	for _, r := range b.relations {
		r.veiled = r.masks()
		r.origins[0].Veiled = r.veiled
	}
	if len(b.config.Columns) > 0 || !b.veiling() {
		b.spreadRisk()
	}
	if !b.veiling() {
		return
	}
	protected := b.take()
	for _, r := range b.relations {
		r.hot = r.veiled || r.isView() && readsStatistics(b.raw.definitions[r.OID])
	}
	b.heatsMasks = true
	b.spreadRisk()
	b.heatsMasks = false
	b.veils = b.take()
	for oid, hot := range b.veils.hot {
		b.relations[oid].veiled = hot
	}
	b.put(protected)
}

// take hands out what spreadRisk found, and clears it.
func (b *builder) take() spread {
	s := spread{hot: map[uint32]bool{}, risks: b.risks, typeRisks: b.typeRisks, classRisks: b.classRisks}
	for oid, r := range b.relations {
		s.hot[oid] = r.hot
		r.hot = false
	}
	b.put(spread{risks: map[uint32]string{}, typeRisks: map[uint32]string{}, classRisks: map[uint32]string{}})
	return s
}

func (b *builder) put(s spread) {
	b.risks, b.typeRisks, b.classRisks = s.risks, s.typeRisks, s.classRisks
	for oid, hot := range s.hot {
		b.relations[oid].hot = hot
	}
}

// findSpilling finds what a write may set off that reads masked columns, and the functions that do. What it writes was there to be
// read before; but an error or a notice of it may speak of it.
func (b *builder) findSpilling() {
	b.protectedRisks = b.functionRisks()
	if !b.veiling() {
		return
	}
	smuggles := map[uint32]string{}
	for oid, r := range b.relations {
		smuggles[oid], r.smuggles = r.smuggles, ""
	}
	protected := b.take()
	b.put(b.veils)
	b.heatsMasks = true
	b.findSmugglers()
	b.heatsMasks = false
	b.maskedRisks = b.functionRisks()
	b.take()
	b.put(protected)
	for oid, r := range b.relations {
		r.spills, r.smuggles = r.smuggles, smuggles[oid]
		if r.Name == "pg_stat_statements" { // of an extension, anywhere
			if c := r.column("query"); c != nil {
				r.origins[c.Number].Veiled, r.veiled = true, true
			}
		}
	}
}

// veiling tells whether plain values are hidden anywhere: columns are masked, or moving.
func (b *builder) veiling() bool { return len(b.masked) > 0 || b.moving }

// maskedSchema is the snapshot as query reads it for those for whom columns are masked, or with those masks alone that hide what is
// moving, from everybody.
func (b *builder) maskedSchema(masks func(Origin) *query.Mask) *query.Schema {
	risks := maps.Clone(b.protectedRisks)
	for name, risk := range b.maskedRisks {
		if known := risks[name]; known.Why == "" {
			risks[name] = risk
		}
	}
	s := b.schemaOf(risks, masks)
	s.Masks, s.OnlyMasks = true, len(b.config.Columns) == 0
	return s
}

// statistics are relations of the server's own that show values of columns, or what other sessions ask.
func statistics() []string {
	return []string{"pg_stats", "pg_statistic", "pg_stats_ext", "pg_stats_ext_exprs", "pg_statistic_ext_data", "pg_stat_activity", "pg_stat_statements"}
}

// readsStatistics tells whether a view is made from one of them, or from the server's own store of long values.
func readsStatistics(definition string) bool {
	words := wordsOf(definition)
	return strings.Contains(definition, "pg_toast.") || slices.ContainsFunc(statistics(), func(name string) bool { return words[name] })
}

// peekRelations are those relations, with the columns that show values.
func (b *builder) peekRelations() []*query.Relation {
	var out []*query.Relation
	for _, c := range b.raw.peeks {
		if len(out) == 0 || out[len(out)-1].Name != c.Relation {
			out = append(out, &query.Relation{Schema: "pg_catalog", Name: c.Relation})
		}
		r := out[len(out)-1]
		info := query.ColumnInfo{Name: c.Name, TypeOID: c.Type}
		if showsValues(c) {
			info.Mask = &query.Mask{Column: sallyport.Column{Schema: "pg_catalog", Table: c.Relation, Name: c.Name}, Derived: true}
		}
		r.Columns = append(r.Columns, info)
	}
	return out
}

func showsValues(c rawPeek) bool {
	const anyarray = 2277 // pg_type.dat
	switch c.Name {
	case "query", "most_common_vals", "histogram_bounds", "most_common_elems", "range_bounds_histogram", "stxdmcv", "stxdexpr":
		return true
	}
	return c.Type == anyarray
}

// rawPeek is a column of one of the statistics.
type rawPeek struct {
	Relation, Name string
	Type           uint32
}

func selectPeeks(ctx context.Context, conn *pgx.Conn) ([]rawPeek, error) {
	return selectAll[rawPeek](ctx, conn, `SELECT c.relname::text, a.attname::text, a.atttypid FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relname = ANY ('{`+strings.Join(statistics(), ",")+`}') ORDER BY c.oid, a.attnum`)
}
