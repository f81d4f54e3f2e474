// Package vault keeps the values that a scheme has no token for (a telephone number of 15 digits, an address that is too long), where a
// column says `overflow: vault`: each gets a random token, and stands sealed beside it in the table sallyport.vault of the protected
// database, under a keyed digest by which equal values are found again.
//
// It refuses to decrypt what it does not find there, to believe what it finds without opening it, and to hand out a token that is not
// committed. Only the gateway's own role may read the table; who copies its rows has nothing without the keys.
// Its invariant: a token stands for one value for ever, and equal values of a scheme and join group have one token.
package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport/token"
)

// Create makes the table; the owner of the schema sallyport runs it.
const Create = `CREATE TABLE IF NOT EXISTS sallyport.vault (
	token   text PRIMARY KEY,
	key     bytea NOT NULL UNIQUE,
	sealed  bytea NOT NULL,
	made_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sallyport.vault IS 'Values that no token can stand for, sealed. Without these rows their tokens stand for nothing: keep them with every backup.'`

// Rights are what the gateway's role needs on the table.
const Rights = "SELECT, INSERT ON sallyport.vault"

// Vault is the table as the gateway uses it. It is safe for use by several goroutines.
type Vault struct {
	pool    asker
	close   func()
	random  io.Reader
	timeout time.Duration // of one look into the table
	one     sync.Locker   // held while the connection is used, where there is but one

	mu    sync.Mutex // guards known
	known map[string][]byte
}

// asker is a pool or a connection.
type asker interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// shared is the lock of a pool: none is needed.
type shared struct{}

func (shared) Lock()   {}
func (shared) Unlock() {}

const (
	// servedTimeout bounds one look into the table while somebody waits for an answer, movedTimeout where rows move.
	servedTimeout, movedTimeout = 3 * time.Second, time.Minute
	// mostKnown is how many sealed values are remembered, so that a result that repeats one asks once. None ever changes.
	mostKnown = 4096
	// attempts at a random token that is free; a second one is rare, as a telephone number has 10^12 of them.
	attempts = 8
)

// Open prepares connections of the gateway's own role; they are made when they are needed. random MUST be safe for use by several
// goroutines.
func Open(config *pgx.ConnConfig, random io.Reader) (*Vault, error) {
	pool, err := pgxpool.ParseConfig(config.ConnString())
	if err != nil {
		return nil, errors.New("open the vault: the database's address is malformed") // the error might quote the password
	}
	pool.ConnConfig = config.Copy()
	if pool.ConnConfig.RuntimeParams == nil {
		pool.ConnConfig.RuntimeParams = map[string]string{}
	}
	maps.Copy(pool.ConnConfig.RuntimeParams, map[string]string{
		"application_name": "sallyport vault", "search_path": "", "synchronous_commit": "on", "statement_timeout": "3000", "lock_timeout": "3000",
	})
	pool.MaxConns, pool.MinConns = 2, 0
	opened, err := pgxpool.NewWithConfig(context.Background(), pool)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", quiet(err))
	}
	return &Vault{pool: opened, close: opened.Close, random: random, timeout: servedTimeout, one: shared{}, known: map[string][]byte{}}, nil
}

// Over uses one connection, which MUST NOT be in a transaction and stays the caller's.
func Over(conn *pgx.Conn, random io.Reader) *Vault {
	return &Vault{pool: conn, close: func() {}, random: random, timeout: movedTimeout, one: &sync.Mutex{}, known: map[string][]byte{}}
}

// Close ends the connections; it waits for those in use.
func (v *Vault) Close() { v.close() }

// Ready says what is missing.
func (v *Vault) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	var ready bool
	const look = `SELECT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass('sallyport.vault'), 'SELECT')
		AND pg_catalog.has_table_privilege(pg_catalog.to_regclass('sallyport.vault'), 'INSERT'), false)`
	if err := v.pool.QueryRow(ctx, look).Scan(&ready); err != nil {
		return fmt.Errorf("look for the vault: %w", quiet(err))
	}
	if !ready {
		return ErrMissing
	}
	return nil
}

// ErrMissing says that the database has no vault.
var ErrMissing = errors.New("a column says `overflow: vault`, and the database has no table sallyport.vault that the reader may use: run 'sallyport protect' once more, which makes it")

// Keep gives the token of a value, which it keeps first if it is new. The row is committed when Keep returns, whatever becomes of the
// statement that the token is for: one that is rolled back may leave a row that nothing uses. canonical is the value as it will come back.
func (v *Vault) Keep(ctx context.Context, o *token.Overflow, value []byte) (tok, canonical []byte, err error) {
	if canonical, err = o.Canonical(nil, value); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	v.one.Lock()
	defer v.one.Unlock()
	for range attempts {
		if tok, err = v.find(ctx, o, canonical); tok != nil || err != nil {
			return tok, canonical, err
		}
		if err = v.insert(ctx, o, canonical); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, errors.New("keep a value in the vault: no free token was found")
}

// insert tries one random token. Where somebody keeps the same value at the same moment, or the token is taken, nothing happens.
func (v *Vault) insert(ctx context.Context, o *token.Overflow, canonical []byte) error {
	tok, err := o.New(nil, v.random)
	if err != nil {
		return err
	}
	sealed, err := o.Seal(nil, tok, canonical, v.random)
	if err != nil {
		return err
	}
	key := o.Key(canonical)
	if _, err := v.pool.Exec(ctx, "INSERT INTO sallyport.vault (token, key, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", string(tok), key[:], sealed); err != nil {
		return fmt.Errorf("keep a value in the vault: %w", quiet(err))
	}
	return nil
}

// Find gives the token of a value that is kept. Of one that is not it gives a token that nothing has, so that a search finds nothing.
func (v *Vault) Find(ctx context.Context, o *token.Overflow, value []byte) (tok, canonical []byte, err error) {
	if canonical, err = o.Canonical(nil, value); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	v.one.Lock()
	defer v.one.Unlock()
	if tok, err = v.find(ctx, o, canonical); tok != nil || err != nil {
		return tok, canonical, err
	}
	tok, err = o.Absent(nil, v.random)
	return tok, canonical, err
}

// find looks a value up by its key; nil: it is not kept. The row is believed only if it opens to that very value.
func (v *Vault) find(ctx context.Context, o *token.Overflow, canonical []byte) ([]byte, error) {
	key := o.Key(canonical)
	var tok string
	var sealed []byte
	err := v.pool.QueryRow(ctx, "SELECT token, sealed FROM sallyport.vault WHERE key = $1", key[:]).Scan(&tok, &sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look into the vault: %w", quiet(err))
	}
	opened, err := o.Open(nil, []byte(tok), sealed)
	if err != nil || !bytes.Equal(opened, canonical) {
		return nil, errors.New("look into the vault: a row of it was altered")
	}
	return []byte(tok), nil
}

// Reveal appends the value that a token stands for. The table is asked before anything is decrypted: what is not in it is
// token.ErrNotToken.
func (v *Vault) Reveal(ctx context.Context, o *token.Overflow, dst, tok []byte) ([]byte, error) {
	v.mu.Lock()
	sealed, known := v.known[string(tok)]
	v.mu.Unlock()
	if !known {
		ctx, cancel := context.WithTimeout(ctx, v.timeout)
		defer cancel()
		v.one.Lock()
		err := v.pool.QueryRow(ctx, "SELECT sealed FROM sallyport.vault WHERE token = $1", string(tok)).Scan(&sealed)
		v.one.Unlock()
		if errors.Is(err, pgx.ErrNoRows) {
			return dst, token.ErrNotToken
		}
		if err != nil {
			return dst, fmt.Errorf("look into the vault: %w", quiet(err))
		}
	}
	out, err := o.Open(dst, tok, sealed)
	if err != nil {
		return dst, err
	}
	if !known {
		v.remember(tok, sealed)
	}
	return out, nil
}

// Forget forgets a sealed value whose row was removed.
func (v *Vault) Forget(tok string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.known, tok)
}

// ForgetAll forgets all sealed values: somebody else removed rows.
func (v *Vault) ForgetAll() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.known)
}

func (v *Vault) remember(tok, sealed []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= mostKnown {
		clear(v.known)
	}
	v.known[string(tok)] = sealed
}

// quiet leaves of a database error what says nothing about values.
func quiet(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("the database refused with SQLSTATE %s", refused.Code)
	}
	return err
}
