package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeVault is a fake: it speaks as much of the transit engine's HTTP API as Vault and OpenBao document, and is neither.
type fakeVault struct {
	server *httptest.Server
	aead   cipher.AEAD

	mu       sync.Mutex // guards what follows
	failures []int      // statuses that the next requests get
	requests int
}

const fakeVaultToken = "hvs.fake-token-of-the-fake-vault"

func newFakeVault(t *testing.T) *fakeVault {
	t.Helper()
	block, err := aes.NewCipher([]byte(strings.Repeat("k", 32)))
	must(t, err)
	v := &fakeVault{}
	v.aead, err = cipher.NewGCMWithRandomNonce(block)
	must(t, err)
	v.server = httptest.NewTLSServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.server.Close)
	return v
}

func (v *fakeVault) serve(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.requests++
	status := http.StatusOK
	if len(v.failures) > 0 {
		status, v.failures = v.failures[0], v.failures[1:]
	}
	v.mu.Unlock()
	answer := func(status int, value any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(value)
	}
	var in struct{ Plaintext, Ciphertext string }
	switch {
	case status == http.StatusTemporaryRedirect:
		w.Header().Set("Location", "https://127.0.0.1:1/")
		answer(status, nil)
	case status != http.StatusOK:
		answer(status, map[string]any{"errors": []string{"MARKER " + r.Header.Get("X-Vault-Token")}})
	case r.Method != http.MethodPost || r.Header.Get("X-Vault-Token") != fakeVaultToken:
		answer(http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
	case json.NewDecoder(r.Body).Decode(&in) != nil:
		answer(http.StatusBadRequest, nil)
	case r.URL.Path == "/v1/transit/encrypt/sallyport":
		plain, err := base64.StdEncoding.DecodeString(in.Plaintext)
		if err != nil {
			answer(http.StatusBadRequest, nil)
			return
		}
		answer(http.StatusOK, map[string]any{"data": map[string]any{
			"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(v.aead.Seal(nil, nil, plain, nil)), "key_version": 1,
		}})
	case r.URL.Path == "/v1/transit/decrypt/sallyport":
		sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(in.Ciphertext, "vault:v1:"))
		if err == nil {
			sealed, err = v.aead.Open(nil, nil, sealed, nil)
		}
		if err != nil {
			answer(http.StatusBadRequest, map[string]any{"errors": []string{"cipher: message authentication failed"}})
			return
		}
		answer(http.StatusOK, map[string]any{"data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString(sealed)}})
	default:
		answer(http.StatusNotFound, map[string]any{"errors": []string{}})
	}
}

func (v *fakeVault) fail(statuses ...int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures, v.requests = statuses, 0
}

func (v *fakeVault) asked() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.requests
}

// options reach the fake with its own certificate as the authority.
func (v *fakeVault) options(t *testing.T) VaultOptions {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.server.Certificate().Raw}), 0o600))
	return VaultOptions{URL: "vault://" + v.server.Listener.Addr().String() + "/transit/sallyport", Token: fakeVaultToken, CA: ca, Wait: time.Millisecond}
}

func mustVault(t *testing.T, o VaultOptions) *Vault {
	t.Helper()
	v, err := NewVault(o)
	must(t, err)
	return v
}

// TestVault makes a ring that a Vault wraps, and opens it again.
func TestVault(t *testing.T) {
	fake := newFakeVault(t)
	dir := filepath.Join(t.TempDir(), "data")
	o := Options{Dir: dir, Provider: mustVault(t, fake.options(t)), Groups: []string{"phone"}, Make: true}
	k, err := Open(t.Context(), o)
	must(t, err)
	first := print(t, k)
	o.Make = false
	k, err = Open(t.Context(), o)
	must(t, err)
	if print(t, k) != first {
		t.Error("another key was found")
	}
	status, err := Look(dir)
	must(t, err)
	if status.Provider != o.Provider.Name() {
		t.Errorf("the ring is wrapped by %q", status.Provider)
	}
	dirOther, keyFile := places(t)
	o.Provider = &KeyFile{Path: keyFile, Dir: dirOther}
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "it was wrapped by vault://") {
		t.Errorf("another provider: %v", err)
	}
}

// TestVaultRetries tries again what may pass, a bounded number of times, and nothing else; and no error quotes the answer or the token.
func TestVaultRetries(t *testing.T) {
	fake := newFakeVault(t)
	v := mustVault(t, fake.options(t))
	for _, c := range []struct {
		failures []int
		asked    int
		want     string // empty: it works
	}{
		{nil, 1, ""},
		{[]int{503}, 2, ""},
		{[]int{500, 429, 503, 502, 412}, 6, ""},
		{[]int{503, 503, 503, 503, 503, 503, 503, 503}, vaultTries, "sealed or in maintenance"},
		{[]int{403}, 1, "may not do this"},
		{[]int{404}, 1, "no such engine or key"},
		{[]int{400}, 1, "refuses the request"},
		{[]int{307}, 1, "sends elsewhere"},
		{[]int{501, 418}, 2, "answered 418"},
	} {
		fake.fail(c.failures...)
		_, err := v.Wrap(t.Context(), make([]byte, KeySize))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %v, want %q", c.failures, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "MARKER") || strings.Contains(err.Error(), fakeVaultToken)) {
			t.Errorf("%v: the error quotes: %v", c.failures, err)
		}
		if (len(c.failures) > vaultTries) != errors.Is(err, ErrUnavailable) {
			t.Errorf("%v: whether to try later is wrong: %v", c.failures, err)
		}
		if got := fake.asked(); got != c.asked {
			t.Errorf("%v: asked %d times, want %d", c.failures, got, c.asked)
		}
	}
}

// TestVaultRefused lists what is refused before or when a Vault is asked.
func TestVaultRefused(t *testing.T) {
	fake := newFakeVault(t)
	for name, c := range map[string]struct {
		change func(*VaultOptions)
		want   string
	}{
		"without TLS":       {func(o *VaultOptions) { o.URL = "http" + strings.TrimPrefix(o.URL, "vault") }, "vault://HOST:PORT"},
		"no key":            {func(o *VaultOptions) { o.URL = strings.TrimSuffix(o.URL, "/transit/sallyport") + "/transit" }, "name the engine and the key"},
		"a password in it":  {func(o *VaultOptions) { o.URL = "vault://me:MARKER@127.0.0.1:1/transit/key" }, "vault://HOST:PORT"},
		"no token":          {func(o *VaultOptions) { o.Token = "" }, "VAULT_TOKEN"},
		"an empty CA":       {func(o *VaultOptions) { o.CA = os.DevNull }, "no certificate"},
		"a missing CA":      {func(o *VaultOptions) { o.CA += "2" }, "no such file"},
		"unknown authority": {func(o *VaultOptions) { o.CA = "" }, "certificate"},
		"another token":     {func(o *VaultOptions) { o.Token = "MARKER" }, "may not do this"},
		"another key":       {func(o *VaultOptions) { o.URL += "2" }, "no such engine or key"},
		"nobody there":      {func(o *VaultOptions) { o.URL = "vault://127.0.0.1:1/transit/sallyport" }, "refused"},
	} {
		o := fake.options(t)
		c.change(&o)
		v, err := NewVault(o)
		if err == nil {
			_, err = v.Wrap(t.Context(), make([]byte, KeySize))
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "MARKER") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
