package serve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/sim"
)

// The action copy: a thief makes what is a victim's somebody's whom he has a reason for. Each path is tried by an agent and by an
// engineer, who may do anything with the rows of every table; nothing of it may change whose anything is.

// laundering are the paths. {own} and {victim} are customers, {ticket} and {vticket} tickets, {token} the victim's stored e-mail
// address, {body} the token of a message of the victim's.
func laundering() []string {
	return []string{
		// The row's customer.
		"UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}",
		"UPDATE support.tickets SET (queue, customer_id) = ('q', {victim}) WHERE id = {ticket}",
		"UPDATE support.tickets SET (queue, customer_id) = (SELECT 'q', {victim}) WHERE id = {ticket}",
		"UPDATE support.tickets t SET customer_id = v.x FROM (VALUES ({victim})) v(x) WHERE t.id = {ticket}",
		"UPDATE support.tickets SET customer_id = DEFAULT WHERE id = {ticket}",
		"UPDATE support.tickets SET customer_id = customer_id + 1 WHERE id = {ticket}",
		"UPDATE ONLY support.tickets SET \"customer_id\" = {victim} WHERE id = {ticket} RETURNING *",
		"WITH u AS (UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket} RETURNING 1) SELECT * FROM u",
		"INSERT INTO support.tickets (id, ticket_no, customer_id, queue, state, subject, opened_at) VALUES ({ticket}, 'CS-0001-0002', {victim}, 'q', 'open', 's', now()) ON CONFLICT (id) DO UPDATE SET customer_id = excluded.customer_id",
		"INSERT INTO support.tickets (id, ticket_no, customer_id, queue, state, subject, opened_at) VALUES ({ticket}, 'CS-0001-0002', {victim}, 'q', 'open', 's', now()) ON CONFLICT (id) DO UPDATE SET (queue, customer_id) = ROW(excluded.queue, excluded.customer_id)",
		"MERGE INTO support.tickets t USING (SELECT {victim}::bigint AS v) x ON t.id = {ticket} WHEN MATCHED THEN UPDATE SET customer_id = x.v",
		"EXPLAIN ANALYZE UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}",
		"PREPARE launder AS UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}; EXECUTE launder",
		"PREPARE launder(bigint) AS UPDATE support.tickets SET customer_id = $1 WHERE id = {ticket}; EXECUTE launder({victim})",
		"BEGIN; UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}; COMMIT",
		"UPDATE support.contacts SET customer_id = {own} WHERE customer_id = {victim}",
		"UPDATE support.messages SET ticket_id = {ticket} WHERE ticket_id = {vticket}",
		"UPDATE support.messages m SET ticket_id = t.id FROM support.tickets t WHERE t.id = {ticket} AND m.ticket_id = {vticket}",
		"MERGE INTO support.messages m USING support.tickets t ON t.id = {ticket} AND m.ticket_id = {vticket} WHEN MATCHED THEN UPDATE SET ticket_id = t.id",
		// The key that others refer to.
		"UPDATE support.customers SET id = -{own} WHERE id = {own}",
		"UPDATE support.customers SET id = CASE id WHEN {own} THEN {victim} ELSE {own} END WHERE id IN ({own}, {victim})",
		"UPDATE support.tickets SET id = -{ticket} WHERE id = {ticket}",
		"INSERT INTO support.customers AS c (id, full_name, email, country, plan, created_at) VALUES ({victim}, 'A B', 'a@b.example', 'DE', 'p', now()) ON CONFLICT (id) DO UPDATE SET id = {own}",
		// The token.
		"UPDATE support.customers SET email = '{token}' WHERE id = {own}",
		"UPDATE support.customers SET email = $${token}$$ WHERE id = {own}",
		"UPDATE support.customers SET email = v.e FROM (VALUES ('{token}')) v(e) WHERE id = {own}",
		"UPDATE support.customers SET email = (SELECT email FROM support.customers WHERE id = {victim}) WHERE id = {own}",
		"UPDATE support.customers c SET email = v.email FROM support.customers v WHERE c.id = {own} AND v.id = {victim}",
		"UPDATE support.customers c SET (email, phone) = (SELECT email, phone FROM support.customers WHERE id = {victim}) WHERE c.id = {own}",
		"UPDATE support.customers c SET email = o.email FROM support.open_cases o WHERE c.id = {own} AND o.id = {vticket}",
		"UPDATE support.customers SET email = '{token}' WHERE id = {own} OR id = {victim}",
		"UPDATE support.customers SET email = '{token}' WHERE id IN ({own}, {victim})",
		"UPDATE support.customers SET email = '{token}' WHERE id = {own} AND id = {victim} OR id = {own}",
		"UPDATE support.customers c SET email = '{token}' FROM support.customers v WHERE v.id = {victim} AND c.id = {own}",
		"UPDATE support.customers c SET email = '{token}' FROM (SELECT {victim} AS vid) v WHERE vid = {victim} AND c.id = {own}",
		"INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES (990001, 'A B', '{token}', 'DE', 'p', now())",
		"INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES ({own}, 'A B', 'a@b.example', 'DE', 'p', now()) ON CONFLICT (id) DO UPDATE SET email = '{token}'",
		"INSERT INTO support.customers (id, full_name, email, country, plan, created_at) SELECT 990002, full_name, email, 'DE', 'p', now() FROM support.customers WHERE id = {victim}",
		"INSERT INTO support.customers SELECT 990003, full_name, email, phone, birth_date, country, plan, notes, created_at, segment FROM support.customers WHERE id = {victim}",
		"INSERT INTO support.customers SELECT * FROM support.customers WHERE id = {victim} ON CONFLICT (id) DO UPDATE SET phone = excluded.phone",
		"WITH v AS (DELETE FROM support.customers WHERE id = 0 RETURNING email) UPDATE support.customers SET email = v.email FROM v WHERE id = {own}",
		"MERGE INTO support.customers c USING (SELECT email FROM support.customers WHERE id = {victim}) v ON c.id = {own} WHEN MATCHED THEN UPDATE SET email = v.email",
		"MERGE INTO support.customers c USING (SELECT * FROM support.customers WHERE id = {victim}) v ON c.id = 990004 WHEN NOT MATCHED THEN INSERT (id, full_name, email, country, plan, created_at) VALUES (990004, v.full_name, v.email, 'DE', 'p', now())",
		"INSERT INTO support.messages (id, ticket_id, author, body, sent_at) VALUES (990005, {ticket}, 'x', '{body}', now())",
		"INSERT INTO support.messages SELECT id + 1000000, {ticket}, author, body, sent_at FROM support.messages WHERE ticket_id = {vticket}",
		"SELECT email AS e INTO TEMP laundry FROM support.customers WHERE id = {victim}; UPDATE support.customers SET email = e FROM laundry WHERE id = {own}",
		"CREATE TEMP TABLE laundry (e text); INSERT INTO laundry VALUES ('{token}'); UPDATE support.customers SET email = laundry.e FROM laundry WHERE id = {own}",
		"PREPARE launder AS UPDATE support.customers SET email = $1 WHERE id = {own}; EXECUTE launder('{token}')",
		"PREPARE launder AS UPDATE support.customers SET email = $1 WHERE id = $2; EXECUTE launder('{token}', {own})",
		// What a DBA made at the database: views under other names, a function, a trigger.
		"UPDATE public.wash SET x = {victim} WHERE i = {ticket}",
		"UPDATE wash SET (x) = (SELECT {victim}) WHERE i = {ticket}",
		"UPDATE public.wash2 SET y = {victim} WHERE i = {ticket}",
		"MERGE INTO public.wash w USING (SELECT 1) s ON w.i = {ticket} WHEN MATCHED THEN UPDATE SET x = {victim}",
		"UPDATE public.mail SET plan = '{token}' WHERE i = {own}",
		"UPDATE public.mail m SET plan = v.plan FROM public.mail v WHERE m.i = {own} AND v.i = {victim}",
		"INSERT INTO public.mail (i, plan) SELECT 990007, plan FROM public.mail WHERE i = {victim}",
		"SELECT public.repoint({ticket}, {victim})",
		"CALL public.repoint2({ticket}, {victim})",
		"INSERT INTO public.orders VALUES ({ticket}, {victim})",
		// What leads there.
		"UPDATE support.open_cases SET email = '{token}' WHERE id = {ticket}",
		"ALTER TABLE support.tickets RENAME customer_id TO x",
		"ALTER TABLE support.tickets RENAME COLUMN customer_id TO x; ALTER TABLE support.tickets RENAME COLUMN queue TO customer_id",
		"ALTER TABLE support.tickets ALTER customer_id SET DEFAULT {victim}",
		"ALTER TABLE support.customers ALTER email SET DEFAULT '{token}'",
		"ALTER TABLE support.tickets ADD CONSTRAINT launder FOREIGN KEY (customer_id) REFERENCES support.customers ON UPDATE CASCADE",
		"CREATE VIEW support.laundry AS SELECT id, customer_id AS x FROM support.tickets",
		"CREATE RULE launder AS ON UPDATE TO support.staff DO ALSO UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}",
		"CREATE TABLE support.laundry () INHERITS (support.tickets)",
		"ALTER TABLE support.staff INHERIT support.tickets",
		"ALTER TABLE support.staff RENAME TO tickets",
	}
}

func TestCopyIsDenied(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, rich)
	who, ticket, own := f.hasTicket(0)
	var engineer sallyport.Staff
	for _, p := range f.org.Staff {
		if p.Role == sim.Engineer {
			engineer = p.ID
		}
	}
	_, vticket, victim := f.hasTicket(1)
	f.superExec(f.database, `CREATE VIEW public.wash AS SELECT id AS i, customer_id AS x FROM support.tickets; CREATE VIEW public.wash2 AS SELECT i, x AS y FROM public.wash;
		CREATE VIEW public.mail AS SELECT id AS i, email AS plan FROM support.customers;
		CREATE FUNCTION public.repoint(t bigint, c bigint) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE support.tickets SET customer_id = c WHERE id = t';
		CREATE PROCEDURE public.repoint2(t bigint, c bigint) LANGUAGE sql SECURITY DEFINER AS 'UPDATE support.tickets SET customer_id = c WHERE id = t';
		CREATE TABLE public.orders (t bigint, c bigint);
		CREATE FUNCTION public.ordered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN UPDATE support.tickets SET customer_id = NEW.c WHERE id = NEW.t; RETURN NEW; END';
		CREATE TRIGGER ordered AFTER INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION public.ordered();
		GRANT ALL ON public.wash, public.wash2, public.mail, public.orders TO PUBLIC`)
	if _, err := f.server.gateway.Protection.Catalog.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	super := f.direct()
	ask := func(sql string, args ...any) string {
		t.Helper()
		var s string
		if err := super.QueryRow(t.Context(), sql, args...).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	fill := strings.NewReplacer(
		"{own}", fmt.Sprint(own.ID), "{victim}", fmt.Sprint(victim.ID), "{ticket}", fmt.Sprint(ticket.ID), "{vticket}", fmt.Sprint(vticket.ID),
		"{token}", ask("SELECT email FROM support.customers WHERE id = $1", victim.ID),
		"{body}", ask("SELECT body FROM support.messages WHERE ticket_id = $1 ORDER BY id LIMIT 1", vticket.ID)).Replace
	whose := func() string {
		return ask(`SELECT md5((SELECT string_agg(concat_ws(' ', id, customer_id), ',' ORDER BY id) FROM support.tickets)
			|| (SELECT string_agg(concat_ws(' ', id, ticket_id, body), ',' ORDER BY id) FROM support.messages)
			|| (SELECT coalesce(string_agg(concat_ws(' ', id, customer_id), ',' ORDER BY id), '') FROM support.contacts)
			|| (SELECT string_agg(concat_ws(' ', id, email, phone, full_name, birth_date, notes), ',' ORDER BY id) FROM support.customers))`)
	}
	before := whose()
	from := len(f.events())
	denied := 0
	for _, person := range []sallyport.Staff{who, engineer} {
		for _, simply := range []bool{true, false} {
			for _, path := range laundering() {
				c := f.connect(person)
				var last error
				for sql := range strings.SplitSeq(fill(path), "; ") {
					if simply {
						_, last = c.PgConn().Exec(t.Context(), sql).ReadAll()
					} else {
						last = c.PgConn().ExecParams(t.Context(), sql, nil, nil, nil, nil).Read().Err
					}
					if last != nil {
						break
					}
				}
				if refused, ok := errors.AsType[*pgconn.PgError](last); !ok {
					t.Errorf("%s: it passed", path)
				} else if refused.Code == "SP004" || refused.Code == "SP006" {
					denied++
				}
				_, _ = c.rows("ROLLBACK")
				_ = c.Close(t.Context())
				if after := whose(); after != before {
					t.Fatalf("%s: it changed whose something is", path)
				}
			}
		}
	}
	// Parameters, in text and binary.
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		c := f.connect(engineer, mode)
		for sql, args := range map[string][]any{
			"UPDATE support.customers SET email = $1 WHERE id = $2":      {fill("{token}"), own.ID},
			"UPDATE support.customers SET email = $2 WHERE id = $1":      {own.ID, fill("{token}")},
			"UPDATE support.customers SET birth_date = $1 WHERE id = $2": {"2345-01-01", own.ID},
			"UPDATE support.messages SET body = $1 WHERE ticket_id = $2": {fill("{body}"), ticket.ID},
		} {
			if err := c.fails(sql, args...); err.Code != "SP004" {
				t.Errorf("%s with parameters: %s", sql, err.Code)
			}
			denied++
		}
		if err := c.fails("UPDATE support.tickets SET customer_id = $1 WHERE id = $2", victim.ID, ticket.ID); err.Code != "SP006" {
			t.Errorf("a ticket's customer by parameter: %s", err.Code)
		}
		denied++
	}
	c := f.connect(engineer)
	if _, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(fill("990009\tA B\t{token}\tDE\tp\t2020-01-01\n")), "COPY support.customers (id, full_name, email, country, plan, created_at) FROM STDIN"); err == nil {
		t.Error("COPY wrote a token")
	}
	denied++
	if whose() != before {
		t.Error("a parameter or COPY changed whose something is")
	}

	onRecord := 0
	for _, e := range f.events()[from:] {
		if e.Kind != sallyport.CopyKind {
			continue
		}
		onRecord++
		if d := e.Decision; d == nil || d.Action != "copy" || d.Permitted || d.Policy != "copy.people" || len(d.Columns) == 0 || e.Statement.Refused == "" {
			t.Errorf("on record is %+v", e.Decision)
		}
	}
	if onRecord != denied || denied < 100 {
		t.Errorf("%d denials, %d on record", denied, onRecord)
	}
}

// TestCopyByServices shows who is permitted what, and that the record says by which policy before anything happens.
func TestCopyByServices(t *testing.T) {
	f := newFort(t, rich+"copy:\n  support.customers.email: [svc_phone]\n  support.messages.ticket_id: [svc_phone]\n")
	_, ticket, own := f.hasTicket(0)
	_, vticket, victim := f.hasTicket(1)
	f.superExec(f.database, "GRANT UPDATE ON support.contacts TO svc_phone")
	router, phone := f.connect("svc_router"), f.connect("svc_phone")
	super := f.direct()
	var token string
	if err := super.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", victim.ID).Scan(&token); err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		what string
		c    *client
		sql  string
		code string // empty: permitted
		by   string
	}{
		{"a router, whose ticket it is", router, fmt.Sprintf("UPDATE support.tickets SET customer_id = %d WHERE id = %d", victim.ID, ticket.ID), "", "copy.reasons"},
		{"a writer, whose contact it is", phone, fmt.Sprintf("UPDATE support.contacts SET customer_id = %d WHERE id = 0", victim.ID), "", "copy.reasons"},
		{"a service that is named", phone, fmt.Sprintf("UPDATE support.messages SET ticket_id = %d WHERE ticket_id = %d", ticket.ID, vticket.ID), "", "copy.configured"},
		{"a service that is named, with a literal", phone, fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = 0", token), "", "copy.configured"},
		{"a service that is named, from row to row", phone, fmt.Sprintf("UPDATE support.customers c SET email = v.email FROM support.customers v WHERE c.id = 0 AND v.id = %d", victim.ID), "", "copy.configured"},
		{"a writer, a ticket", phone, fmt.Sprintf("UPDATE support.tickets SET customer_id = %d WHERE id = %d", victim.ID, ticket.ID), "SP006", "default"},
		{"a router, a message", router, fmt.Sprintf("UPDATE support.messages SET ticket_id = %d WHERE ticket_id = %d", ticket.ID, vticket.ID), "SP006", "default"},
		{"a router, a customer's key", router, fmt.Sprintf("UPDATE support.customers SET id = 0 WHERE id = %d", own.ID), "SP006", "default"},
		{"a router, a token", router, fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", token, own.ID), "SP004", "default"},
		{"one column that is named and one that is not", phone, fmt.Sprintf("UPDATE support.customers c SET email = v.email, phone = v.phone FROM support.customers v WHERE c.id = 0 AND v.id = %d", victim.ID), "SP004", "default"},
	} {
		from := len(f.events())
		_, err := k.c.rows(k.sql)
		refused, _ := errors.AsType[*pgconn.PgError](err)
		if k.code == "" && err != nil || k.code != "" && (refused == nil || refused.Code != k.code) {
			t.Errorf("%s: %v", k.what, err)
		}
		var found []*sallyport.Event
		for _, e := range f.events()[from:] {
			if e.Kind == sallyport.CopyKind {
				found = append(found, e)
			}
		}
		if len(found) != 1 || found[0].Decision.Permitted != (k.code == "") || found[0].Decision.Policy != k.by || found[0].Decision.Action != "copy" {
			t.Errorf("%s: on record are %d decisions", k.what, len(found))
			for _, e := range found {
				t.Logf("%+v", e.Decision)
			}
		}
	}
}

// TestTokenStaysWhereItIs lets programs save whole rows as they read them: a token that the row holds already is no copy.
func TestTokenStaysWhereItIs(t *testing.T) {
	f := newFort(t, "budgets: {default: {probed: {hour: 3, day: 3, month: 3}}}\n")
	who, ticket, own := f.hasTicket(0)
	_, _, victim := f.hasTicket(1)
	row := f.connect(who).must(fmt.Sprintf("SELECT full_name, email, phone, birth_date, notes FROM support.customers WHERE id = %d", own.ID))[0]
	var message string
	if err := f.direct().QueryRow(t.Context(), "SELECT min(id)::text FROM support.messages WHERE ticket_id = $1", ticket.ID).Scan(&message); err != nil {
		t.Fatal(err)
	}
	from := len(f.events())
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec} {
		c := f.connect(who, mode)
		c.must("UPDATE support.customers SET plan = 'x', full_name = $1, email = $2 WHERE id = $3", row[0], row[1], own.ID)
		c.must(fmt.Sprintf("UPDATE support.customers SET email = '%s', notes = '%s' WHERE plan = 'x' AND id = %d", row[1], row[4], own.ID))
		c.must("UPDATE support.messages SET body = body, author = $1 WHERE id = "+message, "customer")
	}
	c := f.connect(who)
	if _, err := c.PgConn().Exec(t.Context(), fmt.Sprintf("PREPARE save AS UPDATE support.customers SET email = $1 WHERE id = $2; EXECUTE save('%s', %d)", row[1], own.ID)).ReadAll(); err != nil {
		t.Error(err)
	}
	body := c.one("SELECT body FROM support.messages WHERE id = " + message)
	c.must(fmt.Sprintf("UPDATE support.messages SET body = '%s' WHERE id = %s", body, message))
	for what, sql := range map[string]string{
		"another row":           fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", row[1], victim.ID),
		"another column":        fmt.Sprintf("UPDATE support.customers SET notes = '%s' WHERE id = %d", row[0], own.ID),
		"no row":                fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = 0", row[1]),
		"rows that are not one": fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE email = '%[1]s'", row[1]),
		"a key of another type": fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = 'x'", row[1]),
		"a copied argument":     fmt.Sprintf("EXECUTE save('%s', %d)", row[1], victim.ID),
	} {
		if err := c.fails(sql); err.Code != "SP004" {
			t.Errorf("%s: %s", what, err.Code)
		}
	}
	// A key that rounds pins no row: as a float8 these two are one.
	const large = int64(1) << 62
	f.superExec(f.database, fmt.Sprintf(`INSERT INTO support.customers (id, full_name, email, phone, country, plan, created_at)
		SELECT %d + row_number() OVER () - 1, full_name, email || 'x', phone, country, plan, created_at FROM (SELECT DISTINCT ON (phone) * FROM support.customers WHERE phone IS NOT NULL LIMIT 2) c`, large))
	theirs := c.one(fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", large))
	write := func(oid uint32, format int16, key []byte) string {
		result := c.PgConn().ExecParams(t.Context(), "UPDATE support.customers SET phone = $1 WHERE id = $2", [][]byte{[]byte(theirs), key}, []uint32{25, oid}, []int16{0, format}, nil).Read()
		return codeOf(result.Err)
	}
	number, double := fmt.Append(nil, large), binary.BigEndian.AppendUint64(nil, math.Float64bits(float64(large)))
	for _, k := range []struct {
		oid    uint32
		format int16
		key    []byte
		want   string
	}{
		{0, 0, number, ""},
		{20, 0, number, ""},
		{20, 1, binary.BigEndian.AppendUint64(nil, uint64(large)), ""},
		{701, 0, number, "SP004"},
		{701, 1, double, "SP004"},
		{1700, 0, number, "SP004"},
	} {
		if got := write(k.oid, k.format, k.key); got != k.want {
			t.Errorf("a key of type %d: %q, want %q", k.oid, got, k.want)
		}
	}
	if _, err := c.PgConn().Exec(t.Context(), fmt.Sprintf("PREPARE round (text, float8) AS UPDATE support.customers SET phone = $1 WHERE id = $2; EXECUTE round('%s', %d)", theirs, large)).ReadAll(); codeOf(err) != "SP004" {
		t.Errorf("a key that PREPARE declares: %v", err)
	}
	if got := f.connect(who).one(fmt.Sprintf("SELECT count(DISTINCT phone) FROM support.customers WHERE id >= %d", large)); got != "2" {
		t.Error("a token was copied to the row beside its own")
	}

	// A token that stands there uncommitted proves nothing: somebody may have put it there around the gateway.
	c.must(fmt.Sprintf("BEGIN; UPDATE support.customers SET email = 'other@x.example' WHERE id = %d", own.ID))
	uncommitted := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", own.ID))
	if err := c.fails(fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", uncommitted, own.ID)); err.Code != "SP004" {
		t.Errorf("an uncommitted token: %s", err.Code)
	}
	c.must("ROLLBACK")
	for _, e := range f.events()[from:] {
		if e.Kind == sallyport.CopyKind && e.Decision.Permitted {
			t.Error("what stays where it is, is on record as a copy")
		}
	}
}
