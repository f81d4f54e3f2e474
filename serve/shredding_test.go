package serve

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/control"
	"sallyport/protect"
	"sallyport/sim"
)

// shredGrants lets one person read all columns of everybody.
const shredGrants = wideBudgets + `
keys: {backup_days: 90}
grants:
  standing:
    - {id: G1, for: s050, columns: [support.customers.full_name, support.customers.email, support.customers.phone, support.customers.birth_date, support.customers.notes, support.tickets.ticket_no, support.tickets.subject, support.messages.body], customers: 100000, until: 2099-01-01T00:00:00Z, approved_by: [o1, o2]}
`

// shredViews are queries for all that the reference database holds of a customer.
var shredViews = []string{ //nolint:gochecknoglobals // constant
	"SELECT id::text, full_name, email, phone, birth_date::text, notes FROM support.customers WHERE id = %d",
	"SELECT customer_id::text, ticket_no, subject FROM support.tickets WHERE customer_id = %d ORDER BY id",
	"SELECT t.customer_id::text, m.body FROM support.messages m JOIN support.tickets t ON t.id = m.ticket_id WHERE t.customer_id = %d ORDER BY m.id",
}

// storedOf is what the database itself holds of a customer, NULLs and keys left out.
func (f *fort) storedOf(t *testing.T, admin *pgx.Conn, id int64) (texts []string) {
	t.Helper()
	for _, view := range shredViews {
		rows, err := admin.Query(f.ctx, fmt.Sprintf(view, id), pgx.QueryExecModeSimpleProtocol)
		fatal(t, err)
		for rows.Next() {
			for _, raw := range rows.RawValues()[1:] {
				if raw != nil {
					texts = append(texts, string(raw))
				}
			}
		}
		fatal(t, rows.Err())
	}
	return texts
}

// othersSum changes with anything that the database holds of anybody else.
func (f *fort) othersSum(t *testing.T, admin *pgx.Conn, id int64) (sum string) {
	t.Helper()
	fatal(t, admin.QueryRow(f.ctx, fmt.Sprintf(`SELECT
		(SELECT md5(string_agg(c::text, '|' ORDER BY id)) FROM support.customers c WHERE id <> %[1]d) ||
		(SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM support.tickets t WHERE customer_id <> %[1]d) ||
		(SELECT md5(string_agg(m::text, '|' ORDER BY m.id)) FROM support.messages m JOIN support.tickets t ON t.id = m.ticket_id WHERE customer_id <> %[1]d)`, id)).Scan(&sum))
	return sum
}

// shredded is the state of the proposals to shred a customer.
func (f *fort) shredded(id int64) (done bool) {
	for _, p := range f.server.State.Approved(control.Shred) {
		done = done || p.Done && p.Details == fmt.Sprint(id)
	}
	return done
}

// shred has two officers agree, and waits until it is done.
func (f *fort) shred(t *testing.T, id int64) {
	t.Helper()
	f.agree(t, func() (string, error) { return f.officer("o1").Shred(f.ctx, fmt.Sprint(id), "asked for erasure") })
	awaitCondition(t, "the customer is shredded", func() bool { return f.shredded(id) })
}

// readsNothing has somebody read all of a customer in many ways; none of the plain values may come.
func (f *fort) readsNothing(t *testing.T, when string, c *client, id int64, plain []string) {
	t.Helper()
	views := slices.Clone(shredViews)
	for _, view := range shredViews {
		views = append(views, "SELECT to_json(x)::text, x::text FROM ("+view+") x")
	}
	views = append(views,
		"SELECT full_name, email, phone, birth_date, notes FROM support.customers WHERE id = %d", // its key is not shown
		"SELECT ticket_no, subject FROM support.tickets WHERE customer_id = %d",
		"SELECT upper(full_name), email || '' FROM support.customers WHERE id = %d")
	for _, view := range views {
		rows, err := c.rows(fmt.Sprintf(view, id))
		if err != nil {
			t.Fatalf("%s: %s: %v", when, view, err)
		}
		if len(rows) == 0 {
			t.Fatalf("%s: %s found no row: the check proves nothing", when, view)
		}
		for _, row := range rows {
			for _, field := range row {
				for _, value := range plain {
					if len(value) > 3 && strings.Contains(strings.ToLower(field), strings.ToLower(value)) {
						t.Errorf("%s: %s gave %q", when, view, value)
					}
				}
			}
		}
	}
}

func plainOf(c *sim.Customer) []string {
	return []string{c.FullName, strings.ToLower(c.Email), c.Phone}
}

// TestShred shreds a customer: nobody reads a value of his any more, by a reason, under a grant, by searching or in a snapshot from
// before; everybody else's rows are what they were.
func TestShred(t *testing.T) {
	f := newFort(t, shredGrants)
	admin := f.direct()
	agent, ticket, victim := f.hasTicket(0)
	_, _, other := f.hasTicket(1)
	if victim.ID == other.ID {
		t.Skip("both agents serve one customer")
	}
	f.proposesShred(t, victim.ID)

	a, g := f.connect(agent), f.connect("s050")
	a.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	before, others := f.storedOf(t, admin, victim.ID), f.othersSum(t, admin, victim.ID)
	var plain []string
	for _, view := range shredViews {
		for _, row := range g.must(fmt.Sprintf(view, victim.ID)) {
			plain = append(plain, row[1:]...)
		}
	}
	for _, c := range []*client{a, g} {
		if got := c.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", victim.ID)); got != victim.FullName {
			t.Fatalf("before, the name reads as %q", got)
		}
	}
	plain = slices.DeleteFunc(plain, func(s string) bool { return s == "∅" || slices.Contains(before, s) })
	if len(plain) < 6 {
		t.Fatalf("only %d values of the customer could be read before", len(plain))
	}
	old := f.connect("s050")
	old.must("BEGIN ISOLATION LEVEL REPEATABLE READ")
	old.must("SELECT count(*) FROM support.customers")
	old.must(fmt.Sprintf("DECLARE c CURSOR FOR SELECT email, phone, full_name FROM support.customers WHERE id = %d", victim.ID))

	f.shred(t, victim.ID)
	after := f.storedOf(t, admin, victim.ID)
	if len(after) != len(before) {
		t.Fatalf("%d values became %d", len(before), len(after))
	}
	for i := range after {
		if slices.Contains(before, after[i]) {
			t.Errorf("a token stands as it was: %s", after[i])
		}
	}
	if f.othersSum(t, admin, victim.ID) != others {
		t.Error("rows of other customers were changed")
	}
	f.readsNothing(t, "under a grant", g, victim.ID, plain)
	f.readsNothing(t, "in a snapshot from before", old, victim.ID, plain)
	for _, field := range old.must("FETCH ALL FROM c")[0] {
		if slices.Contains(plain, field) {
			t.Errorf("a cursor from before gave %q", field)
		}
	}
	f.findsNothing(t, g, &victim)
	for range 2 {
		c := f.connect(agent)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d,work:mine'", ticket.ID))
		f.readsNothing(t, "by a reason", c, victim.ID, plain)
		c = f.connect("s050")
		f.readsNothing(t, "under a grant", c, victim.ID, plain)
		if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", other.ID)); got != strings.ToLower(other.Email) {
			t.Errorf("another customer's address reads as %q", got)
		}
		f.restart()
	}
	f.writesBack(t, admin, before, &victim, &other)
}

// proposesShred: one person alone does nothing, nor without the right to change rows, nor of nobody.
func (f *fort) proposesShred(t *testing.T, id int64) {
	t.Helper()
	if _, err := f.officer("o1").Shred(f.ctx, fmt.Sprint(id), "erasure"); err == nil || !strings.Contains(err.Error(), "may not change") {
		t.Errorf("the reader may not change the rows: %v", err)
	}
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	for customer, want := range map[string]string{"99999999": "o row of a customer", "": "which customer", "'; --": ""} {
		if _, err := f.officer("o1").Shred(f.ctx, customer, "erasure"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("customer %q: %v, want %q", customer, err, want)
		}
	}
	proposal, err := f.officer("o1").Shred(f.ctx, fmt.Sprint(id), "erasure")
	fatal(t, err)
	if _, err := f.officer("o2").Shred(f.ctx, fmt.Sprint(id), "erasure"); err == nil || !strings.Contains(err.Error(), "proposed already") {
		t.Errorf("proposed twice: %v", err)
	}
	if _, err := f.officer("o1").Approve(f.ctx, proposal); err == nil {
		t.Error("one person alone shredded a customer")
	}
	if f.server.State.Barred(sallyport.Subject(fmt.Sprint(id))) {
		t.Error("a proposal alone took effect")
	}
	_, err = f.officer("o3").Decline(f.ctx, proposal)
	fatal(t, err)
}

// findsNothing searches by everything that was known of a customer.
func (f *fort) findsNothing(t *testing.T, c *client, victim *sim.Customer) {
	t.Helper()
	for sql, arg := range map[string]string{
		"SELECT id::text FROM support.customers WHERE email = $1":                                           victim.Email,
		"SELECT id::text FROM support.customers WHERE phone = $1 AND id = " + fmt.Sprint(victim.ID):         victim.Phone,
		"SELECT id::text FROM support.customers WHERE full_name = $1 AND id = " + fmt.Sprint(victim.ID):     victim.FullName,
		"SELECT id::text FROM support.customers WHERE email = ANY (ARRAY[$1]) AND plan IS NOT NULL LIMIT 1": victim.Email,
	} {
		if rows := c.must(sql, arg); len(rows) > 0 {
			t.Errorf("%s still finds %s", sql, rows[0][0])
		}
	}
}

// writesBack has a DBA put tokens of the shredded customer, former and random, into another's rows.
func (f *fort) writesBack(t *testing.T, admin *pgx.Conn, before []string, victim, other *sim.Customer) {
	t.Helper()
	g := f.connect("s050")
	exec := func(sql string, args ...any) {
		_, err := admin.Exec(f.ctx, sql, args...)
		fatal(t, err)
	}
	// before is in the order of shredViews: name, e-mail, phone and so on.
	exec("UPDATE support.customers SET full_name = $1, email = $2 WHERE id = $3", before[0], before[1], other.ID)
	for _, sql := range []string{"SELECT id, full_name FROM support.customers WHERE id = %d", "SELECT full_name, email FROM support.customers WHERE id = %d", "SELECT email FROM support.customers WHERE id = %d"} {
		for _, field := range g.must(fmt.Sprintf(sql, other.ID))[0] {
			if field == victim.FullName || field == strings.ToLower(victim.Email) {
				t.Errorf("%s gave %q", sql, field)
			}
		}
	}
	// A random number decrypts to a number that somebody may have.
	f.stop()
	reveal := f.plainCodecs(t)
	f.start()
	g = f.connect("s050")
	var dead string
	fatal(t, admin.QueryRow(f.ctx, "SELECT ticket_no FROM support.tickets WHERE customer_id = $1 LIMIT 1", victim.ID).Scan(&dead))
	stands, err := reveal("support.tickets.ticket_no", dead)
	fatal(t, err)
	for _, sql := range []string{"SELECT customer_id FROM support.tickets WHERE ticket_no = '" + stands + "'", fmt.Sprintf("UPDATE support.tickets SET ticket_no = '%s' WHERE customer_id = %d", stands, other.ID)} {
		if refused := g.fails(sql); !strings.Contains(refused.Message, "drawn at random") {
			t.Errorf("%s: %s", sql[:30], refused.Message)
		}
	}
	exec("UPDATE support.tickets SET ticket_no = ticket_no || '0' WHERE customer_id = $1", victim.ID)
	exec("UPDATE support.tickets SET ticket_no = $1 WHERE id = (SELECT min(id) FROM support.tickets WHERE customer_id = $2)", dead, other.ID)
	for _, row := range g.must(fmt.Sprintf("SELECT customer_id, ticket_no FROM support.tickets WHERE customer_id = %d", other.ID)) {
		if row[1] == stands {
			t.Errorf("a random number was revealed in another's row: %q", row[1])
		}
	}
	// All other schemes' random tokens stand for nothing, whatever is asked.
	var email, phone, name, born *string
	fatal(t, admin.QueryRow(f.ctx, "SELECT email, phone, full_name, birth_date::text FROM support.customers WHERE id = $1", victim.ID).Scan(&email, &phone, &name, &born))
	for column, tok := range map[string]*string{"email": email, "phone": phone, "full_name": name, "birth_date": born} {
		if tok == nil {
			continue
		}
		if _, err := reveal("support.customers."+column, *tok); err == nil {
			t.Errorf("the random token of %s stands for a value", column)
		}
	}
}

// plainCodecs reveals with the keys of the data folder, while no serve runs.
func (f *fort) plainCodecs(t *testing.T) func(column, stored string) (string, error) {
	t.Helper()
	opened, err := OpenKeys(f.config, f.ctx, Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	fatal(t, err)
	ring, err := f.config.Ring(opened.Keys())
	fatal(t, err)
	columns, err := f.config.Codecs(ring)
	fatal(t, err)
	return func(column, stored string) (string, error) {
		i := slices.IndexFunc(columns, func(c protect.Column) bool { return c.Column.String() == column })
		out, err := columns[i].Codec.Reveal(nil, []byte(stored))
		return string(out), err
	}
}

// TestShredReplayed puts a copy of the database from before the shredding back: it is shredded again before anybody is served.
func TestShredReplayed(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, shredGrants)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	_, _, victim := f.hasTicket(0)
	f.stop()
	f.superExec("postgres", "CREATE DATABASE "+f.database+"_old TEMPLATE "+f.database)
	f.start()
	admin := f.direct()
	before, others := f.storedOf(t, admin, victim.ID), f.othersSum(t, admin, victim.ID)
	fatal(t, admin.Close(f.ctx))
	f.shred(t, victim.ID)
	f.stop()
	f.superExec("postgres", "DROP DATABASE "+f.database)
	f.superExec("postgres", "ALTER DATABASE "+f.database+"_old RENAME TO "+f.database)
	admin = f.direct()
	if !slices.Equal(f.storedOf(t, admin, victim.ID), before) {
		t.Fatal("the copy is not from before")
	}
	f.start() // returns when clients are served
	for _, text := range f.storedOf(t, admin, victim.ID) {
		if slices.Contains(before, text) {
			t.Errorf("served with a token from before: %s", text)
		}
	}
	if f.othersSum(t, admin, victim.ID) != others {
		t.Error("rows of other customers were changed")
	}
	f.readsNothing(t, "after the copy was put back", f.connect("s050"), victim.ID, plainOf(&victim))
	if !strings.Contains(f.log.String(), "had values in the database again") {
		t.Error("the log does not tell")
	}

	// The same under a running serve: the mark is not as far as it was.
	_, err := admin.Exec(f.ctx, "UPDATE support.customers SET full_name = $1, email = $2, phone = $3 WHERE id = $4", before[0], before[1], before[2], victim.ID)
	fatal(t, err)
	f.readsNothing(t, "before the older copy was noticed", f.connect("s050"), victim.ID, plainOf(&victim))
	_, err = admin.Exec(f.ctx, "UPDATE sallyport.mark SET position = 0")
	fatal(t, err)
	awaitCondition(t, "the older copy is shredded", func() bool {
		return !slices.ContainsFunc(f.storedOf(t, admin, victim.ID), func(text string) bool { return slices.Contains(before, text) })
	})
}

// TestShredVault: what the vault keeps of a customer goes, and stays where somebody else has the same value.
func TestShredVault(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newVaultFort(t)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	agent, ticket, victim := f.hasTicket(0)
	other, elsewhere, stranger := f.hasTicket(1)
	if victim.ID == stranger.ID {
		t.Skip("both agents serve one customer")
	}
	read := func(who sallyport.Staff, ticket, customer int64) string {
		c := f.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket))
		return c.one(fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", customer))
	}
	for who, at := range map[sallyport.Staff][2]int64{agent: {ticket.ID, victim.ID}, other: {elsewhere.ID, stranger.ID}} {
		c := f.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", at[0]))
		c.must(fmt.Sprintf("UPDATE support.customers SET phone = '%s' WHERE id = %d", longPhone, at[1]))
		within(t, 5*time.Second, "what was written can be read", func() bool { return read(who, at[0], at[1]) == longPhone })
	}
	f.shred(t, victim.ID)
	if n := f.ask("SELECT count(*)::text FROM sallyport.vault"); n != "1" {
		t.Errorf("somebody else has the value, and the vault holds %s", n)
	}
	if got := read(agent, ticket.ID, victim.ID); got == longPhone {
		t.Error("the number of the shredded customer is read")
	}
	if got := read(other, elsewhere.ID, stranger.ID); got != longPhone {
		t.Errorf("another customer's number reads as %q", got)
	}
	f.shred(t, stranger.ID)
	if n := f.ask("SELECT count(*)::text FROM sallyport.vault"); n != "0" {
		t.Errorf("nobody has the value, and the vault holds %s", n)
	}
}

// TestShredList prints what became of a proposal, for people and for programs.
func TestShredList(t *testing.T) {
	f := newFort(t, shredGrants)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	_, _, victim := f.hasTicket(0)
	run := func(args ...string) string {
		var out, errs bytes.Buffer
		m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) string {
			return map[string]string{passwordVariable: "o1-password"}[name]
		}}
		if err := m.Run(f.ctx, append(args, "--data", f.options.Data, "--as", "o1")); err != nil {
			t.Errorf("%v: %v %s", args, err, errs.String())
		}
		return out.String()
	}
	if out := run("keys", "shred", fmt.Sprint(victim.ID), "--reason", "asked for erasure"); !strings.Contains(out, "Proposed as") {
		t.Errorf("proposing printed %q", out)
	}
	id := f.server.State.Proposals()[0].ID
	if out := run("keys", "shred", "--list"); !strings.Contains(out, id) || !strings.Contains(out, "open") {
		t.Errorf("--list printed %q", out)
	}
	_, err := f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	awaitCondition(t, "the customer is shredded", func() bool { return f.shredded(victim.ID) })
	until := time.Now().AddDate(0, 0, 90).Format(time.DateOnly)
	if out := run("keys", "shred", "--list"); !strings.Contains(out, "shredded") || !strings.Contains(out, "kept until "+until) {
		t.Errorf("--list printed %q", out)
	}
	if out := run("keys", "shred", "--list", "--json"); !strings.Contains(out, `"state":"shredded"`) {
		t.Errorf("--list --json printed %q", out)
	}
}
