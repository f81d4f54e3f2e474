package entrance

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

// Verifiers reads stored verifiers as the reader, through the function that `sallyport check --sql` prints. Each log-in asks
// anew: a changed password counts at once.
type Verifiers struct {
	config *config.Config
	server *upstream.Server

	turn chan struct{} // holds one token: who has it may use conn. Log-ins wait for each other for one look-up by index
	conn *pgx.Conn
}

// NewVerifiers is nil where the configuration names no role to read as.
func NewVerifiers(c *config.Config, server *upstream.Server) *Verifiers {
	if c.Upstream.Reader.User == "" || c.VerifierDatabase() == "" {
		return nil
	}
	return &Verifiers{config: c, server: server, turn: make(chan struct{}, 1)}
}

// Verifier reads one role's verifier.
func (v *Verifiers) Verifier(ctx context.Context, login string) (identity.Verifier, error) {
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
	case errors.As(err, &answer) && unreadable(answer.Code):
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

// unreadable tells whether a server says that the function or its schema is not there (42883, 3F000), or not for us (42501).
func unreadable(code string) bool { return code == "42883" || code == "3F000" || code == "42501" }

func (v *Verifiers) ask(ctx context.Context, login string) (text *string, err error) {
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
func (v *Verifiers) connect(ctx context.Context) error {
	config, err := Reader(v.config, v.server)
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

// Close gives the connection back, once nobody logs in any more.
func (v *Verifiers) Close(ctx context.Context) {
	if v == nil {
		return
	}
	if v.conn != nil {
		_ = v.conn.Close(ctx) // only read from
		v.conn = nil
	}
}
