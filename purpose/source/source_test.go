package source

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/throwaway"
	"sallyport/purpose"
)

// cluster is the private PostgreSQL of this package's tests; TestMain sets it once.
var cluster *throwaway.Cluster

func TestMain(m *testing.M) {
	os.Exit(throwaway.Main(m, throwaway.Options{Settings: map[string]string{"fsync": "off"}}, func(c *throwaway.Cluster) { cluster = c }))
}

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time              { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) later(d time.Duration)       { c.at.Add(int64(d)) }
func (c *clock) stamp() string               { return strconv.FormatInt(c.now().Unix(), 10) }
func (c *clock) text(d time.Duration) string { return c.now().Add(d).Format(time.RFC3339) }

const testSecret = "0123456789abcdef0123456789abcdef"

// options are those of a test, whose files are in a folder of its own.
func options(t *testing.T, c *clock, kinds ...string) (Options, string) {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "secret"), testSecret+"\n", 0o600)
	return Options{
		Path: func(name string) string { return filepath.Join(folder, name) },
		Secret: func(path string) (string, error) {
			b, err := os.ReadFile(path)
			return strings.TrimSpace(string(b)), err
		},
		Folder: filepath.Join(folder, "purposes"), Kinds: kinds, Now: c.now,
		Live: func(state string) bool {
			return state == "open" || state == "pending" || state == "new" || state == "incoming"
		},
		Log: func(what string) { t.Log(what) },
	}, folder
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, c *purpose.SourceConfig, o Options) purpose.Source {
	t.Helper()
	s, err := Open("helpdesk", c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// find is what a source says of a reference, as JSON; "?" where it says nothing but that it cannot.
func find(t *testing.T, s purpose.Source, ref string) string {
	t.Helper()
	things, err := s.Find(t.Context(), purpose.Ref{Text: ref})
	switch {
	case errors.Is(err, purpose.ErrSilent):
		return "silent"
	case errors.Is(err, context.DeadlineExceeded):
		return "late"
	case err != nil:
		return "? " + err.Error()
	}
	b, err := json.Marshal(things)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// hook is a source that is sent things over HTTP.
type hook struct {
	t   *testing.T
	c   *clock
	s   purpose.Source
	url string
	at  *httptest.Server
}

func newHook(t *testing.T, c *clock, s purpose.Source) *hook {
	t.Helper()
	server := httptest.NewServer(Handler(map[string]Hearer{"helpdesk": s.(Hearer)}, func(string, string) {}))
	t.Cleanup(server.Close)
	return &hook{t: t, c: c, s: s, url: server.URL + "/purposes/helpdesk", at: server}
}

func sign(stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(stamp + "." + body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// send posts a body with these headers, and returns the status and the answer.
func (h *hook) send(body string, headers map[string]string) (int, string) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	var said map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		h.t.Fatal(err)
	}
	return answer.StatusCode, fmt.Sprint(said)
}

// tell sends a message that is signed now.
func (h *hook) tell(body string) string {
	h.t.Helper()
	status, said := h.send(body, map[string]string{TimeHeader: h.c.stamp(), SignatureHeader: sign(h.c.stamp(), body)})
	if status != http.StatusOK {
		return fmt.Sprint(status, " ", said)
	}
	return said
}
