package protect

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// BoundVacancy is a value that is about to be written into a column on its way whose values have no form, and that foreign keys hold equal to others.
type BoundVacancy struct {
	Column  sallyport.Column
	Becomes string  // the text by which it is written, which is announced for all places
	Stood   string  // the other text by which it may stand there
	Places  []Place // all columns of the bond, Column among them, in one order for everybody
	// Is tells whether a text is the value, in a row of that state.
	Is func(text, stands string) bool
}

// Place is a column of a bond. Table, Kind and How are SQL about a table t0 (catalog.Stands).
type Place struct {
	Column           sallyport.Column
	Table, Kind, How string
}

// VacateBound gives all rows that hold a value in its other form the one in which it is about to be written, by one statement. They are locked before they are asked how they
// stand; triggers note what they become. Where one of them does not hold that value in that form nothing changes.
func VacateBound(ctx context.Context, conn Beginning, v BoundVacancy) error {
	if v.Becomes == v.Stood {
		return nil
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		some, err := v.lock(ctx, tx)
		if err != nil || !some {
			return err
		}
		for _, at := range v.Places {
			if is, err := v.all(ctx, tx, at); err != nil || !is {
				return err // it is another value that stands there, and no row is to change
			}
		}
		vacancy := Vacancy{Column: v.Column, Becomes: v.Becomes, Forms: []string{v.Stood}}
		for _, at := range v.Places {
			vacancy.Bound = append(vacancy.Bound, Bound{at.Column, at.Kind})
		}
		sql, args := vacancy.sql()
		_, err = tx.Exec(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...) // literals of no type become the column's
		return err
	})
	if refusedBy(withoutValues(err), "23505") { // both stand there, and the index knows the one
		return nil
	}
	if err != nil {
		return fmt.Errorf("settle a value of %s: %w", v.Column, withoutValues(err))
	}
	return nil
}

// lock locks the rows that hold the other form, and tells whether there are some.
func (v *BoundVacancy) lock(ctx context.Context, tx pgx.Tx) (some bool, err error) {
	for _, at := range v.Places {
		tag, err := tx.Exec(ctx, "SELECT"+at.holding()+" FOR NO KEY UPDATE", v.Stood)
		if err != nil {
			return false, err
		}
		some = some || tag.RowsAffected() > 0
	}
	return some, nil
}

// all tells whether all of those rows in one place hold the value.
func (v *BoundVacancy) all(ctx context.Context, tx pgx.Tx, at Place) (is bool, err error) {
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT DISTINCT t0.%s::text, coalesce(%s, '')%s", at.name(), at.How, at.holding()), v.Stood)
	if err != nil {
		return false, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StandingRow])
	return !slices.ContainsFunc(found, func(row StandingRow) bool { return !v.Is(row.Text, row.Stands) }), err
}

func (p Place) name() string { return pgx.Identifier{p.Column.Name}.Sanitize() }

// holding are the rows that hold a text.
func (p Place) holding() string {
	return fmt.Sprintf(" FROM %s t0 WHERE t0.%s = $1::text::%s", p.Table, p.name(), p.Kind)
}
