package protect

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// Tokens of integers and uuids look like any other value, so where they stand is known by sallyport.ranges alone: `tokens` changes in one
// transaction with the rows of its range. Of what others write meanwhile a trigger notes what it is (noted.go), and refuses what it cannot know, from
// before the first row changes until the last has, also between a run that was killed and the one that goes on. serve shows of such a column meanwhile
// what a reason covers.

// createFormless makes the list of columns that are on their way. Whoever moves rows names the run's pass, which only the owner can read. A trigger that
// was left behind lets everything through.
const createFormless = `
CREATE TABLE IF NOT EXISTS sallyport.formless (relation oid NOT NULL, number int2 NOT NULL, pass text NOT NULL, PRIMARY KEY (relation, number));
ALTER TABLE sallyport.formless ADD COLUMN IF NOT EXISTS open boolean; -- what is taken of a value that nobody announced: a token or not; null: it is refused` + createNoted + createWrittenAs

// formless are the columns of a table whose tokens have no form.
func (t *table) formless() (list []*column) {
	for _, c := range t.columns {
		if c.formless {
			list = append(list, c)
		}
	}
	return list
}

// inspectFormless decides about a column whose tokens have no form: is it to move, on its way, or all tokens and left alone? A sentence says what stands
// against it.
func (r *run) inspectFormless(ctx context.Context, c *column) (aside bool, problem string, err error) {
	c.formless = true
	if c.under, err = r.onItsWay(ctx, c); err != nil {
		return false, "", err
	}
	begun := r.marked && (r.known[c.String()] != "" || r.Recorded[c.String()] != "")
	if r.Live != nil {
		begun = slices.Contains(r.states.Moving, c.String()) || slices.Contains(r.states.Leaving, c.String())
	}
	c.under = c.under && begun // else a run was cut before anything moved
	switch {
	case begun && !c.under && r.Live == nil:
		return true, "", nil
	case begun && !c.under:
		return false, "it is on its way, and sallyport.formless does not know how far: nobody can tell its tokens from its values; put back the copy of the database from before", nil
	case c.narrow() && !c.indexed && !c.under:
		return false, "a unique index holds it behind other columns, and the token of one integer may be another one that has not moved yet, which has to be found; CREATE INDEX CONCURRENTLY on it until protect has run", nil
	}
	return false, "", nil
}

// onItsWay tells whether an earlier run began with a column.
func (r *run) onItsWay(ctx context.Context, c *column) (under bool, err error) {
	there, err := r.holding(ctx)
	if err != nil || !there {
		return false, err
	}
	err = r.main.QueryRow(ctx, "SELECT EXISTS (SELECT FROM sallyport.formless WHERE relation = $1 AND number = $2)", c.table.oid, c.number).Scan(&under)
	if err != nil {
		return false, fmt.Errorf("read the progress of an earlier run: %w", withoutValues(err))
	}
	return under, nil
}

// formlessProblems are what stands against tables with such columns, once their ranges were taken up.
func (r *run) formlessProblems() (problems []string) {
	for _, t := range r.tables {
		list := t.formless()
		under := slices.ContainsFunc(list, func(c *column) bool { return c.under })
		for _, c := range list {
			switch {
			case c.bond != nil && c.bond.problem(c) != "":
				problems = append(problems, fmt.Sprintf("%s: %s", c, c.bond.problem(c)))
			case under && !c.under:
				problems = append(problems, fmt.Sprintf("%s: another column of its table is on its way; protect that one to its end first, without this one", c))
			case under && !t.kept:
				problems = append(problems, fmt.Sprintf("%s: it is on its way, and sallyport.ranges does not know how far; put back the copy of the database from before", c))
			}
		}
	}
	return problems
}

// hold writes down which columns without a form are on their way, and has the database keep everybody's hands off them.
func (r *run) hold(ctx context.Context) error {
	pass := make([]byte, 16)
	if _, err := io.ReadFull(r.Random, pass); err != nil {
		return fmt.Errorf("hold the columns without a form: %w", err)
	}
	for _, t := range r.tables {
		if len(t.formless()) == 0 {
			continue
		}
		if err := r.holdTable(ctx, t, hex.EncodeToString(pass)); err != nil {
			return fmt.Errorf("hold the columns without a form in %s: %w", t, err)
		}
	}
	for _, conn := range r.workers {
		if err := exec(ctx, conn, "SET sallyport.pass = '"+hex.EncodeToString(pass)+"'"); err != nil {
			return fmt.Errorf("hold the columns without a form: %w", err)
		}
	}
	return nil
}

func (r *run) holdTable(ctx context.Context, t *table, pass string) error {
	var conditions, news []string
	again := "" // some sessions may work as before the run that was cut, until closeHold knows better
	if r.Live == nil {
		again = ", open = excluded.open"
	}
	for _, k := range t.key { // as texts: equal keys of some types are written in several ways, and notes know one
		conditions = append(conditions, fmt.Sprintf("OLD.%s::text IS DISTINCT FROM NEW.%s::text", k.name, k.name))
	}
	err := pgx.BeginFunc(ctx, r.main, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = on; CREATE SCHEMA IF NOT EXISTS sallyport; "+createFormless+t.noteSQL()); err != nil {
			return err
		}
		for _, c := range t.formless() {
			conditions = append(conditions, fmt.Sprintf("OLD.%s IS DISTINCT FROM NEW.%s", c.sql(), c.sql()))
			news = append(news, fmt.Sprintf("NEW.%s IS NOT NULL", c.sql()))
			if _, err := tx.Exec(ctx, "INSERT INTO sallyport.formless (relation, number, pass, open) VALUES ($1, $2, $3, $4) ON CONFLICT (relation, number) DO UPDATE SET pass = excluded.pass"+again, t.oid, c.number, pass, r.holds(c)); err != nil {
				return err
			}
		}
		return t.holdWritten(ctx, tx, r.out)
	})
	if err != nil {
		return withoutValues(err)
	}
	t.noted = true
	// Behind the row: what other triggers make of it is known then, and it is there.
	trigger := "CREATE OR REPLACE TRIGGER %s AFTER %s ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION %s(%d, %s)"
	if r.main.PgConn().ParameterStatus("server_version") < "14" { // it cannot replace a trigger
		trigger = "DROP TRIGGER IF EXISTS %[1]s ON %[3]s; CREATE TRIGGER %[1]s AFTER %[2]s ON %[3]s FOR EACH ROW WHEN (%[4]s) EXECUTE FUNCTION %[5]s(%[6]d, %[7]s)"
	}
	names := make([]string, len(t.key))
	for i, k := range t.key {
		names[i] = "'" + strings.ReplaceAll(k.plain(), "'", "''") + "'"
	}
	key := strings.Join(names, ", ")
	for _, make := range []string{
		fmt.Sprintf(trigger, holdInsert, "INSERT", t.sql(), strings.Join(news, " OR "), t.noteName(), t.oid, key),
		fmt.Sprintf(trigger, holdUpdate, "UPDATE", t.sql(), strings.Join(conditions, " OR "), t.noteName(), t.oid, key),
	} {
		if err := r.briefly(ctx, "make its trigger", make); err != nil {
			return err
		}
	}
	return nil
}

// The triggers' names.
const holdInsert, holdUpdate = "sallyport_hold_insert", "sallyport_hold_update"

// release lets everybody write the columns again. From the first statement on triggers let everything through, so that the locks that dropping them
// takes may be waited for.
func (r *run) release(ctx context.Context) error {
	there, err := r.holding(ctx)
	if err != nil || !there {
		return err
	}
	if _, err := r.main.Exec(ctx, "DELETE FROM sallyport.formless"); err != nil {
		return fmt.Errorf("let columns without a form go: %w", withoutValues(err))
	}
	rows, err := r.main.Query(ctx, `SELECT format('DROP TRIGGER IF EXISTS %I ON %s', g.tgname, g.tgrelid::regclass) FROM pg_trigger g
		JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'sallyport' AND `+isNote+` AND g.tgparentid = 0
		UNION ALL SELECT format('DROP FUNCTION IF EXISTS %s', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'sallyport' AND `+isNote)
	if err != nil {
		return fmt.Errorf("let columns without a form go: %w", err)
	}
	drops, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("let columns without a form go: %w", err)
	}
	for _, drop := range append(drops, "DROP TABLE IF EXISTS sallyport.written, sallyport.announced, sallyport.written_as", "DROP TABLE sallyport.formless") {
		if err := r.briefly(ctx, "let columns without a form go", drop); err != nil {
			return err
		}
	}
	return nil
}

// movedWhole tells by the run's own progress whether all values of a column without a form are tokens.
func movedWhole(ctx context.Context, conn *pgx.Conn, c sallyport.Column) (whole bool, err error) {
	var there bool
	err = conn.QueryRow(ctx, "SELECT to_regclass('sallyport.ranges') IS NOT NULL AND to_regclass('sallyport.formless') IS NOT NULL AND to_regclass('sallyport.written') IS NOT NULL").Scan(&there)
	if err != nil || !there {
		return false, err
	}
	err = conn.QueryRow(ctx, `SELECT coalesce((SELECT bool_and(g.tokens AND NOT EXISTS (SELECT FROM sallyport.written w WHERE w.relation = g.relation AND w.name = $3 AND NOT w.tokens)) FROM sallyport.ranges g JOIN sallyport.formless f USING (relation)
		JOIN pg_catalog.pg_class t ON t.oid = g.relation JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = f.number
		WHERE n.nspname = $1 AND t.relname = $2 AND a.attname = $3), false)`, c.Schema, c.Table, c.Name).Scan(&whole)
	return whole, err
}
