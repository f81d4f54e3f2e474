package login

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sallyport/internal/fakeidp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const redirect = "http://127.0.0.1:9/callback"

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// stand is a provider of the tests' own and Sallyport's view of it, each with a clock.
type stand struct {
	*Provider
	idp          *fakeidp.Provider
	ours, theirs *clock
}

func newStand(t *testing.T, change ...func(*Config)) *stand {
	t.Helper()
	now := time.Now()
	s := &stand{ours: &clock{now: now}, theirs: &clock{now: now}}
	idp, err := fakeidp.Start(s.theirs.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	s.idp = idp
	idp.As(fakeidp.User{Claims: map[string]any{"sub": "s017", "groups": []string{"support-eu", "all"}, "amr": []string{"pwd", "otp"}}})
	c := Config{Issuer: idp.Issuer(), ClientID: fakeidp.ClientID, Roots: idp.Roots(), Groups: "groups", Now: s.ours.Now}
	for _, f := range change {
		f(&c)
	}
	if s.Provider, err = New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// byBrowser goes the whole way, and lets the test put another code or state in between.
func (s *stand) byBrowser(t *testing.T, fresh bool) (Person, error) {
	t.Helper()
	b, err := s.Begin(t.Context(), "", redirect, fresh)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.idp.Redirect(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Query().Get("state"); got != b.State || !strings.HasPrefix(back.String(), redirect) {
		t.Fatalf("the browser comes back to %s", back)
	}
	return s.Finish(t.Context(), b.ID, b.State, back.Query().Get("code"))
}

func TestBrowser(t *testing.T) {
	s := newStand(t)
	p, err := s.byBrowser(t, false)
	if err != nil || p.Name != "s017" || strings.Join(p.Groups, " ") != "support-eu all" || !p.Factors || p.Fresh || p.Proven.Unix() != s.theirs.now.Unix() {
		t.Errorf("%+v, %v", p, err)
	}
	heard := s.idp.Heard()[0]
	for name, want := range map[string]string{"scope": "openid", "code_challenge_method": "S256", "prompt": "", "max_age": ""} {
		if heard.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, heard.Get(name), want)
		}
	}
	if heard.Get("nonce") == "" || heard.Get("code_challenge") == "" || heard.Get("state") == "" {
		t.Errorf("the request is %v", heard)
	}

	// A confidential client proves itself by its secret, and a wrong one does not.
	for secret, want := range map[string]error{"right": nil, "wrong": ErrRefused} {
		s := newStand(t, func(c *Config) { c.Secret = func() (string, error) { return secret, nil } })
		s.idp.Secret("right")
		if _, err := s.byBrowser(t, false); !errors.Is(err, want) {
			t.Errorf("secret %s: %v", secret, err)
		}
	}
}

// TestTokens tries every ID token that is not this provider's word about this attempt.
func TestTokens(t *testing.T) {
	s := newStand(t)
	set := func(name string, value any) fakeidp.Wrong {
		return fakeidp.Wrong{Change: func(claims map[string]any) {
			if value == nil {
				delete(claims, name)
				return
			}
			claims[name] = value
		}}
	}
	at := func(d time.Duration) int64 { return s.ours.Now().Add(d).Unix() }
	for _, tt := range []struct {
		name  string
		wrong fakeidp.Wrong
		says  string // empty: it is taken
	}{
		{"nothing", fakeidp.Wrong{}, ""},
		{"another nonce", set("nonce", "x"), "nonce"},
		{"no nonce", set("nonce", nil), "nonce"},
		{"an empty nonce", set("nonce", ""), "nonce"},
		{"another audience", set("aud", "payroll"), "audience"},
		{"no audience", set("aud", nil), "audience"},
		{"two audiences without a party", set("aud", []string{"payroll", fakeidp.ClientID}), "another party"},
		{"another party", set("azp", "payroll"), "another party"},
		{"its own party", set("azp", fakeidp.ClientID), ""},
		{"over", set("exp", at(-time.Second)), "ended"},
		{"another issuer", set("iss", "https://evil.example"), "issuer"},
		{"issued long ago", set("iat", at(-6*time.Minute)), "clocks"},
		{"issued in the future", set("iat", at(6*time.Minute)), "clocks"},
		{"not issued", set("iat", nil), "clocks"},
		{"nobody", set("sub", nil), "nobody"},
		{"a number for a name", set("sub", 17), "signature, issuer or audience"},
		{"another access token", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "access token"},
		{"alg none", fakeidp.Wrong{None: true}, "signature"},
		{"a key that is not published", fakeidp.Wrong{Key: true}, "signature"},
		{"a shared secret", fakeidp.Wrong{Secret: strings.Repeat("s", 32)}, "signature"},
	} {
		s.idp.Wrong(tt.wrong)
		p, err := s.byBrowser(t, false)
		switch {
		case tt.says == "" && (err != nil || p.Name != "s017"):
			t.Errorf("%s: %v", tt.name, err)
		case tt.says != "" && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.says) || p.Name != ""):
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
	}

	// An address counts only where the provider has verified it.
	s = newStand(t, func(c *Config) { c.Claim = "email" })
	for verified, want := range map[any]string{true: "", false: "not verified", nil: "not verified"} {
		claims := map[string]any{"sub": "1", "email": "ada@example.org"}
		if verified != nil {
			claims["email_verified"] = verified
		}
		s.idp.As(fakeidp.User{Claims: claims})
		if p, err := s.byBrowser(t, false); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("verified %v: %+v, %v", verified, p, err)
		}
	}
}

// TestAttempts takes each attempt once, by who began it, within its time.
func TestAttempts(t *testing.T) {
	s := newStand(t)
	begin := func() (Browser, string) {
		t.Helper()
		b, err := s.Begin(t.Context(), "", redirect, false)
		if err != nil {
			t.Fatal(err)
		}
		back, err := s.idp.Redirect(b.URL)
		if err != nil {
			t.Fatal(err)
		}
		return b, back.Query().Get("code")
	}
	finish := func(id, state, code string) error {
		_, err := s.Finish(t.Context(), id, state, code)
		return err
	}
	mine, code := begin()
	other, foreign := begin()
	if err := finish("nosuch", mine.State, code); !errors.Is(err, ErrAttempt) {
		t.Errorf("no such attempt: %v", err)
	}
	// Somebody else's code under one's own attempt: PKCE binds each code to the attempt that it was asked for by.
	if err := finish(other.ID, other.State, code); !errors.Is(err, ErrRefused) {
		t.Errorf("a code of another attempt: %v", err)
	}
	if err := finish(other.ID, other.State, foreign); !errors.Is(err, ErrAttempt) {
		t.Errorf("an attempt a second time: %v", err)
	}
	if err := finish(mine.ID, other.State, code); !errors.Is(err, ErrRefused) {
		t.Errorf("another state: %v", err)
	}
	good, code := begin()
	if err := finish(good.ID, good.State, code); err != nil {
		t.Error(err)
	}
	if err := finish(good.ID, good.State, code); !errors.Is(err, ErrAttempt) {
		t.Errorf("a good attempt a second time: %v", err)
	}
	late, code := begin()
	s.ours.add(attemptFor)
	if err := finish(late.ID, late.State, code); !errors.Is(err, ErrAttempt) {
		t.Errorf("late: %v", err)
	}

	for _, bad := range []string{
		"https://127.0.0.1:9/callback", "http://localhost:9/callback", "http://evil.example/callback", "http://127.0.0.1:9/", "http://127.0.0.1/callback",
		"http://127.0.0.1:9/callback?x=1", "http://u@127.0.0.1:9/callback", "http://127.0.0.1:9/callback#x", "http://10.0.0.1:9/callback", "",
	} {
		if _, err := s.Begin(t.Context(), "", bad, false); !errors.Is(err, ErrRedirect) {
			t.Errorf("%q: %v", bad, err)
		}
	}

	// One source may not keep the others from logging in, nor begin without end.
	for range mostFrom {
		if _, err := s.Begin(t.Context(), "flood", redirect, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Begin(t.Context(), "flood", redirect, false); !errors.Is(err, ErrMany) {
		t.Errorf("one more: %v", err)
	}
	if _, err := s.Begin(t.Context(), "another", redirect, false); err != nil {
		t.Errorf("another source: %v", err)
	}
	s.ours.add(attemptFor)
	if _, err := s.Begin(t.Context(), "flood", redirect, false); err != nil {
		t.Errorf("after they are over: %v", err)
	}
}

// TestFresh takes a log-in only where the person proved who he is after it was asked for, whatever the provider's clock says.
func TestFresh(t *testing.T) {
	for _, skew := range []time.Duration{0, 3 * time.Minute, -3 * time.Minute} {
		s := newStand(t)
		s.theirs.add(skew)
		user := map[string]any{"sub": "s017"}
		s.idp.As(fakeidp.User{Claims: user, Proven: s.theirs.Now().Add(-time.Hour)})
		p, err := s.byBrowser(t, true)
		if err != nil || !p.Fresh || p.Proven.Unix() != s.theirs.now.Unix() {
			t.Errorf("skew %s: %+v, %v", skew, p, err)
		}
		heard := s.idp.Heard()
		if last := heard[len(heard)-1]; last.Get("prompt") != "login" || last.Get("max_age") != "0" {
			t.Errorf("it asks for %v", last)
		}
		// A provider that goes by its session all the same: an hour old, or three seconds.
		for _, old := range []time.Duration{time.Hour, 3 * time.Second} {
			s.idp.As(fakeidp.User{Claims: user, Proven: s.theirs.Now().Add(-old), Ignores: true})
			if p, err := s.byBrowser(t, true); !errors.Is(err, ErrRefused) || p.Fresh {
				t.Errorf("skew %s, a session %s old: %+v, %v", skew, old, p, err)
			}
			if p, err := s.byBrowser(t, false); err != nil || p.Fresh {
				t.Errorf("skew %s, not asked for: %+v, %v", skew, p, err)
			}
		}
		s.idp.As(fakeidp.User{Claims: user})
		s.idp.Wrong(fakeidp.Wrong{Change: func(claims map[string]any) { delete(claims, "auth_time") }})
		if p, err := s.byBrowser(t, true); !errors.Is(err, ErrRefused) {
			t.Errorf("skew %s, no auth_time: %+v, %v", skew, p, err)
		}
	}
}

func TestDevice(t *testing.T) {
	s := newStand(t)
	d, err := s.BeginDevice(t.Context(), "", false)
	if err != nil {
		t.Fatal(err)
	}
	if d.Code == "" || d.Address != s.idp.Issuer()+"/enter" || !d.Until.After(s.ours.now) {
		t.Errorf("%+v", d)
	}
	// Who stops waiting may wait again; the code is good once.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Finish(ctx, d.ID, "", ""); !errors.Is(err, ErrPending) {
		t.Errorf("nobody agreed yet: %v", err)
	}
	if err := s.idp.Enter(d.Code, true); err != nil {
		t.Fatal(err)
	}
	p, err := s.Finish(t.Context(), d.ID, "", "")
	if err != nil || p.Name != "s017" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := s.Finish(t.Context(), d.ID, "", ""); !errors.Is(err, ErrAttempt) {
		t.Errorf("a second time: %v", err)
	}
	d, err = s.BeginDevice(t.Context(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.idp.Enter(d.Code, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(t.Context(), d.ID, "", ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("the person did not agree: %v", err)
	}
}

func TestNew(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://login.example.com/realms/x": true, "http://127.0.0.1:8080": true, "http://login.example.com": false, "login.example.com": false, "": false,
	} {
		if _, err := New(Config{Issuer: issuer, ClientID: "x", Now: time.Now}); (err == nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	// A provider that calls itself something else, and one that nobody believes.
	s := newStand(t, func(c *Config) { c.Issuer += "/" })
	if _, err := s.Begin(t.Context(), "", redirect, false); !errors.Is(err, ErrAway) {
		t.Errorf("another name: %v", err)
	}
	s = newStand(t, func(c *Config) { c.Roots = nil })
	if _, err := s.Begin(t.Context(), "", redirect, false); !errors.Is(err, ErrAway) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	a, b := Mint(), Mint()
	if a == b || !strings.HasPrefix(a, Prefix) || len(a) != len(Prefix)+43 {
		t.Error("credentials are not drawn")
	}
}
