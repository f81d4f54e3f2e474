package export

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/record"
	"sallyport/sources"
)

// recorded is a real record with so many entries.
func recorded(t *testing.T, n int) *record.Stream {
	t.Helper()
	stream, err := record.Open(filepath.Join(t.TempDir(), "access"), record.Options{})
	fatal(t, err)
	t.Cleanup(func() { _ = stream.Close() })
	add(t, stream, n)
	return stream
}

func add(t *testing.T, stream *record.Stream, n int) {
	t.Helper()
	for i := range n {
		e := &sallyport.Event{Kind: sallyport.SessionStart, Who: sallyport.Who{Staff: "s017", Session: strconv.Itoa(i)}}
		if i%3 == 0 {
			e.Kind, e.Statement = sallyport.StatementKind, &sallyport.Statement{ID: uint64(i + 1), Fingerprint: "f3ab", Verb: "SELECT"}
		}
		if i%7 == 0 {
			e = &sallyport.Event{Kind: sallyport.TieKind} // comes to nothing
		}
		_, err := stream.Enqueue(e)
		fatal(t, err)
	}
	fatal(t, stream.Sync())
}

// expected are the ids of all messages of a record, in order.
func expected(t *testing.T, stream *record.Stream) (ids []string) {
	t.Helper()
	c := newEncoder(t, stream)
	fatal(t, stream.Read(1, func(e *sallyport.Event) error {
		for _, m := range c.Append(nil, e) {
			ids = append(ids, m.UID)
		}
		return nil
	}))
	return ids
}

func newEncoder(t *testing.T, stream *record.Stream) *Encoder {
	t.Helper()
	c, err := NewEncoder(OCSF, stream.ID(), "test", nil)
	fatal(t, err)
	return c
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// carried runs a pump until the receiver is told to have everything, and opens the cursor anew each time that the plug is pulled.
func carried(t *testing.T, stream *record.Stream, cursors string, sink Sink, dead DeadLetters, change func(*Pump), done func() bool) {
	t.Helper()
	cursor, err := record.OpenCursor(cursors, "test")
	fatal(t, err)
	defer cursor.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p := &Pump{
		Output: "test", Name: "access", Stream: stream, Cursor: cursor, Encode: newEncoder(t, stream), Sink: sink, Dead: dead, Log: slog.New(slog.DiscardHandler),
		Linger: time.Millisecond, Most: 50, Pause: func(context.Context, time.Duration) {},
	}
	if change != nil {
		change(p)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Error("the receiver does not get everything")
			break
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // it waits for the condition above
	}
	stop()
	<-ended
}

// received is what a receiver has, by id.
type received struct {
	mu    sync.Mutex
	times map[string]int
	first []string // ids in the order in which they came first
	wrong []string
}

func (r *received) add(uid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil {
		r.times = map[string]int{}
	}
	if r.times[uid]++; r.times[uid] == 1 {
		r.first = append(r.first, uid)
	}
}

func (r *received) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times)
}

// check holds what came to what stands in the record: everything, in its order, and nothing else.
func (r *received) check(t *testing.T, want []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	again := 0
	for _, n := range r.times {
		again += n - 1
	}
	t.Logf("%d messages, %d of them again", len(r.first), again)
	for _, w := range r.wrong {
		t.Error(w)
	}
	if got := strings.Join(r.first, " "); got != strings.Join(want, " ") {
		missing := 0
		for _, id := range want {
			if r.times[id] == 0 {
				missing++
			}
		}
		t.Errorf("%d messages came, %d of %d are missing, or the order is another one", len(r.first), missing, len(want))
	}
}

// uidOf reads the id of a message's own body.
func uidOf(body []byte) (string, error) {
	var o struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	err := json.Unmarshal(body, &o)
	if err == nil && o.Metadata.UID == "" {
		err = errors.New("no metadata.uid")
	}
	return o.Metadata.UID, err
}

// pair is a certificate for localhost, and who trusts it.
func pair(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	fatal(t, err)
	leaf, err := x509.ParseCertificate(der)
	fatal(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// syslogReceiver reads RFC 5425. It misbehaves as often as it is told: it reads some messages and is gone, or is not there at all.
type syslogReceiver struct {
	received
	listener net.Listener
	rng      *mrand.Rand
	badly    int // of 10 connections
}

func (s *syslogReceiver) serve(own tls.Certificate) {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.one(raw, own)
	}
}

func (s *syslogReceiver) one(raw net.Conn, own tls.Certificate) {
	defer raw.Close()
	conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12})
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	limit, way := -1, 0
	if s.rng.IntN(10) < s.badly {
		limit, way = s.rng.IntN(60), s.rng.IntN(4)
	}
	if limit == 0 && way == 3 {
		return // before the handshake
	}
	r := bufio.NewReader(conn)
	for n := 0; limit < 0 || n < limit; n++ {
		length, err := r.ReadString(' ')
		if errors.Is(err, io.EOF) && length == "" {
			_ = conn.Close()
			return
		}
		if err != nil {
			return // the sender was unplugged
		}
		size, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || size <= 0 {
			s.complain("no frame of RFC 5425: %q", length)
			return
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		s.message(text)
	}
	if way == 1 {
		_ = raw.(*net.TCPConn).SetLinger(0)
	} // else it is as if it had been killed: what it did not read is gone, and nobody says a word
}

func (s *syslogReceiver) message(text []byte) {
	head, body, ok := bytes.Cut(text, []byte("] "))
	parts := strings.SplitN(string(head), " ", 7)
	if !ok || len(parts) != 7 || !strings.HasPrefix(parts[0], "<") || !strings.HasSuffix(parts[0], ">1") || parts[3] != "sallyport" {
		s.complain("no message of RFC 5424: %q", head)
		return
	}
	if _, err := time.Parse(time.RFC3339Nano, parts[1]); err != nil {
		s.complain("its time: %v", err)
	}
	uid, err := uidOf(body)
	if err != nil || !strings.Contains(parts[6], `uid="`+uid+`"`) {
		s.complain("%v: %q says another id than %s", err, parts[6], uid)
	}
	s.add(uid)
}

// TestSyslogCut: a receiver that reads a part and closes, in every way that there is, has everything in the end, in order.
func TestSyslogCut(t *testing.T) {
	stream := recorded(t, 3000)
	want := expected(t, stream)
	own, pool := pair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	fatal(t, err)
	r := &syslogReceiver{listener: l, rng: mrand.New(mrand.NewPCG(3, 4)), badly: 6} //nolint:gosec // a test repeats
	var wg sync.WaitGroup
	wg.Go(func() { r.serve(own) })
	cursors := t.TempDir()
	sink := &Syslog{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Timeout: 20 * time.Second}
	for part := 1; part <= 4; part++ { // the plug is pulled three times
		carried(t, stream, cursors, sink, nil, nil, func() bool { return r.count() >= len(want)*part/4 })
	}
	_ = l.Close()
	wg.Wait()
	r.check(t, want)
}

// TestSyslogStranger: nothing is sent to who cannot show a certificate of the authority.
func TestSyslogStranger(t *testing.T) {
	own, _ := pair(t)
	_, others := pair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	fatal(t, err)
	r := &syslogReceiver{listener: l, rng: mrand.New(mrand.NewPCG(3, 4))} //nolint:gosec // a test repeats
	var wg sync.WaitGroup
	wg.Go(func() { r.serve(own) })
	sink := &Syslog{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: others, MinVersion: tls.VersionTLS12}}
	n, err := sink.Deliver(t.Context(), []Message{{UID: "u", Body: []byte(`{"metadata":{"uid":"u"}}`)}})
	_ = l.Close()
	wg.Wait()
	if n != 0 || err == nil || r.count() != 0 {
		t.Errorf("%d taken, %v, %d came", n, err, r.count())
	}
}

// hookReceiver takes signed requests, now and then badly.
type hookReceiver struct {
	received
	secret []byte
	rng    *mrand.Rand
	badly  int // of 10 requests
	poison string
}

func (h *hookReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	at, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get(SignatureHeader), "t="), ",")
	seconds, _ := strconv.ParseInt(at, 10, 64)
	if Sign(h.secret, seconds, body) != r.Header.Get(SignatureHeader) {
		h.complain("the signature is wrong")
	}
	h.mu.Lock()
	way := -1
	if h.rng.IntN(10) < h.badly {
		way = h.rng.IntN(3)
	}
	poison := h.poison
	h.mu.Unlock()
	if poison != "" && bytes.Contains(body, []byte(poison)) {
		http.Error(w, "no", http.StatusUnprocessableEntity)
		return
	}
	switch way {
	case 0:
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	case 1:
		panic(http.ErrAbortHandler) // cut before it was taken
	}
	for _, line := range bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		uid, err := uidOf(line)
		if err != nil {
			h.complain("%v", err)
		}
		h.add(uid)
	}
	if way == 2 {
		panic(http.ErrAbortHandler) // cut after it was taken: it comes again
	}
}

func newHook(t *testing.T, badly int) (*hookReceiver, *Webhook) {
	t.Helper()
	h := &hookReceiver{secret: []byte("0123456789abcdef"), rng: mrand.New(mrand.NewPCG(5, 6)), badly: badly} //nolint:gosec // a test repeats
	server := httptest.NewServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(server.Close)
	return h, &Webhook{URL: server.URL, Secret: h.secret, Client: server.Client()}
}

// TestWebhookCut: a receiver that is down, cuts, or answers that it cannot has everything in the end, in order.
func TestWebhookCut(t *testing.T) {
	stream := recorded(t, 3000)
	want := expected(t, stream)
	h, sink := newHook(t, 6)
	cursors := t.TempDir()
	for part := 1; part <= 4; part++ {
		carried(t, stream, cursors, sink, nil, nil, func() bool { return h.count() >= len(want)*part/4 })
	}
	h.check(t, want)
}

// TestDeadLetters: a message that the receiver refuses is found among the others, put aside after the bound, and can be sent once more.
func TestDeadLetters(t *testing.T) {
	stream := recorded(t, 400)
	want := expected(t, stream)
	h, sink := newHook(t, 0)
	poisoned := want[100]
	h.poison = `"uid":"` + poisoned + `"`
	dead := &DeadFile{Path: filepath.Join(t.TempDir(), "dead.jsonl")}
	meter := NewMetrics(Gauges{Version: "test"})
	carried(t, stream, t.TempDir(), sink, dead, func(p *Pump) { p.Refusals, p.Meter = 3, meter }, func() bool {
		return h.count() >= len(want)-1 && strings.Contains(gathered(t, meter), fmt.Sprintf(`sallyport_export_delivered_total{output="test"} %d`, len(want)-1))
	})
	rest := append(append([]string{}, want[:100]...), want[101:]...)
	h.check(t, rest)
	text := gathered(t, meter)
	if !strings.Contains(text, `sallyport_export_dead_letters_total{output="test"} 1`) {
		t.Error(text)
	}

	if n, err := dead.Replay(t.Context(), sink); n != 0 || err == nil {
		t.Errorf("the receiver refuses it still: %d, %v", n, err)
	}
	fatal(t, dead.Keep([]Message{{UID: "late", Body: []byte(`{"metadata":{"uid":"late"}}`)}})) // a serve goes on meanwhile
	h.mu.Lock()
	h.poison = ""
	h.mu.Unlock()
	n, err := dead.Replay(t.Context(), sink)
	if n != 2 || err != nil {
		t.Errorf("replayed %d, %v", n, err)
	}
	h.check(t, append(rest, poisoned, "late"))
	if n, err := dead.Replay(t.Context(), sink); n != 0 || err != nil {
		t.Errorf("nothing is left: %d, %v", n, err)
	}
}

func gathered(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// TestMetricsNameNobody: no name, customer, session or address stands in what Prometheus reads.
func TestMetricsNameNobody(t *testing.T) {
	m := NewMetrics(Gauges{Version: "test", Last: map[string]func() uint64{"access": func() uint64 { return 7 }}, Failing: map[string]func() bool{"access": func() bool { return true }}})
	for _, e := range everyEvent() {
		m.count("access", e)
	}
	text := gathered(t, m)
	for _, name := range []string{"s017", "anna", "48211", "x9", "10.4.0.17", "lap-017", "Ada", "4711"} {
		if strings.Contains(text, name) {
			t.Errorf("%s stands in it", name)
		}
	}
	for _, line := range []string{`sallyport_record_entries_total{kind="reveal",stream="access"} 1`, `sallyport_revealed_values_total 1`, `sallyport_refused_statements_total{code="42501"} 1`, `sallyport_record_last_entry{stream="access"} 7`, `sallyport_record_failing{stream="access"} 1`, `sallyport_budgets_reached_total{measure="revealed",window="hour"} 1`} {
		if !strings.Contains(text, line) {
			t.Errorf("without %s", line)
		}
	}
}

// TestFilePlugPulled: a process that dies in the middle of a line, of a rotation or of a compression leaves a file that goes on with whole
// lines, and nothing missing.
func TestFilePlugPulled(t *testing.T) {
	stream := recorded(t, 2000)
	want := expected(t, stream)
	folder, cursors := t.TempDir(), t.TempDir()
	path := filepath.Join(folder, "ocsf.jsonl")
	second := 0
	clock := func() time.Time { second++; return time.Date(2026, 3, 1, 9, 0, second, 0, time.UTC) }
	open := func() *File { return &File{Path: path, Rotate: 60_000, Clock: clock} }
	for part := 1; part <= 4; part++ {
		file := open()
		seen := &seeing{Sink: file}
		carried(t, stream, cursors, seen, nil, nil, func() bool {
			if part < 4 {
				return seen.delivered() >= len(want)/5
			}
			return whole(t, stream, cursors)
		})
		fatal(t, file.Close())
		if part == 4 {
			break
		}
		torn, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		fatal(t, err)
		_, err = torn.WriteString(`{"class_uid":6005,"half`)
		fatal(t, err)
		fatal(t, torn.Close())
		if part == 2 { // between the rename and the compression
			fatal(t, os.Rename(path, path+"."+clock().UTC().Format("20060102T150405.000000000Z")))
		}
	}
	r := &received{}
	readLines(t, r, folder)
	if len(r.wrong) > 1 || len(r.wrong) == 1 && !strings.Contains(r.wrong[0], ".gz") { // the renamed one of part 2 kept its half line
		t.Errorf("%q", r.wrong)
	}
	r.wrong = nil
	r.check(t, want)
	if entries, err := filepath.Glob(path + ".*.gz"); err != nil || len(entries) < 3 {
		t.Errorf("%d rotated files, %v", len(entries), err)
	}

	kept := &File{Path: path, Rotate: 1, Keep: 2, Clock: clock}
	for range 4 {
		_, err := kept.Deliver(t.Context(), []Message{{Body: []byte("{}")}})
		fatal(t, err)
	}
	fatal(t, kept.Close())
	if entries, err := filepath.Glob(path + ".*"); err != nil || len(entries) != 2 {
		t.Errorf("%d files are kept, %v", len(entries), err)
	}
}

// seeing counts what a sink took.
type seeing struct {
	Sink

	mu sync.Mutex
	n  int
}

func (s *seeing) Deliver(ctx context.Context, batch []Message) (int, error) {
	n, err := s.Sink.Deliver(ctx, batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += n
	return n, err
}

func (s *seeing) delivered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// whole says whether the cursor has come to the record's end.
func whole(t *testing.T, stream *record.Stream, cursors string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cursors, "test"))
	return err == nil && strings.Contains(string(text), "\n"+strconv.FormatUint(stream.Last(), 10)+"\n")
}

// readLines reads the rotated files, then the present one.
func readLines(t *testing.T, r *received, folder string) {
	t.Helper()
	rotated, err := filepath.Glob(filepath.Join(folder, "*.gz"))
	fatal(t, err)
	for _, name := range append(rotated, filepath.Join(folder, "ocsf.jsonl")) {
		file, err := os.Open(name)
		fatal(t, err)
		var in io.Reader = file
		if strings.HasSuffix(name, ".gz") {
			in, err = gzip.NewReader(file)
			fatal(t, err)
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if uid, err := uidOf(lines.Bytes()); err == nil {
				r.add(uid)
			} else {
				r.wrong = append(r.wrong, name)
			}
		}
		fatal(t, errors.Join(lines.Err(), file.Close()))
	}
}

// TestRecordRoundTrip: record → OCSF, or CEF → accesses are those that the record itself comes to.
func TestRecordRoundTrip(t *testing.T) {
	stream, err := record.Open(filepath.Join(t.TempDir(), "access"), record.Options{})
	fatal(t, err)
	defer stream.Close()
	for _, e := range everyEvent() {
		if e.Order == nil {
			if e.Imported != nil {
				e.Imported.Access.Session = "another one"
			}
			_, err := stream.Append(e)
			fatal(t, err)
		}
	}
	collect := func(f *sources.Fold) *[]sallyport.Access {
		list := &[]sallyport.Access{}
		f.Emit = func(a *sallyport.Access) error {
			one := *a
			one.Arrived, one.Time = 0, one.Time.Truncate(time.Millisecond) // OCSF has milliseconds
			*list = append(*list, one)
			return nil
		}
		return list
	}
	parts := sources.Parts{Record: stream.ID()}
	own := &sources.Fold{Parts: parts}
	want := collect(own)
	fatal(t, stream.Read(1, own.Event))
	fatal(t, own.End())
	for _, format := range []Format{OCSF, CEF} {
		c, err := NewEncoder(format, stream.ID(), "test", nil)
		fatal(t, err)
		var lines bytes.Buffer
		fatal(t, stream.Read(1, func(e *sallyport.Event) error {
			for _, m := range c.Append(nil, e) {
				lines.Write(append(m.Body, '\n'))
			}
			return nil
		}))
		back := &sources.Fold{}
		got := collect(back)
		bad := func(n int, what string) error { return fmt.Errorf("line %d: %s", n, what) } //nolint:err113 // a test
		var other int
		if format == OCSF {
			other, err = sources.OCSF(&lines, back.Part, bad)
		} else {
			other, err = sources.CEF(&lines, back.Part, bad)
		}
		fatal(t, err)
		fatal(t, back.End())
		if len(*want) == 0 || other == 0 {
			t.Errorf("%d accesses, %d others", len(*want), other)
		}
		if diff := diffOf(*want, *got); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}
