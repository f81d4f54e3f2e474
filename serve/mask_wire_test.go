package serve

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// converse sends messages and a Sync, and reads up to ReadyForQuery.
func converse(t *testing.T, conn *pgx.Conn, messages ...pgproto3.FrontendMessage) (rows int, code string) {
	t.Helper()
	f := conn.PgConn().Frontend()
	for _, m := range messages {
		f.Send(m)
	}
	if _, simple := messages[len(messages)-1].(*pgproto3.Query); !simple {
		f.Send(&pgproto3.Sync{})
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			rows++
		case *pgproto3.ErrorResponse:
			code = m.Code
		case *pgproto3.ReadyForQuery:
			return rows, code
		}
	}
}

// TestMaskedWire plays with the protocol's own messages: portals that FETCH finds too, rows without a description, portals that
// stop and go on, names that the server cuts.
func TestMaskedWire(t *testing.T) {
	s := newScreen(t)
	long := strings.Repeat("n", 63)
	for _, secret := range []string{
		"SELECT upper(email), email, salary, p FROM app.people p ORDER BY id", "SELECT email FROM app.people UNION ALL SELECT name FROM app.people", "SELECT coalesce(email, name) FROM app.people",
	} {
		for _, format := range []int16{0, 1} {
			conn, tap := s.connect("mara")
			formats := []int16{format}
			for name, messages := range map[string][]pgproto3.FrontendMessage{
				"no description":       {&pgproto3.Parse{Query: secret}, &pgproto3.Bind{ResultFormatCodes: formats}, &pgproto3.Execute{}},
				"described":            {&pgproto3.Parse{Name: "a", Query: secret}, &pgproto3.Describe{ObjectType: 'S', Name: "a"}, &pgproto3.Bind{PreparedStatement: "a", ResultFormatCodes: formats}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}},
				"suspended":            {&pgproto3.Parse{Query: secret}, &pgproto3.Bind{DestinationPortal: "p", ResultFormatCodes: formats}, &pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Execute{Portal: "p"}},
				"bound twice":          {&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Parse{Query: secret}, &pgproto3.Bind{ResultFormatCodes: formats}, &pgproto3.Execute{}},
				"a simple one between": {&pgproto3.Parse{Query: "SELECT upper(note) FROM app.orders"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Parse{Query: secret}, &pgproto3.Bind{ResultFormatCodes: formats}, &pgproto3.Execute{}},
				"the same once more":   {&pgproto3.Bind{PreparedStatement: "a", ResultFormatCodes: formats}, &pgproto3.Execute{}, &pgproto3.Bind{PreparedStatement: "a", ResultFormatCodes: formats}, &pgproto3.Execute{}},
			} {
				if rows, code := converse(t, conn, messages...); rows == 0 && name != "the same once more" {
					t.Errorf("%s: no rows: %s", name, code)
				}
				if got := secretIn(tap.take()); got != "" {
					t.Errorf("%s: %q came back from %s", name, got, secret)
				}
			}
			rows := 0
			for _, step := range [][]pgproto3.FrontendMessage{
				{&pgproto3.Query{String: "PREPARE b AS " + secret}},
				{&pgproto3.Query{String: "EXECUTE b"}},
				{&pgproto3.Bind{PreparedStatement: "b", ResultFormatCodes: formats}, &pgproto3.Execute{MaxRows: 1}},
				{&pgproto3.Query{String: "BEGIN"}},
				{&pgproto3.Parse{Query: secret}, &pgproto3.Bind{DestinationPortal: "q", ResultFormatCodes: formats}},
				{&pgproto3.Query{String: "FETCH 1 q"}},
				{&pgproto3.Execute{Portal: "q", MaxRows: 1}},
				{&pgproto3.Query{String: fmt.Sprintf(`DECLARE "%s" CURSOR FOR %s`, long+"one", secret)}},
				{&pgproto3.Query{String: fmt.Sprintf(`FETCH 1 FROM "%s"`, long+"two")}},
				{&pgproto3.Execute{Portal: long, MaxRows: 1}},
				{&pgproto3.Query{String: "DECLARE r CURSOR FOR " + secret + "; FETCH 1 r; CLOSE r; DECLARE r CURSOR FOR SELECT note FROM app.orders; FETCH 1 r"}},
				{&pgproto3.Query{String: "ROLLBACK"}},
			} {
				n, code := converse(t, conn, step...)
				if rows += n; code != "" {
					t.Errorf("%+v: %s", step[0], code)
				}
				if got := secretIn(tap.take()); got != "" {
					t.Errorf("%q came back from %s by %+v", got, secret, step[0])
				}
			}
			if rows < 10 {
				t.Errorf("%d rows came of cursors, want 10", rows)
			}
		}
	}
}

// TestMaskedDrift changes the database around the gateway, which has to know before the next statement.
func TestMaskedDrift(t *testing.T) {
	s := newScreen(t)
	conn, tap := s.connect("mara")
	for _, step := range []struct {
		around string
		sql    []string
	}{
		{"CREATE VIEW app.fresh AS SELECT id, email, upper(name) AS n FROM app.people; GRANT SELECT ON app.fresh TO PUBLIC", []string{"SELECT * FROM app.fresh", "SELECT n || '' FROM app.fresh", "SELECT id FROM app.fresh WHERE n LIKE 'Z%'"}},
		{"CREATE FUNCTION app.late() RETURNS text LANGUAGE sql AS 'SELECT email FROM app.people LIMIT 1'", []string{"SELECT app.late()", "SELECT * FROM app.late()"}},
		{"ALTER TABLE app.people RENAME COLUMN email TO post", []string{"SELECT post FROM app.people", "SELECT upper(post) FROM app.people", "SELECT email FROM app.fresh", "CREATE TEMP TABLE x AS SELECT post FROM app.people; TABLE x"}},
		{"ALTER TABLE app.people RENAME TO folk", []string{"SELECT post FROM app.folk", "SELECT upper(post), f FROM app.folk f", "SELECT lower(name) FROM app.folk"}},
		{"ALTER TABLE app.folk SET SCHEMA public", []string{"SELECT post FROM public.folk", "SELECT upper(post), f FROM folk f"}},
		{"ALTER TABLE public.folk ADD COLUMN twin text GENERATED ALWAYS AS (post) STORED", []string{"SELECT twin FROM public.folk", "SELECT upper(twin) FROM public.folk"}},
		{"CREATE TABLE public.part () INHERITS (public.folk); INSERT INTO public.part (id, name, post) VALUES (40, 'zq7part', 'zq7part@corp.example'); GRANT SELECT ON public.part TO PUBLIC", []string{"SELECT * FROM public.part", "SELECT upper(post), upper(name) FROM public.part"}},
	} {
		s.run(s.database, step.around)
		for _, sql := range step.sql {
			tap.take()
			results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
			if got := secretIn(tap.take()); got != "" {
				t.Errorf("%q came back from %s", got, sql)
			}
			if err == nil && (len(results) == 0 || len(results[0].Rows) == 0) {
				t.Errorf("no rows: %s", sql)
			}
		}
	}
}

// TestMaskedReplication keeps those from replicating for whom columns are masked, whatever database they name.
func TestMaskedReplication(t *testing.T) {
	s := newScreen(t)
	for _, kind := range []string{"true", "database"} {
		for _, who := range []string{"super", "mara"} {
			name, password := s.role(who)
			config, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", name, password, s.server.Addr(), "postgres"))
			if err != nil {
				t.Fatal(err)
			}
			config.RuntimeParams["replication"] = kind
			conn, err := pgconn.ConnectConfig(t.Context(), config)
			if err == nil {
				_ = conn.Close(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), "masked columns") {
				t.Errorf("%s as %s: %v", kind, who, err)
			}
		}
	}
}
