package keys

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// VaultOptions say how a Vault or OpenBao is reached. It is always spoken to over TLS, and its certificate is always checked.
type VaultOptions struct {
	URL   string        // vault://HOST:PORT/MOUNT/KEY: a key of the transit engine
	Token string        // that may encrypt and decrypt with it
	CA    string        // file of the authority that signed its certificate, PEM; empty: the system's
	Wait  time.Duration // before the first retry; 0: 250 ms. Each further one waits twice as long
}

// Vault wraps by the transit engine of a HashiCorp Vault or an OpenBao: the key that wraps never leaves it.
type Vault struct {
	name   string // vault://HOST:PORT/MOUNT/KEY
	base   string // https://HOST:PORT/v1/MOUNT
	key    string
	bearer func() string // a closure, so that nothing prints it
	client *http.Client
	wait   time.Duration
}

const (
	vaultScheme = "vault://"
	// vaultTries bounds how often one request is sent: with the usual pauses it gives up after about 8 s besides what the answers take.
	vaultTries   = 6
	vaultTimeout = 10 * time.Second // of one try
	vaultPause   = 250 * time.Millisecond
	vaultAnswer  = 64 << 10 // bytes of an answer that are read
)

// NewVault checks the options; nothing is sent yet.
func NewVault(o VaultOptions) (*Vault, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme+"://" != vaultScheme || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("use a Vault: the provider must have the form vault://HOST:PORT/transit/KEY")
	}
	mount, key, ok := cutLast(strings.Trim(u.Path, "/"), "/")
	if !ok || mount == "" || key == "" {
		return nil, errors.New("use a Vault: the provider must name the engine and the key: vault://HOST:PORT/transit/KEY")
	}
	if o.Token == "" {
		return nil, errors.New("use a Vault: there is no token: name a file with keys.token_file, or set VAULT_TOKEN")
	}
	authorities, err := readAuthorities(o.CA)
	if err != nil {
		return nil, err
	}
	v := &Vault{name: o.URL, base: "https://" + u.Host + "/v1/" + mount, key: key, bearer: func() string { return o.Token }, wait: o.Wait}
	if v.wait == 0 {
		v.wait = vaultPause
	}
	v.client = &http.Client{
		Timeout: vaultTimeout,
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			DialContext:     (&net.Dialer{Timeout: vaultTimeout}).DialContext,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities},
		},
		// The token goes where the configuration says and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return v, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the Vault's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the Vault's authority: there is no certificate in %s", file)
	}
	return pool, nil
}

// Name is the URL of the key.
func (v *Vault) Name() string { return v.name }

// Wrap has the Vault encrypt.
func (v *Vault) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	answer, err := v.ask(ctx, "encrypt", map[string]string{"plaintext": base64.StdEncoding.EncodeToString(key)})
	if err != nil {
		return nil, err
	}
	if answer.Ciphertext == "" {
		return nil, v.trouble("encrypt", "its answer holds no ciphertext: is this a transit engine?")
	}
	return []byte(answer.Ciphertext), nil
}

// Unwrap has the Vault decrypt.
func (v *Vault) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	answer, err := v.ask(ctx, "decrypt", map[string]string{"ciphertext": string(wrapped)})
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(answer.Plaintext)
	if err != nil || len(key) != KeySize {
		return nil, v.trouble("decrypt", "its answer holds no key of ours")
	}
	return key, nil
}

// transit is the part of the engine's answers that matters (developer.hashicorp.com/vault/api-docs/secret/transit).
type transit struct {
	Ciphertext string `json:"ciphertext"`
	Plaintext  string `json:"plaintext"`
}

// ask sends a request, and again after a pause where an answer may still come.
func (v *Vault) ask(ctx context.Context, what string, in map[string]string) (transit, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return transit{}, fmt.Errorf("ask the Vault: %w", err)
	}
	defer clear(body)
	pause := v.wait
	for try := 1; ; try++ {
		answer, again, err := v.try(ctx, what, body)
		switch {
		case err == nil || !again:
			return answer, err
		case try == vaultTries:
			return answer, fmt.Errorf("%w: %w", err, ErrUnavailable)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return transit{}, fmt.Errorf("%w: %w", err, ErrUnavailable)
		case <-timer.C:
		}
		pause *= 2
	}
}

// try sends a request once. again tells whether another try may help.
func (v *Vault) try(ctx context.Context, what string, body []byte) (answer transit, again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.base+"/"+what+"/"+v.key, bytes.NewReader(body))
	if err != nil {
		return answer, false, fmt.Errorf("ask the Vault: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Vault-Token", v.bearer())
	request.Header.Set("X-Vault-Request", "true")
	response, err := v.client.Do(request)
	if err != nil {
		unknown := new(tls.CertificateVerificationError)
		return answer, !errors.As(err, &unknown) && ctx.Err() == nil, fmt.Errorf("ask %s to %s: %w", v.name, what, cause(err))
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, vaultAnswer))
	defer clear(content)
	if err != nil {
		return answer, true, v.trouble(what, "its answer broke off")
	}
	if response.StatusCode != http.StatusOK {
		sentence, again := refusal(response.StatusCode)
		return answer, again, v.trouble(what, sentence)
	}
	var envelope struct {
		Data transit `json:"data"`
	}
	if json.Unmarshal(content, &envelope) != nil {
		return answer, false, v.trouble(what, "its answer is no JSON: is this a Vault?")
	}
	return envelope.Data, false, nil
}

// refusal says what a status means (developer.hashicorp.com/vault/api-docs, "HTTP status codes") and whether it passes. What the
// server wrote is not quoted: it may be anybody's.
func refusal(status int) (sentence string, again bool) {
	switch status {
	case http.StatusBadRequest:
		return "it refuses the request (400): is this the key that wrapped it?", false
	case http.StatusForbidden:
		return "the token may not do this (403): its policy must allow update on encrypt/KEY and decrypt/KEY; or it has expired", false
	case http.StatusNotFound:
		return "there is no such engine or key (404)", false
	case http.StatusTooManyRequests, http.StatusPreconditionFailed:
		return fmt.Sprintf("it is too busy (%d)", status), true
	case http.StatusServiceUnavailable:
		return "it is sealed or in maintenance (503)", true
	case http.StatusTemporaryRedirect, http.StatusMovedPermanently, http.StatusFound, http.StatusPermanentRedirect:
		return fmt.Sprintf("it sends elsewhere (%d): name the active node, or a load balancer in front of them", status), false
	}
	return fmt.Sprintf("it answered %d", status), status >= http.StatusInternalServerError
}

// cause leaves out the request's address, which the sentence has already.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

func (v *Vault) trouble(what, sentence string) error {
	return fmt.Errorf("ask %s to %s: %s", v.name, what, sentence)
}
