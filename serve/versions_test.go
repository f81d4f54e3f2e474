package serve

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/throwaway"
)

// news are statements that came with a version of PostgreSQL, and what becomes of them. {own} is the customer that the reason
// covers, {victim} another one; what begins with qq7 must not reach the server.
func news() []novelty {
	return []novelty{
		{14, "WITH RECURSIVE x AS (SELECT id, email FROM support.customers WHERE id = {victim} UNION ALL SELECT id + 1, email FROM x WHERE id < {victim} + 3) CYCLE id SET again USING way SELECT * FROM x", "SP001"},
		{14, "WITH RECURSIVE x AS (SELECT id, email FROM support.customers WHERE id = {victim} UNION ALL SELECT id + 1, email FROM x WHERE id < {victim} + 3) SEARCH DEPTH FIRST BY id SET place SELECT place, email FROM x ORDER BY place", "SP001"},
		{14, "CREATE FUNCTION support.atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT email FROM support.customers; END", "SP003"},
		{15, "MERGE INTO support.customers c USING (VALUES ({own}, 'qq7a@x.example')) v(i, e) ON c.id = v.i WHEN MATCHED THEN UPDATE SET email = v.e", ""},
		{15, "MERGE INTO support.customers c USING (SELECT 'qq7' || 'b@x.example' AS e) v ON c.id = {own} WHEN MATCHED THEN UPDATE SET email = v.e", "SP001"},
		{16, "SELECT JSON_ARRAYAGG(email), JSON_OBJECTAGG(id: phone), JSON_ARRAY(full_name) FROM support.customers WHERE id = {victim} GROUP BY full_name", ""},
		{16, "SELECT any_value(email) FROM support.customers WHERE id = {victim}", ""},
		{16, "SELECT message FROM support.customers, pg_input_error_info(email, 'integer') WHERE id = {victim}", "SP002"},
		{17, "SELECT c.id FROM support.customers c JOIN JSON_TABLE('[{\"e\": \"qq7c@x.example\"}]', '$[*]' COLUMNS (e text PATH '$.e')) j ON j.e = c.email", "SP001"},
		{17, "SELECT id FROM support.customers WHERE email = JSON_VALUE('{\"e\": \"qq7d@x.example\"}', '$.e')", "SP001"},
		{17, "UPDATE support.customers SET email = JSON_VALUE('{\"e\": \"qq7e@x.example\"}', '$.e') WHERE id = {own}", "SP001"},
		{17, "SELECT JSON_SERIALIZE(JSON_SCALAR(email)), JSON_SCALAR(phone) FROM support.customers c WHERE id = {victim}", ""},
		{17, "SELECT JSON_SERIALIZE(JSON_SCALAR(email)), JSON_QUERY(to_jsonb(c), '$.phone') FROM support.customers c WHERE id = {victim}", "SP002"},
		{17, "SELECT j.* FROM support.customers c, JSON_TABLE(to_jsonb(c), '$' COLUMNS (e text PATH '$.email', p text PATH '$.phone')) j WHERE id = {victim}", "SP002"},
		{17, "MERGE INTO support.customers c USING (VALUES ({own}, 'qq7f@x.example')) v(i, e) ON c.id = v.i WHEN MATCHED THEN UPDATE SET email = v.e RETURNING merge_action(), c.email", ""},
		{17, "MERGE INTO support.customers c USING (VALUES ({victim})) v(i) ON c.id = v.i WHEN MATCHED THEN UPDATE SET plan = c.plan RETURNING c.*", ""},
		{17, "MERGE INTO support.customers c USING (VALUES (0)) v(i) ON c.id = v.i WHEN NOT MATCHED BY SOURCE AND c.id = {own} THEN UPDATE SET email = 'qq7g@x.example'", ""},
		{17, "WITH m AS (MERGE INTO support.customers c USING (VALUES ({victim})) v(i) ON c.id = v.i WHEN MATCHED THEN DO NOTHING RETURNING c.email) SELECT * FROM m", ""},
		{17, "GRANT MAINTAIN ON support.staff TO support_engineers", "SP007"},
		{17, "EXPLAIN (ANALYZE, SERIALIZE TEXT, MEMORY) SELECT email FROM support.customers WHERE email = 'qq7h@x.example'", ""},
		{17, "SELECT to_jsonb(c) @? '$.email.string()' FROM support.customers c WHERE id = {victim}", "SP002"},
		{18, "UPDATE support.customers SET email = 'qq7i@x.example' WHERE id = {own} RETURNING old.email, new.email, old.email = 'qq7j@x.example'", ""},
		{18, "UPDATE support.customers SET plan = plan WHERE id = {victim} RETURNING old.*, new.email, old", ""},
		{18, "INSERT INTO support.customers AS c (id, full_name, email, country, plan, created_at) VALUES ({victim}, 'Qq Seven', 'qq7k@x.example', 'DE', 'p', now()) ON CONFLICT (id) DO UPDATE SET plan = c.plan RETURNING old.email, new.phone", ""},
		{18, "UPDATE support.customers SET plan = plan WHERE id = {victim} RETURNING WITH (OLD AS o) o.email", "42601"},
		{18, "CREATE TABLE support.virtual (a text, b text GENERATED ALWAYS AS (lower(a)) VIRTUAL)", "42601"},
		{18, "SELECT id FROM support.customers WHERE casefold(email) = 'qq7l@x.example'", "SP002"},
		{18, "SELECT array_sort(array_agg(email)) FROM support.customers WHERE id IN ({victim}, {own})", ""},
		{18, "SELECT reverse(reverse(email)::bytea), crc32(email::bytea) FROM support.customers WHERE id = {victim}", "SP002"},
	}
}

type novelty struct {
	since int
	sql   string
	code  string // of the refusal; empty: it works
}

// TestNewerServers tries what came after PostgreSQL 13 as far as this server has it.
func TestNewerServers(t *testing.T) {
	f := newFort(t, rich)
	who, ticket, own := f.hasTicket(0)
	victim := f.org.Customer(own.ID%f.org.Customers + 5)
	engineer := engineerOf(f)
	from := len(f.heard.String())
	tried := 0
	for _, k := range news() {
		if k.since > f.cluster.Major {
			continue
		}
		text := strings.NewReplacer("{own}", fmt.Sprint(own.ID), "{victim}", fmt.Sprint(victim.ID)).Replace(k.sql)
		for _, extended := range []bool{false, true} {
			c := f.connect(engineer)
			tried++
			c.must("BEGIN")
			rows, err := c.tell(text, extended)
			code := ""
			if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
				code = refused.Code
			}
			if code != k.code || code == "" && err != nil {
				t.Errorf("%d, extended %v: %s: %v, want %q", k.since, extended, text, err, k.code)
			}
			for _, value := range []string{victim.Email, victim.Phone, victim.FullName, own.Email} {
				if value != "" && strings.Contains(fmt.Sprint(rows, err, c.notices), value) {
					t.Errorf("%d, extended %v: %s: a value comes back", k.since, extended, text)
				}
			}
			_ = c.Close(t.Context())
		}
	}
	if tried == 0 {
		t.Skip("this server is of the oldest version that is supported")
	}
	// What is covered is readable, so something could have come back.
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", own.ID)); got != own.Email {
		t.Error("the agent's own customer is not readable: this proves nothing")
	}
	if seen := serverLog(t, f, from); strings.Contains(strings.ToLower(seen), "qq7") {
		i := strings.Index(strings.ToLower(seen), "qq7")
		t.Errorf("a value reached the server: …%s…", seen[max(0, i-200):min(len(seen), i+100)])
	}
}

// tell runs a statement in one of the two ways that the protocol has.
func (c *client) tell(text string, extended bool) (rows [][]string, err error) {
	if !extended {
		return c.rows(text)
	}
	r := c.PgConn().ExecParams(c.t.Context(), text, nil, nil, nil, nil).Read()
	for _, raw := range r.Rows {
		var row []string
		for _, field := range raw {
			row = append(row, string(field))
		}
		rows = append(rows, row)
	}
	return rows, r.Err
}

// TestNewerCopy leaves rows out that the server does not take (PostgreSQL 17): what it says of them holds no value of theirs.
func TestNewerCopy(t *testing.T) {
	f := newFort(t, rich)
	if f.cluster.Major < 17 {
		t.Skip("ON_ERROR came with PostgreSQL 17")
	}
	who, ticket, _ := f.hasTicket(0)
	from := len(f.heard.String())
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	options := []string{"ON_ERROR ignore, LOG_VERBOSITY verbose"}
	if f.cluster.Major >= 18 {
		options = append(options, "ON_ERROR ignore, REJECT_LIMIT 1, LOG_VERBOSITY silent")
	}
	for i, option := range options {
		data := fmt.Sprintf("92%d1,Qq Seven,qq7a@x.example,DE,p,now\n92%d2,Qq Seven,qq7b@x.example,DE,p,no date\n", i, i)
		data = strings.ReplaceAll(data, "qq7", fmt.Sprintf("qq7n%d", i))
		said := copyIn(t, c.PgConn(), "COPY support.customers (id, full_name, email, country, plan, created_at) FROM STDIN (FORMAT csv, "+option+")", data)
		if said != "COPY 1" {
			t.Errorf("%s: %s", option, said)
		}
		if got := c.one(fmt.Sprintf("SELECT count(*) FROM support.customers WHERE email = 'qq7n%da@x.example'", i)); got != "1" {
			t.Errorf("%s: the row that is whole is not there", option)
		}
	}
	if len(c.notices) == 0 {
		t.Error("the server says nothing of a row that it left out: this proves little")
	}
	if said := fmt.Sprint(c.noticeTexts(), serverLog(t, f, from)); strings.Contains(said, "qq7") {
		t.Error("a value reached the server or came back in a notice")
	}
}

func (c *client) noticeTexts() (texts []string) {
	for _, n := range c.notices {
		texts = append(texts, n.Message, n.Detail, n.Hint, n.Where)
	}
	return texts
}

// TestNewerVirtualColumn: PostgreSQL 18 computes a column when it is read. Made from a protected one it is garbage of a token, and
// cannot be asked for a value.
func TestNewerVirtualColumn(t *testing.T) {
	f := newFort(t, rich)
	if f.cluster.Major < 18 {
		t.Skip("virtual columns came with PostgreSQL 18")
	}
	who, ticket, own := f.hasTicket(0)
	f.superExec(f.database, `ALTER TABLE support.customers ADD COLUMN same text GENERATED ALWAYS AS (email) VIRTUAL, ADD COLUMN shout text GENERATED ALWAYS AS (upper(email)) VIRTUAL`)
	from := len(f.heard.String())
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	for _, row := range c.must(fmt.Sprintf("SELECT same, shout, email FROM support.customers WHERE id IN (%d, %d)", own.ID, own.ID%f.org.Customers+5)) {
		for _, value := range row {
			if strings.Contains(strings.ToLower(value), "@") && !strings.Contains(strings.ToLower(value), ".invalid") && value != own.Email {
				t.Error("a virtual column shows a value that is not covered")
			}
		}
	}
	for text, code := range map[string]string{"same = 'qq7@x.example'": "SP002", "shout = 'QQ7@X.EXAMPLE'": "SP002", "same LIKE 'qq7%'": "SP002"} {
		if err := c.fails("SELECT id FROM support.customers WHERE " + text); err.Code != code {
			t.Errorf("%s: %s %s", text, err.Code, err.Message)
		}
	}
	if seen := serverLog(t, f, from); strings.Contains(strings.ToLower(seen), "qq7") {
		t.Error("a value that was compared with a virtual column reached the server")
	}
}

// TestNewerTransactionTimeout: the server's own end of a session (PostgreSQL 17) arrives as it is.
func TestNewerTransactionTimeout(t *testing.T) {
	f := newFort(t, rich)
	if f.cluster.Major < 17 {
		t.Skip("transaction_timeout came with PostgreSQL 17")
	}
	who, _, _ := f.hasTicket(0)
	c := f.connect(who)
	c.must("SET transaction_timeout = 200")
	c.must("BEGIN")
	if err := c.fails("SELECT pg_sleep(20)"); err.Code != "25P04" {
		t.Errorf("got %s %s", err.Code, err.Message)
	}
	within(t, 5*time.Second, "the session is gone", func() bool { return f.server.gateway.Sessions() == 0 })
}

// TestNewerOAuth: the log-in by a bearer token (PostgreSQL 18) is relayed as any other that the server checks. No validator is at
// hand here, so what is compared is the offer, and the server's answer to one who comes without a token.
func TestNewerOAuth(t *testing.T) {
	h := gatehouseOf(t)
	if h.cluster.Major < 18 {
		t.Skip("OAuth came with PostgreSQL 18")
	}
	cluster, err := throwaway.Start(t.Context(), throwaway.Options{
		Settings: map[string]string{"oauth_validator_libraries": "no_such_validator"},
		Files:    map[string]string{"pg_hba.conf": "host all token 127.0.0.1/32 oauth issuer=\"https://id.example\" scope=\"db\"\nhost all all 127.0.0.1/32 scram-sha-256\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	g := (&gatehouse{cluster: cluster, ca: h.ca, shown: h.shown}).open(t, nil)
	var said [2][]string
	for i, address := range []string{net.JoinHostPort(cluster.Host, strconv.Itoa(cluster.Port)), g.Addr().String()} {
		said[i] = bearerless(t, address)
	}
	if strings.Join(said[0], "\n") != strings.Join(said[1], "\n") {
		t.Errorf("directly %q, through the gateway %q", said[0], said[1])
	}
	if len(said[0]) < 2 || !strings.Contains(said[0][0], "OAUTHBEARER") {
		t.Errorf("the server offers %q: this proves nothing", said[0])
	}
}

// bearerless asks for a log-in by a token and shows none.
func bearerless(t *testing.T, address string) (said []string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	front := pgproto3.NewFrontend(conn, conn)
	front.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "token", "database": "postgres"}})
	for range 10 {
		if err := front.Flush(); err != nil {
			t.Fatal(err)
		}
		m, err := front.Receive()
		if err != nil {
			return append(said, "the end")
		}
		switch m := m.(type) {
		case *pgproto3.AuthenticationSASL:
			said = append(said, strings.Join(m.AuthMechanisms, " "))
			front.Send(&pgproto3.SASLInitialResponse{AuthMechanism: "OAUTHBEARER", Data: []byte("n,,\x01auth=\x01\x01")})
		case *pgproto3.AuthenticationSASLContinue:
			said = append(said, string(m.Data))
			front.Send(&pgproto3.SASLResponse{Data: []byte("\x01")})
		case *pgproto3.ErrorResponse:
			said = append(said, m.Code+" "+m.Message)
		default:
			said = append(said, fmt.Sprintf("%T", m))
		}
	}
	return said
}
