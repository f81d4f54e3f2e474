package catalog

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// maskTables are of a database that nobody changed.
const maskTables = `
CREATE SCHEMA support;
CREATE TABLE support.people (id int PRIMARY KEY, email text UNIQUE, salary int, note text, shout text GENERATED ALWAYS AS (upper(email)) STORED);
CREATE TABLE support.orders (id int, note text);
CREATE TABLE support.heirs (rank int) INHERITS (support.people);
CREATE VIEW support.contacts AS SELECT id, email AS mail, lower(email) AS low, email > 'm' AS late, note FROM support.people;
CREATE VIEW support.figures AS SELECT attname, most_common_vals::text AS most FROM pg_stats;
CREATE FUNCTION support.mail() RETURNS text LANGUAGE sql AS 'SELECT email FROM support.people';
CREATE FUNCTION support.calm() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION support.stats() RETURNS text LANGUAGE sql AS 'SELECT most_common_vals::text FROM pg_stats LIMIT 1';
CREATE FUNCTION support.told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM support.mail(); RETURN NEW; END';
CREATE TRIGGER told AFTER INSERT ON support.orders FOR EACH ROW EXECUTE FUNCTION support.told();
CREATE TABLE support.teams (id int PRIMARY KEY);
CREATE TABLE support.firms (id int PRIMARY KEY);
CREATE TABLE support.towns (id int PRIMARY KEY);
ALTER TABLE support.people ADD team int REFERENCES support.teams ON DELETE SET NULL, ADD town int REFERENCES support.towns;
ALTER TABLE support.teams ADD firm int REFERENCES support.firms ON UPDATE CASCADE;
`

func masks() Config {
	return Config{Masked: map[string]MaskColumn{"support.people.email": {Show: ShowDomain}, "support.people.salary": {}}}
}

// TestMasks traces masked columns and what is made from them; who sees them has a schema without any.
func TestMasks(t *testing.T) {
	super, reader := database(t, maskTables)
	c, err := Open(t.Context(), reader, masks(), FactTables{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	s := c.Snapshot()
	if len(s.Columns()) != 0 || len(s.Masked()) != 2 || !s.Schema.Masks || !s.Schema.OnlyMasks || s.Open.Masks {
		t.Fatalf("%d protected, %d masked", len(s.Columns()), len(s.Masked()))
	}
	for sql, want := range map[string]string{
		"SELECT id, email, salary, note, shout FROM support.people": "- domain none - made", "SELECT email, rank, salary FROM support.heirs": "domain - none",
		"SELECT id, mail, low, late, note FROM support.contacts": "- domain made made -", "SELECT attname, most FROM support.figures": "made made", "SELECT note FROM support.orders": "-",
	} {
		if got := describeMasks(t, super, s, sql); got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
	for name, risky := range map[string]bool{"mail": true, "stats": true, "calm": false, "told": true} {
		if got := s.Schema.Functions[name].Why != ""; got != risky {
			t.Errorf("function %s: risky %t", name, got)
		}
		if s.Open.Functions[name].Why != "" {
			t.Errorf("function %s is risky to whom nothing is masked for", name)
		}
	}
	orders := find(t, s, "orders")
	if orders.Spills == "" || orders.Smuggles != "" {
		t.Errorf("a trigger that reads masked columns: spills %q, smuggles %q", orders.Spills, orders.Smuggles)
	}
	for name, spills := range map[string]bool{"teams": true, "firms": true, "towns": false} {
		if got := find(t, s, name).Spills != ""; got != spills {
			t.Errorf("a foreign key that writes masked columns' rows, of %s: spills %t", name, got)
		}
	}
	for _, r := range s.Open.Relations {
		if r.Masked() || r.Spills != "" {
			t.Errorf("%s is masked to whom nothing is masked for", r.Name)
		}
	}
	run(t, super, "ALTER TABLE support.people RENAME email TO post", "ALTER TABLE support.people RENAME TO folk")
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := describeMasks(t, super, c.Snapshot(), "SELECT post, note FROM support.folk"); got != "domain -" {
		t.Errorf("renamed: got %s", got)
	}
	if len(c.Snapshot().Drift) == 0 {
		t.Error("nothing tells of the renamed column")
	}
}

// describeMasks is what the server's description of a statement means in masks.
func describeMasks(t *testing.T, conn *pgx.Conn, s *Snapshot, sql string) string {
	t.Helper()
	d, err := conn.Prepare(t.Context(), "", sql)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range d.Fields {
		word := "-"
		switch origin, ok := s.Trace(f.TableOID, f.TableAttributeNumber); {
		case !ok:
			word = "?"
		case origin.Masked != nil:
			word = string(origin.Masked.Show)
		case origin.Veiled:
			word = "made"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func TestMaskProblems(t *testing.T) {
	_, reader := database(t, tables, `CREATE VIEW support.seen AS SELECT email FROM support.customers;
		CREATE TABLE support.parent (note text); CREATE TABLE support.child () INHERITS (support.parent);
		CREATE TABLE support.made (a text, b text GENERATED ALWAYS AS (a) STORED);
		CREATE TABLE support.follows (email varchar(160) REFERENCES support.customers (email));`)
	for column, c := range map[string]struct {
		mask MaskColumn
		want string
	}{
		"support.customers.country":    {MaskColumn{}, ""},
		"support.customers.phone":      {MaskColumn{Show: ShowLast4}, ""},
		"support.customers.birth_date": {MaskColumn{Show: ShowFirst}, "mask.columns.support.customers.birth_date.show: the column is of type date"},
		"support.customers.fone":       {MaskColumn{}, `mask.columns.support.customers.fone: the table support.customers has no column "fone"`},
		"support.nobody.email":         {MaskColumn{}, "mask.columns.support.nobody.email: there is no table"},
		"support.seen.email":           {MaskColumn{}, "mask.columns.support.seen.email: support.seen is a view"},
		"support.child.note":           {MaskColumn{}, "mask.columns.support.child.note: support.child is a part of support.parent"},
		"support.made.b":               {MaskColumn{}, "mask.columns.support.made.b: the column is generated"},
		"support.customers.email":      {MaskColumn{}, "mask.columns.support.customers.email: support.follows.email holds the same values"},
		"customers.email":              {MaskColumn{}, "mask.columns.customers.email: expected schema.table.column"},
		"support.customers.notes":      {MaskColumn{Show: "half"}, `mask.columns.support.customers.notes.show: there is no way to show "half"`},
	} {
		_, err := Open(t.Context(), reader, Config{Masked: map[string]MaskColumn{column: c.mask}}, FactTables{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", column, got, c.want)
		}
	}
	both := config()
	both.Masked = map[string]MaskColumn{"support.customers.email": {}}
	if problems := both.Check(); len(problems) != 1 || !strings.Contains(problems[0].Text, "the column is protected") {
		t.Errorf("protected and masked at once: %v", problems)
	}
}
