package serve

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	longPhone      = "+492071838750123" // 15 digits: no token of the scheme stands for it
	longPhoneInUse = "+49 (20) 7183-8750 123"
)

// newVaultFort is a fort whose telephone numbers may overflow.
func newVaultFort(t *testing.T) *fort {
	t.Helper()
	f := newFort(t, "", exporting(t))
	f.stop()
	f.edit("support.customers.phone:      {class: contact, scheme: phone}", "support.customers.phone:      {class: contact, scheme: phone, overflow: vault}")
	f.superExec(f.database, "DROP TABLE sallyport.vault")
	f.refuses("run 'sallyport protect' once more, which makes it")
	if err := f.protect(); err != nil {
		t.Fatal(err)
	}
	f.start()
	return f
}

// ask is one value from the database itself.
func (f *fort) ask(sql string) string {
	f.t.Helper()
	conn, err := pgx.Connect(f.ctx, f.cluster.SuperDSN(f.database))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(f.ctx))
	var out string
	if err := conn.QueryRow(f.ctx, sql).Scan(&out); err != nil {
		f.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// TestVault writes, reads, searches and copies a value that its scheme has no token for.
func TestVault(t *testing.T) {
	f := newVaultFort(t)
	who, ticket, customer := f.hasTicket(0)
	other, elsewhere, stranger := f.hasTicket(1)
	from := len(f.heard.String())
	c, binary := f.connect(who), f.connect(who, pgx.QueryExecModeCacheStatement)
	for _, c := range []*client{c, binary} {
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	}
	if err := c.fails(fmt.Sprintf("UPDATE support.customers SET email = '%s@example.org' WHERE id = %d", strings.Repeat("x", 200), customer.ID)); err.Code != "SP005" || !strings.Contains(err.Message, "longer than") {
		t.Errorf("a column without a vault: %s %s", err.Code, err.Message)
	}

	// A rolled-back statement leaves a row in the vault that nothing uses, and the next one takes the same token.
	c.must("BEGIN")
	c.must(fmt.Sprintf("UPDATE support.customers SET phone = '%s' WHERE id = %d", longPhoneInUse, customer.ID))
	if got := c.one(fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", customer.ID)); got != longPhone {
		t.Errorf("within the transaction it is %q", got)
	}
	c.must("ROLLBACK")
	kept := f.ask("SELECT string_agg(token, ' ') FROM sallyport.vault")
	binary.must("UPDATE support.customers SET phone = $1 WHERE id = $2", longPhone, customer.ID)
	stored := f.ask(fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", customer.ID))
	if stored != kept || len(stored) != 15 || !strings.HasPrefix(stored, "+89") {
		t.Errorf("stored %q, in the vault %q", stored, kept)
	}

	read := fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", customer.ID)
	for _, sql := range []string{
		read, "SELECT phone FROM support.customers WHERE phone = '" + longPhoneInUse + "'", "SELECT x FROM (" + read + " UNION " + read + ") u (x)",
		"SELECT to_json(c) ->> 'phone' FROM support.customers c WHERE phone IN ('0049 2071838750123', '+442071838750')",
	} {
		if got := c.one(sql); got != longPhone {
			t.Errorf("%s: %q, want %q", sql, got, longPhone)
		}
	}
	if got := binary.must("SELECT id FROM support.customers WHERE phone = $1", longPhone); len(got) != 1 {
		t.Errorf("a parameter finds %v", got)
	}
	if got := c.must("SELECT id FROM support.customers WHERE phone = '+49 1111 2222 3333 444'"); len(got) != 0 || f.ask("SELECT count(*)::text FROM sallyport.vault") != "1" {
		t.Errorf("a search for what is not kept found %v, or kept it", got)
	}

	// Somebody else, whose purpose does not cover the customer, reads the token; so does everybody without a purpose.
	d := f.connect(other)
	d.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", elsewhere.ID))
	if got := d.one(read); got != stored {
		t.Errorf("outside of the purpose it reads as %q", got)
	}
	// Equal values have one token, whoever writes them.
	d.must(fmt.Sprintf("UPDATE support.customers SET phone = '%s' WHERE id = %d", longPhone, stranger.ID))
	if got := f.ask(fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", stranger.ID)); got != stored {
		t.Errorf("the same number became %q, before %q", got, stored)
	}
	var out bytes.Buffer
	if _, err := c.PgConn().CopyTo(t.Context(), &out, "COPY ("+read+") TO STDOUT"); err != nil || out.String() != longPhone+"\n" {
		t.Errorf("copied out as %q, %v", out.String(), err)
	}
	// The vault is nobody's but the gateway's.
	for _, sql := range []string{"SELECT * FROM sallyport.vault", "INSERT INTO sallyport.vault VALUES ('x', 'x', 'x')", "DELETE FROM sallyport.vault"} {
		if err := c.fails(sql); err.Code != "42501" && !strings.HasPrefix(err.Code, "SP") {
			t.Errorf("%s: %s", sql, err.Code)
		}
	}
	f.restart()
	c = f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one(read); got != longPhone {
		t.Errorf("after a restart it is %q", got)
	}
	f.superExec(f.database, "SELECT 'the end of the vault'")
	within(t, 5*time.Second, "the server's log has everything", func() bool { return strings.Contains(f.heard.String()[from:], "the end of the vault") })
	if heard := f.heard.String()[from:]; strings.Contains(heard, "2071838750") || strings.Contains(heard, "7183-8750") {
		t.Error("the number reached the server")
	}
}

// TestVaultAltered has a DBA exchange what stands in the vault: nothing of it is believed.
func TestVaultAltered(t *testing.T) {
	f := newVaultFort(t)
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	const second = "+492071838750999"
	write := func(phone string) error {
		_, err := c.Exec(t.Context(), fmt.Sprintf("UPDATE support.customers SET phone = '%s' WHERE id = %d", phone, customer.ID))
		return err
	}
	for _, phone := range []string{longPhone, second} {
		if err := write(phone); err != nil {
			t.Fatal(err)
		}
	}
	read := fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", customer.ID)
	stored := f.ask(read)

	f.superExec(f.database, "UPDATE sallyport.vault v SET sealed = w.sealed FROM sallyport.vault w WHERE w.token <> v.token")
	f.restart()
	c = f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one(read); got != stored {
		t.Errorf("with another's sealed value it reads as %q", got)
	}
	if err := write(second); err == nil || !strings.Contains(err.Error(), "the vault cannot be reached") {
		t.Errorf("an altered row was used: %v", err)
	}
	f.superExec(f.database, "DELETE FROM sallyport.vault")
	f.restart()
	c = f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one(read); got != stored {
		t.Errorf("without its row it reads as %q", got)
	}
}

// TestVaultMovesIn protects a column in which values stand that no token can stand for, again, and lets them out.
func TestVaultMovesIn(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, "")
	f.stop()
	f.superExec(f.database, `CREATE TABLE support.lines (customer_id bigint PRIMARY KEY REFERENCES support.customers, line varchar(40));
		GRANT SELECT, UPDATE ON support.lines TO support_agents;
		INSERT INTO support.lines SELECT id, '+44 20 7183 ' || 1000 + id FROM support.customers WHERE id <= 500;
		UPDATE support.lines SET line = '+49 (20) 7183-8750 123' WHERE customer_id % 100 = 7;
		UPDATE support.lines SET line = 'ask for extension ' || customer_id WHERE customer_id % 100 = 8`)
	const line = "    support.lines.line: {class: contact, scheme: phone"
	f.edit("  paths:\n", line+"}\n  paths:\n    support.lines: customer_id\n")
	if err := f.protect(); err == nil || !strings.Contains(err.Error(), "5 values have no token") {
		t.Fatalf("without a vault: %v", err)
	}
	f.edit(line, line+", overflow: vault")
	for range 2 { // a second run finds all of it done
		if err := f.protect(); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.ask("SELECT count(*)::text FROM sallyport.vault"); got != "6" { // five extensions, and one number that five have
		t.Errorf("%s values are in the vault", got)
	}
	if got := f.ask("SELECT count(*)::text FROM support.lines WHERE line NOT LIKE '+89%'"); got != "0" {
		t.Errorf("%s values are no tokens", got)
	}
	if got := f.ask("SELECT count(*) || ' ' || count(DISTINCT line) FROM support.lines WHERE length(line) = 15"); got != "10 6" {
		t.Errorf("random tokens, and different ones: %s", got)
	}
	f.start()
	who, ticket, customer := f.hasTicket(0)
	f.superExec(f.database, fmt.Sprintf("UPDATE support.lines l SET line = m.line FROM support.lines m WHERE m.customer_id = 7 AND l.customer_id = %d", customer.ID))
	f.superExec(f.database, fmt.Sprintf("INSERT INTO support.lines SELECT %d, line FROM support.lines WHERE customer_id = 7 ON CONFLICT DO NOTHING", customer.ID))
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one(fmt.Sprintf("SELECT line FROM support.lines WHERE customer_id = %d", customer.ID)); got != longPhone {
		t.Errorf("a value that was moved in reads as %q", got)
	}

	// Let out again beside the running serve, once two people agreed.
	_ = c.Close(t.Context())
	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o2").Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id }); err != nil {
		t.Fatal(err)
	}
	if got := f.ask("SELECT line FROM support.lines WHERE customer_id = 107"); got != longPhone {
		t.Errorf("let out it is %q", got)
	}
	if got := f.ask("SELECT line FROM support.lines WHERE customer_id = 108"); got != "ask for extension 108" {
		t.Errorf("let out it is %q", got)
	}
}

// TestVaultProbes: what is over the budget of probes leaves no row in the vault.
func TestVaultProbes(t *testing.T) {
	f := newVaultFort(t)
	f.stop()
	f.edit("people:\n", "budgets: {default: {probed: {hour: 3, day: 3, month: 3}}}\npeople:\n")
	f.start()
	c := f.connect(f.org.Agents()[0].ID)
	for i := range 6 {
		if _, err := c.rows(fmt.Sprintf("UPDATE support.customers SET phone = '+49207183875%04d' WHERE id = 1", i)); err != nil {
			break
		}
	}
	if kept := f.ask("SELECT count(*)::text FROM sallyport.vault"); kept != "3" {
		t.Errorf("%s values are kept, with a budget of 3 probes", kept)
	}
}
