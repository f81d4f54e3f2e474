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

// besideVacuum is how long an automatic VACUUM is waited for: the server ends it for whoever has waited for deadlock_timeout (1 s).
const besideVacuum = "5s"

// alter changes a table for a moment. An automatic VACUUM, which begins by itself where so many rows change and may take hours, never yields to
// somebody who waits as shortly as briefly does. So first comes a lock that nobody else needs who reads or writes.
func (r *run) alter(ctx context.Context, what string, t *table, changes ...string) error {
	return r.briefly(ctx, what, fmt.Sprintf("SET lock_timeout = '%s'; LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE; SET lock_timeout = '%s'; ALTER TABLE %s %s",
		besideVacuum, t.sql(), patience, t.sql(), strings.Join(changes, ", ")))
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
		return column + " >= '2200-01-01' AND " + column + " < '9700-01-01'" // 9999-12-31 and infinity are values
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
		if err := r.alter(ctx, fmt.Sprintf("keep plain values out of %s", t), t, adds...); err != nil {
			return err
		}
		if err := r.alter(ctx, fmt.Sprintf("look for plain values in %s", t), t, looks...); err != nil {
			return err
		}
	}
	return nil
}

// dropConstraints lets plain values in again. Where nothing kept them out no lock is taken: among transactions that follow each other closely it may not come.
func (r *run) dropConstraints(ctx context.Context) error {
	for _, t := range r.tables {
		for _, c := range t.columns {
			there := false
			err := r.main.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = $1 AND conname = $2)", t.oid, c.constraint()).Scan(&there)
			if err != nil {
				return fmt.Errorf("look for the CHECK of %s: %w", c, withoutValues(err))
			}
			if !there {
				continue
			}
			drop := "DROP CONSTRAINT IF EXISTS " + pgx.Identifier{c.constraint()}.Sanitize()
			if err := r.alter(ctx, fmt.Sprintf("let plain values into %s", c), t, drop); err != nil {
				return err
			}
		}
	}
	return nil
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

// tidy removes what was needed on the way only.
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
	}
	return nil
}

// vacuum has the space of old rows used again.
func (r *run) vacuum(ctx context.Context) error {
	for _, t := range r.tables {
		if _, err := r.main.Exec(ctx, "VACUUM "+t.sql()); err != nil {
			return fmt.Errorf("vacuum %s: %w", t, withoutValues(err))
		}
	}
	return nil
}

// analyze has the planner forget plain values, when all indexes are as they stay.
func (r *run) analyze(ctx context.Context) error {
	for _, t := range r.tables {
		if _, err := r.main.Exec(ctx, "ANALYZE "+t.sql()); err != nil {
			return fmt.Errorf("analyze %s: %w", t, withoutValues(err))
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
