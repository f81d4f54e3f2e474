// Package fakesiem is a fake of what receives logs elsewhere, for tests: a syslog server that speaks RFC 5424 over TLS (RFC 5425), and Splunk's
// HTTP Event Collector. Both can be told to misbehave as real ones do: to be gone in the middle of a message, to be busy, to cut.
//
// It refuses what the protocol does not allow, and keeps the ids of what it took.
package fakesiem

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Received is what a receiver has.
type Received struct {
	mu    sync.Mutex // guards what follows
	times map[string]int
	first []string
	wrong []string
}

// Add notes a message by the id in its body, metadata.uid of OCSF.
func (r *Received) Add(body []byte) (uid string) {
	var o struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(body, &o); err != nil || o.Metadata.UID == "" {
		r.Complain("a message is no OCSF with an id: %v", err)
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil {
		r.times = map[string]int{}
	}
	if r.times[o.Metadata.UID]++; r.times[o.Metadata.UID] == 1 {
		r.first = append(r.first, o.Metadata.UID)
	}
	return o.Metadata.UID
}

// Complain notes what is wrong with what came.
func (r *Received) Complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// Count is how many different messages came.
func (r *Received) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times)
}

// All are the ids in the order in which they came first, how many messages came again, and what was wrong.
func (r *Received) All() (first []string, again int, wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.times {
		again += n - 1
	}
	return append([]string{}, r.first...), again, append([]string{}, r.wrong...)
}

// Syslog is a receiver of RFC 5425.
type Syslog struct {
	Received
	listener net.Listener
	own      tls.Certificate
	rng      *mrand.Rand
	badly    int
	done     chan struct{}
}

// NewSyslog listens on this machine. Of ten connections it is gone in the middle of so many.
func NewSyslog(own tls.Certificate, badly int) (*Syslog, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed by Close
	if err != nil {
		return nil, err
	}
	s := &Syslog{listener: l, own: own, rng: mrand.New(mrand.NewPCG(3, 4)), badly: badly, done: make(chan struct{})} //nolint:gosec // tests repeat
	go func() {
		defer close(s.done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			s.one(raw)
		}
	}()
	return s, nil
}

// Address is where it listens.
func (s *Syslog) Address() string { return s.listener.Addr().String() }

// Close ends it.
func (s *Syslog) Close() {
	_ = s.listener.Close()
	<-s.done
}

// one serves a connection.
func (s *Syslog) one(raw net.Conn) {
	defer raw.Close()
	conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{s.own}, MinVersion: tls.VersionTLS12})
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:forbidigo // of a network
	limit, way := -1, 0
	if s.rng.IntN(10) < s.badly {
		limit, way = s.rng.IntN(60), s.rng.IntN(3)
	}
	if limit == 0 && way == 2 {
		return // before the handshake
	}
	r := bufio.NewReader(conn)
	for n := 0; limit < 0 || n < limit; n++ {
		length, err := r.ReadString(' ')
		if errors.Is(err, io.EOF) && length == "" {
			_ = conn.Close() // in order, as the sender does
			return
		}
		if err != nil {
			return // the sender was unplugged
		}
		size, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || size <= 0 {
			s.Complain("no frame of RFC 5425: %q", length)
			return
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		s.message(text)
	}
	if tcp, ok := raw.(*net.TCPConn); ok && way == 1 {
		_ = tcp.SetLinger(0)
	} // else it is as if it had been killed: what it did not read is gone, and nobody says a word
}

func (s *Syslog) message(text []byte) {
	head, body, ok := bytes.Cut(text, []byte("] "))
	parts := strings.SplitN(string(head), " ", 7)
	if !ok || len(parts) != 7 || !strings.HasPrefix(parts[0], "<") || !strings.HasSuffix(parts[0], ">1") || parts[3] != "sallyport" {
		s.Complain("no message of RFC 5424: %q", head)
		return
	}
	if _, err := time.Parse(time.RFC3339Nano, parts[1]); err != nil {
		s.Complain("its time: %v", err)
	}
	if uid := s.Add(body); !strings.Contains(parts[6], `uid="`+uid+`"`) {
		s.Complain("%q says another id than %s", parts[6], uid)
	}
}

// HEC is Splunk's HTTP Event Collector, as far as its endpoint for raw lines goes.
type HEC struct {
	Received
	Token string

	mu    sync.Mutex // guards what follows
	rng   *mrand.Rand
	badly int
}

// NewHEC is one that knows a token. Of ten requests it treats so many badly.
func NewHEC(token string, badly int) *HEC {
	return &HEC{Token: token, rng: mrand.New(mrand.NewPCG(5, 6)), badly: badly} //nolint:gosec // tests repeat
}

// hecAnswer is how HEC answers, with its own codes.
func hecAnswer(w http.ResponseWriter, status, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"text": text, "code": code})
}

// ServeHTTP is http.Handler's.
func (h *HEC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	way := -1
	if h.rng.IntN(10) < h.badly {
		way = h.rng.IntN(3)
	}
	h.mu.Unlock()
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case r.URL.Path != "/services/collector/raw" || r.Method != http.MethodPost:
		hecAnswer(w, http.StatusNotFound, 404, "The requested URL was not found on this server.")
		return
	case token == "":
		hecAnswer(w, http.StatusUnauthorized, 2, "Token is required")
		return
	case scheme != "Splunk" || token != h.Token:
		hecAnswer(w, http.StatusForbidden, 4, "Invalid token")
		return
	case len(bytes.TrimSpace(body)) == 0:
		hecAnswer(w, http.StatusBadRequest, 5, "No data")
		return
	case way == 0:
		hecAnswer(w, http.StatusServiceUnavailable, 9, "Server is busy")
		return
	case way == 1:
		panic(http.ErrAbortHandler) // cut before it was taken
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		h.Add(line)
	}
	if way == 2 {
		panic(http.ErrAbortHandler) // cut after it was taken: it comes again
	}
	hecAnswer(w, http.StatusOK, 0, "Success")
}

// Pair is a certificate for this machine, who trusts it, and it as PEM.
func Pair() (tls.Certificate, *x509.CertPool, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, nil, err
	}
	now := time.Now() //nolint:forbidigo // of a certificate
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
