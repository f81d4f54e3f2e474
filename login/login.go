// Package login asks the company's identity provider who somebody is: OpenID Connect by the authorisation code with PKCE, whose
// redirect a browser brings to the person's own machine, or by a device code on a terminal.
//
// It refuses whatever it cannot check: an ID token of another issuer, for another audience or party, out of time, signed by a
// key that the provider does not publish or by none, without the nonce of this very attempt, or, where a fresh log-in was asked
// for, of an older one. An attempt is good once. It keeps no token, and no secret of the provider's leaves it.
//
// Sources: OpenID Connect Core 1.0 (3.1.3.7 for what is checked), RFC 7636 (PKCE), RFC 8252 (native applications), RFC 8628
// (device code).
package login

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Config names the provider and what of its word counts.
type Config struct {
	Issuer   string // as it stands in ID tokens; https, or http on loopback
	ClientID string
	Secret   func() (string, error) // of the client; nil: it is a public one
	Roots    *x509.CertPool         // who signs the provider's certificate; nil: the system's authorities
	Scopes   []string               // besides openid
	Claim    string                 // which says who it is; empty: sub
	Groups   string                 // the claim with his groups; empty: none is read
	Factors  []string               // values of amr that mean more than a password; nil: mfa, otp, hwk (RFC 8176)
	Now      func() time.Time
	Page     string // an https address besides loopback that a browser may come back to: the console's; empty: none
}

// Person is what the provider says of who logged in.
type Person struct {
	Name    string // the value of Config.Claim
	Groups  []string
	Proven  time.Time // when he proved who he is; zero: the provider does not say
	Methods bool      // the provider says by which means (amr)
	Factors bool      // with more than a password
	Fresh   bool      // the attempt asked for a fresh log-in, and this is one
}

// Why somebody is not logged in.
var (
	ErrAttempt  = errors.New("there is no such attempt to log in, or it is over")
	ErrMany     = errors.New("too many attempts to log in")
	ErrRefused  = errors.New("the identity provider's answer was refused")
	ErrPending  = errors.New("the person has not done his part yet")
	ErrAway     = errors.New("the identity provider cannot be asked")
	ErrRedirect = errors.New("the redirect must lead to http://127.0.0.1:PORT/callback")
)

// Provider is one identity provider. It is safe for use by many goroutines.
type Provider struct {
	c      Config
	client *http.Client

	mu       sync.Mutex // guards the fields below; not held while the provider is asked
	found    *oidc.Provider
	until    time.Time // when found is to be asked for anew
	attempts map[string]*attempt
}

// attempt is one log-in under way. It is kept until its end even when it was made use of, so that begins can be counted.
type attempt struct {
	source   string // where it was begun from
	begun    time.Time
	until    time.Time
	fresh    bool
	used     bool
	state    string
	nonce    string
	verifier string
	redirect string
	device   *oauth2.DeviceAuthResponse
}

// Bounds.
const (
	attemptFor   = 10 * time.Minute
	mostAttempts = 5000      // at a time
	mostFrom     = 200       // of one source
	foundFor     = time.Hour // then its endpoints are read anew; its keys are read at each log-in, so that one that was withdrawn counts no longer
	askFor       = 15 * time.Second
)

// New checks the configuration. The provider is asked when somebody logs in.
func New(c Config) (*Provider, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" || issuer.Scheme != "https" && !(issuer.Scheme == "http" && onLoopback(issuer.Hostname())) {
		return nil, errors.New("no issuer that can be trusted; expected its https address")
	}
	if c.Now == nil {
		return nil, errors.New("no clock")
	}
	if c.ClientID == "" {
		return nil, errors.New("no client id; expected the one that the provider knows Sallyport by")
	}
	if c.Claim == "" {
		c.Claim = "sub"
	}
	if c.Factors == nil {
		c.Factors = []string{"mfa", "otp", "hwk"}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
	return &Provider{c: c, attempts: map[string]*attempt{}, client: &http.Client{
		Transport: transport, Timeout: askFor,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would carry the code elsewhere
	}}, nil
}

// Close ends idle connections.
func (p *Provider) Close() {
	if p != nil {
		p.client.CloseIdleConnections()
	}
}

// Browser is an attempt by a browser: whoever opens URL there comes back to the redirect with a code and State.
type Browser struct {
	ID    string `json:"id"` // names the attempt; who does not know it cannot finish it
	URL   string `json:"url"`
	State string `json:"state"`
}

// Begin begins a log-in by a browser. source is where it comes from, for what one may begin. fresh asks the provider to have the
// person prove anew who he is.
func (p *Provider) Begin(ctx context.Context, source, redirect string, fresh bool) (Browser, error) {
	if !loopbackRedirect(redirect) && (redirect != p.c.Page || redirect == "") {
		return Browser{}, ErrRedirect
	}
	a := &attempt{source: source, fresh: fresh, redirect: redirect, state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	id, err := p.add(a)
	if err != nil {
		return Browser{}, err
	}
	config, _, err := p.ask(ctx)
	if err != nil {
		return Browser{}, err
	}
	config.RedirectURL = redirect
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.verifier), oidc.Nonce(a.nonce)}
	if fresh {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return Browser{ID: id, URL: config.AuthCodeURL(a.state, options...), State: a.state}, nil
}

// Device is an attempt by a device code: the person opens Address in whatever browser and enters Code.
type Device struct {
	ID       string    `json:"id"`
	Code     string    `json:"code"`
	Address  string    `json:"address"`
	Complete string    `json:"complete,omitempty"` // Address with the code in it
	Until    time.Time `json:"until"`
}

// BeginDevice begins a log-in by a device code.
func (p *Provider) BeginDevice(ctx context.Context, source string, fresh bool) (Device, error) {
	a := &attempt{source: source, fresh: fresh}
	id, err := p.add(a)
	if err != nil {
		return Device{}, err
	}
	config, _, err := p.ask(ctx)
	if err != nil {
		return Device{}, err
	}
	if config.Endpoint.DeviceAuthURL == "" {
		return Device{}, fmt.Errorf("%w: it has no endpoint for device codes", ErrAway)
	}
	var options []oauth2.AuthCodeOption
	if config.ClientSecret != "" {
		options = append(options, oauth2.SetAuthURLParam("client_secret", config.ClientSecret))
	}
	if fresh {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	device, err := config.DeviceAuth(oidc.ClientContext(ctx, p.client), options...)
	if err != nil {
		return Device{}, fmt.Errorf("%w: %s", ErrAway, reason(err))
	}
	p.mu.Lock()
	a.device = device
	if !device.Expiry.IsZero() && device.Expiry.Before(a.until) {
		a.until = device.Expiry
	}
	until := a.until
	p.mu.Unlock()
	return Device{ID: id, Code: device.UserCode, Address: device.VerificationURI, Complete: device.VerificationURIComplete, Until: until}, nil
}

// Finish ends an attempt: with the code and the state that the browser brought, or, for a device code, by waiting until the
// person has done his part or ctx ends (ErrPending: ask again). An attempt by a browser is over after this whatever comes of it.
func (p *Provider) Finish(ctx context.Context, id, state, code string) (Person, error) {
	a, err := p.take(id)
	if err != nil {
		return Person{}, err
	}
	if a.device == nil && (code == "" || !same(state, a.state)) {
		return Person{}, fmt.Errorf("%w: the state is another attempt's", ErrRefused)
	}
	config, verifier, err := p.ask(ctx)
	if err != nil {
		return Person{}, err
	}
	var token *oauth2.Token
	asking := oidc.ClientContext(ctx, p.client)
	if a.device == nil {
		config.RedirectURL = a.redirect
		token, err = config.Exchange(asking, code, oauth2.VerifierOption(a.verifier))
	} else if token, err = p.poll(asking, config, a); err != nil && ctx.Err() != nil {
		return Person{}, ErrPending
	}
	if err != nil {
		return Person{}, fmt.Errorf("%w: %s", ErrRefused, reason(err))
	}
	return p.verify(asking, verifier, a, token)
}

// poll waits for the person with the device code. Whoever stops waiting may wait again.
func (p *Provider) poll(ctx context.Context, config *oauth2.Config, a *attempt) (*oauth2.Token, error) {
	var options []oauth2.AuthCodeOption
	if config.ClientSecret != "" {
		options = append(options, oauth2.SetAuthURLParam("client_secret", config.ClientSecret))
	}
	token, err := config.DeviceAccessToken(ctx, a.device, options...)
	if ctx.Err() != nil && err != nil {
		p.mu.Lock()
		a.used = false
		p.mu.Unlock()
	}
	return token, err
}

// add keeps an attempt under a name that nobody guesses.
func (p *Provider) add(a *attempt) (id string, err error) {
	now := p.c.Now()
	a.begun, a.until = now, now.Add(attemptFor)
	p.mu.Lock()
	defer p.mu.Unlock()
	from := 0
	for id, other := range p.attempts {
		switch {
		case !now.Before(other.until):
			delete(p.attempts, id)
		case other.source == a.source:
			from++
		}
	}
	if from >= mostFrom || len(p.attempts) >= mostAttempts {
		return "", ErrMany
	}
	id = rand.Text()
	p.attempts[id] = a
	return id, nil
}

// take makes use of an attempt.
func (p *Provider) take(id string) (*attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.attempts[id]
	if a == nil || a.used || !p.c.Now().Before(a.until) || a.redirect == "" && a.device == nil {
		return nil, ErrAttempt
	}
	a.used = true
	return a, nil
}

// Reach tells whether the provider is there and calls itself what it is configured as.
func (p *Provider) Reach(ctx context.Context) error {
	_, _, err := p.ask(ctx)
	return err
}

// ask finds the provider's endpoints and keys.
func (p *Provider) ask(ctx context.Context) (*oauth2.Config, *oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	found := p.found
	if !p.c.Now().Before(p.until) {
		found = nil
	}
	p.mu.Unlock()
	if found == nil {
		var err error
		if found, err = oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.c.Issuer); err != nil {
			return nil, nil, fmt.Errorf("%w: %s", ErrAway, reason(err))
		}
		p.mu.Lock()
		p.found, p.until = found, p.c.Now().Add(foundFor)
		p.mu.Unlock()
	}
	config := &oauth2.Config{ClientID: p.c.ClientID, Endpoint: found.Endpoint(), Scopes: p.scopes()}
	if p.c.Secret != nil {
		secret, err := p.c.Secret()
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrAway, err)
		}
		config.ClientSecret = secret
	}
	return config, found.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), p.client), &oidc.Config{
		ClientID: p.c.ClientID, SupportedSigningAlgs: p.algorithms(found), Now: p.c.Now,
	}), nil
}

func (p *Provider) scopes() []string {
	scopes := []string{oidc.ScopeOpenID}
	for _, s := range p.c.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// reason is an error of the provider's or on the way to it, without what it sent: that may be a token.
func reason(err error) string {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if answer.ErrorCode != "" {
			return "it says " + printable(answer.ErrorCode)
		}
		return "it answers " + answer.Response.Status
	}
	if away, ok := errors.AsType[*url.Error](err); ok {
		return away.Err.Error()
	}
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return "it calls itself " + printable(mismatch.Discovered)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return "nobody finished it in time"
	}
	return "it sent something that cannot be used"
}

// printable keeps what another program sent to one short line.
func printable(text string) string {
	text = text[:min(len(text), 100)]
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return "something unprintable"
		}
	}
	return text
}

// loopbackRedirect holds a redirect to the person's own machine (RFC 8252, 7.3 and 8.3: the address, not the name localhost).
func loopbackRedirect(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Path != "/callback" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	at, err := netip.ParseAddrPort(u.Host)
	return err == nil && at.Addr().IsLoopback() && at.Port() != 0
}

func onLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Mint makes a credential: a text that says what it is, for whoever finds it lying about, and 256 bits that nobody guesses.
func Mint() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return Prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Prefix begins every credential.
const Prefix = "sallyport_"
