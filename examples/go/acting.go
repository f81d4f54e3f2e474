// Package acting is an example: an application in Go, with pgx, that reads for its users through Sallyport. Copy what you need.
//
// The application has one role in the database and a pool of connections. Who is logged in at the application has an assertion, a signed
// token of the identity provider's or one that the application signs itself; each transaction that is his takes one of its own.
package acting

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Beginner is a pool or a connection of pgx.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// For works in one transaction for a person and for a reason, such as ticket:4711. Whatever ends the transaction ends both.
func For(ctx context.Context, db Beginner, assertion, purpose string, work func(pgx.Tx) error) (err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
	}()
	// SET takes no parameters. Sent as plain text no prepared statement is kept of it: each assertion is good once.
	set := "SET LOCAL sallyport.actor = " + quote(assertion) + "; SET LOCAL sallyport.purpose = " + quote(purpose)
	if _, err := tx.Exec(ctx, set, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err // never go on without: Sallyport has failed the transaction
	}
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Comment puts both at the end of one statement instead, in the form of sqlcommenter: for statements without a transaction around them.
// Use it with pgx.QueryExecModeExec or pgx.QueryExecModeSimpleProtocol, which keep no prepared statement under each new text.
func Comment(sql, assertion, purpose string) string {
	return sql + " /*sallyport_actor='" + url.PathEscape(assertion) + "',sallyport_purpose='" + url.PathEscape(purpose) + "'*/"
}
