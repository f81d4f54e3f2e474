package serve

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/config"
	"sallyport/gateway"
	"sallyport/identity"
	"sallyport/internal/upstream"
)

// verifiers reads stored verifiers as the reader, through the function that `sallyport check --sql` prints. Each log-in asks
// anew: a changed password counts at once.
type verifiers struct {
	config *config.Config
	server *upstream.Server

	turn chan struct{} // holds one token: who has it may use conn. Log-ins wait for each other for one look-up by index
	conn *pgx.Conn
}

// newVerifiers is nil where the configuration names no role to read as.
func newVerifiers(c *config.Config, server *upstream.Server) *verifiers {
	if c.Upstream.Reader.User == "" || c.VerifierDatabase() == "" {
		return nil
	}
	return &verifiers{config: c, server: server, turn: make(chan struct{}, 1)}
}

// What a server answers where the function is not there, or not for us.
const (
	undefinedFunction     = "42883"
	undefinedSchema       = "3F000"
	insufficientPrivilege = "42501"
)

// Verifier reads one role's verifier.
func (v *verifiers) Verifier(ctx context.Context, login string) (identity.Verifier, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return identity.Verifier{}, fmt.Errorf("read a role's verifier: %w", ctx.Err())
	}
	text, err := v.ask(ctx, login)
	if v.conn != nil && v.conn.IsClosed() { // a server that was restarted meanwhile
		v.conn = nil
		text, err = v.ask(ctx, login)
	}
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && (answer.Code == undefinedFunction || answer.Code == undefinedSchema || answer.Code == insufficientPrivilege):
		return identity.Verifier{}, gateway.ErrNoVerifiers
	case err != nil:
		return identity.Verifier{}, fmt.Errorf("read a role's verifier: %w", err)
	case text == nil:
		return identity.Verifier{}, identity.ErrUnknown
	case *text == "":
		return identity.Verifier{}, identity.ErrWithheld
	}
	return identity.ParseVerifier(*text)
}

func (v *verifiers) ask(ctx context.Context, login string) (text *string, err error) {
	if v.conn == nil {
		if err := v.connect(ctx); err != nil {
			return nil, err
		}
	}
	err = v.conn.QueryRow(ctx, identity.Lookup, login).Scan(&text)
	return text, err
}

// connect logs in as the reader, who must be nobody special: a superuser would not need the function, and his connection is
// not to be what a fault in this program could be used with.
func (v *verifiers) connect(ctx context.Context) error {
	config, err := reader(v.config, v.server)
	if err != nil {
		return err
	}
	config.Database = v.config.VerifierDatabase()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	if conn.PgConn().ParameterStatus("is_superuser") != "off" {
		_ = conn.Close(ctx) // nothing was asked of it
		return errors.New("upstream.reader is a superuser; expected a role without rights of its own")
	}
	v.conn = conn
	return nil
}

// close gives the connection back, once nobody logs in any more.
func (v *verifiers) close(ctx context.Context) {
	if v == nil {
		return
	}
	if v.conn != nil {
		_ = v.conn.Close(ctx) // only read from
		v.conn = nil
	}
}
