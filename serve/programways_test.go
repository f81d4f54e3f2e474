package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/config"
)

// overTLS gives a serve a listener for commands from other machines, under a certificate of an authority of its own.
func overTLS(t *testing.T, o *Options) {
	t.Helper()
	text, err := os.ReadFile(o.Config.File)
	fatal(t, err)
	authority, err := newAuthority()
	fatal(t, err)
	folder := filepath.Dir(o.Config.File)
	authority.mustIssue(t, "localhost").files(t, folder, "own")
	fatal(t, os.WriteFile(filepath.Join(folder, "ca.crt"), []byte(authority.PEM), 0o600))
	whole := strings.Replace(string(text), "demonstration: true", "demonstration: true\ntls: {certificate: own.crt, key: own.key}\napi: {listen: 127.0.0.1:0}", 1)
	fatal(t, os.WriteFile(o.Config.File, []byte(whole), 0o600))
	o.Config, err = config.Parse(o.Config.File, []byte(whole))
	fatal(t, err)
}

// TestProgramEveryWay: each report of the programme is made through the control socket, from another machine, by a page, and from a copy of the folder, and is
// the same report: its JSON has the same parts. What people do in the programme goes both ways, too.
func TestProgramEveryWay(t *testing.T) {
	t.Parallel()
	folder, keys := certified(t)
	f := newFort(t, "firms: {north: {until: 2099-12-31}}\nprogram: {clients: {acme: [\"1\"]}}\nconsole: {"+keys+"}\n", func(o *Options) { overTLS(t, o) })
	agent := f.org.Agents()[0].ID
	f.looks(agent, 3)
	_, port, err := net.SplitHostPort(f.server.Remote().String())
	fatal(t, err)
	remote := []string{"--server", "https://localhost:" + port, "--ca", filepath.Join(f.folder, "ca.crt"), "--as", "o1"}
	socket := []string{"--data", f.options.Data, "--as", "o1"}
	reports := [][]string{
		{"assets"},
		{"board", "--month", "2026-11"},
		{"drift"},
		{"drift", "../examples/access-policy.md"},
		{"privileges", "--replay-days", "30"},
		{"separation"},
		{"firms"},
		{"firm", "north", "--client", "acme"},
		{"offboarding", string(agent)},
		{"status", "--standard", "all"},
		{"training", "effect"},
		{"handover", string(agent)},
	}
	first, pseudonym := map[string]string{}, f.server.Names.Person(agent)
	for way, flags := range map[string][]string{"socket": socket, "remote": remote} {
		for _, args := range reports {
			args = slices.Clone(args)
			if args[0] == "handover" {
				args[1] = pseudonym
			}
			parts := f.partsOf(args, flags)
			if key := fmt.Sprint(args); first[key] == "" {
				first[key] = parts
			} else if first[key] != parts {
				t.Errorf("%s, %v: %s, and the other way %s", way, args, parts, first[key])
			}
		}
		for _, args := range [][]string{{"rotate", "ls"}, {"review", "ls"}, {"training"}, {"drills"}, {"acknowledge", "../examples/access-policy.md"}} {
			f.partsOf(args, flags)
		}
	}
	f.pagesOf(surf(t, folder, f.server.Console()), agent, pseudonym)
	f.stop()
	copied := filepath.Join(t.TempDir(), "copy")
	fatal(t, os.CopyFS(copied, os.DirFS(f.options.Data)))
	for _, args := range reports {
		key := fmt.Sprint(args)
		if args[0] == "handover" {
			key = fmt.Sprint([]string{"handover", pseudonym})
		}
		if parts := f.partsOf(args, []string{"--config", f.config.File, "--data", copied, "--key-file", f.options.KeyFile}); parts != first[key] {
			t.Errorf("a copy, %v: %s, and a running serve %s", args, parts, first[key])
		}
	}
}

// pagesOf makes each report on its page of the running serve, which shows what that found.
func (f *fort) pagesOf(b *surfing, agent sallyport.Staff, pseudonym string) {
	f.t.Helper()
	b.ask("/login", "name", "o1", "password", "o1-password")
	for _, x := range []struct {
		report string
		fields []string
		want   string
	}{
		{"board", []string{"month", time.Now().UTC().Format("2006-01")}, "Customers seen for 1,000 tickets"},
		{"assets", []string{"days", "90"}, "support.customers"},
		{"privileges", []string{"days", "30"}, "<code>" + pseudonym + "</code>"},
		{"drift", []string{"days", "90"}, "Who has acknowledged which version"},
		{"handover", []string{"days", "90", "staff", pseudonym}, "Work of <code>" + pseudonym},
		{"separation", []string{"days", "30"}, "none is broken"},
		{"firms", []string{"days", "90"}, "north"},
		{"firm", []string{"days", "90", "firm", "north", "client", "acme"}, "Nothing of this client"},
		{"offboarding", []string{"firm", string(agent)}, "what his role lets him"},
		{"effect", []string{"report", "effect"}, "Not measured: nobody was drawn to wait"},
		{"status", []string{"days", "90", "standard", "all"}, "T1213.006 Databases"},
	} {
		_, body := b.ask("/programme/"+x.report, x.fields...)
		if !strings.Contains(body, x.want) || !strings.Contains(body, "Made <time") {
			f.t.Errorf("%s shows no %q:\n%s", x.report, x.want, body)
		}
		if x.report != "offboarding" && x.report != "drift" && x.report != "privileges" && strings.Contains(body, string(agent)+"<") {
			f.t.Errorf("%s names %s", x.report, agent)
		}
	}
	if _, body := b.ask("/programme/documents"); !strings.Contains(body, "You have acknowledged this version") || !strings.Contains(body, "2.1 Whoever has an open ticket") {
		f.t.Errorf("written policies:\n%s", body)
	}
}

// partsOf runs a command of the programme for JSON, and says which parts it has.
func (f *fort) partsOf(args, flags []string) string {
	f.t.Helper()
	var out, errs bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) string {
		return map[string]string{passwordVariable: "o1-password"}[name]
	}}
	if err := m.Run(f.t.Context(), slices.Concat([]string{"program"}, args, []string{"--json"}, flags)); err != nil && !errors.Is(err, errFound) {
		f.t.Errorf("%v: %v %s", args, err, &errs)
		return ""
	}
	if out.Len() == 0 { // an empty list of lines
		return "nothing"
	}
	var answer any
	if err := json.NewDecoder(&out).Decode(&answer); err != nil {
		f.t.Errorf("%v prints no JSON: %v", args, err)
	}
	switch x := answer.(type) {
	case map[string]any:
		return strings.Join(slices.Sorted(maps.Keys(x)), " ")
	case []any:
		if len(x) > 0 {
			if of, ok := x[0].(map[string]any); ok {
				return "a list of " + strings.Join(slices.Sorted(maps.Keys(of)), " ")
			}
		}
		return "an empty list"
	}
	return fmt.Sprintf("%T", answer)
}
