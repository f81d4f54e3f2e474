package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// Turn gives the tokens of one table that have no form the group's newer key, in the order of primary keys, while others work with the table. Which
// rows are done says sallyport.turning, which changes in one transaction with them. What others write meanwhile is of the newer key and is noted by
// triggers that Prepare made (noted.go), from Take until Release; they refuse what they cannot know. Of a row that gets another key a note says what it is.
type Turn struct {
	Conn    *pgx.Conn // may read the table, update the columns and write sallyport.turning; set by Take: its setting sallyport.pass
	Table   Table
	Group   string   // join group
	Columns []Column // of Table and Group, without a form
	Epoch   int      // of the newer key
	Pass    string   // tells whoever turns rows from everybody else

	Beside Beginning // other connections, which do not say the pass; for integers under a unique index

	// Dead tells whether a token of the older key was drawn at random for a shredded customer. Optional; with it goes List, which is given what such
	// tokens become, and makes it durable, before anything is committed.
	Dead func(c Column, tok string) bool
	List func([]sallyport.Digest) error

	key   []keyColumn
	kinds []string
}

// names are the columns, for people.
func (t *Turn) names() string { return strings.Join(t.columnNames(), ", ") }

func (t *Turn) columnNames() []string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.Column.String())
	}
	return names
}

// Take holds everybody else off the columns, and goes on where a run before this one stopped. Transactions that began before it returns may
// not know of it yet, if it has begun with this: no row may change, and no token of the newer key be made, until they have ended (Running).
func (t *Turn) Take(ctx context.Context) (begun bool, err error) {
	ready, err := t.guarded(ctx)
	if err != nil {
		return false, err
	}
	if !ready {
		return false, fmt.Errorf("nothing keeps others from writing %s: run 'sallyport keys rotate' with --config and --owner once more", t.names())
	}
	if _, err := t.Conn.Exec(ctx, "SELECT pg_catalog.set_config('sallyport.pass', $1, false), pg_catalog.set_config('synchronous_commit', 'on', false)", t.Pass); err != nil {
		return false, fmt.Errorf("hold the columns of %s: %w", t.Table, withoutValues(err))
	}
	err = t.Conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM sallyport.turning WHERE relation = $1 AND join_group = $2 AND epoch = $3 AND pass IS NOT NULL)", t.Table.String(), t.Group, t.Epoch).Scan(&begun)
	if err != nil {
		return false, fmt.Errorf("hold the columns of %s: %w", t.Table, withoutValues(err))
	}
	_, err = t.Conn.Exec(ctx, treeOf+`INSERT INTO sallyport.turning AS g (relation, join_group, columns, epoch, pass, total)
		SELECT $3::text, $4::text, $5::text[], $6::int, $7::text, coalesce(pg_catalog.sum(greatest(c.reltuples, 0)), 0)::bigint FROM parts JOIN pg_catalog.pg_class c USING (oid) WHERE c.relkind = 'r'
		ON CONFLICT (relation, join_group) DO UPDATE SET pass = excluded.pass, columns = CASE WHEN g.epoch = excluded.epoch THEN g.columns ELSE excluded.columns END,
			after = CASE WHEN g.epoch = excluded.epoch THEN g.after END, rows = CASE WHEN g.epoch = excluded.epoch THEN g.rows ELSE 0 END,
			total = excluded.total, done = g.done AND g.epoch = excluded.epoch, epoch = excluded.epoch`,
		t.Table.Schema, t.Table.Name, t.Table.String(), t.Group, t.columnNames(), t.Epoch, t.Pass)
	if err != nil {
		return false, fmt.Errorf("hold the columns of %s: %w", t.Table, withoutValues(err))
	}
	return begun, t.sameColumns(ctx)
}

// sameColumns: a column that came to the group since may hold tokens of either key.
func (t *Turn) sameColumns(ctx context.Context) error {
	var columns []string
	if err := t.Conn.QueryRow(ctx, "SELECT columns FROM sallyport.turning WHERE relation = $1 AND join_group = $2", t.Table.String(), t.Group).Scan(&columns); err != nil {
		return fmt.Errorf("read how far %s is: %w", t.Table, withoutValues(err))
	}
	if !slices.Equal(columns, t.columnNames()) {
		return fmt.Errorf("the rotation began with %s, and the configuration has %s: go on with the one of before", strings.Join(columns, ", "), t.names())
	}
	return nil
}

// TurnProgress is how far a table is.
type TurnProgress struct {
	Rows, Total int64
	Done        bool
}

// Progress is how far the table is, by the database.
func (t *Turn) Progress(ctx context.Context) (p TurnProgress, err error) {
	err = t.Conn.QueryRow(ctx, "SELECT rows, total, done FROM sallyport.turning WHERE relation = $1 AND join_group = $2 AND epoch = $3", t.Table.String(), t.Group, t.Epoch).Scan(&p.Rows, &p.Total, &p.Done)
	if err != nil {
		return p, fmt.Errorf("read how far %s is: %w", t.Table, withoutValues(err))
	}
	return p, nil
}

func (t *Turn) stepOnce(ctx context.Context, most int) (changed int, done bool, err error) {
	err = pgx.BeginTxFunc(ctx, t.Conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		changed, done, err = t.step(ctx, tx, most)
		return err
	})
	if err = withoutValues(err); refusedBy(err, lockNotAvailable, "40001", "40P01") {
		err = ErrRowsLocked
	}
	return changed, done, err
}

// ErrRowsLocked says that others hold rows that are to change.
var ErrRowsLocked = errors.New("others hold rows of it locked; trying again")

func (t *Turn) step(ctx context.Context, tx pgx.Tx, most int) (changed int, done bool, err error) {
	var after []string
	err = tx.QueryRow(ctx, "SELECT after, done FROM sallyport.turning WHERE relation = $1 AND join_group = $2 AND epoch = $3 AND pass = $4 FOR UPDATE",
		t.Table.String(), t.Group, t.Epoch, t.Pass).Scan(&after, &done)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, errors.New("another serve has taken it over")
	}
	if err != nil || done {
		return 0, done, err
	}
	upTo, rows, err := t.border(ctx, tx, after, most)
	if err != nil {
		return 0, false, err
	}
	if upTo != nil {
		if changed, err = t.between(ctx, tx, after, upTo); err != nil {
			return 0, false, err
		}
		after = upTo
	}
	if rows < most { // all rows that nothing is noted of are behind the border
		left, err := t.stragglers(ctx, tx, most)
		if err != nil {
			return 0, false, err
		}
		changed += left
		if done, err = t.nothingLeft(ctx, tx); err != nil {
			return 0, false, err
		}
	}
	_, err = tx.Exec(ctx, "UPDATE sallyport.turning SET after = $3, rows = rows + $4, done = $5 WHERE relation = $1 AND join_group = $2", t.Table.String(), t.Group, after, rows, done)
	return changed, done, err
}

// turningRow is a row on its way.
type turningRow struct {
	key      []string
	text     string // of the key, by which it is noted that a value is of the newer key already
	old, new []*string
}

// border is the key of the last of the next rows behind a key, nil where there are none, and how many they are. It is settled before any row is locked: a row that
// is waited for may have another key by then, and would carry the border past others.
func (t *Turn) border(ctx context.Context, tx pgx.Tx, after []string, most int) (upTo []string, rows int, err error) {
	outputs, names := t.outputs()
	where, args := t.behind(after, nil)
	order := make([]string, len(names))
	for i := range names {
		order[i] = names[i] + " DESC"
	}
	key := make([]string, len(t.key))
	into := []any{&rows}
	for i := range key {
		into = append(into, &key[i])
	}
	err = tx.QueryRow(ctx, fmt.Sprintf("SELECT pg_catalog.count(*) OVER (), %s FROM (SELECT t.* FROM %s AS t%s ORDER BY %s LIMIT %d) AS t ORDER BY %s LIMIT 1",
		strings.Join(outputs[:len(t.key)], ", "), t.sql(), where, strings.Join(names, ", "), most, strings.Join(order, ", ")), args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, nil
	}
	return key, rows, err
}

// behind is the condition of rows behind a key, up to another. Nil is open.
func (t *Turn) behind(after, upTo []string) (where string, args []any) {
	var conditions []string
	for _, bound := range []struct {
		operator string
		key      []string
	}{{">", after}, {"<=", upTo}} {
		if bound.key == nil {
			continue
		}
		var names, values []string
		for i, k := range t.key {
			args = append(args, bound.key[i])
			names, values = append(names, "t."+k.name), append(values, fmt.Sprintf("$%d::pg_catalog.text::%s", len(args), k.kind))
		}
		conditions = append(conditions, fmt.Sprintf("(%s) %s (%s)", strings.Join(names, ", "), bound.operator, strings.Join(values, ", ")))
	}
	if conditions != nil {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	return where, args
}

// between turns the rows behind a key, up to another. Those that hold nothing are locked too. Of rows that come between later there is a note.
func (t *Turn) between(ctx context.Context, tx pgx.Tx, after, upTo []string) (changed int, err error) {
	outputs, names := t.outputs()
	where, args := t.behind(after, upTo)
	rows, err := t.lock(ctx, tx, fmt.Sprintf("SELECT %s FROM %s AS t%s ORDER BY %s FOR NO KEY UPDATE", strings.Join(outputs, ", "), t.sql(), where, strings.Join(names, ", ")), args...)
	if err != nil {
		return 0, err
	}
	return t.change(ctx, tx, rows)
}

// outputs are what is read of a row t, and the names of its key.
func (t *Turn) outputs() (outputs, names []string) {
	for _, k := range t.key {
		outputs, names = append(outputs, "t."+k.name+"::pg_catalog.text"), append(names, "t."+k.name) // a bare name would be the output's: a number as text
	}
	for _, c := range t.Columns {
		outputs = append(outputs, "t."+pgx.Identifier{c.Column.Name}.Sanitize()+"::pg_catalog.text")
	}
	return append(outputs, "("+keyText("t.", t.key)+")"), names
}

// stragglers turns rows that came from before the border to a place behind which it is: they got another primary key, and a note says that they are of the older.
func (t *Turn) stragglers(ctx context.Context, tx pgx.Tx, most int) (changed int, err error) {
	left, err := t.nothingLeft(ctx, tx)
	if err != nil || left {
		return 0, err
	}
	outputs, names := t.outputs()
	rows, err := t.lock(ctx, tx, fmt.Sprintf("SELECT %s FROM %s AS t WHERE (%s) IN (SELECT w.key FROM sallyport.turning_written w WHERE w.name = ANY ($1) AND w.epoch = $2) ORDER BY %s LIMIT %d FOR NO KEY UPDATE",
		strings.Join(outputs, ", "), t.sql(), keyText("t.", t.key), strings.Join(names, ", "), most), t.columnNames(), -t.Epoch)
	if err != nil {
		return 0, err
	}
	return t.change(ctx, tx, rows)
}

// nothingLeft tells whether no note says of a row that it is of the older key. Notes of rows that are gone say nothing.
func (t *Turn) nothingLeft(ctx context.Context, tx pgx.Tx) (nothing bool, err error) {
	err = tx.QueryRow(ctx, fmt.Sprintf("SELECT NOT EXISTS (SELECT FROM sallyport.turning_written w JOIN %s AS t ON w.key = (%s) WHERE w.name = ANY ($1) AND w.epoch = $2)", t.sql(), keyText("t.", t.key)), t.columnNames(), -t.Epoch).Scan(&nothing)
	return nothing, err
}

// lock reads rows that are locked by it.
func (t *Turn) lock(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]turningRow, error) {
	found, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (r turningRow, err error) {
		r.key, r.old = make([]string, len(t.key)), make([]*string, len(t.Columns))
		var into []any
		for i := range r.key {
			into = append(into, &r.key[i])
		}
		for i := range r.old {
			into = append(into, &r.old[i])
		}
		into = append(into, &r.text)
		if err := row.Scan(into...); err != nil {
			return r, errors.New("read a row: it cannot be read as text") // the error might quote it
		}
		return r, nil
	})
}

// change writes the new tokens of rows that are locked.
func (t *Turn) change(ctx context.Context, tx pgx.Tx, rows []turningRow) (int, error) {
	var full []turningRow
	var dead []sallyport.Digest
	newer, err := t.written(ctx, tx, rows)
	if err == nil {
		err = t.forgetOlder(ctx, tx, rows)
	}
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		holds, err := t.renew(&r, newer, &dead)
		if err != nil {
			return 0, err
		}
		if holds {
			full = append(full, r)
		}
	}
	if len(full) == 0 {
		return 0, nil
	}
	if err := t.standing(ctx, tx, full); err != nil {
		return 0, err
	}
	if len(dead) > 0 {
		if err := t.List(dead); err != nil {
			return 0, err
		}
	}
	sql, args := t.update(full)
	tag, err := tx.Exec(ctx, sql, args...)
	if err == nil && tag.RowsAffected() != int64(len(full)) {
		err = fmt.Errorf("%d of %d rows stayed as they were: something in the database keeps them so", int64(len(full))-tag.RowsAffected(), len(full))
	}
	return len(full), err
}

// noted is a value of which it is noted that it is of the newer key.
type noted struct{ name, key string }

// written are those among the values of rows that are locked, so that nothing of them changes any more. It is asked behind the lock: what was read
// together with it might be of a moment before.
func (t *Turn) written(ctx context.Context, tx pgx.Tx, rows []turningRow) (map[noted]bool, error) {
	keys := make([]string, len(rows))
	for i := range rows {
		keys[i] = rows[i].text
	}
	found, err := tx.Query(ctx, "SELECT name, key FROM sallyport.turning_written WHERE name = ANY ($1) AND key = ANY ($2) AND epoch = $3", t.columnNames(), keys, t.Epoch)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (n noted, err error) { return n, row.Scan(&n.name, &n.key) })
	if err != nil {
		return nil, errors.New("read what was written meanwhile: it cannot be read as text") // the error might quote it
	}
	newer := map[noted]bool{}
	for _, n := range list {
		newer[n] = true
	}
	return newer, nil
}

// forgetOlder removes what is noted of rows that are locked and of the older key: they turn now.
func (t *Turn) forgetOlder(ctx context.Context, tx pgx.Tx, rows []turningRow) error {
	keys := make([]string, len(rows))
	for i := range rows {
		keys[i] = rows[i].text
	}
	_, err := tx.Exec(ctx, "DELETE FROM sallyport.turning_written WHERE name = ANY ($1) AND key = ANY ($2) AND epoch = $3", t.columnNames(), keys, -t.Epoch)
	return err
}

// renew makes the new tokens of one row, and adds those to dead that are to stand for nothing.
func (t *Turn) renew(r *turningRow, newer map[noted]bool, dead *[]sallyport.Digest) (holds bool, err error) {
	r.new = make([]*string, len(r.old))
	for i, c := range t.Columns {
		if r.old[i] == nil {
			continue
		}
		if newer[noted{c.Column.String(), r.text}] {
			r.new[i] = r.old[i]
			continue
		}
		made, err := c.Codec.Turn(nil, []byte(*r.old[i]))
		if err != nil {
			return false, fmt.Errorf("make a token of %s anew: %w", c.Column, err)
		}
		if t.Dead != nil && t.Dead(c, *r.old[i]) {
			*dead = append(*dead, c.Codec.ListDigest(made))
		}
		text := string(made)
		r.new[i], holds = &text, true
	}
	return holds, nil
}

// update is one statement for many rows.
func (t *Turn) update(rows []turningRow) (string, []any) {
	var arrays, names, sets, same []string
	var args []any
	add := func(name string, values any) {
		args = append(args, values)
		arrays, names = append(arrays, fmt.Sprintf("pg_catalog.unnest($%d::pg_catalog.text[])", len(args))), append(names, name)
	}
	for i, k := range t.key {
		values := make([]string, len(rows))
		for j := range rows {
			values[j] = rows[j].key[i]
		}
		add(fmt.Sprintf("key%d", i), values)
		same = append(same, fmt.Sprintf("t.%s = x.key%d::%s", k.name, i, k.kind))
	}
	for i, c := range t.Columns {
		values := make([]*string, len(rows))
		for j := range rows {
			values[j] = rows[j].new[i]
		}
		add(fmt.Sprintf("new%d", i), values)
		sets = append(sets, fmt.Sprintf("%s = x.new%d::%s", pgx.Identifier{c.Column.Name}.Sanitize(), i, t.kinds[i]))
	}
	return fmt.Sprintf("UPDATE %s AS t SET %s FROM ROWS FROM (%s) AS x (%s) WHERE %s",
		t.sql(), strings.Join(sets, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "), strings.Join(same, " AND ")), args
}

// Release lets everybody write the columns of a group again.
func Release(ctx context.Context, conn Writing, group string) error {
	for _, sql := range []string{
		"UPDATE sallyport.turning SET pass = NULL WHERE join_group = $1 AND pass IS NOT NULL",
		// All are of the newer key.
		"DELETE FROM sallyport.turning_written w USING sallyport.turning g WHERE g.join_group = $1 AND g.done AND g.pass IS NULL AND w.name = ANY (g.columns)",
		"DELETE FROM sallyport.turning_announced n USING sallyport.turning g WHERE g.join_group = $1 AND g.done AND g.pass IS NULL AND n.name = ANY (g.columns)",
	} {
		if _, err := conn.Exec(ctx, sql, group); err != nil && !refusedBy(withoutValues(err), "42P01") { // undefined_table: an older version prepared it
			return fmt.Errorf("let everybody write the columns of %s again: %w", group, withoutValues(err))
		}
	}
	return nil
}

// Running are the transactions that are under way in the database, prepared ones too: what they saw at their beginning may be what held before.
func Running(ctx context.Context, conn *pgx.Conn) ([]Writer, error) {
	rows, err := conn.Query(ctx, `SELECT l.virtualtransaction, 'process ' || l.pid, false FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
			WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted AND a.datname = pg_catalog.current_database() AND a.usename IS NOT NULL AND l.pid <> pg_catalog.pg_backend_pid()
		UNION ALL SELECT 'prepared ' || transaction, 'a prepared transaction', true FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()`)
	if err != nil {
		return nil, fmt.Errorf("look for transactions: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Writer, err error) { return w, row.Scan(&w.ID, &w.Who, &w.Prepared) })
	if err != nil {
		return nil, fmt.Errorf("look for transactions: %w", err)
	}
	return list, nil
}

// Turned tells how the rows of a table's column are known to stand, by the database: of which epoch, and whether all of them are; false where it
// says nothing of the column.
func Turned(ctx context.Context, conn Reading, column sallyport.Column, group string) (epoch int, done, known bool, err error) {
	var columns []string
	err = conn.QueryRow(ctx, "SELECT epoch, done, columns FROM sallyport.turning WHERE relation = $1 AND join_group = $2", column.Schema+"."+column.Table, group).Scan(&epoch, &done, &columns)
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, false, false, nil
	case errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "3F000"):
		return 0, false, false, nil
	case err != nil:
		return 0, false, false, fmt.Errorf("read how far %s is: %w", column, withoutValues(err))
	}
	return epoch, done, slices.Contains(columns, column.String()), nil
}
