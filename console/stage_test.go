package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/history"
	"sallyport/program/training"
	"sallyport/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// password of everybody in these tests.
const password = "correct horse"

// hostile is what people are called here: whoever picks his own name may try a script with it.
const hostile = `<script>alert("x")</script>' onload=alert(1) "`

// stage is a console on real streams, over TLS. Agent s001, leads s050 and s051, security s060.
type stage struct {
	t       *testing.T
	web     *httptest.Server
	console *Console
	access  *record.Stream
	control *record.Stream
	orders  *api.Orders
	names   *history.Names
	reports *[]api.Report
	learnt  *training.Book

	mu  sync.Mutex // guards now
	now time.Time
}

func (s *stage) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *stage) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// cheap hashes a password with little work: what it costs is no matter here.
func cheap(password string) api.PasswordHash {
	salt, b64 := []byte("salt of the test"), base64.RawStdEncoding
	return api.PasswordHash("$argon2id$v=19$m=64,t=1,p=1$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)))
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStage(t *testing.T, change ...func(*api.Config)) *stage {
	t.Helper()
	return newStageOn(t, httptest.NewUnstartedServer(nil), change...)
}

// newStageOn is newStage behind a listener that is known before.
func newStageOn(t *testing.T, web *httptest.Server, change ...func(*api.Config)) *stage {
	t.Helper()
	s := &stage{web: web, t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), reports: &[]api.Report{}}
	dir := t.TempDir()
	open := func(name string) *record.Stream {
		stream, err := record.Open(filepath.Join(dir, name), record.Options{SegmentBytes: 1 << 20, Now: s.clock})
		fatal(t, err)
		t.Cleanup(func() { fatal(t, stream.Close()) })
		return stream
	}
	s.access, s.control = open("access"), open("control")
	state := control.NewState()
	var err error
	s.orders, err = api.NewOrders(s.control, state)
	fatal(t, err)
	book := cases.NewBook()
	s.learnt = training.NewBook()
	for _, fold := range []func(*sallyport.Event){book.Apply, s.learnt.Apply} {
		fatal(t, s.orders.Fold(fold))
	}
	names, err := history.NewNames([]byte("a key that is known to the tests"))
	fatal(t, err)
	s.names = names
	hash := cheap(password)
	var reporting sync.Mutex
	c := api.Config{
		People: map[sallyport.Staff]api.Person{
			"s001": {Role: "agent", Password: hash}, "s050": {Role: "lead", Password: hash}, "s051": {Role: "lead", Password: hash}, "s060": {Role: "security", Password: hash},
		},
		Access: s.access, Orders: s.orders, Now: s.clock, Names: names, Desk: theDesk(),
		Named: func(sallyport.Staff) string { return hostile },
		Cases: &api.Cases{Book: book, Control: s.control, Pack: func(context.Context, *cases.Case, control.Proposal, sallyport.Staff) ([]byte, error) {
			return []byte("PK pack"), nil
		}},
		Prove: proven, Program: s.programme(),
		Reports: &api.Reports{
			List: func() ([]api.Report, error) {
				reporting.Lock()
				defer reporting.Unlock()
				return slices.Clone(*s.reports), nil
			},
			Take: func(by sallyport.Staff, r api.Report) (string, error) {
				reporting.Lock() // an open page asks, too
				defer reporting.Unlock()
				r.ID, r.State, r.Source, r.Arrived = fmt.Sprint(len(*s.reports)+1), api.ReportOpen, api.EnteredBy+string(by), s.clock()
				*s.reports = append(*s.reports, r)
				return r.ID, nil
			},
			Trace: func(context.Context, sallyport.Staff, time.Time, func(sallyport.Staff) string) (json.RawMessage, error) {
				return json.RawMessage(`{"reports":0,"verdict":"not_enough","suspects":[{"staff":["p-aaaaaaaaaa"],"posterior":0.4}],"none":0.5,"more_reports_needed":7,"ask_next":["48211"],"calm":12,"since":"2026-01-01T00:00:00Z"}`), nil
			},
		},
	}
	shows(&c, s.clock)
	for _, f := range change {
		f(&c)
	}
	server, err := api.New(c)
	fatal(t, err)
	s.console, err = New(Config{API: server, Now: s.clock, Address: "https://" + s.web.Listener.Addr().String()})
	fatal(t, err)
	t.Cleanup(s.console.Close)
	s.web.Config.Handler = s.console
	s.web.StartTLS()
	t.Cleanup(s.web.Close)
	return s
}

// theDesk is one by whose rule two leads or security approve.
func theDesk() *api.Desk {
	person := func(who sallyport.Staff) string { return "person of " + string(who) }
	return &api.Desk{
		Complete: func(_ context.Context, by sallyport.Staff, t *sallyport.GrantTerms, classes []string) error {
			t.Person, t.Usual = person(by), sallyport.Usual{Median: 2, Most: 3, Days: 4}
			if len(classes) > 0 {
				t.Columns = append(t.Columns, "support.customers.phone")
			}
			return nil
		},
		Fit: func(t *sallyport.GrantTerms) error {
			t.Rule, t.Needs = "small", [][]sallyport.Need{{{Of: 2, From: "overseers"}}}
			return nil
		},
		Vote: func(by sallyport.Staff, _ *control.Grant) sallyport.GrantVote {
			v := sallyport.GrantVote{Person: person(by)}
			if by != "s001" {
				v.Groups = []string{"overseers"}
			}
			return v
		},
		Service: func(sallyport.Staff) bool { return false },
		Use: func(context.Context, *control.Grant) (sallyport.GrantUse, error) {
			return sallyport.GrantUse{Customers: 1}, nil
		},
		Tell: func(string, *control.Grant) {},
	}
}

// revealed puts on record that somebody was shown customers.
func (s *stage) revealed(who sallyport.Staff, customers ...sallyport.Subject) {
	s.t.Helper()
	column := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	e := &sallyport.Event{
		Time: s.clock(), Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who, Login: string(who), Session: "a", Application: hostile, Address: "10.0.0.1:5"},
		Reveal: &sallyport.Revealed{Statement: 1, Columns: []sallyport.Column{column}, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "4711"}}},
	}
	for i, c := range customers {
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: c, Digest: sallyport.Digest{byte(i + 1)}})
	}
	_, err := s.access.Append(e)
	fatal(s.t, err)
}

// found puts a finding about somebody on record, and says what it is called to who may not know him by name.
func (s *stage) found(who sallyport.Staff) (id string) {
	s.t.Helper()
	id = string(who) + "-1"
	f := detect.Finding{
		Time: s.clock(), ID: id, Kind: "unexplained_breadth", Staff: []sallyport.Staff{who}, Type: detect.Malicious, Probabilities: map[string]float64{detect.Malicious: 0.8, detect.Benign: 0.1},
		Log10Odds: 2.5, Evidence: []detect.Evidence{{Source: "prior", Text: "one in 1,000", Log10: -3}, {Source: "unexplained_breadth", Text: hostile, Log10: 5.5}}, SubjectsExposed: 321, Since: s.clock(), SinceLow: s.clock().Add(-time.Hour), SinceHigh: s.clock(), Action: "lock",
	}
	text, err := json.Marshal(f)
	fatal(s.t, err)
	fatal(s.t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: sallyport.FindingKind, Order: &sallyport.Order{ID: id, About: who, Finding: text}}))
	return api.Pseudonymous(id, who, s.names.Person(who))
}

// browser is one browser, which follows no redirect by itself.
type browser struct {
	s    *stage
	http *http.Client
}

func (s *stage) stranger() *browser {
	jar, err := cookiejar.New(nil)
	fatal(s.t, err)
	client := s.web.Client()
	own := &http.Client{Transport: client.Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.t.Cleanup(own.CloseIdleConnections)
	return &browser{s, own}
}

// as is a browser in which somebody is logged in.
func (s *stage) as(who string) *browser {
	s.t.Helper()
	b := s.stranger()
	a := b.post("/login", "name", who, "password", password)
	if a.status != http.StatusSeeOther {
		s.t.Fatalf("%s could not log in: %d %s", who, a.status, a.body)
	}
	return b
}

// page is an answer.
type page struct {
	status int
	header http.Header
	body   string
}

func (p page) has(t *testing.T, words ...string) page {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(p.body, w) && !strings.Contains(html.UnescapeString(p.body), w) {
			t.Errorf("the page has no %q:\n%s", w, p.body)
		}
	}
	return p
}

func (p page) is(t *testing.T, status int) page {
	t.Helper()
	if p.status != status {
		t.Errorf("answered %d, want %d (%s)", p.status, status, p.body)
	}
	return p
}

func (b *browser) do(r *http.Request) page {
	b.s.t.Helper()
	answer, err := b.http.Do(r)
	fatal(b.s.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fatal(b.s.t, err)
	return page{answer.StatusCode, answer.Header, string(body)}
}

func (b *browser) get(path string) page {
	b.s.t.Helper()
	r, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodGet, b.s.web.URL+path, nil)
	fatal(b.s.t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

func (b *browser) form(path string, fields ...string) *http.Request {
	b.s.t.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodPost, b.s.web.URL+path, strings.NewReader(v.Encode()))
	fatal(b.s.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", b.s.web.URL)
	return r
}

func (b *browser) post(path string, fields ...string) page {
	b.s.t.Helper()
	return b.do(b.form(path, fields...))
}

// asked are the actions of entries that say that somebody read the record.
func (s *stage) asked(by sallyport.Staff) (list []string) {
	s.t.Helper()
	fatal(s.t, s.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.Queried && e.Order.By == by {
			list = append(list, e.Order.Action)
		}
		return nil
	}))
	return list
}

// count is how many entries of a kind there are.
func (s *stage) count(kind sallyport.EventKind) (n int) {
	s.t.Helper()
	fatal(s.t, s.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == kind {
			n++
		}
		return nil
	}))
	return n
}

// everyPage are those that can be opened by their address, once the stage was filled.
func (s *stage) everyPage() []string {
	s.t.Helper()
	s.revealed("s001", "48211", "48212")
	id := s.found("s001")
	g := s.as("s001").post("/requests", "customers", "5", "hours", "1", "columns", "support.customers.email", "reason", hostile).is(s.t, http.StatusSeeOther)
	request, _, _ := strings.Cut(g.header.Get("Location"), "?")
	c := s.as("s050").post("/findings/"+id+"/case", "reason", hostile).is(s.t, http.StatusSeeOther)
	one, _, _ := strings.Cut(c.header.Get("Location"), "?")
	return append(programmePages(), "/now", "/now/part", "/requests", request, "/findings", "/findings/"+id, one, "/record", "/record/access/1", "/customers", "/trace", "/people", "/people/"+s.names.Person("s001"), "/data", "/policies", "/drills", "/drills/7", "/training", "/confirm")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	fatal(t, err)
	return string(b)
}
