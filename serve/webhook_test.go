package serve

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
)

// heardHook is a receiver of the webhook that refuses the first attempts at each message.
type heardHook struct {
	mu       sync.Mutex // guards what follows
	refuse   int
	attempts map[string]int // by delivery
	bodies   []string
	wrong    []string
}

func (h *heardHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	seconds, signature, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Sallyport-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte("0123456789abcdef-secret"))
	mac.Write([]byte(seconds + "." + string(body)))
	if hex.EncodeToString(mac.Sum(nil)) != signature {
		h.wrong = append(h.wrong, "the signature is wrong")
	}
	id := r.Header.Get("Sallyport-Delivery")
	if h.attempts[id]++; h.attempts[id] <= h.refuse {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	h.bodies = append(h.bodies, string(body))
}

func (h *heardHook) events() (list []GrantMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.bodies {
		var m GrantMessage
		_ = json.Unmarshal([]byte(b), &m)
		list = append(list, m)
	}
	return list
}

// TestWebhook: what happens to a grant is told, signed, with a link, again where it was not taken, and without a reason or a customer.
func TestWebhook(t *testing.T) {
	hook := &heardHook{refuse: 2, attempts: map[string]int{}}
	server := httptest.NewServer(hook)
	defer server.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	fatal(t, os.WriteFile(secret, []byte("0123456789abcdef-secret\n"), 0o600))
	settings := &config.Config{File: filepath.Join(t.TempDir(), "sallyport.yaml")}
	settings.Grants.Webhook = config.GrantWebhook{URL: server.URL, SecretFile: secret, Link: "https://sallyport.example/grants/{id}"}
	log := &lockedBuffer{}
	w, err := newWebhook(settings, time.Now, slog.New(slog.NewTextHandler(log, nil)))
	fatal(t, err)
	w.pauses = []time.Duration{time.Millisecond, time.Millisecond}
	ctx, stop := contextOf(t)
	var wg sync.WaitGroup
	wg.Go(func() { w.run(ctx) })
	x := &control.Grant{
		ID: "gr-1", By: "s017", Reason: "call Ada Example", Terms: sallyport.GrantTerms{
			For: "s017", Columns: []string{"support.customers.email"}, Customers: 5, Minutes: 60, Only: []sallyport.Subject{"48211"},
			Needs: [][]sallyport.Need{{{Of: 1, From: "leads"}, {Of: 1, From: "security"}}}, Usual: sallyport.Usual{Median: 2, Most: 4, Days: 9},
		},
	}
	w.send("requested", x)
	within(t, 20*time.Second, "the message is taken at the third attempt", func() bool { return len(hook.events()) == 1 })
	hook.mu.Lock()
	hook.refuse = 3
	hook.mu.Unlock()
	w.send("approved", x)
	within(t, 20*time.Second, "the sender gives up", func() bool { return strings.Contains(log.String(), "no more attempts") })
	stop()
	wg.Wait()
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if len(hook.wrong) > 0 || len(hook.bodies) != 1 || len(hook.attempts) != 2 {
		t.Errorf("%v, %v, %q", hook.wrong, hook.attempts, hook.bodies)
	}
	for _, n := range hook.attempts {
		if n != 3 {
			t.Errorf("%d attempts", n)
		}
	}
	if body := hook.bodies[0]; strings.Contains(body, "Ada") || strings.Contains(body, "48211") || !strings.Contains(body, `"link":"https://sallyport.example/grants/gr-1"`) ||
		!strings.Contains(body, `"customers":5,"usual":{"median":2,"most":4,"days":9}`) || !strings.Contains(body, `"needs":[["1 of leads","1 of security"]]`) {
		t.Error(body)
	}
	if strings.Contains(log.String(), server.URL) {
		t.Error("the log holds the address, which may be a secret")
	}
}

// TestWebhookIsServed: serve itself tells of a request and of a break-glass.
func TestWebhookIsServed(t *testing.T) {
	hook := &heardHook{attempts: map[string]int{}}
	server := httptest.NewServer(hook)
	defer server.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	fatal(t, os.WriteFile(secret, []byte("0123456789abcdef-secret\n"), 0o600))
	a := newAsking(t, "", func(o *Options) { o.Config.Grants.Webhook = config.GrantWebhook{URL: server.URL, SecretFile: secret} })
	who := a.org.Agents()[0].ID
	id := a.granted(who, api.GrantRequest{Customers: 2})
	fatal(t, a.agent(who).Confirm(a.ctx))
	glass, err := a.agent(who).BreakGlass(a.ctx, api.GrantRequest{Columns: []string{"support.customers.phone"}, Customers: 2, Minutes: 60, Incident: "INC-311", Reason: "r"})
	fatal(t, err)
	_, err = a.officer("o1").EndGrant(a.ctx, id, "done")
	fatal(t, err)
	want := []string{"requested " + id, "approved " + id, "active " + id, "glass_broken " + glass.ID, "ended " + id}
	within(t, 30*time.Second, "everything is told", func() bool { return len(hook.events()) > len(want) }) // ended, and with what was seen
	for i, m := range hook.events()[:len(want)] {
		if m.Event+" "+m.ID != want[i] || m.Link != "sallyport grants show "+m.ID {
			t.Errorf("%d: %+v, want %s", i, m, want[i])
		}
	}
	if m := hook.events()[len(want)]; m.Event != "reported" || m.Seen == nil || *m.Seen != 0 {
		t.Errorf("the report: %+v", m)
	}
}
