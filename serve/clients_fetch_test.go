package serve

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// TestFetchFromAPortal reads with SQL what the protocol's Bind prepared: an UPDATE from which the gateway has columns returned to
// itself. Directly and through the gateway the client sees the same.
func TestFetchFromAPortal(t *testing.T) {
	f := newFort(t, rich)
	_, ticket, _ := f.hasTicket(0)
	through, err := pgconn.Connect(t.Context(), f.dsn("svc_router"))
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close(t.Context())
	direct, err := pgconn.Connect(t.Context(), f.cluster.SuperDSN(f.database))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(t.Context())
	for _, update := range []string{
		fmt.Sprintf("UPDATE support.tickets SET queue = 'q', assignee = assignee WHERE id = %d RETURNING id, queue", ticket.ID),
		fmt.Sprintf("UPDATE support.tickets SET assignee = 's001' WHERE id IN (%d, %d) RETURNING assignee AS \"sallyport\", id", ticket.ID, ticket.ID-1),
		fmt.Sprintf("UPDATE support.tickets SET state = 'open' WHERE id = %d RETURNING 1", ticket.ID),
		"UPDATE support.tickets SET state = 'open' WHERE id = -1 RETURNING id",
	} {
		for _, fetch := range []pgproto3.FrontendMessage{&pgproto3.Query{String: "FETCH ALL FROM p"}, &pgproto3.Query{String: "FETCH 1 FROM p; FETCH NEXT FROM p"}, nil} {
			if got, want := fetched(t, through, update, fetch), fetched(t, direct, update, fetch); !slices.Equal(got, want) {
				t.Errorf("%s:\n got %q\nwant %q", update, got, want)
			}
		}
	}
	if got := fetched(t, direct, "SELECT 1 AS \"sallyport captured\"", nil); len(got) < 3 {
		t.Errorf("the comparison shows nothing: %q", got)
	}
}

// fetched is what comes back of a portal's rows by SQL; without a message FETCH itself is parsed, described and bound.
func fetched(t *testing.T, conn *pgconn.PgConn, sql string, fetch pgproto3.FrontendMessage) (seen []string) {
	t.Helper()
	front := conn.Frontend()
	ask := func(messages ...pgproto3.FrontendMessage) {
		for _, m := range messages {
			front.Send(m)
		}
		if err := front.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := front.Receive()
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *pgproto3.RowDescription:
				for _, field := range m.Fields {
					seen = append(seen, "column "+string(field.Name))
				}
			case *pgproto3.DataRow:
				seen = append(seen, fmt.Sprintf("row %q", m.Values))
			case *pgproto3.CommandComplete:
				seen = append(seen, string(m.CommandTag))
			case *pgproto3.ErrorResponse:
				seen = append(seen, "error "+m.Code)
			case *pgproto3.ReadyForQuery:
				return
			}
		}
	}
	ask(&pgproto3.Query{String: "BEGIN"})
	ask(&pgproto3.Parse{Query: sql}, &pgproto3.Bind{DestinationPortal: "p"}, &pgproto3.Sync{})
	if fetch != nil {
		ask(fetch)
	} else {
		ask(&pgproto3.Parse{Name: "f", Query: "FETCH ALL FROM p"}, &pgproto3.Describe{ObjectType: 'S', Name: "f"}, &pgproto3.Bind{PreparedStatement: "f", ResultFormatCodes: []int16{1}}, &pgproto3.Describe{ObjectType: 'P'},
			&pgproto3.Execute{}, &pgproto3.Close{ObjectType: 'S', Name: "f"}, &pgproto3.Sync{})
	}
	ask(&pgproto3.Query{String: "ROLLBACK"})
	return seen
}
