package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport"
	"sallyport/api"
	"sallyport/assure"
)

// calling is a stage whose people schedule calls and issue links, beside the pages on which customers check and see them.
type calling struct {
	*stage
	public *httptest.Server
	asked  []string
}

// withCalls has a stage schedule calls and issue links.
func withCalls(t *testing.T, calls *assure.Book, links *assure.Links) func(*api.Config) {
	return func(c *api.Config) {
		fatal(t, c.Orders.Fold(calls.Apply))
		fatal(t, c.Orders.Fold(links.Apply))
		c.Calls = &api.Calls{
			Book: calls,
			Reason: func(_ context.Context, who sallyport.Staff, customer sallyport.Subject) (string, bool) {
				return "4711", who == "s001" && customer == "48211"
			},
			Called: func(sallyport.Staff) (string, string) { return "Ada", "billing" },
		}
		c.Links = &api.Links{Book: links, Key: []byte(strings.Repeat("k", 32)), Address: "https://customers.example"}
		c.Classes = map[string]string{"support.customers.email": "contact"}
	}
}

// whole is a stage that has every page.
func whole(t *testing.T, change ...func(*api.Config)) *stage {
	t.Helper()
	return newStage(t, append([]func(*api.Config){withCalls(t, assure.NewBook(), assure.NewLinks()), func(c *api.Config) {
		var err error
		c.Passkeys, err = api.NewPasskeys("https://localhost:6443")
		fatal(t, err)
	}}, change...)...)
}

func newCalling(t *testing.T) *calling {
	t.Helper()
	x := &calling{}
	calls, links := assure.NewBook(), assure.NewLinks()
	x.stage = newStage(t, withCalls(t, calls, links))
	pages, err := NewPublic(PublicConfig{
		Now: x.clock, Texts: fstest.MapFS{}, Points: ContactPoints{Company: "Example Support", Phones: []string{"+49 30 5550100"}},
		Check: func(_ context.Context, code string) (assure.Call, bool) {
			c, ok, err := x.orders.CheckCall(calls, code, x.clock())
			return c, ok && err == nil
		},
		Report: func(api.Report) error { return nil },
		Seen: func(ctx context.Context, link string) ([]api.SeenLine, time.Time, bool) {
			list, until, ok, err := x.console.c.API.Seen(ctx, link)
			return list, until, ok && err == nil
		},
		Ask: func(typed, language string) { x.asked = append(x.asked, typed+" "+language) },
	})
	fatal(t, err)
	x.public = httptest.NewTLSServer(pages)
	t.Cleanup(x.public.Close)
	return x
}

// link makes one on the page, and returns its path.
func (x *calling) link(who, customer, language string) string {
	x.t.Helper()
	a := x.as(who).post("/links", "customer", customer, "days", "3", "language", language, "reason", "he asked").is(x.t, http.StatusOK)
	_, rest, ok := strings.Cut(a.body, `<code id="issued">https://customers.example`)
	path, _, _ := strings.Cut(rest, "<")
	if !ok {
		x.t.Fatal("the page shows no link")
	}
	return path
}

// seen is what the customers' page shows of a path.
func (x *calling) seen(path string) page {
	x.t.Helper()
	b := x.stranger()
	r, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, x.public.URL+path, nil)
	fatal(x.t, err)
	return b.do(r)
}

// TestCustomerSeesWho: a link shows kinds of staff, days and reasons, in two languages, and nothing by which somebody could be made out; it is signed,
// ends by itself and at once where somebody ends it, and every answer to what is no link is the same.
func TestCustomerSeesWho(t *testing.T) {
	x := newCalling(t)
	x.revealed("s001", "48211", "77")
	e := &sallyport.Event{
		Time: x.clock(), Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: "s060", Session: "b"},
		Reveal: &sallyport.Revealed{Statement: 1, Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}},
	}
	e.Reveal.Values.Add(sallyport.RevealedValue{Subject: "48211", Digest: sallyport.Digest{9}})
	_, err := x.access.Append(e)
	fatal(t, err)
	x.as("s001").post("/links", "customer", "48211", "days", "3", "language", "en", "reason", "r").is(t, http.StatusForbidden)
	path := x.link("s050", "48211", "en")
	a := x.seen(path).is(t, http.StatusOK).has(t, "Who has seen your data?", "customer service", "the security team", "because of a request of yours", "no reason on record", "2 March 2026", "how you are reached")
	for _, secret := range []string{"s001", "s060", x.names.Person("s001"), "48211", "4711", "10.0.0.1", "script", "09:00"} {
		if strings.Contains(a.body, secret) && !strings.Contains(path, secret) {
			t.Errorf("the page tells %s", secret)
		}
	}
	if a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cache-Control") != "no-store" {
		t.Error("the address goes on to others")
	}
	x.seen(x.link("s050", "nobody", "de")).has(t, "Niemand hat etwas über Sie gelesen")
	wrong := x.seen("/en/seen/"+strings.Repeat("A", 75)).is(t, http.StatusNotFound).has(t, "This link shows nothing")
	last := path[len(path)-1:]
	for _, bad := range []string{path[:len(path)-1] + map[bool]string{true: "B", false: "A"}[last == "A"], path[:len(path)-2], path + "AA", "/en/seen/x", "/en/seen/" + strings.Repeat("A", 300)} {
		if b := x.seen(bad); b.body != wrong.body || b.status != wrong.status {
			t.Errorf("%q is answered otherwise", bad)
		}
	}
	other := x.link("s050", "48211", "en")
	list, err := x.inside("s050").Links(t.Context())
	fatal(t, err)
	fatal(t, x.inside("s060").EndLink(t.Context(), list[len(list)-1].ID, "sent to the wrong address"))
	if b := x.seen(other); b.body != wrong.body {
		t.Error("a link goes on after its end")
	}
	x.seen(path).is(t, http.StatusOK)
	x.add(3 * 24 * time.Hour)
	if b := x.seen(path); b.body != wrong.body {
		t.Error("a link goes on after its time")
	}
	issued, opened := 0, 0
	fatal(t, x.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.LinkKind && e.Order.Link.Do == assure.IssueLink {
			issued++
		} else if e.Kind == sallyport.LinkKind && e.Order.Link.Do == assure.OpenedLink {
			opened++
		}
		if text, err := json.Marshal(e); err == nil && strings.Contains(string(text), path[len("/en/seen/"):]) {
			t.Error("the record holds what opens a link")
		}
		return nil
	}))
	if issued != 3 || opened != 3 {
		t.Errorf("%d issued and %d opened are on record", issued, opened)
	}
}

func (x *calling) inside(who string) *api.Client {
	x.t.Helper()
	v, err := x.console.c.API.Enter("10.0.0.1:1", who, password)
	fatal(x.t, err)
	return x.console.c.API.Inside(v, "10.0.0.1:1")
}

// TestAnswersElsewhere: whoever types a number reads the same, whatever it is, and one place can ask five times.
func TestAnswersElsewhere(t *testing.T) {
	x := newCalling(t)
	x.web = x.public
	b := x.stranger()
	known := b.post("/en/ask", "known", "CS-4821-7730").is(t, http.StatusOK).has(t, "We say the same here in every case")
	for _, typed := range []string{"", hostile, strings.Repeat("9", 1000), "+49 30 1"} {
		if a := b.post("/en/ask", "known", typed); a.body != known.body {
			t.Errorf("%q is answered otherwise", typed)
		}
	}
	b.post("/en/ask", "known", "1").is(t, http.StatusTooManyRequests)
	if len(x.asked) != 3 {
		t.Errorf("%d were handed over", len(x.asked))
	}
}

// TestTextsOfSeen: every word that the page shows of somebody has its text.
func TestTextsOfSeen(t *testing.T) {
	var en map[string]string
	fatal(t, json.Unmarshal([]byte(readFile(t, "texts/en.json")), &en))
	for _, key := range []string{
		"who_agent", "who_lead", "who_security", "who_technical", "who_program", "who_staff", "why_ticket", "why_call", "why_job", "why_grant", "why_work", "why_none",
		"what_identity", "what_contact", "what_content", "what_reference",
	} {
		if en[key] == "" {
			t.Errorf("there is no text %s", key)
		}
	}
}

// browserCalls has an agent schedule a call on his page, and the customer check it on hers: right now, not before, and not once it was called off.
func browserCalls(t *testing.T, x *browsers) {
	s := newCalling(t)
	agent := x.open(t, s.web.URL, false, 360)
	agent.logIn("s001", password)
	agent.open("/calls")
	agent.do(chromedp.SendKeys("input[name=customer]", "48212"))
	agent.goes(chromedp.Click("form[action='/calls'] button"))
	agent.shows("no open ticket about this customer")
	agent.open("/calls")
	agent.do(chromedp.SendKeys("input[name=customer]", "48211"))
	agent.goes(chromedp.Click("form[action='/calls'] button"))
	agent.shows("The call is on record")
	code, err := chromedp.Run(agent.ctx, chromedp.Evaluate[string]("document.getElementById('made').textContent"))
	fatal(t, err)
	customer := x.open(t, s.public.URL, false, 360)
	check := func() {
		t.Helper()
		customer.open("/en/")
		customer.do(chromedp.SendKeys("#code", code))
		customer.goes(chromedp.Click("form[action='/en/check'] button"))
	}
	check()
	customer.shows("Yes, this is our call", "Ada (billing)", "your request")
	agent.open("/calls")
	agent.shows("the customer asked 1 times")
	if text := agent.text(); strings.Contains(text, code) {
		t.Error("the code is shown twice")
	}
	agent.goes(chromedp.Click("form[action$='/cancel'] button"))
	agent.shows("Called off")
	check()
	customer.shows("We know of no such call", "Hang up")

	lead := x.open(t, s.web.URL, false, 360)
	s.revealed("s001", "48211")
	lead.logIn("s050", password)
	lead.open("/calls")
	lead.do(chromedp.SendKeys("form[action='/links'] input[name=customer]", "48211"), chromedp.SendKeys("form[action='/links'] input[name=reason]", "he asked"))
	lead.goes(chromedp.Click("form[action='/links'] button"))
	link, err := chromedp.Run(lead.ctx, chromedp.Evaluate[string]("document.getElementById('issued').textContent"))
	fatal(t, err)
	customer.open(strings.TrimPrefix(link, "https://customers.example"))
	customer.shows("Who has seen your data?", "customer service")
	lead.quiet()
	customer.quiet()
}
