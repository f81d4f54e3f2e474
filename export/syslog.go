package export

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Syslog sends messages as RFC 5424 over TLS, framed by octet counting (RFC 5425).
//
// Syslog has no word for "I have it": what was written may lie in a buffer of a receiver that is gone. So each batch has a connection of its
// own, which ends in order: everything is written, and the end is told once the receiver's kernel has all of it and the receiver has not
// left; then the receiver must end its side by TLS's own word (close_notify). One that is killed says no such word, and one that closes
// with something unread resets the connection; then the batch is sent again. What a receiver read and lost by itself is its own loss.
type Syslog struct {
	Address  string // HOST:PORT
	TLS      *tls.Config
	Host     string        // in each message's header; empty: this machine's name
	Facility int           // RFC 5424, section 6.2.1; 0: 13, log audit
	Timeout  time.Duration // for all of a batch; 0: 30 s
	// Unconfirmed takes what the kernel took for delivered: for receivers that do not end their side. A crash of theirs loses messages.
	Unconfirmed bool

	buf []byte
}

const (
	auditFacility  = 13
	syslogTimeout  = 30 * time.Second
	syslogProgram  = "sallyport"
	mostHostLength = 255
)

// Deliver is Sink's: all of a batch, or nothing of it that counts.
func (s *Syslog) Deliver(ctx context.Context, batch []Message) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	timeout := s.Timeout
	if timeout == 0 {
		timeout = syslogTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return 0, fmt.Errorf("reach the receiver of syslog: %w", err)
	}
	defer raw.Close() //nolint:errcheck // what counts was confirmed before
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	line := &wordless{Conn: raw}
	conn := tls.Client(line, s.trust())
	if err := conn.HandshakeContext(ctx); err != nil {
		return 0, fmt.Errorf("reach the receiver of syslog: %w", err)
	}
	s.buf = s.buf[:0]
	for i := range batch {
		s.buf = s.frame(s.buf, &batch[i])
	}
	if _, err := conn.Write(s.buf); err != nil {
		return 0, fmt.Errorf("send to the receiver of syslog: %w", err)
	}
	if err := s.confirm(ctx, conn, line); err != nil {
		return 0, fmt.Errorf("the receiver of syslog did not end its side of the connection, so nobody knows what it has (a receiver that never does wants confirm: none): %w", err)
	}
	return len(batch), nil
}

// trust is TLS for the host of the address.
func (s *Syslog) trust() *tls.Config {
	trust := s.TLS.Clone()
	if trust.ServerName == "" {
		trust.ServerName, _, _ = net.SplitHostPort(s.Address)
	}
	return trust
}

// wordless tells whether TCP came to its end. The library takes that for the end of TLS where it stands between two records, and the end
// of TLS is not that of TCP: so whoever is killed could not be told from one who has read everything.
type wordless struct {
	net.Conn
	ended bool
}

// Read is net.Conn's.
func (w *wordless) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.ended = w.ended || errors.Is(err, io.EOF)
	return n, err
}

// confirm ends the connection in order and looks whether everything was read.
func (s *Syslog) confirm(ctx context.Context, conn *tls.Conn, line *wordless) error {
	if s.Unconfirmed {
		return conn.CloseWrite()
	}
	tcp, ok := line.Conn.(*net.TCPConn)
	if !ok {
		return errors.New("no TCP")
	}
	if err := unread(tcp); err != nil {
		return err
	}
	if err := stillThere(ctx, conn); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(conn, 64<<10)); err != nil {
		return err
	}
	if line.ended {
		return errors.New("TCP ended without the word of TLS")
	}
	return unread(tcp)
}

// leaving is how long a receiver is watched that has everything and was not told of the end: one that leaves then has not read it all.
const leaving = 20 * time.Millisecond

func stillThere(ctx context.Context, conn *tls.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(leaving)); err != nil { //nolint:forbidigo // of a network, not of a decision
		return err
	}
	var one [1]byte
	_, err := conn.Read(one[:])
	if !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
		return cmp.Or(err, errors.New("it answered or left before the end"))
	}
	return conn.SetReadDeadline(time.Time{})
}

// frame writes LENGTH SP MSG.
func (s *Syslog) frame(b []byte, m *Message) []byte {
	text := s.message(nil, m)
	b = strconv.AppendInt(b, int64(len(text)), 10)
	return append(append(b, ' '), text...)
}

// message writes <PRI>1 TIMESTAMP HOST APP PROCID MSGID SD MSG. The id of the message stands in its structured data, too.
func (s *Syslog) message(b []byte, m *Message) []byte {
	facility := s.Facility
	if facility == 0 {
		facility = auditFacility
	}
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(8*facility+syslogSeverity(m.Severity)), 10)
	b = append(b, ">1 "...)
	b = m.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(append(b, ' '), s.host()...)
	b = append(b, " "+syslogProgram+" "...)
	b = strconv.AppendInt(b, int64(os.Getpid()), 10)
	b = append(b, " event [sallyport@32473 uid=\""...) // 32473 is the number of RFC 5612 for examples: Sallyport has none of its own
	b = append(b, strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(m.UID)...)
	b = append(b, "\"] "...)
	return append(b, m.Body...)
}

func (s *Syslog) host() string {
	host := s.Host
	if host == "" {
		host, _ = os.Hostname()
	}
	host = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return -1
	}, host)
	if host == "" {
		return "-"
	}
	return host[:min(len(host), mostHostLength)]
}

// syslogSeverity is RFC 5424's, 0 emergency to 7 debug.
func syslogSeverity(ocsf int) int {
	switch {
	case ocsf >= high:
		return 2
	case ocsf == medium:
		return 4
	case ocsf == low:
		return 5
	}
	return 6
}
