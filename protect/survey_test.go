package protect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/protect"
	"sallyport/token"
)

// surveyTables are tables that nothing stands against.
const surveyTables = `
CREATE SCHEMA app;
CREATE TABLE app.people (id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, phone text, born date, notes text, plan text DEFAULT 'basic');
INSERT INTO app.people SELECT n, 'Some Body ' || n, 'somebody' || n || '@mail.example', '+491511234' || 5000 + n, date '1970-01-01' + n, 'a note about ' || n FROM generate_series(1, 60) n;
CREATE TABLE app.orders (id int PRIMARY KEY, person int REFERENCES app.people, buyer text);
INSERT INTO app.orders SELECT id, id, email FROM app.people;
CREATE VIEW app.open AS SELECT id, email, plan FROM app.people;
CREATE INDEX ON app.people (email, plan);
ALTER TABLE app.people ADD CONSTRAINT fine CHECK (length(phone) < 20), ADD CONSTRAINT set CHECK (email IS NOT NULL);
`

func surveyColumns(t *testing.T) []protect.Column {
	t.Helper()
	ring := newRing(t, 1)
	return []protect.Column{
		newColumn(t, ring, column("app.people.name"), sallyport.Name), newColumn(t, ring, column("app.people.email"), sallyport.Email),
		newColumn(t, ring, column("app.people.phone"), sallyport.Phone), newColumn(t, ring, column("app.people.born"), sallyport.Date),
		newColumn(t, ring, column("app.people.notes"), sallyport.Text), newColumn(t, ring, column("app.orders.buyer"), sallyport.Email),
	}
}

// TestSurvey changes the tables in one way after the other. Each is named, what is said to block makes protect refuse or fail, what is not
// lets it through; and where there are statements that help, nothing is left to name once they ran.
func TestSurvey(t *testing.T) {
	for _, c := range []struct {
		name, sql    string
		where, wants string
		kind         protect.ObstacleKind
		blocks       bool
		columns      func([]protect.Column) []protect.Column
	}{
		{name: "nothing", sql: "SELECT"},
		{name: "no such column", sql: "ALTER TABLE app.people RENAME notes TO remarks", where: "app.people.notes", kind: protect.ObstacleMissing, wants: "there is no such column", blocks: true},
		{name: "width", sql: "DROP VIEW app.open; ALTER TABLE app.people ALTER email TYPE varchar(40)", where: "app.people.email", kind: protect.ObstacleWidth, wants: "it holds 40 characters, and a value that fills it has a token of up to 102", blocks: true},
		{name: "width under views", sql: `DROP VIEW app.open; ALTER TABLE app.people ALTER email TYPE varchar(40); CREATE VIEW app.open WITH (security_barrier=true) AS SELECT id, email FROM app.people;
			CREATE VIEW app."Deep one" AS SELECT email AS loud FROM app.open WHERE id > 0; GRANT SELECT ON app."Deep one" TO PUBLIC`, where: "app.people.email", kind: protect.ObstacleWidth, wants: "it holds 40", blocks: true},
		{name: "type", sql: "ALTER TABLE app.people ALTER phone TYPE char(30)", where: "app.people.phone", kind: protect.ObstacleType, wants: "its type is character", blocks: true},
		{name: "domain", sql: `CREATE DOMAIN app.mail AS varchar(60) NOT NULL CHECK (VALUE LIKE '%@%'); CREATE DOMAIN app.work AS app.mail CHECK (VALUE <> ''); DROP VIEW app.open; ALTER TABLE app.people ALTER email TYPE app.work;
			CREATE VIEW app.open AS SELECT id, email FROM app.people`, where: "app.people.email", kind: protect.ObstacleType, wants: "its type is app.work, a domain over character varying", blocks: true},
		{name: "domain over something else", sql: `CREATE DOMAIN app.days AS integer; ALTER TABLE app.people DROP born; ALTER TABLE app.people ADD born app.days`, where: "app.people.born", kind: protect.ObstacleType, wants: "its type is app.days", blocks: true},
		{name: "generated", sql: "ALTER TABLE app.people DROP notes; ALTER TABLE app.people ADD notes text GENERATED ALWAYS AS ('note') STORED", where: "app.people.notes", kind: protect.ObstacleGenerated, wants: "it is generated from other columns", blocks: true},
		{name: "generated from it", sql: "ALTER TABLE app.people ADD domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED", where: "app.people.email", kind: protect.ObstacleGenerated, wants: "the column domain is generated from it"},
		{name: "primary key", sql: "ALTER TABLE app.orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (buyer)", where: "app.orders.buyer", kind: protect.ObstacleKey, wants: "part of the primary key", blocks: true},
		{name: "no primary key", sql: "ALTER TABLE app.orders DROP CONSTRAINT orders_pkey", where: "app.orders", kind: protect.ObstacleKey, wants: "no primary key", blocks: true},
		{name: "foreign key to a plain column", sql: "ALTER TABLE app.orders ADD CONSTRAINT buys FOREIGN KEY (buyer) REFERENCES app.people (email)", where: "app.people.email", kind: protect.ObstacleForeign, wants: "compares it with app.orders.buyer, which is not protected in the same way", blocks: true, columns: without("app.orders.buyer")},
		{name: "foreign key from a plain column", sql: "ALTER TABLE app.orders ADD CONSTRAINT buys FOREIGN KEY (buyer) REFERENCES app.people (email)", where: "app.orders.buyer", kind: protect.ObstacleForeign, wants: "compares it with app.people.email, which is not protected in the same way", blocks: true, columns: without("app.people.email")},
		{name: "foreign key over both", sql: "ALTER TABLE app.orders ADD CONSTRAINT buys FOREIGN KEY (buyer) REFERENCES app.people (email)"},
		{name: "foreign key that was not looked at", sql: "ALTER TABLE app.orders ADD CONSTRAINT buys FOREIGN KEY (buyer) REFERENCES app.people (email) NOT VALID", where: "app.people.email", kind: protect.ObstacleForeign, wants: "the foreign key buys, which compares it with app.orders.buyer, is NOT VALID", blocks: true},
		{name: "unique names", sql: "ALTER TABLE app.people ADD UNIQUE (plan, name)", where: "app.people.name", kind: protect.ObstacleUnique, wants: "makes it unique, and two tokens of the scheme name always differ"},
		{name: "unique emails beside others", sql: "ALTER TABLE app.people ADD UNIQUE (plan, email)"},
		{name: "index over an expression", sql: "CREATE INDEX low ON app.people (lower(email))", where: "app.people.email", kind: protect.ObstacleIndex, wants: "the index app.low is over an expression"},
		{name: "index with a condition", sql: "CREATE INDEX part ON app.people (plan) WHERE phone LIKE '+49%'", where: "app.people.phone", kind: protect.ObstacleIndex, wants: "the index app.part is over an expression or a condition"},
		{name: "index for parts", sql: "CREATE INDEX parts ON app.people (email text_pattern_ops)", where: "app.people.email", kind: protect.ObstacleIndex, wants: "the index app.parts is for parts"},
		{name: "check that refuses", sql: "ALTER TABLE app.people ADD CONSTRAINT german CHECK (phone LIKE '+491%')", where: "app.people.phone", kind: protect.ObstacleCheck, wants: "the check constraint german refuses tokens", blocks: true},
		{name: "check of two columns", sql: "ALTER TABLE app.people ADD CONSTRAINT two CHECK (phone IS NOT NULL OR email IS NOT NULL)", where: "app.people.phone", kind: protect.ObstacleCheck, wants: "reads it beside other columns"},
		{name: "check by a function", sql: `CREATE FUNCTION app.trap(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock(4711); RETURN true; END'; ALTER TABLE app.people ADD CONSTRAINT trapped CHECK (app.trap(email)) NOT VALID`, where: "app.people.email", kind: protect.ObstacleCheck, wants: "the check constraint trapped calls functions of the database"},
		{name: "default of an integer", sql: "ALTER TABLE app.people ADD account bigint DEFAULT 7", where: "app.people.account", kind: protect.ObstacleDefault, wants: "nothing would show that it is no token", blocks: true, columns: withAccount(t)},
		{name: "numbered by itself", sql: "ALTER TABLE app.people ADD account bigint GENERATED ALWAYS AS IDENTITY", where: "app.people.account", kind: protect.ObstacleDefault, wants: "nothing would show that it is no token", blocks: true, columns: withAccount(t)},
		{name: "default", sql: "ALTER TABLE app.people ALTER notes SET DEFAULT 'none'", where: "app.people.notes", kind: protect.ObstacleDefault, wants: "it has a default, which would be written in plain"},
		{name: "trigger on update", sql: spy + "CREATE TRIGGER spy AFTER UPDATE ON app.people FOR EACH ROW EXECUTE FUNCTION app.spy()", where: "app.people", kind: protect.ObstacleTrigger, wants: "its trigger spy runs app.spy, which would see plain values while rows move, and reads a protected column", blocks: true},
		{name: "trigger on insert", sql: spy + "CREATE TRIGGER spy AFTER INSERT ON app.people FOR EACH ROW EXECUTE FUNCTION app.spy()", where: "app.people", kind: protect.ObstacleTrigger, wants: "its trigger spy runs app.spy, and reads a protected column"},
		{name: "disabled trigger", sql: spy + "CREATE TRIGGER spy AFTER UPDATE ON app.people FOR EACH ROW EXECUTE FUNCTION app.spy(); ALTER TABLE app.people DISABLE TRIGGER spy"},
		{name: "rule", sql: "CREATE RULE watch AS ON UPDATE TO app.people DO ALSO NOTIFY changed", where: "app.people", kind: protect.ObstacleRule, wants: "its rule watch", blocks: true},
		{name: "policy", sql: "ALTER TABLE app.people ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON app.people USING (email = current_user)", where: "app.people", kind: protect.ObstaclePolicy, wants: "its policy own compares a protected column"},
		{name: "policy about others", sql: "ALTER TABLE app.people ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON app.people USING (plan = 'basic')"},
		{name: "inheritance", sql: "CREATE TABLE app.more () INHERITS (app.people)", where: "app.people", kind: protect.ObstacleInherit, wants: "the table app.more inherits from it", blocks: true},
		{name: "collation", sql: `CREATE COLLATION app.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); ALTER TABLE app.people ALTER notes TYPE text COLLATE app.loose`, where: "app.people.notes", kind: protect.ObstacleCollation, wants: "takes different texts for equal"},
		{name: "publication", sql: "CREATE PUBLICATION out FOR TABLE app.people", where: "app.people", kind: protect.ObstaclePublication, wants: "the publication out carries it"},
		{
			name: "partition key", sql: `DROP TABLE app.orders; CREATE TABLE app.orders (id int, buyer text, PRIMARY KEY (id, buyer)) PARTITION BY LIST (buyer); CREATE TABLE app.orders_1 PARTITION OF app.orders DEFAULT`,
			where: "app.orders", kind: protect.ObstaclePartition, wants: "it is partitioned by buyer", blocks: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			database := emptyDatabase(t)
			conn := connect(t, cluster.SuperDSN(database))
			exec(t, conn, surveyTables, c.sql)
			columns := surveyColumns(t)
			if c.columns != nil {
				columns = c.columns(columns)
			}
			found := survey(t, database, columns)
			said := false
			for _, o := range found {
				match := o.Where == c.where && o.Kind == c.kind && strings.Contains(o.What, c.wants)
				said = said || match && o.Blocks == c.blocks
				if c.where == "" {
					t.Errorf("%s (%s): %s", o.Where, o.Kind, o.What)
				}
			}
			if c.where != "" && !said {
				t.Fatalf("found %+v; want %s of %s: %s (blocks: %v)", found, c.kind, c.where, c.wants, c.blocks)
			}
			before := views(t, conn)
			if helps := help(t, conn, found); helps {
				if left := survey(t, database, columns); len(left) > 0 {
					t.Errorf("after the statements that help: %+v", left)
				}
				if after := views(t, conn); after != before {
					t.Errorf("views were\n%s\nand are\n%s", before, after)
				}
				found = nil
			}
			conn.Close(t.Context())
			wantAgreement(t, database, columns, found)
		})
	}
}

const spy = `CREATE FUNCTION app.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM length(NEW.email); RETURN NEW; END'; `

func without(name string) func([]protect.Column) []protect.Column {
	return func(columns []protect.Column) (left []protect.Column) {
		for _, c := range columns {
			if c.Column.String() != name {
				left = append(left, c)
			}
		}
		return left
	}
}

func withAccount(t *testing.T) func([]protect.Column) []protect.Column {
	return func(columns []protect.Column) []protect.Column {
		return append(columns, newColumn(t, newRing(t, 1), column("app.people.account"), sallyport.Int8))
	}
}

// help runs the statements that help.
func help(t *testing.T, conn *pgx.Conn, found []protect.Obstacle) (any bool) {
	t.Helper()
	for _, o := range found {
		any = any || len(o.SQL) > 0
		exec(t, conn, o.SQL...)
	}
	return any
}

// wantAgreement: protect refuses or fails where something is said to block, and only there.
func wantAgreement(t *testing.T, database string, columns []protect.Column, found []protect.Obstacle) {
	t.Helper()
	blocks := false
	for _, o := range found {
		blocks = blocks || o.Blocks
	}
	o := options(t, database)
	o.Columns, o.Reader.Tables = columns, nil
	waitAlone(t, database)
	_, err := protect.Run(t.Context(), o)
	if blocks != (err != nil) {
		t.Errorf("protect ends with %v, though the survey says %+v", err, found)
	}
}

// views is what the views of the schema are, with their owners and rights.
func views(t *testing.T, conn *pgx.Conn) (text string) {
	t.Helper()
	err := conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(format('%s %s %s %s %s', c.relname, c.relowner, (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.relacl) x), c.reloptions, pg_get_viewdef(c.oid)), E'\n' ORDER BY c.relname), '')
		FROM pg_class c WHERE relkind = 'v' AND relnamespace = 'app'::regnamespace`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func survey(t *testing.T, database string, columns []protect.Column) []protect.Obstacle {
	t.Helper()
	conn := connect(t, cluster.SuperDSN(database))
	defer conn.Close(t.Context())
	exec(t, conn, "SET search_path = pg_catalog")
	found, err := protect.Survey(t.Context(), conn, columns)
	if err != nil {
		t.Fatal(err)
	}
	var locks int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").Scan(&locks); err != nil || locks > 0 {
		t.Errorf("the survey ran a function of the database: %v", err)
	}
	return found
}

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestSurveyWidths: no value that fits a column of the advised kind has a token that does not, whatever its length.
func TestSurveyWidths(t *testing.T) {
	database := emptyDatabase(t)
	conn := connect(t, cluster.SuperDSN(database))
	ring := newRing(t, 1)
	for _, scheme := range []sallyport.Scheme{sallyport.Email, sallyport.Name, sallyport.Text, sallyport.Phone} {
		for _, width := range []int{16, 20, 50, 100, 254, 400} {
			table := fmt.Sprintf("t_%s_%d", scheme, width)
			exec(t, conn, fmt.Sprintf("CREATE TABLE public.%s (id int PRIMARY KEY, v varchar(%d))", table, width))
			at := sallyport.Column{Schema: "public", Table: table, Name: "v"}
			codec, err := ring.Codec(token.Spec{Column: at, Scheme: scheme})
			if err != nil {
				t.Fatal(err)
			}
			longest := 0
			for n := 1; n <= width; n++ {
				value := strings.Repeat("a", n)
				if scheme == sallyport.Email {
					value = strings.Repeat("a", max(1, n-2)) + "@b"
				}
				if scheme == sallyport.Phone {
					value = "+49151" + strings.Repeat("1", min(n, 7))
				}
				if tok, err := codec.Tokenise(nil, []byte(value), strings.NewReader(strings.Repeat("r", 64))); err == nil {
					longest = max(longest, len(tok))
				}
			}
			found := survey(t, database, []protect.Column{{Column: at, Codec: codec}})
			if narrow := len(found) > 0; narrow != (longest > width) {
				t.Errorf("%s in varchar(%d): %+v, the longest token of a value that fits has %d characters", scheme, width, found, longest)
			}
		}
	}
}
