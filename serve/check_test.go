package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/config"
)

// TestCheckPurposes names tables and columns of reasons that the database does not have, or has in another type: check says where
// they stand in the file, and serve does not start.
func TestCheckPurposes(t *testing.T) {
	f := newFort(t, "")
	f.stop()
	path := filepath.Join(f.folder, "sallyport.yaml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, wrong, want string }{
		{"assignee: assignee", "assignee: nocol", `the table support.tickets has no column "nocol"; expected one of assignee,`},
		{"opened_at: opened_at", "opened_at: queue", "the column queue of support.tickets is of type text; expected a timestamp"},
		{"contact: {table: support.contacts", "contact: {table: support.nocontacts", "there is no table support.nocontacts; expected schema.table"},
		{"at: at", "at: staff", "the column staff of support.contacts is of type"},
		{"customer: customer_id, ticket: ticket_id", "customer: nobody, ticket: ticket_id", `has no column "nobody"`},
	} {
		text := strings.Replace(string(good), c.old, c.wrong, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := strings.Index(text, c.wrong) + strings.Index(c.wrong, ": ") + 2
		if i := strings.LastIndex(c.wrong, "support."); i >= 0 {
			at = strings.Index(text, c.wrong) + i
		}
		line := strings.Count(text[:at], "\n") + 1
		where := fmt.Sprintf("%s:%d:%d", path, line, at-strings.LastIndex(text[:at], "\n"))
		findings, err := checkAll(t.Context(), path)
		if err != nil || len(findings) != 1 || findings[0].Where != where || !strings.Contains(findings[0].What, c.want) {
			t.Errorf("%s: check says %v, %v; want %q at %s", c.wrong, findings, err, c.want, where)
		}
		if f.options.Config, err = config.Load(path); err != nil {
			t.Fatal(err)
		}
		f.refuses(c.want)
	}
}
