package catalog

import (
	"testing"
)

// TestNoted has the database changed in every way that this package reads, and holds what it noted to a look through all of it: Fresh
// leaves nothing for Refresh to find.
func TestNoted(t *testing.T) {
	super, reader := database(t, tables)
	run(t, super, NoteSQL(reader.User), NoteSQL(reader.User))
	c := open(t, reader, config())
	changes := 0
	step := func(sql string, noted bool) {
		t.Helper()
		run(t, super, "SELECT pg_current_xact_id()")
		if changed, err := c.Fresh(t.Context()); err != nil || changed {
			t.Fatalf("before %s: changed is %t, %v", sql, changed, err)
		}
		before := c.known.whole
		run(t, super, sql)
		changed, err := c.Fresh(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if looked := c.known.whole != before; looked != noted {
			t.Errorf("%s: it is %t that all was looked through", sql, looked)
		}
		if changed {
			changes++
		}
		if missed, err := c.Refresh(t.Context()); err != nil || missed {
			t.Errorf("%s: missed, %v", sql, err)
		}
	}
	for _, sql := range []string{
		"CREATE SCHEMA other", "ALTER SCHEMA other RENAME TO others", "CREATE TABLE others.a (id int PRIMARY KEY, email text DEFAULT 'x')",
		"ALTER TABLE others.a ADD COLUMN b text", "ALTER TABLE others.a RENAME COLUMN b TO c", "ALTER TABLE others.a DROP COLUMN c", "ALTER TABLE others.a ALTER COLUMN email DROP DEFAULT",
		"ALTER TABLE others.a ALTER COLUMN email TYPE varchar(100)", "ALTER TABLE others.a ADD CONSTRAINT k CHECK (id > 0)", "ALTER TABLE others.a DROP CONSTRAINT k",
		"CREATE VIEW others.v AS SELECT id, email FROM support.customers", "CREATE OR REPLACE VIEW others.v AS SELECT id, full_name::varchar(160) AS email FROM support.customers",
		"ALTER VIEW others.v RENAME COLUMN email TO mail", "CREATE MATERIALIZED VIEW others.m AS SELECT email FROM support.customers", "DROP MATERIALIZED VIEW others.m",
		"SELECT email INTO others.into FROM support.customers", "CREATE TABLE others.like_a (LIKE others.a)", "CREATE TABLE others.child () INHERITS (others.a)", "ALTER TABLE others.child NO INHERIT others.a",
		"CREATE TABLE others.p (id int) PARTITION BY LIST (id)", "CREATE TABLE others.p1 PARTITION OF others.p DEFAULT", "ALTER TABLE others.p DETACH PARTITION others.p1",
		"CREATE FUNCTION others.f(t text) RETURNS text LANGUAGE sql AS 'SELECT t'", "CREATE OR REPLACE FUNCTION others.f(t text) RETURNS text LANGUAGE sql AS 'SELECT email FROM support.customers WHERE email = t'",
		"ALTER FUNCTION others.f(text) RENAME TO g", "CREATE FUNCTION others.tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", "CREATE TRIGGER t BEFORE INSERT ON others.a FOR EACH ROW EXECUTE FUNCTION others.tr()",
		"ALTER TABLE others.a DISABLE TRIGGER t", "ALTER TABLE others.a ENABLE TRIGGER t", "DROP TRIGGER t ON others.a", "CREATE RULE r AS ON INSERT TO others.a DO ALSO DELETE FROM others.like_a", "DROP RULE r ON others.a",
		"CREATE POLICY p ON others.a USING (email <> 'x')", "ALTER POLICY p ON others.a USING (email <> 'y')", "DROP POLICY p ON others.a", "CREATE INDEX i ON others.a (lower(email))", "DROP INDEX others.i",
		"CREATE STATISTICS others.s ON id, email FROM others.a", "DROP STATISTICS others.s", "CREATE TYPE others.kind AS (a text, b int)", "ALTER TYPE others.kind ADD ATTRIBUTE c text", "DROP TYPE others.kind",
		"CREATE DOMAIN others.d AS text CHECK (VALUE <> 'x')", "ALTER DOMAIN others.d DROP CONSTRAINT d_check", "DROP DOMAIN others.d CASCADE",
		"CREATE OPERATOR others.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = textcat)", "DROP OPERATOR others.=== (text, text)", "CREATE AGGREGATE others.agg(text) (SFUNC = textcat, STYPE = text)", "DROP AGGREGATE others.agg(text)",
		"CREATE EXTENSION citext SCHEMA others", "DROP EXTENSION citext", "GRANT SELECT ON others.a TO PUBLIC", "ALTER TABLE others.a OWNER TO CURRENT_USER", "ALTER TABLE others.a SET SCHEMA support", "DROP SCHEMA others CASCADE",
		"DO $$ BEGIN EXECUTE 'CREATE TABLE support.z (id int)'; END $$", "BEGIN; SAVEPOINT a; DROP TABLE support.z; ROLLBACK TO a; DROP TABLE support.z; COMMIT",
		"SET session_replication_role = replica; CREATE TABLE support.z (id int); RESET session_replication_role", "DROP TABLE support.z",
	} {
		step(sql, true)
	}
	if changes < 50 {
		t.Errorf("only %d changes", changes)
	}
	for _, sql := range []string{
		"INSERT INTO support.customers (id, full_name, email, country) VALUES (1, 'a', 'b', 'DE')", "CREATE TEMP TABLE z (id int)", "ALTER TABLE z ADD COLUMN b text", "DROP TABLE z",
		"BEGIN; CREATE TABLE support.z (id int); ROLLBACK", "ANALYZE support.customers", "UPDATE support.customers SET notes = 'x'",
	} {
		step(sql, false)
	}
	// Whoever switches the notes off is found by the look through all of it.
	run(t, super, "ALTER EVENT TRIGGER sallyport_made DISABLE", "CREATE VIEW support.v AS SELECT email FROM support.customers")
	if changed, err := c.Refresh(t.Context()); err != nil || !changed || c.noted {
		t.Errorf("switched off: changed is %t, noted %t, %v", changed, c.noted, err)
	}
	run(t, super, NoteSQL(reader.User))
	if _, err := c.Refresh(t.Context()); err != nil || !c.noted {
		t.Errorf("switched on: noted is %t, %v", c.noted, err)
	}
	run(t, super, "CREATE OR REPLACE FUNCTION sallyport.note_made() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN END'")
	if _, err := c.Refresh(t.Context()); err != nil || c.noted {
		t.Errorf("another function: noted is %t, %v", c.noted, err)
	}
	run(t, super, "DROP SCHEMA sallyport CASCADE")
	if _, err := c.Fresh(t.Context()); err != nil {
		t.Error(err)
	}
	// Numbers that came with a copy of another server's database are nobody's here.
	run(t, super, NoteSQL(reader.User), "INSERT INTO sallyport.ddl VALUES ('9000000000')")
	if _, err := c.Refresh(t.Context()); err != nil || !c.noted {
		t.Fatalf("a copy: noted is %t, %v", c.noted, err)
	}
	step("UPDATE support.customers SET notes = 'y'", false)
}
