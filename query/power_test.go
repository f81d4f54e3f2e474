package query

import (
	"fmt"
	"testing"
)

// TestPowersOfStatements says of statements which power they take, whether they must stand alone, and which are refused to everybody.
func TestPowersOfStatements(t *testing.T) {
	schema := refSchema()
	schema.BuiltIn = map[string]struct{}{"set_config": {}, "operator =": {}}
	a := New(schema, Options{Facts: refFacts()})
	const function = "CREATE FUNCTION public.f() RETURNS int LANGUAGE "
	for sql, want := range map[string]string{
		// Row security decides who sees which rows, and its expressions run in the statements of everybody who reads the table.
		"CREATE POLICY p ON staff USING (true)":                                          "[grant] alone",
		"CREATE POLICY p ON staff USING (find_customer(name) IS NULL)":                   "SP001",
		"CREATE POLICY p ON staff WITH CHECK (query_to_xml(name,true,false,'') IS NULL)": "SP003",
		"CREATE POLICY p ON customers USING (true)":                                      "SP003",
		"ALTER POLICY p ON staff USING (true)":                                           "[grant] alone",
		"DROP POLICY p ON staff":                                                         "[grant]",
		"DROP POLICY p ON customers":                                                     "SP003",
		"ALTER TABLE staff ENABLE ROW LEVEL SECURITY":                                    "[grant]",
		"ALTER TABLE staff DISABLE ROW LEVEL SECURITY":                                   "[grant]",
		"ALTER TABLE staff FORCE ROW LEVEL SECURITY":                                     "[grant]",
		"ALTER TABLE staff NO FORCE ROW LEVEL SECURITY":                                  "[grant]",
		"CREATE SCHEMA s AUTHORIZATION x":                                                "[grant]",
		"CREATE SCHEMA s":                                                                "[]",
		// What hides in definitions takes the power that calling it would.
		"CREATE TABLE t (a text DEFAULT set_config('role', 'x', false))":          "[set_role]",
		"CREATE VIEW v AS SELECT set_config('role', 'x', false)":                  "[set_role]",
		"CREATE INDEX ON staff (name) WHERE set_config('role','x',false) IS NULL": "[set_role]",
		"CREATE TABLE t (a bool DEFAULT pg_reload_conf())":                        "[system]",
		"CREATE POLICY p ON staff USING (pg_reload_conf())":                       "[grant system] alone",
		// Triggers sleep by a setting too.
		"SET session_replication_role = replica":                                "[trigger]",
		"SET LOCAL \"Session_Replication_Role\" TO 'replica'":                   "[trigger]",
		"SET session_replication_role = origin":                                 "[]",
		"SET session_replication_role = DEFAULT":                                "[]",
		"RESET session_replication_role":                                        "[]",
		"SELECT set_config('session_replication_role', 'replica', false)":       "[trigger]",
		"SELECT set_config('session_replication_role', name, false) FROM staff": "[trigger]",
		"SELECT set_config('session_replication_role', 'origin', false)":        "[]",
		// Functions of the server that administer it.
		"SELECT pg_switch_wal()": "[system]", "SELECT pg_create_restore_point('x')": "[system]", "SELECT pg_wal_replay_pause()": "[system]", "SELECT pg_stat_reset()": "[system]",
		"SELECT pg_stat_statements_reset()": "[system]", "SELECT pg_import_system_collations('x')": "[system]", "SELECT pg_stat_file('x')": "SP003", "SELECT pg_cancel_backend(1)": "[]",
		"SELECT pg_copy_logical_replication_slot('a','b')": "[replication]", "SELECT pg_replication_slot_advance('x','0/0')": "[replication]",
		"UPDATE pg_settings SET setting = 'x' WHERE name = 'role'": "SP003", "UPDATE pg_catalog.pg_proc SET prosrc = ''": "SP003",
		// A function's settings, and what it may say.
		function + "sql SET role = 'x' AS 'SELECT 1'":                                                                                     "SP003",
		function + "sql SET session_authorization = 'x' AS 'SELECT 1'":                                                                    "SP003",
		function + "sql SET sallyport.purpose = 'x' AS 'SELECT 1'":                                                                        "SP003",
		function + "sql SET session_replication_role = replica AS 'SELECT 1'":                                                             "SP003",
		function + "sql SET standard_conforming_strings = off AS 'SELECT 1'":                                                              "SP003",
		function + "sql SET work_mem = '8MB' AS 'SELECT 1'":                                                                               "[function] alone",
		function + "sql AS $$ SET session_replication_role = replica; SELECT 1 $$":                                                        "SP003",
		function + "plpgsql AS $$ BEGIN UPDATE pg_settings SET setting = 'x' WHERE name = 'ro' || 'le'; END $$":                           "SP003",
		function + "plpgsql AS $$ BEGIN UPDATE pg_catalog.pg_proc SET prosrc = 'x'; END $$":                                               "SP003",
		function + "plpgsql AS $$ BEGIN INSERT INTO \"pg_trigger\" SELECT 1; END $$":                                                      "SP003",
		function + "plpgsql AS $$ BEGIN DELETE FROM pg_depend; END $$":                                                                    "SP003",
		function + "plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); PERFORM pg_notify('x', 'y'); PERFORM pg_catalog.pg_sleep (1); END $$": "[function] alone",
		function + "plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM pg_class); END $$":                                                   "[function] alone",
	} {
		plan, err := a.Analyze(sql, true)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		st := &plan.Statements[0]
		got := fmt.Sprint(st.Powers)
		if st.Alone {
			got += " alone"
		}
		if st.Refusal != nil {
			got = st.Refusal.Code
		}
		if got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
}
