package serve

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/purpose/source"
)

// fedStaff are whose alerts stand on record as inputs of a source, in order.
func (f *fort) fedStaff(from string) (list []string) {
	f.t.Helper()
	fatal(f.t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind != sallyport.InputKind || e.Order.Input.Source != from {
			return nil
		}
		for _, in := range fed(e) {
			list = append(list, string(in.Alert.Staff))
		}
		return nil
	}))
	return list
}

// sendSigned sends a message with a signature by some secret.
func (f *fort) sendSigned(url, secret string, at time.Time, body string) (int, string) {
	f.t.Helper()
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + body))
	request, err := http.NewRequestWithContext(f.ctx, http.MethodPost, url, strings.NewReader(body))
	fatal(f.t, err)
	request.Header.Set(source.TimeHeader, stamp)
	request.Header.Set(source.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := http.DefaultClient.Do(request)
	fatal(f.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	fatal(f.t, err)
	return answer.StatusCode, string(text)
}

func feedSecretFile(t *testing.T) func(*Options) {
	return func(o *Options) {
		fatal(t, os.WriteFile(o.Config.Path("feed.secret"), []byte(hookSecret+"\n"), 0o600))
	}
}

// messagesAt waits until signed messages for detection can be sent, and returns where to.
func (f *fort) messagesAt() string {
	f.t.Helper()
	feeds := f.server.detection.feeds
	var at string
	within(f.t, 20*time.Second, "messages are taken", func() bool {
		feeds.mu.Lock()
		defer feeds.mu.Unlock()
		at = feeds.where
		return at != ""
	})
	return "http://" + at + hookPath
}

// TestFeedHook: what other systems send signed is on record once, whole or not at all, also after a start.
func TestFeedHook(t *testing.T) {
	f := newFort(t, "detect: {hook: {listen: 127.0.0.1:0, secret_file: feed.secret, kinds: [alerts]}}\n", feedSecretFile(t))
	url, now := f.messagesAt(), time.Now()
	row := func(staff string) string {
		return fmt.Sprintf(`{"time":"2026-03-02T09:00:00Z","staff":%q,"source":"dlp","severity":4,"title":"data volume"}`, staff)
	}
	first := `{"id":"a1","kind":"alerts","rows":[` + row("s001") + `,
		` + row("s002") + `]}`
	for _, c := range []struct {
		name, secret, body string
		at                 time.Time
		status             int
		says               string
	}{
		{"a message", hookSecret, first, now, 204, ""},
		{"the same again", hookSecret, first, now.Add(time.Second), 204, ""},
		{"another's secret", "b" + hookSecret, `{"id":"a2","kind":"alerts","rows":[` + row("s003") + `]}`, now, 401, "signature"},
		{"an old one", hookSecret, `{"id":"a3","kind":"alerts","rows":[` + row("s003") + `]}`, now.Add(-6 * time.Minute), 401, "just now"},
		{"a kind that may not come", hookSecret, `{"id":"a4","kind":"tickets","rows":[{"ticket_id":"1","customer":"5"}]}`, now, 422, `expected "alerts"`},
		{"a wrong row behind a right one", hookSecret, `{"id":"a5","kind":"alerts","rows":[` + row("s003") + `,{"time":"never","staff":"s003"}]}`, now, 422, "row 2: "},
		{"a row that is no object", hookSecret, `{"id":"a6","kind":"alerts","rows":["s003"]}`, now, 422, "row 1 is no object"},
		{"no rows", hookSecret, `{"id":"a7","kind":"alerts","rows":[]}`, now, 400, "1 to 1000 rows"},
		{"no id", hookSecret, `{"kind":"alerts","rows":[` + row("s003") + `]}`, now, 400, "id"},
		{"too long", hookSecret, `{"id":"a8","kind":"alerts","rows":[` + row(strings.Repeat("x", mostFed)) + `]}`, now, 413, "too long"},
		{"mended", hookSecret, `{"id":"a5","kind":"alerts","rows":[` + row("s004") + `]}`, now, 204, ""},
	} {
		if status, says := f.sendSigned(url, c.secret, c.at, c.body); status != c.status || !strings.Contains(says, c.says) {
			t.Errorf("%s: %d %s", c.name, status, says)
		}
	}
	f.restart()
	if status, says := f.sendSigned(f.messagesAt(), hookSecret, time.Now(), first); status != 204 {
		t.Errorf("again after a start: %d %s", status, says)
	}
	if got := f.fedStaff(hookSource); !slices.Equal(got, []string{"s001", "s002", "s004"}) {
		t.Errorf("on record are %q", got)
	}
}

// TestFeedSQL: what another database has is on record once, in order, also what comes while serve is down; what it has hidden is no error of ours.
func TestFeedSQL(t *testing.T) {
	s := built(t, theStage)
	desk := fmt.Sprintf("alertdesk%d", s.made.Add(1))
	dsn := strings.Replace(s.cluster.SuperDSN(desk), s.cluster.Superuser+":"+s.cluster.Password, s.cluster.Superuser, 1)
	f := newFortOn(t, s, fmt.Sprintf(`detect:
  sql:
  - {kind: alerts, dsn: %q, password_file: feed.password, every: 1s, query: "SELECT id, at AS time, staff, 'dlp' AS source, 4 AS severity, title FROM alerts WHERE id > $1 ORDER BY id LIMIT 2000"}
`, dsn), func(o *Options) {
		fatal(t, os.WriteFile(o.Config.Path("feed.password"), []byte(s.cluster.Password+"\n"), 0o600))
	})
	says := func() string {
		for _, line := range f.server.detection.feeds.status() {
			if strings.HasPrefix(line.How, "alerts") {
				return line.How
			}
		}
		return ""
	}
	within(t, 20*time.Second, "status says that the database is not there", func() bool { return strings.Contains(says(), "ask for alerts: ") })
	f.superExec("postgres", "CREATE DATABASE "+desk)
	f.superExec(desk, "CREATE TABLE alerts (id int PRIMARY KEY, at timestamptz, staff text, title text)")
	add := func(from, to int) {
		f.superExec(desk, fmt.Sprintf(`INSERT INTO alerts SELECT n, '2026-03-02 10:00:00.5+01', 's' || n, E'"quoted",\nand ' || repeat('long ', 20) FROM generate_series(%d, %d) n`, from, to))
	}
	expect := func(n int) {
		t.Helper()
		within(t, 30*time.Second, "all alerts are on record", func() bool { return len(f.fedStaff(querySource)) >= n })
		got := f.fedStaff(querySource)
		if len(got) != n {
			t.Fatalf("%d of %d", len(got), n)
		}
		for i, staff := range got {
			if staff != fmt.Sprintf("s%d", i+1) {
				t.Fatalf("the alert number %d is of %s", i+1, staff)
			}
		}
	}
	add(1, 1500) // more than one entry holds
	expect(1500)
	f.superExec(desk, "ALTER TABLE alerts RENAME TO gone")
	within(t, 20*time.Second, "status says what is wrong", func() bool { return strings.Contains(says(), "42P01") })
	f.superExec(desk, "ALTER TABLE gone RENAME TO alerts")
	add(1501, 1502)
	expect(1502)
	f.stop()
	add(1503, 1504)
	f.start()
	expect(1504)
	fatal(t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.InputKind && e.Order.Input.Source == querySource {
			if at := fed(e)[0].Alert.Time; !at.Equal(time.Date(2026, 3, 2, 9, 0, 0, 500_000_000, time.UTC)) {
				t.Errorf("an alert of 09:00:00.5 is of %s", at)
			}
		}
		return nil
	}))
}

// TestFeedsAreChecked: what cannot hold is said with its place before serve runs.
func TestFeedsAreChecked(t *testing.T) {
	const before = "version: 1\nupstream: {address: 'db.example:5432', database: support}\nlisten: 127.0.0.1:6432\ndetect:\n"
	for _, c := range []struct{ name, text, place, says string }{
		{"no kinds", "  hook: {listen: '127.0.0.1:1', secret_file: a}", "5:3", "expected listen, secret_file and kinds"},
		{"no secret", "  hook: {listen: '127.0.0.1:1', kinds: [alerts]}", "5:3", "expected listen, secret_file and kinds"},
		{"another machine may listen in", "  hook: {listen: '10.0.0.7:1', secret_file: a, kinds: [alerts]}", "5:18", "no loopback address"},
		{"reports weigh elsewhere", "  hook: {listen: '127.0.0.1:1', secret_file: a, kinds: [reports]}", "5:57", "section reports"},
		{"a kind that there is not", "  sql: [{kind: alert, dsn: 'postgres://x@h/d', query: SELECT 1}]", "5:16", `expected "alerts"`},
		{"one kind twice", "  sql: [{kind: hr, dsn: 'postgres://x@h/d', query: SELECT 1}, {kind: hr, dsn: 'postgres://x@h/d', query: SELECT 1}]", "5:70", "asked for twice"},
		{"the protected database", "  sql: [{kind: hr, dsn: 'postgres://x@db.example:5432/support', query: SELECT 1}]", "5:25", "the protected database"},
		{"too often", "  sql: [{kind: hr, dsn: 'postgres://x@h/d', query: SELECT 1, every: 1ms}]", "5:69", "a second or more"},
		{"no query", "  sql: [{kind: hr, dsn: 'postgres://x@h/d'}]", "5:10", "no query"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Parse("x.yaml", []byte(before+c.text+"\n"))
			if err == nil || !strings.Contains(err.Error(), "x.yaml:"+c.place+": ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
