package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport"
	"sallyport/api"
	"sallyport/sim"
)

// TestBlast: what an agent's day came to, by the record of a real gateway: whom, which fields, where they live, and what he did not touch.
func TestBlast(t *testing.T) {
	f := newFort(t, "blast:\n  country: country\n  segments:\n    business: {column: segment, values: [business, government]}\n    plans: {tables: [support.messages]}\n")
	agents := f.org.Agents()
	thief := agents[0].ID
	stolen := f.looks(thief, 8)
	f.looks(agents[1].ID, 5)
	var foreign int64
	for i := range 200 { // somebody who is none of his: he sees tokens only
		c := f.org.Customer(int64(i + 1))
		if !slices.ContainsFunc(stolen, func(x sim.Customer) bool { return x.ID == c.ID }) {
			foreign = int64(c.ID)
			break
		}
	}
	c := f.connect(thief)
	c.must(fmt.Sprintf("SELECT id, email FROM support.customers WHERE id = %d", foreign))
	who := f.server.Names.Person(thief)
	ask := func(officer sallyport.Staff, staff string) (line RadiusLine, err error) {
		text, err := f.officer(officer).Blast(t.Context(), staff, "")
		if err == nil {
			err = json.Unmarshal(text, &line)
		}
		return line, err
	}
	line, err := ask("o1", who)
	fatal(t, err)
	if line.Customers.Certain != len(stolen) || line.Customers.Possible != 1 || line.Customers.Unexplained != 1 || line.List[0].Customer != sallyport.Subject(fmt.Sprint(foreign)) {
		t.Errorf("%+v", line)
	}
	countries, business := map[string]int{}, 0
	admin := f.direct()
	for _, x := range stolen {
		var country, segment string
		fatal(t, admin.QueryRow(t.Context(), "SELECT country, segment FROM support.customers WHERE id = $1", int64(x.ID)).Scan(&country, &segment))
		countries[country]++
		if segment == "business" || segment == "government" {
			business++
		}
	}
	for country, n := range countries {
		if line.Countries[country].Certain != n {
			t.Errorf("%s: %+v, expected %d", country, line.Countries, n)
		}
	}
	if got := line.Segments["business"]; got.Certain != business {
		t.Errorf("business: %+v, expected %d", got, business)
	}
	if got := line.Fields["support.customers.email"]; got != len(stolen) {
		t.Errorf("fields: %v", line.Fields)
	}
	if !slices.Contains(line.Untouched.Columns, "support.messages.body") || slices.Contains(line.Untouched.Columns, "support.customers.email") || !slices.Contains(line.Untouched.Segments, "plans") {
		t.Errorf("not touched: %+v", line.Untouched)
	}
	// By name nobody asks who may not know it; and nobody about himself.
	for _, c := range []struct{ officer, staff, code string }{
		{"o1", string(thief), "no_such_pseudonym"}, {"o1", "nobody", "no_such_pseudonym"}, {string(thief), who, ""},
	} {
		if _, err := ask(sallyport.Staff(c.officer), c.staff); err == nil {
			t.Errorf("%s asks about %s", c.officer, c.staff)
		} else if p, ok := errors.AsType[*api.Problem](err); c.code != "" && (!ok || p.Code != c.code) {
			t.Errorf("%s about %s: %v", c.officer, c.staff, err)
		}
	}
	f.listTakesTwo(who, thief, len(stolen)+1)
}

// listTakesTwo: one proposes the list, another approves it, and it is for these two.
func (f *fort) listTakesTwo(who string, thief sallyport.Staff, want int) {
	t := f.t
	t.Helper()
	id, err := f.officer("o1").ProposeList(f.ctx, who, "", "tell customers")
	f.need(err)
	list, err := f.officer("o2").Proposals(f.ctx)
	f.need(err)
	if last := list[len(list)-1]; last.ID != id || string(last.About) != who {
		t.Errorf("the proposal tells %s", last.About)
	}
	if _, err := f.officer("o1").List(f.ctx, id); err == nil {
		t.Error("one person has the list")
	}
	if _, err := f.officer("o1").Approve(f.ctx, id); err == nil {
		t.Error("one person approved it")
	}
	_, err = f.officer("o2").Approve(f.ctx, id)
	f.need(err)
	if _, err := f.officer("o3").List(f.ctx, id); err == nil {
		t.Error("a third person has the list")
	}
	m := &Main{Stdin: strings.NewReader(""), Getenv: func(key string) string { return map[string]string{passwordVariable: "o2-password"}[key] }}
	var out, errs bytes.Buffer
	m.Stdout, m.Stderr = &out, &errs
	if err := m.Run(f.ctx, []string{"blast", "list", id, "--as", "o2", "--data", f.options.Data}); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	if lines := strings.Count(out.String(), "\n"); lines != want+1 || strings.Contains(out.String(), string(thief)) {
		t.Errorf("the list has %d lines, expected %d and a header:\n%s", lines, want, &out)
	}
	out.Reset()
	if err := m.Run(f.ctx, []string{"blast", who, "--as", "o2", "--data", f.options.Data}); !errors.Is(err, errFound) || !strings.Contains(out.String(), "Not touched, ") {
		t.Errorf("%v\n%s", err, &out)
	}
}
