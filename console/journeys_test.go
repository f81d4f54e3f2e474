package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport"
	"sallyport/api"
	"sallyport/internal/fakeidp"
	"sallyport/login"
)

// browserEvidence goes from a finding to a case, a lock, and an evidence pack that two people agreed on.
func browserEvidence(t *testing.T, x *browsers) {
	s := newStage(t)
	id := s.found("s001")
	b := x.open(t, s.web.URL, false, 1440)
	b.logIn("s050", password)
	b.open("/findings/" + id)
	b.do(chromedp.SendKeys("form[action$='/lock'] input", "looks like a theft"))
	b.goes(chromedp.Click("form[action$='/lock'] button"))
	b.shows("Locked")
	b.do(chromedp.SendKeys("form[action$='/case'] input", "looks like a theft"))
	b.goes(chromedp.Click("form[action$='/case'] button"))
	b.shows("The case is open")
	b.do(chromedp.SendKeys("form[action$='/task'] input", "ask his lead"))
	b.goes(chromedp.Click("form[action$='/task'] button"))
	b.shows("ask his lead")
	b.goes(chromedp.Click("ul.tasks button"))
	b.do(chromedp.SendKeys("form[action$='/export'] input[name=text]", "the prosecutor"))
	b.goes(chromedp.Click("form[action$='/export'] button"))
	b.shows("Proposed: somebody else approves it", "proposed by s050")
	other := x.open(t, s.web.URL, false, 1440)
	other.logIn("s060", password)
	other.open("/requests")
	other.goes(chromedp.Click("form[action^='/proposals/'][action$='/approve'] button"))
	b.open("/cases/1")
	b.do(chromedp.WaitVisible("form[action^='/cases/1/pack/'] button"))
	b.quiet()
	other.quiet()
	path, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("new URL(document.querySelector(\"form[action^='/cases/1/pack/']\").action).pathname"))
	fatal(t, err)
	a := s.as("s050").post(path).is(t, http.StatusOK)
	if a.body != "PK pack" || a.header.Get("Content-Type") != "application/zip" || a.header.Get("Content-Disposition") != `attachment; filename="case1.zip"` {
		t.Errorf("the pack is %q, %v", a.body, a.header)
	}
	s.as("s051").post(path).is(t, http.StatusNotFound) // he is not one of the two
	if !s.orders.State().Standing("s001").Locked {
		t.Error("not locked")
	}
}

// provided is a stage where people log in at a fake identity provider.
func provided(t *testing.T) (*stage, *fakeidp.Provider) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	idp, err := fakeidp.Start(time.Now)
	fatal(t, err)
	t.Cleanup(idp.Close)
	provider, err := login.New(login.Config{Issuer: idp.Issuer(), ClientID: fakeidp.ClientID, Roots: idp.Roots(), Now: time.Now, Page: "https://" + web.Listener.Addr().String() + CallbackPath})
	fatal(t, err)
	t.Cleanup(provider.Close)
	return newStageOn(t, web, func(c *api.Config) {
		c.LogIns = &api.LogIns{Provider: provider, Lifetime: time.Hour, Person: func(p login.Person) (sallyport.Staff, error) { return sallyport.Staff(p.Name), nil }}
	}), idp
}

// browserProvider logs in at the identity provider, on a page, and confirms there who he is.
func browserProvider(t *testing.T, x *browsers) {
	s, idp := provided(t)
	idp.As(fakeidp.User{Claims: map[string]any{"sub": "s050"}})
	b := x.open(t, s.web.URL, false, 1440)
	b.open("/login")
	b.do(chromedp.Click("a[href='/login/provider']"), chromedp.WaitVisible("nav a[href='/now']"))
	b.open("/findings")
	b.shows("Findings and cases", "Log out")
	b.open("/confirm")
	b.do(chromedp.Click("main a[href^='/login/provider']"), chromedp.WaitVisible("nav a[href='/now']"))
	if s.count(sallyport.Confirmed) != 1 {
		t.Error("a fresh log-in confirms nothing")
	}
	s.stranger().post("/login", "name", "s050", "password", password).is(t, http.StatusUnauthorized) // no password counts beside the provider
	b.quiet()
	idp.As(fakeidp.User{Claims: map[string]any{"sub": "s001"}})
	agent := x.open(t, s.web.URL, false, 1440)
	agent.open("/login")
	agent.do(chromedp.Click("a[href='/login/provider']"), chromedp.WaitVisible("nav a[href='/requests']"))
	agent.shows("Ask for access")
}

// TestProvider logs in with an attempt that another browser began, and with one that nobody did.
func TestProvider(t *testing.T) {
	s, idp := provided(t)
	idp.As(fakeidp.User{Claims: map[string]any{"sub": "s050"}})
	begin := func(b *browser) *url.URL {
		a := b.get("/login/provider").is(t, http.StatusSeeOther)
		back, err := idp.Redirect(a.header.Get("Location"))
		fatal(t, err)
		return back
	}
	victim, thief := s.stranger(), s.stranger()
	back := begin(thief)
	victim.get(back.RequestURI()).is(t, http.StatusConflict).has(t, "This browser has begun no log-in")
	begin(victim)
	victim.get(back.RequestURI()).is(t, http.StatusForbidden) // the state is another attempt's
	victim.get("/now").is(t, http.StatusSeeOther)
	own := begin(victim)
	victim.get(own.RequestURI()).is(t, http.StatusOK)
	victim.get("/now").is(t, http.StatusOK)
	victim.get(own.RequestURI()).is(t, http.StatusConflict) // once
	s.add(2 * time.Hour)
	if status := victim.get("/now").status; status != http.StatusSeeOther {
		t.Errorf("a session outlives the credential: %d", status)
	}
}

// browserProof has the browser repeat a proof, and tell each that does not hold.
func browserProof(t *testing.T, x *browsers) {
	for name, c := range map[string]struct {
		change func(*api.Proven)
		says   string
	}{
		"as it is":      {func(*api.Proven) {}, "Verified in this browser"},
		"another leaf":  {func(p *api.Proven) { p.LeafHash = otherDigit(p.LeafHash, 5) }, "the hashes do not lead to the checkpoint's root"},
		"another way":   {func(p *api.Proven) { p.Inclusion[1] = otherDigit(p.Inclusion[1], 5) }, "the hashes do not lead to the checkpoint's root"},
		"a shorter way": {func(p *api.Proven) { p.Inclusion = p.Inclusion[:2] }, "the way is too short"},
		"another place": {func(p *api.Proven) { p.Leaf++ }, "Not verified"},
		"another size":  {func(p *api.Proven) { p.Size++ }, "the checkpoint is of another size"},
		"a signature less": {func(p *api.Proven) {
			p.Checkpoint = strings.Replace(p.Checkpoint, "— sallyport.test", "— elsewhere", 1)
		}, "is not signed by"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, forged(c.change))
			for range 7 {
				s.revealed("s001", "48211")
			}
			b := x.open(t, s.web.URL, false, 1440)
			b.logIn("s050", password)
			for _, seq := range []int{2, 7} {
				if seq == 7 && name != "as it is" {
					break
				}
				b.open(fmt.Sprintf("/record/access/%d", seq))
				b.goes(chromedp.Click("form[action$='/proof'] button"))
				b.do(chromedp.WaitVisible("#verify.good, #verify.bad, #verify.warn"))
				b.shows(c.says)
			}
			b.quiet()
		})
	}
}

// browserSlider moves the slider by keyboard, and replays.
func browserSlider(t *testing.T, x *browsers) {
	s := newStage(t)
	b := x.open(t, s.web.URL, false, 360)
	b.logIn("s050", password)
	b.open("/policies")
	b.tabTo("#percent")
	b.do(chromedp.KeyEvent("\u0302"), chromedp.KeyEvent("\u0302")) // arrow left
	said, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.querySelector('#shown').textContent"))
	fatal(t, err)
	if said == "100" {
		t.Errorf("the slider stands at %s after two keys", said)
	}
	b.goes(chromedp.Click("form[action^='/policies'] button"))
	b.shows("With "+said+" % of today's budgets", "p-aaaaaaaaaa")
	b.quiet()
}

// TestCustomerByAddress finds a customer through the doors of a search, and shows who saw him.
func TestCustomerByAddress(t *testing.T) {
	var asked []string
	s := newStage(t, func(c *api.Config) {
		c.FindBy = []string{"support.customers.email"}
		c.Values = &api.Values{Tokenise: func(_ context.Context, who *api.ValueCaller, items []api.ValueItem) ([]api.ValueAnswer, *api.Problem) {
			asked = append(asked, string(who.Staff)+" "+who.Purpose+" "+items[0].Value)
			if who.Purpose == "" {
				return nil, &api.Problem{Status: http.StatusForbidden, Code: "probes", Sentence: "You have tried too many values.", Hint: ""}
			}
			return []api.ValueAnswer{{Token: "t-" + items[0].Value}}, nil
		}}
		c.Find = func(_ context.Context, _ string, tokens []string) ([]sallyport.Subject, error) {
			switch tokens[0] {
			case "t-ada@example.org":
				return []sallyport.Subject{"48211"}, nil
			case "t-both@example.org":
				return []sallyport.Subject{"48211", "7"}, nil
			}
			return nil, nil
		}
	})
	s.revealed("s001", "48211")
	b := s.as("s050")
	b.post("/customers", "customer", "ada@example.org", "purpose", "ticket:4711").is(t, http.StatusOK).has(t, "This is customer", "48211", "1 person or program could read")
	b.post("/customers", "customer", "both@example.org", "purpose", "ticket:4711").is(t, http.StatusOK).has(t, "Several customers have this address")
	b.post("/customers", "customer", "none@example.org", "purpose", "ticket:4711").is(t, http.StatusOK).has(t, "No customer has this address")
	b.post("/customers", "customer", "ada@example.org").is(t, http.StatusForbidden).has(t, "You have tried too many values")
	s.as("s001").post("/customers", "customer", "ada@example.org", "purpose", "ticket:4711").is(t, http.StatusForbidden)
	if len(asked) != 4 || asked[0] != "s050 ticket:4711 ada@example.org" {
		t.Errorf("the gateway was asked %q", asked)
	}
}
