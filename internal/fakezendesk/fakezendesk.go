// Package fakezendesk is a fake of Zendesk for tests: its ticket, user, audit and incremental export endpoints with the documented shapes,
// and its signed webhook. It holds tickets in memory and records who did what to them as Zendesk's audits do.
//
// It refuses to be complete: what Sallyport does not ask for is not there.
package fakezendesk

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What the fake lets in, and signs with.
const (
	Email  = "admin@example.com"
	Token  = "zendesk-api-token-of-the-fake"                //nolint:gosec // of nobody else
	Secret = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==" //nolint:gosec // likewise
)

// Server is a fake account.
type Server struct {
	*httptest.Server
	now func() time.Time

	mu      sync.Mutex // guards everything below
	users   map[int64]*string
	agents  map[int64]bool
	tickets map[int64]*ticket
	changed []int64 // tickets in the order of their last changes
	hook    string
	events  int
	changes int
	asked   map[string]int // requests by path
	limited int            // requests that are answered with 429 from now on
	page    int
}

type ticket struct {
	ID        int64   `json:"id"`
	Status    string  `json:"status"`
	Assignee  *int64  `json:"assignee_id"`
	Requester int64   `json:"requester_id"`
	Submitter int64   `json:"submitter_id"`
	External  *string `json:"external_id"`
	Subject   string  `json:"subject"`
	Created   string  `json:"created_at"`
	Updated   string  `json:"updated_at"`
	audits    []map[string]any
	change    int // the number of its last one in the account
}

// Start starts a fake account; page is how many audits and tickets a page holds.
func Start(now func() time.Time, page int) *Server {
	s := &Server{now: now, users: map[int64]*string{}, agents: map[int64]bool{}, tickets: map[int64]*ticket{}, asked: map[string]int{}, page: page}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v2/tickets/{file}", s.ticket)
	mux.HandleFunc("GET /api/v2/tickets/{id}/audits.json", s.audits)
	mux.HandleFunc("GET /api/v2/users/{file}", s.user)
	mux.HandleFunc("GET /api/v2/incremental/tickets/cursor.json", s.export)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if email, token, ok := r.BasicAuth(); !ok || email != Email+"/token" || token != Token {
			http.Error(w, `{"error":"Couldn't authenticate you"}`, http.StatusUnauthorized)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked[r.URL.Path]++
		if s.limited > 0 {
			s.limited--
			w.Header().Set("Retry-After", "93")
			http.Error(w, `{"error":"APIRateLimitExceeded","description":"Number of allowed API requests per minute exceeded"}`, http.StatusTooManyRequests)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return s
}

// Hook is where events are sent from now on.
func (s *Server) Hook(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = url
}

// Limit answers so many requests with 429.
func (s *Server) Limit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limited = n
}

// Asked is how often a path was asked for.
func (s *Server) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// User makes a user, or gives him another external_id; empty: none.
func (s *Server) User(id int64, external string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[id] = nil
	if external != "" {
		s.users[id] = &external
	}
}

// Agent makes a user an agent.
func (s *Server) Agent(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents[id] = true
}

// Open makes a ticket: who opens it, whose it is, and for whom. An author of -1 is Zendesk itself.
func (s *Server) Open(by, id, requester int64, assignee *int64, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.stamp()
	t := &ticket{ID: id, Status: status, Assignee: assignee, Requester: requester, Submitter: by, Subject: "a subject that nobody may keep", Created: now, Updated: now}
	s.tickets[id] = t
	events := []map[string]any{
		{"id": 1, "type": "Comment", "author_id": by, "public": true, "body": "a text that nobody may keep"},
		{"id": 2, "type": "Create", "field_name": "requester_id", "value": strconv.FormatInt(requester, 10)},
		{"id": 3, "type": "Create", "field_name": "status", "value": status},
		{"id": 4, "type": "Create", "field_name": "subject", "value": t.Subject},
	}
	if assignee != nil {
		events = append(events, map[string]any{"id": 5, "type": "Create", "field_name": "assignee_id", "value": strconv.FormatInt(*assignee, 10)})
	}
	s.changedBy(t, by, "ticket.created", events)
}

// Assign gives a ticket to somebody.
func (s *Server) Assign(by, id, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tickets[id]
	var before any
	if t.Assignee != nil {
		before = strconv.FormatInt(*t.Assignee, 10)
	}
	t.Assignee = &to
	s.changedBy(t, by, "ticket.agent_assignment_changed", []map[string]any{{"type": "Change", "field_name": "assignee_id", "value": strconv.FormatInt(to, 10), "previous_value": before}})
}

// Status closes, solves or opens a ticket.
func (s *Server) Status(by, id int64, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tickets[id]
	before := t.Status
	t.Status = status
	s.changedBy(t, by, "ticket.status_changed", []map[string]any{{"type": "Change", "field_name": "status", "value": status, "previous_value": before}})
}

// Requester points a ticket to another user.
func (s *Server) Requester(by, id, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tickets[id]
	before := t.Requester
	t.Requester = to
	s.changedBy(t, by, "ticket.requester_changed", []map[string]any{{"type": "Change", "field_name": "requester_id", "value": strconv.FormatInt(to, 10), "previous_value": strconv.FormatInt(before, 10)}})
}

// Comment is what somebody writes; as is who it is said to be from.
func (s *Server) Comment(by, id, as int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changedBy(s.tickets[id], by, "ticket.comment_added", []map[string]any{{"type": "Comment", "author_id": as, "public": true, "body": "a text that nobody may keep"}})
}

func (s *Server) stamp() string { return s.now().UTC().Format("2006-01-02T15:04:05Z") }

// changedBy notes an audit and sends the event. s.mu is held.
func (s *Server) changedBy(t *ticket, by int64, kind string, events []map[string]any) {
	t.Updated = s.stamp()
	s.changes++
	t.change = s.changes
	t.audits = append(t.audits, map[string]any{
		"id": len(t.audits) + 1, "ticket_id": t.ID, "created_at": t.Updated, "author_id": by,
		"via": map[string]any{"channel": "web", "source": map[string]any{"from": map[string]any{}, "to": map[string]any{}, "rel": nil}}, "events": events,
	})
	kept := s.changed[:0]
	for _, id := range s.changed {
		if id != t.ID {
			kept = append(kept, id)
		}
	}
	s.changed = append(kept, t.ID)
	if s.hook == "" {
		return
	}
	_, _ = s.deliver(s.Event(t.ID, kind, by)) // Zendesk does not wait for it either
}

// Event is the body of the webhook's message about a ticket as it is now.
func (s *Server) Event(id int64, kind string, by int64) string {
	t := s.tickets[id]
	s.events++
	assignee := ""
	if t.Assignee != nil {
		assignee = strconv.FormatInt(*t.Assignee, 10)
	}
	body, err := json.Marshal(map[string]any{
		"account_id": 12514403, "id": fmt.Sprintf("%08d-df62-4fc1-b4d7-9ee9dd33c3c5", s.events), "subject": fmt.Sprintf("zen:ticket:%d", id),
		"time": s.now().UTC().Format(time.RFC3339Nano), "type": "zen:event-type:" + kind, "zendesk_event_version": "2022-06-20",
		"event": map[string]any{}, "detail": map[string]any{
			"actor_id": strconv.FormatInt(by, 10), "assignee_id": assignee, "brand_id": "1", "created_at": t.Created, "custom_status": "1", "description": "a text that nobody may keep",
			"external_id": nil, "form_id": "1", "group_id": "1", "id": strconv.FormatInt(id, 10), "is_public": true, "organization_id": nil, "priority": nil,
			"requester_id": strconv.FormatInt(t.Requester, 10), "status": strings.ToUpper(t.Status), "subject": t.Subject, "submitter_id": strconv.FormatInt(t.Submitter, 10),
			"tags": []string{}, "type": nil, "updated_at": t.Updated, "via": map[string]any{"channel": "web"},
		},
	})
	if err != nil {
		panic(err) // it is made of texts and numbers
	}
	return string(body)
}

// deliver signs a message and sends it.
func (s *Server) deliver(body string) (int, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.hook, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, err
	}
	stamp := s.stamp()
	request.Header.Set("X-Zendesk-Webhook-Signature", Sign(stamp, body))
	request.Header.Set("X-Zendesk-Webhook-Signature-Timestamp", stamp)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// Sign is the documented signature: base64(HMACSHA256(TIMESTAMP + BODY)).
func Sign(stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write([]byte(stamp + body))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Server) ticket(w http.ResponseWriter, r *http.Request) {
	t := s.tickets[number(strings.TrimSuffix(r.PathValue("file"), ".json"))]
	if t == nil {
		notFound(w)
		return
	}
	answer(w, map[string]any{"ticket": t})
}

func (s *Server) user(w http.ResponseWriter, r *http.Request) {
	id := number(strings.TrimSuffix(r.PathValue("file"), ".json"))
	external, ok := s.users[id]
	if !ok {
		notFound(w)
		return
	}
	role := "end-user"
	if s.agents[id] {
		role = "agent"
	}
	answer(w, map[string]any{"user": map[string]any{"id": id, "external_id": external, "name": "a name that nobody may keep", "role": role}})
}

func (s *Server) audits(w http.ResponseWriter, r *http.Request) {
	t := s.tickets[number(r.PathValue("id"))]
	if t == nil {
		notFound(w)
		return
	}
	from := int(number(r.URL.Query().Get("page[after]")))
	to := min(from+s.page, len(t.audits))
	answer(w, map[string]any{
		"audits": t.audits[from:to], "links": map[string]any{"prev": nil, "next": nil},
		"meta": map[string]any{"has_more": to < len(t.audits), "after_cursor": strconv.Itoa(to), "before_cursor": nil},
	})
}

func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("cursor") == "" && r.URL.Query().Get("start_time") == "" {
		http.Error(w, `{"error":"InvalidValue"}`, http.StatusUnprocessableEntity)
		return
	}
	// A cursor names the last change that was read; what has changed since comes, in order.
	from := int(number(r.URL.Query().Get("cursor")))
	all := []*ticket{}
	for _, id := range s.changed {
		if s.tickets[id].change > from {
			all = append(all, s.tickets[id])
		}
	}
	end := len(all) <= s.page
	all = all[:min(len(all), s.page)]
	cursor := from
	for _, t := range all {
		cursor = max(cursor, t.change)
	}
	answer(w, map[string]any{"tickets": all, "after_cursor": strconv.Itoa(cursor), "after_url": s.URL + "/api/v2/incremental/tickets/cursor.json?cursor=" + strconv.Itoa(cursor), "before_cursor": nil, "before_url": nil, "end_of_stream": end})
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func notFound(w http.ResponseWriter) {
	http.Error(w, `{"error":"RecordNotFound","description":"Not found"}`, http.StatusNotFound)
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body) // who asked has gone
}
