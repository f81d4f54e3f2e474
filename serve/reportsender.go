package serve

import (
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
)

// What bounds looking customers up by the address that a mail is from: whoever holds the hook's secret must not try addresses out.
const (
	mostSenders  = 200 // an hour whose address is nobody's
	senderLookup = 5 * time.Second
)

// customerBy is the customer whose address a mail is from. The address is nowhere kept: its tokens are looked for. Anybody can write another's address into
// a mail, so this is no more than what a form says, and the report weighs nothing until the customer was asked.
func (r *reporting) customerBy(ctx context.Context, from string) (string, error) {
	parsed, err := mail.ParseAddress(from)
	if err != nil {
		return "", badReport(http.StatusUnprocessableEntity, "It names neither a customer nor the address that the mail is from.")
	}
	r.s.mu.Lock()
	g := r.s.guard
	r.s.mu.Unlock()
	if g == nil || g.catalog == nil || g.reader == nil {
		return "", &api.Problem{Status: http.StatusServiceUnavailable, Code: "not_ready", Sentence: "The keys are not open yet: send it again, or name the customer."}
	}
	if !r.mayLookUp() {
		return "", badReport(http.StatusTooManyRequests, "Too many mails from addresses of nobody came within an hour: name the customers, or send them later.")
	}
	ctx, cancel := context.WithTimeout(ctx, senderLookup)
	defer cancel()
	found, err := g.customersBy(ctx, parsed.Address)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		r.missed()
		return "", badReport(http.StatusUnprocessableEntity, "The address that the mail is from is that of no customer, or of several: name the customer.")
	}
	return found[0], nil
}

// customersBy are the keys of at most two customers with an e-mail address.
func (g *guard) customersBy(ctx context.Context, address string) (keys []string, err error) {
	conn, err := pgx.ConnectConfig(ctx, g.reader)
	if err != nil {
		return nil, fmt.Errorf("look for a customer: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	customer := g.s.O.Config.Protect.Customer
	named := customer.Named()
	for _, x := range g.catalog.Snapshot().Columns() {
		if x.Column.Schema != named.Schema || x.Column.Table != named.Name || x.Scheme != sallyport.Email {
			continue
		}
		codec, err := g.codecFor(x)
		if err != nil {
			return nil, err
		}
		tokens, err := codec.Searches([]byte(address))
		if err != nil {
			continue // no address that this column could hold
		}
		texts := make([]string, len(tokens))
		for i, tok := range tokens {
			texts[i] = string(tok)
		}
		rows, err := conn.Query(ctx, "SELECT DISTINCT "+pgx.Identifier{customer.Key}.Sanitize()+"::text FROM "+pgx.Identifier{named.Schema, named.Name}.Sanitize()+
			" WHERE "+pgx.Identifier{x.Column.Name}.Sanitize()+" = ANY($1) LIMIT 2", texts)
		if err != nil {
			return nil, fmt.Errorf("look for a customer: %w", err)
		}
		some, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("look for a customer: %w", err)
		}
		keys = append(keys, some...)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// mayLookUp tells whether few enough addresses were nobody's within the hour.
func (r *reporting) mayLookUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if hour := r.s.O.Clock().Truncate(time.Hour); hour != r.hour {
		r.hour, r.misses = hour, 0
	}
	return r.misses < mostSenders
}

func (r *reporting) missed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.misses++
}
