package serve

import (
	"bytes"
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

// typedColumn is a protected column of a type of its own, with one value in the ways in which it is written.
type typedColumn struct {
	name, kind, scheme string
	plain              string // as it comes back, in text
	given              any    // for the binary protocol
	shown              string // what that protocol gives back
	other              string // another value
	literal            string // in SQL
	formless           bool
}

var (
	bornAt = time.Date(1980, 2, 29, 12, 34, 56, 500_000_000, time.UTC) //nolint:gochecknoglobals // constant

	typedColumns = []typedColumn{ //nolint:gochecknoglobals // constant
		{name: "tax", kind: "integer", scheme: "int4", plain: "712345678", given: int32(712345678), shown: "712345678", other: "712345679", literal: "712345678", formless: true},
		{name: "account", kind: "bigint", scheme: "int8", plain: "-7123456789012345", given: int64(-7123456789012345), shown: "-7123456789012345", other: "8", literal: "-7123456789012345", formless: true},
		{
			name: "device", kind: "uuid", scheme: "uuid", plain: "f47ac10b-58cc-4372-a567-0e02b2c3d479", given: "f47ac10b-58cc-4372-a567-0e02b2c3d479",
			shown: fmt.Sprint([16]byte{0xf4, 0x7a, 0xc1, 0x0b, 0x58, 0xcc, 0x43, 0x72, 0xa5, 0x67, 0x0e, 0x02, 0xb2, 0xc3, 0xd4, 0x79}), other: "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
			literal: "'f47ac10b-58cc-4372-a567-0e02b2c3d479'", formless: true,
		},
		{name: "seen", kind: "timestamp", scheme: "timestamp", plain: "1980-02-29 12:34:56.5", given: bornAt, shown: fmt.Sprint(bornAt), other: "1981-01-01 00:00:00", literal: "'1980-02-29 12:34:56.5'"},
		{name: "since", kind: "timestamptz", scheme: "timestamptz", plain: "1980-02-29 12:34:56.5+00", given: bornAt, shown: fmt.Sprint(bornAt.Local()), other: "1981-01-01 00:00:00+00", literal: "'1980-02-29 12:34:56.5Z'"},
		{name: "handle", kind: "citext", scheme: "email", plain: "typed@example.org", given: "Typed@Example.org", shown: "typed@example.org", other: "other@example.org", literal: "'Typed@Example.ORG'"},
		{name: "nick", kind: "varchar(90)", scheme: "phone, region: GB", plain: "+442071838750", given: "020 7183 8750", shown: "+442071838750", other: "+442071838751", literal: "'+44 (0)20 7183 8750'"},
	}
)

// newTypedFort protects a table with a column of each type; rows stand in it for columns whose tokens have a form.
func newTypedFort(t *testing.T) (f *fort, who sallyport.Staff, ticket sim.Ticket, customer sim.Customer) {
	t.Helper()
	f = newFort(t, "", exporting(t))
	who, ticket, customer = f.hasTicket(0)
	f.stop()
	columns, lines := "", ""
	for _, c := range typedColumns {
		columns += ", " + c.name + " " + c.kind
		lines += fmt.Sprintf("    support.typed.%s: {class: identity, scheme: %s}\n", c.name, c.scheme)
	}
	f.superExec(f.database, "CREATE EXTENSION citext; CREATE TABLE support.typed (customer_id bigint PRIMARY KEY REFERENCES support.customers"+columns+`);
		GRANT SELECT, INSERT, UPDATE ON support.typed TO support_agents`)
	f.superExec(f.database, `INSERT INTO support.typed (customer_id, tax, seen, since, handle, nick) SELECT id, 5, '1970-01-01 00:00:00.25'::timestamp + id * interval '1 day',
		'1970-01-01 00:00:00.25+00'::timestamptz + id * interval '1 day', 'h' || id || '@Example.org', '+4420718' || 10000 + id FROM support.customers WHERE id > 2000`)
	f.edit("  paths:\n", lines+"  paths:\n    support.typed: customer_id\n")
	if err := f.protect(); err != nil {
		t.Fatal(err)
	}
	f.start()
	return f, who, ticket, customer
}

// typedTokens are what stands in the database for one customer.
func typedTokens(f *fort, id int64) map[string]string {
	f.t.Helper()
	conn, err := pgx.Connect(f.ctx, f.cluster.SuperDSN(f.database))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(f.ctx))
	out := map[string]string{}
	for _, c := range typedColumns {
		var text string
		if err := conn.QueryRow(f.ctx, fmt.Sprintf("SELECT coalesce(%s::text, '') FROM support.typed WHERE customer_id = %d", c.name, id)).Scan(&text); err != nil {
			f.t.Fatal(err)
		}
		out[c.name] = text
	}
	return out
}

// TestColumnTypes takes a column of each type through the whole path: literals and parameters, text and binary, searches, arrays and
// COPY, and rows of other customers, which stay tokens.
func TestColumnTypes(t *testing.T) {
	f, who, ticket, customer := newTypedFort(t)
	own := customer.ID
	from := len(f.heard.String())
	text, binary := f.connect(who), f.connect(who, pgx.QueryExecModeCacheStatement)
	for _, c := range []*client{text, binary} {
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		c.must("SET TimeZone = 'Asia/Kolkata'")
	}
	f.superExec(f.database, fmt.Sprintf("DELETE FROM support.typed WHERE customer_id = %d", own))

	// Written as literals, and then over them as binary parameters: the same tokens.
	var names, literals, places []string
	var values []any
	for i, c := range typedColumns {
		names, literals, places, values = append(names, c.name), append(literals, c.literal), append(places, fmt.Sprintf("%s = $%d", c.name, i+1)), append(values, c.given)
	}
	text.must(fmt.Sprintf("INSERT INTO support.typed (customer_id, %s) VALUES (%d, %s)", strings.Join(names, ", "), own, strings.Join(literals, ", ")))
	tokens := typedTokens(f, own)
	for _, c := range typedColumns {
		if tokens[c.name] == "" || tokens[c.name] == c.plain {
			t.Errorf("%s: %q stands in the database", c.name, tokens[c.name])
		}
	}
	text.must(fmt.Sprintf("UPDATE support.typed SET tax = 1, account = 2, device = NULL, seen = NULL, since = NULL, handle = 'x@example.org', nick = NULL WHERE customer_id = %d", own))
	binary.must(fmt.Sprintf("UPDATE support.typed SET %s WHERE customer_id = %d", strings.Join(places, ", "), own), values...)
	for name, tok := range typedTokens(f, own) {
		if tok != tokens[name] {
			t.Errorf("%s: a binary parameter became %q, a literal %q", name, tok, tokens[name])
		}
	}

	for _, c := range typedColumns {
		t.Run(c.name, func(t *testing.T) { checkTyped(t, f, text, binary, c, own) })
	}
	t.Run("copy", func(t *testing.T) { checkTypedCopy(t, f, text, own) })
	f.superExec(f.database, "SELECT 'the end of the types'")
	within(t, 5*time.Second, "the server's log has everything", func() bool { return strings.Contains(f.heard.String()[from:], "the end of the types") })
	for line := range strings.Lines(f.heard.String()[from:]) {
		for _, plain := range []string{"712345678", "7123456789012345", "f47ac10b-58cc", "12:34:56.5", "typed@", "2071838750"} {
			if strings.Contains(strings.ToLower(line), plain) {
				t.Errorf("a value reached the server: %s", line)
			}
		}
	}
}

func checkTyped(t *testing.T, f *fort, text, binary *client, c typedColumn, own int64) {
	read := fmt.Sprintf("SELECT %s FROM support.typed WHERE customer_id = %d", c.name, own)
	if got := text.one(read); got != c.plain {
		t.Errorf("read as %q, want %q", got, c.plain)
	}
	if got := binary.one(read); got != c.shown {
		t.Errorf("read in binary as %q, want %q", got, c.shown)
	}
	// Each way of comparing finds the row, and it alone.
	cast := c.literal + "::" + strings.TrimSuffix(c.kind, "(90)")
	if c.name == "account" {
		cast = "'" + c.literal + "'::bigint"
	}
	for _, condition := range []string{
		c.name + " = " + c.literal, c.literal + " = " + c.name, c.name + " IN (" + c.literal + ", '" + c.other + "')", c.name + " = " + cast, c.name + " IS NOT DISTINCT FROM " + c.literal,
		c.name + " = ANY ('{\"" + c.plain + "\"}')", c.name + " = ANY (ARRAY[" + cast + "])", c.name + " = (SELECT " + cast + ")",
	} {
		if got, err := text.rows("SELECT customer_id FROM support.typed WHERE " + condition); err != nil || len(got) != 1 || got[0][0] != fmt.Sprint(own) {
			t.Errorf("%s: found %v, %v", condition, got, err)
		}
	}
	if got := binary.must("SELECT customer_id FROM support.typed WHERE "+c.name+" = $1", c.given); len(got) != 1 {
		t.Errorf("a binary parameter found %v", got)
	}
	list := map[string]any{
		"integer": []int32{712345678}, "bigint": []int64{-7123456789012345}, "uuid": []string{c.plain}, "timestamp": []time.Time{bornAt}, "timestamptz": []time.Time{bornAt},
		"citext": []string{c.plain}, "varchar(90)": []string{c.plain},
	}[c.kind]
	if c.kind != "citext" { // pgx does not know its arrays
		if got := binary.must("SELECT customer_id FROM support.typed WHERE "+c.name+" = ANY ($1)", list); len(got) != 1 {
			t.Errorf("a binary array found %v", got)
		}
	}
	for _, condition := range []string{c.name + " > " + c.literal, c.name + "::text LIKE '1%'", c.name + " BETWEEN " + c.literal + " AND " + c.literal} {
		if err := text.fails("SELECT 1 FROM support.typed WHERE " + condition); !strings.HasPrefix(err.Code, "SP") {
			t.Errorf("%s: %s", condition, err.Code)
		}
	}
	// Where it is not traced, a token without a form is nothing but a number.
	union := text.one(read + " UNION ALL " + read + " LIMIT 1")
	if stored := typedTokens(f, own)[c.name]; c.formless && union != stored {
		t.Errorf("untraced it is %q, stored %q", union, stored)
	}
	// A program that saves what it read, as a token and as a value, changes nothing.
	before := typedTokens(f, own)[c.name]
	for _, saved := range []string{before, c.plain} {
		text.must(fmt.Sprintf("UPDATE support.typed SET %s = '%s' WHERE customer_id = %d", c.name, saved, own))
		if after := typedTokens(f, own)[c.name]; after != before {
			t.Errorf("saving %q made %q of %q", saved, after, before)
		}
	}
	// In another customer's row the same token stays one: numbers and moments may be many people's. Others count as a second customer.
	if c.kind == "citext" || c.kind == "varchar(90)" {
		return
	}
	stranger := int64(2001)
	if stranger == own {
		stranger++
	}
	f.superExec(f.database, fmt.Sprintf("INSERT INTO support.typed (customer_id) VALUES (%d) ON CONFLICT DO NOTHING", stranger))
	f.superExec(f.database, fmt.Sprintf("UPDATE support.typed SET %s = (SELECT %s FROM support.typed WHERE customer_id = %d) WHERE customer_id = %d", c.name, c.name, own, stranger))
	if got := text.must(fmt.Sprintf("SELECT customer_id, %s FROM support.typed WHERE customer_id = %d", c.name, stranger)); got[0][1] == c.plain {
		t.Error("a value is readable in a stranger's row")
	}
	f.superExec(f.database, fmt.Sprintf("UPDATE support.typed SET %s = NULL WHERE customer_id = %d", c.name, stranger))
}

// checkTypedCopy takes the row out and in again by COPY in each format, which must change no token.
func checkTypedCopy(t *testing.T, f *fort, c *client, own int64) {
	var names, plain []string
	for _, column := range typedColumns {
		names, plain = append(names, column.name), append(plain, column.plain)
	}
	list := strings.Join(names, ", ")
	before := typedTokens(f, own)
	for _, format := range []string{"text", "csv", "binary"} {
		var out bytes.Buffer
		if _, err := c.PgConn().CopyTo(t.Context(), &out, fmt.Sprintf("COPY (SELECT customer_id, %s FROM support.typed WHERE customer_id = %d) TO STDOUT (FORMAT %s)", list, own, format)); err != nil {
			t.Fatal(err)
		}
		separator := map[string]string{"text": "\t", "csv": ","}[format]
		if got := strings.TrimSpace(out.String()); separator != "" {
			want := strings.Join(append([]string{fmt.Sprint(own)}, plain...), separator)
			if !slices.Equal(strings.Split(got, separator), strings.Split(want, separator)) {
				t.Errorf("%s: copied out as %q, want %q", format, got, want)
			}
		}
		f.superExec(f.database, fmt.Sprintf("DELETE FROM support.typed WHERE customer_id = %d", own))
		if _, err := c.PgConn().CopyFrom(context.WithoutCancel(t.Context()), &out, fmt.Sprintf("COPY support.typed (customer_id, %s) FROM STDIN (FORMAT %s)", list, format)); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		for name, tok := range typedTokens(f, own) {
			if tok != before[name] {
				t.Errorf("%s: %s was copied in as %q, want %q", format, name, tok, before[name])
			}
		}
	}
}
