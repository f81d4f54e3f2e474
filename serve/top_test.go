package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/internal/tidy"
)

// TestTop shows what goes on in a terminal: as text and as JSON, by pseudonym, to whom policies let investigate, and as one look on record.
func TestTop(t *testing.T) {
	t.Parallel()
	f := newAsking(t, "")
	agent := f.org.Agents()[0].ID
	f.looks(agent, 3)
	run := func(as, password string, args ...string) (string, error) {
		var out, said bytes.Buffer
		m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Getenv: func(name string) string {
			if name == passwordVariable {
				return password
			}
			return os.Getenv(name)
		}}
		err := m.Run(f.ctx, append([]string{"top", "--once", "--data", f.options.Data, "--as", as}, args...))
		return out.String(), err
	}
	var line api.NowLine
	within(t, 30*time.Second, "history has taken in what was shown", func() bool {
		text, err := run("o1", "o1-password", "--json")
		f.fine(err)
		line = api.NowLine{}
		f.fine(json.Unmarshal([]byte(text), &line))
		return line.Now.Customers == 3
	})
	pseudonym := f.server.Names.Person(agent)
	if len(line.Now.Live) == 0 || line.Now.Live[0].Person != pseudonym || line.Status.Record.Last == 0 {
		t.Errorf("%+v", line)
	}
	text, err := run("o1", "o1-password")
	f.fine(err)
	for _, want := range []string{"Customers revealed today  3", pseudonym, "REVEALED LAST", "ledger", "█"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not show %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, string(agent)+" ") || strings.Contains(text, "\x1b") {
		t.Errorf("it names somebody, or paints where there is no terminal:\n%s", text)
	}
	if _, err := run(string(agent), "agent-password"); err == nil || !strings.Contains(err.Error(), "may not do this") {
		t.Error("an agent sees what goes on")
	}
	looks := func() (n int) {
		f.fine(f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
			if e.Kind == sallyport.Queried && e.Order.Action == "now" {
				n++
			}
			return nil
		}))
		return n
	}
	before, seen := looks(), 0
	ctx, cancel := context.WithCancel(f.ctx)
	err = f.officer("o1").FollowNow(ctx, 100*time.Millisecond, func(api.NowLine) error {
		if seen++; seen == 3 {
			cancel()
			return nil
		}
		f.looks(agent, 1)
		return nil
	})
	if seen < 3 || looks() != before+1 { // one more may have been on its way
		t.Errorf("%d lines, %d looks on record, %v", seen, looks()-before, err)
	}
}

// TestDemoStays ends the story with pages that tell it.
func TestDemoStays(t *testing.T) {
	tidy.Temp(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &lockedBuffer{}
	keep := filepath.Join(t.TempDir(), "kept")
	done := make(chan error, 1)
	m := &Main{Stdin: strings.NewReader(""), Stdout: out, Stderr: &lockedBuffer{}, Getenv: os.Getenv}
	go func() {
		done <- m.Run(ctx, []string{"demo", "--customers", "6000", "--stay", "--keep", keep})
	}()
	within(t, 10*time.Minute, "the story is told", func() bool {
		select {
		case err := <-done:
			t.Fatalf("it ended: %v\n%s", err, out)
		default:
		}
		return strings.Contains(out.String(), "Ctrl-C ends this")
	})
	text := out.String()
	address := regexp.MustCompile(`https://([0-9.:]+)\n`).FindStringSubmatch(text)
	who := regexp.MustCompile(`\n {2}(\S+) \((lead|security)\) {2}password (\S+)`).FindAllStringSubmatch(text, -1)
	if address == nil || len(who) != 3 || !strings.Contains(text, " top --as ") {
		t.Fatalf("it does not say where the pages are:\n%s", text)
	}
	b := surf(t, keep, addressOf(address[1]))
	if at, body := b.ask("/login", "name", who[2][1], "password", who[2][3]); at != "/now" {
		t.Fatalf("%s: %s", at, body)
	}
	for path, want := range map[string][]string{
		"/findings": {`href="/cases/1`}, "/cases/1": {"What it may be"}, "/people": {`href="/people/`}, "/trace": {"reports weigh", "<td>confirmed"}, "/requests": {"says that his password was stolen", "/approve"}, "/data": {"<td>protected</td>"},
		"/policies": {"This is a demonstration"}, "/drills": {"support-2019"}, "/now": {"Day by day"}, "/record": {"/record/access/"},
	} {
		_, body := b.ask(path)
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s has no %q:\n%s", path, w, body)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

// addressOf is HOST:PORT as a net.Addr.
type addressOf string

func (addressOf) Network() string  { return "tcp" }
func (a addressOf) String() string { return string(a) }
