package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/protect"
)

// checkColumns holds the configuration to what is protected by the mark. With a column less, plain values would be let into it;
// with another form of tokens, values would become tokens that nobody finds; with a column more, plain values would pass as they are.
func (g *guard) checkColumns(mark protect.Mark) error {
	config := g.s.O.Config
	if mark.Columns == nil {
		return fmt.Errorf("protect database %s: its mark does not say which columns are protected, as an earlier version left it; run 'sallyport protect' once more, with the configuration that it was protected with", config.Upstream.Database)
	}
	wanted, err := config.ProtectSet()
	if err != nil {
		return err
	}
	changes := g.begun(mark.Columns.Changes(wanted))
	if g.s.O.MovingIn { // a column more is plain, and passes as it is
		changes = protect.Lost(changes)
	}
	if len(changes) > 0 {
		return fmt.Errorf("protect database %s: the configuration is not what the database was protected with:%s\n%s",
			config.Upstream.Database, listChanges(changes, "protected", "configured"), whatNext(changes))
	}
	return nil
}

// begun are those changes that are more than what protect was killed before it marked: columns that are on their way in by the record, and of which no row has changed.
func (g *guard) begun(changes []protect.Change) []protect.Change {
	return slices.DeleteFunc(changes, func(c protect.Change) bool { return c.From == "" && g.begins(c.Column) })
}

// begins tells whether a column is on its way in, by the record.
func (g *guard) begins(name string) bool {
	moving, leaving := g.s.State.Moving(g.s.O.Config.Upstream.Database)
	return slices.Contains(moving, name) && !slices.Contains(leaving, name)
}

// checkRecorded holds the mark, which a DBA can write, to what this record says is protected, which he cannot.
func (g *guard) checkRecorded(mark protect.Mark) error {
	database := g.s.O.Config.Upstream.Database
	recorded, _ := g.s.State.Protects(database)
	changes := slices.DeleteFunc(protect.Set(recorded).Changes(mark.Columns), func(c protect.Change) bool {
		return c.To == "" && g.begins(c.Column)
	})
	if len(changes) == 0 || g.s.State.AcceptedColumns() && g.accepted(mark) {
		return nil
	}
	return fmt.Errorf("protect database %s: the mark in the database is not what the record in %s says was protected:%s\n"+
		"Somebody changed the mark, or put an older copy of the database back. Run 'sallyport protect' with a configuration of all these columns: it tries every value of theirs, and mark and record agree afterwards",
		database, g.s.O.Data, listChanges(changes, "on record", "marked"))
}

// listChanges is one line for each column that differs.
func listChanges(changes []protect.Change, from, to string) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "\n  %s: %s, %s", c.Column, formOf(from, c.From), formOf(to, c.To))
	}
	return b.String()
}

func formOf(where, form string) string {
	if form == "" {
		return "not " + where
	}
	return where + " as " + form
}

// whatNext says how a configuration that differs comes to be served.
func whatNext(changes []protect.Change) string {
	switch lost := len(protect.Lost(changes)); lost {
	case 0:
		return "To protect these columns too, stop serving and run 'sallyport protect' with this configuration; or take their lines out again"
	case len(changes):
		return "Bring these lines of the configuration back to what they were: only protect --undo takes protection away, and nothing changes its form"
	}
	return "Bring those that are protected back to what they were: only protect --undo takes protection away. For the others stop serving and run 'sallyport protect'"
}

// columnsDigest stands for a set of columns in what two people accept.
func columnsDigest(set protect.Set) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(h, "%q %q\n", name, set[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
