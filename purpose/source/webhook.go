package source

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/purpose"
)

// Headers of a signed message. The signature is the HMAC-SHA-256, in hexadecimal digits, of the time, a full stop and the body.
const (
	TimeHeader      = "X-Sallyport-Time"      // seconds since 1970
	SignatureHeader = "X-Sallyport-Signature" // sha256=…
)

// message is what the other system sends. docs/purposes.md is its page.
type message struct {
	ID      string        `json:"id"`      // of the message: what was taken once is not taken again
	Pending int           `json:"pending"` // how many messages wait that could not be delivered yet: then this one does not count as a sign of life
	Things  []messageItem `json:"things"`
}

// messageItem is the whole state of one ticket, call or job.
type messageItem struct {
	purpose.Thing
	Customer  sallyport.Subject `json:"customer"`   // in place of customers, where there is one
	Version   *int64            `json:"version"`    // higher is later
	UpdatedAt time.Time         `json:"updated_at"` // in place of version
	Gone      bool              `json:"gone"`
}

// webhook is a mirror that another system feeds.
type webhook struct {
	*mirror
	secret secret
	silent time.Duration
}

func openWebhook(c *purpose.WebhookConfig, silent time.Duration, folder string, o Options) (*webhook, error) {
	key, err := readSecret(&o, c.SecretFile)
	if err != nil {
		return nil, err
	}
	m, err := openMirror(folder, false, o)
	if err != nil {
		return nil, err
	}
	return &webhook{mirror: m, secret: key, silent: silent}, nil
}

// Taken is what a sender reads.
type Taken struct {
	News  int  `json:"news"`            // states that were later than what was known
	Known bool `json:"known,omitempty"` // the message was taken before
}

// Hear takes one message.
func (w *webhook) Hear(header http.Header, body []byte) (any, error) {
	at, err := w.signed(header, body)
	if err != nil {
		return nil, err
	}
	var msg message
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&msg); err != nil || decoder.More() {
		return nil, problem(http.StatusBadRequest, "no message: expected the JSON of docs/purposes.md")
	}
	if msg.ID == "" || len(msg.ID) > 200 {
		return nil, problem(http.StatusBadRequest, "the message has no id, or one of more than 200 characters")
	}
	if w.known(msg.ID) {
		return Taken{Known: true}, nil
	}
	e := &entry{ID: msg.ID, At: at, Late: msg.Pending > 0}
	for i := range msg.Things {
		item, wrong := msg.Things[i].item(w.hide)
		if wrong != "" {
			return nil, problem(http.StatusUnprocessableEntity, "thing %d: %s", i+1, wrong)
		}
		e.Items = append(e.Items, item)
	}
	news, err := w.take(e)
	if err != nil {
		return nil, err
	}
	return Taken{News: news}, nil
}

// signed is the signed time of a message.
func (w *webhook) signed(header http.Header, body []byte) (time.Time, error) {
	stamp := header.Get(TimeHeader)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	text, ok := strings.CutPrefix(header.Get(SignatureHeader), "sha256=")
	signature, bad := hex.DecodeString(text)
	if err != nil || !ok || bad != nil || !w.secret.signs(signature, stamp, ".", string(body)) {
		return time.Time{}, problem(http.StatusUnauthorized, "the signature is not that of this message: sign TIME.BODY with the secret of this source")
	}
	at := time.Unix(seconds, 0).UTC()
	if !inWindow(at, w.now()) {
		return time.Time{}, problem(http.StatusUnauthorized, "the message was signed more than five minutes ago, or ahead: sign it when it is sent, and set the clocks")
	}
	return at, nil
}

// item is what is kept; wrong says why it cannot be.
func (t *messageItem) item(hide func(string) string) (item Item, wrong string) {
	item = Item{Thing: t.Thing, Gone: t.Gone}
	switch {
	case t.ID == "" || len(t.ID) > 64:
		return item, "no id, or one of more than 64 characters"
	case t.Version == nil && t.UpdatedAt.IsZero():
		return item, "neither version nor updated_at: states that come in another order could not be told apart"
	case t.Customer != "" && len(t.Customers) > 0:
		return item, "both customer and customers"
	case slices.Contains(t.Customers, ""):
		return item, "a customer without a key"
	}
	if item.Version = t.UpdatedAt.UnixMicro(); t.Version != nil {
		item.Version = *t.Version
	}
	if t.Customer != "" {
		item.Customers = []sallyport.Subject{t.Customer}
	}
	if item.Number != "" {
		item.Number = hide(item.Number)
	}
	return item, ""
}

// Find returns what a reference names.
func (w *webhook) Find(_ context.Context, ref purpose.Ref) ([]purpose.Thing, error) {
	if err := w.alive(w.silent); err != nil {
		return nil, err
	}
	return sure(w.find(ref)), nil
}

// Mine returns what is assigned to somebody.
func (w *webhook) Mine(_ context.Context, names []string, most int) ([]purpose.Thing, error) {
	if err := w.alive(w.silent); err != nil {
		return nil, err
	}
	return sure(w.of(names, most)), nil
}

// sure are the things of items. Of one with two states of the same version nothing is known, save that it is there.
func sure(items []Item) []purpose.Thing {
	things := make([]purpose.Thing, len(items))
	for i, item := range items {
		things[i] = item.Thing
		if item.Unsure {
			things[i] = purpose.Thing{ID: item.ID, Customers: item.Customers, State: "unsure: two states of it have the same version"}
		}
	}
	return things
}

// Close ends the mirror's log.
func (w *webhook) Close() error { return w.close() }
