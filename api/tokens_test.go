package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/control"
)

// call sends one request as it is, and returns status, body and headers.
func (r *running) call(method, path, body string, change func(*http.Request)) (int, string, http.Header) {
	r.t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.path)
	}}
	defer transport.CloseIdleConnections()
	q, err := http.NewRequestWithContext(r.t.Context(), method, "http://sallyport"+path, strings.NewReader(body))
	want(r.t, err, "")
	change(q)
	answer, err := (&http.Client{Transport: transport}).Do(q)
	want(r.t, err, "")
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	want(r.t, err, "")
	return answer.StatusCode, string(text), answer.Header
}

// TestAPITokens makes tokens: by two people, each with half of it, for what their scopes say and no more, and for as long as they hold.
func TestAPITokens(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Values = &Values{
			Reveal: func(_ context.Context, who *ValueCaller, items []ValueItem) ([]ValueAnswer, *Problem) {
				return []ValueAnswer{{Value: string(who.Staff) + " " + who.Strength + " " + who.Purpose + " " + items[0].Token}}, nil
			},
		}
	})
	ctx := t.Context()
	q := TokenRequest{Staff: "svc_billing", Scopes: []string{"reveal", "calls"}, Days: 30, Reason: "the billing program"}
	_, err := r.as("s001").ProposeToken(ctx, q)
	want(t, err, "not_your_role")
	_, err = r.as("s050").ProposeToken(ctx, TokenRequest{Staff: "s050", Scopes: q.Scopes, Reason: "for me"})
	want(t, err, "not_yours_to_propose")
	for _, scopes := range [][]string{nil, {"approve"}, {"reveal", "everything"}} {
		_, err = r.as("s050").ProposeToken(ctx, TokenRequest{Staff: "svc_billing", Scopes: scopes, Reason: "r"})
		want(t, err, "not_yours_to_propose")
	}
	first, err := r.as("s050").ProposeToken(ctx, q)
	want(t, err, "")
	_, err = r.as("s050").Approve(ctx, first.Proposal)
	want(t, err, "not_yours_to_decide")
	approved, err := r.as("s060").Approve(ctx, first.Proposal)
	want(t, err, "")
	if approved.Code == "" || approved.Code == first.Code {
		t.Fatal("who approves has no half of his own")
	}
	token := TokenPrefix + first.Proposal + "_" + first.Code + "_" + approved.Code
	bearer := func(text string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+text) }
	}
	ask := `{"purpose":"ticket:1","column":"a.b.c","token":"t"}`
	status, body, _ := r.call("POST", "/v1/reveal", ask, bearer(token))
	if status != http.StatusOK || !strings.Contains(body, "svc_billing password ticket:1 t") {
		t.Errorf("%d %s", status, body)
	}
	for _, wrong := range []string{
		TokenPrefix + first.Proposal + "_" + first.Code + "_" + first.Code, TokenPrefix + first.Proposal + "_" + approved.Code + "_" + first.Code,
		TokenPrefix + first.Proposal + "_" + first.Code, TokenPrefix + "zzzzzzzzzz_" + first.Code + "_" + approved.Code, TokenPrefix, TokenPrefix + "__",
	} {
		if status, body, _ := r.call("POST", "/v1/reveal", ask, bearer(wrong)); status != http.StatusUnauthorized {
			t.Errorf("%d %s", status, body)
		}
	}
	for _, path := range []string{
		"GET /v1/status", "POST /v1/tokenise", "GET /v1/record", "POST /v1/lock", "POST /v1/proposals/x/approve", "POST /v1/confirm", "POST /v1/api-tokens",
		"POST /v1/break-glass", "GET /api/v1/proposals", "POST /v1/unseal", "POST /v1/grants/x/approve", "GET /v1/reports",
	} {
		method, path, _ := strings.Cut(path, " ")
		if status, body, _ := r.call(method, path, "{}", bearer(token)); status != http.StatusForbidden || !strings.Contains(body, "out_of_scope") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body, _ := r.call("GET", "/v1/calls", "", bearer(token)); status != http.StatusConflict {
		t.Errorf("within its scope: %d %s", status, body)
	}

	list, err := r.as("s060").Tokens(ctx)
	want(t, err, "")
	if len(list) != 1 || list[0].Staff != "svc_billing" || list[0].Proposed != "s050" || list[0].Approved != "s060" || list[0].Until.Sub(r.clock.Now()) > 31*24*time.Hour {
		t.Errorf("%+v", list)
	}
	if list, err = r.as("s001").Tokens(ctx); err != nil || len(list) != 0 {
		t.Errorf("an agent sees others' tokens: %+v %v", list, err)
	}
	want(t, r.as("s001").EndToken(ctx, first.Proposal, "r"), "no_such_token")
	want(t, r.as("s051").EndToken(ctx, first.Proposal, "it leaked"), "")
	if status, _, _ = r.call("POST", "/v1/reveal", ask, bearer(token)); status != http.StatusUnauthorized {
		t.Errorf("after its end: %d", status)
	}

	investigates := TokenRequest{Staff: "s051", Scopes: []string{"investigate", "work"}, Days: 1, Reason: "a dashboard"}
	p, err := r.as("s050").ProposeToken(ctx, investigates)
	want(t, err, "")
	a, err := r.as("s060").Approve(ctx, p.Proposal)
	want(t, err, "")
	token = TokenPrefix + p.Proposal + "_" + p.Code + "_" + a.Code
	if status, body, _ = r.call("GET", "/v1/record?stream=control", "", bearer(token)); status != http.StatusOK || strings.Contains(body, p.Code) {
		t.Errorf("%d %s", status, body)
	}
	want(t, r.as("s060").Lock(ctx, "s051", "r"), "")
	if status, _, _ = r.call("GET", "/v1/status", "", bearer(token)); status != http.StatusUnauthorized {
		t.Errorf("a lock leaves a token: %d", status)
	}
	again := control.NewState()
	want(t, r.control.Read(1, func(e *sallyport.Event) error { again.Apply(e); return nil }), "")
	if len(again.Tokens(r.clock.Now())) != 0 {
		t.Error("a restart brings tokens back")
	}
}

// TestOnce: a call with a key is carried out once, whatever happens.
func TestOnce(t *testing.T) {
	r := start(t)
	as := func(name, key string) func(*http.Request) {
		return func(q *http.Request) {
			q.SetBasicAuth(name, password)
			q.Header.Set(onceHeader, key)
		}
	}
	lock := func(who string) string { return fmt.Sprintf(`{"staff":%q,"reason":"r"}`, who) }
	proposals := func() int { return len(r.state.Proposals()) }
	want(t, r.as("s050").Lock(t.Context(), "s001", "r"), "")

	status, first, _ := r.call("POST", "/v1/unlock", lock("s001"), as("s050", "k1"))
	if status != http.StatusOK || proposals() != 1 {
		t.Fatalf("%d %s", status, first)
	}
	status, second, header := r.call("POST", "/v1/unlock", lock("s001"), as("s050", "k1"))
	if status != http.StatusOK || second != first || proposals() != 1 || header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("again: %d %s, %d proposals", status, second, proposals())
	}
	if status, body, _ := r.call("POST", "/v1/unlock", lock("s002"), as("s050", "k1")); status != http.StatusUnprocessableEntity || !strings.Contains(body, "key_of_another") {
		t.Errorf("another body: %d %s", status, body)
	}
	if status, _, _ := r.call("POST", "/v1/unlock", lock("s001"), as("s051", "k1")); status != http.StatusOK || proposals() != 2 {
		t.Errorf("the key of somebody else: %d, %d proposals", status, proposals())
	}
	if status, _, _ := r.call("POST", "/v1/unlock", lock("s001"), as("s001", "k1")); status == http.StatusOK {
		t.Error("a key is a way around the log-in")
	}
	for range 2 { // what was not done may be tried again under its key
		if status, _, header := r.call("POST", "/v1/unlock", lock("s060"), as("s050", "k2")); status != http.StatusConflict || header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%d", status)
		}
	}
	if status, _, _ := r.call("POST", "/v1/unlock", lock("s001"), as("s050", strings.Repeat("k", 201))); status != http.StatusBadRequest {
		t.Errorf("a long key: %d", status)
	}

	// Another start on the same record: what was answered is gone, and nothing is done twice.
	orders, err := NewOrders(r.control, control.NewState())
	want(t, err, "")
	s, err := New(Config{Access: r.access, Orders: orders, Now: r.clock.Now, Names: names(t), People: map[sallyport.Staff]Person{"s050": {Role: "lead", Password: cheap(password)}}})
	want(t, err, "")
	at := &running{t: t, path: r.path + "2"}
	l, err := Listen(t.Context(), at.path)
	want(t, err, "")
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	defer func() {
		stop()
		want(t, <-done, "")
	}()
	before := len(orders.State().Proposals())
	if status, body, _ := at.call("POST", "/v1/unlock", lock("s001"), as("s050", "k1")); status != http.StatusConflict || !strings.Contains(body, "answer_gone") {
		t.Errorf("after a restart: %d %s", status, body)
	}
	if status, _, _ := at.call("POST", "/v1/unlock", lock("s002"), as("s050", "k1")); status != http.StatusUnprocessableEntity {
		t.Errorf("another body after a restart: %d", status)
	}
	if n := len(orders.State().Proposals()); n != before {
		t.Errorf("%d proposals more", n-before)
	}
}

// TestPages walks through lists, and answers whatever is asked wrongly as a problem.
func TestPages(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	var ids []string
	for i := range 7 {
		id, err := r.as("s050").AcceptTrust(ctx, i)
		want(t, err, "")
		ids = append(ids, id)
	}
	as := func(q *http.Request) { q.SetBasicAuth("s060", password) }
	status, body, _ := r.call("GET", "/v1/proposals?limit=3", "", as)
	if status != http.StatusOK || strings.Count(body, `"id"`) != 3 || !strings.Contains(body, `"next"`) {
		t.Fatalf("%d %s", status, body)
	}
	list, err := pages[Proposal](ctx, r.as("s060"), "/v1/proposals?limit=3", "proposals")
	want(t, err, "")
	for i, p := range list {
		if p.ID != ids[i] {
			t.Errorf("%d: %s", i, p.ID)
		}
	}
	if len(list) != 7 {
		t.Errorf("%d of 7", len(list))
	}
	for _, bad := range []string{"?limit=0", "?limit=x", "?limit=5001", "?cursor=zzz", "?cursor=!"} {
		if status, body, header := r.call("GET", "/v1/proposals"+bad, "", as); status != http.StatusBadRequest || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	for _, wrong := range []string{"PUT /v1/lock", "DELETE /v1/proposals", "GET /v1/nothing", "GET /nothing", "POST /api/v1/openapi.json", "POST /v1/lock"} {
		method, path, _ := strings.Cut(wrong, " ")
		if status, body, header := r.call(method, path, "{", as); status < 400 || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %s", wrong, status, header.Get("Content-Type"), body)
		}
	}
}

// AcceptTrust proposes something, for a list.
func (c *Client) AcceptTrust(ctx context.Context, n int) (string, error) {
	if err := c.call(ctx, http.MethodPost, "/v1/trust", trustRequest{Staff: "s001", Trust: 10, Reason: "r"}, nil); err != nil {
		return "", err
	}
	return c.Trust(ctx, "s001", 20+n, "r")
}
