package protect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// createTurning makes the list of progress, the notes of what others write meanwhile (noted.go), and the function of the triggers. Whoever turns rows names
// the pass of their run. A trigger that was left behind lets everything through. Tokens of the older key pass until the first row has turned: whoever
// makes new tokens goes over to the newer key before that, in a moment in which nobody has written older ones that are not committed.
const createTurning = `
CREATE SCHEMA IF NOT EXISTS sallyport;
CREATE TABLE IF NOT EXISTS sallyport.turning (
    relation   text    NOT NULL,            -- schema.table
    join_group text    NOT NULL,
    columns    text[]  NOT NULL,
    epoch      int     NOT NULL,            -- of the newer key
    pass       text,                        -- null: everybody may write
    after      text[],                      -- primary key of the last row whose tokens are of the newer key; null: none is
    rows       bigint  NOT NULL DEFAULT 0,  -- that were looked at
    total      bigint  NOT NULL,            -- about how many there are
    done       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (relation, join_group)
);
CREATE TABLE IF NOT EXISTS sallyport.turning_written (name text NOT NULL, key text NOT NULL, epoch int NOT NULL, PRIMARY KEY (name, key)); -- less than 0: it is of the key before that epoch
CREATE UNLOGGED TABLE IF NOT EXISTS sallyport.turning_announced (name text NOT NULL, value text NOT NULL, epoch int NOT NULL, PRIMARY KEY (name, value, epoch));
`

// createNoteTurning makes the function of the triggers of one table and group (createNote): %[1]s is its name, %[2]s the old row's key, %[3]s the border. Where a
// row gets another key, what was known of it by its key becomes a note by the new one, read in one statement behind the row's lock.
const createNoteTurning = `
CREATE OR REPLACE FUNCTION %[1]s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET datestyle = 'ISO, YMD' SET timezone = 'UTC' AS $$
DECLARE
    g record;
    keys int := TG_ARGV[3]::int;
    new_row jsonb := to_jsonb(NEW);
    old_row jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) ELSE '{}' END;
    row_key text;
    old_key text;
    newer boolean;
    stored text;
    at_epoch int;
    tried int;
    i int;
BEGIN
    SELECT t.epoch, t.after IS NULL AND NOT t.done AS fresh, NOT EXISTS (SELECT FROM sallyport.turning o WHERE o.join_group = TG_ARGV[1] AND (o.epoch <> t.epoch OR NOT o.done)) AS over
        INTO g FROM sallyport.turning t WHERE t.relation = TG_ARGV[0] AND t.join_group = TG_ARGV[1]
        AND t.pass IS NOT NULL AND t.pass IS DISTINCT FROM current_setting('sallyport.pass', true);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_agg(new_row -> k ORDER BY n)::text, jsonb_agg(old_row -> k ORDER BY n)::text INTO row_key, old_key FROM unnest(TG_ARGV[4:3 + keys]) WITH ORDINALITY AS x (k, n);
    FOR i IN 4 + keys .. TG_NARGS - 1 BY 2 LOOP
        IF TG_OP = 'UPDATE' AND row_key IS DISTINCT FROM old_key THEN
            IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = TG_RELID AND contype = 'p' AND condeferrable) THEN -- two rows may have one key for a moment, and nobody could tell their notes apart
                RAISE EXCEPTION 'the keys of an integer or uuid of this table are being rotated, and its primary key is deferrable: its rows keep their primary keys for the time'
                    USING ERRCODE = 'object_in_use', HINT = 'Try again when that is done.';
            END IF;
            SELECT coalesce((SELECT w.epoch > 0 FROM sallyport.turning_written w WHERE w.name = TG_ARGV[i] AND w.key = old_key AND abs(w.epoch) = g.epoch), t.done OR (%[2]s) <= (%[3]s), false)
                INTO newer FROM sallyport.turning t WHERE t.relation = TG_ARGV[0] AND t.join_group = TG_ARGV[1];
            DELETE FROM sallyport.turning_written w WHERE w.name = TG_ARGV[i] AND w.key = old_key;
            INSERT INTO sallyport.turning_written VALUES (TG_ARGV[i], row_key, CASE WHEN newer THEN g.epoch ELSE -g.epoch END) ON CONFLICT (name, key) DO UPDATE SET epoch = excluded.epoch;
        END IF;
        stored := new_row ->> TG_ARGV[i + 1];
        CONTINUE WHEN stored IS NULL OR stored IS NOT DISTINCT FROM old_row ->> TG_ARGV[i + 1];
        SELECT max(n.epoch) INTO at_epoch FROM sallyport.turning_announced n WHERE n.name = TG_ARGV[i] AND n.value = stored;
        IF at_epoch IS NULL AND current_setting('transaction_isolation') <> 'read committed' THEN
            FOREACH tried IN ARRAY ARRAY[g.epoch, g.epoch - 1] LOOP
                BEGIN
                    INSERT INTO sallyport.turning_announced VALUES (TG_ARGV[i], stored, tried);
                    RAISE no_data_found;
                EXCEPTION WHEN unique_violation THEN at_epoch := tried; WHEN no_data_found THEN NULL;
                END;
                EXIT WHEN at_epoch IS NOT NULL;
            END LOOP;
        END IF;
        IF at_epoch = g.epoch OR at_epoch IS NULL AND g.over THEN -- all are of the newer key, and a serve that starts behind the record of that announces nothing
            INSERT INTO sallyport.turning_written AS w VALUES (TG_ARGV[i], row_key, g.epoch) ON CONFLICT (name, key) DO UPDATE SET epoch = excluded.epoch WHERE w.epoch <> excluded.epoch;
        ELSIF at_epoch IS NULL OR NOT g.fresh THEN
            RAISE EXCEPTION 'the keys of an integer or uuid of this table are being rotated: it is written through Sallyport, or not at all'
                USING ERRCODE = 'object_in_use', HINT = 'Leave the column out, or try again when that is done.';
        ELSE
            UPDATE sallyport.turning_written w SET epoch = -g.epoch WHERE w.name = TG_ARGV[i] AND w.key = row_key AND w.epoch = g.epoch;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION %[1]s() FROM PUBLIC` // nobody else may hang it on a table of his own

// Prepare makes, as the tables' owner, what turning their rows takes, and lets the reader use it. Nobody is held off by it.
func Prepare(ctx context.Context, conn *pgx.Conn, reader string, turns []*Turn) error {
	if len(turns) == 0 {
		return nil
	}
	grant := "; GRANT USAGE ON SCHEMA sallyport TO %[1]s; GRANT SELECT, INSERT, UPDATE ON sallyport.turning TO %[1]s; " +
		"GRANT SELECT, DELETE ON sallyport.turning_written TO %[1]s; GRANT SELECT, INSERT, DELETE ON sallyport.turning_announced TO %[1]s"
	if _, err := conn.Exec(ctx, "SET synchronous_commit = on; "+createTurning+fmt.Sprintf(grant, pgx.Identifier{reader}.Sanitize())); err != nil {
		return fmt.Errorf("prepare to rotate keys of integers and uuids: %w", withoutValues(err))
	}
	for _, t := range turns {
		t.Conn = conn
		ready, err := t.guarded(ctx)
		if err == nil && !ready {
			err = t.guard(ctx)
		}
		if err != nil {
			return fmt.Errorf("prepare to rotate keys of %s: %w", t.Table, err)
		}
	}
	return nil
}

// The triggers' names: a table may hold columns of several groups.
func (t *Turn) triggers() (insert, update string) {
	sum := sha256.Sum256([]byte(t.Group))
	name := hex.EncodeToString(sum[:6])
	return "sallyport_turn_insert_" + name, "sallyport_turn_update_" + name
}

// args are the triggers' arguments. The third says what they keep an eye on, so that one of before shows where the configuration or the key changed since.
// Then come how many columns the primary key has and their names, and each column in full and by its name alone.
func (t *Turn) args() []string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, pgx.Identifier{c.Column.Name}.Sanitize())
	}
	for _, k := range t.key {
		names = append(names, k.name+" "+k.kind+k.collation) // the function compares by them
	}
	args := []string{t.Table.String(), t.Group, strings.Join(names, ","), strconv.Itoa(len(t.key))}
	for _, k := range t.key {
		args = append(args, k.plain())
	}
	for _, c := range t.Columns {
		args = append(args, c.Column.String(), c.Column.Name)
	}
	return args
}

// guarded tells whether the triggers stand there as they have to.
func (t *Turn) guarded(ctx context.Context) (bool, error) {
	if err := t.readKey(ctx); err != nil {
		return false, err
	}
	insert, update := t.triggers()
	var there int
	err := t.Conn.QueryRow(ctx, `SELECT count(*) FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE g.tgrelid = $1::text::regclass AND g.tgname = ANY ($2) AND g.tgenabled IN ('O', 'A') AND n.nspname = 'sallyport' AND p.proname = $4
		AND g.tgargs = (SELECT pg_catalog.string_agg(pg_catalog.convert_to(a, pg_catalog.getdatabaseencoding()::name) || '\x00'::bytea, ''::bytea ORDER BY n) FROM pg_catalog.unnest($3::text[]) WITH ORDINALITY AS x (a, n))`,
		t.sql(), []string{insert, update}, t.args(), t.noteName()).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look at the triggers of %s: %w", t.Table, withoutValues(err))
	}
	return there == 2, nil
}

// noteName is the function of the triggers.
func (t *Turn) noteName() string {
	sum := sha256.Sum256([]byte(t.Table.String() + "\x00" + t.Group))
	return "note_turning_" + hex.EncodeToString(sum[:6])
}

func (t *Turn) noteSQL() string {
	var olds, border []string
	for i, k := range t.key {
		olds, border = append(olds, k.of("OLD")), append(border, fmt.Sprintf("t.after[%d]::%s", i+1, k.kind))
	}
	return fmt.Sprintf(createNoteTurning, "sallyport."+t.noteName(), strings.Join(olds, ", "), strings.Join(border, ", "))
}

// guard makes the triggers.
func (t *Turn) guard(ctx context.Context) error {
	var moves, news []string
	for _, k := range t.key {
		moves = append(moves, fmt.Sprintf("OLD.%s::text IS DISTINCT FROM NEW.%[1]s::text", k.name))
	}
	for _, c := range t.Columns {
		name := pgx.Identifier{c.Column.Name}.Sanitize()
		moves = append(moves, fmt.Sprintf("OLD.%s IS DISTINCT FROM NEW.%[1]s", name))
		news = append(news, fmt.Sprintf("NEW.%s IS NOT NULL", name))
	}
	var args []string
	for _, a := range t.args() {
		args = append(args, "'"+strings.ReplaceAll(a, "'", "''")+"'")
	}
	insert, update := t.triggers()
	trigger := func(name, event string, when []string) string {
		return fmt.Sprintf("DROP TRIGGER IF EXISTS %[1]s ON %[3]s; CREATE TRIGGER %[1]s AFTER %[2]s ON %[3]s FOR EACH ROW WHEN (%[4]s) EXECUTE FUNCTION sallyport.%[6]s(%[5]s)",
			name, event, t.sql(), strings.Join(when, " OR "), strings.Join(args, ", "), t.noteName())
	}
	for range mostTries {
		_, err := t.Conn.Exec(ctx, "SET standard_conforming_strings = on; SET lock_timeout = '"+patience+"'; "+t.noteSQL()+"; "+trigger(insert, "INSERT", news)+"; "+trigger(update, "UPDATE", moves)+"; RESET lock_timeout")
		if err = withoutValues(err); err == nil || !refusedBy(err, lockNotAvailable, "40P01") {
			return err
		}
		if _, err := t.Conn.Exec(ctx, "SELECT pg_sleep(0.2)"); err != nil {
			return err
		}
	}
	return errors.New("the table stays locked by others; end their transactions and try again")
}

func (t *Turn) sql() string { return pgx.Identifier{t.Table.Schema, t.Table.Name}.Sanitize() }

// readKey reads the primary key and the types of the columns, as SQL writes them.
func (t *Turn) readKey(ctx context.Context) error {
	rows, err := t.Conn.Query(ctx, `SELECT pg_catalog.quote_ident(a.attname), pg_catalog.format_type(a.atttypid, a.atttypmod), `+collationOf+` FROM pg_catalog.pg_index i
		CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, position)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
		WHERE i.indrelid = $1::text::regclass AND i.indisprimary AND k.position <= i.indnkeyatts ORDER BY k.position`, t.sql())
	if err != nil {
		return fmt.Errorf("read the primary key of %s: %w", t.Table, withoutValues(err))
	}
	t.key, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k keyColumn, err error) {
		return k, row.Scan(&k.name, &k.kind, &k.collation)
	})
	if err != nil {
		return fmt.Errorf("read the primary key of %s: %w", t.Table, withoutValues(err))
	}
	if len(t.key) == 0 {
		return fmt.Errorf("%s has no primary key, in whose order rows are gone through", t.Table)
	}
	w := &Renewal{Conn: t.Conn, Columns: t.Columns}
	t.kinds, err = w.kinds(ctx, part{name: t.sql()})
	return err
}

// isNoteTurning tells the functions of such triggers, p, from others: those that an older version made too.
const isNoteTurning = "p.proname ~ '^(hold_turning|note_turning|note_turning_[0-9a-f]+)$'"

// dropTurning takes away what Prepare made, where nothing is protected any more.
func (r *run) dropTurning(ctx context.Context) error {
	rows, err := r.main.Query(ctx, `SELECT format('DROP TRIGGER IF EXISTS %I ON %s', g.tgname, g.tgrelid::regclass) FROM pg_trigger g
		JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'sallyport' AND `+isNoteTurning+` AND g.tgparentid = 0
		UNION ALL SELECT format('DROP FUNCTION IF EXISTS %s', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'sallyport' AND `+isNoteTurning)
	if err != nil {
		return fmt.Errorf("drop triggers of rotations: %w", err)
	}
	drops, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("drop triggers of rotations: %w", err)
	}
	for _, drop := range append(drops, "DROP TABLE IF EXISTS sallyport.turning, sallyport.turning_written, sallyport.turning_announced") {
		if err := r.briefly(ctx, "drop triggers of rotations", drop); err != nil {
			return err
		}
	}
	return nil
}

// Unfit says, as the reader sees it, what stands against rotating the keys of the columns. Hints name what would help.
func (t *Turn) Unfit(ctx context.Context) (problems []string, err error) {
	ready, err := t.guarded(ctx)
	if err != nil {
		return nil, err
	}
	var may bool
	err = t.Conn.QueryRow(ctx, `SELECT pg_catalog.to_regclass('sallyport.turning') IS NOT NULL AND pg_catalog.has_schema_privilege('sallyport', 'USAGE')
		AND pg_catalog.has_table_privilege('sallyport.turning', 'SELECT, INSERT, UPDATE')`).Scan(&may)
	if err != nil && !refusedBy(withoutValues(err), "42P01", "3F000") { // undefined_table, invalid_schema_name
		return nil, fmt.Errorf("look for sallyport.turning: %w", withoutValues(err))
	}
	if err != nil || !may || !ready {
		problems = append(problems, fmt.Sprintf("nothing keeps others from writing %s while its keys are rotated: give --config and --owner once, and the command makes the triggers", t.names()))
	}
	for _, c := range t.Columns {
		var foreign, unfound bool
		err := t.Conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND (k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey) OR k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey))),
				EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey::pg_catalog.int2[]))
					AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indpred IS NULL AND i.indisvalid)
			FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::text::regclass AND a.attname = $2 AND NOT a.attisdropped`, t.sql(), c.Column.Name).Scan(&foreign, &unfound)
		switch {
		case err != nil:
			return nil, fmt.Errorf("look at the constraints of %s: %w", c.Column, withoutValues(err))
		case foreign:
			problems = append(problems, fmt.Sprintf("a foreign key stands on %s, and of a value in two tables nobody could tell of which key its token is: drop it until the rotation is done", c.Column))
		case unfound && c.Codec.Spec().Scheme == sallyport.Int4:
			problems = append(problems, fmt.Sprintf("a unique index holds %s behind other columns, and the new token of one integer may be the older one of another, which has to be found: CREATE INDEX CONCURRENTLY on it until the rotation is done", c.Column))
		}
	}
	return problems, nil
}
