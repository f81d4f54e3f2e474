package export

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/internal/fakesiem"
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

// check holds what came to what stands in the record: everything, in its order, and nothing else.
func check(t *testing.T, r *fakesiem.Received, want []string) {
	t.Helper()
	first, again, wrong := r.All()
	t.Logf("%d messages, %d of them again", len(first), again)
	for _, w := range wrong {
		t.Error(w)
	}
	if strings.Join(first, " ") != strings.Join(want, " ") {
		missing := 0
		for _, id := range want {
			if !slices.Contains(first, id) {
				missing++
			}
		}
		t.Errorf("%d messages came, %d of %d are missing, or the order is another one", len(first), missing, len(want))
	}
}

// TestSyslogCut: a receiver that reads a part and is gone, in every way that there is, has everything in the end, in order.
func TestSyslogCut(t *testing.T) {
	stream := recorded(t, 3000)
	want := expected(t, stream)
	own, pool, _, err := fakesiem.Pair()
	fatal(t, err)
	r, err := fakesiem.NewSyslog(own, 6)
	fatal(t, err)
	cursors := t.TempDir()
	sink := &Syslog{Address: r.Address(), TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Timeout: 20 * time.Second}
	for part := 1; part <= 4; part++ { // the plug is pulled three times
		carried(t, stream, cursors, sink, nil, nil, func() bool { return r.Count() >= len(want)*part/4 })
	}
	r.Close()
	check(t, &r.Received, want)
}

// TestSyslogStranger: nothing is sent to who cannot show a certificate of the authority.
func TestSyslogStranger(t *testing.T) {
	own, _, _, err := fakesiem.Pair()
	fatal(t, err)
	_, others, _, err := fakesiem.Pair()
	fatal(t, err)
	r, err := fakesiem.NewSyslog(own, 0)
	fatal(t, err)
	sink := &Syslog{Address: r.Address(), TLS: &tls.Config{RootCAs: others, MinVersion: tls.VersionTLS12}}
	n, err := sink.Deliver(t.Context(), []Message{{UID: "u", Body: []byte(`{"metadata":{"uid":"u"}}`)}})
	r.Close()
	if n != 0 || err == nil || r.Count() != 0 {
		t.Errorf("%d taken, %v, %d came", n, err, r.Count())
	}
}

// TestSyslogWordless: a receiver that read everything and is gone without TLS's word may have been killed: it gets it again.
func TestSyslogWordless(t *testing.T) {
	own, pool, _, err := fakesiem.Pair()
	fatal(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	fatal(t, err)
	body := []byte(`{"metadata":{"uid":"u"}}`)
	sink := &Syslog{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	size := len(sink.frame(nil, &Message{UID: "u", Body: body}))
	for _, word := range []bool{false, true} {
		var wg sync.WaitGroup
		wg.Go(func() {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			defer raw.Close()
			conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12})
			_, _ = io.ReadFull(conn, make([]byte, size))
			if word {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
				return
			}
			_, _ = io.ReadFull(raw, make([]byte, 1)) // the word of the sender is on its way
		})
		n, err := sink.Deliver(t.Context(), []Message{{UID: "u", Body: body}})
		if (n == 1) != word || (err == nil) != word {
			t.Errorf("word %v: %d taken, %v", word, n, err)
		}
		wg.Wait()
	}
	_ = l.Close()
}

// TestHEC: Splunk's collector knows who sends by the header, and has everything in the end, busy and cutting as it is.
func TestHEC(t *testing.T) {
	stream := recorded(t, 1000)
	want := expected(t, stream)
	hec := fakesiem.NewHEC("b0b5-token", 5)
	server := httptest.NewServer(hec)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer server.Close()
	sink := &Webhook{URL: server.URL + "/services/collector/raw?sourcetype=sallyport:ocsf", Authorization: "Splunk wrong", Client: server.Client()}
	if n, err := sink.Deliver(t.Context(), []Message{{UID: "u", Body: []byte("{}")}}); n != 0 || err == nil || errors.As(err, new(*RefusedError)) {
		t.Errorf("a wrong token: %d, %v", n, err) // it is put right in the configuration, and nothing is given up meanwhile
	}
	sink.Authorization = "Splunk b0b5-token"
	carried(t, stream, t.TempDir(), sink, nil, nil, func() bool { return hec.Count() >= len(want) })
	check(t, &hec.Received, want)
}

// hookReceiver takes signed requests, now and then badly.
type hookReceiver struct {
	fakesiem.Received
	mu     sync.Mutex // guards what follows
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
		h.Complain("the signature is wrong")
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
	for line := range bytes.SplitSeq(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		h.Add(line)
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
		carried(t, stream, cursors, sink, nil, nil, func() bool { return h.Count() >= len(want)*part/4 })
	}
	check(t, &h.Received, want)
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
		return h.Count() >= len(want)-1 && strings.Contains(gathered(t, meter), fmt.Sprintf(`sallyport_export_delivered_total{output="test"} %d`, len(want)-1))
	})
	rest := append(append([]string{}, want[:100]...), want[101:]...)
	check(t, &h.Received, rest)
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
	check(t, &h.Received, append(rest, poisoned, "late"))
	if n, err := dead.Replay(t.Context(), sink); n != 0 || err != nil {
		t.Errorf("nothing is left: %d, %v", n, err)
	}
}

// TestGiveUp: a receiver that does not answer for as long as that leaves what waits with the dead letters, and nothing is lost of it.
func TestGiveUp(t *testing.T) {
	stream := recorded(t, 300)
	want := expected(t, stream)
	h, sink := newHook(t, 0)
	down := &Webhook{URL: "http://127.0.0.1:1", Client: sink.Client}
	dead := &DeadFile{Path: filepath.Join(t.TempDir(), "dead.jsonl")}
	cursors := t.TempDir()
	carried(t, stream, cursors, down, dead, func(p *Pump) { p.GiveUp = time.Minute }, func() bool { return whole(t, stream, cursors) })
	if n, err := dead.Replay(t.Context(), sink); n != len(want) || err != nil {
		t.Errorf("replayed %d, %v", n, err)
	}
	check(t, &h.Received, want)
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
		if part == 2 { // between the rename and the compression
			if err := os.Rename(path, path+"."+clock().UTC().Format("20060102T150405.000000000Z")); !errors.Is(err, fs.ErrNotExist) { // else it was just rotated
				fatal(t, err)
			}
			continue
		}
		torn, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		fatal(t, err)
		_, err = torn.WriteString(`{"class_uid":6005,"half`)
		fatal(t, err)
		fatal(t, torn.Close())
	}
	r := &fakesiem.Received{}
	readLines(t, r, folder)
	check(t, r, want)
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
func readLines(t *testing.T, r *fakesiem.Received, folder string) {
	t.Helper()
	rotated, err := filepath.Glob(filepath.Join(folder, "*.gz"))
	fatal(t, err)
	for _, name := range append(rotated, filepath.Join(folder, "ocsf.jsonl")) {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was just rotated
		}
		fatal(t, err)
		var in io.Reader = file
		if strings.HasSuffix(name, ".gz") {
			in, err = gzip.NewReader(file)
			fatal(t, err)
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			r.Add(lines.Bytes())
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
