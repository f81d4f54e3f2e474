package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/token"
)

// patience is how long a statement that needs a lock on a table waits for it; whoever comes behind it in the queue waits with it.
const patience = "200ms"

// mostTries is how often such a statement is tried.
const mostTries = 300

// briefly runs a statement that takes a strong lock for a moment, again and again until it gets it.
func (r *run) briefly(ctx context.Context, what, sql string) error {
	for range mostTries {
		_, err := r.main.Exec(ctx, "SET lock_timeout = '"+patience+"'; "+sql+"; RESET lock_timeout")
		if err == nil {
			return nil
		}
		if _, reset := r.main.Exec(ctx, "RESET lock_timeout"); reset != nil {
			return fmt.Errorf("%s: %w", what, withoutValues(errors.Join(err, reset)))
		}
		if err = withoutValues(err); !refusedBy(err, "55P03", "40P01") { // lock_not_available, deadlock_detected
			return fmt.Errorf("%s: %w", what, err)
		}
		if _, err := r.main.Exec(ctx, "SELECT pg_sleep(0.2)"); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return fmt.Errorf("%s: the table stays locked by others; end their transactions and run protect again", what)
}

// constraint is the name of the CHECK that keeps plain values out of a column.
func (c *column) constraint() string { return fmt.Sprintf("sallyport_token_%d", c.number) }

// check is a condition that every token of a column fulfils, of whichever key epoch, and hardly a plain value does. It is cheap: a regular
// expression would take fifteen times as long for each row.
func (c *column) check() string { return checkOf(c.codec, c.sql()) }

func checkOf(codec *token.Codec, column string) string {
	_, under, _ := strings.Cut(codec.Form(), " under ")
	quoted := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	front := func(s string) string { return fmt.Sprintf("left(%s, %d) = %s", column, len([]rune(s)), quoted(s)) }
	switch spec := codec.Spec(); spec.Scheme {
	case sallyport.Email:
		_, domain, _ := strings.Cut(under, ".") // behind the label of the epoch, k1 to k9
		return fmt.Sprintf("right(%s, %d) LIKE %s", column, len(under), quoted("k_."+domain))
	case sallyport.Phone:
		return front("+89") + " OR " + front("+83")
	case sallyport.Number:
		var any []string
		for _, prefixes := range []map[string]string{spec.Prefixes, spec.NextPrefixes} {
			for _, prefix := range prefixes {
				any = append(any, front(prefix))
			}
		}
		slices.Sort(any)
		return strings.Join(any, " OR ")
	case sallyport.Name, sallyport.Text:
		return front("tk1:")
	case sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
		return column + " >= '2200-01-01'"
	case sallyport.Int4, sallyport.Int8, sallyport.UUID: // their tokens look like any other value
	}
	return ""
}

// constrain has the database itself refuse plain values from now on: new ones at once, and those that are there by looking. Where it
// finds some, they are moved, and it looks again.
func (r *run) constrain(ctx context.Context) error {
	const mostTurns = 3
	for turn := 0; ; turn++ {
		err := r.tryConstrain(ctx)
		if turn == mostTurns || !refusedBy(err, "23514") {
			return err
		}
		if err := r.dropConstraints(ctx); err != nil {
			return err
		}
		if err := r.again(ctx); err != nil {
			return err
		}
	}
}

func (r *run) tryConstrain(ctx context.Context) error {
	for _, t := range r.tables {
		var adds, looks []string
		for _, c := range t.columns {
			name := pgx.Identifier{c.constraint()}.Sanitize()
			if c.check() != "" {
				adds = append(adds, "DROP CONSTRAINT IF EXISTS "+name, fmt.Sprintf("ADD CONSTRAINT %s CHECK (%s) NOT VALID", name, c.check()))
				looks = append(looks, "VALIDATE CONSTRAINT "+name)
			}
		}
		if len(adds) == 0 {
			continue
		}
		if err := r.briefly(ctx, fmt.Sprintf("keep plain values out of %s", t), "ALTER TABLE "+t.sql()+" "+strings.Join(adds, ", ")); err != nil {
			return err
		}
		if err := r.briefly(ctx, fmt.Sprintf("look for plain values in %s", t), "ALTER TABLE "+t.sql()+" "+strings.Join(looks, ", ")); err != nil {
			return err
		}
	}
	return nil
}

// dropConstraints lets plain values in again.
func (r *run) dropConstraints(ctx context.Context) error {
	for _, t := range r.tables {
		for _, c := range t.columns {
			drop := fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", t.sql(), pgx.Identifier{c.constraint()}.Sanitize())
			if err := r.briefly(ctx, fmt.Sprintf("let plain values into %s", c), drop); err != nil {
				return err
			}
		}
	}
	return nil
}

// Unconstrained are those of some columns into which the database would let plain values, or which hold some: no CHECK by our name was
// validated, or one was that somebody else made, and a row is not what ours would let in. Each table is read until such a row. Where tokens have
// no form, the progress of protect counts.
func Unconstrained(ctx context.Context, conn *pgx.Conn, columns []Column) (open []string, err error) {
	for _, c := range columns {
		var holds bool
		if !c.Codec.Recognisable() {
			if holds, err = movedWhole(ctx, conn, c.Column); err != nil {
				return nil, fmt.Errorf("look how far %s is: %w", c.Column, withoutValues(err))
			}
			if !holds {
				open = append(open, c.Column.String())
			}
			continue
		}
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint k
			JOIN pg_catalog.pg_class t ON t.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
			JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attname = $3 AND k.conname = 'sallyport_token_' || a.attnum
			WHERE n.nspname = $1 AND t.relname = $2 AND k.contype = 'c' AND k.convalidated AND k.conkey = ARRAY[a.attnum])`,
			c.Column.Schema, c.Column.Table, c.Column.Name).Scan(&holds)
		if err != nil {
			return nil, fmt.Errorf("look for the constraint of %s: %w", c.Column, err)
		}
		if holds {
			column := pgx.Identifier{c.Column.Name}.Sanitize()
			err = conn.QueryRow(ctx, fmt.Sprintf("SELECT NOT EXISTS (SELECT FROM %s WHERE NOT (%s))",
				pgx.Identifier{c.Column.Schema, c.Column.Table}.Sanitize(), checkOf(c.Codec, column))).Scan(&holds)
			if err != nil {
				return nil, fmt.Errorf("look for plain values in %s: %w", c.Column, withoutValues(err))
			}
		}
		if !holds {
			open = append(open, c.Column.String())
		}
	}
	return open, nil
}

// Names of the indexes by which names are found: in tokens alone, and while a column is moving.
func (t *table) nameIndex(c *column) string {
	return pgx.Identifier{fmt.Sprintf("sallyport_name_%d_%d", t.oid, c.number)}.Sanitize()
}

func (t *table) movingIndex(c *column) string {
	return fmt.Sprintf("sallyport_moving_%d_%d", t.oid, c.number)
}

// MovingName is what the gateway compares a name's column by while it is moving; query.MovingName says why.
func MovingName(column string) string {
	return fmt.Sprintf("(CASE WHEN left(%s, 4) = 'tk1:' THEN left(%s, %d) ELSE %s END)", column, column, token.NamePrefixLen, column)
}

// makeMovingIndexes makes the indexes by which names are found on the way, without keeping anybody from writing: where somebody has an
// index on the plain column. Else nobody searches there by it.
func (r *run) makeMovingIndexes(ctx context.Context) error {
	for _, t := range r.tables {
		for _, c := range t.columns {
			if c.codec.Spec().Scheme != sallyport.Name || !c.indexed || t.parted { // a partitioned table cannot get one while others write
				continue
			}
			if err := r.concurrently(ctx, t, c, pgx.Identifier{t.movingIndex(c)}.Sanitize(), MovingName(c.sql())); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeNameIndexes makes those by which names are found afterwards. On the way they would only have to be kept up to date.
func (r *run) makeNameIndexes(ctx context.Context) error {
	for _, t := range r.tables {
		for _, c := range t.columns {
			if c.codec.Spec().Scheme != sallyport.Name {
				continue
			}
			if err := r.concurrently(ctx, t, c, t.nameIndex(c), fmt.Sprintf("left(%s, %d)", c.sql(), token.NamePrefixLen)); err != nil {
				return err
			}
		}
	}
	return nil
}

// concurrently makes an index; one that a run before this one left unfinished is dropped first.
func (r *run) concurrently(ctx context.Context, t *table, c *column, name, expression string) error {
	where := pgx.Identifier{t.Schema}.Sanitize() + "." + name
	var there, valid bool
	err := r.main.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL, coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)), false)", where).Scan(&there, &valid)
	if err != nil {
		return fmt.Errorf("look for the index of %s: %w", c, err)
	}
	if there && valid {
		return nil
	}
	if there {
		if _, err := r.main.Exec(ctx, "DROP INDEX CONCURRENTLY "+where); err != nil {
			return fmt.Errorf("drop the unfinished index of %s: %w", c, withoutValues(err))
		}
	}
	if _, err := r.main.Exec(ctx, fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON %s (%s)", name, t.sql(), "("+expression+")")); err != nil {
		return fmt.Errorf("make an index of %s: %w", c, withoutValues(err))
	}
	return nil
}

// tidy removes what was needed on the way only, and has the space of old rows used again.
func (r *run) tidy(ctx context.Context) error {
	if err := r.grantMoves(ctx, "REVOKE", "FROM"); err != nil {
		return err
	}
	for _, t := range r.tables {
		for _, c := range t.columns {
			names := []string{pgx.Identifier{t.Schema, t.movingIndex(c)}.Sanitize(), pgx.Identifier{t.Schema, t.bondIndex(c)}.Sanitize()}
			if r.out {
				names = append(names, pgx.Identifier{t.Schema}.Sanitize()+"."+t.nameIndex(c))
			}
			for _, name := range names {
				if err := r.dropIndex(ctx, c, name); err != nil {
					return err
				}
			}
		}
		if _, err := r.main.Exec(ctx, "VACUUM (ANALYZE) "+t.sql()); err != nil {
			return fmt.Errorf("vacuum %s: %w", t, withoutValues(err))
		}
	}
	return nil
}

func (r *run) dropIndex(ctx context.Context, c *column, name string) error {
	if c.table.parted {
		return r.briefly(ctx, fmt.Sprintf("drop an index of %s", c), "DROP INDEX IF EXISTS "+name)
	}
	if _, err := r.main.Exec(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+name); err != nil {
		return fmt.Errorf("drop an index of %s: %w", c, withoutValues(err))
	}
	return nil
}
