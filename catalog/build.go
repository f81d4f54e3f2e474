package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/query"
)

// builder compares what the database says with what the configuration wants.
type builder struct {
	*Snapshot
	raw      *raw
	config   Config
	previous *Snapshot // nil at the first reading

	byName map[Table]*relation
	types  map[uint32]rawType
	risks  map[uint32]string // function → why it may touch protected columns
	veils  spread            // the same of masked columns

	heatsMasks bool                // masked columns are followed now
	spoken     map[string]struct{} // words of the functions' texts
	problems   Problems

	functions  map[uint32]*rawFunction
	typeNames  map[uint32]rawTypeName
	typeRisks  map[uint32]string  // type → why making a value of it may
	classRisks map[uint32]string  // operator class → likewise
	primary    map[attribute]bool // primary keys of one column

	protectedRisks, maskedRisks map[string]query.FunctionRisk
}

// build makes a snapshot, without its version.
func build(ctx context.Context, conn *pgx.Conn, config Config, facts FactTables, previous *Snapshot) (*Snapshot, error) {
	raw, err := readRaw(ctx, conn)
	if err != nil {
		return nil, err
	}
	b := &builder{
		Snapshot: &Snapshot{relations: map[uint32]*relation{}, tables: map[string]*relation{}, numbers: map[string]attribute{}},
		raw:      raw, config: config, previous: previous,
		byName: map[Table]*relation{}, types: map[uint32]rawType{}, risks: map[uint32]string{},
		functions: map[uint32]*rawFunction{}, typeNames: map[uint32]rawTypeName{}, typeRisks: map[uint32]string{}, classRisks: map[uint32]string{},
	}
	b.index()
	b.findKeys()
	b.protect()
	b.mask()
	b.keepProtecting()
	b.keepMasking()
	b.inheritProtection()
	b.bind()
	b.veilMoving()
	b.stand()
	b.checkReferences()
	b.findPaths()
	b.spreadLinks()
	b.spreadAnchors()
	b.markFacts(facts)
	b.markGenerated()
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	b.spreadRisks()
	if err := b.traceViews(ctx, conn); err != nil {
		return nil, err
	}
	if len(b.config.Columns) > 0 || !b.veiling() {
		b.findSmugglers()
	}
	b.findSpilling()
	b.nameTables(facts)
	b.Open = b.schemaOf(b.protectedRisks, nil)
	if b.moving {
		b.Open = b.maskedSchema(movingOf)
	}
	b.Schema = b.Open
	if len(b.masked) > 0 {
		b.Schema = b.maskedSchema(maskOf)
	}
	return b.Snapshot, nil
}

func (b *builder) problem(path, format string, args ...any) {
	b.problems = append(b.problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (b *builder) drift(path, format string, args ...any) {
	b.Drift = append(b.Drift, Problem{path, fmt.Sprintf(format, args...)})
}

// index makes the relations and who inherits from whom.
func (b *builder) index() {
	for _, r := range b.raw.relations {
		known := &relation{rawRelation: r, links: map[int16]bool{}, opaque: map[int16]bool{}, origins: make([]Origin, 1)}
		b.relations[r.OID] = known
		b.byName[known.table()] = known
	}
	for _, c := range b.raw.columns {
		if r := b.relations[c.Relation]; r != nil {
			r.columns = append(r.columns, c)
			r.origins = append(r.origins, make([]Origin, int(c.Number)+1-len(r.origins))...)
		}
	}
	for _, i := range b.raw.inherits {
		child, parent := b.relations[i.Child], b.relations[i.Parent]
		if child != nil && parent != nil {
			child.parents = append(child.parents, parent)
			parent.children = append(parent.children, child)
		}
	}
	for _, u := range b.raw.viewUses {
		if v := b.relations[u.View]; v != nil {
			v.uses = append(v.uses, u)
		}
	}
	for _, t := range b.raw.types {
		b.types[t.OID] = t
	}
	for i := range b.raw.functions {
		b.functions[b.raw.functions[i].OID] = &b.raw.functions[i]
	}
	for _, t := range b.raw.typeNames {
		b.typeNames[t.OID] = t
	}
}

// protect finds each configured column.
func (b *builder) protect() {
	for _, name := range slices.Sorted(maps.Keys(b.config.Columns)) {
		column, _ := ParseColumn(name)
		settings, state := b.config.Columns[name], b.config.States[name]
		if state == Plain {
			b.plain = true
			continue
		}
		p := &Protected{
			Column: column, Class: settings.Class, Scheme: settings.Scheme, Group: settings.Group, Prefixes: settings.Prefixes, NextPrefixes: settings.NextPrefixes, Region: settings.Region, Shred: settings.Shred, Overflow: settings.Overflow == Vault,
			Moving: state == Entering || state == Moving || state == Leaving || state == Hidden, Hidden: state == Hidden, Leaving: state == Entering || state == Leaving, Rotating: state == Rotating || state == Turning, Whole: state == Turning,
		}
		if p.Group == "" {
			p.Group = string(p.Scheme)
		}
		if state == Parted {
			b.part(p)
			continue
		}
		b.protected = append(b.protected, p)
		b.protectNamed("columns."+name, p)
	}
}

// part marks a column whose protection was undone. Where it is not what it was any more nothing hangs on it.
func (b *builder) part(p *Protected) {
	b.plain = true
	r := b.byName[Table{p.Column.Schema, p.Column.Table}]
	if r == nil || r.isView() {
		return
	}
	c := r.column(p.Column.Name)
	if c == nil {
		return
	}
	if base, typeName := b.baseType(c.Type); typeFits(p.Scheme, base, typeName) {
		b.parted = append(b.parted, p)
		r.origins[c.Number].Parted = p
	}
}

// protectNamed marks the column that has the configured name now.
func (b *builder) protectNamed(at string, p *Protected) {
	r, c := b.named(at, "protect", p.Column)
	if c == nil {
		return
	}
	base, typeName := b.baseType(c.Type)
	if !typeFits(p.Scheme, base, typeName) {
		b.problem(at+".scheme", "the column is of type %s: the scheme %s needs %s", c.TypeName, p.Scheme, fittingTypes(p.Scheme))
		return
	}
	if partOnly(b, at, "protect", r, c, b.config.Columns) {
		return
	}
	p.TypeOID, p.list = base, listType(base, c.TypeName)
	p.Unique, p.alone = b.unique(r, c)
	r.origins[c.Number].Protected = p
}

// named is the column that has a configured name now; nil: none that may be protected or masked, which verb says, and why is told.
func (b *builder) named(at, verb string, column sallyport.Column) (*relation, *rawColumn) {
	r := b.byName[Table{column.Schema, column.Table}]
	var c *rawColumn
	if r != nil {
		c = r.column(column.Name)
	}
	switch {
	case c == nil:
		b.missing(at, column, r != nil)
		return nil, nil
	case r.isView():
		b.problem(at, "%s is a view: %s the columns of the tables underneath, the view follows", r.table(), verb)
		return nil, nil
	case c.Generated:
		b.problem(at, "the column is generated: %s what it is generated from", verb)
		return nil, nil
	}
	return r, c
}

// partOnly reports a column of which the configuration names a part's alone: it could be read through the whole table.
func partOnly[T any](b *builder, at, verb string, r *relation, c *rawColumn, configured map[string]T) bool {
	for _, parent := range r.parents {
		if _, also := configured[parent.table().String()+"."+c.Name]; parent.column(c.Name) != nil && !also {
			b.problem(at, "%s is a part of %s, through which the column can be read too: %s it there, its parts follow", r.table(), parent.table(), verb)
			return true
		}
	}
	return false
}

func fittingTypes(s sallyport.Scheme) string {
	switch s {
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text:
		return "text, varchar, char or citext"
	case sallyport.Timestamp:
		return "timestamp without time zone"
	case sallyport.Timestamptz:
		return "timestamp with time zone"
	case sallyport.Int4:
		return "integer (a smallint has too few values: its tokens could be guessed)"
	case sallyport.Int8:
		return "bigint"
	case sallyport.Date, sallyport.UUID:
	}
	return string(s)
}

// missing judges a column that nobody has under its configured name. At the start that is a mistake of the configuration. Later it
// is drift: what is still there under another name is kept by keepProtecting, and what is gone needs no protection.
func (b *builder) missing(at string, column sallyport.Column, table bool) {
	if b.previous != nil {
		b.drift(at, "there is no column of this name any more: change the configuration")
		return
	}
	if !table {
		b.problem(at, "there is no table %s.%s; expected schema.table.column of a table in this database", column.Schema, column.Table)
		return
	}
	b.problem(at, "the table %s.%s has no column %q; expected one of %s", column.Schema, column.Table, column.Name,
		b.byName[Table{column.Schema, column.Table}].columnNames())
}

// keepProtecting carries protection over from the last snapshot: renaming a column or its table, or putting another in its place,
// must not lay the tokens that it holds open.
func (b *builder) keepProtecting() {
	current := map[sallyport.Column]*Protected{}
	for _, p := range b.protected {
		current[p.Column] = p
	}
	b.eachKept(func(before Origin, now *relation, c *rawColumn) {
		to := &now.origins[c.Number]
		if before.Protected == nil || to.Protected != nil {
			return
		}
		p := current[before.Protected.Column]
		if p == nil { // undone: it is plain again
			return
		}
		if p.TypeOID == 0 {
			p.TypeOID, _ = b.baseType(c.Type)
			p.list = listType(p.TypeOID, c.TypeName)
			p.Unique, p.alone = b.unique(now, c)
		}
		to.Protected = p
		if len(now.parents) == 0 {
			b.drift("columns."+p.Column.String(), "%s.%s, which was this column, stays protected under its new name", now.table(), c.Name)
		}
	})
}

// eachKept goes through the tables' columns of the last snapshot that are still there, by OID and attribute number.
func (b *builder) eachKept(visit func(before Origin, now *relation, c *rawColumn)) {
	if b.previous == nil {
		return
	}
	for _, oid := range slices.Sorted(maps.Keys(b.previous.relations)) {
		before, now := b.previous.relations[oid], b.relations[oid]
		if now == nil || before.isView() {
			continue
		}
		for number, origin := range before.origins {
			if c := now.numbered(int16(number)); c != nil { //nolint:gosec // PostgreSQL allows 1,600 columns
				visit(origin, now, c)
			}
		}
	}
}

// inheritProtection gives partitions and inheritance children what their parents have, masks too, by the columns' names.
// baseType goes through domains to the type that results announce. Its name is given too: types of extensions have another OID in each database.
func (b *builder) baseType(oid uint32) (base uint32, name string) {
	for range 32 { // domains over domains; a bound, though PostgreSQL cannot make a circle
		t, known := b.types[oid]
		if !known || t.Base == 0 {
			return oid, t.Name
		}
		oid = t.Base
	}
	return oid, ""
}

// length is n of varchar(n) and char(n), also of a domain over them, else 0.
func (b *builder) length(c rawColumn) int {
	mod, oid := c.TypMod, c.Type
	for range 32 {
		t, known := b.types[oid]
		if !known || t.Base == 0 {
			break
		}
		oid, mod = t.Base, t.TypMod
	}
	if (oid != 1042 && oid != 1043) || mod < 4 {
		return 0
	}
	return int(mod) - 4 // VARHDRSZ
}

// markFacts flags the tables whose committed writes become facts, and their parts.
func (b *builder) markFacts(facts FactTables) {
	for _, source := range []struct {
		name, path string
		mark       func(*relation)
	}{
		{facts.Ticket, "purposes.ticket.table", func(r *relation) { r.ticket = true }},
		{facts.Contact, "purposes.contact.table", func(r *relation) { r.contact = true }},
	} {
		if source.name == "" {
			continue
		}
		if r := b.find(source.name, source.path); r != nil {
			withParts(r, source.mark)
		}
	}
}

// markGenerated makes columns that are computed from protected ones opaque.
func (b *builder) markGenerated() {
	for _, g := range b.raw.generated {
		r := b.relations[g.Relation]
		if r == nil || int(g.From) >= len(r.origins) || int(g.Column) >= len(r.origins) {
			continue
		}
		if c := r.numbered(g.Column); c != nil && c.Generated {
			from, to := r.origins[g.From], &r.origins[g.Column]
			to.Opaque, to.Veiled = to.Opaque || from.Protected != nil, to.Veiled || from.Masked != nil
		}
	}
	for _, r := range b.relations {
		r.hot = r.hot || r.protects()
		r.origins[0].Opaque = r.hot
	}
}

// nameTables remembers relations by the names that the configuration uses, which outlive a renaming.
func (b *builder) nameTables(facts FactTables) {
	for name, r := range b.byName {
		b.tables[name.String()] = r
	}
	for name := range b.config.Paths {
		b.tables[name] = b.find(name, "")
	}
	b.tables[b.config.Customer.Table] = b.find(b.config.Customer.Table, "")
	for _, name := range []string{facts.Ticket, facts.Contact} {
		b.tables[name] = b.find(name, "")
	}
	maps.DeleteFunc(b.tables, func(_ string, r *relation) bool { return r == nil })
}

// find looks a table up by its configured name, or finds the one that had it. With a path it says where that is wrong.
func (b *builder) find(name, path string) *relation {
	table, ok := parseTable(name)
	if r := b.byName[table]; ok && r != nil {
		return r
	}
	if b.previous != nil && b.previous.tables[name] != nil {
		if r := b.relations[b.previous.tables[name].OID]; r != nil {
			if path != "" {
				b.drift(path, "%s is called %s now: change the configuration", name, r.table())
			}
			return r
		}
	}
	if path != "" {
		b.problem(path, "there is no table %s; expected schema.table of a table in this database", name)
	}
	return nil
}

// columnNames lists the columns, for people.
func (r *relation) columnNames() string {
	names := make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// schemaOf is the snapshot as query reads it, with the masks that a function tells of a column, or as if there were none.
func (b *builder) schemaOf(risks map[string]query.FunctionRisk, masks func(Origin) *query.Mask) *query.Schema {
	var relations []*query.Relation
	for _, oid := range slices.Sorted(maps.Keys(b.relations)) {
		r := b.relations[oid]
		known := &query.Relation{
			Schema: r.Schema, Name: r.Name, View: r.isView(), Smuggles: r.smuggles, Ticket: r.ticket, Contact: r.contact,
			Anchors: r.anchors, Adrift: r.adrift,
		}
		for _, c := range r.columns {
			info := b.columnInfo(r, c)
			if masks != nil {
				info.Mask = masks(r.origins[c.Number])
			}
			known.Columns = append(known.Columns, info)
		}
		if masks != nil {
			known.Spills = r.spills
		}
		relations = append(relations, known)
	}
	if masks != nil {
		relations = append(relations, b.peekRelations()...)
	}
	schema := query.NewSchema(relations, risks)
	schema.Spoken = b.spoken
	schema.BuiltIn = make(map[string]struct{}, len(b.raw.builtIn))
	for _, n := range b.raw.builtIn {
		schema.BuiltIn[n.Name] = struct{}{}
	}
	return schema
}

// maskOf is what a column's origin says of masks, nil where it says nothing.
func maskOf(o Origin) *query.Mask {
	switch {
	case o.Masked != nil:
		return &query.Mask{Column: o.Masked.Column}
	case o.Veiled:
		return &query.Mask{Derived: true}
	}
	return nil
}

func (b *builder) columnInfo(r *relation, c rawColumn) query.ColumnInfo {
	base, _ := b.baseType(c.Type)
	origin := r.origins[c.Number]
	info := query.ColumnInfo{Name: c.Name, Opaque: origin.Opaque, Link: r.links[c.Number], TypeOID: base, Length: b.length(c), Customer: origin.CustomerKey, Generated: c.Generated, Key: b.primary[attribute{r.OID, c.Number}]}
	if p := origin.Parted; p != nil {
		info.Parted = &query.Protection{Column: p.Column, Scheme: p.Scheme, Group: p.Group}
	}
	if p := origin.Protected; p != nil {
		info.Protect = &query.Protection{Column: p.Column, Scheme: p.Scheme, Group: p.Group}
		if len(p.Bound) > 0 && !p.Hidden { // rotations of what has no form go by rows
			info.Protect.Bond = p.Bound[0].Column.String()
		}
		if p.Moving {
			info.Protect.Closed, info.Protect.Plain = p.Formless(), p.Leaving
			info.Protect.Moving, info.Protect.Forms, info.Protect.Unique, info.Protect.List = true, MovingForms, p.alone, p.list
			if p.Hidden {
				info.Protect.Forms = RotatingForms
			}
		}
		if p.Rotating {
			info.Protect.Forms, info.Protect.Unique, info.Protect.List, info.Protect.Whole = RotatingForms, p.alone, p.list, p.Whole
		}
	}
	return info
}
