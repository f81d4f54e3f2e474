package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// version says in which state the database's description is. Equal moments are equal descriptions: between them no transaction
// ended. Where moments differ, sums tell.
type version struct {
	moment string // the server's snapshot: which transactions have ended
	whole  string // that at which all of it was last looked through
	sum    string // of all rows
	since  string // the first transaction that may not have ended then
	young  string // the number of rows, and the sum of those that came since
}

// selectVersion has a sum that changes whenever any row that the queries of this package read does: each change of a catalogue row leaves a
// row of another xmin or none. A sum of hashes does not depend on the order of rows, and a row that goes changes it too. Transaction ids
// are read as their distance from the first one, which is the same at any time, and so are numbers at hand; those of initdb have none.
// The moment is that of the same look; on a standby it is not known, because a snapshot does not name there who is under way.
func selectVersion() string {
	return rows() + `
	SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN '' ELSE pg_catalog.pg_current_snapshot()::text END, pg_catalog.count(*) || '.' || coalesce(pg_catalog.sum(` + hash + `), 0),
		pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::xid::text,
		pg_catalog.count(*) || '.' || coalesce(pg_catalog.sum(` + hash + `) FILTER (
			WHERE pg_catalog.age(born) <= pg_catalog.age(pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::xid)), 0) FROM row`
}

// selectYoung says whether anything came or went since selectVersion, without a look at what was there before: what came is
// of a transaction that had not ended then, and what only went is missing in the number. It takes a fifth less. The age of a row
// is read before that of the transaction which it is compared with, so one that is given out meanwhile makes it no older.
func selectYoung() string {
	return rows() + `
	SELECT pg_catalog.pg_current_snapshot()::text,
		pg_catalog.count(*) || '.' || coalesce(pg_catalog.sum(` + hash + `) FILTER (WHERE pg_catalog.age(born) <= pg_catalog.age($1::xid)), 0), pg_catalog.age($1::xid) FROM row`
}

const hash = `pg_catalog.hashint8extended(id::bigint << 16 | part & 65535, CASE pg_catalog.age(born) WHEN 2147483647 THEN 0
	ELSE (pg_catalog.age('3'::xid)::bigint - pg_catalog.age(born)) << 5 END | kind)`

// rows are those of the server's catalogues that the queries of this package read. By its index pg_attribute would take five times as
// long as by a look at all of it, which the cast brings about.
func rows() string {
	return `WITH temporary (list) AS MATERIALIZED (SELECT ARRAY(SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't')), row (kind, id, part, born) AS (
		SELECT 1, oid, 0, xmin FROM pg_catalog.pg_class
			WHERE oid >= ` + firstNormal + ` AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND relpersistence <> 't'
		UNION ALL SELECT 2, oid, 0, xmin FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\_%temp%'
		UNION ALL SELECT 3, attrelid, attnum, xmin FROM pg_catalog.pg_attribute WHERE attrelid::bigint >= ` + firstNormal + ` AND attnum > 0 AND ` + lasting("attrelid") + `
		UNION ALL SELECT 4, oid, 0, xmin FROM pg_catalog.pg_attrdef WHERE ` + lasting("adrelid") + `
		UNION ALL SELECT 5, oid, 0, xmin FROM pg_catalog.pg_rewrite WHERE ev_class >= ` + firstNormal + ` AND ` + lasting("ev_class") + `
		UNION ALL SELECT 6, oid, 0, xmin FROM pg_catalog.pg_trigger WHERE ` + lasting("tgrelid") + `
		UNION ALL SELECT 7, oid, 0, xmin FROM pg_catalog.pg_constraint WHERE ` + lasting("conrelid") + `
		UNION ALL SELECT 8, inhrelid, inhseqno, xmin FROM pg_catalog.pg_inherits WHERE ` + lasting("inhrelid") + `
		UNION ALL SELECT 9, indexrelid, 0, xmin FROM pg_catalog.pg_index WHERE indrelid >= ` + firstNormal + ` AND ` + lasting("indrelid") + `
		UNION ALL SELECT 10, oid, 0, xmin FROM pg_catalog.pg_policy WHERE ` + lasting("polrelid") + `
		UNION ALL SELECT 11, partrelid, 0, xmin FROM pg_catalog.pg_partitioned_table WHERE ` + lasting("partrelid") + `
		UNION ALL SELECT 12, oid, 0, xmin FROM pg_catalog.pg_statistic_ext WHERE ` + lasting("stxrelid") + `
		UNION ALL SELECT 13, oid, 0, xmin FROM pg_catalog.pg_proc
		UNION ALL SELECT 14, oid, 0, xmin FROM pg_catalog.pg_operator WHERE oid >= ` + firstNormal + `
		UNION ALL SELECT 15, oid, 0, xmin FROM pg_catalog.pg_type WHERE oid >= ` + firstNormal + ` AND typtype IN ('b', 'd', 'r', 'm') AND typcategory <> 'A'
		UNION ALL SELECT 16, oid, 0, xmin FROM pg_catalog.pg_cast
		UNION ALL SELECT 17, oid, 0, xmin FROM pg_catalog.pg_opclass WHERE oid >= ` + firstNormal + `
		UNION ALL SELECT 18, oid, 0, xmin FROM pg_catalog.pg_amop WHERE oid >= ` + firstNormal + `
		UNION ALL SELECT 19, oid, 0, xmin FROM pg_catalog.pg_amproc WHERE oid >= ` + firstNormal + `
		UNION ALL SELECT 20, objid, refobjid::bigint::int, xmin FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'
	)`
}

// lasting leaves out what belongs to temporary tables, which come and go.
func lasting(column string) string {
	return column + " <> ALL ((SELECT list FROM temporary)::pg_catalog.oid[])"
}

// readVersion reads the version anew.
func readVersion(ctx context.Context, conn *pgx.Conn) (v version, err error) {
	// An empty search_path makes every name that PostgreSQL prints a full one, and keeps a schema that somebody put in front of
	// pg_catalog out of our own queries.
	if _, err := conn.Exec(ctx, `SET search_path = ''; SET jit = off`); err != nil {
		return v, fmt.Errorf("read the catalogue's version: %w", err)
	}
	if err := conn.QueryRow(ctx, selectVersion()).Scan(&v.moment, &v.sum, &v.since, &v.young); err != nil {
		return v, fmt.Errorf("read the catalogue's version: %w", err)
	}
	v.whole = v.moment
	return v, nil
}

// Fresh makes sure that the snapshot holds everything that was committed before the call. Where nothing was, that takes one short
// question, and of several callers one asks for all who came before it did. On an error nothing is known.
func (c *Catalog) Fresh(ctx context.Context) (changed bool, err error) {
	before := c.begun.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered > before {
		return true, nil // whether it changed meanwhile is not known
	}
	begun := c.begun.Add(1)
	if changed, err = c.ask(ctx, false); err == nil {
		c.answered = begun
	}
	return changed, err
}

// moments are those at which the current snapshot held: at the last question, and when all of it was last looked through.
type moments struct{ moment, whole string }

// Holds says whether the snapshot holds everything that was committed when the server of the catalogue's connection told its moment: the text
// that a call of the function MomentFunction gives, in a transaction that has written nothing. Where it says no, Fresh has to be asked.
func (c *Catalog) Holds(moment []byte) bool {
	known := c.moments.Load()
	return known != nil && len(moment) > 0 && known.moment != "" && (string(moment) == known.moment || string(moment) == known.whole)
}

// know notes what the current snapshot, which MUST be in its place by now, is known to hold. c.mu is held.
func (c *Catalog) know(v version) {
	c.known = v
	c.moments.Store(&moments{moment: v.moment, whole: v.whole})
}

// at is the version at a later moment, at which nothing was another.
func (v version) at(moment string) version {
	v.moment = moment
	return v
}

// ask compares moments. Where they differ it asks what the database noted since, if it does that, or looks for what came since among
// all rows; for whole always the latter. c.mu is held.
func (c *Catalog) ask(ctx context.Context, whole bool) (changed bool, err error) {
	conn, err := c.reader(ctx)
	if err != nil {
		return false, err
	}
	if c.known.moment == "" {
		return c.refresh(ctx, conn)
	}
	moment, err := c.now(ctx, conn.PgConn())
	if err != nil {
		_ = conn.Close(ctx)
		return false, fmt.Errorf("ask for the database's moment: %w", err)
	}
	switch {
	case moment == c.known.whole, moment == c.known.moment && !whole:
		return false, nil
	case c.noted && !whole:
		quiet, err := c.quiet(ctx, conn)
		if err == nil && quiet {
			return false, nil
		}
		c.noted = err == nil // without its notes all rows tell
	}
	var young string
	var transactions int32
	if err := conn.QueryRow(ctx, selectYoung(), c.known.since).Scan(&moment, &young, &transactions); err != nil {
		return false, fmt.Errorf("read what the catalogue got: %w", err)
	}
	if young == c.known.young && 0 <= transactions && transactions < mostTransactions {
		c.known.whole = moment
		c.know(c.known.at(moment))
		c.noted, err = notes(ctx, conn)
		return false, err
	}
	return c.refresh(ctx, conn)
}

// mostTransactions is after how many of them all is read again: half of those that can be told from the ones before.
const mostTransactions = 1 << 30

// now asks for the moment by a function call of the protocol, which the server need not parse or plan, and without a goroutine that
// watches over ctx: every statement that leans on the catalogue waits for this answer. After an error the connection must be closed.
// c.mu is held.
func (c *Catalog) now(ctx context.Context, conn *pgconn.PgConn) (moment string, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Conn().SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() { // the deadline is set, or is about to be
			moment, err = "", ctx.Err()
		}
	}()
	conn.Frontend().Send(&pgproto3.FunctionCall{Function: MomentFunction})
	if err := conn.Frontend().Flush(); err != nil {
		return "", err
	}
	for {
		message, err := conn.ReceiveMessage(context.Background()) //nolint:contextcheck // ctx ends it by the deadline
		if err != nil {
			return "", err
		}
		switch m := message.(type) {
		case *pgproto3.FunctionCallResponse:
			moment = string(m.Result)
		case *pgproto3.ErrorResponse:
			return "", pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			if moment == "" {
				return "", errors.New("the server said nothing")
			}
			return moment, nil
		}
	}
}

// MomentFunction is pg_current_snapshot() (pg_proc.dat, since PostgreSQL 13). The text of its result is the moment.
const MomentFunction = 5061

// refresh reads the version, and the catalogue if it is another one. c.mu is held.
func (c *Catalog) refresh(ctx context.Context, conn *pgx.Conn) (changed bool, err error) {
	previous := c.current.Load()
	v, err := readVersion(ctx, conn)
	if err != nil {
		return false, err
	}
	if c.noted, err = notes(ctx, conn); err != nil {
		return false, err
	}
	if previous != nil && previous.version == v.sum {
		c.know(v)
		return false, nil
	}
	next, v, err := load(ctx, conn, c.config, c.facts, v, previous)
	if err != nil {
		return false, err
	}
	c.current.Store(next)
	c.know(v)
	return true, nil
}
