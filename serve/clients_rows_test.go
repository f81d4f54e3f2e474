package serve

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
)

// TestClientLargeRows sends and reads values of 10 MB, beside a revealed one and in tables that are not protected.
func TestClientLargeRows(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	const size = 10 << 20
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement} {
		t.Run(mode.String(), func(t *testing.T) {
			c := f.connect(who, mode)
			c.t = t
			c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
			var email, long string
			err := c.QueryRow(t.Context(), "SELECT email, repeat('x', 10 << 20) FROM support.customers WHERE id = $1", customer.ID).Scan(&email, &long)
			if err != nil || email != customer.Email || len(long) != size {
				t.Errorf("beside a large value: %d bytes, %v", len(long), err)
			}
			rows := c.must("SELECT n, repeat('y', 1 << 20) FROM generate_series(1, 20) n")
			if len(rows) != 20 || len(rows[19][1]) != 1<<20 {
				t.Error("20 rows of 1 MiB did not come whole")
			}
			if mode != pgx.QueryExecModeSimpleProtocol { // as a literal it is refused: a statement may have 1 MiB
				var n int
				if err := c.QueryRow(t.Context(), "SELECT length($1::text)", strings.Repeat("z", size)).Scan(&n); err != nil || n != size {
					t.Errorf("a parameter of 10 MB: %d %v", n, err)
				}
				body := strings.Repeat("free text ", 100_000)
				if _, err := c.Exec(t.Context(), "UPDATE support.customers SET notes = $1 WHERE id = $2", body, customer.ID); err != nil {
					t.Fatal(err)
				}
				if got := c.one("SELECT notes FROM support.customers WHERE id = $1", customer.ID); got != body {
					t.Errorf("a protected text of 1 MB came back with %d bytes", len(got))
				}
			}
		})
	}
	if err := f.connect(who).fails("SELECT length('" + strings.Repeat("z", 2<<20) + "')"); err.Code != "54001" {
		t.Errorf("a statement of 2 MiB: %s %s", err.Code, err.Message)
	}
}

// TestClientManyColumns uses a table as wide as they get.
func TestClientManyColumns(t *testing.T) {
	f := newFort(t, "")
	var create, insert strings.Builder
	for i := range 1600 {
		fmt.Fprintf(&create, ", c%d int", i)
		fmt.Fprintf(&insert, ", %d", i)
	}
	f.superExec(f.database, "CREATE TABLE public.wide ("+create.String()[2:]+"); GRANT ALL ON public.wide TO PUBLIC")
	who, _, _ := f.hasTicket(0)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement} {
		c := f.connect(who, mode)
		c.must("INSERT INTO public.wide VALUES (" + insert.String()[2:] + ")")
		for _, row := range c.must("SELECT * FROM public.wide") {
			if len(row) != 1600 || row[1599] != "1599" {
				t.Errorf("%s: %d columns", mode, len(row))
			}
		}
		if n := len(c.must("SELECT w.*, s.id FROM (SELECT * FROM public.wide LIMIT 1) w, support.staff s WHERE s.id = 's001'")[0]); n != 1601 {
			t.Errorf("%s: %d columns of a join", mode, n)
		}
	}
}

// TestClientCopy copies tables that are not protected out and in, in every format, both ways.
func TestClientCopy(t *testing.T) {
	f := newFort(t, "")
	f.superExec(f.database, `CREATE TABLE public.things (id int, name text, at timestamptz, tags text[], raw bytea);
		INSERT INTO public.things SELECT n, CASE WHEN n % 7 = 0 THEN NULL WHEN n % 5 = 0 THEN E'tab\tand "quote", back\\slash and\nnewline' ELSE 'thing ' || n END, '2026-01-01', ARRAY['a b', NULL], '\xdeadbeef'
		FROM generate_series(1, 20000) n;
		CREATE TABLE public.copies (LIKE public.things)`)
	for _, format := range []string{"(FORMAT text)", "(FORMAT csv, HEADER)", "(FORMAT csv, DELIMITER ';', QUOTE '''', NULL 'none')", "(FORMAT binary)", "(FORMAT text, DELIMITER '|', NULL '-', ENCODING 'UTF8')"} {
		var out [2]bytes.Buffer
		for i, dsn := range f.superWays() {
			conn, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			if tag, err := conn.PgConn().CopyTo(t.Context(), &out[i], "COPY public.things TO STDOUT WITH "+format); err != nil || tag.RowsAffected() != 20000 {
				t.Errorf("%s: %s %v", format, tag, err)
			}
			if _, err := conn.Exec(t.Context(), "TRUNCATE public.copies"); err != nil {
				t.Fatal(err)
			}
			if tag, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(out[i].Bytes()), "COPY public.copies FROM STDIN WITH "+format); err != nil || tag.RowsAffected() != 20000 {
				t.Errorf("%s in: %s %v", format, tag, err)
			}
			var differ int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM (SELECT * FROM public.things EXCEPT SELECT * FROM public.copies) d").Scan(&differ); err != nil || differ != 0 {
				t.Errorf("%s: %d rows came back changed, %v", format, differ, err)
			}
			_ = conn.Close(t.Context())
		}
		if !bytes.Equal(out[0].Bytes(), out[1].Bytes()) {
			t.Errorf("%s: %d bytes directly, %d through the gateway", format, out[0].Len(), out[1].Len())
		}
	}
	// pgx's own way: binary, from a program's rows.
	super := f.superWays()[1]
	conn, err := pgx.Connect(t.Context(), super)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"public", "copies"}, []string{"id", "name"}, pgx.CopyFromSlice(1000, func(i int) ([]any, error) { return []any{i, "copied"}, nil }))
	if err != nil || n != 1000 {
		t.Errorf("pgx's CopyFrom: %d %v", n, err)
	}
}

// TestClientCopyRevealed copies what a purpose covers, and writes protected columns by COPY where that is possible at all.
func TestClientCopyRevealed(t *testing.T) {
	f := newFort(t, "", exporting(t))
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	query := fmt.Sprintf("(SELECT full_name, email, id, NULL FROM support.customers WHERE id = %d)", customer.ID)
	for format, want := range map[string]string{
		"(FORMAT text)":                fmt.Sprintf("%s\t%s\t%d\t\\N\n", customer.FullName, customer.Email, customer.ID),
		"(FORMAT csv)":                 fmt.Sprintf("%s,%s,%d,\n", customer.FullName, customer.Email, customer.ID),
		"(FORMAT csv, FORCE_QUOTE *)":  fmt.Sprintf("%q,%q,\"%d\",\n", customer.FullName, customer.Email, customer.ID),
		"(FORMAT csv, DELIMITER ' ')":  fmt.Sprintf("%q %s %d \n", customer.FullName, customer.Email, customer.ID),
		"(FORMAT text, DELIMITER '|')": fmt.Sprintf("%s|%s|%d|\\N\n", customer.FullName, customer.Email, customer.ID),
	} {
		var out bytes.Buffer
		if _, err := c.PgConn().CopyTo(t.Context(), &out, "COPY "+query+" TO STDOUT WITH "+format); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s:\n%q\nwant\n%q", format, out.String(), want)
		}
	}
}

// TestClientCopyBinary copies a table in binary: what a purpose covers is revealed, dates too, and all else is what PostgreSQL
// sends. Whoever else's rows go out are counted by customer.
func TestClientCopyBinary(t *testing.T) {
	f := newFort(t, "", exporting(t))
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	out := func(c *client, sql string) []byte {
		t.Helper()
		var b bytes.Buffer
		if _, err := c.PgConn().CopyTo(t.Context(), &b, sql); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	day := int32(customer.BirthDate.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Hours() / 24)
	born := string(binary.BigEndian.AppendUint32(nil, uint32(day))) //nolint:gosec // signed on the wire
	field := func(s string) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s //nolint:gosec // of a test
	}
	id := field(string(binary.BigEndian.AppendUint64(nil, uint64(customer.ID)))) //nolint:gosec // of a test
	want := "PGCOPY\n\377\r\n\000" + strings.Repeat("\000", 8) + "\000\005" + id + field(customer.FullName) + field(customer.Email) + field(born) + "\377\377\377\377" + "\377\377"
	for _, tables := range []string{"support.customers", "support.customers AS c"} {
		query := fmt.Sprintf("COPY (SELECT id, full_name, email, birth_date, NULL::text FROM %s WHERE id = %d) TO STDOUT (FORMAT binary)", tables, customer.ID)
		if got := string(out(c, query)); got != want {
			t.Errorf("%s:\n%q\nwant\n%q", query, got, want)
		}
	}
	if got := string(out(c, fmt.Sprintf("COPY (SELECT ARRAY[email, 'x'], row(full_name, 1) FROM support.customers WHERE id = %d) TO STDOUT (FORMAT binary)", customer.ID))); !strings.Contains(got, field(customer.Email)) ||
		!strings.Contains(got, field(customer.FullName)) {
		t.Errorf("in an array and a row: %q", got)
	}
	whole := out(c, "COPY support.customers TO STDOUT (FORMAT binary)")
	if !bytes.Contains(whole, []byte(field(customer.Email))) || !bytes.Contains(whole, []byte(field(born))) {
		t.Error("the whole table holds nothing readable")
	}
	var direct bytes.Buffer
	if _, err := f.direct().PgConn().CopyTo(t.Context(), &direct, "COPY support.tickets TO STDOUT (FORMAT binary)"); err != nil {
		t.Fatal(err)
	}
	other, _, _ := f.hasTicket(1)
	stranger := f.connect(other)
	if got := out(stranger, "COPY support.tickets TO STDOUT (FORMAT binary)"); !bytes.Equal(got, direct.Bytes()) {
		t.Errorf("without a purpose: %d bytes, directly %d", len(got), direct.Len())
	}
	third, _, _ := f.hasTicket(2)
	stranger = f.connect(third)
	for _, format := range []string{"text", "csv, HEADER", "binary"} {
		out(stranger, "COPY (SELECT id, email, phone FROM support.customers WHERE id <= 7) TO STDOUT (FORMAT "+format+")")
	}
	out(stranger, "COPY support.customers (phone, id, email) TO STDOUT (FORMAT csv, HEADER)")
	reached := map[sallyport.Subject]bool{}
	for _, e := range f.events() {
		if e.Who.Staff == third && e.Touch != nil {
			if len(e.Touch.Values) > 0 {
				t.Errorf("%d rows were counted by token", len(e.Touch.Values))
			}
			for _, subject := range e.Touch.Reached {
				reached[subject] = true
			}
		}
	}
	if len(reached) != fortCustomers {
		t.Errorf("%d customers were reached", len(reached))
	}
}

// TestClientPortalsRevealed reads covered rows one by one through a portal with a row limit, in both formats.
func TestClientPortalsRevealed(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	sync := &pgproto3.Sync{}
	text := fmt.Sprintf("SELECT n, email, birth_date, full_name FROM support.customers, generate_series(1, 4) n WHERE id = %d", customer.ID)
	k := newTalk(t, f.dsn(who))
	k.say(sql("BEGIN"))
	k.say(sql(fmt.Sprintf("SET LOCAL sallyport.purpose = 'ticket:%d'", ticket.ID)))
	email := fmt.Sprintf("{%q:%q}", "text", customer.Email)
	count := func(lines []string, what string) int { return strings.Count(strings.Join(lines, "\n"), what) }

	first := k.say(parse("p", text), bind("c", "p"), execute("c", 1), execute("c", 2), sync)
	if count(first, email) != 3 || count(first, "PortalSuspended") != 2 {
		t.Errorf("three of four rows:\n%s", strings.Join(first, "\n"))
	}
	if rest := k.say(execute("c", 0), sync); count(rest, email) != 1 || count(rest, `"SELECT 1"`) != 1 {
		t.Errorf("the last row:\n%s", strings.Join(rest, "\n"))
	}
	if again := k.say(closing('P', "c"), bindBinary("c", "p", 1), describe('P', "c"), execute("c", 1), execute("c", 0), closing('P', "c"), sync); count(again, email) != 4 {
		t.Errorf("in binary:\n%s", strings.Join(again, "\n"))
	}
	// The purpose is looked at again when a suspended portal goes on.
	k.say(bind("c", "p"), execute("c", 1), sync)
	k.say(sql("SET LOCAL sallyport.purpose = ''"))
	if rest := k.say(execute("c", 0), sync); count(rest, email) != 0 || count(rest, "DataRow") != 3 {
		t.Errorf("after the purpose ended:\n%s", strings.Join(rest, "\n"))
	}
	k.say(sql("ROLLBACK"))
}

// TestClientWholeRows reads rows as values, as object mappers do.
func TestClientWholeRows(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement} {
		c := f.connect(who, mode)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		for _, expression := range []string{"c", "(c)", "to_json(c)", "row_to_json(c)", "array_agg(c)", "json_agg(c)", "jsonb_agg(c)", "ARRAY[c]", "ROW(c.*)", "(c).full_name || ' ' || (c).email"} {
			got := c.one(fmt.Sprintf("SELECT %s::text FROM support.customers c WHERE id = $1", expression), customer.ID)
			if !strings.Contains(got, customer.Email) || !strings.Contains(got, customer.FullName) {
				t.Errorf("%s, %s: %s", mode, expression, got)
			}
		}
	}
}

// TestClientPipeOfPsql streams a large table through psql, which must not hold it.
func TestClientPipeOfPsql(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	ways := f.ways(who, f.passwords[who])
	var said [2]string
	for i, dsn := range ways {
		out, err := installed(t, nil, "psql", "-X", "-At", dsn, "-c", `\copy (SELECT n, md5(n::text) FROM generate_series(1, 200000) n) TO STDOUT`)
		if err != nil {
			t.Fatal(err)
		}
		said[i] = out
	}
	if said[0] != said[1] {
		t.Errorf("%d bytes directly, %d through the gateway", len(said[0]), len(said[1]))
	}
}

// sallyportNotices are the gateway's notices of a conversation.
func sallyportNotices(c *client) (out []string) {
	for _, n := range c.notices {
		if strings.HasPrefix(n.Message, "sallyport:") {
			out = append(out, n.Message)
		}
	}
	return out
}

// TestClientNotices holds the gateway to one word where values stay tokens, and none where nothing is protected.
func TestClientNotices(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	for _, tt := range []struct {
		sql  string
		want int
	}{
		{"SELECT 1", 0},
		{"SELECT * FROM support.staff", 0},
		{fmt.Sprintf("SELECT id, plan FROM support.customers WHERE id = %d", customer.ID), 0},
		{fmt.Sprintf("SELECT * FROM support.customers WHERE id = %d", customer.ID), 1},
		{"SELECT * FROM support.customers WHERE id = -1", 0},
		{fmt.Sprintf("UPDATE support.tickets SET state = state WHERE id = %d", ticket.ID), 0},
		{fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), 0},
		{fmt.Sprintf("SELECT * FROM support.customers WHERE id = %d", customer.ID), 0},
	} {
		c.notices = nil
		c.must(tt.sql)
		if got := sallyportNotices(c); len(got) != tt.want {
			t.Errorf("%s: %v", tt.sql, got)
		}
	}
}
