package serve

import (
	"slices"
	"testing"

	"sallyport/api"
)

// TestMovingIsShown asks serve how far columns are while protect moves their rows beside it, in and out, and once they are through.
func TestMovingIsShown(t *testing.T) {
	t.Parallel()
	f := newPlainFort(t)
	officer := f.officer("o1")
	email := func() api.DataColumn {
		t.Helper()
		p, err := officer.DataProgress(f.ctx)
		fatal(t, err)
		for _, table := range p.Tables {
			for _, c := range table.Columns {
				if table.Table == "support.customers" && c.Column == "email" {
					return c
				}
			}
		}
		t.Fatal("the column is not there")
		return api.DataColumn{}
	}
	if c := email(); c.State != "plain" || c.Moved != nil {
		t.Fatalf("before: %+v", c)
	}
	watch := func(state string) func(*LiveOptions) {
		return func(o *LiveOptions) {
			var seen []float64
			o.Progress = func(table string, _, _ int64) {
				if c := email(); table == "support.customers" && c.State == state {
					if c.Moved == nil {
						t.Errorf("%s: nobody can tell how far it is", state)
						return
					}
					seen = append(seen, *c.Moved)
				}
			}
			t.Cleanup(func() {
				slices.Sort(seen)
				between := slices.DeleteFunc(slices.Clone(seen), func(x float64) bool { return x <= 0 || x >= 1 })
				if len(slices.Compact(between)) < 3 || seen[len(seen)-1] != 1 {
					t.Errorf("%s: pages were told %v", state, seen)
				}
			})
		}
	}
	_, err := f.moveIn(watch("moving in"))
	fatal(t, err)
	if c := email(); c.State != "protected" || c.Moved != nil {
		t.Errorf("afterwards: %+v", c)
	}
	proposal, err := officer.Undo(f.ctx, "the test goes on")
	fatal(t, err)
	_, err = f.officer("o2").Approve(f.ctx, proposal)
	fatal(t, err)
	_, err = f.moveIn(watch("moving out"), func(o *LiveOptions) { o.Undo, o.Proposal = true, proposal })
	fatal(t, err)
	if c := email(); c.State != "plain" || c.Moved != nil {
		t.Errorf("in the end: %+v", c)
	}
}
