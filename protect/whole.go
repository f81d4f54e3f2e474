package protect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// A rotation keeps a join group whole where equal values have equal tokens at every moment: each value gets its new token in all columns of the
// group in one transaction, whether serve comes to it or somebody is about to write it. Then what compares columns with each other (a join,
// GROUP BY, DISTINCT) is right all the time.

// smallTable is the size up to which a table may be read through for each value.
const smallTable = 8 << 20

// treeOf finds a table, its partitions and its children; $1 and $2 name it.
const treeOf = `WITH RECURSIVE parts (oid) AS (
	SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
	UNION SELECT i.inhrelid FROM parts JOIN pg_catalog.pg_inherits i ON i.inhparent = parts.oid) `

// Unfindable are the columns, of tables that are not small, whose rows with a value no index finds.
func Unfindable(ctx context.Context, conn Reading, columns []sallyport.Column) ([]string, error) {
	var names []string
	for _, c := range columns {
		var bare bool
		err := conn.QueryRow(ctx, treeOf+`SELECT EXISTS (SELECT FROM parts p JOIN pg_catalog.pg_class c USING (oid)
			WHERE c.relkind = 'r' AND pg_catalog.pg_relation_size(c.oid) > $4 AND NOT EXISTS (
				SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = ic.relam
				JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $3 AND a.attnum = i.indkey[0]
				WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND m.amname IN ('btree', 'hash')))`,
			c.Schema, c.Table, c.Name, int64(smallTable)).Scan(&bare)
		if err != nil {
			return nil, fmt.Errorf("look for an index on %s: %w", c, err)
		}
		if bare {
			names = append(names, c.String())
		}
	}
	return names, nil
}

// Writer is a transaction that has written to a table and has not ended.
type Writer struct {
	ID       string // tells it from others
	Who      string // for people
	Prepared bool   // of two phases: it outlives its session
}

// Writers are the transactions that have written to tables, or to parts of them, or wait to, and have not ended. Of what they wrote nobody sees anything yet.
func Writers(ctx context.Context, conn *pgx.Conn, tables []Table) ([]Writer, error) {
	found := map[string]Writer{}
	for _, t := range tables {
		rows, err := conn.Query(ctx, treeOf+`SELECT DISTINCT l.virtualtransaction || ' ' || coalesce(l.pid, 0), coalesce('process ' || l.pid, 'a prepared transaction'), l.pid IS NULL
			FROM pg_catalog.pg_locks l JOIN parts p ON p.oid = l.relation
			WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
			AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
			AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`, t.Schema, t.Name)
		if err != nil {
			return nil, fmt.Errorf("look for transactions that write %s: %w", t, err)
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Writer, err error) { return w, row.Scan(&w.ID, &w.Who, &w.Prepared) })
		if err != nil {
			return nil, fmt.Errorf("look for transactions that write %s: %w", t, err)
		}
		for _, w := range list {
			found[w.ID] = w
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Writer) int { return strings.Compare(a.ID, b.ID) }), nil
}

// VacateWhole is Vacate in all columns of a join group that hold tokens of one scheme, in one transaction. The row that is written is left to its
// writer where it is the only one with the value: then that changes its form with this row. Where the writer's own transaction has the row locked, and it
// holds the value already, it keeps the form that it has (instead): as long as it is locked, nobody gives the value another one.
func VacateWhole(ctx context.Context, conn ReadingWriting, v Vacancy, columns []sallyport.Column) (instead string, err error) {
	if v.Key != "" {
		alone, held, err := v.written(ctx, conn, columns)
		switch {
		case err != nil:
			return "", fmt.Errorf("settle a value of %s: %w", v.Column, withoutValues(err))
		case alone:
			return "", nil
		case held != nil:
			return *held, nil
		}
	}
	var updates []string
	for _, c := range columns {
		updates = append(updates, fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %[2]s = ANY ($2)", pgx.Identifier{c.Schema, c.Table}.Sanitize(), pgx.Identifier{c.Name}.Sanitize()))
	}
	// Several statements of one message are one transaction.
	_, err = conn.Exec(ctx, "SET CONSTRAINTS ALL DEFERRED;"+strings.Join(atOnce(updates, columns), ";"), pgx.QueryExecModeSimpleProtocol, v.Becomes, v.Forms)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "23505" {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("settle a value of %s: %w", v.Column, withoutValues(err))
	}
	return "", nil
}

// atOnce makes one statement of several updates, so that foreign keys between the columns hold when it ends. Of two columns of one table it cannot:
// a statement changes a row once. Then they stay apart, and only keys that can be deferred hold.
func atOnce(updates []string, columns []sallyport.Column) []string {
	tables := map[Table]bool{}
	for _, c := range columns {
		tables[Table{c.Schema, c.Table}] = true
	}
	if len(tables) < len(columns) {
		return updates
	}
	var with, counts []string
	for i, update := range updates {
		with = append(with, fmt.Sprintf("t%d AS (%s RETURNING 1)", i, update))
		counts = append(counts, fmt.Sprintf("SELECT FROM t%d", i))
	}
	return []string{"WITH " + strings.Join(with, ", ") + " " + strings.Join(counts, " UNION ALL ")}
}

// ReadingWriting is the part of a pool that VacateWhole needs.
type ReadingWriting interface {
	Reading
	Writing
}

// written looks at the row that is written: whether it is the only one that has the value in another form, and that form where its writer has it locked.
func (v *Vacancy) written(ctx context.Context, conn Reading, columns []sallyport.Column) (alone bool, held *string, err error) {
	sql := []string{}
	for _, c := range columns {
		sql = append(sql, fmt.Sprintf("(SELECT count(*) FROM (SELECT FROM %s WHERE %s = ANY ($1) LIMIT 2) AS x)", pgx.Identifier{c.Schema, c.Table}.Sanitize(), pgx.Identifier{c.Name}.Sanitize()))
	}
	table, column, key := pgx.Identifier{v.Column.Schema, v.Column.Table}.Sanitize(), pgx.Identifier{v.Column.Name}.Sanitize(), pgx.Identifier{v.Key}.Sanitize()
	err = conn.QueryRow(ctx, fmt.Sprintf(`SELECT %s = 1 AND EXISTS (SELECT FROM %s WHERE %s = ANY ($1) AND %s::pg_catalog.text = $2),
		(SELECT t.%[3]s::pg_catalog.text FROM %[2]s AS t JOIN pg_catalog.pg_locks l ON l.locktype = 'transactionid' AND l.granted AND l.pid = $3 AND l.transactionid = t.xmax
			WHERE t.%[3]s = ANY ($1) AND t.%[4]s::pg_catalog.text = $2 LIMIT 1)`, strings.Join(sql, " + "), table, column, key),
		pgx.QueryExecModeSimpleProtocol, v.Forms, v.Except, int64(v.Backend)).Scan(&alone, &held)
	if err != nil || alone || held == nil {
		return alone, nil, err
	}
	// A lock that only keeps the row's key as it is would let others give the value another form.
	var free int
	err = conn.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s WHERE %s = ANY ($1) AND %s::pg_catalog.text = $2 FOR NO KEY UPDATE SKIP LOCKED) AS x", table, column, key),
		pgx.QueryExecModeSimpleProtocol, v.Forms, v.Except).Scan(&free)
	if err != nil || free > 0 {
		return false, nil, err
	}
	return false, held, nil
}

// renewal of values: old text → new text, of one scheme.
type renewedValues struct{ old, new []string }

// changeValues gives values their new tokens in all columns of the group, all rows of a value in one transaction.
func (w *Renewal) changeValues(ctx context.Context, rows []stale, done *Renewed) (int64, error) {
	schemes := map[sallyport.Scheme]map[string]string{}
	for _, row := range rows {
		for i, c := range w.Columns {
			if row.old[i] == nil || *row.old[i] == *row.new[i] {
				continue
			}
			scheme := c.Codec.Spec().Scheme
			if schemes[scheme] == nil {
				schemes[scheme] = map[string]string{}
			}
			schemes[scheme][*row.old[i]] = *row.new[i]
		}
	}
	var changed int64
	for _, scheme := range slices.Sorted(maps.Keys(schemes)) {
		var v renewedValues
		for _, old := range slices.Sorted(maps.Keys(schemes[scheme])) {
			v.old, v.new = append(v.old, old), append(v.new, schemes[scheme][old])
		}
		n, err := w.changeEverywhere(ctx, scheme, v, done)
		changed += n
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// changeEverywhere is one transaction. What the database refuses of many values is tried of half of them at a time.
func (w *Renewal) changeEverywhere(ctx context.Context, scheme sallyport.Scheme, v renewedValues, done *Renewed) (changed int64, err error) {
	err = pgx.BeginFunc(ctx, w.Conn, func(tx pgx.Tx) error {
		changed = 0
		if _, err := tx.Exec(ctx, "SET CONSTRAINTS ALL DEFERRED"); err != nil {
			return err
		}
		for _, sql := range w.everywhere(scheme) {
			tag, err := tx.Exec(ctx, sql, v.old, v.new)
			if err != nil {
				return err
			}
			changed += tag.RowsAffected()
		}
		return nil
	})
	refused, known := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		done.Left += max(0, int64(len(v.old))-changed) // somebody else was quicker, or changed them to something else
		return changed, nil
	case !known:
		return 0, withoutValues(err)
	case refused.Code[:2] != "23" && refused.Code != lockNotAvailable && refused.Code[:2] != "40":
		return 0, withoutValues(err)
	case len(v.old) > 1 && (refused.Code[:2] == "23" || len(v.old) > fewValues):
		half := len(v.old) / 2
		first, err := w.changeEverywhere(ctx, scheme, renewedValues{v.old[:half], v.new[:half]}, done)
		if err != nil {
			return first, err
		}
		second, err := w.changeEverywhere(ctx, scheme, renewedValues{v.old[half:], v.new[half:]}, done)
		return first + second, err
	case refused.Code[:2] == "23":
		done.Stuck++
		if done.Why == nil {
			done.Why = withoutValues(err)
		}
	default:
		done.Left += int64(len(v.old))
	}
	return 0, nil
}

const (
	lockNotAvailable = "55P03"
	// fewValues are not parted any more where somebody has one of their rows locked: each attempt waits for a second.
	fewValues = 50
)

// everywhere are the statements that change values of one scheme.
func (w *Renewal) everywhere(scheme sallyport.Scheme) []string {
	var list []string
	var columns []sallyport.Column
	for _, c := range w.Whole {
		if c.Codec.Spec().Scheme != scheme {
			continue
		}
		name, kind := pgx.Identifier{c.Column.Name}.Sanitize(), w.wholeKinds[c.Column]
		list = append(list, fmt.Sprintf("UPDATE %s AS t SET %s = x.new::%s FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS x (old, new) WHERE t.%[2]s = x.old::%[3]s",
			pgx.Identifier{c.Column.Schema, c.Column.Table}.Sanitize(), name, kind))
		columns = append(columns, c.Column)
	}
	return atOnce(list, columns)
}

// findKinds finds the types of the columns of the group.
func (w *Renewal) findKinds(ctx context.Context) error {
	w.wholeKinds = map[sallyport.Column]string{}
	for _, c := range w.Whole {
		var kind string
		err := w.Conn.QueryRow(ctx, `SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
			JOIN pg_catalog.pg_class r ON r.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
			WHERE n.nspname = $1 AND r.relname = $2 AND a.attname = $3 AND NOT a.attisdropped`, c.Column.Schema, c.Column.Table, c.Column.Name).Scan(&kind)
		if err != nil {
			return fmt.Errorf("find the column %s: %w", c.Column, err)
		}
		w.wholeKinds[c.Column] = kind
	}
	return nil
}
