package assertion

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How long keys are taken for what they are. A set behind a URL is read again in good time, and sooner where a token names a key that it
// does not hold; while the URL does not answer, the keys that are there hold for a while.
const (
	fileAge     = time.Second      // a file is looked at again
	freshAge    = 10 * time.Minute // a set behind a URL is read again
	staleAge    = time.Hour        // it holds no longer than that
	unknownAge  = 10 * time.Second // between two looks for a key that a set did not hold
	fetchBound  = 3 * time.Second
	longestSet  = 1 << 20
	mostKeys    = 200
	smallestRSA = 2048
)

// keys are a source's set.
type keys struct {
	where string
	url   bool
	http  *http.Client
	now   func() time.Time

	mu     sync.Mutex // guards what follows; it is held while a set is read
	list   []jose.JSONWebKey
	read   time.Time // when list was read; zero: never
	tried  time.Time // when it was tried last
	stamp  time.Time // of the file
	length int64
}

func newKeys(where, ca string, now func() time.Time) (*keys, error) {
	k := &keys{where: where, url: strings.Contains(where, "://"), now: now}
	if !k.url {
		return k, nil
	}
	if err := CheckURL(where); err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxIdleConns: 1, IdleConnTimeout: time.Minute}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read who signs for %s: %w", where, err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read who signs for %s: no certificate in %s", where, ca)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	k.http = &http.Client{Transport: transport, Timeout: fetchBound, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it is somewhere else; name that place in the configuration")
	}}
	return k, nil
}

// CheckURL says why a set may not be read from there: in clear somebody between could put his own keys in.
func CheckURL(where string) error {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" {
		return errors.New("no URL that can be used; expected https://HOST/PATH")
	}
	if u.Scheme != "https" {
		return errors.New("keys are read over https only: in clear, somebody between could put his own in")
	}
	return nil
}

// find is the keys that may have made a signature: by its name or, where the token names none, the only one.
func (k *keys) find(ctx context.Context, id, algorithm string) ([]any, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.fresh(ctx); err != nil {
		return nil, err
	}
	found := k.named(id, algorithm)
	if len(found) == 0 && k.url && k.now().Sub(k.tried) >= unknownAge { // it may be newer than the set
		if err := k.again(ctx); err != nil {
			return nil, err
		}
		found = k.named(id, algorithm)
	}
	if id == "" && len(found) > 1 {
		return nil, refuse("the assertion does not say by which key it is signed", "Name it by kid in the token's header.")
	}
	return found, nil
}

// named are the keys of that name that fit an algorithm. The caller holds mu.
func (k *keys) named(id, algorithm string) (out []any) {
	for i := range k.list {
		key := &k.list[i]
		if (id == "" || key.KeyID == id) && (key.Algorithm == "" || key.Algorithm == algorithm) && fits(key.Key, algorithm) {
			out = append(out, key.Key)
		}
	}
	return out
}

// fits says whether a key is of the kind that an algorithm takes.
func fits(key any, algorithm string) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Curve.Params().BitSize]
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// load reads the set now.
func (k *keys) load(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.again(ctx)
}

// fresh sees to it that the set is not too old. The caller holds mu.
func (k *keys) fresh(ctx context.Context) error {
	now := k.now()
	if !k.url {
		if !k.read.IsZero() && now.Sub(k.tried) < fileAge {
			return nil
		}
		return k.again(ctx)
	}
	age := now.Sub(k.read)
	switch {
	case k.read.IsZero(), age >= staleAge:
		return k.again(ctx)
	case age >= freshAge && now.Sub(k.tried) >= unknownAge:
		_ = k.again(ctx) // those that are there hold on
	}
	return nil
}

// again reads the set. What cannot be read any more holds no longer if it is a file: it may have been taken away because a key was
// stolen. The caller holds mu.
func (k *keys) again(ctx context.Context) error {
	k.tried = k.now()
	if !k.url {
		return k.readFile()
	}
	text, err := k.fetch(ctx)
	if err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrKeys, k.where, err)
	}
	list, err := parseSet(text)
	if err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrKeys, k.where, err)
	}
	k.list, k.read = list, k.tried
	return nil
}

func (k *keys) readFile() error {
	info, err := os.Stat(k.where)
	if err == nil && !k.read.IsZero() && info.ModTime().Equal(k.stamp) && info.Size() == k.length {
		return nil
	}
	k.list, k.read = nil, time.Time{}
	if err == nil && info.Size() > longestSet {
		err = errors.New("the file is too long")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(k.where)
	}
	var list []jose.JSONWebKey
	if err == nil {
		list, err = parseSet(text)
	}
	if err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrKeys, k.where, err)
	}
	k.list, k.read, k.stamp, k.length = list, k.tried, info.ModTime(), info.Size()
	return nil
}

// fetch reads a set from its URL. A session's end does not end it: others wait for the same.
func (k *keys) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchBound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.where, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	answer, err := k.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestSet+1))
	if err == nil && len(text) > longestSet {
		err = errors.New("the set is too long")
	}
	return text, err
}

// parseSet reads a JWKS. Keys of kinds that nothing here takes are passed over; one that is not public spoils the set.
func parseSet(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New(`no set of keys; expected {"keys":[…]} (RFC 7517)`)
	}
	if len(set.Keys) > mostKeys {
		return nil, fmt.Errorf("the set holds more than %d keys", mostKeys)
	}
	var out []jose.JSONWebKey
	for _, raw := range set.Keys {
		var secret struct {
			D, K any
		}
		if err := json.Unmarshal(raw, &secret); err != nil {
			return nil, errors.New("a key of the set is no JSON object")
		}
		if secret.D != nil || secret.K != nil {
			return nil, errors.New("the set holds a key that is not public: who can read it can pass as anybody. Make new keys, and put only public ones here")
		}
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); errors.Is(err, jose.ErrUnsupportedKeyType) {
			continue
		} else if err != nil {
			return nil, errors.New("a key of the set cannot be read")
		}
		if !usable(&key) {
			continue
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, errors.New("the set holds no key that signs")
	}
	return slices.Clip(out), nil
}

// usable says whether a key may sign, and is long enough.
func usable(key *jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() || !key.IsPublic() {
		return false
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok {
		return k.N.BitLen() >= smallestRSA
	}
	return true
}
