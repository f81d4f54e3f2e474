package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport/catalog"
	"sallyport/config"
	"sallyport/protect"
	"sallyport/query"
)

// fit looks at what the protected columns are to meet in the database: everything that protect would refuse, and what will not work once
// they hold tokens. It is the owner's question, before rows move in.
func (c *check) fit(ctx context.Context) error {
	conn, err := Watcher(c.config, ctx, c.owner)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	snapshot, err := catalog.Load(ctx, conn, c.config.Protect, c.config.Purposes.Tables())
	if misfits, ok := errors.AsType[catalog.Problems](err); ok {
		c.misfits(misfits)
		snapshot = nil
	} else if err != nil {
		return err
	}
	if snapshot != nil {
		c.misfits(c.config.PurposeMisfits(snapshot))
	}
	obstacles, err := Survey(c.config, ctx, conn)
	if err != nil {
		return err
	}
	for _, o := range obstacles {
		if o.Kind == protect.ObstacleMissing || o.Kind == protect.ObstacleType && snapshot == nil {
			continue // a place in the file says it already
		}
		c.obstacle(o, true)
	}
	if snapshot == nil {
		return nil
	}
	if err := c.rowSecurity(ctx, conn, true); err != nil {
		return err
	}
	c.values = true
	return c.leaning(ctx, conn, snapshot, false)
}

// twins tells of rows that a unique index holds apart and that become one value. The values are read, and none is told.
func (c *check) twins(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readThrough)
	defer cancel()
	conn, err := Watcher(c.config, ctx, c.owner)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what it wrote down is gone with it
	if _, err := conn.Exec(ctx, "SET search_path = pg_catalog"); err != nil {
		return fmt.Errorf("compare values: %w", err)
	}
	columns, err := c.config.FormColumns()
	if err != nil {
		return err
	}
	twins, err := protect.FindTwins(ctx, conn, columns)
	if err != nil {
		return err
	}
	before := len(c.findings)
	for _, t := range twins {
		c.obstacle(protect.Obstacle{Where: t.Column.String(), Kind: protect.ObstacleTwins, What: t.Sentence(), Blocks: true}, true)
	}
	if before > 0 && c.findings[before-1].Where == "protect" { // that it is to be run stands last
		last := c.findings[before-1]
		c.findings = append(slices.Delete(c.findings, before-1, before), last)
	}
	return nil
}

// fits is fit for a database that is protected: what would break writes or comparisons is to be done, the rest is told.
func (c *check) fits(ctx context.Context, conn *pgx.Conn, snapshot *catalog.Snapshot) error {
	obstacles, err := Survey(c.config, ctx, conn)
	if err != nil {
		return err
	}
	for _, o := range obstacles {
		switch o.Kind {
		case protect.ObstacleWidth, protect.ObstacleForeign, protect.ObstacleCollation, protect.ObstacleCheck, protect.ObstacleDefault, protect.ObstaclePartition:
			c.obstacle(o, true)
		case protect.ObstacleUnique, protect.ObstacleIndex, protect.ObstacleGenerated, protect.ObstaclePolicy, protect.ObstacleRule, protect.ObstacleInherit:
			c.obstacle(o, false)
		case protect.ObstacleTrigger:
			if !o.Blocks || strings.Contains(o.What, "reads a protected column") {
				c.note(o.Where, "%s", o.What)
			}
		case protect.ObstacleMissing, protect.ObstacleType, protect.ObstacleKey, protect.ObstaclePublication, protect.ObstacleTwins, protect.ObstacleNarrow: // said elsewhere, or of no harm any more
		}
	}
	if err := c.rowSecurity(ctx, conn, false); err != nil {
		return err
	}
	return c.leaning(ctx, conn, snapshot, true)
}

// Survey asks what stands against protecting the configured columns.
func Survey(c *config.Config, ctx context.Context, conn *pgx.Conn) ([]protect.Obstacle, error) {
	columns, err := c.FormColumns()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET search_path = pg_catalog"); err != nil { // names are printed whole
		return nil, fmt.Errorf("look at the protected tables: %w", err)
	}
	return protect.Survey(ctx, conn, columns)
}

func (c *check) obstacle(o protect.Obstacle, todo bool) {
	where := Printable(o.Where)
	if c.config.Places != nil {
		if at, ok := c.config.Places.Keys["protect.columns."+o.Where]; ok {
			where = fmt.Sprintf("%s:%d:%d: %s", c.config.File, at.Line, at.Column, where)
		}
	}
	c.findings = append(c.findings, Finding{Where: where, What: Printable(o.What), Kind: string(o.Kind), SQL: o.SQL, Read: o.Never, Note: !todo})
}

// note tells what is nothing to do.
func (c *check) note(where, format string, args ...any) {
	c.findings = append(c.findings, Finding{Where: where, What: Printable(fmt.Sprintf(format, args...)), Note: true})
}

// lean is a finding about what leans on protected columns. Once they are protected, the gateway's refusals are what holds.
func (c *check) lean(kind, where string, settled bool, format string, args ...any) {
	c.findings = append(c.findings, Finding{Where: Printable(where), What: Printable(fmt.Sprintf(format, args...)), Kind: kind, Note: settled})
}

// leaning tells of views, functions and tables that have to do with protected columns, by what the gateway will make of them.
func (c *check) leaning(ctx context.Context, conn *pgx.Conn, s *catalog.Snapshot, settled bool) error {
	for _, p := range s.Drift {
		c.lean("drift", p.Path, settled, "%s", p.Text)
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.Schema.Functions)) {
		why := s.Schema.Functions[name].Why
		if why == "" || seen[why] {
			continue
		}
		seen[why] = true
		c.lean("function", "function "+name, settled, "%s: statements that give it a value are refused", why)
	}
	for _, r := range s.Schema.Relations {
		if r.Smuggles != "" && !r.View {
			c.lean("writes", r.Schema+"."+r.Name, settled, "statements that write it are refused: %s", r.Smuggles)
		}
	}
	return c.views(ctx, conn, s, settled)
}

const selectViews = `SELECT n.nspname::text, c.relname::text, coalesce(pg_get_viewdef(c.oid), '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('v', 'm') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2`

// views asks the gateway's own analysis what it makes of the queries of views.
func (c *check) views(ctx context.Context, conn *pgx.Conn, s *catalog.Snapshot, settled bool) error {
	rows, err := conn.Query(ctx, selectViews)
	if err != nil {
		return fmt.Errorf("look at views: %w", err)
	}
	analyzer := query.New(s.Schema, query.Options{})
	var schema, name, definition string
	_, err = pgx.ForEachRow(rows, []any{&schema, &name, &definition}, func() error {
		c.view(analyzer, s, schema, name, definition, settled)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at views: %w", err)
	}
	return nil
}

func (c *check) view(analyzer *query.Analyzer, s *catalog.Snapshot, schema, name, definition string, settled bool) {
	where := schema + "." + name
	plan, err := analyzer.Analyze(strings.TrimSuffix(strings.TrimSpace(definition), ";"), true)
	refusal, refused := errors.AsType[*query.Refusal](err)
	edits := 0
	if err == nil && len(plan.Statements) == 1 {
		statement := &plan.Statements[0]
		if !statement.Touches {
			return
		}
		edits = len(statement.Edits)
		if statement.Refusal != nil {
			refusal, refused = statement.Refusal, true
		}
	}
	opaque := opaqueColumns(s.Schema, schema, name)
	switch {
	case refused:
		c.lean("view", where, settled, "the view asks of its columns what tokens cannot answer: %s", refusal.Sentence)
	case edits > 0:
		c.lean("view", where, settled, "the view compares a protected column with a value that stands in its query in plain: no token is equal to it")
	case len(opaque) > 0:
		c.lean("view", where, settled, "the view makes %s of protected columns: what is no whole token is never readable there", strings.Join(opaque, ", "))
	}
}

// opaqueColumns are the outputs of a view that cannot be traced.
func opaqueColumns(s *query.Schema, schema, name string) (opaque []string) {
	for _, r := range s.Find(schema, name) {
		for i := range r.Columns {
			if r.Columns[i].Opaque {
				opaque = append(opaque, r.Columns[i].Name)
			}
		}
	}
	return opaque
}
