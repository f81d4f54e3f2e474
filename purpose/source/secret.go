package source

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// secret is a key of signatures. It does not print.
type secret struct{ key []byte }

// String redacts.
func (secret) String() string { return "[secret]" }

// GoString redacts.
func (secret) GoString() string { return "[secret]" }

// shortest is how long a secret must be: shorter ones can be guessed.
const shortest = 32

func readSecret(o *Options, file string) (secret, error) {
	text, err := o.Secret(o.Path(file))
	if err != nil {
		return secret{}, err
	}
	if len(text) < shortest {
		return secret{}, errors.New("the secret is shorter than 32 characters; make one with: openssl rand -base64 32")
	}
	return secret{[]byte(text)}, nil
}

// signs tells whether a signature is that of the parts.
func (s secret) signs(signature []byte, parts ...string) bool {
	mac := hmac.New(sha256.New, s.key)
	for _, part := range parts {
		mac.Write([]byte(part))
	}
	return hmac.Equal(mac.Sum(nil), signature)
}

// window is how far the time of a signed message may be from ours: what was overheard cannot be sent again later.
const window = 5 * time.Minute

func inWindow(at, now time.Time) bool {
	return at.After(now.Add(-window)) && at.Before(now.Add(window))
}

func sourceName(path string) (string, bool) { return strings.CutPrefix(path, "/purposes/") }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who asked has gone
}
