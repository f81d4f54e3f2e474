package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/control"
	"sallyport/export"
)

// webhook tells another system what happened to grants: a chat, a mail gateway. What it sends says who, how many and where to look,
// and never a reason, a customer or a value. To approve takes the log-in, whoever has the link.
type webhook struct {
	what      string // it is, for the log
	url, link string
	secret    []byte
	client    *http.Client
	queue     chan delivery
	clock     func() time.Time
	log       *slog.Logger
	pauses    []time.Duration // between attempts
}

type delivery struct {
	id   string
	body []byte
}

// The bounds of telling: what comes while so much waits is in the log and in 'sallyport grants ls' only.
const (
	webhookQueue   = 256
	webhookTimeout = 10 * time.Second
)

// webhookPauses are between the attempts at one message, of which there is one more.
func webhookPauses() []time.Duration {
	return []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}
}

// GrantMessage is the body of what the webhook gets (docs/grants.md).
type GrantMessage struct {
	Event     string          `json:"event"` // requested, approved, active, declined, ended (by somebody), reported (what was seen, once it is over), glass_broken, glass_reviewed
	ID        string          `json:"id"`
	Customers int             `json:"customers"` // asked for
	Usual     sallyport.Usual `json:"usual"`     // customers a day that the beneficiary needs otherwise
	By        sallyport.Staff `json:"by"`
	For       sallyport.Staff `json:"for"`
	Columns   []string        `json:"columns"`
	Minutes   int             `json:"minutes"`
	Approved  []string        `json:"approved"`          // by whom
	Needs     [][]string      `json:"needs,omitempty"`   // groups: any of the lists is enough
	Seen      *int            `json:"seen,omitempty"`    // customers, of one that ended
	Review    time.Time       `json:"review,omitzero"`   // until when a break-glass is to be reviewed
	Link      string          `json:"link"`              // where to look; to decide takes the log-in
	Notices   []string        `json:"notices,omitempty"` // what is odd about an approval
}

// newWebhook reads its secret.
func newWebhook(c *config.Config, clock func() time.Time, log *slog.Logger) (*webhook, error) {
	w := c.Grants.Webhook
	if w.URL == "" {
		return nil, nil
	}
	secret, err := config.ReadSecretFile(c.Path(w.SecretFile))
	if err != nil {
		return nil, fmt.Errorf("open the webhook of grants: %w", err)
	}
	if len(secret) < 16 {
		return nil, config.Usagef("the secret of the webhook of grants has %d bytes; expected 16 or more: openssl rand -hex 32", len(secret))
	}
	return &webhook{
		what: "the webhook of grants", url: w.URL, link: w.Link, secret: []byte(secret), queue: make(chan delivery, webhookQueue), clock: clock, log: log, pauses: webhookPauses(),
		client: &http.Client{Timeout: webhookTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") }},
	}, nil
}

// send hands a message over. It does not wait.
func (w *webhook) send(what string, x *control.Grant) {
	m := GrantMessage{
		Event: what, ID: x.ID, Customers: x.Terms.Customers, Usual: x.Terms.Usual, By: x.By, For: x.Terms.For, Columns: x.Terms.Columns, Minutes: x.Terms.Minutes,
		Approved: []string{}, Link: w.linkTo(x.ID),
	}
	for _, v := range x.Votes {
		m.Approved = append(m.Approved, string(v.By))
		if v.Note != "" {
			m.Notices = append(m.Notices, v.Note)
		}
	}
	for _, line := range x.Terms.Needs {
		var names []string
		for _, need := range line {
			names = append(names, fmt.Sprintf("%d of %s", need.Of, need.From))
		}
		m.Needs = append(m.Needs, names)
	}
	if x.Use != nil {
		m.Seen = &x.Use.Customers
	}
	if x.Glass {
		m.Review = x.ReviewBy()
	}
	body, err := json.Marshal(m)
	if err != nil {
		w.log.Error("a message about a grant cannot be written", "id", x.ID, "why", err.Error())
		return
	}
	select {
	case w.queue <- delivery{strings.ToLower(rand.Text()), body}:
	default:
		w.log.Error("the webhook of grants is behind; nobody is told", "id", x.ID, "what", what)
	}
}

func (w *webhook) linkTo(id string) string {
	if w.link == "" {
		return "sallyport grants show " + id
	}
	return strings.ReplaceAll(w.link, "{id}", id)
}

// run delivers until ctx ends, one message after another.
func (w *webhook) run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-w.queue:
			w.deliver(ctx, d)
		}
	}
}

// deliver tries a few times.
func (w *webhook) deliver(ctx context.Context, d delivery) {
	for attempt := 0; ; attempt++ {
		err := w.post(ctx, d)
		if err == nil || ctx.Err() != nil {
			return
		}
		if attempt >= len(w.pauses) {
			w.log.Error(w.what+" did not take a message; no more attempts", "delivery", d.id, "attempts", attempt+1, "why", err.Error())
			return
		}
		pause := time.NewTimer(w.pauses[attempt])
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

func (w *webhook) post(ctx context.Context, d delivery) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(d.body))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(export.DeliveryHeader, d.id)
	req.Header.Set(export.SignatureHeader, export.Sign(w.secret, w.clock().Unix(), d.body))
	response, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("reach it: %w", errors.Unwrap(err)) // without the address, which may hold a key
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d", response.StatusCode)
	}
	return nil
}
