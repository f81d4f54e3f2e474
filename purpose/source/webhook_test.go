package source

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/purpose"
)

var webhookConfig = purpose.SourceConfig{Webhook: purpose.WebhookConfig{SecretFile: "secret"}, Silent: "10m"}

// event is a message about one ticket.
func event(id string, version int, rest string) string {
	return fmt.Sprintf(`{"id":%q,"things":[{"id":"4711","customer":"1","version":%d,%s}]}`, id, version, rest)
}

const (
	mine   = `"state":"open","assignee":"s001","opened_by":"customer","assigned_by":"s003"`
	theirs = `"state":"open","assignee":"s002","opened_by":"customer","assigned_by":"s003"`
	closed = `"state":"solved","assignee":"s001","opened_by":"customer","assigned_by":"s003"`
)

// TestWebhookForgery: what is not signed by the other system, for this time and with this body, changes nothing.
func TestWebhookForgery(t *testing.T) {
	c := newClock()
	o, _ := options(t, c, "ticket")
	s := open(t, &webhookConfig, o)
	defer s.Close()
	h := newHook(t, c, s)
	now, body := c.stamp(), event("e1", 1, mine)
	old := fmt.Sprint(c.now().Add(-6 * time.Minute).Unix())
	ahead := fmt.Sprint(c.now().Add(6 * time.Minute).Unix())
	for name, headers := range map[string]map[string]string{
		"no signature":                   {TimeHeader: now},
		"no time":                        {SignatureHeader: sign(now, body)},
		"nothing":                        {},
		"another body's":                 {TimeHeader: now, SignatureHeader: sign(now, strings.Replace(body, "s001", "s009", 1))},
		"another time's":                 {TimeHeader: now, SignatureHeader: sign(old, body)},
		"too old":                        {TimeHeader: old, SignatureHeader: sign(old, body)},
		"from the future":                {TimeHeader: ahead, SignatureHeader: sign(ahead, body)},
		"without the algorithm's name":   {TimeHeader: now, SignatureHeader: strings.TrimPrefix(sign(now, body), "sha256=")},
		"shortened":                      {TimeHeader: now, SignatureHeader: sign(now, body)[:20]},
		"empty":                          {TimeHeader: now, SignatureHeader: "sha256="},
		"time and body cut elsewhere":    {TimeHeader: now[:9], SignatureHeader: sign(now, body)},
		"a time that is none":            {TimeHeader: "now", SignatureHeader: sign("now", body)},
		"a time with a sign in front":    {TimeHeader: "+" + now, SignatureHeader: sign(now, body)},
		"Zendesk's signature for itself": {"X-Zendesk-Webhook-Signature": "x", "X-Zendesk-Webhook-Signature-Timestamp": now},
	} {
		if status, said := h.send(body, headers); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	if got := find(t, s, "4711"); got != "silent" {
		t.Errorf("a forged message was a sign of life: %s", got)
	}
	if got := h.tell(body); got != "map[news:1]" {
		t.Error(got)
	}
	if got := find(t, s, "4711"); !strings.Contains(got, `"assignee":"s001"`) {
		t.Error(got)
	}
	// The very message once more, overheard on its way: it is known. A while later its time is over.
	ticket := map[string]string{TimeHeader: c.stamp(), SignatureHeader: sign(c.stamp(), body)}
	if status, said := h.send(body, ticket); status != http.StatusOK || said != "map[known:true news:0]" {
		t.Error(status, said)
	}
	c.later(6 * time.Minute)
	if status, said := h.send(body, ticket); status != http.StatusUnauthorized {
		t.Error(status, said)
	}
}

// TestWebhookShapes: what is signed and makes no sense is refused as a whole, by what is wrong with it.
func TestWebhookShapes(t *testing.T) {
	c := newClock()
	o, _ := options(t, c, "ticket")
	s := open(t, &webhookConfig, o)
	defer s.Close()
	h := newHook(t, c, s)
	for body, want := range map[string]string{
		`{}`:                                "no id",
		`[]`:                                "no message",
		`{"id":"a","things":[]} {"id":"b"}`: "no message",
		`{"id":"a","tings":[]}`:             "no message",
		`{"id":"a","things":[{"id":"1"}]}`:  "neither version nor updated_at",
		`{"id":"a","things":[{"id":"1","version":1},{"version":2}]}`:                                "thing 2: no id",
		`{"id":"a","things":[{"id":"1","version":1,"customer":"1","customers":["2"]}]}`:             "both customer and customers",
		`{"id":"a","things":[{"id":"1","version":1,"customers":["2",""]}]}`:                         "a customer without a key",
		`{"id":"a","things":[{"id":"1","version":1,"contacted_at":"yesterday"}]}`:                   "no message",
		`{"id":"a","things":[{"id":"1","version":1,"assigned_bye":"s003"}]}`:                        "no message",
		`{"id":"` + strings.Repeat("x", 201) + `","things":[]}`:                                     "more than 200",
		`{"id":"a","things":[{"id":"` + strings.Repeat("x", 65) + `","version":1}]}`:                "more than 64",
		`{"id":"a","things":[{"id":"1","version":1,"state":"` + strings.Repeat("x", 1<<20) + `"}]}`: "413",
	} {
		if got := h.tell(body); !strings.Contains(got, want) {
			t.Errorf("%.80s: %s, want %q", body, got, want)
		}
	}
	if got := find(t, s, "1"); got != "silent" {
		t.Error(got)
	}
	for _, request := range []struct {
		method, path string
		want         int
	}{{"GET", "/purposes/helpdesk", 405}, {"POST", "/purposes/other", 404}, {"POST", "/", 404}, {"POST", "/purposes/helpdesk/x", 404}} {
		r, err := http.NewRequestWithContext(t.Context(), request.method, h.at.URL+request.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != request.want {
			t.Errorf("%s %s: %d", request.method, request.path, answer.StatusCode)
		}
	}
}

// TestWebhookOrder: states may come in any order, twice, and with a gap; what is known is the latest, and of two with one version nothing.
func TestWebhookOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		want   string // in what is found; empty: it is over
	}{
		{"in order", []string{event("a", 1, theirs), event("b", 2, mine)}, "s001"},
		{"the other way round", []string{event("b", 2, theirs), event("a", 1, mine)}, "s002"},
		{"closed before it was opened", []string{event("b", 2, closed), event("a", 1, mine)}, ""},
		{"an old state under a new id of the message", []string{event("a", 1, mine), event("b", 2, closed), event("c", 1, mine)}, ""},
		{"closed and opened again", []string{event("a", 1, mine), event("b", 2, closed), event("c", 3, mine)}, "s001"},
		{"two states of one version", []string{event("a", 1, mine), event("b", 1, theirs)}, "unsure"},
		{"two states of one version, then the first again", []string{event("a", 1, mine), event("b", 1, theirs), event("c", 1, mine), event("d", 1, mine)}, "unsure"},
		{"two states of one version, then a later one", []string{event("a", 1, mine), event("b", 1, theirs), event("c", 2, mine)}, "s001"},
		{"the same state twice", []string{event("a", 1, mine), event("b", 1, mine)}, "s001"},
		{"closed and open with one version", []string{event("a", 1, closed), event("b", 1, mine)}, "unsure"},
		{"gone", []string{event("a", 1, mine), event("b", 2, mine+`,"gone":true`)}, "[]"},
		{"gone before it was there", []string{event("b", 2, mine+`,"gone":true`), event("a", 1, mine)}, "[]"},
		{"the same message with another body", []string{event("a", 1, theirs), event("a", 9, mine)}, "s002"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := newClock()
			o, _ := options(t, clock, "ticket")
			s := open(t, &webhookConfig, o)
			h := newHook(t, clock, s)
			for _, e := range c.events {
				if got := h.tell(e); !strings.HasPrefix(got, "map[") {
					t.Fatal(got)
				}
			}
			check := func(s purpose.Source) {
				t.Helper()
				got := find(t, s, "4711")
				if c.want == "" {
					if !strings.Contains(got, `"state":"solved"`) || strings.Contains(got, "s001") {
						t.Error(got)
					}
				} else if !strings.Contains(got, c.want) {
					t.Error(got)
				}
			}
			check(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, &webhookConfig, o)
			defer again.Close()
			check(again) // a restart knows the same
		})
	}
}

// TestWebhookSilence: what was not heard of for long covers nothing, also after a restart, until it is heard of again. A message behind
// which others wait is no sign of life.
func TestWebhookSilence(t *testing.T) {
	c := newClock()
	o, _ := options(t, c, "ticket")
	s := open(t, &webhookConfig, o)
	h := newHook(t, c, s)
	h.tell(event("a", 1, mine))
	alive := func(want bool) {
		t.Helper()
		if got := find(t, s, "4711"); (got != "silent") != want {
			t.Error(got)
		}
		_, err := s.Mine(t.Context(), []string{"s001"}, 9)
		if (err == nil) != want {
			t.Error(err)
		}
	}
	alive(true)
	c.later(9 * time.Minute)
	alive(true)
	c.later(2 * time.Minute)
	alive(false)
	h.tell(`{"id":"b","pending":3,"things":[]}`)
	alive(false)
	h.tell(`{"id":"c","things":[]}`)
	alive(true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.later(11 * time.Minute)
	s = open(t, &webhookConfig, o)
	defer s.Close()
	alive(false)
	newHook(t, c, s).tell(`{"id":"d","things":[]}`)
	alive(true)
}

// TestMirrorRenew: a log that is mostly history is written anew, and nothing of it is lost: neither what is known nor what may not come again.
func TestMirrorRenew(t *testing.T) {
	c := newClock()
	o, _ := options(t, c, "ticket")
	s := open(t, &webhookConfig, o).(*webhook)
	put := func(id string, version int, rest string) {
		t.Helper()
		item, wrong := (&messageItem{Thing: purpose.Thing{ID: id, State: "open", Assignee: rest}, Version: new(int64)}).item(func(s string) string { return s })
		if wrong != "" {
			t.Fatal(wrong)
		}
		item.Version = int64(version)
		if _, err := s.take(&entry{ID: fmt.Sprint(id, "-", version), At: c.now(), Items: []Item{item}}); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	s.entries = renewAfter - 40 // as if there had been so many
	s.mu.Unlock()
	for version := range 60 {
		put("1", version, "s001")
		put("2", version, "s002")
	}
	number := s.number
	if number < 2 {
		t.Fatal("the log was not written anew")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, &webhookConfig, o).(*webhook)
	defer again.Close()
	if again.number != number || len(again.items) != 2 || again.items["1"].Version != 59 || again.items["2"].Assignee != "s002" {
		t.Errorf("log %d, %v", again.number, again.items)
	}
	if !again.known("1-3") || !again.known("2-59") {
		t.Error("messages can come again")
	}
}
