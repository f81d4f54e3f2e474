package protect

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Mark is what protection leaves in the database: by which record it is protected and how far that record had come when
// somebody last looked. An older copy of the record, or another one, shows by it.
type Mark struct {
	RecordID    string
	Position    uint64
	ProtectedAt time.Time // zero: rows are being moved in, or the run that did so was interrupted
	UpdatedAt   time.Time
	Columns     Set // nil: it was left by a version that did not write them

	// Of Columns, those in which plain values stand beside tokens: on their way in, and on their way out.
	Moving, Leaving []string
}

// markRole is a role whose only use is the salt of its verifier: anybody can see it during a log-in that leads nowhere, so a
// gateway without credentials can tell that a server is marked (Sense).
const markRole = "sallyport_mark"

// saltPrefix stands before the record's id in that salt. A role that does not exist gets a mock salt of 16 bytes.
const saltPrefix = "sallyport:"

// recordIDBytes is the length of a record's id.
const recordIDBytes = 16

const createMark = `
CREATE SCHEMA IF NOT EXISTS sallyport;
CREATE TABLE IF NOT EXISTS sallyport.mark (
    only_row     boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    record_id    text        NOT NULL,
    position     bigint      NOT NULL,
    protected_at timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE sallyport.mark ADD COLUMN IF NOT EXISTS columns jsonb, ADD COLUMN IF NOT EXISTS moving jsonb, ADD COLUMN IF NOT EXISTS leaving jsonb` // later than the table

// Reading is the part of a connection or a pool that ReadMark needs.
type Reading interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Writing is the part of a connection or a pool that Advance needs.
type Writing interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// ReadMark reads the mark of the database that conn is connected to. An unmarked database has none.
func ReadMark(ctx context.Context, conn Reading) (m Mark, found bool, err error) {
	if err := conn.QueryRow(ctx, "SELECT to_regclass('sallyport.mark') IS NOT NULL").Scan(&found); err != nil {
		return Mark{}, false, fmt.Errorf("look for the mark of protection: %w", err)
	}
	if !found {
		return Mark{}, false, nil
	}
	var position int64
	var protected *time.Time
	var columns, moving, leaving []byte
	// Through to_jsonb, since the table that an older version made has no such column.
	err = conn.QueryRow(ctx, "SELECT record_id, position, protected_at, updated_at, to_jsonb(m) ->> 'columns', "+
		"coalesce(to_jsonb(m) ->> 'moving', '[]'), coalesce(to_jsonb(m) ->> 'leaving', '[]') FROM sallyport.mark m").
		Scan(&m.RecordID, &position, &protected, &m.UpdatedAt, &columns, &moving, &leaving)
	if errors.Is(err, pgx.ErrNoRows) {
		return Mark{}, false, nil
	}
	if err != nil {
		return Mark{}, false, fmt.Errorf("read the mark of protection: %w", err)
	}
	if columns != nil {
		if err := json.Unmarshal(columns, &m.Columns); err != nil {
			return Mark{}, false, errors.New("read the mark of protection: somebody changed its list of columns to something that is none")
		}
	}
	if json.Unmarshal(moving, &m.Moving) != nil || json.Unmarshal(leaving, &m.Leaving) != nil {
		return Mark{}, false, errors.New("read the mark of protection: somebody changed its lists of what is moving to something that is none")
	}
	m.Position = uint64(max(0, position))
	if protected != nil {
		m.ProtectedAt = *protected
	}
	return m, true, nil
}

// Advance moves the mark's position forward; it never moves it back. The reader may do this and nothing else to the mark.
func Advance(ctx context.Context, conn Writing, position uint64) error {
	if position > math.MaxInt64 {
		return fmt.Errorf("advance the mark of protection: position %d is out of range", position)
	}
	tag, err := conn.Exec(ctx, "UPDATE sallyport.mark SET position = greatest(position, $1), updated_at = now()", int64(position))
	if err != nil {
		return fmt.Errorf("advance the mark of protection: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return errors.New("advance the mark of protection: the database has none")
	}
	return nil
}

// beginMark marks the database before the first row moves: an interrupted run leaves rows half in tokens, and nobody may
// take those for plain ones.
func beginMark(ctx context.Context, conn *pgx.Conn, m Mark, random io.Reader) error {
	lists, err := m.lists()
	if err != nil {
		return err
	}
	return changingRoles(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, createMark); err != nil {
			return fmt.Errorf("make the mark of protection: %w", err)
		}
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil { // durable before the first row changes
			return fmt.Errorf("make the mark of protection: %w", err)
		}
		_, err := tx.Exec(ctx, `INSERT INTO sallyport.mark (record_id, position, columns, moving, leaving)
			VALUES ($1, $2, $3::text::jsonb, $4::text::jsonb, $5::text::jsonb)
			ON CONFLICT (only_row) DO UPDATE SET position = greatest(mark.position, excluded.position), columns = excluded.columns,
				moving = excluded.moving, leaving = excluded.leaving, protected_at = NULL, updated_at = now()`,
			m.RecordID, int64(m.Position), lists[0], lists[1], lists[2]) //nolint:gosec // Options.check has looked
		if err != nil {
			return fmt.Errorf("make the mark of protection: %w", err)
		}
		return makeMarkRole(ctx, tx, m.RecordID, random)
	})
}

// lists are columns, moving and leaving as JSON.
func (m *Mark) lists() (out [3]string, err error) {
	for i, list := range []any{m.Columns, append([]string{}, m.Moving...), append([]string{}, m.Leaving...)} {
		text, err := json.Marshal(list)
		if err != nil {
			return out, fmt.Errorf("make the mark of protection: %w", err)
		}
		out[i] = string(text)
	}
	return out, nil
}

// endMark says that all rows are protected. Its commit waits for the disk, and with it for all that was committed before.
func endMark(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil {
			return fmt.Errorf("complete the mark of protection: %w", err)
		}
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS sallyport.ranges"); err != nil {
			return fmt.Errorf("complete the mark of protection: %w", err)
		}
		if _, err := tx.Exec(ctx, "UPDATE sallyport.mark SET protected_at = now(), updated_at = now(), moving = '[]', leaving = '[]'"); err != nil {
			return fmt.Errorf("complete the mark of protection: %w", err)
		}
		return nil
	})
}

// flush waits until everything that was committed is on the server's disk.
func flush(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{"SET LOCAL synchronous_commit = on", "UPDATE sallyport.mark SET updated_at = now()"} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("wait for the server's disk: %w", err)
			}
		}
		return nil
	})
}

// settleMark says that nothing moves any more, and what is protected.
func settleMark(ctx context.Context, conn *pgx.Conn, columns Set) error {
	text, err := json.Marshal(columns)
	if err != nil {
		return fmt.Errorf("complete the mark of protection: %w", err)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{
			"SET LOCAL synchronous_commit = on",
			"UPDATE sallyport.mark SET columns = '" + strings.ReplaceAll(string(text), "'", "''") + "'::jsonb, moving = '[]', leaving = '[]', protected_at = coalesce(protected_at, now()), updated_at = now()",
			"DROP TABLE IF EXISTS sallyport.ranges",
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("complete the mark of protection: %w", err)
			}
		}
		return nil
	})
}

// dropMark removes the mark of a database in which nothing is protected any more. The role that shows it to everybody stays: it
// speaks of the server's other databases too.
func dropMark(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{"SET LOCAL synchronous_commit = on", "DROP TABLE IF EXISTS sallyport.ranges", "DROP TABLE sallyport.mark"} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("remove the mark of protection: %w", err)
			}
		}
		return nil
	})
}

// makeMarkRole makes the role that Sense recognises. No password fits its random keys, and no connection is granted to it:
// it may log in only so that servers without passwords answer for it differently than for a role that does not exist.
func makeMarkRole(ctx context.Context, tx pgx.Tx, recordID string, random io.Reader) error {
	id, err := hex.DecodeString(recordID)
	if err != nil || len(id) != recordIDBytes {
		return fmt.Errorf("mark the server: the record's id is not %d bytes in hex", recordIDBytes)
	}
	keys := make([]byte, 64)
	if _, err := io.ReadFull(random, keys); err != nil {
		return fmt.Errorf("mark the server: %w", err)
	}
	secret := formatVerifier(append([]byte(saltPrefix), id...), keys[:32], keys[32:])
	return setRole(ctx, tx, markRole, 0, secret, false)
}

// ErrRoleTaken says that a role that protect wants to make is there and may do more than it should.
var ErrRoleTaken = errors.New("a role of that name has other rights already; choose another name")

// changingRoles is a transaction that changes roles. They are the whole server's: where a run on another database changes the same one at that moment, the
// server refuses the later of the two, and it is done once more.
func changingRoles(ctx context.Context, conn *pgx.Conn, do func(tx pgx.Tx) error) (err error) {
	const mostTimes = 60
	for n := range mostTimes {
		err = pgx.BeginFunc(ctx, conn, do)
		if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.Code != "XX000" || !strings.Contains(refused.Message, "concurrently") {
			break
		}
		select { // longer each time, so that who came first gets through
		case <-time.After(time.Duration(n) * roleRest):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// roleRest is what the rest between two attempts grows by.
const roleRest = 5 * time.Millisecond

// setRole makes a log-in without any right, or gives the one that is there the password and the limit. What a role was
// granted before is not taken away, so one that has more is refused; the reader may pass row security. The verifier holds no character
// that needs quoting.
func setRole(ctx context.Context, tx pgx.Tx, name string, limit int, secret string, passes bool) error {
	var powerful bool
	err := tx.QueryRow(ctx, `SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AND NOT $2 OR rolname = current_user
		OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = $1`, name, passes).Scan(&powerful)
	verb := "ALTER"
	if errors.Is(err, pgx.ErrNoRows) {
		verb, err = "CREATE", nil
	}
	if err != nil {
		return fmt.Errorf("look for role %s: %w", name, err)
	}
	if powerful {
		return fmt.Errorf("make role %s: %w", name, ErrRoleTaken)
	}
	if strings.ContainsAny(secret, `'\`) {
		return fmt.Errorf("make role %s: its verifier is malformed", name)
	}
	statement := fmt.Sprintf("%s ROLE %s LOGIN NOINHERIT CONNECTION LIMIT %d PASSWORD '%s'", verb, pgx.Identifier{name}.Sanitize(), limit, secret)
	_, err = tx.Exec(ctx, statement)
	// Since PostgreSQL 16 only its maker and a superuser may change a role.
	if refused := (*pgconn.PgError)(nil); verb == "ALTER" && errors.As(err, &refused) && refused.Code == "42501" {
		return fmt.Errorf("make role %s: %w; somebody else made it: protect as a superuser, or let one GRANT %s TO the owner WITH ADMIN OPTION", name, err, name)
	}
	if err != nil {
		return fmt.Errorf("make role %s: %w", name, err)
	}
	return nil
}
