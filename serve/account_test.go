package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// entriesOf are the entries of one statement of a session, in order.
func entriesOf(events []*sallyport.Event, session string, id uint64) (out []*sallyport.Event) {
	for _, e := range events {
		if e.Who.Session == session && (e.Statement != nil && e.Statement.ID == id || e.Reveal != nil && e.Reveal.Statement == id) {
			out = append(out, e)
		}
	}
	return out
}

// TestRecordOfAStatement: what the record says of one statement, from its shape to how it ended, is what happened, and no literal stands in it.
func TestRecordOfAStatement(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	const query = "SELECT c.email, t.subject, s.team FROM support.customers c JOIN support.tickets t ON t.customer_id = c.id LEFT JOIN support.staff s ON s.id = t.assignee WHERE c.email = '%s'"
	rows := c.must(fmt.Sprintf(query, customer.Email))
	if len(rows) == 0 || rows[0][0] != customer.Email {
		t.Fatalf("read %v", rows)
	}
	var asked, result, revealed, shape *sallyport.Event
	within(t, 10*time.Second, "the statement's end is on record", func() bool {
		events := f.events()
		for _, e := range events {
			if e.Kind == sallyport.StatementKind && e.Who.Staff == who && slices.Contains(e.Statement.Tables, "support.staff") {
				asked = e
			}
		}
		if asked == nil {
			return false
		}
		for _, e := range entriesOf(events, asked.Who.Session, asked.Statement.ID) {
			switch e.Kind {
			case sallyport.RevealKind:
				revealed = e
			case sallyport.ResultKind:
				result = e
			default:
			}
		}
		for _, e := range events {
			if e.Kind == sallyport.ShapeKind && e.Statement.Fingerprint == asked.Statement.Fingerprint {
				shape = e
			}
		}
		return result != nil && revealed != nil && shape != nil
	})
	s := asked.Statement
	if want := []string{"support.customers", "support.staff", "support.tickets"}; !slices.Equal(s.Tables, want) {
		t.Errorf("tables %q, want %q", s.Tables, want)
	}
	if len(s.Resolved) != 1 || s.Resolved[0] != 1 || len(s.Covers) != 1 || string(s.Covers[0]) != fmt.Sprint(customer.ID) {
		t.Errorf("its purpose covered %v, %v", s.Resolved, s.Covers)
	}
	if s.Trust < 1 || s.Trust > 101 || asked.Who.Application == "" && asked.Who.Address == "" {
		t.Errorf("trust %d, who %+v", s.Trust, asked.Who)
	}
	if result.Seq < revealed.Seq || asked.Seq > revealed.Seq {
		t.Errorf("asked at %d, revealed at %d, ended at %d", asked.Seq, revealed.Seq, result.Seq)
	}
	r := result.Result
	if r.Rows != uint64(len(rows)) || r.Bytes < uint64(len(rows)*len(customer.Email)) || r.Failed || r.Revealed == 0 || r.Trust != s.Trust {
		t.Errorf("the result: %+v of %d rows", r, len(rows))
	}
	for _, list := range [][]sallyport.Ruled{revealed.Reveal.Rulings, r.Rulings} {
		i := slices.IndexFunc(list, func(one sallyport.Ruled) bool { return one.Column.Name == "email" })
		if i < 0 || list[i].Verdict != "reveal" || list[i].Policy == "" || list[i].Policy == "default" || list[i].Purpose != 1 {
			t.Errorf("rulings %+v", list)
		}
	}
	if want := "select c . email"; !strings.HasPrefix(shape.Statement.Shape, want) || strings.Contains(shape.Statement.Shape, customer.Email) || !strings.HasSuffix(shape.Statement.Shape, "= ?") {
		t.Errorf("shape %q", shape.Statement.Shape)
	}
}

// TestRecordOfRefusals: what was masked, left and denied is on record with the policy and how far the person was trusted; so is a failure.
func TestRecordOfRefusals(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	_, _, other := f.hasTicket(1)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	left := c.must(fmt.Sprintf("SELECT email FROM support.customers WHERE id IN (%d, %d)", customer.ID, other.ID))
	c.fails(fmt.Sprintf("SELECT email, 1/(id-%d) FROM support.customers WHERE id = %d", customer.ID, customer.ID))
	c.fails("SELECT full_name FROM support.customers WHERE email LIKE 'a%'")
	within(t, 10*time.Second, "all of it is on record", func() bool {
		var partly, failed, refused bool
		for _, e := range f.events() {
			switch {
			case e.Kind == sallyport.ResultKind && e.Result.Rows == uint64(len(left)) && e.Result.Revealed == 1 && e.Result.Left >= 1:
				partly = true
			case e.Kind == sallyport.ResultKind && e.Result.Failed:
				failed = true
			case e.Kind == sallyport.RefusedKind && e.Statement.Trust > 0 && e.Statement.Refused != "":
				refused = true
			}
		}
		return partly && failed && refused
	})
}

// TestTrafficIsCounted: what touches nothing protected is on record by session and fingerprint within seconds, while the session lives, in the
// protected database and in others that are only relayed; all of it adds up to what was done.
func TestTrafficIsCounted(t *testing.T) {
	f := newFort(t, "")
	who := f.org.Agents()[0].ID
	relayed := func() *pgx.Conn {
		config, err := pgx.ParseConfig(strings.Replace(f.dsn(who), "/"+f.database, "/postgres", 1))
		fatal(t, err)
		conn, err := pgx.ConnectConfig(f.ctx, config)
		fatal(t, err)
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(f.ctx)) })
		return conn
	}
	for name, connect := range map[string]func() *pgx.Conn{
		f.database:                 func() *pgx.Conn { return f.connect(who).Conn },
		f.database + " (extended)": func() *pgx.Conn { return f.connect(who, pgx.QueryExecModeCacheStatement).Conn },
		"postgres":                 relayed,
	} {
		conn := connect()
		for i := range 30 {
			rows, err := conn.Query(f.ctx, fmt.Sprintf("SELECT n, 'secret-%d' FROM generate_series(1, 7) n", i))
			fatal(t, err)
			for rows.Next() {
			}
			fatal(t, rows.Err())
		}
		database, _, _ := strings.Cut(name, " ")
		var session string
		within(t, 20*time.Second, "the traffic in "+name+" is on record", func() bool {
			for _, e := range f.events() {
				if e.Kind == sallyport.SessionStart && e.Who.Staff == who && e.Who.Database == database {
					session = e.Who.Session
				}
			}
			sums := map[string]sallyport.Counters{}
			for _, e := range f.events() {
				if e.Kind != sallyport.CountersKind || e.Who.Session != session {
					continue
				}
				sum := sums[e.Statement.Fingerprint]
				sum.Statements += e.Counters.Statements
				sum.Rows += e.Counters.Rows
				sum.BytesOut += e.Counters.BytesOut
				sums[e.Statement.Fingerprint] = sum
			}
			for fingerprint, sum := range sums {
				if fingerprint != "" && sum.Statements == 30 && sum.Rows == 210 && sum.BytesOut > 210*10 {
					return true
				}
			}
			return false
		})
	}
	for _, e := range f.events() {
		if e.Kind == sallyport.ShapeKind && strings.Contains(e.Statement.Shape, "secret") {
			t.Errorf("a literal stands in a shape: %s", e.Statement.Shape)
		}
	}
}
