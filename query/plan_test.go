package query

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func analyzeOne(t *testing.T, a *Analyzer, sql string) *Statement {
	t.Helper()
	plan, err := a.Analyze(sql, true)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(plan.Statements) != 1 {
		t.Fatalf("%s: %d statements", sql, len(plan.Statements))
	}
	return &plan.Statements[0]
}

// TestExecute: the arguments of EXECUTE become what the prepared body wants of its parameters.
func TestExecute(t *testing.T) {
	a := New(refSchema(), Options{})
	prepare := analyzeOne(t, a, "PREPARE p AS UPDATE customers SET email = $2, plan = $3 WHERE full_name = $1 AND phone = ANY ($4)")
	if len(prepare.Params) != 0 || len(prepare.Prepare.Body.Params) != 3 {
		t.Fatalf("parameters: %d outside, %d inside", len(prepare.Params), len(prepare.Prepare.Body.Params))
	}
	for _, c := range []struct{ sql, want string }{
		{"EXECUTE p ('Ada', 'a@b', 'pro', '{x}')", "EXECUTE p ('⟦full_name match Ada⟧', '⟦email store a@b⟧', 'pro', '⟦phone match array {x}⟧')"},
		{"EXECUTE p ('Ada'::text, NULL, upper('pro'), NULL) /* why */", "EXECUTE p ('⟦full_name match Ada⟧'::text, NULL, upper('pro'), NULL) /* why */"},
		{"EXPLAIN ANALYZE EXECUTE p (E'A\\'b', U&'!0041' UESCAPE '!', 'pro')", "EXPLAIN ANALYZE EXECUTE p ('⟦full_name match A''b⟧', '⟦email store A⟧', 'pro')"},
		{"EXECUTE p ('Ada', 4711)", "EXECUTE p ('⟦full_name match Ada⟧', '⟦email store 4711⟧')"},
		{"EXECUTE p (lower('Ada'), 'a@b')", ""},
		{"EXECUTE p ('Ada'::varchar(2), 'a@b')", ""},
		{"EXECUTE p ('Ada', 'a' || 'b')", ""},
		{"EXECUTE p ('Ada', (SELECT 'b'), 'pro', ARRAY['x'])", ""},
		{"EXECUTE p (true, 'a@b')", ""},
	} {
		edits, refusal := analyzeOne(t, a, c.sql).ExecuteEdits(prepare.Prepare.Body)
		switch {
		case (refusal != nil) != (c.want == ""):
			t.Errorf("%s: refusal %v", c.sql, refusal)
		case refusal == nil && apply(c.sql, edits) != c.want:
			t.Errorf("%s\n got %s\nwant %s", c.sql, apply(c.sql, edits), c.want)
		}
	}
}

// TestNonStandardStrings: where a backslash may or may not hide a quote, nobody knows where a string ends.
func TestNonStandardStrings(t *testing.T) {
	a := New(refSchema(), Options{})
	for sql, refused := range map[string]bool{
		`SELECT '\', (SELECT 1 FROM customers WHERE email = 'x') --'`: true,
		`SELECT '\' , 'SELECT 1 FROM customers'`:                      true,
		`SELECT 1; SELECT 'C:\'; SELECT 2`:                            true,
		`SELECT E'\\' FROM customers`:                                 false,
		`SELECT $$\$$ FROM customers WHERE email = 'x'`:               false,
		`SELECT 'plain' FROM customers`:                               false,
	} {
		plan, err := a.Analyze(sql, false)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		for i := range plan.Statements {
			if got := plan.Statements[i].Refusal != nil; got != refused {
				t.Errorf("%s: statement %d refused: %t", sql, i+1, got)
			}
		}
	}
}

// TestFingerprint: equal for the same shape, different for what pg_query's own takes for the same.
func TestFingerprint(t *testing.T) {
	a := New(refSchema(), Options{})
	of := func(sql string) string { return analyzeOne(t, a, sql).Fingerprint }
	for _, c := range []struct {
		x, y string
		same bool
	}{
		{"SELECT id FROM customers WHERE email = 'a'", "select id  from CUSTOMERS where email = $1 -- x", true},
		{"SELECT 1 WHERE 1 IN (1, 2, 3)", "SELECT 1 WHERE 1 IN ($1, 'x')", true},
		{"SELECT id, email FROM customers", "SELECT email, id FROM customers", false},
		{"UPDATE customers SET email = 'a', plan = 'b'", "UPDATE customers SET plan = 'a', email = 'b'", false},
		{`SELECT "A" FROM t`, `SELECT "a" FROM t`, false},
		{"SELECT a FROM t", "SELECT b FROM t", false},
	} {
		if got := of(c.x) == of(c.y); got != c.same {
			t.Errorf("%s and %s: same %t", c.x, c.y, got)
		}
	}
}

// TestRefusalsQuoteNothing: what people and logs see of a refusal holds no literal and no name of the statement's own.
func TestRefusalsQuoteNothing(t *testing.T) {
	a := New(refSchema(), Options{})
	for _, sql := range []string{
		"SELECT * FROM customers WHERE email LIKE 'ada@example.com'", "SELECT * FROM customers WHERE email = lower('ada@example.com')",
		"SELECT 'ada@example.com' FROM", "SELECT 'ada@example.com", "SELECT * FROM customers WHERE ada_example.email = 'ada@example.com'",
		"INSERT INTO customers (email) VALUES (trim('ada@example.com'))", "SELECT find_customer('ada@example.com')",
		"SET sallyport.purpose = 'ada@example.com', 'b'", "DO 'ada@example.com'", "EXECUTE p ('ada@example.com' || 'x')",
	} {
		plan, err := a.Analyze(sql, true)
		text := fmt.Sprint(err)
		if err == nil && plan.Statements[0].Refusal != nil {
			text = plan.Statements[0].Refusal.Error() + plan.Statements[0].Refusal.Hint
		}
		if strings.Contains(text, "ada") {
			t.Errorf("%s: %s", sql, text)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	a := New(refSchema(), Options{CacheEntries: 10, CacheBytes: 20_000})
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 50 {
				sql := fmt.Sprintf("SELECT email FROM customers WHERE email = 'w%d-%d'", worker, i%20)
				if _, err := a.Analyze(sql, true); err != nil {
					t.Error(err)
				}
				if _, err := a.Analyze(fmt.Sprintf("SELECT a%d FROM staff WHERE id = %d", i, i), true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if n := len(a.cache.byText); n > 10 || n != a.cache.recent.Len() {
		t.Errorf("%d texts in the cache, %d in its list", n, a.cache.recent.Len())
	}
	if a.cache.bytes > 20_000 || a.cache.bytes <= 0 {
		t.Errorf("%d bytes", a.cache.bytes)
	}
	if n := len(a.shapes.inert); n == 0 || n > 10 {
		t.Errorf("%d templates", n)
	}
}

// TestShapeText: the text of the fingerprint holds no literal, and of names only those that look like names.
func TestShapeText(t *testing.T) {
	a := New(refSchema(), Options{})
	for sql, want := range map[string]string{
		"SELECT 'x', 5, $1, E'\\n', B'1', 1e5":                                  "select ?",
		"SELECT a FROM c WHERE id IN (1, 2, 3) -- Ada":                          "select a from c where id in ( ? )",
		"SELECT 1 AS \"Ada Lovelace\", 2 AS \"ada@example.org\", 3 AS \"Ok_1\"": "select ? as \"?\", ? as \"?\", ? as \"Ok_1\"",
		"SET application_name TO ada":                                           "",
		"CREATE ROLE ada":                                                       "",
	} {
		plan, err := a.Analyze(sql, true)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if got := plan.Statements[0].Shape; got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}
