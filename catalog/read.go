package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// raw is what the database says about itself, before it is compared with the configuration. Everything comes from pg_catalog,
// which every role may read; USAGE on a schema is needed to describe views over its tables, and nothing else.
type raw struct {
	relations   []rawRelation
	columns     []rawColumn
	types       []rawType
	inherits    []rawInherits
	viewUses    []rawUse // view → relations and functions that its definition mentions
	generated   []rawGenerated
	functions   []rawFunction
	leans       []rawLean
	operators   []rawOperator
	typeUses    []rawTypeUse
	parts       []rawPart
	typeNames   []rawTypeName
	policies    []rawPolicy
	foreign     []rawForeign
	builtIn     []rawName
	rules       []rawRule
	keys        []rawKey
	unique      []rawUnique
	primaries   []rawPrimary
	progress    []rawProgress
	peeks       []rawPeek
	definitions map[uint32]string // view → its query
}

type rawRelation struct {
	OID          uint32
	Schema, Name string
	Kind         string // r table, p partitioned table, v view, m materialised view, f foreign table
}

type rawColumn struct {
	Relation  uint32
	Number    int16
	Name      string
	Type      uint32
	TypMod    int32
	TypeName  string // as SQL writes it under an empty search_path, without a length: bpchar, not character, which means one
	Generated bool
	Default   bool
}

type rawType struct {
	OID    uint32
	Name   string
	Base   uint32 // of a domain, else 0
	TypMod int32  // of a domain
}

type rawInherits struct{ Child, Parent uint32 }

type rawUse struct {
	View     uint32
	Relation uint32 // or 0
	Function uint32 // or 0
}

type rawGenerated struct {
	Relation uint32
	Column   int16 // the generated one
	From     int16
}

type rawFunction struct {
	OID                    uint32
	Schema, Name, Language string
	Source                 string
	Aggregate              bool
	Far                    bool // of an extension that is named by Source: it may look into tables
}

type rawRule struct {
	Relation   uint32
	Name       string
	Definition string
}

// rawKey is a single-column key: a primary key (References 0), or a foreign key and what it refers to.
type rawKey struct {
	Relation         uint32
	Column           int16
	References       uint32
	ReferencesColumn int16
}

// firstNormal is FirstNormalObjectId of PostgreSQL's access/transam.h: what initdb made lies below it.
const firstNormal = "16384"

// relationsOf selects what the catalogue speaks of. Temporary relations are left out: they belong to one session, come and go
// with every statement, and the gateway treats an OID that nobody knows as one whose tokens are found by their form.
const relationsOf = ` pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	AND c.oid >= ` + firstNormal + ` AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
	AND n.nspname NOT LIKE 'pg\_toast%' `

const selectRelations = `SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text FROM` + relationsOf + `ORDER BY c.oid`

const selectColumns = `SELECT a.attrelid, a.attnum, a.attname::text, a.atttypid, a.atttypmod,
		pg_catalog.format_type(a.atttypid, -1), a.attgenerated <> '', a.atthasdef
	FROM` + relationsOf + `JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
	WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`

// Base types that tokens fit in, and domains, which may lie over them.
const selectTypes = `SELECT t.oid, t.typname::text, t.typbasetype, t.typtypmod FROM pg_catalog.pg_type t
	WHERE t.typtype = 'd' OR t.typname = 'citext'`

const selectInherits = `SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits`

// A view's rule depends on each relation, function and operator of its query.
const selectViewUses = `SELECT DISTINCT r.ev_class,
		CASE WHEN d.refclassid = 'pg_catalog.pg_class'::regclass THEN d.refobjid ELSE 0 END,
		CASE d.refclassid WHEN 'pg_catalog.pg_proc'::regclass THEN d.refobjid
			WHEN 'pg_catalog.pg_operator'::regclass THEN o.oprcode::oid ELSE 0 END
	FROM pg_catalog.pg_rewrite r
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
	LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
	WHERE r.ev_type = '1' AND r.ev_class >= ` + firstNormal + ` AND d.refobjid <> r.ev_class AND d.refclassid IN
		('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)`

// Until PostgreSQL 14 the dependency goes from the generated column, later from its expression.
const selectGenerated = `SELECT a.adrelid, a.adnum, d.refobjsubid::int2
	FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass
		AND d.refobjid = a.adrelid AND d.refobjsubid > 0 AND d.refobjsubid <> a.adnum
		AND (d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = a.oid
			OR d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = a.adrelid AND d.objsubid = a.adnum)`

// Of the functions that came with the server those are read that a superuser may have replaced.
// The source of a function in a language that PostgreSQL does not parse, the definition where it does (prosrc is empty then),
// and an aggregate's support functions by name.
const selectFunctions = `SELECT p.oid, n.nspname::text, p.proname::text, l.lanname::text,
		CASE WHEN p.prokind = 'a' THEN pg_catalog.concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggmtransfn, g.aggmfinalfn)
			WHEN p.prosrc = '' THEN coalesce(pg_catalog.pg_get_functiondef(p.oid), '') ELSE p.prosrc END, p.prokind = 'a', false
	FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
	JOIN pg_catalog.pg_language l ON l.oid = p.prolang LEFT JOIN pg_catalog.pg_aggregate g ON g.aggfnoid = p.oid
	WHERE (p.oid >= ` + firstNormal + ` OR l.lanname NOT IN ('c', 'internal') AND (p.prosrc <> '' OR EXISTS (SELECT FROM pg_catalog.pg_depend d
			WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.refobjid >= ` + firstNormal + `)))
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
	UNION ALL ` + selectFar

// Functions of extensions that are not immutable may read tables, by a name in a text say. Left out are those that nobody calls (of triggers, or
// with internal arguments), and the extensions that come with PostgreSQL and read no rows.
const selectFar = `SELECT p.oid, n.nspname::text, p.proname::text, '', x.extname::text, p.prokind = 'a', true
	FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_catalog.pg_extension x ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND x.oid = d.refobjid
	WHERE p.provolatile <> 'i' AND NOT p.proargtypes::oid[] && ARRAY['pg_catalog.internal'::regtype::oid]
		AND p.prorettype NOT IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype, 'pg_catalog.language_handler'::regtype, 'pg_catalog.fdw_handler'::regtype)
		AND x.extname NOT IN ('btree_gin', 'btree_gist', 'citext', 'cube', 'earthdistance', 'fuzzystrmatch', 'hstore', 'intarray', 'isn', 'ltree', 'pg_stat_statements', 'pg_trgm', 'pgcrypto',
			'plpgsql', 'seg', 'sslinfo', 'unaccent', 'uuid-ossp')`

const selectRules = `SELECT r.ev_class, 'rule ' || r.rulename, coalesce(pg_catalog.pg_get_ruledef(r.oid), '') FROM pg_catalog.pg_rewrite r
	WHERE r.ev_type IN ('2', '3', '4') AND r.ev_enabled <> 'D' AND r.ev_class >= ` + firstNormal

const selectKeys = `SELECT k.conrelid, k.conkey[1], k.confrelid, coalesce(k.confkey[1], 0)::int2 FROM pg_catalog.pg_constraint k
	WHERE k.contype IN ('p', 'f') AND pg_catalog.cardinality(k.conkey) = 1`

const selectDefinitions = `SELECT c.oid, coalesce(pg_catalog.pg_get_viewdef(c.oid), '') FROM` + relationsOf + `WHERE c.relkind IN ('v', 'm')`

// readRaw reads the description. It runs outside a transaction, because PostgreSQL prints views as they are now and not as a
// transaction's snapshot sees them: the caller compares the version before and after.
func readRaw(ctx context.Context, conn *pgx.Conn) (*raw, error) {
	r := &raw{definitions: map[uint32]string{}}
	var definitions []rawDefinition
	for _, read := range []func() error{
		func() (err error) { r.relations, err = selectAll[rawRelation](ctx, conn, selectRelations); return },
		func() (err error) { r.columns, err = selectAll[rawColumn](ctx, conn, selectColumns); return },
		func() (err error) { r.types, err = selectAll[rawType](ctx, conn, selectTypes); return },
		func() (err error) { r.inherits, err = selectAll[rawInherits](ctx, conn, selectInherits); return },
		func() (err error) { r.viewUses, err = selectAll[rawUse](ctx, conn, selectViewUses); return },
		func() (err error) { r.generated, err = selectAll[rawGenerated](ctx, conn, selectGenerated); return },
		func() (err error) { r.functions, err = selectAll[rawFunction](ctx, conn, selectFunctions); return },
		func() (err error) { r.leans, err = selectAll[rawLean](ctx, conn, selectLeans); return },
		func() (err error) { r.operators, err = selectAll[rawOperator](ctx, conn, selectOperators); return },
		func() (err error) { r.typeUses, err = selectAll[rawTypeUse](ctx, conn, selectTypeUses); return },
		func() (err error) { r.parts, err = selectAll[rawPart](ctx, conn, selectParts); return },
		func() (err error) { r.typeNames, err = selectAll[rawTypeName](ctx, conn, selectTypeNames); return },
		func() (err error) { r.policies, err = selectAll[rawPolicy](ctx, conn, selectPolicies); return },
		func() (err error) { r.builtIn, err = selectAll[rawName](ctx, conn, selectBuiltIn); return },
		func() (err error) { r.foreign, err = selectAll[rawForeign](ctx, conn, selectForeign); return },
		func() (err error) { r.rules, err = selectAll[rawRule](ctx, conn, selectRules); return },
		func() (err error) { r.peeks, err = selectPeeks(ctx, conn); return },
		func() (err error) { r.keys, err = selectAll[rawKey](ctx, conn, selectKeys); return },
		func() (err error) { r.unique, err = selectAll[rawUnique](ctx, conn, selectUnique); return },
		func() (err error) { r.primaries, err = selectAll[rawPrimary](ctx, conn, selectPrimaries); return },
		func() (err error) { r.progress, err = selectAll[rawProgress](ctx, conn, selectProgress); return },
		func() (err error) { definitions, err = selectAll[rawDefinition](ctx, conn, selectDefinitions); return },
	} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
	}
	for _, d := range definitions {
		r.definitions[d.View] = d.Query
	}
	return r, nil
}

type rawDefinition struct {
	View  uint32
	Query string
}

func selectAll[T any](ctx context.Context, conn *pgx.Conn, sql string) ([]T, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}
