// Package fakeidp is a fake identity provider for tests: OpenID Connect with discovery, keys, authorisation code with PKCE, device
// codes, and whatever is wrong with an ID token that a test wants. It speaks the public protocol on loopback under TLS and asks
// nobody for a password: who logs in is what the test said last.
//
// It refuses what a provider refuses: an unknown client or redirect, a code that was used, a verifier that does not fit.
package fakeidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// ClientID is the one client that the provider knows.
const ClientID = "sallyport"

// Provider is a running one.
type Provider struct {
	server *httptest.Server
	key    *ecdsa.PrivateKey

	mu     sync.Mutex // guards what follows
	who    User
	wrong  Wrong
	codes  map[string]*request // by code, and by device code
	asks   map[string]*request // by user code
	heard  []url.Values        // authorisation requests
	secret string
	clock  func() time.Time
}

// User is who sits at the browser.
type User struct {
	Claims  map[string]any // sub and others
	Proven  time.Time      // of a session that the browser has already; zero: he proves who he is when asked
	Ignores bool           // the provider ignores prompt and max_age, and goes by its session
}

// Wrong is what is wrong with the next ID tokens.
type Wrong struct {
	Change func(claims map[string]any) // of the claims
	None   bool                        // alg none
	Key    bool                        // signed by a key that is not published, under the published one's name
	Secret string                      // signed by HS256 with this, as if the client's secret were a key
}

// request is one authorisation under way.
type request struct {
	nonce, challenge, redirect string
	proven                     time.Time
	claims                     map[string]any
	granted, refused           bool
	polled                     int
}

// Start runs a provider until Close, by this clock.
func Start(clock func() time.Time) (*Provider, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &Provider{key: key, codes: map[string]*request{}, asks: map[string]*request{}, clock: clock}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("POST /device", p.device)
	p.server = httptest.NewTLSServer(mux)
	return p, nil
}

// Close ends it.
func (p *Provider) Close() { p.server.Close() }

// Issuer is its name and address.
func (p *Provider) Issuer() string { return p.server.URL }

// CA is who signs its certificate, PEM.
func (p *Provider) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

// Roots is CA as a pool.
func (p *Provider) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.server.Certificate())
	return pool
}

// As says who sits at the browser from now on.
func (p *Provider) As(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.who = u
}

// Wrong says what is wrong with ID tokens from now on.
func (p *Provider) Wrong(w Wrong) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = w
}

// Secret makes the client a confidential one.
func (p *Provider) Secret(secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secret = secret
}

// Heard are the authorisation requests so far.
func (p *Provider) Heard() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]url.Values(nil), p.heard...)
}

// Browse is the browser: it opens an address, lets the person log in, and follows the redirect to his machine.
func (p *Provider) Browse(address string) (page string, err error) {
	client := *p.server.Client()
	client.Timeout = 20 * time.Second
	response, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var b strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := response.Body.Read(buffer)
		b.Write(buffer[:n])
		if err != nil {
			return b.String(), nil
		}
	}
}

// Redirect is Browse without following: where the browser is sent.
func (p *Provider) Redirect(address string) (*url.URL, error) {
	client := *p.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Get(address)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return response.Location()
}

// Enter is the person who enters a device's code, and agrees or not.
func (p *Provider) Enter(code string, agrees bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.asks[code]
	if r == nil {
		return fmt.Errorf("no such code")
	}
	p.login(r, true)
	r.granted, r.refused = agrees, !agrees
	return nil
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]any{
		"issuer": p.Issuer(), "authorization_endpoint": p.Issuer() + "/authorize", "token_endpoint": p.Issuer() + "/token",
		"device_authorization_endpoint": p.Issuer() + "/device", "jwks_uri": p.Issuer() + "/keys", "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		"code_challenge_methods_supported": []string{"S256"},
	})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
}

// authorize is the page with the log-in form, filled in and sent already.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = append(p.heard, q)
	if err != nil || back.Hostname() != "127.0.0.1" || q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		http.Error(w, "a request that is refused without a redirect", http.StatusBadRequest)
		return
	}
	a := &request{nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri")}
	p.login(a, q.Get("prompt") == "login" || q.Get("max_age") == "0")
	a.granted = true
	code := rand.Text()
	p.codes[code] = a
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound) // #nosec G710 -- to loopback alone, see above
}

// login is the person proving who he is, unless his browser has a session that will do. mu is held.
func (p *Provider) login(r *request, anew bool) {
	r.claims, r.proven = p.who.Claims, p.who.Proven
	if r.proven.IsZero() || anew && !p.who.Ignores {
		r.proven = p.clock()
	}
}

// device is RFC 8628, 3.1.
func (p *Provider) device(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.PostFormValue("client_id") != ClientID {
		write(w, http.StatusBadRequest, map[string]string{"error": "invalid_client"})
		return
	}
	code, user := rand.Text(), rand.Text()[:8]
	a := &request{}
	p.codes[code], p.asks[user] = a, a
	write(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": user, "verification_uri": p.Issuer() + "/enter", "expires_in": 300, "interval": 1,
	})
}

// token exchanges a code.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fail := func(code string) { write(w, http.StatusBadRequest, map[string]string{"error": code}) }
	client, secret, basic := r.BasicAuth()
	if !basic {
		client, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	code := r.PostFormValue("code") + r.PostFormValue("device_code")
	a := p.codes[code]
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case client != ClientID || secret != p.secret:
		fail("invalid_client")
		return
	case a == nil:
		fail("invalid_grant")
		return
	case a.refused:
		fail("access_denied")
		return
	case !a.granted:
		a.polled++
		fail("authorization_pending")
		return
	case a.redirect != "" && (r.PostFormValue("redirect_uri") != a.redirect || base64.RawURLEncoding.EncodeToString(sum[:]) != a.challenge):
		fail("invalid_grant")
		return
	}
	delete(p.codes, code)
	id, err := p.sign(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, http.StatusOK, map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": id})
}

// sign makes the ID token.
func (p *Provider) sign(a *request) (string, error) {
	now := p.clock()
	claims := map[string]any{"iss": p.Issuer(), "aud": ClientID, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": a.proven.Unix()}
	if a.nonce != "" {
		claims["nonce"] = a.nonce
	}
	maps.Copy(claims, a.claims)
	if p.wrong.Change != nil {
		p.wrong.Change(claims)
	}
	if p.wrong.None {
		body, err := json.Marshal(claims)
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + ".", err
	}
	signing := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: crypto.PrivateKey(p.key), KeyID: "k1"}}
	switch {
	case p.wrong.Secret != "":
		signing = jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: []byte(p.wrong.Secret), KeyID: "k1"}}
	case p.wrong.Key:
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", err
		}
		signing.Key = jose.JSONWebKey{Key: crypto.PrivateKey(other), KeyID: "k1"}
	}
	signer, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that left cannot be told
}
