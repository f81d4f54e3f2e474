package respond

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func message() *Message {
	return &Message{
		ID: "s017-1/page", Event: "finding", Findings: []string{"s017-1"}, Staff: []string{"s017"}, Kind: "exposure", Type: "malicious", Odds: 2.1, Exposed: 41,
		Text: []string{"s017: looked at 41 customers <without> a reason & more."}, Steps: []string{"mask"}, Time: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Link: "sallyport explain s017-1",
	}
}

// TestHTTP speaks with fakes of those who take messages by HTTP, each by what its documentation says of the body.
func TestHTTP(t *testing.T) {
	var body []byte
	var header http.Header
	status := http.StatusAccepted
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		header = r.Header
		w.WriteHeader(status)
	}))
	defer fake.Close()
	now := time.Unix(1772442000, 0)
	send := func(s Sender) map[string]any {
		t.Helper()
		if err := s.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	send(&Webhook{URL: fake.URL, Secret: []byte("0123456789abcdef"), Client: fake.Client(), Now: func() time.Time { return now }})
	mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
	mac.Write([]byte("1772442000." + string(body)))
	if got, want := header.Get("Sallyport-Signature"), "t=1772442000,v1="+hex.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
	p := send(&PagerDuty{URL: fake.URL, Key: "R0UT1NG", Client: fake.Client()})
	payload, _ := p["payload"].(map[string]any)
	if p["routing_key"] != "R0UT1NG" || p["event_action"] != "trigger" || p["dedup_key"] != "sallyport-s017-1" || payload["severity"] != "critical" || payload["source"] != "sallyport" || payload["summary"] == "" {
		t.Errorf("PagerDuty got %s", body)
	}
	s := send(&Slack{URL: fake.URL + "/services/T0/B0/SECRET", Client: fake.Client()})
	text, _ := s["text"].(string)
	if !strings.Contains(text, "41 customers &lt;without&gt; a reason &amp; more") || !strings.Contains(text, "Would have been done (Sallyport only observes): mask") {
		t.Errorf("Slack got %s", body)
	}
	status = http.StatusTooManyRequests
	err := (&Slack{URL: fake.URL + "/services/T0/B0/SECRET", Client: fake.Client()}).Send(t.Context(), message())
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("refused: %v", err)
	}
	fake.Close()
	err = (&Slack{URL: fake.URL + "/services/T0/B0/SECRET", Client: http.DefaultClient}).Send(t.Context(), message())
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("away: %v", err)
	}
}

// fakeSMTP is a fake mail server (RFC 5321, RFC 3207): it takes one mail, after STARTTLS where it has a certificate.
type fakeSMTP struct {
	net.Listener
	trust *tls.Config // nil: it has no TLS
	mail  chan string
}

func (f *fakeSMTP) serve() {
	conn, err := f.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }
	say("220 fake ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch word := strings.ToUpper(strings.Fields(line + " x")[0]); word {
		case "EHLO":
			say("250-fake")
			if f.trust != nil {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			if f.trust == nil {
				say("454 none")
				continue
			}
			say("220 go on")
			conn = tls.Server(conn, f.trust)
			r = bufio.NewReader(conn)
		case "AUTH":
			say("235 hello")
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil || l == ".\r\n" {
					break
				}
				b.WriteString(l)
			}
			f.mail <- b.String()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func mailServer(t *testing.T, secured bool) (*fakeSMTP, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, own, own, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(signed)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeSMTP{Listener: l, mail: make(chan string, 1)}
	if secured {
		f.trust = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(func() { l.Close() })
	go f.serve()
	return f, pool
}

// TestEmail: a mail goes over TLS, and without it nothing leaves: no password, no name.
func TestEmail(t *testing.T) {
	f, pool := mailServer(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e := &Email{
		Server: f.Addr().String(), From: "sallyport@example.org", To: []string{"soc@example.org"}, User: "u", Password: "p", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Now: time.Now,
	}
	m := message()
	m.Kind = "exposure\r\nBcc: thief@example.org"
	if err := e.Send(ctx, m); err != nil {
		t.Fatal(err)
	}
	mail := <-f.mail
	if !strings.Contains(mail, "\r\nMessage-ID: <s017-1/page@example.org>\r\n") || !strings.Contains(mail, "looked at 41 customers") || strings.Contains(mail, "\r\nBcc:") {
		t.Errorf("%q", mail)
	}
	f, _ = mailServer(t, false)
	e.Server = f.Addr().String()
	if err := e.Send(ctx, message()); err == nil || !strings.Contains(err.Error(), "without which nothing is sent") {
		t.Errorf("without TLS: %v", err)
	}
	f, _ = mailServer(t, true)
	e.Server, e.TLS = f.Addr().String(), &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if err := e.Send(ctx, message()); err == nil {
		t.Error("a certificate that nobody signed is taken")
	}
}
