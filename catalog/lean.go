package catalog

import (
	"slices"
	"strings"

	"sallyport/query"
)

// Functions run where nobody calls them: behind operators, casts and types, and when a row is written, behind triggers, check
// constraints, defaults and generated columns, index expressions, policies and partition keys. This file reads what leans on which
// function, so that risk.go can follow.

// rawLean is something that runs a function, or values of a type, when a row of a relation is written or a value of a domain is made.
// One of Function, Type and Class is set.
type rawLean struct {
	Relation uint32 // or 0
	Domain   uint32 // or 0
	Name     string
	Function uint32
	Type     uint32
	Class    uint32 // of operators
}

// rawOperator is an operator and its function.
type rawOperator struct {
	Schema, Name string
	Function     uint32
}

// rawTypeUse is a function that runs on values of a type: of its input and output, of a cast from it or to it, of an operator class
// for it (Class).
type rawTypeUse struct {
	Type     uint32
	Function uint32
	Class    uint32
}

// rawPart is a type of which another one is made (a domain's base, an element, an attribute), or that a function takes.
type rawPart struct {
	Whole uint32 // a type, or 0
	Taker uint32 // a function, or 0
	Part  uint32
}

type rawTypeName struct {
	OID          uint32
	Schema, Name string
}

type rawPolicy struct {
	Relation   uint32
	Name, Text string
}

// rawForeign is one pair of columns of a foreign key.
type rawForeign struct {
	Relation         uint32
	Column           int16
	References       uint32
	ReferencesColumn int16
	Name             string
	Immediate        bool // it holds after every statement, for all rows
	Cascades         bool // what refers to a row is deleted with it
	Acts             bool // or written: when a row is deleted, or its key changed
}

// What runs when a row is inserted (4), updated (16) or deleted (8), or the table truncated (32), and what a domain checks. Dependencies on
// what came with the server are not kept by it. Until PostgreSQL 14 what a generated column needs hangs on the column, not on its expression.
const selectLeans = `WITH owner (class, id, part, relation, domain, name) AS (
		SELECT 'pg_catalog.pg_trigger'::regclass, t.oid, 0, t.tgrelid, 0::oid, 'trigger ' || t.tgname FROM pg_catalog.pg_trigger t
			WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & 60) <> 0
		UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, 0, k.conrelid, k.contypid, 'check constraint ' || k.conname
			FROM pg_catalog.pg_constraint k WHERE k.contype = 'c'
		UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, a.oid, 0, a.adrelid, 0, 'column ' || b.attname
			FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_attribute b ON b.attrelid = a.adrelid AND b.attnum = a.adnum
		UNION ALL SELECT 'pg_catalog.pg_class'::regclass, b.attrelid, b.attnum, b.attrelid, 0, 'column ' || b.attname
			FROM pg_catalog.pg_attribute b WHERE b.attgenerated <> ''
		UNION ALL SELECT 'pg_catalog.pg_class'::regclass, i.indexrelid, 0, i.indrelid, 0, 'index ' || c.relname
			FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid >= ` + firstNormal + `
		UNION ALL SELECT 'pg_catalog.pg_class'::regclass, p.partrelid, 0, p.partrelid, 0, 'its partition key' FROM pg_catalog.pg_partitioned_table p
		UNION ALL SELECT 'pg_catalog.pg_policy'::regclass, p.oid, 0, p.polrelid, 0, 'policy ' || p.polname FROM pg_catalog.pg_policy p
		UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::regclass, s.oid, 0, s.stxrelid, 0, 'statistics ' || s.stxname FROM pg_catalog.pg_statistic_ext s)
	SELECT DISTINCT w.relation, w.domain, w.name,
		CASE d.refclassid WHEN 'pg_catalog.pg_proc'::regclass THEN d.refobjid WHEN 'pg_catalog.pg_operator'::regclass THEN o.oprcode::oid ELSE 0 END,
		CASE d.refclassid WHEN 'pg_catalog.pg_type'::regclass THEN d.refobjid ELSE 0 END,
		CASE d.refclassid WHEN 'pg_catalog.pg_opclass'::regclass THEN d.refobjid ELSE 0 END
	FROM owner w JOIN pg_catalog.pg_depend d ON d.classid = w.class AND d.objid = w.id AND (w.part = 0 OR d.objsubid = w.part)
	LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
	WHERE d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_opclass'::regclass)
	ORDER BY 1, 2, 3, 4, 5, 6`

const selectOperators = `SELECT n.nspname::text, o.oprname::text, o.oprcode::oid FROM pg_catalog.pg_operator o
	JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid >= ` + firstNormal + ` ORDER BY o.oid`

const selectTypeUses = `SELECT t.oid, f.oid, 0::oid FROM pg_catalog.pg_type t,
		LATERAL unnest(ARRAY[t.typinput::oid, t.typoutput::oid, t.typreceive::oid, t.typsend::oid, t.typmodin::oid, t.typanalyze::oid]) f (oid)
		WHERE t.oid >= ` + firstNormal + ` AND f.oid >= ` + firstNormal + `
	UNION SELECT u.type, c.castfunc::oid, 0 FROM pg_catalog.pg_cast c, LATERAL (VALUES (c.castsource), (c.casttarget)) u (type)
		WHERE c.oid >= ` + firstNormal + ` AND c.castfunc <> 0 AND (u.type = c.casttarget OR u.type >= ` + firstNormal + `)
	UNION SELECT r.rngtypid, f.oid, 0 FROM pg_catalog.pg_range r, LATERAL unnest(ARRAY[r.rngcanonical::oid, r.rngsubdiff::oid]) f (oid) WHERE f.oid >= ` + firstNormal + `
	UNION SELECT CASE WHEN c.opcintype >= ` + firstNormal + ` THEN c.opcintype ELSE 0 END, p.amproc::oid, c.oid
		FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_amproc p ON p.amprocfamily = c.opcfamily WHERE c.oid >= ` + firstNormal + `
	UNION SELECT CASE WHEN c.opcintype >= ` + firstNormal + ` THEN c.opcintype ELSE 0 END, o.oprcode::oid, c.oid
		FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_amop a ON a.amopfamily = c.opcfamily JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr
		WHERE c.oid >= ` + firstNormal + ` ORDER BY 1, 2, 3`

const selectParts = `SELECT t.oid, 0::oid, p.oid FROM pg_catalog.pg_type t, LATERAL (VALUES (t.typbasetype), (t.typelem)) p (oid) WHERE p.oid <> 0 AND t.oid >= ` + firstNormal + `
	UNION SELECT t.oid, 0, a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
		WHERE t.typrelid >= ` + firstNormal + ` AND a.attnum > 0 AND NOT a.attisdropped
	UNION SELECT x.rngtypid, 0, x.rngsubtype FROM pg_catalog.pg_range x
	UNION SELECT 0, f.oid, u.type FROM pg_catalog.pg_proc f, LATERAL unnest(f.proargtypes::oid[] || f.prorettype || coalesce(f.proallargtypes, '{}')) u (type)
		WHERE f.oid >= ` + firstNormal + ` ORDER BY 1, 2, 3`

const selectTypeNames = `SELECT t.oid, n.nspname::text, t.typname::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
	WHERE t.typtype <> 'p' ORDER BY t.oid`

const selectPolicies = `SELECT p.polrelid, 'policy ' || p.polname,
		coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), '') || ' ' || coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
	FROM pg_catalog.pg_policy p ORDER BY p.oid`

const selectForeign = `SELECT k.conrelid, c.col, k.confrelid, c.ref, 'foreign key ' || k.conname,
		NOT k.condeferrable AND k.convalidated, k.confdeltype = 'c', k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd') FROM pg_catalog.pg_constraint k,
	LATERAL unnest(k.conkey, k.confkey) c (col, ref) WHERE k.contype = 'f' ORDER BY k.oid, c.col`

type rawName struct{ Name string }

const selectBuiltIn = `SELECT pg_catalog.lower(proname) FROM pg_catalog.pg_proc WHERE oid < ` + firstNormal + ` UNION SELECT pg_catalog.lower(typname) FROM pg_catalog.pg_type WHERE oid < ` + firstNormal + `
	UNION SELECT 'operator ' || oprname FROM pg_catalog.pg_operator WHERE oid < ` + firstNormal + ` AND oprnamespace = 'pg_catalog'::regnamespace`

// spreadTypes finds the types whose values run risky functions, and the functions that take such values. It says whether there are
// new ones.
func (b *builder) spreadTypes() (changed bool) {
	mark := func(oid uint32, why string) {
		if oid != 0 && why != "" && b.typeRisks[oid] == "" {
			b.typeRisks[oid], changed = why, true
		}
	}
	for again := true; again; {
		again = false
		for _, u := range b.raw.typeUses {
			if b.risks[u.Function] == "" {
				continue
			}
			mark(u.Type, "runs "+b.functionName(u.Function)+", which "+b.risks[u.Function])
			b.classRisks[u.Class] = "runs " + b.functionName(u.Function) + ", which " + b.risks[u.Function]
		}
		for i := range b.raw.leans {
			if l := &b.raw.leans[i]; l.Domain != 0 {
				mark(l.Domain, b.leaning(l))
			}
		}
		for _, p := range b.raw.parts {
			if b.spreadPart(p) {
				again, changed = true, true
			}
		}
	}
	return changed
}

// spreadPart passes a type's risk on to what is made of it, or to a function that takes its values. It says whether that is new.
func (b *builder) spreadPart(p rawPart) bool {
	why := b.typeRisks[p.Part]
	switch {
	case why == "":
		return false
	case p.Taker == 0 && p.Whole != 0 && b.typeRisks[p.Whole] == "":
		b.typeRisks[p.Whole] = "is made of " + b.typeName(p.Part) + ", which " + why
		return true
	case p.Taker != 0 && b.risks[p.Taker] == "" && b.functions[p.Taker] != nil:
		b.risks[p.Taker] = "takes values of " + b.typeName(p.Part) + ", which " + why
		return true
	default:
		return false
	}
}

// leaning says why something that leans on a function or a type is risky, or nothing.
func (b *builder) leaning(l *rawLean) string {
	switch {
	case b.risks[l.Function] != "":
		return l.Name + " runs " + b.functionName(l.Function) + ", which " + b.risks[l.Function]
	case b.typeRisks[l.Type] != "":
		return l.Name + " uses " + b.typeName(l.Type) + ", which " + b.typeRisks[l.Type]
	case l.Class != 0 && b.classRisks[l.Class] != "":
		return l.Name + " " + b.classRisks[l.Class]
	}
	return ""
}

func (b *builder) functionName(oid uint32) string {
	if f := b.functions[oid]; f != nil {
		return f.Schema + "." + f.Name
	}
	return "a function"
}

func (b *builder) typeName(oid uint32) string {
	if t, ok := b.typeNames[oid]; ok {
		return "the type " + t.Schema + "." + t.Name
	}
	return "a type"
}

// addRisks adds the types and operators to the risks that statements are held against.
func (b *builder) addRisks(risks map[string]query.FunctionRisk) {
	for _, t := range b.raw.typeNames {
		if why := b.typeRisks[t.OID]; why != "" {
			risks[strings.ToLower(t.Name)] = query.FunctionRisk{Writes: true, Why: b.typeName(t.OID) + " " + why}
		}
	}
	for _, o := range b.raw.operators {
		name := "operator " + strings.ToLower(o.Name)
		if why := b.risks[o.Function]; why != "" {
			risks[name] = query.FunctionRisk{Writes: true, Why: "the operator " + o.Schema + "." + o.Name + " runs " + b.functionName(o.Function) + ", which " + why}
		}
	}
}

// findLeaning marks the relations where what is written runs risky code other than rules. A protected table's triggers and policies
// are let be, since what they see of it are tokens already.
func (b *builder) findLeaning() {
	for i := range b.raw.leans {
		if l := &b.raw.leans[i]; l.Relation != 0 {
			b.smuggle(b.relations[l.Relation], b.leaning(l))
		}
	}
	columns := b.hotColumns()
	for _, p := range b.raw.policies {
		words := wordsOf(p.Text)
		if i := slices.IndexFunc(columns, func(name string) bool { return mentions(name, p.Text, words) }); i >= 0 {
			b.smuggle(b.relations[p.Relation], p.Name+" compares with protected columns")
		}
	}
	for _, r := range b.relations {
		for _, c := range r.columns {
			if why := b.typeRisks[c.Type]; why != "" {
				b.smuggle(r, "column "+c.Name+" is of "+b.typeName(c.Type)+", which "+why)
			}
		}
	}
	b.findForeign()
}

// hotColumns are the names of protected columns and of what is made from them, in lower case, and the sign of a whole row.
func (b *builder) hotColumns() []string {
	names := map[string]bool{".*": true}
	for _, r := range b.relations {
		for _, c := range r.columns {
			if o := r.origins[c.Number]; o.Protected != nil || o.Opaque {
				names[strings.ToLower(c.Name)] = true
			}
		}
	}
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	return list
}

// findForeign marks both sides of a foreign key that compares a protected column with one that is not protected in the same way: a
// plain value that is written on one side would be held against tokens of the other, or handed on to it.
func (b *builder) findForeign() {
	for _, f := range b.raw.foreign {
		from, to := b.relations[f.Relation], b.relations[f.References]
		if from == nil || to == nil || int(f.Column) >= len(from.origins) || int(f.ReferencesColumn) >= len(to.origins) {
			continue
		}
		p, q := from.origins[f.Column].Protected, to.origins[f.ReferencesColumn].Protected
		if p == q || p != nil && q != nil && p.Scheme == q.Scheme && p.Group == q.Group {
			continue
		}
		why := f.Name + " compares a protected column with one that is not protected in the same way"
		if p == nil {
			from.smuggles = why
		}
		if q == nil {
			to.smuggles = why
		}
		if p != nil && q != nil {
			from.smuggles, to.smuggles = why, why
		}
	}
}
