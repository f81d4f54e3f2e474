package serve

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// TestClientPortals reads a result piece by piece.
func TestClientPortals(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who, pgx.QueryExecModeCacheStatement)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.must("BEGIN")
	if err := c.rowsInto(fmt.Sprintf("DECLARE cur CURSOR FOR SELECT email FROM support.customers WHERE id = %d UNION ALL SELECT team FROM support.staff", customer.ID)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for {
		rows := c.must("FETCH 3 FROM cur")
		for _, r := range rows {
			seen[r[0]] = true
		}
		if len(rows) < 3 {
			break
		}
	}
	if !seen[customer.Email] {
		t.Error("a covered value that came by cursor is a token")
	}
	c.must("MOVE BACKWARD ALL IN cur")
	c.must("CLOSE cur")
	c.must("COMMIT")
}

func (c *client) rowsInto(sql string) error {
	_, err := c.Exec(c.t.Context(), sql)
	return err
}

// TestClientShapes reveals covered values in whatever form a result brings them, in text and in binary.
func TestClientShapes(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	from := fmt.Sprintf(" FROM support.customers c WHERE id = %d", customer.ID)
	for _, tt := range []struct{ name, sql, want string }{
		{"column", "SELECT email" + from, customer.Email},
		{"array", "SELECT array_agg(email)" + from, "{" + customer.Email + "}"},
		{"array of names", "SELECT array_agg(full_name)" + from, `{"` + customer.FullName + `"}`},
		{"array of several", "SELECT ARRAY[email, phone, full_name, 'x', NULL]" + from, `{` + customer.Email + `,` + customer.Phone + `,"` + customer.FullName + `",x,NULL}`},
		{"json", "SELECT row_to_json(x) FROM (SELECT email, full_name" + from + ") x", `{"email":"` + customer.Email + `","full_name":"` + customer.FullName + `"}`},
		{"jsonb", "SELECT jsonb_build_object('e', email)" + from, `{"e": "` + customer.Email + `"}`},
		{"row", "SELECT (id, email)" + from, fmt.Sprintf("(%d,%s)", customer.ID, customer.Email)},
		{"row with a name", "SELECT (id, full_name)" + from, fmt.Sprintf(`(%d,"%s")`, customer.ID, customer.FullName)},
		{"row with blanks beside", "SELECT (full_name, 'a b', email)" + from, fmt.Sprintf(`("%s","a b",%s)`, customer.FullName, customer.Email)},
		{"concatenation", "SELECT full_name || ' <' || email || '>'" + from, customer.FullName + " <" + customer.Email + ">"},
		{"format", "SELECT format('%s, %s', email, phone)" + from, customer.Email + ", " + customer.Phone},
		{"union", "SELECT email" + from + " UNION SELECT email" + from, customer.Email},
		{"coalesce", "SELECT coalesce(email, 'none')" + from, customer.Email},
		{"case", "SELECT CASE WHEN true THEN email END" + from, customer.Email},
		{"scalar", "SELECT (SELECT email" + from + ")", customer.Email},
		{"string_agg", "SELECT string_agg(email, ', ')" + from, customer.Email},
		{"cte", "WITH x AS MATERIALIZED (SELECT email" + from + ") SELECT * FROM x", customer.Email},
		{"lateral", fmt.Sprintf("SELECT l.e FROM support.staff s, LATERAL (SELECT email AS e FROM support.customers c WHERE c.id = %d) l LIMIT 1", customer.ID), customer.Email},
		{"values", "SELECT v FROM (SELECT email" + from + ") x(e), LATERAL (VALUES (e)) y(v)", customer.Email},
		{"unnest", "SELECT unnest(ARRAY[email])" + from, customer.Email},
		{"xml", "SELECT xmlelement(name e, email)::text" + from, "<e>" + customer.Email + "</e>"},
		{"date text", "SELECT birth_date::text" + from, customer.BirthDate.Format(time.DateOnly)},
	} {
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			t.Run(fmt.Sprintf("%s %d", tt.name, format), func(t *testing.T) {
				c := f.connect(who)
				c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
				got, err := c.textOf(tt.sql, format)
				if err != nil {
					t.Fatal(err)
				}
				if got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		}
	}

	// Every way to write a date.
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	direct := f.direct()
	for _, style := range []string{"ISO, YMD", "ISO, MDY", "ISO, DMY", "SQL, MDY", "SQL, DMY", "Postgres, MDY", "Postgres, DMY", "German"} {
		c.must("SET DateStyle = '" + style + "'")
		var want string
		if _, err := direct.Exec(t.Context(), "SET DateStyle = '"+style+"'"); err != nil {
			t.Fatal(err)
		}
		if err := direct.QueryRow(t.Context(), "SELECT $1::date::text", customer.BirthDate).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := c.one("SELECT birth_date" + from); got != want {
			t.Errorf("%s: %s, not %s", style, got, want)
		}
		if got := c.one("SELECT b FROM (SELECT birth_date AS b" + from + " UNION ALL SELECT NULL) u WHERE b IS NOT NULL"); got != want {
			t.Errorf("%s, not traced: %s, not %s", style, got, want)
		}
	}
}

// textOf runs one statement with its results in a format and gives the single value as PostgreSQL would write it.
func (c *client) textOf(sql string, format int16) (string, error) {
	r := c.PgConn().ExecParams(c.t.Context(), sql, nil, nil, nil, []int16{format}).Read()
	if r.Err != nil {
		return "", r.Err
	}
	if len(r.Rows) != 1 || len(r.Rows[0]) != 1 {
		return "", fmt.Errorf("%d rows", len(r.Rows))
	}
	if format == pgtype.TextFormatCode {
		return string(r.Rows[0][0]), nil
	}
	return fromBinary(r.FieldDescriptions[0].DataTypeOID, r.Rows[0][0])
}

// fromBinary writes a value of PostgreSQL's binary format as its text format would be: texts, JSON, arrays and rows of them.
func fromBinary(oid uint32, b []byte) (string, error) {
	switch oid {
	case pgtype.JSONBOID:
		return string(b[1:]), nil
	case pgtype.Int8OID:
		return fmt.Sprint(int64(binary.BigEndian.Uint64(b))), nil //nolint:gosec // int8send
	case pgtype.TextArrayOID:
		var elements []*string
		if err := pgtype.NewMap().Scan(oid, pgtype.BinaryFormatCode, b, &elements); err != nil {
			return "", err
		}
		var parts []string
		for _, e := range elements {
			if e == nil {
				parts = append(parts, "NULL")
			} else {
				parts = append(parts, quoteElement(*e))
			}
		}
		return "{" + strings.Join(parts, ",") + "}", nil
	case pgtype.RecordOID:
		var parts []string
		n, rest := binary.BigEndian.Uint32(b), b[4:]
		for range n {
			oid, size := binary.BigEndian.Uint32(rest), int(binary.BigEndian.Uint32(rest[4:]))
			field, err := fromBinary(oid, rest[8:8+size])
			if err != nil {
				return "", err
			}
			parts, rest = append(parts, quoteElement(field)), rest[8+size:]
		}
		if len(rest) != 0 {
			return "", fmt.Errorf("%d bytes behind a row", len(rest))
		}
		return "(" + strings.Join(parts, ",") + ")", nil
	}
	return string(b), nil
}

func quoteElement(s string) string {
	if strings.ContainsAny(s, " ,\"") {
		return `"` + s + `"`
	}
	return s
}
