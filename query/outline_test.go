package query

import "testing"

// TestOutline: what is kept of a foreign text is the gateway's own hash of its shape, and nothing of a literal.
func TestOutline(t *testing.T) {
	of := func(sql string, foreign bool) string {
		t.Helper()
		hash, _, ok := Outline(sql, foreign)
		if !ok {
			t.Fatalf("%q is not readable", sql)
		}
		return hash
	}
	own := analyzeOne(t, New(refSchema(), Options{}), "SELECT id, state FROM tickets WHERE id = 4711 /* why */").Fingerprint
	if got := of("select id, state\n  from tickets where id = $1", false); got != own {
		t.Errorf("the gateway calls it %s, a log %s", own, got)
	}
	a, b := `SELECT * FROM t WHERE email = "ada@example.org"`, `SELECT * FROM t WHERE email = "bob@example.org"`
	if of(a, true) != of(b, true) {
		t.Error("a literal in another dialect's quotes is in the hash")
	}
	if of(a, false) == of(b, false) {
		t.Error("PostgreSQL's quoted names are not")
	}
	if _, verb, _ := Outline("-- x\n  delete from t", false); verb != "DELETE" {
		t.Errorf("the first word is %q", verb)
	}
	for _, sql := range []string{"", " -- nothing", "SELECT 'open", "ada@example.org", "'ada'", "SELECT \x00", "4711"} {
		if hash, verb, ok := Outline(sql, false); ok || hash != "" || verb != "" {
			t.Errorf("%q: %q %q", sql, hash, verb)
		}
	}
}
