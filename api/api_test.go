package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sallyport"
	"sallyport/control"
	"sallyport/history"
	"sallyport/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// password of everybody in these tests.
const password = "correct horse"

// running is a server on a real socket, with real streams.
type running struct {
	t               *testing.T
	dir, path       string
	access, control *record.Stream
	state           *control.State
	clock           *clock
}

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// cheap hashes a password with little work: what it costs is no matter here.
func cheap(password string) PasswordHash {
	h := hash{memory: 64, passes: 1, lanes: 1, salt: []byte("salt of the test")}
	h.sum = h.of([]byte(password), hashBytes)
	return h.text()
}

// start runs a server until the test ends. Agent s001, leads s050 and s051, security s060; s002 has no password.
func start(t *testing.T, change ...func(*Config)) *running {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &running{t: t, dir: dir, path: filepath.Join(dir, "control.sock"), clock: &clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}}
	r.access, r.control = openStream(t, dir, "access"), openStream(t, dir, "control")
	r.state = control.NewState()
	orders, err := NewOrders(r.control, r.state)
	if err != nil {
		t.Fatal(err)
	}
	pw := cheap(password)
	c := Config{
		People: map[sallyport.Staff]Person{
			"s001": {Role: "agent", Password: pw}, "s002": {Role: "lead"}, "s050": {Role: "lead", Password: pw},
			"s051": {Role: "lead", Password: pw}, "s060": {Role: "security", Password: pw},
		},
		Known:      func(who sallyport.Staff) bool { return who == "svc_billing" },
		Access:     r.access,
		Orders:     orders,
		Identifies: func(c sallyport.Column) bool { return c.Name == "email" },
		Now:        r.clock.Now,
		Names:      names(t),
	}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), r.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// names gives pseudonyms by the same key in each test.
func names(t *testing.T) *history.Names {
	t.Helper()
	n, err := history.NewNames([]byte("a key that is known to the tests"))
	if err != nil {
		t.Fatal(err)
	}
	n.Service = func(who sallyport.Staff) bool { return who == "svc_billing" }
	return n
}

func openStream(t *testing.T, dir, name string) *record.Stream {
	t.Helper()
	s, err := record.Open(filepath.Join(dir, name), record.Options{SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (r *running) as(name sallyport.Staff) *Client {
	c := NewClient(r.path, name, password)
	r.t.Cleanup(c.Close)
	return c
}

// orders lists the control stream as lines: kind, action, by → about.
func (r *running) orders() []string {
	r.t.Helper()
	var lines []string
	err := r.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind != sallyport.LogInOK {
			lines = append(lines, fmt.Sprintf("%s %s %s→%s", e.Kind, e.Order.Action, e.Order.By, e.Order.About))
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return lines
}

// want holds an error to a problem's code.
func want(t *testing.T, err error, code string) {
	t.Helper()
	var p *Problem
	switch {
	case code == "" && err != nil:
		t.Fatal(err)
	case code == "":
	case !errors.As(err, &p):
		t.Fatalf("got %v, want the problem %s", err, code)
	case p.Code != code:
		t.Fatalf("got the problem %s (%v), want %s", p.Code, p, code)
	case p.Sentence == "":
		t.Errorf("the problem %s has no sentence", code)
	}
}

func TestLockAndUnlock(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	changes := make(chan sallyport.Staff, 10)
	defer r.state.Watch(func(who sallyport.Staff, _ control.Standing) { changes <- who })()

	want(t, r.as("s050").Lock(ctx, "s051", "laptop stolen"), "")
	if st := r.state.Standing("s051"); !st.Locked || st.By != "s050" || st.Reason != "laptop stolen" {
		t.Errorf("after the lock: %+v", st)
	}
	select {
	case who := <-changes:
		if who != "s051" {
			t.Errorf("told about %s", who)
		}
	default:
		t.Error("the lock was answered before it had taken effect")
	}

	id, err := r.as("s050").Unlock(ctx, "s051", "laptop found")
	want(t, err, "")
	_, err = r.as("s050").Approve(ctx, id)
	want(t, err, "not_yours_to_decide") // the proposer
	_, err = r.as("s051").Approve(ctx, id)
	want(t, err, "locked") // the subject, who may do nothing anyway
	_, err = r.as("s001").Approve(ctx, id)
	want(t, err, "not_your_role")
	_, err = r.as("s060").Approve(ctx, "nonesuch")
	want(t, err, "no_such_proposal")
	if !r.state.Standing("s051").Locked {
		t.Fatal("unlocked without two people")
	}
	p, err := r.as("s060").Approve(ctx, id)
	want(t, err, "")
	if p.Status != "approved" || r.state.Standing("s051").Locked {
		t.Errorf("after the approval: %+v, %+v", p, r.state.Standing("s051"))
	}
	_, err = r.as("s060").Approve(ctx, id)
	want(t, err, "not_yours_to_decide") // it is decided

	if diff := cmp.Diff([]string{"lock lock s050→s051", "propose unlock s050→s051", "approve unlock s060→s051"}, r.orders()); diff != "" {
		t.Error(diff)
	}
	// A restart folds the same state from the stream.
	again := control.NewState()
	if _, err := NewOrders(r.control, again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.state.Proposals(), again.Proposals()); diff != "" {
		t.Error(diff)
	}
}

func TestWhoMay(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	want(t, r.as("s001").Lock(ctx, "s050", "x"), "not_your_role")
	want(t, r.as("s050").Lock(ctx, "s0017", "x"), "no_such_staff")
	want(t, r.as("s050").Lock(ctx, "s001", "  "), "no_reason")
	want(t, r.as("s050").Lock(ctx, "svc_billing", "x"), "")
	want(t, r.as("s060").Lock(ctx, "login:mallory", "x"), "")
	_, err := r.as("s050").Unlock(ctx, "s001", "x")
	want(t, err, "not_locked")
	_, err = r.as("s050").Unlock(ctx, "s050", "x")
	want(t, err, "not_yours_to_propose")
	_, err = r.as("s001").WhoSaw(ctx, "1")
	want(t, err, "not_your_role")
	_, err = r.as("s001").Status(ctx)
	want(t, err, "")

	want(t, r.as("s060").Lock(ctx, "s050", "x"), "")
	for name, err := range map[string]error{
		"lock":   r.as("s050").Lock(ctx, "s060", "x"),
		"status": func() error { _, err := r.as("s050").Status(ctx); return err }(),
		"saw":    func() error { _, err := r.as("s050").WhoSaw(ctx, "1"); return err }(),
	} {
		t.Run("locked "+name, func(t *testing.T) { want(t, err, "locked") })
	}
}

func TestDecline(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	want(t, r.as("s050").Lock(ctx, "s001", "x"), "")
	for _, by := range []sallyport.Staff{"s050", "s060"} { // taken back, refused
		id, err := r.as("s050").Unlock(ctx, "s001", "x")
		want(t, err, "")
		p, err := r.as(by).Decline(ctx, id)
		want(t, err, "")
		if p.Status != "declined" || !r.state.Standing("s001").Locked {
			t.Errorf("declined by %s: %+v", by, p)
		}
		_, err = r.as("s051").Approve(ctx, id)
		want(t, err, "not_yours_to_decide")
	}
	list, err := r.as("s051").Proposals(ctx)
	want(t, err, "")
	if len(list) != 2 {
		t.Errorf("%d proposals", len(list))
	}
}

// TestApproveAtOnce lets many approve the same proposal at the same moment: one approval takes effect.
func TestApproveAtOnce(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	want(t, r.as("s050").Lock(ctx, "s001", "x"), "")
	id, err := r.as("s050").Unlock(ctx, "s001", "x")
	want(t, err, "")
	for who, waits := range map[sallyport.Staff]int{"s050": 0, "s051": 1} { // who proposed it, and who may approve it
		if status, err := r.as(who).Status(ctx); err != nil || status.ToDecide != waits {
			t.Errorf("%d proposals wait for %s, want %d (%v)", status.ToDecide, who, waits, err)
		}
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		client := r.as([]sallyport.Staff{"s051", "s060"}[i%2])
		wg.Go(func() { _, errs[i] = client.Approve(ctx, id) })
	}
	wg.Wait()
	approved := 0
	for _, err := range errs {
		if err == nil {
			approved++
		}
	}
	if approved != 1 || !slices.Contains(r.orders(), "approve unlock s051→s001") && !slices.Contains(r.orders(), "approve unlock s060→s001") {
		t.Errorf("%d approvals took effect: %v, %v", approved, errs, r.orders())
	}
}

// TestUnrecorded takes the record away: nothing is given or answered any more, except that a lock still bites.
func TestUnrecorded(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	want(t, r.as("s050").Lock(ctx, "svc_billing", "x"), "")
	if err := r.control.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, r.as("s050").Lock(ctx, "s001", "x"), "not_recorded")
	if !r.state.Standing("s001").Locked {
		t.Error("the lock does not bite")
	}
	_, err := r.as("s050").Unlock(ctx, "svc_billing", "x")
	want(t, err, "failed")
	_, err = r.as("s050").WhoSaw(ctx, "1")
	want(t, err, "failed")
	if len(r.state.Proposals()) != 0 {
		t.Error("a proposal that is not recorded took effect")
	}
}

// TestRawRequests sends what no client of ours would.
func TestRawRequests(t *testing.T) {
	r := start(t)
	for _, c := range []struct {
		method, path, user, body string
		status                   int
		code                     string
	}{
		{"GET", "/v1/status", "", "", 401, "log_in"},
		{"GET", "/v1/nonsense", "s050", "", 404, "no_such_endpoint"},
		{"GET", "/v1/lock", "s050", "", 404, "no_such_endpoint"},
		{"POST", "/v1/lock", "s050", "", 400, "bad_request"},
		{"POST", "/v1/lock", "s050", `{"staff":"s001","reason":"x"} more`, 400, "bad_request"},
		{"POST", "/v1/lock", "s050", `{"staff":"s001","reason":"x","force":true}`, 400, "bad_request"},
		{"POST", "/v1/lock", "s050", `{"staff":"s001","reason":"` + strings.Repeat("x", 501) + `"}`, 400, "no_reason"},
		{"POST", "/v1/lock", "s050", `{"staff":"` + strings.Repeat("x", 1<<17) + `"}`, 400, "bad_request"},
		{"GET", "/v1/who-saw", "s050", "", 400, "no_customer"},
	} {
		client := &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", r.path)
			},
			DisableKeepAlives: true,
		}}
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://sallyport"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.user != "" {
			req.SetBasicAuth(c.user, password)
		}
		response, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p Problem
		err = json.NewDecoder(response.Body).Decode(&p)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || p.Code != c.code || p.Status != c.status {
			t.Errorf("%s %s: %d %+v %v; want %d %s", c.method, c.path, response.StatusCode, p, err, c.status, c.code)
		}
		if kind := response.Header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s %s: content type %q", c.method, c.path, kind)
		}
	}
	for _, line := range r.orders() {
		t.Errorf("a bad request left an order: %s", line)
	}
}
