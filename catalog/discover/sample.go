package discover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// samples reads some rows of each table into db, as long as the time for all lasts.
func (r *reader) samples(ctx context.Context, db *Database) error {
	end := r.limits.Clock().Add(r.limits.Whole)
	for i := range db.Tables {
		t := &db.Tables[i]
		if r.limits.Progress != nil {
			r.limits.Progress(i, len(db.Tables), t.String())
		}
		switch {
		case t.Note != "":
		case r.limits.Clock().After(end):
			t.Note = "the time for samples had run out; judged by names alone"
		case r.bytes > r.limits.Bytes:
			t.Note = "the room for samples was used up; judged by names alone"
		default:
			if err := r.sampleOrNote(ctx, t); err != nil {
				return err
			}
		}
	}
	if r.limits.Progress != nil {
		r.limits.Progress(len(db.Tables), len(db.Tables), "")
	}
	return nil
}

// sampleOrNote reads a sample; a smaller one where the server takes too long. What the server refuses is noted, not fatal.
func (r *reader) sampleOrNote(ctx context.Context, t *Table) error {
	for rows := r.limits.Rows; ; rows /= 10 {
		err := r.sample(ctx, t, rows)
		server, refused := errors.AsType[*pgconn.PgError](err)
		switch {
		case err == nil:
			return nil
		case !refused || ctx.Err() != nil:
			return fmt.Errorf("read a sample of %s: %w", t, err)
		case server.Code == "57014" && rows >= 20: // query_canceled: the statement's time ran out
			continue
		}
		t.Note = fmt.Sprintf("no sample could be read (SQLSTATE %s); judged by names alone", server.Code)
		for i := range t.Columns {
			t.Columns[i].Values = nil
		}
		return nil
	}
}

// sample reads so many rows in a read-only transaction of its own. Pages are drawn by a fixed seed, so that an unchanged table gives
// the same sample again.
func (r *reader) sample(ctx context.Context, t *Table, rows int) error {
	columns, outputs := []*Column{}, []string{}
	for i := range t.Columns {
		if c := &t.Columns[i]; isReadable(c.Type) || len(c.Choices) > 0 {
			columns = append(columns, c)
			outputs = append(outputs, fmt.Sprintf("left(%s::text, %d)", pgx.Identifier{c.Name}.Sanitize(), maxValue))
		}
	}
	if len(columns) == 0 {
		return nil
	}
	for _, c := range columns {
		c.Values = nil
	}
	t.Sampled = 0
	sql := fmt.Sprintf("SELECT %s FROM %s%s LIMIT %d", strings.Join(outputs, ", "), pgx.Identifier{t.Schema, t.Name}.Sanitize(), t.draw(rows), rows)
	return pgx.BeginTxFunc(ctx, r.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", r.limits.Statement.Milliseconds())); err != nil {
			return err
		}
		result, err := tx.Query(ctx, sql)
		if err != nil {
			return err
		}
		size, err := t.keep(result, columns)
		r.bytes += size
		return err
	})
}

// keep takes rows into the table's columns until their room is used up, and says how much they take.
func (t *Table) keep(rows pgx.Rows, columns []*Column) (size int, err error) {
	values := make([]*string, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		if size > tableBytes {
			return nil // the rest is passed over: to cancel would end the transaction with an error
		}
		t.Sampled++
		for i, v := range values {
			if v != nil && strings.TrimSpace(*v) != "" {
				columns[i].Values = append(columns[i].Values, *v)
				size += len(*v)
			}
		}
		return nil
	})
	return size, err
}

// leastPages is how many pages a sample is spread over, where there are so many: neighbours on a page are often alike.
const leastPages = 60

// draw draws pages with somewhat more rows than wanted, and of narrow tables only some rows of each page. Small tables and those that
// were never counted are read from their beginning.
func (t *Table) draw(wanted int) string {
	if t.Rows < 5*float64(wanted) || t.pages == 0 {
		return ""
	}
	perPage := t.Rows / float64(t.pages)
	pages := math.Max(1.3*float64(wanted)/perPage, leastPages)
	sql := fmt.Sprintf(" TABLESAMPLE SYSTEM (%.8f) REPEATABLE (4711)", math.Min(100, 100*pages/float64(t.pages)))
	if one := int(pages * perPage / (1.3 * float64(wanted))); one > 1 {
		sql += fmt.Sprintf(" WHERE pg_catalog.hashtext(ctid::pg_catalog.text) %% %d = 0", one)
	}
	return sql
}
