package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/canary"
	"sallyport/entrance"
)

// ticket makes a ticket about a customer, his own or by the accomplice's hand; empty: that was refused.
func (p *playing) ticket(ctx context.Context, given bool, c *canary.Canary) (id string, err error) {
	t := &p.d.s.O.Config.Purposes.Ticket
	if t.Table == "" {
		return "", nil
	}
	named, _ := tableNamed(t.Table)
	if p.likeness == nil {
		if p.likeness, err = p.d.s.canaries.newLikeness(ctx, named, t.ID); err != nil {
			return "", err
		}
	}
	writer := p.conn
	if given {
		if p.accomplice == nil || p.accomplice.writer.IsClosed() {
			a := p.d.s.O.Config.Drill.Accounts[1]
			conn, err := p.d.s.canaries.connect(ctx, a.Login, a.PasswordFile)
			if err != nil {
				p.d.change(func() { p.report.Refused++ })
				return "", nil //nolint:nilerr // he was found already
			}
			p.accomplice = &planter{writer: conn}
		}
		writer = p.accomplice.writer
	}
	given0 := map[string]string{
		t.Customer: string(c.Subject), t.Assignee: p.d.s.O.Config.Drill.Accounts[0].Login, t.State: t.Open[0], t.OpenedAt: p.d.s.O.Clock().UTC().Format(time.RFC3339),
	}
	columns, values, err := p.likeness.row(&canary.Canary{}, given0)
	if err != nil {
		return "", err
	}
	key, made, err := p.likeness.newKey(ctx, "")
	if err != nil {
		return "", err
	}
	if made {
		columns, values = append(columns, p.likeness.key), append(values, &key)
	}
	p.likeness.writer = writer
	subject, err := p.likeness.insert(ctx, columns, values)
	if err != nil {
		p.d.change(func() { p.report.Refused++ })
		if writer.IsClosed() && !given {
			p.conn = nil
		}
		return "", nil //nolint:nilerr // that is what is measured
	}
	p.tickets = append(p.tickets, string(subject))
	return string(subject), nil
}

// clean takes the theft back: its tickets are closed, and its connections.
func (p *playing) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	p.hangUp(ctx)
	if p.accomplice != nil {
		p.accomplice.close(ctx)
	}
	if p.likeness != nil {
		p.likeness.writer = nil
		p.likeness.close(ctx)
	}
}

// closeTickets closes what was opened, by the log-in that plants: the thief may be locked.
func (p *playing) closeTickets(ctx context.Context) error {
	t := &p.d.s.O.Config.Purposes.Ticket
	if len(p.tickets) == 0 {
		return nil
	}
	named, _ := tableNamed(t.Table)
	table, state := pgx.Identifier{named.Schema, named.Name}.Sanitize(), pgx.Identifier{t.State}.Sanitize()
	reader, err := entrance.Reader(p.d.s.O.Config, p.d.s.Upstream)
	if err != nil {
		return err
	}
	look, err := pgx.ConnectConfig(ctx, reader)
	if err != nil {
		return fmt.Errorf("close the tickets of a drill: %w", err)
	}
	defer func() { _ = look.Close(ctx) }()
	var closed *string
	if err := look.QueryRow(ctx, "SELECT pg_catalog.min("+state+"::text) FROM "+table+" WHERE NOT "+state+"::text = ANY($1)", t.Open).Scan(&closed); err != nil || closed == nil {
		return errors.Join(errors.New("close the tickets of a drill: nobody knows how a closed one is written"), err)
	}
	conn, err := p.d.s.canaries.connect(ctx, p.d.s.O.Config.Canary.Login, p.d.s.O.Config.Canary.PasswordFile)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	ids := make([]string, len(p.tickets))
	for i, id := range p.tickets {
		ids[i] = literal(id)
	}
	// All at once: without an index each would read the whole table.
	if _, err := conn.Exec(ctx, "UPDATE "+table+" SET "+state+" = "+literal(*closed)+" WHERE "+pgx.Identifier{t.ID}.Sanitize()+" IN ("+strings.Join(ids, ", ")+")", pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("close the tickets of a drill: %w", err)
	}
	return nil
}

// tableNamed reads schema.table.
func tableNamed(text string) (t struct{ Schema, Name string }, ok bool) {
	t.Schema, t.Name, ok = strings.Cut(text, ".")
	return t, ok
}
