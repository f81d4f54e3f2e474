package query

import (
	"strings"
	"testing"
	"time"
)

// TestCostly analyses texts that once ended the process or kept a core busy for minutes. They are refused, or done soon.
func TestCostly(t *testing.T) {
	nested := func(levels int, open, inner, end string) string {
		return strings.Repeat(open, levels) + inner + strings.Repeat(end, levels)
	}
	texts := map[string]string{
		"labels that look like CASE and END": "SELECT 1" + strings.Repeat("-a.case"+strings.Repeat("-1", 1800)+"-a.end", 60) + " FROM a",
		"labels that look like SELECT":       "SELECT 1" + strings.Repeat(strings.Repeat("-1", 1800)+"-a.select", 60) + " FROM a",
		"AS labels":                          "SELECT 1" + strings.Repeat(strings.Repeat("-1", 1800)+" AS where", 60),
		"outputs of one name, grouped":       "SELECT " + strings.Repeat("'x' AS x, ", 1250) + "1 GROUP BY " + strings.Repeat("x, ", 1250) + "x",
		"stars":                              "SELECT " + strings.Repeat("x.*, ", 1250) + "1 FROM (SELECT " + strings.Repeat("'a', ", 1250) + "1) x",
		"comments":                           "SELECT 1" + strings.Repeat(" /*sallyport.*/", 20_000),
		"arguments":                          "SELECT concat('a'" + strings.Repeat(", 'a'", 20_000) + ")",
		"greatest":                           "SELECT greatest('a'" + strings.Repeat(", 'a'", 20_000) + ")",
		"ordered outputs":                    "SELECT " + strings.Repeat("x, ", 1500) + "x ORDER BY " + strings.Repeat("x, ", 5000) + "x",
		"commented statements":               strings.Repeat("SELECT 1/*sallyport.*/;", 20_000),
		"nested changes":                     nested(30, "WITH u AS (UPDATE t SET (a, b) = (", "SELECT 1, 2", ") RETURNING a, b) SELECT a, b FROM u"),
		"nested changes in sub-selects": nested(20, "UPDATE t SET (a, b) = (SELECT a, b FROM (WITH u AS (", "SELECT 1",
			") SELECT 1, 2) x)"),
		"nested recursion": nested(40, "WITH RECURSIVE r AS (SELECT 1 UNION ALL (", "SELECT 1", ")) SELECT 1 FROM r"),
	}
	for name, sql := range texts {
		start := time.Now()
		plan, err := New(refSchema(), Options{}).Analyze(sql, true)
		took := time.Since(start)
		switch {
		case took > 20*time.Second: // generous: the machine may be busy; what is meant are minutes
			t.Errorf("%s: took %s", name, took)
		case err == nil && len(plan.Statements) == 0:
			t.Errorf("%s: no statement", name)
		}
		t.Logf("%s: %s, %v", name, took, err)
	}
}
