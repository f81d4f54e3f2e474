package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

const powerSecret = "a-password-in-clear"

// powerCase is what somebody named for a power does with it. Steps in the same database build on each other.
type powerCase struct {
	power sallyport.Power
	sql   string
	never bool // refused to the named one too
}

func powerCases(n string) []powerCase {
	return []powerCase{
		{sallyport.PowerRole, "CREATE ROLE pw" + n + " LOGIN PASSWORD '" + powerSecret + "'", false},
		{sallyport.PowerRole, "ALTER ROLE pw" + n + " PASSWORD '" + powerSecret + "'", false},
		{sallyport.PowerRole, "ALTER ROLE pw" + n + " SET work_mem = '8MB'", false},
		{sallyport.PowerRole, "ALTER ROLE pw" + n + " SET session_preload_libraries = 'x'", true},
		{sallyport.PowerGrant, "GRANT support_agents TO pw" + n, false},
		{sallyport.PowerGrant, "GRANT SELECT ON support.customers TO pw" + n, false},
		{sallyport.PowerGrant, "REVOKE SELECT ON support.customers FROM pw" + n, false},
		{sallyport.PowerSetRole, "SET ROLE pw" + n, false},
		{sallyport.PowerSetRole, "SELECT set_config('role', 'pw" + n + "', false)", false},
		{"", "RESET ROLE", false},
		{sallyport.PowerRole, "REASSIGN OWNED BY pw" + n + " TO postgres", false},
		{sallyport.PowerRole, "DROP OWNED BY pw" + n, true},
		{sallyport.PowerFunction, "CREATE FUNCTION public.pf" + n + "(a int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN a + 1; END $$", false},
		{sallyport.PowerFunction, "CREATE FUNCTION public.pg" + n + "() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$", false},
		{sallyport.PowerFunction, "CREATE FUNCTION public.ph" + n + "() RETURNS void LANGUAGE sql AS $$ UPDATE support.customers SET notes = 'x' $$", true},
		{sallyport.PowerFunction, "DO $$ BEGIN END $$", true},
		{"", "CREATE TABLE public.pt" + n + " (a int)", false},
		{sallyport.PowerGrant, "CREATE POLICY p ON public.pt" + n + " USING (a > 0)", false},
		{sallyport.PowerGrant, "ALTER POLICY p ON public.pt" + n + " USING (a > 1)", false},
		{sallyport.PowerGrant, "CREATE POLICY q ON public.pt" + n + " USING (query_to_xml('SELECT 1', true, false, '') IS NULL)", true},
		{sallyport.PowerGrant, "ALTER TABLE public.pt" + n + " ENABLE ROW LEVEL SECURITY", false},
		{sallyport.PowerGrant, "ALTER TABLE public.pt" + n + " DISABLE ROW LEVEL SECURITY", false},
		{sallyport.PowerGrant, "DROP POLICY p ON public.pt" + n, false},
		{sallyport.PowerTrigger, "SET session_replication_role = replica", false},
		{"", "RESET session_replication_role", false},
		{sallyport.PowerFunction, "CREATE FUNCTION public.pi" + n + "() RETURNS int LANGUAGE sql SET role = 'postgres' AS 'SELECT 1'", true},
		{sallyport.PowerFunction, "CREATE FUNCTION public.pi" + n + "() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE pg_proc SET prosrc = 'x'; RETURN 1; END $$", true},
		{sallyport.PowerSystem, "SELECT pg_switch_wal()", false},
		{sallyport.PowerTrigger, "CREATE TRIGGER t BEFORE INSERT ON public.pt" + n + " FOR EACH ROW EXECUTE FUNCTION public.pg" + n + "()", false},
		{sallyport.PowerTrigger, "ALTER TABLE public.pt" + n + " DISABLE TRIGGER t", false},
		{sallyport.PowerTrigger, "CREATE TRIGGER t BEFORE INSERT ON support.customers FOR EACH ROW EXECUTE FUNCTION public.pg" + n + "()", true},
		{sallyport.PowerTrigger, "CREATE EVENT TRIGGER e" + n + " ON ddl_command_start EXECUTE FUNCTION public.pg" + n + "()", true},
		{sallyport.PowerTrigger, "DROP TRIGGER t ON public.pt" + n, false},
		{sallyport.PowerRule, "CREATE RULE r AS ON INSERT TO public.pt" + n + " DO NOTHING", true},
		{sallyport.PowerForeign, "CREATE FOREIGN DATA WRAPPER w" + n, true},
		{sallyport.PowerForeign, "SELECT dblink('x', 'y')", true},
		{sallyport.PowerReplication, "CREATE PUBLICATION pp" + n + " FOR TABLE support.customers", false},
		{sallyport.PowerReplication, "DROP PUBLICATION pp" + n, false},
		{sallyport.PowerReplication, "CREATE SUBSCRIPTION s CONNECTION 'password=" + powerSecret + "' PUBLICATION p", true},
		{sallyport.PowerReplication, "SELECT pg_create_physical_replication_slot('slot" + n + "')", false},
		{sallyport.PowerReplication, "SELECT pg_drop_replication_slot('slot" + n + "')", false},
		{sallyport.PowerSystem, "ALTER SYSTEM SET cursor_tuple_fraction = 0.2", false},
		{sallyport.PowerSystem, "ALTER SYSTEM RESET cursor_tuple_fraction", false},
		{sallyport.PowerSystem, "ALTER SYSTEM SET archive_command = 'x'", true},
		{sallyport.PowerDatabase, "ALTER DATABASE postgres SET work_mem = '4MB'", false},
		{sallyport.PowerDatabase, "ALTER DATABASE postgres RESET work_mem", false},
		{sallyport.PowerExtension, "CREATE EXTENSION IF NOT EXISTS plpgsql", false},
		{sallyport.PowerExtension, "LOAD 'auto_explain'", true},
		{sallyport.PowerFile, "COPY public.pt" + n + " TO PROGRAM 'cat'", true},
		{sallyport.PowerFile, "SELECT pg_read_file('x')", true},
		{sallyport.PowerFunction, "DROP FUNCTION public.pf" + n + "(int)", false},
		{sallyport.PowerRole, "DROP ROLE pw" + n, false},
	}
}

// powerFort serves a database in which o1 has every power; as a superuser, so that the server refuses him nothing.
func powerFort(t *testing.T) (f *fort, agent sallyport.Staff) {
	t.Helper()
	extra := "powers: {"
	for _, p := range sallyport.Powers() {
		extra += string(p) + ": [o1], "
	}
	f = newFort(t, strings.TrimSuffix(extra, ", ")+"}\n")
	f.superExec("postgres", "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'o1') THEN CREATE ROLE o1; END IF; END $$; ALTER ROLE o1 LOGIN SUPERUSER PASSWORD 'o1'")
	f.passwords["o1"] = "o1"
	agent, _, _ = f.hasTicket(0)
	return f, agent
}

func TestPowers(t *testing.T) {
	f, agent := powerFort(t)
	admin, other := f.connect("o1"), f.connect(agent)
	n := strings.TrimPrefix(f.database, "support")
	type use struct {
		who     sallyport.Staff
		power   sallyport.Power
		refused bool
	}
	var want []use
	for _, c := range powerCases(n) {
		if c.power != "" {
			e := other.fails(c.sql)
			if e.Code != "SP007" && e.Code != "SP003" || e.Hint == "" || strings.Contains(e.Message, powerSecret) || !c.never && !strings.Contains(e.Hint, "powers."+string(c.power)) {
				t.Errorf("%s: %s %s / %s", c.sql, e.Code, e.Message, e.Hint)
			}
			want = append(want, use{agent, c.power, true})
		}
		if c.never {
			if e := admin.fails(c.sql); e.Code != "SP003" {
				t.Errorf("%s: %s %s", c.sql, e.Code, e.Message)
			}
		} else {
			admin.must(c.sql)
		}
		if c.power != "" {
			want = append(want, use{"o1", c.power, c.never})
		}
	}
	var got []use
	for _, e := range f.events() {
		if e.Kind != sallyport.PowerKind {
			continue
		}
		if e.Statement.Verb == "" || e.Power.Refused != (e.Statement.Refused != "") {
			t.Errorf("an event of a power without verb, or of two minds: %+v", e.Statement)
		}
		got = append(got, use{e.Who.Staff, e.Power.Kinds[0], e.Power.Refused})
	}
	if !slices.Equal(got, want) {
		t.Errorf("on record:\n%v\nwant\n%v", got, want)
	}
	if strings.Contains(f.log.String(), powerSecret) {
		t.Error("a password is in the log")
	}
	f.stop()
	files, err := filepath.Glob(filepath.Join(f.options.Data, "access", "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), powerSecret) || strings.Contains(string(b), "pw"+n) {
			t.Errorf("%s holds a literal or a name of a statement", file)
		}
	}
}

// TestPowerAlone: what may run code is committed before anything is done with it.
func TestPowerAlone(t *testing.T) {
	f, agent := powerFort(t)
	admin := f.connect("o1")
	create := "CREATE FUNCTION public.alone(a int) RETURNS int LANGUAGE sql AS 'SELECT a'"
	for _, sql := range []string{create + "; SELECT 1", "BEGIN; " + create} {
		if e := admin.fails(sql); e.Code != "SP003" {
			t.Errorf("%s: %s", sql, e.Code)
		}
	}
	admin.must("BEGIN")
	if e := admin.fails(create); e.Code != "SP003" || !strings.Contains(e.Message, "outside of a transaction") {
		t.Errorf("in a transaction: %s %s", e.Code, e.Message)
	}
	admin.must("ROLLBACK")
	extended := f.connect("o1", pgx.QueryExecModeExec)
	if e := extended.fails(create); e.Code != "SP003" {
		t.Errorf("by the extended protocol: %s", e.Code)
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec} { // other powers go every way
		if e := f.connect(agent, mode).fails("GRANT SELECT ON support.staff TO " + string(agent)); e.Code != "SP007" {
			t.Errorf("GRANT by an agent: %s", e.Code)
		}
		f.connect("o1", mode).must("GRANT SELECT ON support.staff TO " + string(agent))
	}
	admin.must("PREPARE p AS SELECT set_config('role', 'o1', false)")
	admin.must("EXECUTE p")
	used := map[string]int{}
	for _, e := range f.events() {
		if e.Kind == sallyport.PowerKind && !e.Power.Refused {
			used[e.Statement.Verb]++
		}
	}
	if fmt.Sprint(used) != "map[GRANT:2 PREPARE:1 SELECT:1]" {
		t.Errorf("used and on record: %v", used)
	}
	// A function of a trigger on a protected table, or one that such a function calls, is not replaced by one that makes up values.
	f.superExec(f.database, `CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.later(); RETURN NEW; END $$;
		CREATE TRIGGER stamp BEFORE UPDATE ON support.customers FOR EACH ROW WHEN (false) EXECUTE FUNCTION public.stamp()`)
	for _, sql := range []string{
		"CREATE OR REPLACE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.notes := 'plain'; RETURN NEW; END $$",
		"CREATE FUNCTION public.stamp(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE FUNCTION public.later() RETURNS text LANGUAGE sql AS $$ SELECT 'plain' $$",
		"CREATE FUNCTION public.count(a text) RETURNS text LANGUAGE sql AS $$ SELECT a $$",
	} {
		if e := admin.fails(sql); e.Code != "SP003" || !strings.Contains(e.Message, "may not have the name") {
			t.Errorf("%s: %s %s", sql, e.Code, e.Message)
		}
	}
	admin.must(create)
	if got := admin.one("SELECT public.alone(7)"); got != "7" {
		t.Errorf("a new function gives %s", got)
	}
	// A start-up packet sets a role as well.
	for _, param := range [][2]string{{"role", "svc_router"}, {"options", "-c role=svc_router"}, {"options", "--ROLE=svc_router"}} {
		config, err := pgx.ParseConfig(f.dsn(agent))
		if err != nil {
			t.Fatal(err)
		}
		config.RuntimeParams[param[0]] = param[1]
		_, err = pgx.ConnectConfig(t.Context(), config)
		answer := (*pgconn.PgError)(nil)
		if !errors.As(err, &answer) || answer.Code != "SP007" {
			t.Errorf("%v: %v", param, err)
		}
	}
}
