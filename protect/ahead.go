package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// Ahead gives rows of a unique column on its way whose values have no form the form in which all will be, before their turn: the rows that hold a value which is
// about to be written, so that the index knows it, and those that stand where its new text is to stand. In 32 bits that is now and then the older text of another
// value, which has to go first, as what stands where that goes (docs/decisions/0084-who-stands-in-the-way-goes-first.md). All but texts is SQL about a table t0.
type Ahead struct {
	Column           sallyport.Column
	Table, Kind, How string // as catalog.Stands has them
	Key, Except      string // as in Vacancy
	Patience         string // how long a locked row is waited for; empty: as long as the connection has it

	// Next is what becomes of a text in a row that stands so; older: it has not yet. It is the text itself where the row stays as it is.
	Next func(text, stands string) (next string, older bool, err error)
	// Says announces a text before it is written.
	Says func(text string) Announcement
}

// mostAhead is how many values may stand in each other's way. Beside n rows one in 2^32/n does.
const mostAhead = 1000

// ErrCircle says that values stand in each other's way so that none can go first.
var ErrCircle = errors.New("values of it are each other's tokens, so that none can be moved before another; drop its unique index until that is done, and make it again")

// stepAhead is what goes from one text to another: rows by table and place, which are locked.
type stepAhead struct {
	from, to string
	rows     []string
}

// Go gives rows that hold the text from, and have not gone over, the text to; and whatever stands in the way goes first. All of it is one transaction, and each
// row is locked before it is asked how it stands.
func (a *Ahead) Go(ctx context.Context, conn Beginning, from, to string) error {
	if from == to {
		return nil
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if a.Patience != "" {
			if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+a.Patience+"'"); err != nil {
				return err
			}
		}
		steps, err := a.steps(ctx, tx, from, to)
		if err != nil {
			return err
		}
		for _, s := range slices.Backward(steps) {
			if err := a.take(ctx, tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "23505" { // the value stands there in both forms, and the index knows the one
		return nil
	}
	if err != nil {
		return fmt.Errorf("settle a value of %s: %w", a.Column, withoutValues(err))
	}
	return nil
}

// steps are the ways of from and of what stands in its way, in the order in which they are in each other's. None is of the first text alone where no row of it is left.
func (a *Ahead) steps(ctx context.Context, tx pgx.Tx, from, to string) (steps []stepAhead, err error) {
	seen := map[string]bool{}
	for text := from; ; {
		if seen[text] {
			return nil, ErrCircle
		}
		if seen[text] = true; len(seen) > mostAhead {
			return nil, errors.New("too many values stand in each other's way")
		}
		s := stepAhead{from: text}
		if s.to, s.rows, err = a.older(ctx, tx, text); err != nil {
			return nil, err
		}
		switch {
		case text == from && (len(s.rows) == 0 || s.to != to): // none, or of another value, which stays
			s.to, s.rows = to, nil
		case len(s.rows) == 0, s.to == text:
			return steps, nil
		}
		steps, text = append(steps, s), s.to
	}
}

// older locks the rows that hold a text and have not gone over. Of one text all of those have one value. Where there are none nothing is locked: nobody writes the
// older form any more, and who has written the newer one may wait for this.
func (a *Ahead) older(ctx context.Context, tx pgx.Tx, text string) (next string, rows []string, err error) {
	column := pgx.Identifier{a.Column.Name}.Sanitize()
	where, args := fmt.Sprintf("FROM %s t0 WHERE t0.%s = $1::pg_catalog.text::%s", a.Table, column, a.Kind), []any{text}
	if a.Key != "" {
		where, args = where+fmt.Sprintf(" AND t0.%s::pg_catalog.text IS DISTINCT FROM $2", pgx.Identifier{a.Key}.Sanitize()), append(args, a.Except)
	}
	if _, rows, err = a.find(ctx, tx, text, where, args); err != nil || len(rows) == 0 {
		return "", nil, err
	}
	found, err := tx.Query(ctx, "SELECT "+placeOf+" "+where+" FOR NO KEY UPDATE", args...)
	if err != nil {
		return "", nil, err
	}
	locked, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return "", nil, err
	}
	next, rows, err = a.find(ctx, tx, text, where, args)
	return next, slices.DeleteFunc(rows, func(place string) bool { return !slices.Contains(locked, place) }), err // it came since
}

// find looks for them, as they stand at this moment.
func (a *Ahead) find(ctx context.Context, tx pgx.Tx, text, where string, args []any) (next string, rows []string, err error) {
	found, err := tx.Query(ctx, fmt.Sprintf("SELECT %s, coalesce(%s, '') %s", placeOf, a.How, where), args...)
	if err != nil {
		return "", nil, err
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByPos[struct{ Place, Stands string }])
	if err != nil {
		return "", nil, err
	}
	for _, row := range list {
		becomes, older, err := a.Next(text, row.Stands)
		if err != nil {
			return "", nil, err
		}
		if older {
			next, rows = becomes, append(rows, row.Place)
		}
	}
	return next, rows, nil
}

// placeOf is where a row t0 stands, as long as it is locked.
const placeOf = "(t0.tableoid::pg_catalog.text OPERATOR(pg_catalog.||) t0.ctid::pg_catalog.text)"

func (a *Ahead) take(ctx context.Context, tx pgx.Tx, s stepAhead) error {
	if len(s.rows) == 0 {
		return nil
	}
	said, err := Announce(ctx, tx, a.Says(s.to))
	if err != nil {
		return err
	}
	if !said.Ready {
		return errors.New("nothing in the database is ready to note it")
	}
	column := pgx.Identifier{a.Column.Name}.Sanitize()
	_, err = tx.Exec(ctx, fmt.Sprintf("UPDATE %s AS t0 SET %[2]s = $1::pg_catalog.text::%[3]s WHERE t0.%[2]s = $2::pg_catalog.text::%[3]s AND %[4]s = ANY ($3)", a.Table, column, a.Kind, placeOf), s.to, s.from, s.rows)
	return err
}
