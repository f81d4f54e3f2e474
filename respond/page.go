package respond

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/smtp"
	"strconv"
	"strings"
	"time"
)

// Message is what people are told of a finding, or of several. It names staff and counts, and never a customer, a value or a reason that
// somebody wrote.
type Message struct {
	ID       string    `json:"id"`    // the same at each attempt
	Event    string    `json:"event"` // finding, digest, lock, restore
	Findings []string  `json:"findings,omitempty"`
	Staff    []string  `json:"staff"`
	Kind     string    `json:"kind,omitempty"`
	Type     string    `json:"type,omitempty"`
	Odds     float64   `json:"log10_odds,omitempty"`
	Exposed  int64     `json:"subjects_exposed,omitempty"`
	Text     []string  `json:"text,omitempty"` // sentences
	Steps    []string  `json:"steps,omitempty"`
	Acts     bool      `json:"acts"` // false: nothing was done, steps are what would have been
	Time     time.Time `json:"time"`
	Link     string    `json:"link,omitempty"` // the command that shows it
}

// Title is the message in a line.
func (m *Message) Title() string {
	if m.Event == "digest" {
		return fmt.Sprintf("Sallyport: %d more findings, about %d people", len(m.Findings), len(m.Staff))
	}
	return fmt.Sprintf("Sallyport: %s about %s, most likely %s", m.Kind, strings.Join(m.Staff, " and "), m.Type)
}

// Body is the message as sentences.
func (m *Message) Body() string {
	var b strings.Builder
	for _, s := range m.Text {
		b.WriteString(s + "\n")
	}
	switch {
	case len(m.Steps) == 0:
	case m.Acts:
		b.WriteString("Done: " + strings.Join(m.Steps, ", ") + ".\n")
	default:
		b.WriteString("Would have been done (Sallyport only observes): " + strings.Join(m.Steps, ", ") + ".\n")
	}
	if m.Link != "" {
		b.WriteString("More: " + m.Link + "\n")
	}
	return b.String()
}

// Sender takes a message to people.
type Sender interface {
	Send(ctx context.Context, m *Message) error
}

// Webhook posts messages as JSON, signed as all of Sallyport's webhooks.
type Webhook struct {
	URL    string
	Secret []byte
	Client *http.Client
	Now    func() time.Time
}

// Send is Sender's.
func (w *Webhook) Send(ctx context.Context, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	at := strconv.FormatInt(w.Now().Unix(), 10)
	mac := hmac.New(sha256.New, w.Secret)
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return post(ctx, w.Client, w.URL, body, map[string]string{
		"Sallyport-Delivery": m.ID, "Sallyport-Signature": "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil)),
	})
}

// post sends a body and wants a 2xx for it. Its errors do not name the address, which may hold a key.
func post(ctx context.Context, client *http.Client, address string, body []byte, headers map[string]string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return errors.New("send a message: the address cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	response, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("send a message: %w", errors.Unwrap(err))
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("send a message: it was answered by %d", response.StatusCode)
	}
	return nil
}

// PagerDuty triggers events by its Events API v2: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/. The lines of a finding
// that grows have one dedup_key, so that they are one incident.
type PagerDuty struct {
	URL    string
	Key    string // the integration's
	Client *http.Client
}

// Send is Sender's.
func (p *PagerDuty) Send(ctx context.Context, m *Message) error {
	severity := "warning"
	if m.Odds >= 1.5 || m.Kind == "canary" {
		severity = "critical"
	}
	key := m.ID
	if len(m.Findings) == 1 {
		key = "sallyport-" + m.Findings[0]
	}
	body, err := json.Marshal(map[string]any{
		"routing_key": p.Key, "event_action": "trigger", "dedup_key": key[:min(len(key), 255)],
		"payload": map[string]any{
			"summary": cut(m.Title(), 1024), "source": "sallyport", "severity": severity, "timestamp": m.Time.Format(time.RFC3339), "class": m.Kind,
			"custom_details": m,
		},
	})
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return post(ctx, p.Client, p.URL, body, nil)
}

// Slack posts to an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/.
type Slack struct {
	URL    string
	Client *http.Client
}

// Send is Sender's. & < > are the only characters that Slack wants escaped.
func (s *Slack) Send(ctx context.Context, m *Message) error {
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(m.Title() + "\n" + m.Body())
	body, err := json.Marshal(map[string]string{"text": cut(text, 4000)})
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return post(ctx, s.Client, s.URL, body, nil)
}

// Email sends mails by SMTP (RFC 5321), never without TLS.
type Email struct {
	Server, From   string
	To             []string
	User, Password string
	TLS            *tls.Config // with the authorities
	Now            func() time.Time
}

// Send is Sender's.
func (e *Email) Send(ctx context.Context, m *Message) error {
	host, port, err := net.SplitHostPort(e.Server)
	if err != nil {
		return fmt.Errorf("send a mail: %w", err)
	}
	trust := e.TLS.Clone()
	trust.ServerName = host
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.Server)
	if err != nil {
		return fmt.Errorf("send a mail: %w", err)
	}
	defer conn.Close()
	if until, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(until) // a server that stops answers late
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if port == "465" { // RFC 8314: TLS from the beginning
		conn = tls.Client(conn, trust)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return fmt.Errorf("send a mail: %w", err)
	}
	defer func() { _ = c.Close() }() // the mail was taken, or it is tried again
	if port != "465" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("send a mail: the server offers no TLS, without which nothing is sent")
		}
		if err := c.StartTLS(trust); err != nil {
			return fmt.Errorf("send a mail: begin TLS: %w", err)
		}
	}
	if e.User != "" {
		if err := c.Auth(smtp.PlainAuth("", e.User, e.Password, host)); err != nil {
			return fmt.Errorf("send a mail: log in: %w", err)
		}
	}
	return e.hand(c, m)
}

func (e *Email) hand(c *smtp.Client, m *Message) error {
	if err := c.Mail(e.From); err != nil {
		return fmt.Errorf("send a mail: sender: %w", err)
	}
	for _, to := range e.To {
		if err := c.Rcpt(to); err != nil {
			return fmt.Errorf("send a mail: recipient: %w", err)
		}
	}
	w, err := c.Data()
	if err == nil {
		_, err = w.Write(e.text(m))
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return fmt.Errorf("send a mail: %w", err)
	}
	_ = c.Quit() // it has the mail
	return nil
}

// text is the mail (RFC 5322). Its Message-ID is the same at each attempt.
func (e *Email) text(m *Message) []byte {
	_, domain, _ := strings.Cut(e.From, "@")
	var b strings.Builder
	for _, h := range [][2]string{
		{"From", e.From},
		{"To", strings.Join(e.To, ", ")},
		{"Subject", mime.QEncoding.Encode("utf-8", oneLine(m.Title()))},
		{"Date", e.Now().Format(time.RFC1123Z)},
		{"Message-ID", "<" + oneLine(m.ID) + "@" + domain + ">"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "8bit"},
		{"Auto-Submitted", "auto-generated"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n" + strings.ReplaceAll(m.Body(), "\n", "\r\n"))
	return []byte(b.String())
}

// oneLine keeps what stands in a header to it.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 127 {
			return ' '
		}
		return r
	}, s)
}

func cut(s string, most int) string {
	for len(s) > most {
		s = strings.ToValidUTF8(s[:most-3], "") + "…"
	}
	return s
}
