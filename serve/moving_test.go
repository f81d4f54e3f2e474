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
	"sallyport/sim"
)

// halfFort is a fort as protect has it in the middle of its way: customers with odd ids below 60, and those of every other agent's newest
// ticket, are plain still; all columns of customers and tickets are moving.
func halfFort(t *testing.T, extra string, change ...func(*Options)) *fort {
	t.Helper()
	f := newFort(t, extra, change...)
	admin := f.direct()
	for id := int64(1); id < 60; id += 2 {
		f.makePlain(admin, f.org.Customer(id))
	}
	for i := 0; i < len(f.org.Agents()); i += 2 {
		_, ticket, customer := f.hasTicket(i)
		f.makePlain(admin, customer)
		if _, err := admin.Exec(f.ctx, "UPDATE support.tickets SET ticket_no = $2, subject = $3 WHERE id = $1", ticket.ID, ticket.No, ticket.Subject); err != nil {
			t.Fatal(err)
		}
	}
	f.superExec(f.database, "GRANT UPDATE (email) ON support.customers TO sallyport_reader; GRANT UPDATE (ticket_no) ON support.tickets TO sallyport_reader")
	f.enter(f.movingSet(), nil)
	return f
}

// makePlain turns one customer's row back.
func (f *fort) makePlain(admin *pgx.Conn, c sim.Customer) {
	f.t.Helper()
	_, err := admin.Exec(f.ctx, "UPDATE support.customers SET full_name = $2, email = $3, phone = nullif($4, ''), birth_date = $5, notes = nullif($6, '') WHERE id = $1",
		c.ID, c.FullName, c.Email, c.Phone, c.BirthDate, c.Notes)
	if err != nil {
		f.t.Fatal(err)
	}
}

// movingSet names the columns of customers and tickets.
func (f *fort) movingSet() (out []string) {
	for name := range f.config.Protect.Columns {
		if !strings.Contains(name, "messages") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// enter puts states on record and makes them hold.
func (f *fort) enter(moving, leaving []string) {
	f.t.Helper()
	set, err := f.config.ProtectSet()
	if err != nil {
		f.t.Fatal(err)
	}
	err = f.server.orders.Give(nil, &sallyport.Event{
		Time: f.server.O.Clock(), Kind: sallyport.Protecting,
		Order: &sallyport.Order{Action: "protect", Details: f.database, Columns: set, Moving: moving, Leaving: leaving},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	waiting, err := f.server.enterStates(f.ctx)
	if err != nil || len(waiting) > 0 {
		f.t.Fatalf("states are not entered: %v, %v", waiting, err)
	}
}

// plainText is a customer as he reads when he is revealed.
func plainText(c sim.Customer) []string {
	row := []string{c.FullName, strings.ToLower(c.Email), c.Phone, c.BirthDate.Format("2006-01-02"), c.Notes}
	for i := range row {
		if row[i] == "" {
			row[i] = "∅"
		}
	}
	return row
}

func TestMovingReveals(t *testing.T) {
	f := halfFort(t, "")
	for i := range 6 {
		who, ticket, customer := f.hasTicket(i)
		c := f.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		for _, sql := range []string{
			"SELECT full_name, email, phone, birth_date, notes FROM support.customers WHERE id = %d",
			"SELECT c.full_name, c.email, c.phone, c.birth_date, c.notes FROM support.customers c JOIN support.tickets t ON t.customer_id = c.id WHERE c.id = %d LIMIT 1",
			"SELECT x.* FROM (SELECT full_name, email, phone, birth_date, notes FROM support.customers WHERE id = %d) x",
		} {
			if got := c.must(fmt.Sprintf(sql, customer.ID)); len(got) != 1 || !slices.Equal(got[0], plainText(customer)) {
				t.Errorf("%s of customer %d: %q, want %q", sql, customer.ID, got, plainText(customer))
			}
		}
		if got := c.one(fmt.Sprintf("SELECT ticket_no FROM support.tickets WHERE id = %d", ticket.ID)); got != ticket.No {
			t.Errorf("ticket %d is %q, want %q", ticket.ID, got, ticket.No)
		}
		c.must("SET sallyport.purpose = 'ticket:" + ticket.No + "'")
		if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != strings.ToLower(customer.Email) {
			t.Errorf("by the ticket's number %s the address of %d is %q", ticket.No, customer.ID, got)
		}
		_ = c.Close(context.Background())
	}
}

// TestMovingSearches finds customers of both halves, whatever way the value comes.
func TestMovingSearches(t *testing.T) {
	f := halfFort(t, "")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec} {
		for i := range 4 {
			who, ticket, customer := f.hasTicket(i)
			c := f.connect(who, mode)
			c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), pgx.QueryExecModeSimpleProtocol)
			_, _, other := f.hasTicket(i + 1)
			id, email := fmt.Sprint(customer.ID), customer.Email
			for _, search := range []struct {
				sql  string
				args []any
			}{
				{"SELECT id FROM support.customers WHERE email = $1", []any{email}},
				{"SELECT id FROM support.customers WHERE $1 = email", []any{email}},
				{"SELECT id FROM support.customers WHERE email = $1::varchar", []any{email}},
				{"SELECT id FROM support.customers WHERE email = CAST($1 AS text)", []any{email}},
				{"SELECT id FROM support.customers c WHERE c.email IN ($1, $2) AND id = $3", []any{email, other.Email, customer.ID}},
				{"SELECT id FROM support.customers WHERE email = ANY ($1) AND id = $2", []any{[]string{email, other.Email}, customer.ID}},
				{"SELECT id FROM support.customers WHERE email = ANY (ARRAY[$1, $2]) AND id = $3", []any{email, other.Email, customer.ID}},
				{"SELECT id FROM support.customers WHERE full_name = $1 AND id = $2", []any{customer.FullName, customer.ID}},
				{"SELECT id FROM support.customers WHERE $1 = full_name AND id = $2", []any{customer.FullName, customer.ID}},
				{"SELECT id FROM support.customers WHERE birth_date = $1 AND id = $2", []any{customer.BirthDate, customer.ID}},
				{"SELECT id FROM support.customers WHERE email <> $1 AND id = $2", []any{other.Email, customer.ID}},
				{"SELECT id FROM support.customers WHERE NOT (email <> $1 OR email <> $1)", []any{email}},
				{"SELECT customer_id FROM support.tickets WHERE ticket_no = $1", []any{ticket.No}},
				{"UPDATE support.customers SET plan = plan WHERE email = $1 RETURNING id", []any{email}},
			} {
				got, err := c.rows(search.sql, search.args...)
				if err != nil || len(got) != 1 || got[0][0] != id {
					t.Errorf("mode %v, customer %s: %s finds %v, %v", mode, id, search.sql, got, err)
				}
			}
			_ = c.Close(context.Background())
		}
	}
}

func TestMovingLiterals(t *testing.T) {
	f := halfFort(t, "")
	for i := range 2 {
		who, ticket, customer := f.hasTicket(i)
		c := f.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		name, email, born := customer.FullName, customer.Email, customer.BirthDate.Format("2006-01-02")
		for _, where := range []string{
			"email = '" + email + "'", "'" + email + "' = email", "email = '" + email + "'::text", "email = CAST('" + email + "' AS text)", "email = E'" + email + "'",
			"email IN ('" + email + "', 'nobody@example.org')", "email IN ('" + email + "'::text)", "email = ANY ('{" + email + "}')", "email = ANY (ARRAY['" + email + "'])",
			"full_name = '" + name + "' AND id = " + fmt.Sprint(customer.ID), "birth_date = '" + born + "' AND id = " + fmt.Sprint(customer.ID), "birth_date = date '" + born + "' AND id = " + fmt.Sprint(customer.ID),
			"NOT email <> '" + email + "'", "email IS NOT DISTINCT FROM '" + email + "'", "NOT email IS DISTINCT FROM ('" + email + "'::text)", "NOT email <> ALL ('{" + email + "}')", "NOT email NOT IN ('" + email + "')", "support.customers.email = '" + email + "'",
		} {
			got, err := c.rows("SELECT id FROM support.customers WHERE " + where)
			if err != nil || len(got) != 1 || got[0][0] != fmt.Sprint(customer.ID) {
				t.Errorf("customer %d: %s finds %v, %v", customer.ID, where, got, err)
			}
		}
		// A value with quotes and backslashes is one value in whatever way it is written.
		for _, value := range []string{`a\b'c@example.org`, `{"x"}`, `','`, `\`} {
			escaped := "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
			if _, err := f.direct().Exec(t.Context(), "UPDATE support.customers SET full_name = $1 WHERE id = 1", value); err != nil {
				t.Fatal(err)
			}
			for _, where := range []string{"full_name = " + escaped, "full_name IN (" + escaped + ")", "full_name = ANY (ARRAY[" + escaped + "])"} {
				if got, err := c.rows("SELECT id FROM support.customers WHERE " + where); err != nil || len(got) != 1 || got[0][0] != "1" {
					t.Errorf("%s: %v, %v", where, got, err)
				}
			}
		}
		_ = c.Close(context.Background())
	}
}

// TestMovingUnique holds a value to be there once, whichever half it stands in.
func TestMovingUnique(t *testing.T) {
	f := halfFort(t, "")
	who, ticket, _ := f.hasTicket(1)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	admin := f.direct()
	stored := func(id int64) (email string) {
		if err := admin.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", id).Scan(&email); err != nil {
			t.Fatal(err)
		}
		return email
	}
	insert := "INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES (9000%d, 'New', '%s', 'DE', 'x', now())"
	if err := c.fails(fmt.Sprintf(insert, 1, f.org.Customer(1).Email)); err.Code != "23505" || err.Detail != "" {
		t.Errorf("a value of the plain half is written a second time: %v", err)
	}
	if got := stored(1); !strings.HasSuffix(got, ".k1.invalid") {
		t.Errorf("the address of customer 1 is no token yet: %q", got)
	}
	if got := c.one(fmt.Sprintf(insert, 3, f.org.Customer(3).Email) + " ON CONFLICT (email) DO UPDATE SET plan = 'seen' RETURNING id"); got != "3" {
		t.Errorf("ON CONFLICT finds %s, want 3", got)
	}
	if err := c.fails(fmt.Sprintf(insert, 2, f.org.Customer(2).Email)); err.Code != "23505" {
		t.Errorf("a value of the other half is written a second time: %v", err)
	}

	// Who saves a whole row that he has locked does not wait for himself.
	extended := f.connect(who, pgx.QueryExecModeCacheStatement)
	extended.must("BEGIN")
	extended.must("SELECT id FROM support.customers WHERE id = 5 FOR UPDATE")
	extended.must("UPDATE support.customers SET email = $1, plan = 'saved' WHERE id = $2", f.org.Customer(5).Email, int64(5))
	extended.must("COMMIT")
	if got := stored(5); !strings.HasSuffix(got, ".k1.invalid") {
		t.Errorf("what was saved is no token: %q", got)
	}

	// A row that somebody else has locked is not waited for long, and nothing is written.
	lock, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "SELECT FROM support.customers WHERE id = 7 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if err := c.fails(fmt.Sprintf(insert, 7, f.org.Customer(7).Email)); err.Code != "55P03" {
		t.Errorf("a locked row: %v", err)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	load := "COPY support.customers (id, full_name, email, country, plan, created_at) FROM STDIN"
	if got := copyIn(t, c.PgConn(), load, fmt.Sprintf("900008\tNew\t%s\tDE\tx\t2026-01-01\n", f.org.Customer(7).Email)); !strings.HasPrefix(got, "23505") {
		t.Errorf("COPY of a value of the plain half: %s", got)
	}
}

// TestMovingCopies sends no plain value by COPY but to whom the purpose covers, in all formats.
func TestMovingCopies(t *testing.T) {
	f := halfFort(t, "", exporting(t))
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	for _, format := range []string{"text", "csv", "binary"} {
		for _, what := range []string{"support.customers", "(SELECT id, email, full_name, phone FROM support.customers WHERE id < 60)", "(SELECT * FROM support.customers WHERE id < 60)", "(SELECT upper(email) FROM support.customers)"} {
			var b strings.Builder
			_, err := c.PgConn().CopyTo(t.Context(), &b, "COPY "+what+" TO STDOUT (FORMAT "+format+")")
			if other := f.org.Customer(1); strings.Contains(b.String(), strings.ToLower(other.Email)) || strings.Contains(b.String(), other.FullName) {
				t.Errorf("COPY %s in %s hands out customer 1", what, format)
			}
			if err == nil && what == "support.customers" && !strings.Contains(b.String(), strings.ToLower(customer.Email)) {
				t.Errorf("COPY in %s does not show customer %d, whom the purpose covers", format, customer.ID)
			}
		}
	}
}

// TestMovingStates changes states under sessions that are at work: what was prepared before means the same afterwards.
func TestMovingStates(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who, pgx.QueryExecModeCacheStatement)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), pgx.QueryExecModeSimpleProtocol)
	_, _, other := f.hasTicket(2)
	search := func(when string) {
		t.Helper()
		for range 2 {
			if got := c.must("SELECT id, email FROM support.customers WHERE email = $1 AND id = $2", customer.Email, customer.ID); len(got) != 1 || got[0][1] != strings.ToLower(customer.Email) {
				t.Errorf("%s customer %d is %v", when, customer.ID, got)
			}
			if got := c.must("SELECT id, email FROM support.customers WHERE email IN ($1, $2) ORDER BY id", customer.Email, other.Email); len(got) != 2 {
				t.Errorf("%s two customers are %v", when, got)
			}
		}
	}
	search("before")
	f.enter(f.movingSet(), nil)
	f.makePlain(f.direct(), customer)
	search("while moving")

	// A transaction that began before is waited for, and named.
	c.must("BEGIN")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	waiting, err := f.server.enterStates(ctx)
	if err != nil || len(waiting) != 1 || !strings.HasPrefix(waiting[0], string(who)) {
		t.Errorf("waits for %v, %v", waiting, err)
	}
	c.must("COMMIT")
	if waiting, err := f.server.enterStates(t.Context()); err != nil || len(waiting) > 0 {
		t.Errorf("still waits for %v, %v", waiting, err)
	}
	admin := f.direct()
	if _, err := admin.Exec(t.Context(), "UPDATE support.customers SET email = $1 WHERE id = $2", f.tokenOf("support.customers.email", customer.Email), customer.ID); err != nil {
		t.Fatal(err)
	}
	search("when moved")
	f.enter(nil, nil)
	search("when settled")
	f.restart()
}

// tokenOf is the token of a value, by the fort's own keys.
func (f *fort) tokenOf(column, value string) string {
	f.t.Helper()
	columns, err := f.config.Codecs(f.server.guard.ring)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range columns {
		if c.Column.String() == column {
			tok, err := c.Codec.Settle(nil, []byte(value))
			if err != nil {
				f.t.Fatal(err)
			}
			return string(tok)
		}
	}
	f.t.Fatalf("there is no column %s", column)
	return ""
}

// TestInvariant2MovingThieves tries what would hand out the plain half. Whatever is refused, nothing plain comes.
func TestInvariant2MovingThieves(t *testing.T) {
	f := halfFort(t, "")
	var secrets []string
	for id := int64(1); id < 60; id += 2 {
		c := f.org.Customer(id)
		secrets = append(secrets, c.FullName, strings.ToLower(c.Email), c.Phone, c.BirthDate.Format("2006-01-02"), c.Notes)
		local, _, _ := strings.Cut(strings.ToLower(c.Email), "@")
		secrets = append(secrets, local)
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) < 6 })
	who, ticket, _ := f.hasTicket(1)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	var said []string
	for _, sql := range append(append(movingThefts(), orderThefts()...), "SELECT * FROM support.customers WHERE id < 60", "TABLE support.customers") {
		rows, err := c.rows(sql)
		said = said[:0]
		for _, row := range rows {
			said = append(said, row...)
		}
		if err != nil {
			said = append(said, err.Error())
		}
		for _, n := range c.notices {
			said = append(said, n.Message, n.Detail, n.Hint)
		}
		c.notices = nil
		all := strings.ToLower(strings.Join(said, "\n"))
		for _, secret := range secrets {
			if strings.Contains(all, strings.ToLower(secret)) {
				t.Errorf("%s hands out %q", sql, secret)
				break
			}
		}
		if c.IsClosed() {
			c = f.connect(who)
		}
		c.must("ROLLBACK")
	}
}

// movingThefts are statements that get at values where they stand in plain.
func movingThefts() []string {
	return []string{
		"SELECT upper(email), lower(full_name), initcap(notes) FROM support.customers WHERE id < 60",
		"SELECT email || '' FROM support.customers WHERE id < 60",
		"SELECT email::text, full_name::varchar, birth_date::text, notes::bytea FROM support.customers WHERE id < 60",
		"SELECT email::varchar(200) FROM support.customers WHERE id < 60",
		"SELECT row_to_json(c) FROM support.customers c WHERE id < 60",
		"SELECT to_jsonb(c)->>'email' FROM support.customers c WHERE id < 60",
		"SELECT c FROM support.customers c WHERE id < 60",
		"SELECT (c).email FROM support.customers c WHERE id < 60",
		"SELECT array_agg(email) FROM support.customers WHERE id < 60",
		"SELECT string_agg(full_name, ',') FROM support.customers WHERE id < 60",
		"SELECT min(email), max(phone) FROM support.customers WHERE id < 60",
		"SELECT coalesce(email, 'x') FROM support.customers WHERE id < 60",
		"SELECT CASE WHEN true THEN email END FROM support.customers WHERE id < 60",
		"SELECT email FROM support.customers WHERE id < 60 UNION ALL SELECT full_name FROM support.customers WHERE id < 60",
		"SELECT email FROM support.customers WHERE id < 60 UNION SELECT 'x'",
		"SELECT (SELECT email FROM support.customers WHERE id = 1)",
		"SELECT * FROM (SELECT DISTINCT email FROM support.customers WHERE id < 60) x",
		"SELECT x.e FROM support.customers c, LATERAL (SELECT c.email AS e) x WHERE c.id < 60",
		"WITH x AS MATERIALIZED (SELECT email, full_name FROM support.customers WHERE id < 60) SELECT * FROM x",
		"WITH RECURSIVE x AS (SELECT email FROM support.customers WHERE id = 1 UNION ALL SELECT email FROM x WHERE false) SELECT * FROM x",
		"SELECT email, count(*) FROM support.customers WHERE id < 60 GROUP BY email",
		"SELECT first_value(email) OVER (ORDER BY id) FROM support.customers WHERE id < 60",
		"SELECT format('%s', email) FROM support.customers WHERE id < 60",
		"SELECT left(email, 100), substr(full_name, 1), replace(notes, 'zzz', '') FROM support.customers WHERE id < 60",
		"SELECT md5(email), reverse(reverse(email)) FROM support.customers WHERE id < 60",
		"SELECT age(birth_date), birth_date + 1, extract(year FROM birth_date) FROM support.customers WHERE id < 60",
		"SELECT unnest(ARRAY[email, full_name]) FROM support.customers WHERE id < 60",
		"SELECT * FROM support.customers ORDER BY email",
		"SELECT id FROM support.customers WHERE email LIKE 'a%'",
		"SELECT id FROM support.customers WHERE email > 'm'",
		"SELECT id FROM support.customers WHERE lower(email) = 'x@example.org'",
		"SELECT 1/(length(email) - length(email)) FROM support.customers WHERE id = 1",
		"SELECT email::int FROM support.customers WHERE id = 1",
		"SELECT full_name::date FROM support.customers WHERE id = 1",
		"CREATE TEMP TABLE loot AS SELECT email FROM support.customers",
		"SELECT email INTO TEMP loot FROM support.customers",
		"CREATE TEMP VIEW loot AS SELECT upper(email) FROM support.customers",
		"INSERT INTO support.contacts (id, customer_id, channel, direction, staff, at) SELECT 1, 1, email, 'in', NULL, now() FROM support.customers",
		"UPDATE support.customers SET plan = email WHERE id = 1 RETURNING plan",
		"UPDATE support.customers SET plan = plan WHERE id < 60 RETURNING email, upper(email), customers",
		"UPDATE support.tickets t SET queue = c.email FROM support.customers c WHERE c.id = t.customer_id RETURNING queue",
		"DO $$ BEGIN RAISE NOTICE '%', (SELECT email FROM support.customers WHERE id = 1); END $$",
		"BEGIN; DECLARE c CURSOR FOR SELECT upper(email), email FROM support.customers WHERE id < 60; FETCH ALL FROM c",
		"PREPARE p AS SELECT upper(email), email FROM support.customers WHERE id < 60; EXECUTE p",
		"EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM support.customers WHERE id < 60",
		"SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'customers'",
		"SELECT query FROM pg_stat_activity",
		"INSERT INTO support.customers (id, full_name, email, country, plan, created_at) SELECT 900001, 'X', email, 'DE', 'x', now() FROM support.customers WHERE id = 1",
		"INSERT INTO support.customers SELECT * FROM support.customers WHERE id = 1",
		"ALTER TABLE support.customers ALTER COLUMN email TYPE int USING email::int",
		"SELECT c1.id FROM support.customers c1 JOIN support.customers c2 ON c1.email = c2.full_name",
		"SELECT * FROM support.customers NATURAL JOIN (VALUES ('x')) v (email)",
		"SELECT xmlelement(name x, email) FROM support.customers WHERE id < 60",
		"SELECT query_to_xml('SELECT email FROM support.customers', true, true, '')",
		"SELECT NULLIF(email, 'x') FROM support.customers WHERE id < 60",
		"SELECT greatest(email, full_name) FROM support.customers WHERE id < 60",
		"SELECT email COLLATE \"C\" FROM support.customers WHERE id < 60",
		"SELECT * FROM support.open_cases",
		"SELECT pg_typeof(email), email IS NULL, email = 'x@example.org' FROM support.customers WHERE id < 60",
	}
}

// TestMovingManyParameters searches for more values than a statement has places for their forms, and says so.
func TestMovingManyParameters(t *testing.T) {
	f := halfFort(t, rich)
	c := f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeExec)
	for _, n := range []int{200, 30_000} {
		places, args := make([]string, n), make([]any, n)
		for i := range places {
			places[i], args[i] = fmt.Sprintf("$%d", i+1), f.org.Customer(int64(1+i%fortCustomers)).Email
		}
		got, err := c.rows("SELECT count(*) FROM support.customers WHERE email IN ("+strings.Join(places, ",")+")", args...)
		switch {
		case n == 200 && (err != nil || got[0][0] != "200"):
			t.Errorf("%d values find %v, %v", n, got, err)
		case n == 30_000 && (err == nil || !strings.Contains(err.Error(), "54001")):
			t.Errorf("%d values find %v, %v", n, got, err)
		}
	}
}

// TestMovingBesideMasks hides what is moving from those too for whom nothing is masked, and leaves them what they see.
func TestMovingBesideMasks(t *testing.T) {
	s := built(t, theStage)
	seer, other := s.org.Agents()[0].ID, s.org.Agents()[1].ID
	f := halfFort(t, fmt.Sprintf("mask: {columns: {support.staff.name: {}}, seen_by: [%s]}\n", seer))
	secret := f.org.Customer(1)
	for who, sees := range map[sallyport.Staff]bool{seer: true, other: false} {
		c := f.connect(who)
		name := c.one("SELECT name FROM support.staff ORDER BY id LIMIT 1")
		if (name != "***") != sees {
			t.Errorf("%s reads %q of staff", who, name)
		}
		if got := c.one("SELECT email FROM support.customers WHERE id = 1"); !strings.HasSuffix(got, ".k1.invalid") {
			t.Errorf("%s reads %q where a plain value stands", who, got)
		}
		if got := c.one("SELECT upper(email) FROM support.customers WHERE id = 1"); got != "***" {
			t.Errorf("%s reads %q of an expression", who, got)
		}
		if got := c.must("SELECT c FROM support.customers c WHERE id = 1"); strings.Contains(fmt.Sprint(got), secret.FullName) {
			t.Errorf("%s reads a whole row: %v", who, got)
		}
	}
}
