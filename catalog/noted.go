package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// NoteSQL has the database note which of its transactions changed its description, so that Fresh need not look through all of it
// whenever anybody has written anything. A superuser runs it once; role is the reader, quoted. It can be run again.
//
// An event trigger fires for whatever is created, changed or dropped, also in a session that replays changes (ALWAYS), and adds the
// transaction's number to sallyport.ddl, which nobody else may write. Temporary objects are left out: they come and go.
// A superuser may switch event triggers off; what he then changes is found by Refresh.
func NoteSQL(role string) string {
	return strings.NewReplacer("ROLE", role, "MADE", noteMade, "DROPPED", noteDropped).Replace(noteSQL)
}

// Note runs NoteSQL where conn is a superuser's. Without it Fresh looks through the whole description.
func Note(ctx context.Context, conn *pgx.Conn, role string) error {
	var super bool
	if err := conn.QueryRow(ctx, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		return fmt.Errorf("have the database note its changes: %w", err)
	}
	if !super {
		return nil
	}
	if _, err := conn.Exec(ctx, NoteSQL(pgx.Identifier{role}.Sanitize())); err != nil {
		return fmt.Errorf("have the database note its changes: %w", err)
	}
	return nil
}

const noteSQL = `-- Run as a superuser, in the protected database: then it notes what changes its tables, views and functions, and Sallyport need not look through all of them.
BEGIN;
CREATE SCHEMA IF NOT EXISTS sallyport;
CREATE TABLE IF NOT EXISTS sallyport.ddl (at xid8 PRIMARY KEY);
DROP EVENT TRIGGER IF EXISTS sallyport_made;
DROP EVENT TRIGGER IF EXISTS sallyport_dropped;
DROP FUNCTION IF EXISTS sallyport.note_made(), sallyport.note_dropped();
CREATE FUNCTION sallyport.note_made() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$MADE$note$;
CREATE FUNCTION sallyport.note_dropped() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$DROPPED$note$;
CREATE EVENT TRIGGER sallyport_made ON ddl_command_end EXECUTE FUNCTION sallyport.note_made();
CREATE EVENT TRIGGER sallyport_dropped ON sql_drop EXECUTE FUNCTION sallyport.note_dropped();
ALTER EVENT TRIGGER sallyport_made ENABLE ALWAYS;
ALTER EVENT TRIGGER sallyport_dropped ENABLE ALWAYS;
REVOKE ALL ON sallyport.ddl FROM PUBLIC;
REVOKE ALL ON FUNCTION sallyport.note_made(), sallyport.note_dropped() FROM PUBLIC;
GRANT USAGE ON SCHEMA sallyport TO ROLE;
GRANT SELECT ON sallyport.ddl TO ROLE;
COMMIT;
`

const noteMade = `
BEGIN
	IF tg_tag NOT LIKE 'DROP %' AND (NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands())
		OR EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp')) THEN
		INSERT INTO sallyport.ddl VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
	END IF;
END`

const noteDropped = `
BEGIN
	IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary) THEN
		INSERT INTO sallyport.ddl VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
	END IF;
END`

// selectNotes tells whether the database notes its changes as NoteSQL has it.
const selectNotes = `SELECT pg_catalog.count(*) = 2 AND coalesce(bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')), false)
	FROM pg_catalog.pg_event_trigger t
	JOIN (VALUES ('sallyport_made', 'ddl_command_end', $1), ('sallyport_dropped', 'sql_drop', $2)) w (name, event, body) ON w.name = t.evtname AND w.event = t.evtevent
	JOIN pg_catalog.pg_proc f ON f.oid = t.evtfoid AND f.prosrc = w.body AND f.prosecdef AND f.proconfig = '{"search_path=pg_catalog, pg_temp"}'
	JOIN pg_catalog.pg_roles o ON o.oid = f.proowner AND o.rolsuper
	JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace AND n.nspname = 'sallyport'
	JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'ddl' AND c.relkind = 'r' AND c.relowner = f.proowner
	WHERE t.evtenabled = 'A' AND t.evttags IS NULL`

// Noted tells whether the database notes its changes, and conn may read what it noted.
func Noted(ctx context.Context, conn *pgx.Conn) (noted bool, err error) { return notes(ctx, conn) }

func notes(ctx context.Context, conn *pgx.Conn) (noted bool, err error) {
	if err := conn.QueryRow(ctx, selectNotes, noteMade, noteDropped).Scan(&noted); err != nil {
		return false, fmt.Errorf("look whether the database notes its changes: %w", err)
	}
	return noted, nil
}

// selectQuiet is the moment, and whether no transaction noted a change that has ended since the moment before. A number that has
// not been given out yet came with a restored copy: no transaction of this server has it.
const selectQuiet = `SELECT pg_catalog.pg_current_snapshot()::text, NOT EXISTS (SELECT FROM sallyport.ddl
	WHERE at >= pg_catalog.pg_snapshot_xmin($1::text::pg_catalog.pg_snapshot) AND at < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
	AND NOT pg_catalog.pg_visible_in_snapshot(at, $1::text::pg_catalog.pg_snapshot))`

// quiet asks whether nothing changed since the known moment, where the database notes what does, and moves the moment on. c.mu is
// held.
func (c *Catalog) quiet(ctx context.Context, conn *pgx.Conn) (quiet bool, err error) {
	var moment string
	if err := conn.QueryRow(ctx, selectQuiet, c.known.moment).Scan(&moment, &quiet); err != nil {
		return false, fmt.Errorf("ask what the database noted: %w", err)
	}
	if quiet {
		c.know(c.known.at(moment))
	}
	return quiet, nil
}
