package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/detect"
	"sallyport/sim"
)

// analyzeFiles writes a made-up company and gives the arguments that name its files.
func analyzeFiles(t *testing.T) (dir string, args []string) {
	t.Helper()
	dir = t.TempDir()
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 80, 14
	fatal(t, sim.NewCompany(p, 5, true).Write(func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }))
	args = []string{"analyze", filepath.Join(dir, "events.jsonl")}
	for _, name := range []string{"staff", "tickets", "ticket-events", "contacts", "jobs", "hr", "logins", "alerts"} {
		args = append(args, "--"+name, filepath.Join(dir, strings.ReplaceAll(name, "-", "_")+".csv"))
	}
	return dir, args
}

func analyzeRun(t *testing.T, args ...string) (out, complaints string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	err = m.Run(t.Context(), args)
	return stdout.String(), stderr.String(), err
}

// TestAnalyze finds the insiders of a made-up company by its files, as JSON, in words and as a page, also without most of the files.
func TestAnalyze(t *testing.T) {
	dir, args := analyzeFiles(t)
	var truth []sim.Insider
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	fatal(t, err)
	fatal(t, json.Unmarshal(text, &truth))

	out, complaints, err := analyzeRun(t, append(args, "--json")...)
	if !errors.Is(err, ErrFound) || complaints != "" || ExitCode(err) != 1 {
		t.Fatalf("%v %s", err, complaints)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	found := map[string]detect.Finding{}
	var last detect.Finding
	for _, line := range lines[:len(lines)-1] {
		var f detect.Finding
		fatal(t, json.Unmarshal([]byte(line), &f))
		if f.Time.Before(last.Time) {
			t.Errorf("%s comes after %s", f.Time, last.Time)
		}
		sum := 0.0
		for _, e := range f.Evidence {
			sum += e.Log10
		}
		if d := sum - f.Log10Odds; d > 0.006 || d < -0.006 || f.SinceLow.After(f.Since) || f.Since.After(f.SinceHigh) || f.SinceHigh.After(f.Time) || len(f.Attack) == 0 || f.Action == "" {
			t.Errorf("evidence adds up to %g: %s", sum, line)
		}
		last = f
		found[string(f.Staff[0])] = f
	}
	var summary struct{ Summary analyzeSummary }
	fatal(t, json.Unmarshal([]byte(lines[len(lines)-1]), &summary))
	if s := summary.Summary; s.Events < 10_000 || s.Staff != 80 || s.UserDays < 1000 || s.Findings != int64(len(found)) || s.BadLines != 0 || s.Seconds <= 0 {
		t.Errorf("%+v", s)
	}
	for _, in := range truth {
		if f, ok := found[string(in.Staff[0])]; in.Rate > 20 && (!ok || f.Type != in.Type) {
			t.Errorf("%s %v: %s", in.Scheme, in.Staff, f.Type)
		}
	}

	page := filepath.Join(dir, "report.html")
	hostile := strings.NewReplacer("Person ", "<script>alert(1)</script>\x1b[2J ")
	staff, err := os.ReadFile(filepath.Join(dir, "staff.csv"))
	fatal(t, err)
	fatal(t, os.WriteFile(filepath.Join(dir, "staff.csv"), []byte(hostile.Replace(string(staff))), 0o600))
	out, _, err = analyzeRun(t, append(args, "--html", page)...)
	html, readErr := os.ReadFile(page)
	fatal(t, readErr)
	switch {
	case !errors.Is(err, ErrFound) || !strings.Contains(out, "without a reason in") || strings.Contains(out, "\x1b"):
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(html, []byte("<script>")) || !bytes.Contains(html, []byte("&lt;script&gt;")) || bytes.Count(html, []byte("<svg")) < 2*len(found) || bytes.Contains(html, []byte("http://")):
		t.Errorf("%s", html)
	}

	if out, _, err = analyzeRun(t, args[0], args[1], args[2], args[3], "--json"); !errors.Is(err, ErrFound) || !strings.Contains(out, "no tickets are known") {
		t.Errorf("events and staff alone: %v", err)
	}
	if out, _, err = analyzeRun(t, args[0], args[1]); !errors.Is(err, ErrFound) {
		t.Errorf("events alone: %v %s", err, out)
	}
}

func TestAnalyzeUse(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.jsonl")
	fatal(t, os.WriteFile(bad, []byte("{}\n"), 0o600))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"analyze"}, 2, "no events"},
		{[]string{"analyze", bad, "--budget", "many"}, 2, "expected N/year/PEOPLE"},
		{[]string{"analyze", bad, "--budget", "-1/year/5"}, 2, "expected N/year/PEOPLE"},
		{[]string{"analyze", bad, "--templates", bad}, 2, "templates"},
		{[]string{"analyze", filepath.Join(dir, "none")}, 3, "no such file"},
		{[]string{"analyze", bad, "--strict"}, 3, "bad.jsonl:1: no class_uid"},
		{[]string{"analyze", bad}, 0, ""},
		{[]string{"sim"}, 2, "no folder"},
		{[]string{"detect", "mine"}, 2, "no events"},
		{[]string{"detect", "mine", bad, "--known", bad}, 2, "expected a header staff,from,to"},
		{[]string{"detect", "mine", bad}, 0, ""},
	} {
		_, _, err := analyzeRun(t, c.args...)
		if ExitCode(err) != c.code || c.want != "" && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}
