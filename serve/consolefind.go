package serve

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// The bounds of a look for a customer.
const (
	findFor   = 5 * time.Second
	mostFound = 2
)

// findCustomer reads whose rows hold one of some tokens, by the reader's own connection.
func (s *Server) findCustomer(ctx context.Context, column string, tokens []string) (list []sallyport.Subject, err error) {
	ctx, cancel := context.WithTimeout(ctx, findFor)
	defer cancel()
	conn, err := s.asReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for a customer: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	customers := s.O.Config.Protect.Customer
	table := pgx.Identifier(strings.Split(customers.Table, ".")).Sanitize()
	name := pgx.Identifier{column[strings.LastIndexByte(column, '.')+1:]}.Sanitize()
	rows, err := conn.Query(ctx, "SELECT "+pgx.Identifier{customers.Key}.Sanitize()+"::pg_catalog.text FROM "+table+" WHERE "+name+"::pg_catalog.text OPERATOR(pg_catalog.=) ANY($1) LIMIT $2", tokens, mostFound)
	if err != nil {
		return nil, fmt.Errorf("look for a customer: %w", err)
	}
	if list, err = pgx.CollectRows(rows, pgx.RowTo[sallyport.Subject]); err != nil {
		return nil, fmt.Errorf("look for a customer: %w", err)
	}
	return list, nil
}
