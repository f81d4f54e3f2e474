package source

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/purpose"
)

// fuzzOptions are options without a test of their own.
func fuzzOptions(f *testing.F) (*clock, Options) {
	c, folder := newClock(), f.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "secret"), []byte(testSecret), 0o600); err != nil {
		f.Fatal(err)
	}
	return c, Options{
		Path: func(name string) string { return filepath.Join(folder, name) }, Secret: func(string) (string, error) { return testSecret, nil },
		Folder: folder, Kinds: []string{"ticket"}, Now: c.now, Log: func(string) {},
	}
}

// FuzzMessage: whatever a signed message holds, it is taken or refused, and what is taken can be read by a restart.
func FuzzMessage(f *testing.F) {
	c, o := fuzzOptions(f)
	for _, body := range []string{
		event("a", 1, mine), event("b", 2, closed), `{"id":"c","things":[]}`, `{"id":"d","pending":-1,"things":[{"id":"1","updated_at":"2026-03-01T12:00:00.5Z","customers":["1","2"]}]}`,
		`{"id":"e","things":[{"id":"1","version":-9223372036854775808,"gone":true}]}`, `{"id":"f","things":null}`, `{"id":"g","things":[{"id":"\u0000","version":1e2}]}`,
	} {
		f.Add(body)
	}
	s, err := Open("x", &webhookConfig, o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	w := s.(*webhook)
	f.Fuzz(func(t *testing.T, body string) {
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte(c.stamp() + "." + body))
		header := http.Header{}
		header.Set(TimeHeader, c.stamp())
		header.Set(SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
		before := w.log.Last()
		_, err := w.Hear(header, []byte(body))
		if refused, ok := errors.AsType[*Problem](err); err != nil && (!ok || refused.Status/100 != 4) {
			t.Fatalf("%v", err)
		}
		r := w.log.Reader(before + 1)
		defer r.Close()
		for seq := before; seq < w.log.Last(); seq++ {
			_, payload, err := r.Next()
			if err != nil || !strings.HasPrefix(string(payload), "{") {
				t.Fatalf("%v %s", err, payload)
			}
		}
		for id := range w.items {
			if things, err := w.Find(t.Context(), purpose.Ref{Text: id}); err == nil && len(things) > 1 {
				t.Fatalf("%q names %d things", id, len(things))
			}
		}
	})
}

// FuzzZendesk: whatever Zendesk signs, it is taken or refused.
func FuzzZendesk(f *testing.F) {
	c, o := fuzzOptions(f)
	s, err := Open("x", &purpose.SourceConfig{Zendesk: purpose.ZendeskConfig{URL: "http://127.0.0.1:1", Email: "a@example.com", TokenFile: "secret", SecretFile: "secret"}}, o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Add(`{"id":"1","type":"zen:event-type:ticket.created","time":"2026-03-01T12:00:00Z","detail":{"id":"5","status":"OPEN","assignee_id":null,"requester_id":7,"created_at":"2026-03-01T12:00:00Z","updated_at":"2026-03-01T12:00:00Z"}}`)
	f.Add(`{"id":"2","type":"zen:event-type:user.created","detail":{}}`)
	f.Add(`{"id":"3","type":"zen:event-type:ticket.merged","detail":{"id":"user:7","updated_at":"2026-03-01T12:00:00Z"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		stamp := c.now().Format(time.RFC3339)
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte(stamp + body))
		header := http.Header{}
		header.Set("X-Zendesk-Webhook-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		header.Set("X-Zendesk-Webhook-Signature-Timestamp", stamp)
		_, err := s.(*zendesk).Hear(header, []byte(body))
		if refused, ok := errors.AsType[*Problem](err); err != nil && (!ok || refused.Status/100 != 4) {
			t.Fatalf("%v", err)
		}
		for id := range s.(*zendesk).items {
			if strings.Trim(id, "0123456789-+") != "" {
				t.Fatalf("a thing of the name %q", id)
			}
		}
	})
}

// FuzzCSV: whatever stands in a file, it is read as a whole or not at all.
func FuzzCSV(f *testing.F) {
	c, o := fuzzOptions(f)
	f.Add(csvHead + "4711,CS-1,1 2,s001,open,customer,s003,,2026-03-01T10:00:00Z,2026-03-01\n")
	f.Add("id\r\n\"1\n2\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := &file{path: "f.csv", hide: func(n string) string { return n }, now: c.now, log: o.Log}
		if err := s.parse([]byte(text)); err != nil && (len(s.list) > 0 || len(s.items) > 0) {
			t.Fatalf("%v, and %d things", err, len(s.items))
		}
	})
}
