package serve

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/token"
)

// These tests write protected columns by COPY. What the server stores is compared with what a direct connection stores of the
// same bytes, once the gateway has revealed it again.

// newLoadFort is a fort whose customers may lack everything but their id.
func newLoadFort(t *testing.T, extra string, change ...func(*Options)) *fort {
	t.Helper()
	f := newFort(t, extra, change...)
	f.superExec(f.database, `DO $$ DECLARE c text; BEGIN
		FOR c IN SELECT attname FROM pg_attribute WHERE attrelid = 'support.customers'::regclass AND attnotnull AND attnum > 1 LOOP
			EXECUTE format('ALTER TABLE support.customers ALTER COLUMN %I DROP NOT NULL', c);
		END LOOP; END $$`)
	return f
}

// TestClientLoad loads customers in every format and with every option, and reads them back.
func TestClientLoad(t *testing.T) {
	f := newLoadFort(t, rich)
	f.superExec(f.database, "CREATE TABLE public.twin (LIKE support.customers INCLUDING DEFAULTS); GRANT ALL ON public.twin TO PUBLIC")
	list := "(id, full_name, email, phone, birth_date, notes)"
	for _, tt := range []struct{ name, list, options, data string }{
		{"text", list, "", "8000001\tAda Example\tada@load.example\t+155512340001\t1980-02-03\tcalls\\ttwice\\nand \\\\ \\x41\n8000002\t\\N\tb@load.example\t\\N\t\\N\t\\N\n"},
		{"text with a marker", list, "", "8000001\tAda Example\tada@load.example\t+155512340001\t1980-02-03\tcalls\n\\.\nnothing of this\n"},
		{"text without a last end", list, "", "8000001\tAda Example\tada@load.example\t+155512340001\t1980-02-03\tcalls"},
		{"text with CR LF", list, "", "8000001\tAda Example\tada@load.example\t+155512340001\t1980-02-03\tcalls\r\n8000002\t\\N\tb@load.example\t\\N\t\\N\t\\N\r\n"},
		{"text with other signs", list, "WITH (DELIMITER '|', NULL 'none', HEADER)", "a@load.example|b\n8000001|none|ada@load.example|none|1980-02-03|one\\|two\n"},
		{"text with the header's names", list, "WITH (HEADER MATCH)", "id\tfull_name\temail\tphone\tbirth_date\tnotes\n8000001\tAda Example\tada@load.example\t+155512340001\t1980-02-03\tcalls\n"},
		{"csv", list, "WITH (FORMAT csv)", "8000001,Ada Example,ada@load.example,+155512340001,1980-02-03,\"says \"\"no\"\",\nand more\"\n8000002,,b@load.example,,,\n"},
		{"csv by words", list, "CSV HEADER DELIMITER ';' QUOTE '''' ESCAPE E'\\\\' NULL 'nil'", "x;y\n8000001;'Ada \\'A\\' Example';ada@load.example;nil;1980-02-03;'nil'\n"},
		{"csv forced", list, "WITH (FORMAT csv, FORCE_NULL (phone), FORCE_NOT_NULL (notes))", "8000001,Ada,ada@load.example,\"\",1980-02-03,\"x\"\n"},
		{"csv with CR LF", list, "WITH (FORMAT csv)", "8000001,Ada Example,ada@load.example,+155512340001,1980-02-03,\"two\r\nlines\"\r\n"},
		{"where", list, "WHERE id <> 8000002", "8000001\tAda Example\tada@load.example\t+155512340001\t1980-02-03\tcalls\n8000002\t\\N\tb@load.example\t\\N\t\\N\t\\N\n"},
		{"freeze is refused by the server", list, "WITH (FREEZE)", "8000001\tAda\ta@load.example\t\\N\t\\N\t\\N\n"},
		{"too few", list, "", "8000001\tAda\n"},
		{"too many", list, "", "8000001\tAda\ta@load.example\t\\N\t\\N\t\\N\tmore\n"},
		{"no number", list, "", "one\tAda\ta@load.example\t\\N\t\\N\t\\N\n"},
		{"twice", list, "", "8000001\tAda\ta@load.example\t\\N\t\\N\t\\N\n1\tAda\tb@load.example\t\\N\t\\N\t\\N\n"},
		{"mixed ends", list, "", "8000001\tAda\ta@load.example\t\\N\t\\N\t\\N\n8000002\tAda\tb@load.example\t\\N\t\\N\t\\N\r\n"},
		{"an open quote", list, "CSV", "8000001,Ada,\"a@load.example"},
		{"nothing", list, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got [2][][]string
			var said [2]string
			for i, dsn := range f.superWays() {
				table := []string{"public.twin", "support.customers"}[i]
				conn, err := pgx.Connect(t.Context(), dsn)
				if err != nil {
					t.Fatal(err)
				}
				said[i] = copyIn(t, conn.PgConn(), "COPY "+table+" "+tt.list+" FROM STDIN "+tt.options, tt.data)
				got[i] = readBack(t, f, conn, table)
				_ = conn.Close(t.Context())
			}
			said[0] = strings.ReplaceAll(said[0], "twin", "customers")
			if tt.name == "twice" {
				said[0] = said[1] // the twin has no keys
				got[0] = nil
			}
			if said[0] != said[1] {
				t.Errorf("directly %s, through the gateway %s", said[0], said[1])
			}
			if fmt.Sprint(got[0]) != fmt.Sprint(got[1]) {
				t.Errorf("directly\n%q\nthrough the gateway\n%q", got[0], got[1])
			}
		})
	}
}

// copyIn sends data in one go and returns what was said.
func copyIn(t *testing.T, conn *pgconn.PgConn, sql, data string) string {
	t.Helper()
	tag, err := conn.CopyFrom(t.Context(), strings.NewReader(data), sql)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr):
		return pgErr.Code + " " + pgErr.Message
	case err != nil:
		t.Fatal(err)
	}
	return tag.String()
}

// readBack reads the rows that were loaded as they were before they were tokenised, and deletes them.
func readBack(t *testing.T, f *fort, conn *pgx.Conn, table string) (out [][]string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT id, full_name, email, phone, birth_date, notes FROM "+table+" WHERE id >= 8000000 ORDER BY id", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	plain := f.plain(t)
	for rows.Next() {
		var row []string
		for i, raw := range rows.RawValues() {
			switch text := string(raw); {
			case raw == nil:
				row = append(row, "∅")
			case table == "public.twin" || i == 0:
				row = append(row, text)
			default:
				row = append(row, plain(rows.FieldDescriptions()[i].Name, text))
			}
		}
		out = append(out, row)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM "+table+" WHERE id >= 8000000"); err != nil {
		t.Fatal(err)
	}
	return out
}

// plain reads stored tokens of customers with the fort's own keys.
func (f *fort) plain(t *testing.T) func(column, stored string) string {
	t.Helper()
	opened, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := f.config.Ring(opened.Keys())
	if err != nil {
		t.Fatal(err)
	}
	return func(column, stored string) string {
		p := f.config.Protect.Columns["support.customers."+column]
		codec, err := ring.Codec(token.Spec{Column: sallyport.Column{Schema: "support", Table: "customers", Name: column}, Scheme: p.Scheme, Group: p.Group, Prefixes: p.Prefixes})
		if err != nil {
			t.Fatal(err)
		}
		out, err := codec.Reveal(nil, []byte(stored))
		if err != nil {
			t.Errorf("%s holds what is no token", column)
			return stored
		}
		return string(out)
	}
}
