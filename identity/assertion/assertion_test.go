package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

type claims = map[string]any

// signer makes tokens with one key.
type signer struct {
	key any
	id  string
	alg jose.SignatureAlgorithm
}

func newSigner(t testing.TB, id string, alg jose.SignatureAlgorithm) *signer {
	t.Helper()
	var key any
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key, id, alg}
}

func (s *signer) sign(t testing.TB, c claims) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, (&jose.SignerOptions{}).WithHeader("kid", s.id))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(made).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s *signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.(crypto.Signer).Public(), KeyID: s.id, Algorithm: string(s.alg), Use: "sig"}
}

func writeSet(t testing.TB, path string, keys ...jose.JSONWebKey) {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// good is what a token says of which nothing is wrong.
func good(changes ...claims) claims {
	c := claims{"iss": "https://idp.example", "aud": "sallyport", "sub": "s017", "iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Add(time.Minute).Unix(), "jti": "j1"}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// clock is a clock that stands still until it is moved.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time { return noon.Add(time.Duration(c.Load())) }

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	ec, rs, ed, other := newSigner(t, "ec", jose.ES256), newSigner(t, "rs", jose.RS256), newSigner(t, "ed", jose.EdDSA), newSigner(t, "ec", jose.ES256)
	writeSet(t, path, ec.public(), rs.public(), ed.public())
	elsewhere := filepath.Join(dir, "other.json")
	writeSet(t, elsewhere, other.public())
	v, err := New([]Source{
		{Name: "idp", Issuer: "https://idp.example", Audience: "sallyport", Keys: path},
		{Name: "desk", Issuer: "desk", Audience: "sallyport", Keys: elsewhere, ByService: true, Claim: "staff", Longest: 10 * time.Second, Algorithms: []string{"ES256"}},
	}, Options{Now: (&clock{}).now})
	if err != nil {
		t.Fatal(err)
	}
	ps := *rs
	ps.alg = jose.PS512
	byHMAC := func(secret []byte) string {
		s := &signer{secret, "rs", jose.HS256}
		return s.sign(t, good())
	}
	der := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("any")})
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + strings.Split(ec.sign(t, good()), ".")[1] + "."
	parts := strings.Split(ec.sign(t, good()), ".")
	foreign := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(string(mustDecode(t, parts[1])), "s017", "s050"))) + "." + parts[2]
	all := []string{"idp", "desk"}
	for _, c := range []struct {
		name, token string
		allowed     []string
		want        string // in the refusal; empty: it holds
	}{
		{"by ES256", ec.sign(t, good()), all, ""},
		{"by RS256", rs.sign(t, good()), all, ""},
		{"by EdDSA", ed.sign(t, good()), all, ""},
		{"one audience of several", ec.sign(t, good(claims{"aud": []string{"x", "sallyport"}})), all, ""},
		{"by the service", other.sign(t, claims{"iss": "desk", "aud": "sallyport", "staff": "s017", "exp": noon.Add(9 * time.Second).Unix(), "jti": "1"}), all, ""},
		{"by nobody", none, all, "no signed token"},
		{"no token", "abc", all, "no signed token"},
		{"nothing", "", all, "no signed token"},
		{"by a secret", byHMAC(der), all, "no signed token"},
		{"by an algorithm off the list", ps.sign(t, good()), all, "not on the list"},
		{"another one's key of the same name", other.sign(t, good()), all, "does not verify"},
		{"other claims under the signature", foreign, all, "does not verify"},
		{"a source that is not this service's", ec.sign(t, good()), []string{"desk"}, "nobody whom this service may bring"},
		{"another source's keys", ec.sign(t, claims{"iss": "desk", "aud": "sallyport", "staff": "s017", "exp": noon.Add(9 * time.Second).Unix(), "jti": "1"}), all, "does not verify"},
		{"no source at all", ec.sign(t, good()), nil, "nobody whom"},
		{"another issuer", ec.sign(t, good(claims{"iss": "https://idp.example/"})), all, "nobody whom"},
		{"another audience", ec.sign(t, good(claims{"aud": "sallyport2"})), all, "somebody else"},
		{"no audience", ec.sign(t, good(claims{"aud": nil})), all, "somebody else"},
		{"expired", ec.sign(t, good(claims{"exp": noon.Unix()})), all, "expired"},
		{"for ever", ec.sign(t, good(claims{"exp": nil})), all, "never expires"},
		{"for too long", ec.sign(t, good(claims{"exp": noon.Add(16 * time.Minute).Unix()})), all, "too long"},
		{"too long for its source", other.sign(t, claims{"iss": "desk", "aud": "sallyport", "staff": "s017", "exp": noon.Add(11 * time.Second).Unix(), "jti": "1"}), all, "too long"},
		{"not yet", ec.sign(t, good(claims{"nbf": noon.Add(31 * time.Second).Unix()})), all, "not valid yet"},
		{"from the future", ec.sign(t, good(claims{"iat": noon.Add(31 * time.Second).Unix()})), all, "in the future"},
		{"without id", ec.sign(t, good(claims{"jti": nil})), all, "no id"},
		{"with an endless id", ec.sign(t, good(claims{"jti": strings.Repeat("x", 257)})), all, "no id"},
		{"about nobody", ec.sign(t, good(claims{"sub": nil})), all, "names nobody"},
		{"about a number", ec.sign(t, good(claims{"sub": 17})), all, "cannot be read"},
		{"issued to two applications", ec.sign(t, good(claims{"azp": "desk", "client_id": "shop"})), all, "two applications"},
		{"issued to one by both words", ec.sign(t, good(claims{"azp": "desk", "client_id": "desk"})), all, ""},
		{"endless", ec.sign(t, good(claims{"more": strings.Repeat("x", 9000)})), all, "too long"},
	} {
		word, err := v.Verify(t.Context(), c.token, c.allowed, noon)
		refused, _ := errors.AsType[*Refused](err)
		switch {
		case c.want == "" && (err != nil || word.Person != "s017" || word.ByService != (word.Source == "desk")):
			t.Errorf("%s: %+v, %v", c.name, word, err)
		case c.want == "":
		case refused == nil:
			t.Errorf("%s: %+v, %v", c.name, word, err)
		case !strings.Contains(refused.Sentence, c.want):
			t.Errorf("%s: %q, not %q", c.name, refused.Sentence, c.want)
		case c.token != "" && strings.Contains(refused.Sentence+refused.Hint, c.token):
			t.Errorf("%s: the refusal repeats the token", c.name)
		}
	}
	for want, c := range map[string]claims{"": {}, "desk": {"azp": "desk"}, "shop": {"client_id": "shop"}, "one": {"azp": "one", "client_id": "one"}} {
		if word, err := v.Verify(t.Context(), ec.sign(t, good(c)), all, noon); err != nil || word.Client != want {
			t.Errorf("%v is issued to %q, %v", c, word.Client, err)
		}
	}
	first, _ := v.Verify(t.Context(), ec.sign(t, good()), all, noon)
	second, _ := v.Verify(t.Context(), rs.sign(t, good(claims{"exp": noon.Add(time.Second).Unix()})), all, noon)
	third, _ := v.Verify(t.Context(), ec.sign(t, good(claims{"jti": "j2"})), all, noon)
	if first.ID != second.ID || first.ID == third.ID {
		t.Error("an id is not that of issuer and jti")
	}
}

func mustDecode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFileOfKeys: a key that is taken out of the file holds no longer, one that comes in does, and a file that is gone leaves none.
func TestFileOfKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	now := &clock{}
	old, young := newSigner(t, "1", jose.ES256), newSigner(t, "2", jose.ES256)
	v, err := New([]Source{{Name: "idp", Issuer: "https://idp.example", Audience: "sallyport", Keys: path}}, Options{Now: now.now})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(s *signer) error {
		now.Add(int64(2 * time.Second))
		_, err := v.Verify(t.Context(), s.sign(t, good()), []string{"idp"}, noon)
		return err
	}
	if err := verify(old); !errors.Is(err, ErrKeys) {
		t.Errorf("no file: %v", err)
	}
	writeSet(t, path, old.public())
	if err := verify(old); err != nil {
		t.Error(err)
	}
	if err := verify(young); err == nil {
		t.Error("a key that nobody knows signs")
	}
	writeSet(t, path, young.public(), jose.JSONWebKey{Key: old.public().Key, KeyID: "3", Use: "enc"})
	if err := verify(young); err != nil {
		t.Error(err)
	}
	if err := verify(old); err == nil {
		t.Error("a key that was taken out signs")
	}
	private := jose.JSONWebKey{Key: young.key, KeyID: "2"}
	writeSet(t, path, young.public(), private)
	if err := verify(young); !errors.Is(err, ErrKeys) || !strings.Contains(err.Error(), "not public") {
		t.Errorf("a private key in the set: %v", err)
	}
	writeSet(t, path, jose.JSONWebKey{Key: []byte("secret secret secret"), KeyID: "2"})
	if err := verify(young); !errors.Is(err, ErrKeys) {
		t.Errorf("a shared secret in the set: %v", err)
	}
	for _, text := range []string{"", "{}", `{"keys":[]}`, `{"keys":[{"kty":"what"}]}`, "[", `{"keys":[1]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := verify(young); !errors.Is(err, ErrKeys) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := verify(young); !errors.Is(err, ErrKeys) {
		t.Errorf("the file is gone: %v", err)
	}
}

// TestURLOfKeys: a set is read once for many tokens, again where a token names a key that it lacks, and holds for a while when the URL
// does not answer.
func TestURLOfKeys(t *testing.T) {
	old, young := newSigner(t, "1", jose.ES256), newSigner(t, "2", jose.ES256)
	var asked, away atomic.Int64
	var set atomic.Value
	set.Store(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{old.public()}})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if away.Load() > 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(set.Load())
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	now := &clock{}
	v, err := New([]Source{{Name: "idp", Issuer: "https://idp.example", Audience: "sallyport", Keys: server.URL, CA: ca}}, Options{Now: now.now})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string, s *signer, ok bool, questions int64) {
		t.Helper()
		_, err := v.Verify(t.Context(), s.sign(t, good()), []string{"idp"}, noon)
		if (err == nil) != ok || asked.Load() != questions {
			t.Errorf("%s: %v, asked %d times, not %d", what, err, asked.Load(), questions)
		}
	}
	for range 5 {
		expect("at first", old, true, 1)
	}
	expect("a key that is not there, soon", young, false, 1)
	now.Add(int64(11 * time.Second))
	set.Store(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{old.public(), young.public()}})
	expect("a key that is there now", young, true, 2)
	away.Store(1)
	now.Add(int64(11 * time.Minute))
	expect("nobody answers", young, true, 3)
	expect("nobody answers, again at once", young, true, 3)
	now.Add(int64(time.Hour))
	expect("nobody answers for an hour", young, false, 4)
	if _, err := New([]Source{{Name: "i", Issuer: "i", Audience: "a", Keys: "http://127.0.0.1/keys"}}, Options{Now: now.now}); err == nil {
		t.Error("keys are read in clear")
	}
}

// FuzzVerify: no text makes a Word that was not signed.
func FuzzVerify(f *testing.F) {
	path := filepath.Join(f.TempDir(), "keys.json")
	s := newSigner(f, "1", jose.ES256)
	writeSet(f, path, s.public())
	v, err := New([]Source{{Name: "idp", Issuer: "https://idp.example", Audience: "sallyport", Keys: path}}, Options{Now: (&clock{}).now})
	if err != nil {
		f.Fatal(err)
	}
	token := s.sign(f, good())
	f.Add(token[:len(token)-1])
	f.Add("e30.e30.e30")
	f.Add(`{"payload":"e30","signatures":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if text == token {
			return
		}
		if word, err := v.Verify(t.Context(), text, []string{"idp"}, noon); err == nil && strings.Split(text, ".")[1] != strings.Split(token, ".")[1] {
			t.Errorf("%q: %+v", text, word)
		}
	})
}

// BenchmarkVerify is what a transaction that acts for somebody costs once.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA} {
		b.Run(string(alg), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "keys.json")
			s := newSigner(b, "1", alg)
			writeSet(b, path, s.public())
			v, err := New([]Source{{Name: "idp", Issuer: "https://idp.example", Audience: "sallyport", Keys: path}}, Options{Now: (&clock{}).now})
			if err != nil {
				b.Fatal(err)
			}
			token := s.sign(b, good())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token, []string{"idp"}, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
