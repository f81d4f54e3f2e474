package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/assure"
)

// newPublic is the customers' pages with a call that is to be made right now, one that is not yet, and one that was called off.
func newPublic(t *testing.T) (s *stage, now, later, off string, reports *[]api.Report) {
	t.Helper()
	return newPublicOf(t, hostile)
}

// newPublicOf is newPublic where somebody of that name calls.
func newPublicOf(t *testing.T, name string) (s *stage, now, later, off string, reports *[]api.Report) {
	t.Helper()
	s = &stage{t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	book := assure.NewBook()
	schedule := func(id string, from time.Time) string {
		code := assure.Code([8]byte{7, 6, 5, 4, 3, 2, 1, id[0]})
		d, _ := assure.Digest(code)
		a := &sallyport.AssuredCall{ID: id, Do: assure.Schedule, Customer: "48211", Code: d[:], From: from, Until: from.Add(time.Hour), Caller: "s001", Name: name, Team: "billing", About: "invoice", Reason: "ticket:4711"}
		fatal(t, book.CheckSchedule(a, s.now))
		book.Apply(&sallyport.Event{Time: s.now, Kind: sallyport.AssuredKind, Order: &sallyport.Order{Assured: a}})
		return code
	}
	now, later, off = schedule("a", s.now), schedule("b", s.now.Add(3*time.Hour)), schedule("c", s.now)
	book.Apply(&sallyport.Event{Time: s.now, Kind: sallyport.AssuredKind, Order: &sallyport.Order{Assured: &sallyport.AssuredCall{ID: "c", Do: assure.Cancel}}})
	reports = &[]api.Report{}
	pages, err := NewPublic(PublicConfig{
		Now: s.clock, Texts: fstest.MapFS{"fr.json": {Data: []byte(`{"language": "Français", "title": "Est-ce vraiment nous ?"}`)}},
		Points: ContactPoints{Company: "Example Support", Phones: []string{"+49 30 5550100"}, Mails: []string{"help@example.org", "desk@partner.example"}, Domains: []string{"example.org"}},
		Check:  func(_ context.Context, code string) (assure.Call, bool) { return book.Now(code, s.clock()) },
		Report: func(r api.Report) error { *reports = append(*reports, r); return nil },
	})
	fatal(t, err)
	s.web = httptest.NewTLSServer(pages)
	t.Cleanup(s.web.Close)
	return s, now, later, off, reports
}

// TestCustomerChecksACall: who has the code of a call that is to be made now learns by whom and about what; everybody else reads the same words, whatever
// he typed.
func TestCustomerChecksACall(t *testing.T) {
	s, now, later, off, _ := newPublic(t)
	b := s.stranger()
	b.post("/en/check", "code", strings.ToLower(now)).is(t, http.StatusOK).has(t, "Yes, this is our call", "billing", "an invoice", "&lt;script&gt;")
	b.post("/de/check", "code", now).has(t, "Ja, das ist unser Anruf", "eine Rechnung")
	for _, secret := range []string{"48211", "s001", "4711"} {
		if strings.Contains(b.post("/en/check", "code", now).body, secret) {
			t.Errorf("the page tells %s", secret)
		}
	}
	wrong := b.post("/en/check", "code", "AAAA-AAAA-AAAA").is(t, http.StatusOK).has(t, "We know of no such call", "Hang up", "+49 30 5550100")
	for _, typed := range []string{later, off, "", "+49 30 1234567", "CS-4821-7730", "48211", now[:13], strings.Repeat("A", 1000)} {
		if a := b.post("/en/check", "code", typed); a.body != wrong.body || a.status != wrong.status {
			t.Errorf("%q is answered otherwise than a wrong code", typed)
		}
	}
	s.add(2 * time.Hour)
	if b.post("/en/check", "code", now).body != wrong.body {
		t.Error("a code holds beyond its time")
	}
}

// TestCustomersAreBounded: one place can ask so often, whether it is right or wrong.
func TestCustomersAreBounded(t *testing.T) {
	s, now, _, _, reports := newPublic(t)
	b := s.stranger()
	for range 20 {
		b.post("/en/check", "code", "AAAA-AAAA-AAAA").is(t, http.StatusOK)
	}
	b.post("/en/check", "code", "AAAA-AAAA-AAAA").is(t, http.StatusTooManyRequests)
	b.post("/en/check", "code", now).is(t, http.StatusTooManyRequests).has(t, "+49 30 5550100")
	for range 5 {
		b.post("/en/report", "customer", "48211", "day", "2026-03-01", "channel", "call").is(t, http.StatusOK)
	}
	b.post("/en/report", "customer", "48211", "day", "2026-03-01", "channel", "call").is(t, http.StatusTooManyRequests)
	if len(*reports) != 5 {
		t.Errorf("%d reports", len(*reports))
	}
	s.add(time.Hour)
	b.post("/en/check", "code", "AAAA-AAAA-AAAA").is(t, http.StatusOK)
}

// TestCustomerReports: the form takes little, thanks everybody alike, and keeps no word of what a customer writes.
func TestCustomerReports(t *testing.T) {
	s, _, _, _, reports := newPublic(t)
	b := s.stranger()
	known := b.post("/en/report", "customer", "48211", "day", "2026-03-01", "channel", "call", "knew", "ticket", "knew", "name").is(t, http.StatusOK).has(t, "Thank you", "Call your bank")
	if unknown := b.post("/en/report", "customer", "no such", "day", "2026-03-01", "channel", "call"); unknown.body != known.body {
		t.Error("the answer tells who is a customer")
	}
	for _, bad := range [][]string{{"customer", "", "day", "2026-03-01"}, {"customer", "1", "day", "yesterday"}, {"customer", "1", "day", "1980-01-01"}, {"customer", "1", "day", "2026-03-01", "knew", "my shoe size"}, {"customer", "1", "day", "2026-03-01", "channel", "pigeon"}} {
		b.post("/en/report", bad...).is(t, http.StatusBadRequest).has(t, "Something is missing")
	}
	if len(*reports) != 2 || (*reports)[0].Customer != "48211" || strings.Join((*reports)[0].Quoted, "+") != "ticket+name" || !(*reports)[0].Time.Equal(time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("%+v", *reports)
	}
}

// TestCustomersFindTheirWay: a form that is not taken keeps what was filled in, another language shows the same page, and an address that is none leads on.
func TestCustomersFindTheirWay(t *testing.T) {
	s, _, _, _, reports := newPublic(t)
	b := s.stranger()
	b.post("/en/report", "customer", "48211", "day", "soon", "channel", "sms", "knew", "ticket").is(t, http.StatusBadRequest).has(t, `value="48211"`, `value="sms" selected`, `value="ticket" checked`)
	b.post("/en/report", "customer", hostile, "day", hostile, "knew", hostile).is(t, http.StatusBadRequest).has(t, "&lt;script&gt;")
	if len(*reports) != 0 {
		t.Error("something was taken")
	}
	b.get("/en/report").has(t, `href="/de/report"`)
	b.get("/en/nowhere").is(t, http.StatusNotFound).has(t, "There is no such page", "+49 30 5550100")
	b.get("/wp-login.php?"+hostile[:8]).is(t, http.StatusNotFound)
	b.get("/de").is(t, http.StatusSeeOther)
	b.get("/api/nothing").is(t, http.StatusNotFound).has(t, `"detail"`)
	for _, form := range []string{"check", "ours"} {
		if to := b.get("/de/"+form).is(t, http.StatusSeeOther).header.Get("Location"); to != "/de/" {
			t.Errorf("%s loaded anew leads to %s", form, to)
		}
	}
}

// TestContactPoints: everybody may know these, people and programs.
func TestContactPoints(t *testing.T) {
	s, _, _, _, _ := newPublic(t)
	b := s.stranger()
	b.get("/en/contacts").is(t, http.StatusOK).has(t, "+49 30 5550100", "example.org")
	var points ContactPoints
	fatal(t, json.Unmarshal([]byte(b.get("/.well-known/contact-points.json").is(t, http.StatusOK).body), &points))
	for sender, want := range map[string]bool{
		"help@example.org": true, "HELP@mail.example.org": true, "https://www.example.org/a": true, "0049 30 5550100": true, "+49 (30) 555-0100": true,
		"help@example.org.evil.test": false, "evilexample.org": false, "+49 30 5550101": false, "example.org@evil.test": false, "https://evil.test/example.org": false, "": false,
		// What a browser takes elsewhere than it reads.
		"https://evil.test?@example.org": false, "https://evil.test#@example.org": false, "evil.test/@example.org": false, `https://evil.test\@example.org`: false, "evil.test?x@example.org": false,
		"https://example.org@evil.test/": false, "https://x@example.org/": false, "javascript://example.org/%0aalert(1)": false, "https://example.org.evil.test": false, "https://evil.test%2f.example.org": false,
		"help@example.org <x@evil.test>": false, `"x@example.org"@evil.test`: false, "x@evil.test, y@example.org": false, "https:/evil.test/@example.org": false, "ex\u0430mple.org": false,
		"Example Support <help@example.org>": true, "https://example.org:443/a?b=c@evil.test": true, "www.example.org/login": true, "example.org.": true, "mailto:help@example.org": true, "desk@partner.example": true, "other@partner.example": false,
		"030 5550100": true, "+49 (0)30 5550100": true, "030/555 01 00": true, "030 5550101": false, "0555 0100": false, "5550100": false, "00495550100": false, "+30 5550100": false,
	} {
		if points.Has(sender) != want {
			t.Errorf("%q: %v", sender, !want)
		}
	}
	b.post("/en/ours", "sender", "x@evil.test").has(t, "is not one of ours")
	b.post("/en/ours", "sender", hostile).has(t, "&lt;script&gt;")
}

// TestCustomersSeeNoStaff: nothing of the pages for the staff is on this listener, and no cookie.
func TestCustomersSeeNoStaff(t *testing.T) {
	s, _, _, _, _ := newPublic(t)
	b := s.stranger()
	for _, path := range []string{"/now", "/login", "/findings", "/record", "/requests", "/static/live.js", "/v1/status", "/now/stream"} {
		b.get(path).is(t, http.StatusNotFound)
	}
	for _, path := range []string{"/en/", "/de/", "/fr/", "/en/report", "/en/contacts"} {
		a := b.get(path).is(t, http.StatusOK)
		if a.header.Get("Set-Cookie") != "" || strings.Contains(a.body, "<script") || a.header.Get("Content-Security-Policy") != publicPolicy || strings.Contains(publicPolicy, "script") {
			t.Errorf("%s sets a cookie or lets a script in", path)
		}
	}
	r := b.form("/en/report", "customer", "1", "day", "2026-03-01")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	b.do(r).is(t, http.StatusForbidden)
}

// TestTexts: both languages say everything, files can add others, and browsers get the one that they ask for.
func TestTexts(t *testing.T) {
	s, _, _, _, _ := newPublic(t)
	var en, de map[string]string
	fatal(t, json.Unmarshal([]byte(readFile(t, "texts/en.json")), &en))
	fatal(t, json.Unmarshal([]byte(readFile(t, "texts/de.json")), &de))
	for key, text := range en {
		if de[key] == "" || strings.Count(de[key], "%s") != strings.Count(text, "%s") {
			t.Errorf("German has no %s", key)
		}
	}
	for _, m := range regexp.MustCompile(`\.T "([a-z_0-9]+)"`).FindAllStringSubmatch(readFile(t, "public/public.html"), -1) {
		if en[m[1]] == "" {
			t.Errorf("there is no text %s", m[1])
		}
	}
	for _, topic := range assure.Topics() {
		if en["about_"+topic] == "" {
			t.Errorf("nothing says what %s is", topic)
		}
	}
	for _, text := range []string{`{"yes_text": "%s"}`, `{"title": "%s"}`, `{"yes_text": "%d %d %d %d"}`} {
		if _, err := NewPublic(PublicConfig{
			Now: s.clock, Texts: fstest.MapFS{"fr.json": {Data: []byte(text)}}, Points: ContactPoints{Company: "c"}, Report: func(api.Report) error { return nil },
			Check: func(context.Context, string) (c assure.Call, ok bool) { return c, ok },
		}); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	b := s.stranger()
	b.get("/fr/").has(t, "Est-ce vraiment nous ?", `lang="fr"`, "Check the call")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.web.URL+"/", nil)
	fatal(t, err)
	r.Header.Set("Accept-Language", "da, de-AT;q=0.8, en")
	if to := b.do(r).header.Get("Location"); to != "/de/" {
		t.Errorf("leads to %s", to)
	}
}

// TestCustomersAPI is the same for programs.
func TestCustomersAPI(t *testing.T) {
	s, now, later, _, reports := newPublic(t)
	b := s.stranger()
	ask := func(path, text string) page {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.web.URL+path, strings.NewReader(text))
		fatal(t, err)
		return b.do(r)
	}
	ask("/api/check", `{"code":"`+now+`"}`).is(t, http.StatusOK).has(t, `"ours":true`, `"about":"invoice"`)
	if ask("/api/check", `{"code":"`+later+`"}`).body != ask("/api/check", `{"code":"x"}`).body {
		t.Error("two answers differ")
	}
	ask("/api/check", `nonsense`).is(t, http.StatusBadRequest).has(t, `"detail"`)
	ask("/api/report", `{"customer":"48211","day":"2026-03-01T00:00:00Z","channel":"sms","knew":["name"]}`).is(t, http.StatusOK)
	ask("/api/report", `{"customer":"48211"}`).is(t, http.StatusBadRequest)
	if len(*reports) != 1 {
		t.Errorf("%d reports", len(*reports))
	}
}

// TestCustomersPagesAreReadable holds them to what the pages for the staff are held to.
func TestCustomersPagesAreReadable(t *testing.T) {
	s, now, _, _, _ := newPublic(t)
	b := s.stranger()
	for name, a := range map[string]page{
		"check": b.get("/en/"), "report": b.get("/de/report"), "contacts": b.get("/en/contacts"), "yes": b.post("/en/check", "code", now), "no": b.post("/en/check", "code", "x"),
		"thanks": b.post("/en/report", "customer", "1", "day", "2026-03-01"), "ours": b.post("/en/ours", "sender", "example.org"),
	} {
		readable(t, name, a.body)
	}
}
