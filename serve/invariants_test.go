package serve

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

// The invariants of docs/architecture.md, each a test of its name, against a real PostgreSQL and through the same Server
// that `sallyport serve` runs.

func TestInvariant3NoReasonNoReveal(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	_, foreign, other := f.hasTicket(1)
	c := f.connect(who)
	read := fmt.Sprintf("SELECT full_name, email, phone FROM support.customers WHERE id = %d", customer.ID)

	hidden := func(reason string) {
		t.Helper()
		for _, v := range c.must(read)[0] {
			if v == customer.FullName || v == customer.Email || v == customer.Phone {
				t.Errorf("%s: a value is readable", reason)
			}
		}
	}
	hidden("no purpose")
	if want := fmt.Sprintf("SET sallyport.purpose = 'ticket:%d';", ticket.ID); !c.heard(want) {
		t.Errorf("no notice with %s", want)
	}
	closed := closedTicket(f, who)
	for _, tt := range []struct{ reason, purpose, notice string }{
		{"foreign", "ticket:" + foreign.No, "somebody else's"},
		{"foreign by id", fmt.Sprintf("ticket:%d", foreign.ID), "somebody else's"},
		{"unknown", "ticket:CS-0000-0000", "no such ticket"},
		{"not a number", "ticket:everything", "no such ticket"},
		{"closed", fmt.Sprintf("ticket:%d", closed.ID), "closed"},
		{"another kind", "because:i-want", "kind"},
	} {
		c.notices = nil
		c.must("SET sallyport.purpose = '" + tt.purpose + "'")
		if !c.heard(tt.notice) {
			t.Errorf("%s: no notice with %q", tt.reason, tt.notice)
		}
		hidden(tt.reason)
	}

	for _, ref := range []string{ticket.No, fmt.Sprint(ticket.ID)} {
		c.must("SET sallyport.purpose = 'ticket:" + ref + "'")
		got := c.must(read)[0]
		if want := []string{customer.FullName, customer.Email, orNull(customer.Phone)}; !slices.Equal(got, want) {
			t.Errorf("with his own ticket he reads %q, want %q", got, want)
		}
		if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", other.ID)); got == other.Email {
			t.Error("another customer is readable under the ticket")
		}
	}
	c.must("RESET sallyport.purpose")
	hidden("reset")
}

// closedTicket is one that the agent had and that is closed.
func closedTicket(f *fort, who sallyport.Staff) sim.Ticket {
	f.t.Helper()
	for id := int64(1); id <= f.org.Tickets; id++ {
		if tk := f.org.Ticket(id); tk.Assignee == who && tk.State == sim.Closed {
			return tk
		}
	}
	f.t.Fatal("no closed ticket")
	return sim.Ticket{}
}

func orNull(s string) string {
	if s == "" {
		return "∅"
	}
	return s
}

func TestInvariant3SelfMadeReason(t *testing.T) {
	f := newFort(t, "")
	who, own, _ := f.hasTicket(0)
	victim := f.org.Customer(own.Customer%f.org.Customers + 7)
	c := f.connect(who)
	open := func(id int64, assignee sallyport.Staff) string {
		return fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at)
			VALUES (%d, 'CS-%04d-%04d', %d, '%s', 'q', 'open', 'help', now())`, id, id%10000, id%9999, victim.ID, assignee)
	}
	read := fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", victim.ID)
	hidden := func(session *client, what string, id int64) {
		t.Helper()
		session.notices = nil
		session.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", id))
		if session.one(read) == victim.Email {
			t.Errorf("%s: the victim is readable", what)
		}
		if len(session.notices) == 0 {
			t.Errorf("%s: no notice says why", what)
		}
	}

	c.must(open(900001, who))
	hidden(c, "opened for himself", 900001)

	c.must(open(900002, "s002"))
	c.must(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = 900002", who))
	hidden(c, "reassigned to himself", 900002)

	c.must("BEGIN")
	c.must(fmt.Sprintf("UPDATE support.tickets SET state = 'open' WHERE id = %d", closedTicket(f, who).ID))
	c.must("ROLLBACK")

	// What another connection has not committed does not count either.
	if err := c.fails(fmt.Sprintf("UPDATE support.tickets SET customer_id = %d WHERE id = %d", victim.ID, own.ID)); err.Code != "SP006" {
		t.Errorf("re-pointing his ticket: %s", err.Code)
	}

	// Around the gateway: a DBA re-points his ticket. That narrows; it does not open the victim.
	if _, err := f.direct().Exec(t.Context(), "UPDATE support.tickets SET customer_id = $1 WHERE id = $2", victim.ID, own.ID); err != nil {
		t.Fatal(err)
	}
	within(t, 3*time.Second, "the re-pointed ticket stops covering", func() bool {
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", own.ID))
		return c.heard("nobody is on record for the customer of ticket")
	})
	hidden(c, "re-pointed around the gateway", own.ID)

	// The router may; a customer's call recorded by telephony makes a self-opened ticket valid for a phone agent.
	router := f.connect("svc_router")
	router.must(open(900003, who))
	c.must("SET sallyport.purpose = 'ticket:900003'")
	if c.one(read) != victim.Email {
		t.Errorf("the router's ticket does not open: %v", c.notices)
	}
	c.must("RESET sallyport.purpose")
	phone := f.connect("svc_phone")
	phone.must(fmt.Sprintf(`INSERT INTO support.contacts (id, customer_id, ticket_id, channel, direction, staff, at)
		VALUES (900001, %d, NULL, 'call', 'in', '%s', now())`, victim.ID, who))
	within(t, 3*time.Second, "the call makes his own ticket valid", func() bool {
		c.must("SET sallyport.purpose = 'ticket:900001'")
		return c.one(read) == victim.Email
	})
}

func TestInvariant2NothingPlainPasses(t *testing.T) {
	f := newFort(t, "budgets: {default: {probed: {day: 10000, month: 10000}}}\n")
	who, ticket, customer := f.hasTicket(0)
	marks := []string{"qq7marker", "+15550177", "Qqmarker", "1931-07-19", "qq7text", "CS-7711-"}
	logAt := len(f.heard.String())

	simple := f.connect(who)
	simple.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%s'", ticket.No))
	simple.must(fmt.Sprintf(`UPDATE support.customers SET email = 'qq7marker1@x.example', phone = '+15550177001', full_name = 'Qqmarker One',
		birth_date = '1931-07-19', notes = 'qq7text' WHERE id = %d`, customer.ID))
	if got := simple.must(fmt.Sprintf("SELECT email, phone, full_name, birth_date, notes FROM support.customers WHERE id = %d", customer.ID))[0]; !slices.Equal(got,
		[]string{"qq7marker1@x.example", "+15550177001", "Qqmarker One", "1931-07-19", "qq7text"}) {
		t.Errorf("what he wrote reads %q", got)
	}
	for i, equal := range []string{
		"email = 'QQ7marker1@x.example'", "phone = '+1 555-0177001'", "full_name = 'Qqmarker One'", "birth_date = '1931-07-19'",
		"email IN ('qq7marker1@x.example', 'qq7marker9@x.example')", "email = ANY('{qq7marker1@x.example}')",
	} {
		if got := simple.must("SELECT id FROM support.customers WHERE " + equal); len(got) != 1 {
			t.Errorf("equality %d finds %d rows", i, len(got))
		}
	}
	for i, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		c := f.connect(who, mode)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		id := 910000 + i
		_, err := c.Exec(t.Context(), `INSERT INTO support.customers (id, full_name, email, phone, birth_date, country, plan, notes, created_at)
			VALUES ($1, $2, $3, $4, $5, 'DE', 'p', $6, now())`, id, fmt.Sprintf("Qqmarker M%d", i), fmt.Sprintf("qq7marker-m%d@x.example", i),
			fmt.Sprintf("+15550177%03d", 100+i), time.Date(1931, 7, 19, 0, 0, 0, 0, time.UTC), "qq7text by parameter")
		if err != nil {
			t.Fatalf("mode %s: %v", mode, err)
		}
		if got := c.one("SELECT id FROM support.customers WHERE email = $1", fmt.Sprintf("qq7marker-m%d@x.example", i)); got != fmt.Sprint(id) {
			t.Errorf("mode %s: found %s", mode, got)
		}
		if got := c.one("SELECT id FROM support.customers WHERE full_name = $1", fmt.Sprintf("Qqmarker M%d", i)); got != fmt.Sprint(id) {
			t.Errorf("mode %s: name found %s", mode, got)
		}
		if got := c.one("SELECT id FROM support.customers WHERE email = ANY($1)", []string{fmt.Sprintf("qq7marker-m%d@x.example", i)}); got != fmt.Sprint(id) {
			t.Errorf("mode %s: array found %s", mode, got)
		}
	}
	for i, load := range []struct{ options, data string }{ // by COPY, well and badly
		{"", "910010\tQqmarker C0\tqq7marker-c0@x.example\t+15550177200\t1931-07-19\tDE\tp\tqq7text by COPY\tnow\n"},
		{"CSV", "910011,\"Qqmarker C1\",qq7marker-c1@x.example,+15550177201,1931-07-19,DE,p,\"qq7text\nby COPY\",now\n"},
		{"CSV", "910012,Qqmarker C2,qq7marker-c2@x.example,\n"},
		{"", "910013\tQqmarker C3\tqq7marker-is-no-address\t\\N\t\\N\tDE\tp\t\\N\tnow\n"},
		{"CSV HEADER", "qq7marker@x.example\n910014,Qqmarker C4,qq7marker-c4@x.example,+15550177204,1931-07-19,DE,p,qq7text,now,qq7marker\n"},
	} {
		said := copyIn(t, simple.PgConn(), "COPY support.customers (id, full_name, email, phone, birth_date, country, plan, notes, created_at) FROM STDIN "+load.options, load.data)
		if (said == "COPY 1") != (i < 2) {
			t.Errorf("load %d: %s", i, said)
		}
	}
	refused := []string{
		"UPDATE support.customers SET email = lower('QQ7MARKER@x.example') WHERE id = 1",
		"UPDATE support.customers SET email = 'qq7marker' || '@x.example' WHERE id = 1",
		"INSERT INTO support.customers (id, full_name, email, country, plan, created_at) SELECT 1, concat('Qqmarker'), 'a', 'DE', 'p', now()",
		"SELECT id FROM support.customers WHERE email LIKE 'qq7marker%'",
		"SELECT id FROM support.customers WHERE lower(email) = 'qq7marker1@x.example'",
		"DO $$ BEGIN UPDATE support.customers SET email = 'qq7marker@x.example' WHERE id = 1; END $$",
		"COPY support.customers FROM STDIN (ENCODING 'LATIN1')", "COPY support.open_cases FROM STDIN",
		"UPDATE support.customers SET email = 'qq7marker-is-no-address' WHERE id = 1",
		"SELECT 'qq7marker",
	}
	for _, sql := range refused {
		if err := simple.fails(sql); !strings.HasPrefix(err.Code, "SP") && err.Code != "42601" {
			t.Errorf("%s: %s %s", sql, err.Code, err.Message)
		}
	}
	// A token does not move to another row.
	tok := f.direct().QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = 5")
	var stored string
	if err := tok.Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if err := simple.fails(fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", stored, customer.ID)); err.Code != "SP004" {
		t.Errorf("writing a token: %s", err.Code)
	}
	dump, err := throwaway.Dump(t.Context(), f.cluster.SuperDSN(f.database))
	if err != nil {
		t.Fatal(err)
	}
	seen := serverLog(t, f, logAt)
	for _, mark := range marks {
		if strings.Contains(dump, mark) {
			t.Errorf("%s stands in the database", mark)
		}
		if i := strings.Index(seen, mark); i >= 0 {
			t.Errorf("%s reached the server: …%s…", mark, seen[max(0, i-200):min(len(seen), i+100)])
		}
	}
	if strings.Contains(seen, ticket.No) {
		t.Error("the ticket's number of the purpose reached the server")
	}
}

// serverLog is what the server wrote from an offset on: with log_statement = all every statement and parameter.
func serverLog(t *testing.T, f *fort, from int) string {
	t.Helper()
	if log := f.heard.String()[from:]; strings.Contains(log, "support.customers") {
		return log
	}
	t.Fatal("the server's log holds no statements: this test would prove nothing")
	return ""
}

func TestInvariant4ExposureIsBounded(t *testing.T) {
	f := newFort(t, `budgets: {default: {revealed: {day: 3}, reached: {day: 100}, probed: {day: 5}}}
`)
	t.Run("revealed across sessions", func(t *testing.T) {
		who := f.org.Agents()[0].ID
		own := f.org.OpenTickets(who)
		shown := 0
		for i, id := range own[:6] {
			c, err := f.tryConnect(who)
			if err != nil {
				if i < 3 {
					t.Fatal(err)
				}
				break
			}
			customer := f.org.Customer(f.org.Ticket(id).Customer)
			c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", id))
			rows, err := c.rows(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
			if err != nil {
				if !strings.Contains(err.Error(), "revealed/day") {
					t.Errorf("cut without the budget's name: %v", err)
				}
				break
			}
			if rows[0][0] == customer.Email {
				shown++
			}
		}
		if shown != 3 {
			t.Errorf("%d customers were readable, the budget is 3", shown)
		}
		if _, err := f.tryConnect(who); err == nil || !strings.Contains(err.Error(), "suspended") {
			t.Errorf("a suspended person gets in: %v", err)
		}
	})
	t.Run("reached is cut in mid-result", func(t *testing.T) {
		c := f.connect(f.org.Agents()[1].ID)
		rows, err := c.rows("SELECT * FROM support.customers")
		if err == nil || !strings.Contains(err.Error(), "reached/day") || !strings.Contains(err.Error(), "FATAL") {
			t.Errorf("not cut with the budget's name: %v", err)
		}
		if len(rows) != 100 {
			t.Errorf("%d rows before the cut, the budget is 100", len(rows))
		}
	})
	t.Run("probes", func(t *testing.T) {
		c := f.connect(f.org.Agents()[2].ID)
		var err error
		n := 0
		for ; n < 20 && err == nil; n++ {
			_, err = c.rows(fmt.Sprintf("SELECT id FROM support.customers WHERE email = 'guess%d@x.example'", n))
		}
		if n != 6 || err == nil || !strings.Contains(err.Error(), "probed/day") {
			t.Errorf("after %d guesses: %v", n, err)
		}
	})
	t.Run("a statement that writes runs to its end", func(t *testing.T) {
		who := f.org.Agents()[3].ID
		c := f.connect(who)
		rows, err := c.rows("UPDATE support.customers SET plan = 'cut' RETURNING id, email")
		if err == nil || !strings.Contains(err.Error(), "FATAL") {
			t.Errorf("the session goes on: %v", err)
		}
		if len(rows) != 100 {
			t.Errorf("%d rows came back, the budget is 100", len(rows))
		}
		var n int64
		if err := f.direct().QueryRow(t.Context(), "SELECT count(*) FROM support.customers WHERE plan = 'cut'").Scan(&n); err != nil || n < f.org.Customers {
			t.Errorf("%d rows were written: %v", n, err)
		}
		if !c.heard("left out") {
			t.Error("no warning")
		}
		if _, err := f.tryConnect(who); err == nil {
			t.Error("not suspended")
		}
	})
	t.Run("a second e-mail under a customer is another customer", func(t *testing.T) {
		who, ticket, _ := f.hasTicket(4)
		c := f.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		seen := map[string]bool{}
		var err error
		for i := int64(1); i <= 5 && err == nil; i++ {
			victim := f.org.Customer((ticket.Customer+i)%f.org.Customers + 1)
			stealInto(t, f, victim.ID, ticket.Customer)
			within(t, 3*time.Second, "the row's new value is covered, or the budget cuts", func() bool {
				var rows [][]string
				rows, err = c.rows(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", ticket.Customer))
				if err == nil && rows[0][0] == victim.Email {
					seen[victim.Email] = true
				}
				return err != nil || seen[victim.Email]
			})
		}
		if err == nil || !strings.Contains(err.Error(), "revealed/day") || len(seen) != 3 {
			t.Errorf("%d victims through one row, the budget is 3: %v", len(seen), err)
		}
	})
	f.restart()
	if _, err := f.tryConnect(f.org.Agents()[0].ID); err == nil {
		t.Error("a restart forgot the suspension")
	}
}

// stealInto is a DBA who copies a victim's e-mail token into a row that an agent may read.
func stealInto(t *testing.T, f *fort, victim, row int64) {
	t.Helper()
	conn := f.direct()
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err := conn.Exec(t.Context(), fmt.Sprintf(`DO $$ DECLARE v text; BEGIN
		SELECT email INTO v FROM support.customers WHERE id = %d;
		UPDATE support.customers SET email = 'gone' || id WHERE id = %d;
		UPDATE support.customers SET email = v WHERE id = %d; END $$`, victim, victim, row))
	if err != nil {
		t.Fatal(err)
	}
}

func TestInvariant8NothingBlurts(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must("SET sallyport.purpose = 'ticket:" + ticket.No + "'")
	secrets := []string{customer.Email, customer.FullName, ticket.No, "zz9secret", f.passwords[who], "o1-password"}
	if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != customer.Email {
		t.Fatalf("not revealed: %v", c.notices)
	}
	for _, sql := range []string{
		"SELECT zz9secret", "SELECT 'zz9secret'::int", "SELECT 'zz9secret", "INSERT INTO support.customers VALUES ('zz9secret')",
		"SELECT id FROM support.customers WHERE email = 'zz9secret@x.example' AND 1/0 = 1",
		"UPDATE support.customers SET email = 'zz9secret' WHERE id = 1", "SELECT * FROM support.customers WHERE email LIKE 'zz9secret%'",
		fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", customer.Email, customer.ID%f.org.Customers+1),
	} {
		if _, err := c.rows(sql); err == nil && strings.Contains(sql, "zz9secret") && !strings.Contains(sql, "1/0") {
			t.Errorf("%s: no error", sql)
		}
	}
	_, _ = c.PgConn().Exec(t.Context(), "SELECT 1; SELECT 'zz9secret' FROM nowhere").ReadAll()
	for _, raw := range [][]byte{[]byte("zz9secret zz9secret zz9secret"), {0, 0, 0, 8, 4, 210, 22, 47}, []byte("Q\x00\x00\x00\x03zz9secret")} {
		poke(t, f, raw)
	}
	if err := f.officer("o1").Lock(t.Context(), who, "a reason"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o1").WhoSaw(t.Context(), sallyport.Subject(fmt.Sprint(customer.ID))); err != nil {
		t.Fatal(err)
	}
	f.stop()
	held := f.log.String() + everything(t, f.options.Data)
	keyFile, err := os.ReadFile(f.options.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(keyFile)) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY") {
			secrets = append(secrets, strings.TrimSpace(line))
		}
	}
	opened := ringKeys(t, f.options.Data, f.options.KeyFile)
	if len(opened) < 3 {
		t.Errorf("only %d keys were looked for", len(opened))
	}
	for _, key := range opened {
		secrets = append(secrets, spelt(key)...)
	}
	for i, s := range secrets {
		if strings.Contains(held, s) {
			t.Errorf("secret %d stands in the log or in the data folder", i)
		}
	}
	if held == "" {
		t.Error("nothing was written at all: this test would prove nothing")
	}
}

// everything is all bytes of a folder's files.
func everything(t *testing.T, folder string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // the test's own folder
		b.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// poke sends raw bytes and reads what comes back until the gateway closes.
func poke(t *testing.T, f *fort, raw []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", f.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = conn.Write(raw)
	_ = conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // what Dial returns for tcp
	_, _ = io.Copy(io.Discard, conn)
}
