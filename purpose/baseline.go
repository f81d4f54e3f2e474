package purpose

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/catalog"
)

const (
	baselineBatch = 1000 // facts in one event
	// A contact may come up to contactBefore ahead of the ticket that it supports; twice that leaves room for a slow switch.
	baselineContacts = 2 * contactBefore
)

// Baseline emits what stands in the database when protection begins: every open ticket and the contacts of the last 48 hours, in
// batches that the caller writes to the access stream as events of kind FactKind with the note BaselineNote and nobody in Who. It
// streams one committed state in constant memory, whatever the size of the tables. emit MUST NOT keep the slice.
func Baseline(ctx context.Context, conn *pgx.Conn, config Config, snapshot *catalog.Snapshot, emit func([]sallyport.Fact) error) error {
	q, err := makeQueries(snapshot, &config)
	if err != nil {
		return err
	}
	if q.tickets == "" {
		return nil
	}
	// One snapshot for both tables; a slow disk under emit must not run into somebody's time-out.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("read the baseline: %w", plain(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0; SET LOCAL search_path = ''"); err != nil {
		return fmt.Errorf("read the baseline: %w", plain(err))
	}
	out := &baselineWriter{emit: emit}
	if err := out.stream(ctx, tx, ticketFactOf, q.open, config.Ticket.Open); err != nil {
		return err
	}
	if q.recentContacts != "" {
		if err := out.stream(ctx, tx, q.contactFactOf, q.recentContacts); err != nil {
			return err
		}
	}
	return out.flush()
}

// baselineWriter gathers facts and emits them in batches.
type baselineWriter struct {
	emit  func([]sallyport.Fact) error
	facts []sallyport.Fact
}

// stream reads the rows of one query as they come.
func (w *baselineWriter) stream(ctx context.Context, tx pgx.Tx, fact func([][]byte) (sallyport.Fact, bool), sql string, params ...any) error {
	rows, err := tx.Query(ctx, sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, params...)...)
	if err != nil {
		return fmt.Errorf("read the baseline: %w", plain(err))
	}
	defer rows.Close()
	for rows.Next() {
		f, ok := fact(rows.RawValues())
		if !ok {
			continue
		}
		w.facts = append(w.facts, f)
		if len(w.facts) == baselineBatch {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the baseline: %w", plain(err))
	}
	return nil
}

func (w *baselineWriter) flush() error {
	if len(w.facts) == 0 {
		return nil
	}
	if err := w.emit(w.facts); err != nil {
		return fmt.Errorf("write the baseline: %w", err)
	}
	clear(w.facts)
	w.facts = w.facts[:0]
	return nil
}

// ticketFactOf makes the fact of a row of queries.tickets. The query asked for open ones.
func ticketFactOf(f [][]byte) (sallyport.Fact, bool) {
	return sallyport.Fact{
		Table: TicketTable, ID: string(f[0]), Customer: sallyport.Subject(f[1]), Assignee: string(f[2]), Open: true,
		Wrote: []string{wroteCustomer, wroteAssignee, wroteState},
	}, len(f[0]) > 0
}

func (q *queries) contactFactOf(f [][]byte) (sallyport.Fact, bool) {
	at, err := strconv.ParseInt(string(f[5]), 10, 64)
	return sallyport.Fact{
		Table: ContactTable, ID: string(f[0]), Customer: sallyport.Subject(f[1]), Ticket: string(f[2]), Assignee: string(f[3]),
		Incoming: slices.Contains(q.config.Contact.Incoming, string(f[4])), At: time.UnixMicro(at).UTC(),
		Wrote: []string{wroteCustomer, wroteAssignee, wroteState},
	}, err == nil && len(f[0]) > 0
}
