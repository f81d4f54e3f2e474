package console

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// TestStreamOutlivesItsRequest: what bounds the reading of a request does not end the stream that answers it.
func TestStreamOutlivesItsRequest(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.Config.ReadTimeout = time.Second
	s := newStageOn(t, web)
	b := s.as("s050")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.web.URL+"/now/stream?after=0", nil)
	fatal(t, err)
	answer, err := b.http.Do(r)
	fatal(t, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for range 2 { // the second one comes after three seconds
		for said := false; !said; said = strings.HasPrefix(lines.Text(), ":") {
			if !lines.Scan() {
				t.Fatalf("the stream ended: %v", lines.Err())
			}
		}
	}
}

// TestStreamSaysWhy: a stream ends with the log-in, and says that it is that.
func TestStreamSaysWhy(t *testing.T) {
	s := newStage(t)
	b := s.as("s050")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.web.URL+"/now/stream?after=0", nil)
	fatal(t, err)
	answer, err := b.http.Do(r)
	fatal(t, err)
	defer answer.Body.Close()
	s.add(DefaultIdle)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if lines.Text() == "data: log in" {
			return
		}
	}
	t.Error("the stream ended without a word")
}

// TestOtherSitesLogNobodyOut: a link elsewhere, with which a browser sends no cookie of ours, takes none away.
func TestOtherSitesLogNobodyOut(t *testing.T) {
	s := newStage(t)
	a := s.stranger().get("/requests").is(t, http.StatusSeeOther)
	if a.header.Get("Set-Cookie") != "" || a.header.Get("Location") != "/login?to=%2Frequests" {
		t.Errorf("%v", a.header)
	}
	b := s.as("s050")
	s.add(DefaultIdle)
	if set := b.get("/requests").is(t, http.StatusSeeOther).header.Get("Set-Cookie"); !strings.Contains(set, "Max-Age=0") {
		t.Errorf("the cookie of what is over stays: %s", set)
	}
}

// TestWayBack: who is refused a form finds the page on which it stands.
func TestWayBack(t *testing.T) {
	s := newStage(t)
	id := s.found("s001")
	b := s.as("s050")
	for path, back := range map[string]string{
		"/findings/" + id + "/lock": "/findings/" + id, "/requests/gr-none/approve": "/requests/gr-none", "/proposals/none/approve": "/requests", "/people": "/people", "/trace/upload": "/trace",
		"/record/access/9/proof": "/record/access/9", "/calls/none/cancel": "/calls", "/links": "/calls",
	} {
		a := b.post(path)
		if a.status < 400 {
			t.Errorf("%s is taken: %d", path, a.status)
		}
		a.has(t, `<a href="`+back+`">Back</a>`)
	}
}

// TestNothingIsTypedTwice: who is refused finds what he had typed.
func TestNothingIsTypedTwice(t *testing.T) {
	s := newStage(t)
	b := s.as("s001")
	b.post("/requests", "customers", "0", "hours", "7", "columns", "support.customers.email", "class", "contact", "only", "48211", "reason", hostile).is(t, http.StatusBadRequest).
		has(t, `value="7"`, `value="support.customers.email"`, `value="contact" checked`, `value="48211"`, "&lt;script&gt;", `role="alert"`)
	b.get("/requests").has(t, `value="4"`)
}

// TestManyFindings: the queue shows those that cost most, and a finding whose case is closed has left it.
func TestManyFindings(t *testing.T) {
	s := newStage(t)
	var first string
	for i := range mostFindings + 7 {
		id := s.found(sallyport.Staff(fmt.Sprintf("s%03d", 100+i)))
		if i == 0 {
			first = id
		}
	}
	b := s.as("s050")
	a := b.get("/findings").is(t, http.StatusOK).has(t, "And 7 that probably cost less", first)
	if n := strings.Count(a.body, "Expected loss"); n != mostFindings || len(a.body) > 100<<10 {
		t.Errorf("%d findings in %d bytes", n, len(a.body))
	}
	b.post("/findings/"+first+"/case", "reason", "r").is(t, http.StatusSeeOther)
	b.post("/cases/1/close", "outcome", "unfounded", "text", "he was on the incident").is(t, http.StatusSeeOther)
	s.as("s060").post("/proposals/"+s.orders.State().Proposals()[0].ID+"/approve").is(t, http.StatusSeeOther)
	if body := b.get("/findings").has(t, "And 6 that", "Decided: their case is closed").body; strings.Index(body, first) < strings.Index(body, "Decided") {
		t.Error("what was decided stands in the queue")
	}
	b.get("/findings/"+first).has(t, "which is closed", "Open a case")
}

// TestClosedAsConfirmed: a case is closed as confirmed on its page, with who did it.
func TestClosedAsConfirmed(t *testing.T) {
	s := newStage(t)
	id := s.found("s001")
	b := s.as("s050")
	b.post("/findings/"+id+"/case", "reason", "r").is(t, http.StatusSeeOther)
	b.get("/cases/1").has(t, `name="guilty" value="`+s.names.Person("s001")+`"`)
	b.post("/cases/1/close", "outcome", "confirmed", "text", "he said so").is(t, http.StatusConflict)
	b.post("/cases/1/close", "outcome", "confirmed", "text", "he said so", "guilty", s.names.Person("s001")).is(t, http.StatusSeeOther)
	s.as("s060").post("/proposals/"+s.orders.State().Proposals()[0].ID+"/approve").is(t, http.StatusSeeOther)
	b.get("/cases/1").has(t, "closed", "confirmed", "approved "+s.orders.State().Proposals()[0].ID)
}

// TestOddRequests sends what browsers do not: nothing of it is done, and nothing of it is a fault of ours.
func TestOddRequests(t *testing.T) {
	s := newStage(t)
	lock := "/findings/" + s.found("s001") + "/lock"
	b := s.as("s050")
	for name, change := range map[string]func(*http.Request){
		"an origin of null":     func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		"the host's other port": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://127.0.0.1:1") },
		"another method":        func(r *http.Request) { r.Method = http.MethodPut },
		"JSON":                  func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
		"plain text":            func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
	} {
		r := b.form(lock, "reason", "r")
		change(r)
		if a := b.do(r); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: answered %d", name, a.status)
		}
	}
	if s.count(sallyport.Locked) != 0 {
		t.Error("somebody is locked")
	}
	for _, path := range []string{"/static/", "/static/../console.go", "/static/%2e%2e/pages/base.html", "/static/..%2fpages%2fbase.html", "/pages/base.html", "/record/access/-1", "/record/access/99999999999999999999", "/cases/0", "/drills/x", "/findings/%00", "/people/" + strings.Repeat("a", 4000)} {
		if a := b.get(path); a.status == http.StatusOK || a.status >= 500 {
			t.Errorf("%s: answered %d", path, a.status)
		}
	}
}

// TestNobodyReadsAboutHimself: whom a finding is about finds neither it, nor its case, nor his own page, by whatever address.
func TestNobodyReadsAboutHimself(t *testing.T) {
	s := newStage(t)
	id := s.found("s060")
	at := s.as("s050").post("/findings/"+id+"/case", "reason", "r").is(t, http.StatusSeeOther).header.Get("Location")
	one, _, _ := strings.Cut(at, "?")
	own := s.as("s060")
	for _, path := range []string{"/findings/" + id, "/findings/s060-1", one, "/people/" + s.names.Person("s060"), "/people/s060"} {
		if a := own.get(path); a.status < 400 {
			t.Errorf("he reads %s", path)
		}
	}
	for _, path := range []string{"/findings/" + id + "/undo", "/findings/" + id + "/unmask", one + "/note", one + "/export"} {
		if a := own.post(path, "reason", "r", "text", "t"); a.status < 400 {
			t.Errorf("he does %s", path)
		}
	}
	if strings.Contains(own.get("/findings").body, id) || strings.Contains(own.get("/now").body, "1 finding") {
		t.Error("the queue tells him")
	}
}
