package serve

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sallyport/config"
)

// blocks are the fenced blocks of a page, by their language.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// TestDocumentedSources: each configuration of docs/purposes.md is taken as it is pasted.
func TestDocumentedSources(t *testing.T) {
	example, err := os.ReadFile("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(example), "\npurposes:\n")
	_, after, ok2 := strings.Cut(rest, "\n# Programs with access")
	if !ok || !ok2 {
		t.Fatal("the example has another form")
	}
	all := blocks(t, "../docs/purposes.md", "yaml")
	if len(all) != 5 {
		t.Fatalf("%d configurations; expected one for each source", len(all))
	}
	for _, block := range all {
		if _, err := config.Parse("sallyport.yaml", []byte(before+"\n"+block+"\n# Programs with access"+after)); err != nil {
			t.Errorf("%v\n%s", err, block)
		}
	}
}

// TestDocumentedMessage: the example of docs/purposes.md signs a message that is taken, with openssl and curl.
func TestDocumentedMessage(t *testing.T) {
	for _, tool := range []string{"sh", "openssl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	script := blocks(t, "../docs/purposes.md", "sh")
	if len(script) != 1 {
		t.Fatal("expected one example of a message")
	}
	f := newFort(t, "", otherSystems(t, "  kinds: {call: {source: telephony, programs: [pbx]}}\n"+strings.ReplaceAll(webhookSource, "helpdesk:", "telephony:"),
		map[string]string{"helpdesk.secret": hookSecret + "\n"}))
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "telephony.secret"), []byte(hookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(text string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", text) //nolint:gosec // the page's own
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		return fmt.Sprint(string(out), err)
	}
	text := strings.Replace(script[0], "http://127.0.0.1:6480/purposes/telephony", f.hears("telephony"), 1)
	if got := run(text); !strings.Contains(got, `{"news":1}`) {
		t.Error(got)
	}
	if got := run(text); !strings.Contains(got, `{"news":0,"known":true}`) {
		t.Error(got)
	}
	if got := run(strings.Replace(text, `--data-raw "$BODY"`, `--data-raw '{"id":"m-2","things":[]}'`, 1)); !strings.Contains(got, "the signature is not that of this message") {
		t.Error(got)
	}
}

// TestSourceMistakes: what is wrong with kinds and sources is said at its place.
func TestSourceMistakes(t *testing.T) {
	example, err := os.ReadFile("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(example), "\npurposes:\n")
	_, after, ok2 := strings.Cut(rest, "\n# Programs with access")
	if !ok || !ok2 {
		t.Fatal("the example has another form")
	}
	const good = "  kinds: {call: {source: x, programs: [pbx]}}\n  sources: {x: {csv: {file: x.csv}}}\n"
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""},
		{"source: x, programs: [pbx]", "source: contact", "no contacts are configured; expected purposes.contact"},
		{"sources: {x:", "sources: {contact: {csv: {file: x.csv}}, x:", "this name is that of purposes.contact"},
		{"source: x", "source: y", `there is no source "y"`},
		{"source: x, ", "", "no source; expected the name of one"},
		{"call:", "chat:", `there are no purposes of the kind "chat" from a source`},
		{"programs: [pbx]", "programs: [s017]", "this is a name of s017, whose own word would count for him"},
		{"programs: [pbx]", "programs: [Ada@Example.com]", "this is a name of s001"},
		{"programs: [pbx]", "after: soon", `"soon" is no length of time`},
		{"csv: {file: x.csv}", "csv: {file: x.csv}, webhook: {secret_file: y}", "expected exactly one of sql, webhook, csv and zendesk"},
		{"csv: {file: x.csv}", "timeout: 1s", "expected exactly one of sql, webhook, csv and zendesk"},
		{"csv: {file: x.csv}", "timeout: 3s, csv: {file: x.csv}", "3s; expected at most 1.5s"},
		{"csv: {file: x.csv}", "webhook: {secret_file: y}", "nowhere to listen, yet the source x is sent things"},
		{"csv: {file: x.csv}", "zendesk: {url: 'http://example.zendesk.com'}", "no address of Zendesk"},
		{"csv: {file: x.csv}", "sql: {dsn: 'postgres://ro:secret@127.0.0.1/helpdesk', find: SELECT}", "a password stands in the address"},
		{"csv: {file: x.csv}", "sql: {dsn: 'postgres://ro@db.example.com/helpdesk', find: SELECT}", "expected sslmode=verify-full or verify-ca"},
		{"csv: {file: x.csv}", "sql: {dsn: 'postgres://ro@localhost:5432/support', find: SELECT}", "this is the protected database"},
		{"csv: {file: x.csv}", "sql: {dsn: 'postgres://ro@127.0.0.1:6432/support', find: SELECT}", "this is the protected database"},
		{"csv: {file: x.csv}", "sql: {dsn: 'postgres://ro@127.0.0.1:5432/helpdesk'}", "expected one SELECT by $1"},
		{"  sources:", "  webhooks: {listen: '0.0.0.0:6480'}\n  sources:", "is no loopback address; expected webhooks.certificate and key"},
		{"  sources: {x:", "  sources: {X Y: {csv: {file: x.csv}}, x:", "no name of a source"},
		{"  kinds: {call:", "  ticket: {table: support.tickets, id: id, customer: customer_id, assignee: assignee, state: state, open: [open], opened_at: opened_at}\n  kinds: {ticket:", "tickets stand in the table support.tickets already"},
	} {
		text := before + "\npurposes:\n" + strings.Replace(good, c.from, c.to, 1) + "\n# Programs with access" + after
		_, err := config.Parse("sallyport.yaml", []byte(text))
		switch {
		case c.want == "" && err != nil:
			t.Error(err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s for %s: %v, want %q", c.to, c.from, err, c.want)
		}
	}
	text := strings.Replace(string(example), "logins: [s017]", "logins: [s017], known_as: [ADA@example.com, s050]", 1)
	_, err = config.Parse("sallyport.yaml", []byte(text))
	for _, want := range []string{`"ADA@example.com" is s001 already`, `"s050" is s050 already`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
