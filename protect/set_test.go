package protect_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/protect"
)

// TestNothingLosesItsProtection extends what is protected, and tries every way to ask for less.
func TestNothingLosesItsProtection(t *testing.T) {
	database, _ := newDatabase(t, 100)
	all := options(t, database)
	o := all
	o.Columns = all.Columns[:6]
	recorded := protect.Set{}
	o.Begin = func(set protect.Set) error { recorded = set; return nil }
	for _, columns := range [][]protect.Column{all.Columns[:6], all.Columns} {
		o.Columns, o.Recorded = columns, recorded
		waitAlone(t, database)
		if _, err := protect.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		conn := connect(t, cluster.SuperDSN(database))
		mark, _, err := protect.ReadMark(t.Context(), conn)
		if err != nil || len(mark.Columns) != len(columns) || len(recorded.Changes(mark.Columns)) > 0 {
			t.Errorf("%d columns protected, marked as %v, recorded as %v: %v", len(columns), mark.Columns, recorded, err)
		}
		conn.Close(t.Context())
	}
	o.Begin = func(protect.Set) error { t.Error("a run that is refused began"); return nil }
	fewer := o
	fewer.Columns = all.Columns[1:]
	for name, c := range map[string]struct {
		sql string
		o   protect.Options
	}{
		"by the mark":   {"SELECT 1", func() protect.Options { o := fewer; o.Recorded = nil; return o }()},
		"by the record": {"UPDATE sallyport.mark SET columns = NULL", fewer},
		"without mark":  {"DELETE FROM sallyport.mark", fewer},
	} {
		conn := connect(t, cluster.SuperDSN(database))
		if _, err := conn.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS public.kept AS SELECT * FROM sallyport.mark; "+c.sql); err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
		waitAlone(t, database)
		narrow := (*protect.NarrowError)(nil)
		if _, err := protect.Run(t.Context(), c.o); !errors.As(err, &narrow) || !strings.Contains(err.Error(), all.Columns[0].Column.String()) {
			t.Errorf("%s: %v", name, err)
		}
		conn = connect(t, cluster.SuperDSN(database))
		if _, err := conn.Exec(t.Context(), "DELETE FROM sallyport.mark; INSERT INTO sallyport.mark SELECT * FROM public.kept"); err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
	}
}
