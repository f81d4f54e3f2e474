package serve

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/api"
)

const contentRules = `
grants:
  groups:
    officers: {roles: [security]}
  rules:
    - {name: content, for: {roles: [agent]}, columns: [support.messages.body, support.customers.birth_date, support.customers.notes, support.tickets.ticket_no], customers: 1000, hours: 8, approvals: [[{of: 2, from: officers}]]}
`

// TestGrantForeignValues: whatever stands beside a customer's key, a grant for two customers shows two customers' texts, dates and numbers: all that
// these have, and of anybody else not more than two values.
func TestGrantForeignValues(t *testing.T) {
	a := newAskingBy(t, contentRules)
	who := a.org.Agents()[0].ID
	columns := []string{"support.messages.body", "support.customers.birth_date", "support.customers.notes", "support.tickets.ticket_no"}
	first, second := a.busiest()
	for name, tt := range map[string]struct {
		sql   string
		plain func(string) bool
	}{
		"bodies":  {"SELECT o.id, m.body FROM support.customers o, support.messages m WHERE o.id = %d LIMIT 60", func(s string) bool { return !strings.HasPrefix(s, "tk1:") }},
		"notes":   {"SELECT o.id, v.notes FROM support.customers o, support.customers v WHERE o.id = %d AND v.notes IS NOT NULL LIMIT 60", func(s string) bool { return !strings.HasPrefix(s, "tk1:") }},
		"dates":   {"SELECT o.id, v.birth_date FROM support.customers o, support.customers v WHERE o.id = %d AND v.birth_date IS NOT NULL LIMIT 60", func(s string) bool { return s < "2100" }},
		"numbers": {"SELECT o.id, t.ticket_no FROM support.customers o, support.tickets t WHERE o.id = %d LIMIT 60", func(s string) bool { return strings.HasPrefix(s, "CS-") }},
	} {
		grant := a.granted(who, api.GrantRequest{Columns: columns, Customers: 2})
		c := a.connect(who)
		c.must("SET sallyport.purpose = 'grant:" + grant + "'")
		rows, err := c.rows(fmt.Sprintf(tt.sql, first))
		shown := map[string]bool{}
		for _, row := range rows {
			if tt.plain(row[1]) {
				shown[row[1]] = true
			}
		}
		if len(shown) > 2 || err == nil {
			t.Errorf("%s: a grant for two customers shows %d values beside one key (%v)", name, len(shown), err)
		}
	}

	grant := a.granted(who, api.GrantRequest{Columns: columns, Customers: 2})
	c := a.connect(who)
	c.must("SET sallyport.purpose = 'grant:" + grant + "'")
	rows, err := c.rows(fmt.Sprintf("SELECT t.customer_id, t.ticket_no, m.body FROM support.tickets t JOIN support.messages m ON m.ticket_id = t.id WHERE t.customer_id IN (%d, %d)", first, second))
	fatal(t, err)
	var seen []string
	for _, row := range rows {
		if strings.HasPrefix(row[2], "tk1:") || !strings.HasPrefix(row[1], "CS-") {
			t.Errorf("of two customers' own something stays a token: %q", row)
		}
		seen = append(seen, row[0])
	}
	if slices.Sort(seen); len(seen) < 5 || len(slices.Compact(seen)) != 2 {
		t.Errorf("%d messages of %v", len(rows), slices.Compact(seen))
	}
	if x, err := a.officer(officers[0]).Grant(a.ctx, grant); err != nil || x.Use == nil || x.Use.Customers != 2 {
		t.Errorf("%+v, %v: want two customers counted", x, err)
	}
}

// busiest are the two customers with most messages.
func (a *asking) busiest() (first, second int64) {
	a.t.Helper()
	c := a.connect(a.org.Agents()[0].ID)
	rows := c.must("SELECT t.customer_id FROM support.tickets t JOIN support.messages m ON m.ticket_id = t.id GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 2")
	for i, into := range []*int64{&first, &second} {
		n, err := strconv.ParseInt(rows[i][0], 10, 64)
		a.fine(err)
		*into = n
	}
	return first, second
}
