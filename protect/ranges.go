package protect

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// keyRange is a range of primary keys: above after, up to upTo. Nil is open. Where a row gets another
// key meanwhile, a note says what it holds (noted.go), so that ranges cut once serve all passes.
type keyRange struct {
	number      int
	done        bool     // an earlier run moved it
	tokens      bool     // of columns without a form: it holds tokens
	after, upTo [][]byte // text form of each part of the key
	rows        int64
}

// cut divides a table into ranges.
func (r *run) cut(ctx context.Context, t *table) error {
	if t.kept {
		for _, k := range t.ranges {
			t.rows += k.rows
		}
		return nil
	}
	names := make([]string, len(t.key))
	texts := make([]string, len(t.key))
	for i, k := range t.key {
		names[i], texts[i] = k.name, k.name+"::text"
	}
	key := strings.Join(names, ", ")
	numbered := fmt.Sprintf("SELECT %s, row_number() OVER (ORDER BY %s) AS n FROM %s", key, key, t.sql())
	ends := fmt.Sprintf("SELECT %s FROM (%s) AS keys WHERE n %% %d = 0 ORDER BY n", strings.Join(texts, ", "), numbered, r.RangeRows)
	rows, err := r.main.Query(ctx, ends, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		return fmt.Errorf("divide %s into ranges: %w", t, err)
	}
	defer rows.Close()
	var before [][]byte
	for rows.Next() {
		keys := make([][]byte, len(t.key))
		for i, raw := range rows.RawValues() {
			keys[i] = append([]byte{}, raw...)
		}
		t.ranges = append(t.ranges, keyRange{number: len(t.ranges), after: before, upTo: keys, rows: int64(r.RangeRows)})
		before = keys
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("divide %s into ranges: %w", t, err)
	}
	last := keyRange{number: len(t.ranges), after: before}
	where, params := piece{t, last}.bounds()
	keys := make([]any, len(params))
	for i, p := range params {
		keys[i] = string(p)
	}
	if err := r.main.QueryRow(ctx, "SELECT count(*) FROM "+t.sql()+where, keys...).Scan(&last.rows); err != nil {
		return fmt.Errorf("count rows of %s: %w", t, err)
	}
	t.rows = int64(len(t.ranges))*int64(r.RangeRows) + last.rows
	t.ranges = append(t.ranges, last)
	for i := range t.ranges {
		t.ranges[i].tokens = r.out // nothing has moved
	}
	return nil
}

// isToken tells whether the value of column i in a row of the range is a token: by its form, or where it has none by what is noted of it, and else by how
// far the run is.
func (p piece) isToken(i int, values [][]byte) bool {
	c := p.t.columns[i]
	if !c.formless {
		return c.codec.IsToken(values[i])
	}
	if note := p.t.noteOf(i, values); note != nil {
		return note[0] == 't'
	}
	return p.tokens
}

// read asks for the key and the protected columns of a range, all as text, and in the same moment for what is noted of them.
func (p piece) read(ctx context.Context, conn *pgconn.PgConn) *pgconn.ResultReader {
	outputs := append(p.outputs(""), p.t.notes()...)
	where, params := p.bounds()
	return conn.ExecParams(ctx, fmt.Sprintf("SELECT %s FROM %s%s", strings.Join(outputs, ", "), p.t.sql(), where), params, nil, nil, nil)
}

// outputs are the key and the protected columns of a row.
func (p piece) outputs(row string) (outputs []string) {
	for _, k := range p.t.key {
		outputs = append(outputs, row+k.name+"::text")
	}
	for _, c := range p.t.columns {
		outputs = append(outputs, row+c.sql())
	}
	return outputs
}

// bounds is the condition of a range, with its parameters as texts.
func (p piece) bounds() (where string, params [][]byte) {
	names := make([]string, len(p.t.key))
	for i, k := range p.t.key {
		names[i] = k.name
	}
	var conditions []string
	bound := func(operator string, keys [][]byte) {
		if keys == nil {
			return
		}
		values := make([]string, len(keys))
		for i, key := range keys {
			params = append(params, key)
			values[i] = fmt.Sprintf("$%d::text::%s", len(params), p.t.key[i].kind)
		}
		conditions = append(conditions, fmt.Sprintf("(%s) %s (%s)", strings.Join(names, ", "), operator, strings.Join(values, ", ")))
	}
	bound(">", p.after)
	bound("<=", p.upTo)
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	return where, params
}

// each hands the key and the values of every row of the range to fn, and its notes behind the values. They are valid until fn returns; nil is null.
func (p piece) each(ctx context.Context, conn *pgconn.PgConn, fn func(key, values [][]byte) error) error {
	rows := p.read(ctx, conn)
	for rows.NextRow() {
		all := rows.Values()
		if err := fn(all[:len(p.t.key)], all[len(p.t.key):]); err != nil {
			_, _ = rows.Close()
			return err
		}
	}
	if _, err := rows.Close(); err != nil {
		return fmt.Errorf("read rows of %s: %w", p.t, withoutValues(err))
	}
	return nil
}
