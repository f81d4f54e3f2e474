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

// Columns without a form are written while they are on their way. What is written is of the form in which all will be in the end, and the row says so of
// itself: a trigger notes it in one transaction with the row (sallyport.written, and sallyport.turning_written of a rotation), in front of what the
// ranges or the rotation's progress say. The gateway announces each value before it is written (sallyport.announced), since a number does not show whether
// the gateway made it; what nobody announced is refused. So nothing is ever taken for what it is not, and a crash leaves row and note, or neither.

// createNoted makes the notes of columns that move, and the function of the triggers. Announcements need no log: they are of no use behind a crash.
//
// A transaction with an older snapshot does not see what was announced since. The unique index does, so it is asked by an insertion that is taken back.
const createNoted = `
CREATE TABLE IF NOT EXISTS sallyport.written (relation oid NOT NULL, name text NOT NULL, key text NOT NULL, tokens boolean NOT NULL, PRIMARY KEY (relation, name, key));
CREATE UNLOGGED TABLE IF NOT EXISTS sallyport.announced (relation oid NOT NULL, name text NOT NULL, value text NOT NULL, tokens boolean NOT NULL, PRIMARY KEY (relation, name, value, tokens));
`

// createNote makes the function of one table's triggers: %[1]s is its name, %[2]s the old row's key, %[3]s and %[4]s the borders of a range. Each table has
// its own, so that nothing in it is made up when it runs: what cannot be read beforehand the gateway refuses.
//
// Where a row gets another key, what was known of it by its key becomes a note by the new one. Both are read in one statement, and are of one moment. The
// row is locked by then, and whoever moves rows says something else of one only once he has locked it (eachLocked).
const createNote = `
CREATE OR REPLACE FUNCTION %[1]s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET datestyle = 'ISO, YMD' SET timezone = 'UTC' AS $$
DECLARE
    f record;
    new_row jsonb := to_jsonb(NEW);
    old_row jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) ELSE '{}' END;
    row_key text;
    old_key text;
    stored text;
    is_token boolean;
    tried boolean;
    written_as boolean;
BEGIN
    SELECT jsonb_agg(new_row -> k ORDER BY n)::text, jsonb_agg(old_row -> k ORDER BY n)::text INTO row_key, old_key FROM unnest(TG_ARGV[1:TG_NARGS - 1]) WITH ORDINALITY AS x (k, n);
    FOR f IN SELECT a.attname::text AS name, l.open, l.relation, l.number FROM sallyport.formless l JOIN pg_attribute a ON a.attrelid = l.relation AND a.attnum = l.number
            WHERE l.relation = TG_ARGV[0]::oid AND l.pass IS DISTINCT FROM current_setting('sallyport.pass', true) LOOP
        IF TG_OP = 'UPDATE' AND row_key IS DISTINCT FROM old_key THEN
            IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = TG_RELID AND contype = 'p' AND condeferrable) THEN -- two rows may have one key for a moment, and nobody could tell their notes apart
                RAISE EXCEPTION 'an integer or uuid of this table is on its way to its token or back, and its primary key is deferrable: its rows keep their primary keys for the time'
                    USING ERRCODE = 'object_in_use', HINT = 'Try again when protect has ended. A run that was interrupted has to be started again.';
            END IF;
            SELECT coalesce((SELECT w.tokens FROM sallyport.written w WHERE w.relation = TG_ARGV[0]::oid AND w.name = f.name AND w.key = old_key),
                (SELECT g.tokens FROM sallyport.ranges g WHERE g.relation = TG_ARGV[0]::oid AND (g.after IS NULL OR (%[2]s) > (%[3]s)) AND (g.up_to IS NULL OR (%[2]s) <= (%[4]s)))) INTO is_token;
            DELETE FROM sallyport.written w WHERE w.relation = TG_ARGV[0]::oid AND w.name = f.name AND w.key = old_key;
            INSERT INTO sallyport.written VALUES (TG_ARGV[0]::oid, f.name, row_key, is_token) ON CONFLICT (relation, name, key) DO UPDATE SET tokens = excluded.tokens;
        END IF;
        stored := new_row ->> f.name;
        CONTINUE WHEN stored IS NULL OR stored IS NOT DISTINCT FROM old_row ->> f.name;
        is_token := NULL;
        SELECT x.tokens INTO written_as FROM sallyport.written_as x WHERE x.relation = f.relation AND x.number = f.number FOR SHARE; -- it stays so until this transaction has ended
        SELECT bool_or(n.tokens), count(*) > 1 INTO is_token, tried FROM sallyport.announced n WHERE n.relation = TG_ARGV[0]::oid AND n.name = f.name AND n.value = stored AND (written_as IS NULL OR n.tokens = written_as);
        IF tried THEN -- somebody's token is somebody else's value, and which of them is written nobody can tell
            RAISE EXCEPTION 'an integer or uuid of this table is on its way to its token or back, and this one is at this moment a token and a value'
                USING ERRCODE = 'object_in_use', HINT = 'Try again in a moment.';
        END IF;
        IF is_token IS NULL AND current_setting('transaction_isolation') <> 'read committed' THEN
            FOREACH tried IN ARRAY ARRAY[true, false] LOOP
                CONTINUE WHEN written_as <> tried;
                BEGIN
                    INSERT INTO sallyport.announced VALUES (TG_ARGV[0]::oid, f.name, stored, tried);
                    RAISE no_data_found;
                EXCEPTION WHEN unique_violation THEN is_token := tried; WHEN no_data_found THEN NULL;
                END;
                EXIT WHEN is_token IS NOT NULL;
            END LOOP;
        END IF;
        is_token := coalesce(is_token, f.open);
        IF is_token IS NULL OR is_token <> written_as THEN
            RAISE EXCEPTION 'an integer or uuid of this table is on its way to its token or back: it is written through Sallyport, or not at all'
                USING ERRCODE = 'object_in_use', HINT = 'Leave the column out, or try again when protect has ended. A run that was interrupted has to be started again.';
        END IF;
        INSERT INTO sallyport.written AS w VALUES (TG_ARGV[0]::oid, f.name, row_key, is_token)
            ON CONFLICT (relation, name, key) DO UPDATE SET tokens = excluded.tokens WHERE w.tokens IS DISTINCT FROM excluded.tokens;
    END LOOP;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION %[1]s() FROM PUBLIC` // nobody else may hang it on a table of his own

// noteSQL is createNote for a table.
func (t *table) noteSQL() string {
	var olds, after, upTo []string
	for i, k := range t.key {
		olds = append(olds, k.of("OLD"))
		after, upTo = append(after, fmt.Sprintf("g.after[%d]::%s", i+1, k.kind)), append(upTo, fmt.Sprintf("g.up_to[%d]::%s", i+1, k.kind))
	}
	return fmt.Sprintf(createNote, t.noteName(), strings.Join(olds, ", "), strings.Join(after, ", "), strings.Join(upTo, ", "))
}

func (t *table) noteName() string { return fmt.Sprintf("sallyport.note_%d", t.oid) }

// isNote tells the functions of such triggers, p, from others: those that an older version made too.
const isNote = "p.proname ~ '^(hold|note|note_[0-9]+)$'"

// of is the part of the key of a record in PL/pgSQL, which would be compared by its type's collation and not by its own.
func (k keyColumn) of(record string) string { return record + "." + k.name + k.collation }

// keyText is an expression for the primary key of a row as one text, by which notes know it. catalog.Stands has the same.
func keyText(row string, key []keyColumn) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = row + k.name
	}
	return "pg_catalog.jsonb_build_array(" + strings.Join(parts, ", ") + ")::text"
}

// plain is the name without quotes.
func (k keyColumn) plain() string {
	if inner, ok := strings.CutPrefix(k.name, `"`); ok {
		return strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, `"`)
	}
	return k.name
}

// holds says what is taken of a value that nobody announced: NULL, it is refused. Until every session works by what is on record some write as before.
func (r *run) holds(c *column) *bool {
	name := c.String()
	if r.Live == nil || slices.Contains(r.states.Moving, name) || slices.Contains(r.states.Leaving, name) {
		return nil
	}
	return &r.out
}

// closeHold refuses what nobody announced, once every session announces, and forgets what was announced in the form that nobody writes any more.
func (r *run) closeHold(ctx context.Context) error {
	if err := r.closeUnannounced(ctx); err != nil {
		return err
	}
	return r.holdEach(ctx, fmt.Sprintf("DELETE FROM sallyport.announced WHERE relation = $1 AND tokens = %t", r.out))
}

func (r *run) closeUnannounced(ctx context.Context) error {
	return r.holdEach(ctx, "UPDATE sallyport.formless SET open = NULL WHERE relation = $1")
}

func (r *run) holdEach(ctx context.Context, sql string) error {
	for _, t := range r.tables {
		if len(t.formless()) == 0 {
			continue
		}
		if _, err := r.main.Exec(ctx, sql, t.oid); err != nil {
			return fmt.Errorf("hold the columns without a form in %s: %w", t, withoutValues(err))
		}
	}
	return nil
}

// openHold takes what nobody announces for what all values are by now. What is on record may hold for some sessions already.
func (r *run) openHold(ctx context.Context) error {
	there, err := r.holding(ctx)
	if err != nil || !there {
		return err
	}
	if _, err := r.main.Exec(ctx, fmt.Sprintf("UPDATE sallyport.formless SET open = %t", !r.out)); err != nil {
		return fmt.Errorf("let columns without a form go: %w", withoutValues(err))
	}
	return nil
}

// holding tells whether there are columns without a form on their way.
func (r *run) holding(ctx context.Context) (there bool, err error) {
	if err := r.main.QueryRow(ctx, "SELECT to_regclass('sallyport.formless') IS NOT NULL").Scan(&there); err != nil {
		return false, fmt.Errorf("look for columns on their way: %w", withoutValues(err))
	}
	return there, nil
}

// noteOf is what a note says of a value, as SQL writes a boolean; nil: nothing. values are those of a row and behind them its notes.
func (t *table) noteOf(i int, values [][]byte) []byte {
	if !t.noted {
		return nil
	}
	at := len(t.columns)
	for _, c := range t.columns[:i] {
		if c.formless {
			at++
		}
	}
	return values[at]
}

// notes are the outputs behind the columns of a row: what is noted of each value without a form, and the key by which. They are of the moment of the row,
// and say what it is; who means to change it reads them behind its lock (eachLocked).
func (t *table) notes() (outputs []string) {
	if !t.noted {
		return nil
	}
	key := keyText("", t.key)
	for _, c := range t.formless() {
		outputs = append(outputs, fmt.Sprintf("(SELECT w.tokens::text FROM sallyport.written w WHERE w.relation = %d AND w.name = '%s' AND w.key = %s)",
			t.oid, strings.ReplaceAll(c.Name, "'", "''"), key))
	}
	return append(outputs, key)
}

// noted remembers the key of a row of which something is noted.
func (b *batch) takeNotes(values [][]byte) {
	if !b.t.noted {
		return
	}
	for _, note := range values[len(b.t.columns) : len(values)-1] {
		if note != nil {
			b.noted.append(values[len(values)-1])
			return
		}
	}
}

// forget removes the notes of rows that say from now on what their range says.
func (b *batch) forgetNotes(ctx context.Context, conn *pgconn.PgConn) error {
	if b.noted.count == 0 {
		return nil
	}
	result := conn.ExecParams(ctx, fmt.Sprintf("DELETE FROM sallyport.written WHERE relation = %d AND name = ANY ($1::text[]) AND key = ANY ($2::text[])", b.t.oid),
		[][]byte{b.names().encode(), b.noted.encode()}, []uint32{textArrayOID, textArrayOID}, []int16{1, 1}, nil).Read()
	return withoutValues(result.Err)
}

func (b *batch) names() *textArray {
	var names textArray
	for _, c := range b.t.formless() {
		names.append([]byte(c.Name))
	}
	return &names
}

// Announcement is a value that the gateway is about to write into a column on its way whose values have no form.
type Announcement struct {
	Column sallyport.Column
	Value  string // the text by which the database will know it

	Tokens bool // of a column that moves: it is a token

	Group               string // of one whose keys are rotated; else empty
	Epoch, Older, Newer int    // of the value, and of the two keys

	Stood Stood // where the column is unique
}

// Stood is the other text by which a value may stand in a column on its way. Table and Kind are SQL (catalog.Stands).
type Stood struct {
	Text, Table, Kind string
	Narrow            bool // another value's older text may be the one that is written, which counts as found, too
}

// Announced is what the database knows of an announcement.
type Announced struct {
	Ready bool // it will be noted; else it must not be written
	Found bool // a row holds the value's other text. Nobody writes that any more, so that where there is none there will be none
}

// Announce tells the database of a value.
func Announce(ctx context.Context, conn Reading, a Announcement) (out Announced, err error) {
	column, look := pgx.Identifier{a.Column.Name}.Sanitize(), "false"
	var sql string
	var args []any
	if a.Group == "" {
		sql, args = `WITH f AS (SELECT f.relation FROM sallyport.formless f JOIN pg_catalog.pg_class t ON t.oid = f.relation JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
				JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = f.number WHERE n.nspname = $1 AND t.relname = $2 AND a.attname = $3),
			made AS (INSERT INTO sallyport.announced SELECT relation, $3, $4, $5 FROM f ON CONFLICT DO NOTHING)
			SELECT EXISTS (SELECT FROM f)`, []any{a.Column.Schema, a.Column.Table, a.Column.Name, a.Value, a.Tokens}
	} else {
		sql, args = `WITH g AS (SELECT epoch, pass, done FROM sallyport.turning WHERE relation = $1 AND join_group = $2 AND $3 = ANY (columns)),
			may AS (SELECT CASE $5::int WHEN $7 THEN EXISTS (SELECT FROM g WHERE epoch = $7 AND (pass IS NOT NULL OR done))
				WHEN $6 THEN NOT EXISTS (SELECT FROM g WHERE NOT (epoch = $6 AND done OR epoch = $7 AND NOT done AND pass IS NOT NULL)) ELSE false END AS ready),
			made AS (INSERT INTO sallyport.turning_announced SELECT $3, $4, $5 FROM may WHERE ready ON CONFLICT DO NOTHING)
			SELECT (SELECT ready FROM may)`, []any{a.Column.Schema + "." + a.Column.Table, a.Group, a.Column.String(), a.Value, a.Epoch, a.Older, a.Newer}
	}
	if a.Stood.Table != "" {
		look = fmt.Sprintf("EXISTS (SELECT FROM %s t0 WHERE t0.%s = $%d::text::%s)", a.Stood.Table, column, len(args)+1, a.Stood.Kind)
		args = append(args, a.Stood.Text)
		if a.Stood.Narrow {
			look = fmt.Sprintf("(%s OR EXISTS (SELECT FROM %s t0 WHERE t0.%s = $%d::text::%s))", look, a.Stood.Table, column, len(args)+1, a.Stood.Kind)
			args = append(args, a.Value)
		}
	}
	err = conn.QueryRow(ctx, sql+", "+look, args...).Scan(&out.Ready, &out.Found)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && (refused.Code == "42P01" || refused.Code == "42501") { // undefined_table, insufficient_privilege: an older protect made it
		return Announced{}, nil
	}
	if err != nil {
		return Announced{}, fmt.Errorf("announce a value of %s: %w", a.Column, withoutValues(err))
	}
	return out, nil
}

// Beginning is the part of a pool that begins transactions.
type Beginning interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}
