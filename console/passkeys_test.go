package console

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
)

// authenticator is one that Chromium plays for a tab, by the protocol of its developer tools. What it signs is real.
type authenticator struct {
	*tab
	id webauthn.AuthenticatorID
}

func (b *tab) authenticator() *authenticator {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{})
	fatal(b.t, err)
	made, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, AutomaticPresenceSimulation: true, IsUserVerified: true,
	}})
	fatal(b.t, err)
	return &authenticator{b, made.AuthenticatorID}
}

// lies has it leave out what an answer must have.
func (a *authenticator) lies(signature, verified bool) {
	a.t.Helper()
	_, err := chromedp.Call(a.ctx, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: a.id, IsBogusSignature: &signature, IsBadUV: &verified})
	fatal(a.t, err)
}

// copied is the passkey as a copy has it that was made before the last uses.
func (a *authenticator) copied() {
	a.t.Helper()
	list, err := chromedp.Call(a.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})
	fatal(a.t, err)
	if len(list.Credentials) != 1 || list.Credentials[0].SignCount < 2 {
		a.t.Fatalf("%d passkeys: this proves nothing", len(list.Credentials))
	}
	count := 1.0
	_, err = chromedp.Call(a.ctx, webauthn.SetCredentialProperties, webauthn.SetCredentialPropertiesParams{AuthenticatorID: a.id, CredentialID: list.Credentials[0].CredentialID, SignCount: &count})
	fatal(a.t, err)
}

// says waits until the page says something, without leading elsewhere.
func (b *tab) says(words string) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(b.text(), words); {
		if time.Now().After(end) {
			b.t.Fatalf("the browser does not come to say %q:\n%s", words, b.text())
		}
	}
}

const (
	withPasskey  = "form[action='/login/passkey'] button"
	withPassword = "form[action='/login'] button"
)

func (b *tab) byPassword(who string) {
	b.t.Helper()
	b.open("/login")
	b.do(chromedp.SendKeys("input[name=name]", who), chromedp.SendKeys("input[name=password]", password))
	b.goes(chromedp.Click(withPassword))
}

func (b *tab) confirmsByPassword() {
	b.t.Helper()
	b.open("/confirm")
	b.do(chromedp.SendKeys("input[name=password]", password))
	b.goes(chromedp.Click("form[action='/confirm'] button"))
	b.shows("You have confirmed")
}

// browserPasskeys adds a passkey, logs in and confirms by it; and tries what must not count: without proof to the device, with a signature of nothing, from
// another address, a second time, and by a copy.
func browserPasskeys(t *testing.T, x *browsers) {
	web := httptest.NewUnstartedServer(nil)
	at, err := url.Parse("https://" + web.Listener.Addr().String())
	fatal(t, err)
	origin := "https://localhost:" + at.Port()
	s := newStage(t, func(c *api.Config) {
		c.Passkeys, err = api.NewPasskeys(origin)
		fatal(t, err)
		c.People["s002"] = api.Person{Role: "lead"} // without a password
	})
	web.Config.Handler = s.console
	web.StartTLS()
	t.Cleanup(web.Close)
	b := x.open(t, origin, false, 360)
	b.byPassword("s001")
	key := b.authenticator()
	add := func(label string) {
		t.Helper()
		b.open("/passkeys")
		b.do(chromedp.SendKeys("input[name=label]", label))
	}
	const makes = "form[action='/passkeys'] button"
	add("my telephone")
	b.do(chromedp.Click(makes))
	b.says("you prove anew who you are")
	b.confirmsByPassword()
	add("my telephone")
	b.goes(chromedp.Click(makes))
	b.shows("The passkey is on record", "my telephone")
	if list := s.orders.State().Passkeys("s001"); len(list) != 1 || list[0].Label != "my telephone" {
		t.Fatalf("%d passkeys", len(list))
	}
	add("another")
	b.do(chromedp.Click(makes))
	b.says("confirms by it") // a password adds no second one

	enters := func() {
		t.Helper()
		b.open("/login")
		b.goes(chromedp.Click(withPasskey))
	}
	b.goes(chromedp.Click(".who button"))
	enters()
	b.shows("Requests")
	if s.count(sallyport.PasskeyUsed) != 1 || s.entered("page passkey") != 1 {
		t.Error("the log-in by a passkey is not on record")
	}
	b.open("/confirm")
	b.goes(chromedp.Click("form[action='/confirm/passkey'] button"))
	b.shows("You have confirmed")
	if door := s.orders.State().Door("s001"); door.How != control.ByPasskey || s.orders.State().Passkeys("s001")[0].Count < 2 {
		t.Errorf("confirmed %q", door.How)
	}

	used := s.count(sallyport.PasskeyUsed)
	for _, lie := range [][2]bool{{true, false}, {false, true}} {
		key.lies(lie[0], lie[1])
		enters()
		b.shows("This passkey proves nothing here")
	}
	key.lies(false, false)
	if s.count(sallyport.PasskeyUsed) != used {
		t.Error("an answer without proof counts")
	}
	again, _, err := s.console.c.API.AskPasskey(nil, "10.0.0.1:1")
	fatal(t, err)
	if _, err = s.console.c.API.EnterPasskey(again, []byte(`{"id":"x"}`)); err == nil {
		t.Error("an answer that is none lets somebody in")
	}
	if _, err = s.console.c.API.EnterPasskey(again, []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "not begun") {
		t.Errorf("a ceremony is good twice: %v", err)
	}
	elsewhere, err := url.Parse(s.web.URL)
	fatal(t, err)
	b.do(chromedp.Navigate("https://localhost:" + elsewhere.Port() + "/login")) // the same host, and another port
	b.goes(chromedp.Click(withPasskey))
	b.shows("This passkey proves nothing here")

	key.copied()
	enters()
	b.shows("there may be a copy of it")
	if s.count(sallyport.PasskeyEnded) != 1 || len(s.orders.State().Passkeys("s001")) != 0 {
		t.Error("a copied passkey goes on")
	}
	enters()
	b.shows("This passkey proves nothing here")
	firstPasskey(t, s, x.open(t, origin, false, 360))
}

// entered is how often somebody logged in so.
func (s *stage) entered(how string) (n int) {
	s.t.Helper()
	fatal(s.t, s.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.LogInOK && e.Order.Details == how {
			n++
		}
		return nil
	}))
	return n
}

// firstPasskey has somebody without a password begin with a passkey, by the halves of two others.
func firstPasskey(t *testing.T, s *stage, b *tab) {
	inside := func(who string) *api.Client {
		v, err := s.console.c.API.Enter("10.0.0.1:1", who, password)
		fatal(t, err)
		return s.console.c.API.Inside(v, "10.0.0.1:1")
	}
	invited, err := inside("s050").Invite(context.Background(), "s002", "her first day")
	fatal(t, err)
	approved, err := inside("s051").Approve(context.Background(), invited.Proposal)
	fatal(t, err)
	b.authenticator()
	first := func(one, two string) {
		t.Helper()
		b.open("/first")
		b.do(chromedp.SendKeys("input[name=name]", "s002"), chromedp.SendKeys("input[name=first]", one), chromedp.SendKeys("input[name=second]", two), chromedp.SendKeys("input[name=label]", "her key"))
	}
	first(invited.Code, invited.Code)
	b.do(chromedp.Click("form[action='/first'] button"))
	b.says("This code is not good")
	first(invited.Code, approved.Code)
	b.goes(chromedp.Click("form[action='/first'] button"))
	b.shows("Your passkey is on record")
	b.open("/login")
	b.goes(chromedp.Click(withPasskey))
	b.shows("Now", "Log out")
	if s.count(sallyport.PasskeyUsed) == 0 || len(s.orders.State().Passkeys("s002")) != 1 || s.orders.State().Passkeys("s002")[0].Used.IsZero() {
		t.Error("the first passkey is not on record as used")
	}
	first(invited.Code, approved.Code)
	b.do(chromedp.Click("form[action='/first'] button"))
	b.says("This code is not good")
}
