package serve

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
	"sallyport/config"
	"sallyport/purpose/source"
)

// Bounds of questions.
const (
	feedTimeout  = 30 * time.Second
	mostAskedFor = 10_000 // rows of one question; those behind come with the next one, at once
)

// ask asks another database for what is new, until ctx ends.
func (f *feeding) ask(ctx context.Context, q *config.FeedQuery, last uint64) {
	every, err := q.Pause()
	var pool *pgxpool.Pool
	if err == nil {
		pool, err = f.connect(q) //nolint:contextcheck // a pool outlives the call that makes it
	}
	if err != nil {
		f.trouble(q.Kind, err)
		f.s.log.Error("what another database knows is not read", "kind", q.Kind, "why", err.Error())
		return
	}
	defer pool.Close()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		for more := true; more; {
			last, more, err = f.news(ctx, pool, q, last)
			f.trouble(q.Kind, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (f *feeding) connect(q *config.FeedQuery) (*pgxpool.Pool, error) {
	var password string
	if q.PasswordFile != "" {
		var err error
		if password, err = config.ReadSecretFile(f.s.O.Config.Path(q.PasswordFile)); err != nil {
			return nil, err
		}
	}
	return source.ReadOnly(q.DSN, password, feedTimeout)
}

// news puts on record what a database has beyond a number, and gives the number up to which that is. more: there may be still more.
func (f *feeding) news(ctx context.Context, pool *pgxpool.Pool, q *config.FeedQuery, last uint64) (next uint64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	defer cancel()
	rows, err := pool.Query(ctx, q.Query, pgx.QueryResultFormats{pgx.TextFormatCode}, int64(last)) //nolint:gosec // it was read as one
	if err != nil {
		return last, false, fmt.Errorf("ask for %s: %w", q.Kind, source.Plain(err))
	}
	defer rows.Close()
	if len(rows.FieldDescriptions()) < 2 {
		return last, false, fmt.Errorf("ask for %s: expected a number that grows, and the columns of that kind", q.Kind)
	}
	page, at, n := newFedPage(rows.FieldDescriptions()), last, 0
	for ; n < mostAskedFor && rows.Next(); n++ {
		row := rows.RawValues()
		number, err := strconv.ParseUint(string(row[0]), 10, 63)
		if err != nil || number <= at {
			return last, false, fmt.Errorf("ask for %s: the first column of row %d is no whole number beyond the one before; expected WHERE NUMBER > $1 ORDER BY NUMBER", q.Kind, n+1)
		}
		line, err := page.line(row)
		if err != nil || len(page.head)+len(line) > mostFed { // no entry of the record holds it
			f.note(q.Kind, func(t *feedState) { t.bad++ })
			at = number
			continue
		}
		if page.Len()+len(line) > mostFed {
			if err := f.give(q.Kind, page, at); err != nil {
				return last, false, err
			}
			last = at
		}
		page.Write(line)
		at = number
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return last, false, fmt.Errorf("ask for %s: %w", q.Kind, source.Plain(err))
	}
	if err := f.give(q.Kind, page, at); err != nil {
		return last, false, err
	}
	return at, n == mostAskedFor, nil
}

// give records a page, where something is on it, and begins another.
func (f *feeding) give(kind string, page *fedPage, last uint64) error {
	if page.empty() {
		return nil
	}
	_, err := f.put(querySource, kind, page.Bytes(), sallyport.Order{Position: last})
	page.begin()
	return err
}

// fedPage is rows of a database as the CSV of a file, as many as one entry holds.
type fedPage struct {
	bytes.Buffer
	columns []pgconn.FieldDescription
	head    []byte
}

func newFedPage(columns []pgconn.FieldDescription) *fedPage {
	p := &fedPage{columns: columns[1:]}
	names := make([]string, len(p.columns))
	for i := range p.columns {
		names[i] = p.columns[i].Name
	}
	p.head, _ = csvLine(names) // names cannot fail
	p.begin()
	return p
}

func (p *fedPage) begin() {
	p.Reset()
	p.Write(p.head)
}

func (p *fedPage) empty() bool { return p.Len() == len(p.head) }

// line is a row without its number. A moment is written as files have it; the connection's time zone is UTC.
func (p *fedPage) line(row [][]byte) ([]byte, error) {
	texts := make([]string, len(p.columns))
	for i := range p.columns {
		text := string(row[i+1])
		switch p.columns[i].DataTypeOID {
		case pgtype.TimestamptzOID:
			text = strings.Replace(strings.TrimSuffix(text, "+00"), " ", "T", 1)
			if text != "" {
				text += "Z"
			}
		case pgtype.TimestampOID:
			text = strings.Replace(text, " ", "T", 1)
			if text != "" {
				text += "Z"
			}
		case pgtype.BoolOID:
			text = map[string]string{"t": "true", "f": "false"}[text]
		}
		texts[i] = text
	}
	return csvLine(texts)
}

func csvLine(texts []string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(texts); err != nil {
		return nil, fmt.Errorf("write a line: %w", err)
	}
	w.Flush()
	return b.Bytes(), w.Error()
}
