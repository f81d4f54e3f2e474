package console

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// TestNobodyWithoutLogIn opens every page as nobody.
func TestNobodyWithoutLogIn(t *testing.T) {
	s := newStage(t)
	list := s.everyPage()
	b := s.stranger()
	for _, path := range append(list, "/", "/no-such-page") {
		if a := b.get(path); a.status != http.StatusSeeOther || strings.TrimSuffix(a.header.Get("Location"), "?to="+url.QueryEscape(path)) != "/login" {
			t.Errorf("%s answers nobody: %d", path, a.status)
		}
	}
	for _, path := range []string{"/findings/s001-1/lock", "/record", "/customers", "/trace/upload", "/requests", "/proposals/x/approve"} {
		if a := b.post(path, "reason", "r", "customer", "48211"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/login" {
			t.Errorf("%s does what nobody says: %d", path, a.status)
		}
	}
	if a := b.get("/now/stream"); a.status != http.StatusUnauthorized {
		t.Errorf("the stream answers nobody: %d", a.status)
	}
	if s.count(sallyport.Locked) != 0 {
		t.Error("somebody is locked")
	}
}

// TestSession holds the cookie to what keeps it in one browser, and the session to a new number at each log-in.
func TestSession(t *testing.T) {
	s := newStage(t)
	b := s.stranger()
	r := b.form("/login", "name", "s050", "password", password)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: "of the attacker"})
	a := b.do(r).is(t, http.StatusSeeOther)
	set := a.header.Get("Set-Cookie")
	for _, word := range []string{cookieName + "=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(set, word) {
			t.Errorf("the cookie has no %s: %s", word, set)
		}
	}
	if strings.Contains(set, "of the attacker") || strings.Contains(set, "Domain") {
		t.Errorf("the cookie is not new, or not this host's alone: %s", set)
	}
	attacker := s.stranger()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.web.URL+"/now", nil)
	fatal(t, err)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: "of the attacker"})
	attacker.do(r).is(t, http.StatusSeeOther)

	first := regexp.MustCompile(cookieName + `=([A-Z2-7]+)`).FindStringSubmatch(set)[1]
	again := b.post("/login", "name", "s050", "password", password)
	if strings.Contains(again.header.Get("Set-Cookie"), first) {
		t.Error("the second log-in has the number of the first")
	}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, s.web.URL+"/now", nil)
	fatal(t, err)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: first})
	attacker.do(r).is(t, http.StatusSeeOther) // who logs in anew in the same browser has left the former session
}

// TestSessionEnds ends sessions by time, by a log-out and by a lock, each for good.
func TestSessionEnds(t *testing.T) {
	s := newStage(t)
	b := s.as("s050")
	s.add(DefaultIdle - time.Second)
	b.get("/requests").is(t, http.StatusOK)
	s.add(DefaultIdle - time.Second)
	b.get("/requests").is(t, http.StatusOK)
	s.add(DefaultIdle)
	b.get("/requests").is(t, http.StatusSeeOther)

	b = s.as("s050")
	for range int(longest / (10 * time.Minute)) {
		b.get("/requests")
		s.add(10 * time.Minute)
	}
	b.get("/requests").is(t, http.StatusSeeOther) // used all the time, and over all the same

	b = s.as("s050")
	copied := *b
	b.post("/logout").is(t, http.StatusSeeOther)
	copied.get("/requests").is(t, http.StatusSeeOther)

	b = s.as("s050")
	other := s.as("s051")
	lock := &sallyport.Event{Time: s.clock(), Kind: sallyport.Locked, Order: &sallyport.Order{Action: "lock", By: "s060", About: "s050", Reason: "r"}}
	fatal(t, s.orders.Give(nil, lock))
	b.get("/requests").is(t, http.StatusSeeOther)
	s.stranger().post("/login", "name", "s050", "password", password).is(t, http.StatusForbidden)
	other.get("/requests").is(t, http.StatusOK)
}

// TestPasswords bounds tries, and puts each on record.
func TestPasswords(t *testing.T) {
	s := newStage(t)
	b := s.stranger()
	var last page
	for range 7 {
		last = b.post("/login", "name", "s050", "password", "wrong")
	}
	last.is(t, http.StatusTooManyRequests).has(t, "Too many wrong passwords")
	if n := s.count(sallyport.LogInBad); n < 4 {
		t.Errorf("%d wrong passwords are on record", n)
	}
	b.post("/login", "name", "s050", "password", password).is(t, http.StatusTooManyRequests)
}

// TestOpenPageIsNoProof: whoever sits before an open page cannot confirm who he is without the password.
func TestOpenPageIsNoProof(t *testing.T) {
	s := newStage(t)
	b := s.as("s001")
	b.post("/confirm", "password", "wrong").is(t, http.StatusSeeOther)
	if s.count(sallyport.Confirmed) != 0 {
		t.Fatal("confirmed without the password")
	}
	b = s.as("s001")
	b.post("/confirm", "password", password).is(t, http.StatusSeeOther)
	if s.count(sallyport.Confirmed) != 1 {
		t.Error("not confirmed with the password")
	}
}

// TestHeaders holds every answer to what keeps a page to itself.
func TestHeaders(t *testing.T) {
	s := newStage(t)
	list := append(s.everyPage(), "/login", "/static/style.css", "/no-such-page")
	b := s.as("s050")
	for _, path := range list {
		h := b.get(path).header
		for name, value := range map[string]string{
			"Content-Security-Policy": staffPolicy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000",
		} {
			if h.Get(name) != value {
				t.Errorf("%s has %s %q", path, name, h.Get(name))
			}
		}
		if cached := h.Get("Cache-Control"); cached != "no-store" && !strings.HasPrefix(path, "/static/") {
			t.Errorf("%s may be kept: %s", path, cached)
		}
	}
	if strings.Contains(staffPolicy, "unsafe") || !strings.Contains(staffPolicy, "default-src 'none'") {
		t.Error("the policy lets something inline in")
	}
}

// TestNothingInline finds scripts and styles within pages.
func TestNothingInline(t *testing.T) {
	s := newStage(t)
	list := append(s.everyPage(), "/login")
	b := s.as("s050")
	for _, bad := range []*regexp.Regexp{
		regexp.MustCompile(`(?i)<script(?: [^>]*)?>[^<]`), regexp.MustCompile(`(?i)<style`), regexp.MustCompile(`(?i)<[^>"]*(?:"[^"]*"[^>"]*)* style=`), regexp.MustCompile(`(?i)<[^>"]*(?:"[^"]*"[^>"]*)* on[a-z]+=`), regexp.MustCompile(`javascript:`),
	} {
		for _, path := range list {
			if at := bad.FindString(b.get(path).body); at != "" {
				t.Errorf("%s has %q", path, at)
			}
		}
	}
}

// TestHostileNames shows every page with names, reasons and applications that are scripts.
func TestHostileNames(t *testing.T) {
	s := newStage(t)
	list := s.everyPage()
	b := s.as("s050")
	seen := 0
	for _, path := range list {
		body := b.get(path).body
		if strings.Contains(body, "<script>") || strings.Contains(body, `"x"`) {
			t.Errorf("%s passes a script on:\n%s", path, body)
		}
		if strings.Contains(body, "&lt;script&gt;") {
			seen++
		}
	}
	b.post("/customers", "customer", hostile).is(t, http.StatusOK).has(t, "&lt;script&gt;")
	b.post("/record", "stream", "access", "kind", "<script>").is(t, http.StatusOK).has(t, "&lt;script&gt;")
	if seen < 6 {
		t.Errorf("only %d pages show the name at all", seen)
	}
}

// TestOtherSites sends orders as another site would have a browser send them.
func TestOtherSites(t *testing.T) {
	s := newStage(t)
	lock := "/findings/" + s.found("s001") + "/lock"
	b := s.as("s050")
	for _, change := range []func(http.Header){
		func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "https://evil.example") },
	} {
		r := b.form(lock, "reason", "r")
		change(r.Header)
		b.do(r).is(t, http.StatusForbidden)
	}
	if s.count(sallyport.Locked) != 0 {
		t.Fatal("another site locked somebody")
	}
	b.post(lock, "reason", "r").is(t, http.StatusSeeOther)
	if s.count(sallyport.Locked) != 1 {
		t.Error("the page itself cannot lock")
	}
}

// TestUploadsAreBounded sends more than a page takes.
func TestUploadsAreBounded(t *testing.T) {
	s := newStage(t)
	b := s.as("s050")
	b.post("/requests", "reason", strings.Repeat("a", mostBody)).is(t, http.StatusRequestEntityTooLarge)
	b.post("/trace/upload", "reports", strings.Repeat("a", mostUpload)).is(t, http.StatusRequestEntityTooLarge)
	b.post("/trace/upload", "reports", strings.Repeat("1\n", mostPasted+1)).is(t, http.StatusBadRequest)
	if len(*s.reports) != 0 {
		t.Error("some were taken")
	}
	s.stranger().post("/login", "name", "s050", "password", strings.Repeat("a", mostBody)).is(t, http.StatusRequestEntityTooLarge)
}

// TestNoValuesInAddresses: what is searched for stands in no address, neither of a page nor of where it leads.
func TestNoValuesInAddresses(t *testing.T) {
	s := newStage(t)
	s.everyPage()
	b := s.as("s050")
	for _, a := range []page{
		b.post("/customers", "customer", "48211").is(t, http.StatusOK), b.post("/record", "stream", "access", "customer", "48211").is(t, http.StatusOK),
		b.post("/trace/upload", "reports", "48211,name").is(t, http.StatusSeeOther), b.get("/trace").is(t, http.StatusOK),
	} {
		if strings.Contains(a.header.Get("Location"), "48211") {
			t.Errorf("leads to %s", a.header.Get("Location"))
		}
		for _, m := range regexp.MustCompile(`(?:href|action|src)="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
			if strings.Contains(m[1], "48211") {
				t.Errorf("a link holds the customer: %s", m[1])
			}
		}
	}
	for _, path := range []string{"/customers?customer=48211", "/record?customer=48211"} { // an address is no search
		before := len(s.asked("s050"))
		if body := b.get(path).body; strings.Contains(body, "48211") {
			t.Errorf("%s answers:\n%s", path, body)
		}
		if path == "/customers?customer=48211" && len(s.asked("s050")) != before {
			t.Error("the address asked something")
		}
	}
}

// TestReadsAreRecorded opens what investigators read, and looks for it in the record.
func TestReadsAreRecorded(t *testing.T) {
	s := newStage(t)
	list := s.everyPage()
	b := s.as("s060")
	for _, path := range list {
		b.get(path).is(t, http.StatusOK)
	}
	b.post("/customers", "customer", "48211")
	b.post("/record/access/1/proof").has(t, "stands in the ledger")
	got := s.asked("s060")
	for _, want := range []string{"now", "findings", "case", "cases", "case_timeline", "record", "entry", "who_saw", "proof", "trace", "reports", "people", "person"} {
		if !slices.Contains(got, want) {
			t.Errorf("that s060 read %s is not on record: %v", want, got)
		}
	}
	before := len(got)
	for range 5 {
		b.get("/now/part").is(t, http.StatusOK)
	}
	if n := len(s.asked("s060")); n != before {
		t.Errorf("an open page makes %d entries", n-before)
	}
	s.add(time.Minute)
	s.as("s060").get("/now")
	if n := len(s.asked("s060")); n != before+1 {
		t.Error("a new session makes none")
	}
}

// TestRights asks every page as somebody whom policies let do nothing: the api refuses, not the menu.
func TestRights(t *testing.T) {
	s := newStage(t)
	list := s.everyPage()
	agent := s.as("s001")
	for _, path := range list {
		status := http.StatusForbidden
		if strings.HasPrefix(path, "/requests") || path == "/confirm" || path == "/customers" || path == "/programme" || path == "/programme/reviews" || path == "/programme/documents" || path == "/training" { // an empty form, or what is his own
			status = http.StatusOK
		}
		agent.get(path).is(t, status)
	}
	agent.post("/findings/s001-1/lock", "reason", "r").is(t, http.StatusForbidden)
	agent.post("/customers", "customer", "1").is(t, http.StatusForbidden)
	agent.post("/trace/upload", "reports", "1").is(t, http.StatusForbidden)
	if strings.Contains(agent.get("/requests").body, "/findings") {
		t.Error("the menu offers what he may not do")
	}
	agent.post("/programme/assets", "days", "90").is(t, http.StatusForbidden)
	if n := len(slices.DeleteFunc(s.asked("s001"), func(what string) bool { return what == "reviews" || what == "training" })); n != 0 { // his people's reviews, of whom there are none; his own lessons
		t.Errorf("%d of his questions were answered", n)
	}
}

// TestLeadsTo: a log-in leads to a page of ours, whatever an address or a form says.
func TestLeadsTo(t *testing.T) {
	s := newStage(t)
	b := s.stranger()
	b.get("/confirm").is(t, http.StatusSeeOther)
	b.get("/requests/gr-abc?x=y").is(t, http.StatusSeeOther)
	for to, want := range map[string]string{
		"/confirm": "/confirm", "/requests/gr-abc": "/requests/gr-abc", "": "/", "//evil.test": "/", "https://evil.test": "/", "now": "/", "/confirm/../x": "/", "/now/stream": "/", "/data/part": "/", "/\\evil.test": "/", "/logout": "/",
		"/requests//evil.test": "/", "/now?to=x": "/", "/now\n": "/", "/now\r\nSet-Cookie: a=b": "/", "/nowhere": "/", "/people/..": "/",
	} {
		if at := s.stranger().post("/login", "name", "s050", "password", password, "to", to).header.Get("Location"); at != want {
			t.Errorf("%q leads to %q", to, at)
		}
	}
}
