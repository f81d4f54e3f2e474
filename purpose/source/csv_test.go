package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/purpose"
)

const csvHead = "id,number,customer,assignee,state,opened_by,assigned_by,reopened_by,contacted_at,begins_at\n"

// TestCSV: a file is read again when it changes, and one that is broken proves nothing, whatever stood in it before.
func TestCSV(t *testing.T) {
	c := newClock()
	o, folder := options(t, c, "ticket")
	path := filepath.Join(folder, "tickets.csv")
	var said []string
	o.Log = func(what string) { said = append(said, what) }
	s := open(t, &purpose.SourceConfig{CSV: purpose.CSVConfig{File: "tickets.csv"}}, o)
	defer s.Close()
	if got := find(t, s, "4711"); !strings.HasPrefix(got, "? look at a file of reasons") {
		t.Error(got)
	}
	good := csvHead + "4711,CS-1,1,s001,open,customer,s003,,2026-03-01T10:00:00Z,2026-03-01 09:00:00+00\n4712,CS-1,2,s002,open,customer,s003,,,\n"
	for _, step := range []struct{ name, text, want string }{
		{"good", good, `[{"id":"4711","number":"CS-1","customers":["1"],"assignee":"s001"`},
		{"reassigned", strings.Replace(good, "s001", "s002", 1), `"assignee":"s002"`},
		{"cut in the middle of a row", good[:len(csvHead)+40], "line 2"},
		{"good again", good, `"assignee":"s001"`},
		{"a quote that does not end", strings.Replace(good, "4712", `"4712`, 1), "line 3"},
		{"a time that is none", strings.Replace(good, "09:00", "noon", 1), "line 2: read the column begins_at: no time"},
		{"a row without an id", good + ",,,,,,,,,\n", "line 4: a thing without an id"},
		{"a column is missing", strings.Replace(good, "assigned_by", "assigned", 1), `line 1 has a column "assigned"`},
		{"a column twice", strings.Replace(good, "number", "assignee", 1), "has the column assignee twice"},
		{"empty", "", "line 1"},
		{"a header alone", csvHead, "null"},
		{"a mark of the byte order", "\ufeff" + good, `"assignee":"s001"`},
		{"an id twice", good + "4711,,2,s001,open,customer,s003,,,\n", `"customers":["2"]`},
		{"good at the end", good, `"assignee":"s001"`},
	} {
		write(t, path, step.text, 0o644)
		if got := find(t, s, "4711"); !strings.Contains(got, step.want) {
			t.Errorf("%s: %s", step.name, got)
		}
		if found := s.(*file).Check(t.Context()); len(found) > 0 != strings.Contains(step.want, "line ") && !strings.Contains(step.name, "column") {
			t.Errorf("%s: check says %v", step.name, found)
		}
	}
	if len(said) == 0 || !strings.Contains(said[0], "line 2") {
		t.Error(said)
	}
	if strings.Contains(strings.Join(said, " "), "CS-1") || strings.Contains(strings.Join(said, " "), "noon") {
		t.Errorf("the log shows what stands in the file: %v", said)
	}
	if got := find(t, s, "CS-1"); !strings.Contains(got, "4711") || !strings.Contains(got, "4712") {
		t.Error(got)
	}
	things, err := s.Mine(t.Context(), []string{"s001"}, 9)
	if err != nil || len(things) != 1 || things[0].ID != "4711" {
		t.Error(things, err)
	}
	if err := os.Chmod(path, 0o664); err != nil {
		t.Fatal(err)
	}
	write(t, path, good+"\n", 0o664)
	if got := find(t, s, "4711"); !strings.Contains(got, "others may write it") {
		t.Error(got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := find(t, s, "4711"); !strings.HasPrefix(got, "?") {
		t.Error(got)
	}
}

// TestCSVAge: where the configuration says so, a file that nobody wrote for long proves nothing.
func TestCSVAge(t *testing.T) {
	c := newClock()
	o, folder := options(t, c, "ticket")
	path := filepath.Join(folder, "tickets.csv")
	write(t, path, csvHead+"4711,,1,s001,open,customer,s003,,,\n", 0o600)
	if err := os.Chtimes(path, c.now(), c.now()); err != nil {
		t.Fatal(err)
	}
	s := open(t, &purpose.SourceConfig{Silent: "1h", CSV: purpose.CSVConfig{File: "tickets.csv"}}, o)
	defer s.Close()
	c.later(59 * time.Minute)
	if got := find(t, s, "4711"); !strings.Contains(got, "s001") {
		t.Error(got)
	}
	c.later(2 * time.Minute)
	if got := find(t, s, "4711"); got != "silent" {
		t.Error(got)
	}
}
