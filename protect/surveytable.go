package protect

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// checks tries the column's check constraints on a token. Those that read other columns too are for people to judge, and so are those that
// run code of the database's own: here it would run with the rights of who asks, who may be a superuser.
func (s *surveyor) checks(ctx context.Context, c *surveyed) error {
	rows, err := s.conn.Query(ctx, `SELECT quote_ident(k.conname), pg_get_expr(k.conbin, k.conrelid), cardinality(k.conkey),
			EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refobjid >= 16384
				AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass))
		FROM pg_constraint k
		WHERE k.contype = 'c' AND k.conrelid = $1 AND $2 = ANY (k.conkey) AND k.conname NOT LIKE 'sallyport%' ORDER BY k.conname`, c.oid, c.number)
	if err != nil {
		return err
	}
	type check struct {
		name, expression string
		columns          int
		own              bool // it runs code that did not come with the server
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k check, err error) {
		return k, row.Scan(&k.name, &k.expression, &k.columns, &k.own)
	})
	if err != nil {
		return err
	}
	for _, k := range found {
		drop := []string{fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", c.table, k.name)}
		if k.columns > 1 {
			s.report(c, ObstacleCheck, false, "the check constraint %s reads it beside other columns: see whether it holds for tokens", k.name).Never = drop
			continue
		}
		if k.own {
			s.report(c, ObstacleCheck, false, "the check constraint %s calls functions of the database: see whether it holds for tokens", k.name).Never = drop
			continue
		}
		if holds, err := s.tryCheck(ctx, c, k.expression); err != nil {
			return err
		} else if !holds {
			s.report(c, ObstacleCheck, true, "the check constraint %s refuses tokens", k.name).Never = drop
		}
	}
	return nil
}

// tryCheck tells whether a condition on the column alone holds for a token of its. What the server cannot say counts as no.
func (s *surveyor) tryCheck(ctx context.Context, c *surveyed, expression string) (holds bool, err error) {
	tok, ok := exampleToken(c)
	if !ok {
		return true, nil // the type is reported already
	}
	tx, err := s.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly}) // a function in the condition may not write
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing was changed
	sql := fmt.Sprintf("SELECT coalesce((%s), true) FROM (SELECT $1::text::%s AS %s) AS it", expression, c.kind, c.name)
	if tx.QueryRow(ctx, sql, tok).Scan(&holds) != nil {
		return false, ctx.Err()
	}
	return holds, nil
}

// exampleToken is a token of the column, of a value that nobody has.
func exampleToken(c *surveyed) (string, bool) {
	value := map[sallyport.Scheme]string{
		sallyport.Email: "nobody@mail.example", sallyport.Phone: "+4915112345678", sallyport.Name: "No Body", sallyport.Text: "no text", sallyport.Date: "1980-02-29",
		sallyport.Timestamp: "1980-02-29 12:34:56", sallyport.Timestamptz: "1980-02-29 12:34:56+00", sallyport.Int4: "712345678", sallyport.Int8: "712345678",
		sallyport.UUID: "f47ac10b-58cc-4372-a567-0e02b2c3d479",
	}[c.Codec.Spec().Scheme]
	for plain := range c.Codec.Spec().Prefixes {
		value = plain + "-4821-7730"
	}
	made, err := c.Codec.Tokenise(nil, []byte(value), nothing{})
	return string(made), err == nil
}

// generatedFrom looks for columns that are generated from the column.
func (s *surveyor) generatedFrom(ctx context.Context, c *surveyed) error {
	names, err := s.texts(ctx, `SELECT DISTINCT quote_ident(b.attname) FROM pg_attrdef a JOIN pg_attribute b ON b.attrelid = a.adrelid AND b.attnum = a.adnum AND b.attgenerated <> ''
		JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.adrelid AND d.refobjsubid = $2 AND d.refobjsubid <> a.adnum
			AND (d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid OR d.classid = 'pg_class'::regclass AND d.objid = a.adrelid AND d.objsubid = a.adnum)
		WHERE a.adrelid = $1 ORDER BY 1`, c.oid, c.number)
	for _, name := range names {
		o := s.report(c, ObstacleGenerated, false, "the column %s is generated from it, and would be made of tokens: nothing finds by it, and it is never revealed", name)
		o.Never = []string{fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s;", c.table, name)}
	}
	return err
}

// table looks at what stands on a table with protected columns.
func (s *surveyor) table(ctx context.Context, oid uint32, name Table) error {
	add := func(kind ObstacleKind, blocks bool, sql string, format string, args ...any) {
		o := Obstacle{Where: name.String(), Kind: kind, Blocks: blocks, What: fmt.Sprintf(format, args...)}
		if sql != "" {
			o.Never = []string{sql}
		}
		s.found = append(s.found, o)
	}
	quoted := pgx.Identifier{name.Schema, name.Name}.Sanitize()
	columns := s.namesIn(name)
	for _, look := range []struct {
		sql  string
		each func(name, extra string)
	}{
		{`SELECT 'no key', '' WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = $1 AND indisprimary)`, func(string, string) {
			add(ObstacleKey, true, "", "it has no primary key, by which rows are found while they change")
		}},
		// tgtype: 16 is UPDATE (pg_trigger.h)
		{`SELECT quote_ident(t.tgname), CASE WHEN t.tgtype & 16 <> 0 THEN 'update' ELSE '' END || ' ' || t.tgfoid::regproc::text || ' ' || coalesce(p.prosrc, '') FROM pg_trigger t
			JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgfoid::regprocedure::text !~ '^sallyport\.(hold|note|hold_turning|note_turning|note_[0-9]+|note_turning_[0-9a-f]+)\(\)$' ORDER BY t.tgname`, func(trigger, extra string) {
			update, extra, _ := strings.Cut(extra, " ")
			function, source, _ := strings.Cut(extra, " ")
			reads := ""
			if mentionsAny(source, columns) {
				reads = ", and reads a protected column: it gets tokens from then on"
			}
			if update != "" {
				add(ObstacleTrigger, true, fmt.Sprintf("ALTER TABLE %s DISABLE TRIGGER %s; -- and ENABLE it after protect", quoted, trigger),
					"its trigger %s runs %s, which would see plain values while rows move%s; disable it for that time", trigger, function, reads)
			} else if reads != "" {
				add(ObstacleTrigger, false, "", "its trigger %s runs %s%s", trigger, function, reads)
			}
		}},
		{`SELECT quote_ident(rulename), '' FROM pg_rewrite WHERE ev_class = $1 AND ev_type <> '1' ORDER BY 1`, func(rule, _ string) {
			add(ObstacleRule, true, fmt.Sprintf("DROP RULE %s ON %s;", rule, quoted), "its rule %s turns statements into others that nobody analysed", rule)
		}},
		{`SELECT i.inhrelid::regclass::text, '' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent WHERE i.inhparent = $1 AND c.relkind = 'r' ORDER BY 1`, func(child, _ string) {
			add(ObstacleInherit, true, "", "the table %s inherits from it: its rows would stay plain; end that, or make it a partition", child)
		}},
		{`SELECT quote_ident(a.attname), '' FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::int2[]) WHERE p.partrelid = $1`, func(key, _ string) {
			if columns[strings.ToLower(strings.Trim(key, `"`))] {
				add(ObstaclePartition, true, "", "it is partitioned by %s: tokens belong to no partition, or to any", key)
			}
		}},
		{`SELECT quote_ident(polname), coalesce(pg_get_expr(polqual, polrelid), '') || ' ' || coalesce(pg_get_expr(polwithcheck, polrelid), '') FROM pg_policy WHERE polrelid = $1 ORDER BY 1`, func(policy, text string) {
			if mentionsAny(text, columns) {
				add(ObstaclePolicy, false, fmt.Sprintf("DROP POLICY %s ON %s;", policy, quoted), "its policy %s compares a protected column, and would be asked about tokens", policy)
			}
		}},
		{`SELECT pubname::text, CASE WHEN puballtables THEN 'all' ELSE '' END FROM pg_publication p WHERE puballtables OR EXISTS (SELECT FROM pg_publication_tables t, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = $1 AND t.pubname = p.pubname AND t.schemaname = n.nspname AND t.tablename = c.relname) ORDER BY 1`, func(publication, all string) {
			sql := fmt.Sprintf("ALTER PUBLICATION %s DROP TABLE %s;", pgx.Identifier{publication}.Sanitize(), quoted)
			if all != "" {
				sql = ""
			}
			add(ObstaclePublication, false, sql, "the publication %s carries it: subscribers get tokens from then on, and what they have is plain until they purge it", publication)
		}},
	} {
		if err := s.pairs(ctx, oid, look.sql, look.each); err != nil {
			return fmt.Errorf("look at table %s: %w", name, withoutValues(err))
		}
	}
	return nil
}

// namesIn are the names of a table's protected columns, in lower case.
func (s *surveyor) namesIn(table Table) map[string]bool {
	names := map[string]bool{}
	for i := range s.columns {
		if c := s.columns[i].Column; c.Schema == table.Schema && c.Table == table.Name {
			names[strings.ToLower(c.Name)] = true
		}
	}
	return names
}

// mentionsAny tells whether a text has one of the names in it as a word.
func mentionsAny(text string, names map[string]bool) bool {
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(c rune) bool {
		return c != '_' && c != '$' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && c < 0x80
	}) {
		if names[word] {
			return true
		}
	}
	return false
}

// pairs runs a query with the table as its parameter, and hands each row's two texts on.
func (s *surveyor) pairs(ctx context.Context, oid uint32, sql string, each func(name, extra string)) error {
	rows, err := s.conn.Query(ctx, sql, oid)
	if err != nil {
		return err
	}
	var name, extra string
	_, err = pgx.ForEachRow(rows, []any{&name, &extra}, func() error { each(name, extra); return nil })
	return err
}

func (s *surveyor) texts(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

const surveyViews = `WITH RECURSIVE above (oid, depth) AS (
		SELECT w.ev_class, 1 FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
			WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2 AND w.ev_class <> $1
		UNION SELECT w.ev_class, above.depth + 1 FROM above JOIN pg_depend d ON d.refobjid = above.oid AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
			JOIN pg_rewrite w ON w.oid = d.objid AND w.ev_class <> above.oid WHERE above.depth < 100)
	SELECT format('%I.%I', n.nspname, c.relname),
		CASE WHEN c.relkind = 'v' AND c.relhastriggers = false AND NOT EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
			AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND (a.attacl IS NOT NULL OR a.atthasdef))
			AND NOT EXISTS (SELECT FROM pg_description e WHERE e.classoid = 'pg_class'::regclass AND e.objoid = c.oid)
			AND NOT EXISTS (SELECT FROM pg_seclabel e WHERE e.classoid = 'pg_class'::regclass AND e.objoid = c.oid) THEN 'v' ELSE 'other' END, coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', ''), pg_get_viewdef(c.oid), quote_ident(pg_get_userbyid(c.relowner)),
		coalesce((SELECT string_agg(format('GRANT %s ON %I.%I TO %s%s;', x.privilege_type, n.nspname, c.relname, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
			CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), E'\n' ORDER BY x.grantee, x.privilege_type) FROM aclexplode(c.relacl) x WHERE x.grantee <> c.relowner), '')
	FROM above JOIN pg_class c ON c.oid = above.oid JOIN pg_namespace n ON n.oid = c.relnamespace GROUP BY c.oid, n.nspname, c.relname, c.relkind, c.reloptions, c.relowner, c.relacl ORDER BY max(above.depth), c.oid`

// retype are the statements that change a column's type. Views over it are taken away and made again, since the server does not change what
// they were made of; with anything else among them, or
// a view that more hangs on than its definition, owner and grants, it is left to people.
func (s *surveyor) retype(ctx context.Context, c *surveyed, to, how string) ([]string, error) {
	alter := strings.TrimSpace(fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s %s", c.table, c.name, to, how)) + ";"
	rows, err := s.conn.Query(ctx, surveyViews, c.oid, c.number)
	if err != nil {
		return nil, err
	}
	drops, makes := []string{}, []string{}
	var name, kind, options, definition, owner, grants string
	plain := true
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &options, &definition, &owner, &grants}, func() error {
		plain = plain && kind == "v"
		drops = append([]string{"DROP VIEW " + name + ";"}, drops...)
		makes = append(makes, fmt.Sprintf("CREATE VIEW %s%s AS\n%s", name, options, definition), fmt.Sprintf("ALTER VIEW %s OWNER TO %s;", name, owner))
		if grants != "" {
			makes = append(makes, strings.Split(grants, "\n")...)
		}
		return nil
	})
	if err != nil || !plain {
		return nil, err
	}
	if len(drops) == 0 {
		return []string{alter}, nil
	}
	return append(append(append(append([]string{"BEGIN;"}, drops...), alter), makes...), "COMMIT;"), nil
}
