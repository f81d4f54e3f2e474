package protect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// Renewal replaces the tokens of older key epochs in one table, while others work with it. It needs no progress of its own: a token
// shows its epoch, so that a run that was cut goes on with what is left.
type Renewal struct {
	Conn    *pgx.Conn // may read the table and update the columns
	Table   Table
	Columns []Column // of Table, all of one join group or of several
	Random  io.Reader
	Pages   int // of the table, read and changed in one transaction; 0: 64
	// Whole are all columns of the join group whose tokens are equal for equal values: each value of Columns, which MUST be among them, is changed in all
	// of them in one transaction. Empty: row by row.
	Whole []Column

	// Pause is called after each of them with the number of rows changed: it keeps a rate. Optional.
	Pause func(ctx context.Context, rows int) error
	// Dead tells whether a token was drawn at random for a shredded customer: it stays as it is. Optional.
	Dead func(c Column, tok string) bool
	// Progress tells how many of the table's pages were looked at, and how many rows changed since the last call. Optional.
	Progress func(done, total, rows int64)

	wholeKinds map[sallyport.Column]string // types of Whole, as SQL writes them
}

// Renewed is what one pass over a table did.
type Renewed struct {
	Rows   int64 // changed
	Left   int64 // with a token of an older epoch that somebody else changed or locked meanwhile: the next pass meets them again
	Stuck  int64 // that the database will not have changed; Why says so of the first
	Broken int64 // with a token of an older epoch that its key does not open; it stays as it is
	Why    error
}

// Done tells that no token of an older epoch was met that could be read.
func (r Renewed) Done() bool { return r.Rows == 0 && r.Left == 0 && r.Stuck == 0 }

const defaultPages = 64

// Pass looks at every row of the table once, and of its partitions and children.
func (w *Renewal) Pass(ctx context.Context) (Renewed, error) {
	if w.Pages == 0 {
		w.Pages = defaultPages
	}
	var done Renewed
	if err := w.findKinds(ctx); err != nil {
		return done, err
	}
	parts, err := w.parts(ctx)
	if err != nil {
		return done, fmt.Errorf("renew tokens of %s.%s: %w", w.Table.Schema, w.Table.Name, err)
	}
	var before, total int64
	for _, p := range parts {
		total += p.pages
	}
	for _, p := range parts {
		if err := w.passPart(ctx, p, &done, func(pages int64, rows int) {
			if w.Progress != nil {
				w.Progress(before+pages, total, int64(rows))
			}
		}); err != nil {
			return done, fmt.Errorf("renew tokens of %s: %w", p.name, err)
		}
		before += p.pages
	}
	return done, nil
}

// Size is how many pages a pass looks at.
func (w *Renewal) Size(ctx context.Context) (pages int64, err error) {
	parts, err := w.parts(ctx)
	if err != nil {
		return 0, fmt.Errorf("look at the size of %s.%s: %w", w.Table.Schema, w.Table.Name, err)
	}
	for _, p := range parts {
		pages += p.pages
	}
	return pages, nil
}

// passPart looks at every row of one part.
func (w *Renewal) passPart(ctx context.Context, p part, done *Renewed, progress func(pages int64, rows int)) error {
	kinds, err := w.kinds(ctx, p)
	if err != nil {
		return err
	}
	for from := int64(0); from <= p.pages; from += int64(w.Pages) {
		rows, err := w.step(ctx, p, kinds, from, done)
		if err != nil {
			return err
		}
		progress(min(from+int64(w.Pages), p.pages), rows)
		if w.Pause != nil {
			if err := w.Pause(ctx, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// part is a table that holds rows itself.
type part struct {
	name  string // as SQL writes it
	pages int64
}

// parts are the table, its partitions and its children, those that hold rows.
func (w *Renewal) parts(ctx context.Context) ([]part, error) {
	rows, err := w.Conn.Query(ctx, treeOf+`SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
			pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint
		FROM parts JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' ORDER BY 1`,
		w.Table.Schema, w.Table.Name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p part, err error) { return p, row.Scan(&p.name, &p.pages) })
}

// kinds are the types of the columns, as SQL writes them.
func (w *Renewal) kinds(ctx context.Context, p part) ([]string, error) {
	kinds := make([]string, len(w.Columns))
	for i, c := range w.Columns {
		err := w.Conn.QueryRow(ctx, "SELECT pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2 AND NOT attisdropped",
			p.name, c.Column.Name).Scan(&kinds[i])
		if err != nil {
			return nil, fmt.Errorf("find the column %s: %w", c.Column, err)
		}
	}
	return kinds, nil
}

// stale is a row with a token of an older epoch.
type stale struct {
	at       string // its place: ctid
	old, new []*string
}

// step looks at some pages and changes their rows.
func (w *Renewal) step(ctx context.Context, p part, kinds []string, from int64, done *Renewed) (rows int, err error) {
	found, err := w.find(ctx, p, from, done)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	if len(w.Whole) > 0 {
		changed, err := w.changeValues(ctx, found, done)
		done.Rows += changed
		return int(changed), err
	}
	changed, err := w.change(ctx, p, kinds, found, done)
	done.Rows += changed
	return int(changed), err
}

// find reads some pages, and makes the new tokens of the rows that need some.
func (w *Renewal) find(ctx context.Context, p part, from int64, done *Renewed) ([]stale, error) {
	names := make([]string, len(w.Columns))
	for i, c := range w.Columns {
		names[i] = pgx.Identifier{c.Column.Name}.Sanitize() + "::pg_catalog.text"
	}
	sql := fmt.Sprintf("SELECT ctid::pg_catalog.text, %s FROM ONLY %s WHERE ctid >= $1::text::pg_catalog.tid AND ctid < $2::text::pg_catalog.tid", strings.Join(names, ", "), p.name)
	rows, err := w.Conn.Query(ctx, sql, fmt.Sprintf("(%d,0)", from), fmt.Sprintf("(%d,0)", from+int64(w.Pages)))
	if err != nil {
		return nil, withoutValues(err)
	}
	defer rows.Close()
	var found []stale
	for rows.Next() {
		s := stale{old: make([]*string, len(w.Columns))}
		into := []any{&s.at}
		for i := range s.old {
			into = append(into, &s.old[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, errors.New("read a row: it cannot be read as text") // the error might quote it
		}
		if w.renew(&s, done) {
			found = append(found, s)
		}
	}
	return found, withoutValues(rows.Err())
}

// renew makes the new tokens of one row.
func (w *Renewal) renew(s *stale, done *Renewed) (changes bool) {
	s.new = append(s.new, s.old...)
	for i, c := range w.Columns {
		if s.old[i] == nil || !c.Codec.IsToken([]byte(*s.old[i])) {
			continue
		}
		if w.Dead != nil && c.Codec.Total() && w.Dead(c, *s.old[i]) {
			if c.Codec.Epoch([]byte(*s.old[i])) != c.Codec.Epochs()[0] {
				done.Broken++
			}
			continue
		}
		made, older, err := c.Codec.Renew(nil, []byte(*s.old[i]), w.Random)
		switch {
		case err != nil:
			done.Broken++
		case older:
			text := string(made)
			s.new[i], changes = &text, true
		}
	}
	return changes
}

// change puts the new tokens in the place of the old ones, where they still stand. What the database refuses of many rows is tried of half
// of them at a time, so that one row does not hold up the others.
func (w *Renewal) change(ctx context.Context, p part, kinds []string, rows []stale, done *Renewed) (int64, error) {
	tag, err := w.Conn.Exec(ctx, w.updateSQL(p, kinds), w.updateArgs(rows)...)
	refused, known := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		done.Left += int64(len(rows)) - tag.RowsAffected()
		return tag.RowsAffected(), nil
	case !known:
		return 0, withoutValues(err)
	case refused.Code == lockNotAvailable || refused.Code[:2] == "40": // lock_not_available; deadlock, serialization failure
		done.Left += int64(len(rows))
		return 0, nil
	case refused.Code[:2] != "23": // only a constraint is a matter of single rows
		return 0, withoutValues(err)
	case len(rows) == 1:
		done.Stuck++
		if done.Why == nil {
			done.Why = withoutValues(err)
		}
		return 0, nil
	}
	half := len(rows) / 2
	first, err := w.change(ctx, p, kinds, rows[:half], done)
	if err != nil {
		return first, err
	}
	second, err := w.change(ctx, p, kinds, rows[half:], done)
	return first + second, err
}

// updateSQL takes places, old texts and new texts as arrays. A row that somebody changed meanwhile has another place or text, and is left.
func (w *Renewal) updateSQL(p part, kinds []string) string {
	arrays, names, sets, same := []string{"pg_catalog.unnest($1::text[]::pg_catalog.tid[])"}, []string{"at"}, []string{}, []string{"t.ctid = x.at"}
	for i, c := range w.Columns {
		name := pgx.Identifier{c.Column.Name}.Sanitize()
		arrays = append(arrays, fmt.Sprintf("pg_catalog.unnest($%d::text[])", 2+2*i), fmt.Sprintf("pg_catalog.unnest($%d::text[])", 3+2*i))
		names = append(names, fmt.Sprintf("old%d", i), fmt.Sprintf("new%d", i))
		sets = append(sets, fmt.Sprintf("%s = x.new%d::%s", name, i, kinds[i]))
		same = append(same, fmt.Sprintf("t.%s::pg_catalog.text IS NOT DISTINCT FROM x.old%d", name, i))
	}
	return fmt.Sprintf("UPDATE ONLY %s AS t SET %s FROM ROWS FROM (%s) AS x (%s) WHERE %s",
		p.name, strings.Join(sets, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "), strings.Join(same, " AND "))
}

func (w *Renewal) updateArgs(rows []stale) []any {
	at := make([]string, len(rows))
	args := []any{at}
	for i := range w.Columns {
		before, after := make([]*string, len(rows)), make([]*string, len(rows))
		for j := range rows {
			before[j], after[j] = rows[j].old[i], rows[j].new[i]
		}
		args = append(args, before, after)
	}
	for j := range rows {
		at[j] = rows[j].at
	}
	return args
}
