package serve

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestMaskedPortalTaken: a portal that was bound to something open is closed by SQL, which declares a cursor of its name. The protocol's own messages
// then read masked values, which stay masked.
func TestMaskedPortalTaken(t *testing.T) {
	s := newScreen(t)
	for _, declare := range []string{"DECLARE q CURSOR FOR ", "DECLARE Q SCROLL CURSOR WITH HOLD FOR ", `DECLARE "q" BINARY CURSOR FOR `} {
		for _, secret := range []string{"SELECT upper(email), name || '' FROM app.people ORDER BY id", "SELECT coalesce(email, name), id::text FROM app.people"} {
			conn, tap := s.connect("mara")
			open := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT note, note || '' FROM app.orders"}, &pgproto3.Bind{DestinationPortal: "q"}}
			rows := 0
			for _, step := range [][]pgproto3.FrontendMessage{
				{&pgproto3.Query{String: "BEGIN"}},
				append(open, &pgproto3.Execute{Portal: "q", MaxRows: 1}),
				{&pgproto3.Query{String: "CLOSE q; " + declare + secret}},
				{&pgproto3.Execute{Portal: "q", MaxRows: 1}},
				{&pgproto3.Describe{ObjectType: 'P', Name: "q"}, &pgproto3.Execute{Portal: "q", MaxRows: 1}},
				{&pgproto3.Query{String: "CLOSE q"}},
				append(open, &pgproto3.Parse{Query: "CLOSE q"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Parse{Query: declare + secret}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Execute{Portal: "q"}),
				{&pgproto3.Query{String: "ROLLBACK"}},
				{&pgproto3.Query{String: "BEGIN"}},
				append(open, &pgproto3.Execute{Portal: "q", MaxRows: 1}, &pgproto3.Parse{Query: "CLOSE q"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Parse{Query: declare + secret}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Execute{Portal: "q"}),
				{&pgproto3.Query{String: "ROLLBACK"}},
			} {
				n, code := converse(t, conn, step...)
				if rows += n; code != "" {
					t.Errorf("%+v: %s", step[0], code)
				}
				if got := secretIn(tap.take()); got != "" {
					t.Errorf("%q came back from %s%s by %+v", got, declare, secret, step[0])
				}
			}
			if rows < 5 {
				t.Errorf("%d rows of %s%s", rows, declare, secret)
			}
		}
	}
}

// TestMaskedPortalStays: a Bind that fails leaves the portal of its name as it was, and EXECUTE by the protocol runs what SQL's PREPARE made.
func TestMaskedPortalStays(t *testing.T) {
	s := newScreen(t)
	for _, name := range []string{"q", ""} {
		conn, tap := s.connect("mara")
		rows := 0
		for _, step := range []struct {
			code     string
			messages []pgproto3.FrontendMessage
		}{
			{"", []pgproto3.FrontendMessage{&pgproto3.Query{String: "PREPARE b AS SELECT upper(email), id::text FROM app.people"}}},
			{"", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "EXECUTE b"}, &pgproto3.Bind{}, &pgproto3.Execute{}}},
			{"", []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "open", Query: "SELECT note, $1::int::text FROM app.orders"}, &pgproto3.Parse{Name: "back", Query: "ROLLBACK TO a"}}},
			{"", []pgproto3.FrontendMessage{&pgproto3.Query{String: "BEGIN"}}},
			{"", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT upper(email), name || '' FROM app.people ORDER BY id"}, &pgproto3.Bind{DestinationPortal: name}, &pgproto3.Execute{Portal: name, MaxRows: 1}, &pgproto3.Parse{Name: "save", Query: "SAVEPOINT a"}, &pgproto3.Bind{DestinationPortal: "s", PreparedStatement: "save"}, &pgproto3.Execute{Portal: "s"}}},
			{"?", []pgproto3.FrontendMessage{&pgproto3.Bind{DestinationPortal: name, PreparedStatement: "open", Parameters: [][]byte{[]byte("1"), []byte("2")}}}},
			{"", []pgproto3.FrontendMessage{&pgproto3.Bind{DestinationPortal: "b", PreparedStatement: "back"}, &pgproto3.Execute{Portal: "b"}}},
			{"?", []pgproto3.FrontendMessage{&pgproto3.Execute{Portal: name, MaxRows: 1}}},
			{"", []pgproto3.FrontendMessage{&pgproto3.Query{String: "ROLLBACK"}}},
		} {
			n, code := converse(t, conn, step.messages...)
			if rows += n; code != step.code && step.code != "?" {
				t.Errorf("%+v: %s", step.messages[0], code)
			}
			if got := secretIn(tap.take()); got != "" {
				t.Errorf("portal %q: %q came back by %+v", name, got, step.messages[0])
			}
			t.Logf("%q: %d rows, %s", name, n, code)
		}
		if rows < 4 {
			t.Errorf("portal %q: %d rows", name, rows)
		}
	}
}

// TestMaskedExecuteKept: CREATE TABLE AS EXECUTE is parsed while its name means something open, and executed when it means something masked.
func TestMaskedExecuteKept(t *testing.T) {
	s := newScreen(t)
	for n, create := range []string{"CREATE TEMP TABLE kept AS EXECUTE b", "EXPLAIN ANALYZE CREATE TEMP TABLE kept AS EXECUTE b"} {
		conn, tap := s.connect("mara")
		for _, step := range [][]pgproto3.FrontendMessage{
			{&pgproto3.Query{String: "PREPARE b AS SELECT note FROM app.orders"}},
			{&pgproto3.Parse{Name: "k", Query: create}},
			{&pgproto3.Query{String: "DEALLOCATE b; PREPARE b AS SELECT email FROM app.people"}},
			{&pgproto3.Bind{PreparedStatement: "k"}, &pgproto3.Execute{}},
			{&pgproto3.Query{String: "SELECT * FROM kept"}},
		} {
			_, code := converse(t, conn, step...)
			if got := secretIn(tap.take()); got != "" {
				t.Errorf("%d: %q came back by %+v (%s)", n, got, step[0], code)
			}
		}
	}
}
