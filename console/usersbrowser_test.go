package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sallyport"
)

// TestBrowserUsers tries in a real Chromium what people do who come by a link, leave a page open, or have no script.
func TestBrowserUsers(t *testing.T) {
	x := &browsers{t: t}
	x.start(false)
	for name, try := range map[string]func(*testing.T, *browsers){
		"by a link": browserByALink, "left open": browserLeftOpen, "hidden": browserHidden, "no script": browserNoScript, "customers without script": browserCustomersNoScript,
	} {
		t.Run(name, func(t *testing.T) { try(t, x) })
	}
}

// noScript turns scripts of pages off in a tab.
func (b *tab) noScript() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	fatal(b.t, err)
}

// at is where the browser is.
func (b *tab) at() string {
	b.t.Helper()
	path, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.pathname"))
	fatal(b.t, err)
	return path
}

// browserByALink has a lead approve on a telephone what a chat's page leads to: from another site, so that the browser keeps his session's cookie back,
// logged in or not.
func browserByALink(t *testing.T, x *browsers) {
	s := newStage(t)
	a := s.as("s001").post("/requests", "customers", "5", "hours", "1", "columns", "support.customers.email", "reason", "INC-311").is(t, http.StatusSeeOther)
	request, _, _ := strings.Cut(a.header.Get("Location"), "?")
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><meta name="viewport" content="width=device-width"><p><a href="%s%s">look at this</a>`, s.web.URL, request)
	}))
	defer chat.Close()
	elsewhere := strings.Replace(chat.URL, "127.0.0.1", "localhost", 1) // another site by name

	b := x.open(t, s.web.URL, false, 360)
	follow := func(until string) {
		b.do(chromedp.Navigate(elsewhere))
		_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("document.querySelector('a').click(); true"))
		fatal(t, err)
		b.do(chromedp.WaitVisible(until))
	}
	follow("input[name=name]")
	b.shows("Then you get to the page that you asked for")
	b.do(chromedp.SendKeys("input[name=name]", "s050"), chromedp.SendKeys("input[name=password]", "wrong"))
	b.goes(chromedp.Click(withPassword)) // a slip does not forget where he was going
	b.do(chromedp.SendKeys("input[name=name]", "s050"), chromedp.SendKeys("input[name=password]", password))
	b.goes(chromedp.Click(withPassword))
	if b.at() != request {
		t.Errorf("the log-in leads to %s", b.at())
	}
	b.shows("Asked for", "Needed otherwise")
	follow("main a.button")
	b.shows("Go on, if you are logged in here already")
	b.goes(chromedp.Click("main a.button"))
	b.shows("Asked for")
	b.goes(chromedp.Click("form[action$='/approve'] button"))
	b.shows("Approved, and on record")
	if n := s.count(sallyport.LogInOK); n != 2 { // s001 and s050
		t.Errorf("%d log-ins", n)
	}
}

// browserLeftOpen leaves *Now* open until the log-in is over: nothing of it stays on the screen.
func browserLeftOpen(t *testing.T, x *browsers) {
	s := newStage(t)
	s.revealed("s001", "48211")
	b := x.open(t, s.web.URL, false, 1440)
	b.logIn("s050", password)
	b.shows("Revealed last", s.names.Person("s001"))
	s.add(DefaultIdle)
	b.do(chromedp.WaitVisible("input[name=password]"))
	if b.at() != "/login" {
		t.Errorf("it is at %s", b.at())
	}
}

// browserHidden turns away from *Now* and comes back: what happened meanwhile is there.
func browserHidden(t *testing.T, x *browsers) {
	s := newStage(t)
	b := x.open(t, s.web.URL, false, 1440)
	b.logIn("s050", password)
	b.shows("Nothing needs you")
	turn := func(away bool) {
		_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](fmt.Sprintf("Object.defineProperty(document, 'hidden', {value: %v, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); true", away)))
		fatal(t, err)
	}
	turn(true)
	s.found("s001")
	s.revealed("s001", "48211")
	turn(false)
	b.do(chromedp.WaitVisible("ul.urgent a"))
	b.shows("1 finding whose case is open")
	b.quiet()
}

// browserNoScript goes the journeys of staff without script: a finding to a case, a lock and a pack; a request to its approval; reports; a search; a proof.
func browserNoScript(t *testing.T, x *browsers) {
	s := newStage(t)
	id := s.found("s001")
	s.revealed("s001", "48211")
	b := x.open(t, s.web.URL, false, 360)
	b.noScript()
	b.logIn("s050", password)
	b.goes(chromedp.Click("ul.urgent a"))
	b.goes(chromedp.Click("a[href='/findings/" + id + "']"))
	b.do(chromedp.SendKeys("form[action$='/lock'] input", "theft"))
	b.goes(chromedp.Click("form[action$='/lock'] button"))
	b.shows("Locked")
	b.do(chromedp.SendKeys("form[action$='/case'] input", "theft"))
	b.goes(chromedp.Click("form[action$='/case'] button"))
	b.shows("The case is open")
	b.do(chromedp.SendKeys("form[action$='/export'] input[name=text]", "the prosecutor"))
	b.goes(chromedp.Click("form[action$='/export'] button"))
	b.shows("Proposed: somebody else approves it")
	b.open("/findings/" + id)
	b.goes(chromedp.Click("main a[href^='/cases/']"))
	b.shows("Evidence pack")

	b.open("/requests")
	b.do(chromedp.SendKeys("input[name=customers]", "5"), chromedp.SendKeys("input[name=columns]", "support.customers.email"), chromedp.SendKeys("main .form input[name=reason]", "INC-311"))
	b.goes(chromedp.Click("form.form button"))
	b.shows("Your request is on record")
	other := x.open(t, s.web.URL, false, 360)
	other.noScript()
	other.logIn("s060", password)
	other.open("/requests")
	other.goes(chromedp.Click("form[action^='/requests/'][action$='/approve'] button"))
	other.shows("Approved, and on record")

	b.open("/trace")
	b.do(chromedp.SendKeys("textarea", "48211,ticket+name"))
	b.goes(chromedp.Click("form[action='/trace/upload'] button"))
	b.shows("The report is on record")
	b.open("/customers")
	b.do(chromedp.SendKeys("input[name=customer]", "48211"))
	b.goes(chromedp.Click("main form button"))
	b.shows("could read something of this customer")
	b.open("/policies")
	b.goes(chromedp.Click("form[action^='/policies'] button"))
	b.shows("of today's budgets")
	b.open("/record/access/1")
	b.goes(chromedp.Click("form[action$='/proof'] button"))
	b.shows("stands in the ledger, unchanged: serve says so", "Where scripts run")
	b.open("/confirm")
	b.do(chromedp.SendKeys("input[name=password]", password))
	b.goes(chromedp.Click("form[action='/confirm'] button"))
	b.shows("You have confirmed who you are")
	if s.count(sallyport.Confirmed) != 1 || len(*s.reports) != 1 || !s.orders.State().Standing("s001").Locked {
		t.Error("something of it was not done")
	}
	b.quiet()
}

// browserCustomersNoScript is a customer without script: a code, a wrong one, a sender, a report with a slip.
func browserCustomersNoScript(t *testing.T, x *browsers) {
	s, now, _, _, reports := newPublic(t)
	b := x.open(t, s.web.URL, false, 360)
	b.noScript()
	b.open("/en/")
	b.do(chromedp.SendKeys("#code", now))
	b.goes(chromedp.Click("form[action='/en/check'] button"))
	b.shows("Yes, this is our call")
	b.open("/en/")
	b.do(chromedp.SendKeys("#sender", "https://evil.test?@example.org"))
	b.goes(chromedp.Click("form[action='/en/ours'] button"))
	b.shows("is not one of ours")
	b.open("/en/")
	b.do(chromedp.SendKeys("#sender", strings.Repeat("x", 200)+".test"))
	b.goes(chromedp.Click("form[action='/en/ours'] button"))
	wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
	fatal(t, err)
	if wide > 360 {
		t.Errorf("a long sender is %d px wide", wide)
	}
	b.open("/en/report")
	b.do(chromedp.SendKeys("#customer", "48211"), chromedp.SendKeys("#day", "03012026"), chromedp.Click("input[value=ticket]"))
	b.goes(chromedp.Click("header .who a[hreflang=de]")) // the same page in another language
	b.shows("Ihre Kundennummer")
	b.do(chromedp.SendKeys("#customer", "48211"), chromedp.SendKeys("#day", "03012026"), chromedp.Click("input[value=ticket]"))
	b.goes(chromedp.Click("main form button"))
	b.shows("Danke")
	if len(*reports) != 1 {
		t.Errorf("%d reports", len(*reports))
	}
	b.quiet()
}
