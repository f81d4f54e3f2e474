package serve

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport/config"
	"sallyport/purpose/source"
)

// signedHook is a path at which other systems tell something by signed messages.
type signedHook struct {
	path       string
	secretFile string
	most       int64 // bytes of a message
	take       func(ctx context.Context, body []byte) (status int, text string)
}

// serveSigned takes signed messages until ctx ends. It closes the listener.
func (s *Server) serveSigned(ctx context.Context, l net.Listener, h signedHook) error {
	secret, err := config.ReadSecretFile(s.O.Config.Path(h.secretFile))
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if len(secret) < leastSecret {
		return errors.Join(fmt.Errorf("the secret is shorter than %d characters; make one with: openssl rand -base64 32", leastSecret), l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+h.path, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.most))
		if err != nil {
			http.Error(w, "the message is too long", http.StatusRequestEntityTooLarge)
			return
		}
		if !signedNow(secret, r.Header, body, s.O.Clock()) {
			http.Error(w, "the signature is not that of this message, or it was not signed just now: sign TIME.BODY", http.StatusUnauthorized)
			return
		}
		status, text := h.take(r.Context(), body)
		if status != http.StatusOK {
			http.Error(w, text, status)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // what was taken is on record; the rest is sent again
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("take messages: %w", err)
	}
	return nil
}

// listenSigned listens, over TLS where there is a certificate.
func (s *Server) listenSigned(ctx context.Context, address, certificate, key string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil || certificate == "" {
		return l, err
	}
	return tls.NewListener(l, s.O.Config.Renewed(certificate, key)), nil
}

// signedNow checks the signature of a message of another system, as package purpose/source has it made: HMAC-SHA-256 of the time, a full stop and the body.
func signedNow(secret string, header http.Header, body []byte, now time.Time) bool {
	const window = 5 * time.Minute
	stamp := header.Get(source.TimeHeader)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	text, ok := strings.CutPrefix(header.Get(source.SignatureHeader), "sha256=")
	given, bad := hex.DecodeString(text)
	if err != nil || !ok || bad != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + string(body)))
	at := time.Unix(seconds, 0)
	return hmac.Equal(mac.Sum(nil), given) && at.After(now.Add(-window)) && at.Before(now.Add(window))
}
