package query

import (
	"fmt"
	"strings"
	"testing"

	"sallyport"
)

// TestParted shows what is looked at that is written into columns whose protection was undone, and that nothing else of them is.
func TestParted(t *testing.T) {
	schema := refSchema()
	schema.typed[sallyport.Int8] = true
	schema.BuiltIn = map[string]struct{}{"operator =": {}}
	for _, r := range schema.Relations {
		if r.Name == "staff" {
			r.Columns[0].Key = true
			for i, scheme := range map[int]sallyport.Scheme{1: sallyport.Email, 2: sallyport.Int8} {
				r.Columns[i].Parted = &Protection{Column: sallyport.Column{Schema: "support", Table: "staff", Name: r.Columns[i].Name}, Scheme: scheme, Group: string(scheme)}
			}
		}
	}
	for sql, want := range map[string]string{
		"UPDATE staff SET name = 'a', team = -5 WHERE id = 7":             "name='a' 7, team=-5 7",
		"UPDATE staff SET team = 5::bigint, role = 'x' WHERE id = 7":      "team=5 7",
		"UPDATE staff SET name = $2, team = $3 WHERE id = $1":             "name=$2 $1, team=$3 $1",
		"UPDATE staff SET name = $1 WHERE role = 'x'":                     "name=$1",
		"INSERT INTO staff (id, name, team) VALUES (1, 'a', $1)":          "name='a', team=$1",
		"UPDATE staff SET name = $2, role = $2 WHERE id = $1":             "name=$2 $1", // the copy of it, too
		"UPDATE staff SET name = $1, team = $1 WHERE id = 7":              "team=$1",
		"UPDATE staff SET name = upper($2), team = team + 1 WHERE id = 7": "",
		"UPDATE staff SET name = 'a' || 'b', team = NULL WHERE id = 7":    "",
		"SELECT * FROM staff WHERE name = 'a' AND team = $1":              "",
		"INSERT INTO staff (id, name) SELECT 1, name || 'x' FROM staff":   "",
		"UPDATE staff SET role = 'a' WHERE name = $1":                     "",
		"PREPARE p AS UPDATE staff SET team = $2 WHERE id = $1":           "team=$2 $1",
	} {
		plan, err := New(schema, Options{Facts: refFacts()}).Analyze(sql, true)
		if err != nil || plan.Statements[0].Refusal != nil {
			t.Fatalf("%s: %v %v", sql, err, plan)
		}
		st := &plan.Statements[0]
		if st.Prepare != nil {
			st = st.Prepare.Body
		}
		var got []string
		note := func(text string, s *Slot) {
			if !s.Parted || st.Touches {
				t.Errorf("%s: %+v", sql, s)
			}
			at := s.Column.Name + "=" + text
			if s.Row != nil && s.Row.Param > 0 {
				at += fmt.Sprintf(" $%d", s.Row.Param)
			} else if s.Row != nil {
				at += " " + s.Row.Value
			}
			got = append(got, at)
		}
		for _, e := range st.Edits {
			note(sql[e.Start:e.End], e.Slot)
		}
		for i := range st.Params {
			note(fmt.Sprintf("$%d", st.Params[i].Number), &st.Params[i].Slot)
		}
		if strings.Join(got, ", ") != want || st.Parted != (want != "") {
			t.Errorf("%s: %q, want %q", sql, strings.Join(got, ", "), want)
		}
	}
}
