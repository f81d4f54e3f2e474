package protect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// inTheWay are rows whose new text stands in others still.
type inTheWay struct{ list []wayAhead }

type wayAhead struct {
	column   Column
	from, to string
}

func (*inTheWay) Error() string {
	return "what rows become stands in others, which do not go: two rows may have one value"
}

// clear has rows go ahead where something stands in their way, and that with them. The triggers note it as if somebody had written it.
func (t *Turn) clear(ctx context.Context, way *inTheWay) error {
	if t.Beside == nil {
		return way
	}
	for _, w := range way.list {
		if err := t.ahead(w.column).Go(ctx, t.Beside, w.from, w.to); err != nil {
			return err
		}
	}
	return nil
}

func (t *Turn) ahead(c Column) *Ahead {
	return &Ahead{
		Column: c.Column, Table: t.sql(), Kind: "pg_catalog.int4", How: t.stands(c), Patience: "500ms",
		Next: func(text, stands string) (string, bool, error) {
			if stands != "false" {
				return "", false, nil
			}
			made, err := c.Codec.Turn(nil, []byte(text))
			if err == nil && t.Dead != nil && t.Dead(c, text) {
				err = t.List([]sallyport.Digest{c.Codec.ListDigest(made)})
			}
			return string(made), true, err
		},
		Says: func(text string) Announcement {
			return Announcement{Column: c.Column, Value: text, Group: t.Group, Epoch: t.Epoch, Older: t.Epoch - 1, Newer: t.Epoch}
		},
	}
}

// stands is whether a row t0 is of the newer key.
func (t *Turn) stands(c Column) string {
	var own, border []string
	for i, k := range t.key {
		own, border = append(own, "t0."+k.name), append(border, fmt.Sprintf("g.after[%d]::%s", i+1, k.kind))
	}
	return fmt.Sprintf(`coalesce((SELECT w.epoch > 0 FROM sallyport.turning_written w WHERE w.name = %[1]s AND w.key = %[2]s AND pg_catalog.abs(w.epoch) = %[3]d),
		(SELECT g.done OR (%[4]s) <= (%[5]s) FROM sallyport.turning g WHERE g.relation = %[6]s AND g.join_group = %[7]s AND g.epoch = %[3]d), false)::pg_catalog.text`,
		literal(c.Column.String()), keyText("t0.", t.key), t.Epoch, strings.Join(own, ", "), strings.Join(border, ", "), literal(t.Table.String()), literal(t.Group))
}

// standing are those rows of a step whose new text stands in a row still, in a unique column of 32 bits; nil: there are none.
func (t *Turn) standing(ctx context.Context, tx pgx.Tx, rows []turningRow) error {
	way := &inTheWay{}
	for i, c := range t.Columns {
		if c.Codec.Spec().Scheme != sallyport.Int4 {
			continue
		}
		unique, err := t.unique(ctx, tx, c)
		if err != nil {
			return err
		}
		if !unique {
			continue
		}
		from := map[string]string{}
		for _, r := range rows {
			if r.new[i] != nil && *r.new[i] != *r.old[i] {
				from[*r.new[i]] = *r.old[i]
			}
		}
		taken, err := t.taken(ctx, tx, c, slices.Collect(maps.Keys(from)))
		if err != nil {
			return err
		}
		for _, to := range taken {
			way.list = append(way.list, wayAhead{c, from[to], to})
		}
	}
	if len(way.list) > 0 {
		return way
	}
	return nil
}

// taken are those of the texts that stand in a column.
func (t *Turn) taken(ctx context.Context, tx pgx.Tx, c Column, texts []string) ([]string, error) {
	column := pgx.Identifier{c.Column.Name}.Sanitize()
	found, err := tx.Query(ctx, fmt.Sprintf("SELECT DISTINCT t.%[1]s::pg_catalog.text FROM %[2]s AS t WHERE t.%[1]s = ANY ($1::pg_catalog.text[]::pg_catalog.int4[])", column, t.sql()), texts)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowTo[string])
}

const selectUniqueOf = `SELECT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::pg_catalog.int2[])
	WHERE i.indisunique AND i.indrelid = $1::text::regclass AND a.attname = $2)`

func (t *Turn) unique(ctx context.Context, tx pgx.Tx, c Column) (unique bool, err error) {
	return unique, tx.QueryRow(ctx, selectUniqueOf, t.sql(), c.Column.Name).Scan(&unique)
}

// literal is a text in SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// mostWays is how often a step is tried beside which others come into the way. Two rows of one value stay there.
const mostWays = 5

// Step turns the next rows, at most so many. ErrRowsLocked: somebody holds one of them; nothing changed.
func (t *Turn) Step(ctx context.Context, most int) (changed int, done bool, err error) {
	for range mostWays {
		changed, done, err = t.stepOnce(ctx, most)
		way, ok := errors.AsType[*inTheWay](err)
		if !ok {
			break
		}
		if cleared := withoutValues(t.clear(ctx, way)); cleared != nil {
			if err = cleared; refusedBy(err, lockNotAvailable, "40001", "40P01") {
				err = ErrRowsLocked
			}
			break
		}
	}
	if err != nil {
		return 0, false, fmt.Errorf("turn tokens of %s: %w", t.Table, err)
	}
	return changed, done, nil
}
