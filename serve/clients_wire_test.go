package serve

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
)

// talk is a conversation in messages of the protocol.
type talk struct {
	t     *testing.T
	conn  net.Conn
	front *pgproto3.Frontend

	nameless bool // temporary tables are made, whose OIDs differ
}

func newTalk(t *testing.T, dsn string) *talk {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	conn := h.Conn // alone: thousands of these are held at once
	t.Cleanup(func() { _ = conn.Close() })
	return &talk{t: t, conn: conn, front: h.Frontend}
}

// say sends messages in one write and returns what comes back, a line each, up to as many ReadyForQuery as are due. Where
// fewer come it fails. What Sallyport says of itself in notices is left out.
func (k *talk) say(messages ...pgproto3.FrontendMessage) []string {
	k.t.Helper()
	due := 0
	var out []byte
	for _, m := range messages {
		switch m.(type) {
		case *pgproto3.Sync, *pgproto3.Query, *pgproto3.FunctionCall:
			due++
		case *copying:
			due-- // a Sync that the server ignores while it reads COPY data
			continue
		}
		var err error
		if out, err = m.Encode(out); err != nil {
			k.t.Fatal(err)
		}
	}
	_ = k.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := k.conn.Write(out); err != nil {
		k.t.Fatal(err)
	}
	var lines []string
	for due > 0 {
		m, err := k.front.Receive()
		if err != nil {
			return append(lines, "ended: "+err.Error())
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			due--
		case *pgproto3.NoticeResponse:
			if strings.HasPrefix(m.Message, "sallyport:") {
				continue
			}
		case *pgproto3.ErrorResponse: // where in the server's source it comes from tells nobody anything
			m.File, m.Line, m.Routine = "", 0, ""
		case *pgproto3.RowDescription:
			for i := range m.Fields {
				if k.nameless {
					m.Fields[i].TableOID = min(m.Fields[i].TableOID, 16384)
				}
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			k.t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	return lines
}

// copying stands behind a Sync that goes unheard.
type copying struct{ pgproto3.Sync }

func sql(text string) pgproto3.FrontendMessage { return &pgproto3.Query{String: text} }

func parse(name, text string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: text}
}

func bind(portal, name string, params ...string) pgproto3.FrontendMessage {
	b := &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	for _, p := range params {
		b.Parameters = append(b.Parameters, []byte(p))
	}
	return b
}

func bindBinary(portal, name string, formats ...int16) pgproto3.FrontendMessage {
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name, ResultFormatCodes: formats}
}

func describe(what byte, name string) pgproto3.FrontendMessage {
	return &pgproto3.Describe{ObjectType: what, Name: name}
}

func execute(portal string, most uint32) pgproto3.FrontendMessage {
	return &pgproto3.Execute{Portal: portal, MaxRows: most}
}

func closing(what byte, name string) pgproto3.FrontendMessage {
	return &pgproto3.Close{ObjectType: what, Name: name}
}

func data(text string) pgproto3.FrontendMessage { return &pgproto3.CopyData{Data: []byte(text)} }

// compare has both conversations, directly and through the gateway, step by step.
func (f *fort) compare(t *testing.T, who sallyport.Staff, password string, steps ...[]pgproto3.FrontendMessage) {
	t.Helper()
	f.compareOf(t, who, password, steps, steps)
}

func (f *fort) compareOf(t *testing.T, who sallyport.Staff, password string, direct, through [][]pgproto3.FrontendMessage) {
	t.Helper()
	ways := f.ways(who, password)
	var heard [2][][]string
	for i, steps := range [2][][]pgproto3.FrontendMessage{direct, through} {
		k := newTalk(t, ways[i])
		k.nameless = who == sallyport.Staff(f.cluster.Superuser)
		for _, step := range steps {
			heard[i] = append(heard[i], k.say(step...))
		}
		_ = k.conn.Close()
	}
	for n := range direct {
		d, g := strings.Join(heard[0][n], "\n"), strings.Join(heard[1][n], "\n")
		if d != g {
			t.Errorf("step %d directly:\n%s\nthrough the gateway:\n%s", n, d, g)
			return
		}
	}
}

// step is what is sent in one go.
func step(messages ...pgproto3.FrontendMessage) []pgproto3.FrontendMessage { return messages }

// TestClientReturning writes tickets and contacts in every way there is: that the gateway has the rows returned to itself
// must not be seen.
func TestClientReturning(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, "")
	who, ticket, _ := f.hasTicket(0)
	id := fmt.Sprint(ticket.ID)
	var stored string
	if err := f.direct().QueryRow(t.Context(), "SELECT ticket_no FROM support.tickets WHERE id = $1", ticket.ID).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	insert := func(no, subject string) string {
		return "INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at) VALUES (900000001, '" + no +
			"', 1, '" + string(who) + "', 'general', 'open', '" + subject + "', now())"
	}
	const aNumber, aToken, aSubject, aSubjectToken = "CS-9999-1234", "ZQ-0000-0001", "late", "tk1:AAAA"
	contact := "INSERT INTO support.contacts (id, customer_id, ticket_id, channel, direction, staff, at) VALUES (900000001, 1, NULL, 'call', 'in', NULL, '2026-01-01 00:00:00+00'), " +
		"(900000002, 2, NULL, 'call', 'in', NULL, '2026-01-01 00:00:00+00')"
	for name, tt := range map[string]struct {
		who  sallyport.Staff
		text string
		not  string // directly, where a literal must be a token already
	}{
		"update":                    {text: "UPDATE support.tickets SET state = 'pending' WHERE id = " + id},
		"update many":               {text: "UPDATE support.tickets SET queue = queue WHERE id < 20"},
		"update none":               {text: "UPDATE support.tickets SET state = 'pending' WHERE id = -1"},
		"update returning":          {text: "UPDATE support.tickets SET state = 'pending' WHERE id < 20 RETURNING id, state, assignee AS who"},
		"update returning all":      {text: "UPDATE support.tickets SET state = 'pending' WHERE id = " + id + " RETURNING *"},
		"update none returning":     {text: "UPDATE support.tickets SET state = 'pending' WHERE id = -1 RETURNING id"},
		"update alias":              {text: "UPDATE support.tickets AS t SET queue = 'x' FROM support.staff s WHERE s.id = t.assignee AND t.id = " + id + " RETURNING s.id, t.queue"},
		"update alias quietly":      {text: `UPDATE ONLY support.tickets "T a" SET queue = 'x' FROM support.staff id WHERE id.id = "T a".assignee AND "T a".id = ` + id},
		"update with":               {text: "WITH x AS (SELECT 5 AS n) UPDATE support.tickets SET queue = x.n::text FROM x WHERE id = " + id},
		"update within":             {text: "WITH u AS (UPDATE support.tickets SET queue = 'x' WHERE id = " + id + " RETURNING id, queue) SELECT * FROM u"},
		"update violates":           {text: "UPDATE support.tickets SET state = 'bogus' WHERE id = " + id},
		"update wrong column":       {text: "UPDATE support.tickets SET state = 'open', nosuch = 1 WHERE id = " + id},
		"update wrong returning":    {text: "UPDATE support.tickets SET state = 'open' WHERE id = " + id + " RETURNING nosuch"},
		"update comment":            {text: "UPDATE support.tickets SET state = 'open' WHERE id = " + id + " -- done"},
		"update semicolon":          {text: "UPDATE support.tickets SET state = 'open' WHERE id = " + id + " ; "},
		"contacts":                  {who: "svc_phone", text: contact},
		"contacts returning":        {who: "svc_phone", text: contact + " RETURNING id, at"},
		"contacts twice":            {who: "svc_phone", text: contact + ", (900000001, 1, NULL, 'call', 'in', NULL, now())"},
		"contacts on conflict":      {who: "svc_phone", text: strings.Replace(contact, "900000001", "1", 1) + " ON CONFLICT DO NOTHING"},
		"contacts on conflict back": {who: "svc_phone", text: strings.Replace(contact, "900000001", "1", 1) + " ON CONFLICT DO NOTHING RETURNING id"},
		"explain":                   {text: "EXPLAIN (COSTS OFF) UPDATE support.tickets SET state = 'pending' WHERE id = " + id},
		"insert":                    {text: insert(aNumber, aSubject), not: insert(aToken, aSubjectToken)},
		"insert returning":          {text: insert(aNumber, aSubject) + " RETURNING id, state", not: insert(aToken, aSubjectToken) + " RETURNING id, state"},
		"insert again":              {text: insert(ticket.No, aSubject), not: insert(stored, aSubjectToken)},
		"insert again, quiet":       {text: insert(ticket.No, aSubject) + " ON CONFLICT DO NOTHING", not: insert(stored, aSubjectToken) + " ON CONFLICT DO NOTHING"},
		"insert or update": {
			text: insert(ticket.No, aSubject) + " ON CONFLICT (ticket_no) DO UPDATE SET state = 'closed' RETURNING id, state",
			not:  insert(stored, aSubjectToken) + " ON CONFLICT (ticket_no) DO UPDATE SET state = 'closed' RETURNING id, state",
		},
	} {
		person := tt.who
		if person == "" {
			person = who
		}
		direct := tt.text
		if tt.not != "" {
			direct = tt.not
		}
		for way, steps := range map[string]func(text string) [][]pgproto3.FrontendMessage{
			"simple": func(text string) [][]pgproto3.FrontendMessage { return [][]pgproto3.FrontendMessage{step(sql(text))} },
			"among others": func(text string) [][]pgproto3.FrontendMessage {
				return [][]pgproto3.FrontendMessage{step(sql("SELECT 1; " + text + "\n; SELECT 2"))}
			},
			"extended": func(text string) [][]pgproto3.FrontendMessage {
				return [][]pgproto3.FrontendMessage{step(parse("", text), bind("", ""), describe('P', ""), execute("", 0), &pgproto3.Sync{})}
			},
			"described": func(text string) [][]pgproto3.FrontendMessage {
				return [][]pgproto3.FrontendMessage{
					step(parse("p", text), describe('S', "p"), &pgproto3.Sync{}),
					step(bind("", "p"), execute("", 0), &pgproto3.Sync{}), step(sql("ROLLBACK TO s")),
					step(bind("", "p"), execute("", 0), &pgproto3.Sync{}),
				}
			},
			"undescribed": func(text string) [][]pgproto3.FrontendMessage {
				return [][]pgproto3.FrontendMessage{step(parse("", text), bind("", ""), execute("", 0), &pgproto3.Sync{})}
			},
			"by rows": func(text string) [][]pgproto3.FrontendMessage {
				if !strings.Contains(text, "RETURNING") { // executing such a portal twice is an error
					return [][]pgproto3.FrontendMessage{step(parse("", text), bind("c", ""), describe('P', "c"), execute("c", 1), closing('P', "c"), &pgproto3.Sync{})}
				}
				return [][]pgproto3.FrontendMessage{step(parse("", text), bind("c", ""), describe('P', "c"), execute("c", 1), execute("c", 1), execute("c", 0), closing('P', "c"), &pgproto3.Sync{})}
			},
			"by rows, synced": func(text string) [][]pgproto3.FrontendMessage {
				steps := [][]pgproto3.FrontendMessage{step(parse("", text), bind("c", ""), execute("c", 1), &pgproto3.Sync{})}
				if strings.Contains(text, "RETURNING") {
					steps = append(steps, step(execute("c", 2), &pgproto3.Sync{}), step(execute("c", 0), &pgproto3.Sync{}))
				}
				return steps
			},
			"binary": func(text string) [][]pgproto3.FrontendMessage {
				return [][]pgproto3.FrontendMessage{step(parse("", text), bindBinary("", "", 1), describe('P', ""), execute("", 0), &pgproto3.Sync{})}
			},
			"prepared": func(text string) [][]pgproto3.FrontendMessage {
				return [][]pgproto3.FrontendMessage{step(sql("PREPARE u AS " + text)), step(sql("EXECUTE u")), step(sql("ROLLBACK TO s")), step(sql("EXECUTE u"))}
			},
		} {
			if name == "explain" && way == "prepared" {
				continue // EXPLAIN cannot be prepared
			}
			t.Run(name+", "+way, func(t *testing.T) {
				within := func(inner [][]pgproto3.FrontendMessage) [][]pgproto3.FrontendMessage {
					out := append([][]pgproto3.FrontendMessage{step(sql("BEGIN; SAVEPOINT s"))}, inner...)
					return append(out, step(sql("ROLLBACK")))
				}
				f.compareOf(t, person, f.passwords[person], within(steps(direct)), within(steps(tt.text)))
			})
		}
	}
}

// TestClientConversations are conversations that have nothing to do with what is protected: every message must be the one
// that PostgreSQL sends.
func TestClientConversations(t *testing.T) {
	f := newFort(t, "")
	password := f.cluster.Password
	sync := &pgproto3.Sync{}
	series := "SELECT n, n::text FROM generate_series(1, 5) n"
	for _, tt := range []struct {
		name  string
		steps [][]pgproto3.FrontendMessage
	}{
		{"row limits", [][]pgproto3.FrontendMessage{
			step(sql("BEGIN")), step(parse("", series), bind("p", ""), execute("p", 1), execute("p", 2), sync), step(execute("p", 1), sync), step(execute("p", 0), sync), step(execute("p", 0), sync), step(sql("COMMIT")),
		}},
		{"a portal ends with its transaction", [][]pgproto3.FrontendMessage{
			step(parse("", series), bind("p", ""), execute("p", 1), sync), step(execute("p", 1), sync), step(sql("SELECT 1")),
		}},
		{"several portals", [][]pgproto3.FrontendMessage{
			step(sql("BEGIN")), step(parse("a", series), bind("p", "a"), bind("q", "a"), execute("p", 1), execute("q", 2), execute("p", 2), execute("q", 0), closing('P', "p"), closing('S', "a"), sync), step(sql("COMMIT")),
		}},
		{"an error skips to Sync", [][]pgproto3.FrontendMessage{
			step(parse("", "SELECT 1/$1::int"), bind("", "", "0"), execute("", 0), parse("after", "SELECT 1"), bind("", "after"), execute("", 0), sync),
			step(bind("", "after"), execute("", 0), sync), step(parse("after", "SELECT 2"), bind("", "after"), execute("", 0), sync),
		}},
		{"several syncs", [][]pgproto3.FrontendMessage{
			step(parse("", "SELECT 1"), bind("", ""), execute("", 0), sync, parse("", "SELECT nosuch"), bind("", ""), execute("", 0), sync, parse("", "SELECT 3"), bind("", ""), describe('P', ""), execute("", 0), sync, sync),
		}},
		{"a name that is taken", [][]pgproto3.FrontendMessage{
			step(parse("a", "SELECT 1"), sync), step(parse("a", "SELECT 2"), sync), step(bind("", "a"), execute("", 0), sync), step(closing('S', "a"), parse("a", "SELECT 2"), bind("", "a"), execute("", 0), sync),
		}},
		{"names that nobody has", [][]pgproto3.FrontendMessage{
			step(describe('S', "no"), sync), step(describe('P', "no"), sync), step(execute("no", 0), sync), step(closing('S', "no"), closing('P', "no"), sync), step(bind("", "no"), execute("", 0), sync), step(sql("EXECUTE no")), step(sql("DEALLOCATE no")),
		}},
		{"several commands in Parse", [][]pgproto3.FrontendMessage{step(parse("", "SELECT 1; SELECT 2"), bind("", ""), execute("", 0), sync)}},
		{"nothing at all", [][]pgproto3.FrontendMessage{step(sql("")), step(sql(";;")), step(sql("-- x")), step(parse("", ""), bind("", ""), describe('P', ""), execute("", 0), describe('S', ""), sync), step(sync)}},
		{"a simple query drops the unnamed", [][]pgproto3.FrontendMessage{step(parse("", "SELECT 1"), sync), step(sql("SELECT 2")), step(bind("", ""), execute("", 0), sync)}},
		{"prepared by SQL, bound by the protocol", [][]pgproto3.FrontendMessage{
			step(sql("PREPARE q (int) AS SELECT $1 + 1")), step(describe('S', "q"), bind("", "q", "4"), execute("", 0), sync), step(sql("EXECUTE q(5)")), step(sql("DEALLOCATE q")), step(bind("", "q", "4"), sync),
		}},
		{"parsed by the protocol, executed by SQL", [][]pgproto3.FrontendMessage{
			step(parse("q", "SELECT $1::int + 1"), sync), step(sql("EXECUTE q(5)")), step(sql("DEALLOCATE ALL")), step(sql("EXECUTE q(5)")),
		}},
		{"discard", [][]pgproto3.FrontendMessage{step(parse("q", "SELECT 1"), sync), step(sql("DISCARD ALL")), step(bind("", "q"), execute("", 0), sync)}},
		{"a wrong number of parameters", [][]pgproto3.FrontendMessage{step(parse("", "SELECT $1::int"), bind("", "", "1", "2"), execute("", 0), sync), step(parse("", "SELECT $1::int"), bind("", "", "x"), execute("", 0), sync)}},
		{"parameters, described", [][]pgproto3.FrontendMessage{step(parse("d", "SELECT $1::date, $2::int[], $3 || 'x', $4 = ANY($5)"), describe('S', "d"), sync)}},
		{"binary results", [][]pgproto3.FrontendMessage{step(parse("", "SELECT 1, 'a', now() = now(), '{1,2}'::int[], row(1,'x'), NULL::int"), bindBinary("", "", 1), describe('P', ""), execute("", 0), sync), step(parse("", "SELECT 1, 'a'"), bindBinary("", "", 1, 0), describe('P', ""), execute("", 0), sync)}},
		{"transactions", [][]pgproto3.FrontendMessage{
			step(sql("BEGIN; SELECT 1; COMMIT; SELECT 2")), step(sql("BEGIN")), step(sql("SELECT 1/0; SELECT 1")), step(sql("SELECT 1")), step(parse("", "SELECT 1"), sync), step(sql("COMMIT")), step(sql("COMMIT")), step(sql("BEGIN; SAVEPOINT a; RELEASE a; ROLLBACK AND CHAIN; SELECT 1; ROLLBACK")),
		}},
		{"flush", [][]pgproto3.FrontendMessage{step(parse("", "SELECT 1"), &pgproto3.Flush{}, bind("", ""), &pgproto3.Flush{}, execute("", 0), &pgproto3.Flush{}, sync)}},
		{"copy in", [][]pgproto3.FrontendMessage{
			step(sql("CREATE TEMP TABLE c (a int, b text)")), step(sql("COPY c FROM STDIN"), data("1\tone\n2\t"), data("two\n"), data("3\t\\N\n"), &pgproto3.CopyDone{}), step(sql("SELECT * FROM c")),
			step(sql("COPY c FROM STDIN"), data("4\tfour\n"), &pgproto3.CopyFail{Message: "changed my mind"}), step(sql("COPY c FROM STDIN"), data("x\tfour\n"), data("5\tfive\n"), &pgproto3.CopyDone{}), step(sql("SELECT count(*) FROM c")),
			step(sql("COPY c FROM STDIN WITH (FORMAT csv, HEADER)"), data("a,b\n6,\"six, \"\"6\"\"\"\n"), &pgproto3.CopyDone{}), step(sql("COPY c TO STDOUT CSV")), step(sql("COPY c TO STDOUT BINARY")), step(sql("COPY (SELECT 1) TO STDOUT; SELECT 2")),
		}},
		{"copy in, extended", [][]pgproto3.FrontendMessage{
			step(sql("CREATE TEMP TABLE c (a int, b text)")), step(parse("", "COPY c FROM STDIN"), bind("", ""), describe('P', ""), execute("", 0), data("1\tone\n"), &pgproto3.CopyDone{}, sync),
			step(parse("", "COPY c FROM STDIN"), bind("", ""), execute("", 0), sync, &copying{}, data("2\ttwo\n"), &pgproto3.CopyDone{}, sync),
			step(parse("", "COPY c FROM STDIN"), bind("", ""), execute("", 0), data("x\n"), &pgproto3.CopyDone{}, sync),
			step(parse("", "COPY c TO STDOUT"), bind("", ""), execute("", 0), sync),
			step(parse("", "COPY c FROM STDIN"), bind("", ""), execute("", 0), &pgproto3.CopyFail{Message: "no"}, sync), step(sql("SELECT * FROM c")),
		}},
		{"copy data that nobody wants", [][]pgproto3.FrontendMessage{step(data("1\n"), &pgproto3.CopyDone{}, sql("SELECT 1")), step(data("1\n"), &pgproto3.CopyFail{}, sync), step(sql("SELECT 1"))}},
		{"copy in among others", [][]pgproto3.FrontendMessage{
			step(sql("CREATE TEMP TABLE c (a int)")), step(sql("INSERT INTO c VALUES (1); COPY c FROM STDIN; SELECT count(*) FROM c"), data("2\n"), &pgproto3.CopyDone{}), step(sql("COPY c FROM STDIN; COPY c FROM STDIN"), data("3\n"), &pgproto3.CopyDone{}, data("4\n"), &pgproto3.CopyDone{}), step(sql("SELECT * FROM c")),
		}},
		{"settings", [][]pgproto3.FrontendMessage{step(sql("SET DateStyle = 'German'")), step(sql("SET application_name = 'x'; SET client_encoding = LATIN1; SELECT 'ä'")), step(sql("RESET ALL")), step(sql("SHOW DateStyle"))}},
		{"cursors", [][]pgproto3.FrontendMessage{
			step(sql("BEGIN; DECLARE c SCROLL CURSOR FOR " + series)), step(sql("FETCH 2 FROM c; MOVE 1 IN c; FETCH BACKWARD 1 FROM c")), step(execute("c", 2), sync), step(describe('P', "c"), execute("c", 0), sync), step(closing('P', "c"), sync), step(sql("FETCH c")), step(sql("ROLLBACK")),
			step(sql("BEGIN; DECLARE h CURSOR WITH HOLD FOR " + series + "; COMMIT")), step(sql("FETCH ALL h")), step(sql("CLOSE ALL")),
		}},
		{"notify", [][]pgproto3.FrontendMessage{step(sql("LISTEN a; SELECT 1")), step(sql("UNLISTEN a"))}},
		{"zero columns", [][]pgproto3.FrontendMessage{step(sql("SELECT FROM generate_series(1,3)")), step(parse("", "SELECT"), bind("", ""), describe('P', ""), execute("", 0), sync)}},
		{"a changed table", [][]pgproto3.FrontendMessage{
			step(sql("CREATE TEMP TABLE v (a int)")), step(parse("v", "SELECT * FROM v"), sync), step(sql("ALTER TABLE v ADD b int")), step(bind("", "v"), execute("", 0), sync), step(sql("SELECT 1")),
		}},
		{"many", [][]pgproto3.FrontendMessage{many(500)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.compare(t, sallyport.Staff(f.cluster.Superuser), password, tt.steps...)
		})
	}
}

// many is a pipeline of n statements, each tenth of which fails.
func many(n int) []pgproto3.FrontendMessage {
	var out []pgproto3.FrontendMessage
	for i := range n {
		text := fmt.Sprintf("SELECT %d, repeat('x', 1000)", i)
		if i%10 == 9 {
			text = "SELECT 1/(n - n) FROM generate_series(1,1) n"
		}
		out = append(out, parse("", text), bind("", ""), describe('P', ""), execute("", 0))
		if i%3 == 0 {
			out = append(out, &pgproto3.Sync{})
		}
	}
	return append(out, &pgproto3.Sync{})
}
