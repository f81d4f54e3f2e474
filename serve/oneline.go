package serve

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Brief is an error's text, in which a connection that was not made is told by its last attempt alone: pgx lists every address, with and
// without TLS, in a line each.
func Brief(err error) string {
	text := err.Error()
	if refused, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		text = strings.Replace(text, refused.Error(), lastAttempt(refused), 1)
	}
	return text
}

// oneLine is brief in one line, for findings.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(Brief(err), func(c rune) bool { return c == '\n' || c == '\r' }), " ")
}

// lastAttempt is what the server said, or why there was none.
func lastAttempt(err *pgconn.ConnectError) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Sprintf("%s (SQLSTATE %s)", answer.Message, answer.Code)
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
