package export

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Webhook posts messages, one a line, signed. The receiver has them when it answers 2xx.
type Webhook struct {
	URL    string
	Secret []byte // of the signature; empty: none is made
	// Authorization, where set, is sent as the header of that name: Splunk's HEC and Elasticsearch know who sends by it.
	Authorization string
	Content       string // of the header Content-Type; empty: application/x-ndjson
	Client        *http.Client
	Clock         func() time.Time // of the signature; nil: time.Now

	buf bytes.Buffer
}

// The headers of a request.
const (
	SignatureHeader = "Sallyport-Signature" // t=SECONDS,v1=HEX: HMAC-SHA-256 of SECONDS, a dot and the body
	DeliveryHeader  = "Sallyport-Delivery"  // the id of the first message
)

// Deliver is Sink's: all of a batch, or nothing of it that counts.
func (w *Webhook) Deliver(ctx context.Context, batch []Message) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	w.buf.Reset()
	for i := range batch {
		w.buf.Write(batch[i].Body)
		w.buf.WriteByte('\n')
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(w.buf.Bytes()))
	if err != nil {
		return 0, errors.New("send to the webhook: its address cannot be used")
	}
	content := w.Content
	if content == "" {
		content = "application/x-ndjson"
	}
	req.Header.Set("Content-Type", content)
	req.Header.Set(DeliveryHeader, batch[0].UID)
	if len(w.Secret) > 0 {
		now := time.Now //nolint:forbidigo // of a signature, where nobody gave a clock
		if w.Clock != nil {
			now = w.Clock
		}
		req.Header.Set(SignatureHeader, Sign(w.Secret, now().Unix(), w.buf.Bytes()))
	}
	if w.Authorization != "" {
		req.Header.Set("Authorization", w.Authorization)
	}
	response, err := w.Client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reach the webhook: %w", errors.Unwrap(err)) // without the address, which may hold a key
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is used again
	return answered(response.StatusCode, len(batch))
}

// answered reads a status: what the receiver will never take is told from what it cannot take now. Who is not let in can be let in later.
func answered(status, n int) (int, error) {
	switch {
	case status/100 == 2:
		return n, nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusRequestTimeout,
		status == http.StatusTooManyRequests, status/100 != 4:
		return 0, fmt.Errorf("the webhook answered %d", status)
	}
	return 0, &RefusedError{fmt.Errorf("the webhook refused it with %d", status)}
}

// Sign is the signature of a body at a time.
func Sign(secret []byte, seconds int64, body []byte) string {
	at := strconv.FormatInt(seconds, 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
