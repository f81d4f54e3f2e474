package serve

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"sallyport"
	"sallyport/canary"
)

// message is a mail or a call, as somebody tells of it.
type message struct {
	id     string
	scheme sallyport.Scheme
	to     string
	from   string // domain or network
	at     time.Time
	own    bool
	quoted bool
}

// mostHeard is how many are put on record in an hour: who has found a domain out must not fill the disk.
const mostHeard = 5000

// hourly bounds what is put on record.
type hourly struct {
	mu   sync.Mutex // guards what follows, and is held until a message is on record: what comes twice is taken once
	hour time.Time
	n    int
}

// hear waits for mail and messages until ctx ends.
func (c *canaries) hear(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	x := &c.s.O.Config.Canary
	start := func(what, listen, certificate, key string, serve func(net.Listener) error, where *string) {
		if listen == "" {
			return
		}
		if what == "mail" { // it has STARTTLS
			certificate = ""
		}
		listener, err := c.s.listenSigned(ctx, listen, certificate, key)
		if err != nil {
			c.s.log.Error("nobody hears what comes to canaries", "what", what, "why", err.Error())
			return
		}
		c.mu.Lock()
		*where = listener.Addr().String()
		c.mu.Unlock()
		wg.Go(func() {
			if err := serve(listener); err != nil && ctx.Err() == nil {
				c.s.log.Error("nobody hears any more what comes to canaries", "what", what, "why", err.Error())
			}
		})
	}
	start("mail", x.Mail.Listen, x.Mail.Certificate, x.Mail.Key, func(l net.Listener) error { return c.serveMail(ctx, l) }, &c.mail)
	start("messages", x.Hook.Listen, x.Hook.Certificate, x.Hook.Key, func(l net.Listener) error {
		return c.s.serveSigned(ctx, l, signedHook{path: "/canary", secretFile: x.Hook.SecretFile, most: 16 << 10, take: c.hooked})
	}, &c.hook)
	<-ctx.Done()
}

// take puts a message on record. What is not at one of the company's details for canaries, or at an address that nobody was shown, is left alone: a
// catch-all domain gets the mail of everybody who guesses. Every call to a number counts, since the number's background is measured by them.
func (c *canaries) take(m message) error {
	book := c.book.Load()
	if book == nil {
		return errNotReady
	}
	if !book.Listens(m.scheme, m.to) {
		return errElsewhere
	}
	d := book.Key().Digest(m.scheme, m.to)
	shown := book.WhoByDigest(d)
	if m.scheme == sallyport.Email && len(shown) == 0 {
		return nil
	}
	now := c.s.O.Clock()
	if m.at.IsZero() || m.at.After(now) {
		m.at = now
	}
	c.taken.mu.Lock()
	defer c.taken.mu.Unlock()
	if book.WasHeard(m.id) {
		return nil
	}
	if hour := now.Truncate(time.Hour); hour != c.taken.hour {
		c.taken.hour, c.taken.n = hour, 0
	}
	if c.taken.n++; c.taken.n > mostHeard {
		return errMuch
	}
	h := &sallyport.CanaryHeard{ID: m.id, Scheme: m.scheme, Digest: d, At: m.at, From: m.from, Own: m.own, Quoted: m.quoted}
	e := &sallyport.Event{Time: now, Kind: sallyport.CanaryHeardKind, Order: &sallyport.Order{Action: "hear", CanaryHeard: h}}
	h.Suspects = c.suspects(book, h, shown)
	if err := c.s.orders.Give(nil, e); err != nil {
		return err
	}
	return book.Apply(e)
}

var (
	errElsewhere = errors.New("this is no detail that is heard here")              //nolint:gochecknoglobals // a sentinel
	errMuch      = errors.New("too much comes to canaries within an hour to keep") //nolint:gochecknoglobals // a sentinel
)

// suspects are those who were shown a detail before a message came to it.
func (c *canaries) suspects(book *canary.Book, h *sallyport.CanaryHeard, shown []canary.Sighting) (list []sallyport.CanarySuspect) {
	var before []canary.Sighting
	for _, s := range shown {
		if s.Looks[0].Time.Before(h.At) {
			before = append(before, s)
		}
	}
	each, _ := c.suspicion(book, h.Scheme, h.Digest, before, canary.Call{At: h.At, Quoted: h.Quoted})
	for i := range before {
		last := before[i].Looks[0]
		for _, l := range before[i].Looks {
			if l.Time.Before(h.At) {
				last = l
			}
		}
		list = append(list, sallyport.CanarySuspect{
			Staff: before[i].Viewer, Shown: last.Time, Millionth: int64(each[i] * 1e6), Grant: before[i].Grant, Session: last.Session,
		})
	}
	return list
}

// mailSession is one connection of a mail server. Nothing is kept of a mail but its envelope and its id.
type mailSession struct {
	c    *canaries
	peer string
	own  bool
	from string
	to   []string
}

// Reset forgets the envelope.
func (m *mailSession) Reset() { m.from, m.to = "", nil }

// Logout ends the session.
func (m *mailSession) Logout() error { return nil }

// Mail takes the sender's domain.
func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	_, m.from, _ = strings.Cut(from, "@")
	return nil
}

// Rcpt refuses what is not for one of the domains: this is no relay. Every address there is taken alike, so that nobody learns which ones mean something.
func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	book := m.c.book.Load()
	switch {
	case book == nil:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "Try again later"}
	case !book.Listens(sallyport.Email, to):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such address here"}
	}
	m.to = append(m.to, to)
	return nil
}

// Data reads the mail to its end, and keeps of it its Message-ID as a digest: what a sender delivers twice counts once.
func (m *mailSession) Data(r io.Reader) error {
	head := bufio.NewReader(io.LimitReader(r, 64<<10))
	id := ""
	if header, err := textproto.NewReader(head).ReadMIMEHeader(); err == nil || len(header) > 0 {
		id = header.Get("Message-Id")
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("read a mail: %w", err)
	}
	if id == "" {
		id = rand.Text()
	}
	for _, to := range m.to {
		sum := sha256.Sum256([]byte(m.from + "\n" + strings.ToLower(to) + "\n" + id))
		err := m.c.take(message{id: "mail:" + hex.EncodeToString(sum[:12]), scheme: sallyport.Email, to: to, from: strings.TrimSpace(bounded(m.from) + " " + m.peer), own: m.own})
		if err != nil {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "It cannot be kept now"}
		}
	}
	return nil
}

// bounded is a name that others chose.
func bounded(s string) string { return Printable(s[:min(len(s), 100)]) }

// serveMail takes mail until ctx ends.
func (c *canaries) serveMail(ctx context.Context, l net.Listener) error {
	server := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		peer := conn.Conn().RemoteAddr().String()
		host, _, _ := net.SplitHostPort(peer)
		return &mailSession{c: c, peer: host, own: c.isOwn(host)}, nil
	}))
	server.Domain, server.MaxRecipients, server.MaxMessageBytes, server.MaxLineLength = "mail", 100, 10<<20, 4000
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.EnableSMTPUTF8 = true
	server.ErrorLog = slog.NewLogLogger(c.s.log.Handler(), slog.LevelDebug)
	if m := c.s.O.Config.Canary.Mail; m.Certificate != "" {
		server.TLSConfig = c.s.O.Config.Renewed(m.Certificate, m.Key)
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(&few{Listener: l, slots: make(chan struct{}, 64)}); !errors.Is(err, smtp.ErrServerClosed) {
		return fmt.Errorf("take mail: %w", err)
	}
	return nil
}

// few lets so many connections in at a time; others wait.
type few struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a connection and for room.
func (f *few) Accept() (net.Conn, error) {
	f.slots <- struct{}{}
	conn, err := f.Listener.Accept()
	if err != nil {
		<-f.slots
		return nil, err
	}
	return &counting{Conn: conn, free: sync.OnceFunc(func() { <-f.slots })}, nil
}

// counting frees its room when it is closed.
type counting struct {
	net.Conn
	free func()
}

// Close closes it.
func (c *counting) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// isOwn tells whether a machine is one of the company's own.
func (c *canaries) isOwn(host string) bool {
	at, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, text := range c.s.O.Config.Canary.Own {
		if n, err := netip.ParsePrefix(text); err == nil && n.Contains(at.Unmap()) {
			return true
		}
	}
	return false
}

// hookMessage is what another system sends: docs/canaries.md is its page.
type hookMessage struct {
	ID     string    `json:"id"`
	Type   string    `json:"type"` // mail, call
	To     string    `json:"to"`
	From   string    `json:"from"` // of a mail the sender's domain; of a call nothing: the number would be personal
	At     time.Time `json:"at"`
	Own    bool      `json:"own"`
	Quoted bool      `json:"quoted_name"`
}

// hooked takes one message; the text says what is wrong with it.
func (c *canaries) hooked(_ context.Context, body []byte) (status int, text string) {
	var t hookMessage
	if json.Unmarshal(body, &t) != nil || t.ID == "" || len(t.ID) > 200 || t.To == "" || len(t.To) > 320 {
		return http.StatusBadRequest, "no message: expected the JSON of docs/canaries.md, with id, type and to"
	}
	m := message{id: t.Type + ":" + t.ID, to: t.To, at: t.At, own: t.Own, quoted: t.Quoted}
	switch t.Type {
	case "mail":
		m.scheme, m.from = sallyport.Email, bounded(t.From)
		if _, domain, ok := strings.Cut(m.from, "@"); ok {
			m.from = domain
		}
	case "call":
		m.scheme = sallyport.Phone
	default:
		return http.StatusUnprocessableEntity, "the type is neither mail nor call"
	}
	switch err := c.take(m); {
	case errors.Is(err, errElsewhere):
		return http.StatusUnprocessableEntity, "this is neither an address at one of canary.domains nor one of canary.numbers"
	case err != nil:
		return http.StatusServiceUnavailable, "it cannot be put on record now: " + err.Error()
	}
	return http.StatusOK, ""
}
