package serve

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"sallyport"
	"sallyport/config"
	"sallyport/export"
)

// fenced are the blocks of a page in this language.
func fenced(t *testing.T, page, language string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "siem", page))
	fatal(t, err)
	parts := strings.Split(string(text), "\n```")
	for _, part := range parts[1:] {
		if body, ok := strings.CutPrefix(part, language+"\n"); ok {
			list = append(list, body)
		}
	}
	return list
}

// someMessages are two messages of a record.
func someMessages(t *testing.T, format export.Format) (lines []string) {
	t.Helper()
	c, err := export.NewEncoder(format, strings.Repeat("ab", 16), "1", nil)
	fatal(t, err)
	for _, kind := range []sallyport.EventKind{sallyport.SessionStart, sallyport.StatementKind} {
		e := &sallyport.Event{Seq: 7, Time: time.UnixMilli(1767600305123), Kind: kind, Who: sallyport.Who{Staff: "s017"}, Statement: &sallyport.Statement{ID: 1, Verb: "SELECT"}}
		for _, m := range c.Append(nil, e) {
			lines = append(lines, string(m.Body))
		}
	}
	return lines
}

// TestSIEMPages holds what the pages for Splunk and Elastic say to what is written: our own configuration is read, theirs is of its form, and
// names fields that are there.
func TestSIEMPages(t *testing.T) {
	for _, page := range []string{"splunk.md", "elastic.md"} {
		blocks := fenced(t, page, "yaml")
		if len(blocks) == 0 {
			t.Fatalf("%s has no configuration", page)
		}
		if _, err := config.Parse("sallyport.yaml", []byte("version: 1\nupstream: {address: 127.0.0.1:5432}\nlisten: 127.0.0.1:6432\n"+blocks[0])); err != nil {
			t.Errorf("%s: %v", page, err)
		}
		for _, block := range blocks[1:] {
			var anything map[string]any
			if err := yaml.Unmarshal([]byte(block), &anything); err != nil || len(anything) == 0 {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	for _, block := range fenced(t, "elastic.md", "json") {
		var pipeline struct {
			Processors []map[string]any `json:"processors"`
		}
		if err := json.Unmarshal([]byte(block), &pipeline); err != nil || len(pipeline.Processors) == 0 {
			t.Errorf("the pipeline: %v", err)
		}
	}
	for _, line := range someMessages(t, export.ECS) {
		var document map[string]any
		fatal(t, json.Unmarshal([]byte(line), &document))
		at, _ := document["@timestamp"].(string)
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil || document["event.id"] == nil || document["user.id"] == nil {
			t.Errorf("the pipeline's fields are not in %s", line)
		}
	}
	props := map[string]string{}
	for _, block := range fenced(t, "splunk.md", "ini") {
		for line := range strings.SplitSeq(block, "\n") {
			if key, value, ok := strings.Cut(line, " = "); ok {
				props[key] = value
			}
		}
	}
	text := strings.Join(someMessages(t, export.OCSF), "\n")
	lines := regexp.MustCompile(props["LINE_BREAKER"]).Split(text, -1)
	ahead, err := strconv.Atoi(props["MAX_TIMESTAMP_LOOKAHEAD"])
	fatal(t, err)
	if len(lines) != 2 || props["TIME_FORMAT"] != "%s%3N" {
		t.Errorf("%d lines, times as %s", len(lines), props["TIME_FORMAT"])
	}
	for _, line := range lines {
		_, behind, ok := strings.Cut(line, props["TIME_PREFIX"])
		if !ok || !strings.HasPrefix(behind, "1767600305123,") || ahead < 13 {
			t.Errorf("Splunk does not find the time in %s", line)
		}
		var o any
		fatal(t, json.Unmarshal([]byte(line), &o))
		for key, value := range props {
			if field, _, isAlias := strings.Cut(value, " AS "); isAlias && key != "FIELDALIAS-session" && key != "FIELDALIAS-src" && !has(o, strings.Split(field, ".")) {
				t.Errorf("%s: %s is not in %s", key, field, line)
			}
		}
	}
}

func has(o any, path []string) bool {
	for _, name := range path {
		fields, _ := o.(map[string]any)
		o = fields[name]
	}
	return o != nil
}
