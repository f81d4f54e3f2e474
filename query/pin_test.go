package query

import (
	"fmt"
	"testing"
)

// TestPins shows which statements pin the row that a value goes to: by key = literal or key = $n, where nothing can make it
// another row.
func TestPins(t *testing.T) {
	schema := refSchema()
	for _, r := range schema.Relations {
		if r.Name == "customers" || r.Name == "leads" {
			r.Columns[0].Key = true
		}
	}
	schema.BuiltIn = map[string]struct{}{"operator =": {}}
	for sql, want := range map[string]string{
		"UPDATE customers SET email = 'a' WHERE id = 5":                                                     "customers.id 5 0",
		"UPDATE customers SET email = 'a' WHERE 5 = id":                                                     "customers.id 5 0",
		"UPDATE customers SET email = 'a' WHERE id = '5' AND plan = 'x'":                                    "customers.id 5 0",
		"UPDATE customers SET email = 'a' WHERE plan = 'x' AND (id = 5 AND country = 'DE')":                 "customers.id 5 0",
		"UPDATE customers SET email = 'a' WHERE id = 99999999999":                                           "customers.id 99999999999 0",
		"UPDATE customers c SET email = 'a' WHERE c.id = $1":                                                "customers.id  1",
		"UPDATE customers c SET email = 'a' FROM staff s WHERE c.id = 5":                                    "customers.id 5 0",
		"UPDATE customers SET email = 'a' WHERE id OPERATOR(pg_catalog.=) 5":                                "customers.id 5 0",
		"UPDATE customers SET email = 'a', plan = $2 WHERE id = $1":                                         "customers.id  1",
		"UPDATE customers SET email = 'a', plan = $1::float8::text WHERE id = $1":                           "", // as a float8 it may be many
		"UPDATE customers SET email = 'a' WHERE id = $1 AND $1 <> 0.5":                                      "",
		"UPDATE customers SET email = 'a' WHERE id = $1 AND plan = $01::float8::text":                       "",
		"PREPARE p AS UPDATE customers SET email = 'a' WHERE id = $1":                                       "customers.id  1",
		"PREPARE p (bigint) AS UPDATE customers SET email = 'a' WHERE id = $1":                              "customers.id  1",
		"PREPARE p (text, int) AS UPDATE customers SET email = 'a' WHERE id = $2":                           "customers.id  2",
		"PREPARE p (float8) AS UPDATE customers SET email = 'a' WHERE id = $1":                              "",
		"PREPARE p (real) AS UPDATE customers SET email = 'a' WHERE id = $1":                                "",
		"PREPARE p (numeric) AS UPDATE customers SET email = 'a' WHERE id = $1":                             "",
		"UPDATE customers SET email = 'a'":                                                                  "",
		"UPDATE customers SET email = 'a' WHERE id = 5 OR true":                                             "",
		"UPDATE customers SET email = 'a' WHERE NOT id = 5":                                                 "",
		"UPDATE customers SET email = 'a' WHERE id > 5":                                                     "",
		"UPDATE customers SET email = 'a' WHERE id IN (5)":                                                  "",
		"UPDATE customers SET email = 'a' WHERE id = id":                                                    "",
		"UPDATE customers SET email = 'a' WHERE id = NULL":                                                  "",
		"UPDATE customers SET email = 'a' WHERE id = 5.5":                                                   "",
		"UPDATE customers SET email = 'a' WHERE id = (SELECT 5)":                                            "",
		"UPDATE customers SET email = 'a' WHERE id OPERATOR(public.=) 5":                                    "",
		"UPDATE customers SET email = 'a' WHERE plan = '5'":                                                 "",
		"UPDATE customers SET email = 'a' FROM staff WHERE id = 5":                                          "", // whose id is not known
		"UPDATE customers c SET email = 'a' FROM staff s WHERE s.id = '5'":                                  "",
		"UPDATE messages SET body = 'a' WHERE id = 5":                                                       "", // no known key
		"UPDATE open_cases SET email = 'a' WHERE id = 5":                                                    "",
		"INSERT INTO customers (id, email) VALUES (5, 'a')":                                                 "",
		"INSERT INTO customers (id, email) VALUES (5, 'a') ON CONFLICT (id) DO UPDATE SET email = 'b'":      "",
		"MERGE INTO customers c USING staff s ON c.id = 5 WHEN MATCHED THEN UPDATE SET email = 'a'":         "",
		"WITH x AS (UPDATE customers SET email = 'a' WHERE id = 5 RETURNING 1) SELECT 1":                    "customers.id 5 0",
		"WITH x AS (UPDATE leads SET email = 'a' WHERE id = 6 RETURNING 1) UPDATE customers SET plan = 'x'": "leads.id 6 0",
	} {
		plan, err := New(schema, Options{Facts: refFacts()}).Analyze(sql, true)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		got := ""
		for _, e := range plan.Statements[0].Edits {
			if e.Slot != nil && e.Slot.Row != nil {
				got = fmt.Sprintf("%s.%s %s %d", e.Slot.Row.Table, e.Slot.Row.Column, e.Slot.Row.Value, e.Slot.Row.Param)
			}
		}
		if got != want {
			t.Errorf("%s: pins %q, want %q", sql, got, want)
		}
	}
}

// TestPinsOneParameterTwice shows that a parameter that goes to two rows is pinned to neither.
func TestPinsOneParameterTwice(t *testing.T) {
	schema := refSchema()
	schema.BuiltIn = map[string]struct{}{"operator =": {}}
	schema.Relations[0].Columns[0].Key = true
	for sql, want := range map[string]bool{
		"UPDATE customers SET email = $1 WHERE id = 5":                                                                                                          true,
		"UPDATE customers SET email = $1 WHERE id = 5 AND email = $1":                                                                                           true,
		"WITH x AS (UPDATE customers SET email = $1 WHERE id = 5 RETURNING 1) UPDATE customers SET email = $1 WHERE id = 6":                                     false,
		"WITH x AS (UPDATE customers SET email = $1 WHERE id = 5 RETURNING 1) UPDATE customers SET email = $1 WHERE plan = 'x'":                                 false,
		"WITH x AS (UPDATE customers SET email = $1 WHERE id = 5 RETURNING 1) INSERT INTO leads (id, email) SELECT 1, $1":                                       false,
		"WITH x AS (INSERT INTO leads (id, email) VALUES (1, $1) RETURNING 1) UPDATE customers SET email = $1 WHERE id = 5":                                     false,
		"WITH a AS (UPDATE customers SET email = $1 WHERE id = 5 RETURNING 1), b AS (SELECT 1 FROM customers WHERE email = $1) UPDATE customers SET plan = 'x'": true,
	} {
		plan, err := New(schema, Options{Facts: refFacts()}).Analyze(sql, true)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if len(plan.Statements[0].Params) != 1 {
			t.Fatalf("%s: %v", sql, plan.Statements[0].Refusal)
		}
		if got := plan.Statements[0].Params[0].Slot.Row != nil; got != want {
			t.Errorf("%s: pinned is %v", sql, got)
		}
	}
}
