package detect

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/sim"
	"sallyport/sources"
)

// company writes a made-up company into a folder.
func company(t testing.TB, p sim.Profile, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	fatal(t, sim.NewCompany(p, seed, true).Write(func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }))
	return dir
}

// analyzed gives the findings about the files of a folder, as they are printed.
func analyzed(t testing.TB, dir string) (lines []string, times []time.Time) {
	t.Helper()
	in := func(name string) []string { return []string{filepath.Join(dir, name)} }
	r := &sources.Reader{Report: func(p *sources.Problem) { t.Error(p) }}
	line, err := r.Open(sources.Files{
		Events: in("events.jsonl"), Staff: in("staff.csv"), Tickets: in("tickets.csv"), TicketEvents: in("ticket_events.csv"), Contacts: in("contacts.csv"), Jobs: in("jobs.csv"),
		HR: in("hr.csv"), LogIns: in("logins.csv"), Alerts: in("alerts.csv"),
	})
	fatal(t, err)
	defer line.Close()
	d, err := New(Options{Known: Sources{true, true, true, true, true, true, true, true}})
	fatal(t, err)
	d.Hire(line.Staff)
	for {
		in, err := line.Next()
		if errors.Is(err, io.EOF) {
			return lines, times
		}
		fatal(t, err)
		for _, f := range d.Observe(in) {
			text, err := json.Marshal(f)
			fatal(t, err)
			lines, times = append(lines, string(text)), append(times, f.Time)
		}
	}
}

// cutAt copies the files as they were at a time: rows of later are not there, and a ticket that was closed later is open.
func cutAt(t testing.TB, from string, at time.Time) string {
	t.Helper()
	to := t.TempDir()
	events, err := os.ReadFile(filepath.Join(from, "events.jsonl"))
	fatal(t, err)
	var kept bytes.Buffer
	for line := range bytes.Lines(events) {
		var e struct{ Time int64 }
		fatal(t, json.Unmarshal(line, &e))
		if e.Time <= at.UnixMilli() {
			kept.Write(line)
		}
	}
	fatal(t, os.WriteFile(filepath.Join(to, "events.jsonl"), kept.Bytes(), 0o600))
	tables, err := filepath.Glob(filepath.Join(from, "*.csv"))
	fatal(t, err)
	for _, name := range tables {
		text, err := os.ReadFile(name)
		fatal(t, err)
		rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		fatal(t, err)
		var out bytes.Buffer
		w := csv.NewWriter(&out)
		for i, row := range rows {
			if i == 0 || known(rows[0], row, at, filepath.Base(name)) {
				fatal(t, w.Write(row))
			}
		}
		w.Flush()
		fatal(t, os.WriteFile(filepath.Join(to, filepath.Base(name)), out.Bytes(), 0o600))
	}
	return to
}

func known(header, row []string, at time.Time, name string) bool {
	if name == "staff.csv" {
		return true
	}
	for i, column := range header {
		when, err := time.Parse(time.RFC3339, row[i])
		switch {
		case err != nil:
		case column == "closed_at" && when.After(at):
			row[i] = ""
		case (column == "time" || column == "opened_at" || column == "from") && when.After(at):
			return false
		}
	}
	return true
}

// TestCausal cuts the files at many times: what was found until then is the same, byte for byte.
func TestCausal(t *testing.T) {
	p := sim.Profiles()[2]
	p.Staff, p.Weeks = 24, 8
	dir := company(t, p, 3)
	whole, times := analyzed(t, dir)
	again, _ := analyzed(t, dir)
	if len(whole) < 6 || strings.Join(whole, "\n") != strings.Join(again, "\n") {
		t.Fatalf("%d lines, and the same files give others", len(whole))
	}
	var cuts []time.Time
	for i := range times {
		cuts = append(cuts, times[i], times[i].Add(-time.Millisecond))
	}
	cuts = append(cuts, time.Date(2026, 2, 11, 10, 31, 7, 0, time.UTC), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	for i, at := range cuts {
		if len(cuts) > 5 && i%(len(cuts)/5) != 0 {
			continue
		}
		n := 0
		for n < len(times) && !times[n].After(at) {
			n++
		}
		got, _ := analyzed(t, cutAt(t, dir, at))
		if strings.Join(got, "\n") != strings.Join(whole[:n], "\n") {
			t.Errorf("cut at %s: %d lines instead of %d, or others", at, len(got), n)
		}
	}
}
