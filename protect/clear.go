package protect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// crowded tells whether the new text of one value may be the older one of another, and a unique index holds the two apart: by chance in 32 bits, and in more where
// somebody wrote a token, which he had read, as the value of another row.
func (c *column) crowded() bool { return c.formless && c.unique && c.bond == nil }

// narrow tells whether chance does it.
func (c *column) narrow() bool {
	return c.crowded() && c.codec.Spec().Scheme == sallyport.Int4
}

// mostClearings is how often somebody may come into the way of a range: beside two rows of one value nobody else goes on doing so.
const mostClearings = 5

// clearing moves a range once nothing stands where its rows will. Where chance puts nothing there it is looked for only when the index has said so.
func (r *run) clearing(move func(ctx context.Context, conn *pgconn.PgConn, p piece) error) func(context.Context, *pgconn.PgConn, piece) error {
	return func(ctx context.Context, conn *pgconn.PgConn, p piece) (err error) {
		if p.done && r.Live != nil {
			return nil
		}
		look := slices.ContainsFunc(p.t.columns, (*column).narrow)
		for range mostClearings {
			if look {
				if err = r.clear(ctx, conn, p); err != nil {
					return err
				}
			}
			look = true
			if err = move(ctx, conn, p); !refusedBy(err, "23505") {
				return err
			}
		}
		return err
	}
}

// clear has those rows of a range go ahead where something stands in their way, and that with them. Each is noted as if somebody had written it.
func (r *run) clear(ctx context.Context, conn *pgconn.PgConn, p piece) error {
	for i, c := range p.t.columns {
		if !c.crowded() {
			continue
		}
		becomes, err := r.becomes(ctx, conn, p, i)
		if err != nil {
			return err
		}
		taken, err := c.standing(ctx, conn, becomes)
		if err != nil {
			return err
		}
		for _, text := range taken {
			if err := r.goAhead(ctx, c, becomes[text], text); err != nil {
				return err
			}
		}
	}
	return nil
}

// becomes is what each row of a range that has not moved becomes in a column: what it becomes -> what stands there.
func (r *run) becomes(ctx context.Context, conn *pgconn.PgConn, p piece, i int) (map[string]string, error) {
	out, c, exchange := map[string]string{}, p.t.columns[i], r.exchanging(ctx)
	var made []byte
	err := p.each(ctx, conn, func(_, values [][]byte) (err error) {
		if values[i] == nil || p.isToken(i, values) != r.out {
			return nil
		}
		if made, err = exchange(made[:0], c, values[i]); err == nil {
			out[string(made)] = string(values[i])
		}
		return err
	})
	return out, err
}

// standing are those of the texts that stand in the column.
func (c *column) standing(ctx context.Context, conn *pgconn.PgConn, becomes map[string]string) (taken []string, err error) {
	if len(becomes) == 0 {
		return nil, nil
	}
	var texts textArray
	for text := range becomes {
		texts.append([]byte(text))
	}
	found := conn.ExecParams(ctx, fmt.Sprintf("SELECT DISTINCT %[1]s::text FROM %[2]s WHERE %[1]s = ANY ($1::text[]::%[3]s[])", c.sql(), c.table.sql(), c.kind),
		[][]byte{texts.encode()}, []uint32{textArrayOID}, []int16{1}, nil).Read()
	if found.Err != nil {
		return nil, withoutValues(found.Err)
	}
	for _, row := range found.Rows {
		taken = append(taken, string(row[0]))
	}
	return taken, nil
}

// goAhead gives the rows of one text another before their range, beside others at work.
func (r *run) goAhead(ctx context.Context, c *column, from, to string) (err error) {
	r.paceMu.Lock() // main is ours
	defer r.paceMu.Unlock()
	exchange := r.exchanging(ctx)
	a := &Ahead{
		Column: c.Column, Table: c.table.sql(), Kind: c.kind, How: c.stands(), Patience: "500ms",
		Next: func(text, stands string) (string, bool, error) {
			if stands != fmt.Sprint(r.out) {
				return "", false, nil
			}
			next, err := exchange(nil, c, []byte(text))
			return string(next), true, err
		},
		Says: func(text string) Announcement { return Announcement{Column: c.Column, Value: text, Tokens: !r.out} },
	}
	for try := range mostRetries {
		if err = a.Go(ctx, r.main, from, to); !refusedBy(err, lockNotAvailable, "40P01") {
			return err
		}
		if _, err := r.main.Exec(ctx, "SELECT pg_sleep($1)", min(1, 0.01*float64(try))); err != nil {
			return err
		}
	}
	return err
}

// stands is what the database says of a row t0 of the column: 'true', a token, or 'false' (catalog.Stands).
func (c *column) stands() string {
	t := c.table
	return fmt.Sprintf(`coalesce((SELECT w.tokens::text FROM sallyport.written w WHERE w.relation = %[1]d AND w.name = '%[2]s' AND w.key = %[3]s),
		(SELECT g.tokens::text FROM sallyport.ranges g WHERE g.relation = %[1]d AND (g.after IS NULL OR %[4]s) AND (g.up_to IS NULL OR %[5]s)))`,
		t.oid, strings.ReplaceAll(c.Name, "'", "''"), keyText("t0.", t.key), t.besideOf("t0.", ">", "g.after"), t.besideOf("t0.", "<=", "g.up_to"))
}
