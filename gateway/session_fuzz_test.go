package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/internal/upstream"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/record"
	"sallyport/token"
	"sallyport/wire/pg"
)

// script is what both peers of a session send, in order: pieces of bytes, each the client's or the server's. The next piece
// is sent when the gateway asks for more or has passed something on.
type script struct {
	mu     sync.Mutex // guards what follows
	wake   sync.Cond
	pieces []piece
	handed bool // the piece in front was taken: what comes next waits for a sign of life
	asking bool // the gateway waits for the client
	cut    bool // both connections are closed
}

// patience is how long the server waits for its turn while the gateway does not wait for the client: it waits for the server.
const patience = 5 * time.Millisecond

// giveUp ends a wait of both sides for each other: the server speaks next, or is gone.
func (s *script) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking {
		return
	}
	s.handed = false
	for len(s.pieces) > 0 && !s.pieces[0].server {
		s.pieces = s.pieces[1:]
	}
	s.wake.Broadcast()
}

type piece struct {
	server bool
	data   []byte
}

// newScript reads pieces as kind, length in 2 bytes, and as many bytes as are there.
func newScript(b []byte) *script {
	s := &script{}
	s.wake.L = &s.mu
	for len(b) >= 3 && len(s.pieces) < 64 {
		n := min(int(binary.BigEndian.Uint16(b[1:])), len(b)-3)
		if n > 0 {
			s.pieces = append(s.pieces, piece{b[0]&1 == 1, bytes.Clone(b[3 : 3+n])})
		}
		b = b[3+n:]
	}
	return s
}

// half is one of the two connections of a script.
type half struct {
	*script
	server   bool
	deadline time.Time
	wrote    bytes.Buffer
}

func (h *half) Read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.server {
		h.asking = true
		defer func() { h.asking = false }()
		if h.handed { // the client's side is done with what it got
			h.handed = false
			h.wake.Broadcast()
		}
	} else {
		defer time.AfterFunc(patience, h.giveUp).Stop()
	}
	for {
		switch {
		case !h.deadline.IsZero():
			return 0, os.ErrDeadlineExceeded
		case h.cut || len(h.pieces) == 0:
			return 0, io.EOF
		case !h.handed && h.pieces[0].server == h.server:
			n := copy(b, h.pieces[0].data)
			h.pieces[0].data = h.pieces[0].data[n:]
			if len(h.pieces[0].data) == 0 {
				h.pieces = h.pieces[1:]
				h.handed = !h.server
				h.wake.Broadcast()
			}
			return n, nil
		}
		h.wake.Wait()
	}
}

func (h *half) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut {
		return 0, net.ErrClosed
	}
	h.wrote.Write(b)
	h.handed = false
	h.wake.Broadcast()
	return len(b), nil
}

func (h *half) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = true
	h.wake.Broadcast()
	return nil
}

func (h *half) SetReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = t
	h.wake.Broadcast()
	return nil
}

func (h *half) SetDeadline(t time.Time) error    { return h.SetReadDeadline(t) }
func (h *half) SetWriteDeadline(time.Time) error { return nil }
func (h *half) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (h *half) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// fuzzGateway is a gateway without a database behind it: a table is protected, and nobody's purpose can be checked.
func fuzzGateway(f *testing.F, log io.Writer) *Gateway {
	f.Helper()
	nowhere, err := pgx.ParseConfig("host=127.0.0.1 port=1 sslmode=disable user=nobody database=nowhere connect_timeout=1")
	if err != nil {
		f.Fatal(err)
	}
	stream, err := record.Open(f.TempDir(), record.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = stream.Close() })
	root, err := token.NewSecret(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	ring, err := token.NewRing(root, token.Settings{EmailDomain: "k1.invalid", PhoneCode: "89"})
	if err != nil {
		f.Fatal(err)
	}
	email := &query.Protection{Column: sallyport.Column{Schema: "s", Table: "t", Name: "email"}, Scheme: sallyport.Email, Group: "email"}
	schema := query.NewSchema([]*query.Relation{{Schema: "s", Name: "t", Columns: []query.ColumnInfo{{Name: "id", TypeOID: 20}, {Name: "email", TypeOID: 25, Protect: email}}}}, nil)
	snapshot := &catalog.Snapshot{Schema: schema}
	analyzer := query.New(schema, query.Options{})
	resolver, err := purpose.New(nowhere, func() *catalog.Snapshot { return snapshot }, purpose.Config{}, purpose.NewFacts(), purpose.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(resolver.Close)
	behind, err := upstream.New("tcp", "127.0.0.1:1", upstream.TLS{})
	if err != nil {
		f.Fatal(err)
	}
	policies := defaultPolicies(f, email.Column)
	g, err := New(Config{
		Server: behind, Access: stream, Standing: control.NewState(), Book: exposure.NewBook(), Clock: time.Now, Log: slog.New(slog.NewTextHandler(log, nil)),
		Protection: &Protection{
			Database: "d", Catalog: catalog.Still(nowhere, snapshot), Analyzer: func() *query.Analyzer { return analyzer }, Ring: ring, Resolver: resolver, Facts: purpose.NewFacts(),
			Person:  func(login string) purpose.Person { return purpose.Person{Staff: sallyport.Staff(login)} },
			Budgets: func(purpose.Person) exposure.Budgets { return exposure.Default() },
			Suspend: func(sallyport.Staff, sallyport.Limit) error { return nil },

			Policies: func() *policy.Set { return policies },
			Moment:   func(purpose.Person) policy.Context { return policy.Context{Trust: 100} },
			Second:   func(sallyport.Staff, string) (string, error) { return "x", nil },
			Bar:      func(sallyport.Staff, string) error { return nil },
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	return g
}

// converse runs a session against a script and returns what each peer got.
func converse(g *Gateway, b []byte, protected bool) (toClient, toServer []byte, ended bool) {
	s := newScript(b)
	client, server := &half{script: s}, &half{script: s, server: true}
	x := &session{
		gw: g, id: "fuzz", front: &front{}, client: newStream(client, &g.pool), clientConn: client, server: newStream(server, &g.pool), serverConn: server, protected: protected,
		prepared: map[string]*prepared{}, portals: map[string]*portal{}, described: map[string]*layout{}, written: map[string]written{},
	}
	x.wake.L = &x.mu
	x.out = g.pool.get()
	if protected {
		x.expectReply(&reply{what: expectSync})
	}
	g.register(x)
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.run(context.Background())
	}()
	select {
	case <-done:
		return client.wrote.Bytes(), server.wrote.Bytes(), true
	case <-time.After(10 * time.Second):
		return nil, nil, false
	}
}

// FuzzSession feeds a session with arbitrary bytes from both sides: it ends, nothing panics, and whatever either side reads is
// whole messages.
func FuzzSession(f *testing.F) {
	log := &lockedLog{}
	g := fuzzGateway(f, log)
	for _, seed := range sessionSeeds() {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, protected bool) {
		toClient, toServer, ended := converse(g, b, protected)
		if !ended {
			t.Fatal("the session does not end")
		}
		if said := log.take(); strings.Contains(said, "internal fault") {
			t.Fatal(said)
		}
		if !protected {
			return
		}
		for name, sent := range map[string][]byte{"client": toClient, "server": toServer} {
			if !wholeMessages(sent) {
				t.Errorf("the %s read what is no sequence of messages: %q", name, sent)
			}
		}
	})
}

func wholeMessages(b []byte) bool {
	for len(b) > 0 {
		_, size, ok, err := pg.Header(b)
		if err != nil || !ok || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

// sessionSeeds are conversations of every kind.
func sessionSeeds() [][]byte {
	var out [][]byte
	say := func(pieces ...any) {
		var b []byte
		for _, p := range pieces {
			var data []byte
			kind := byte(0)
			switch m := p.(type) {
			case []pgproto3.BackendMessage:
				kind = 1
				for _, one := range m {
					data, _ = one.Encode(data)
				}
			case []pgproto3.FrontendMessage:
				for _, one := range m {
					data, _ = one.Encode(data)
				}
			}
			b = append(binary.BigEndian.AppendUint16(append(b, kind), uint16(len(data))), data...)
		}
		out = append(out, b)
	}
	type front = []pgproto3.FrontendMessage
	type back = []pgproto3.BackendMessage
	idle := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	hello := back{&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}, idle}
	columns := &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}}
	row := &pgproto3.DataRow{Values: [][]byte{[]byte("x")}}
	tag := &pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}
	fault := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "42703", Message: "no"}
	query := func(s string) pgproto3.FrontendMessage { return &pgproto3.Query{String: s} }
	say(hello, front{query("SELECT 1")}, back{columns, row, tag, idle}, front{&pgproto3.Terminate{}})
	say(hello, front{&pgproto3.Parse{Name: "a", Query: "SELECT $1"}, &pgproto3.Bind{PreparedStatement: "a", Parameters: [][]byte{[]byte("x")}}, &pgproto3.Execute{}, &pgproto3.Sync{}},
		back{&pgproto3.ParseComplete{}, &pgproto3.BindComplete{}, columns, row, &pgproto3.PortalSuspended{}, idle}, front{&pgproto3.Close{ObjectType: 'S', Name: "a"}, &pgproto3.Flush{}}, back{&pgproto3.CloseComplete{}})
	say(hello, front{query("COPY s.t FROM STDIN")}, back{&pgproto3.CopyInResponse{ColumnFormatCodes: []uint16{0, 0}}}, front{&pgproto3.CopyData{Data: []byte("1\ta@b.example\n")}, &pgproto3.CopyDone{}}, back{tag, idle})
	say(hello, front{query("COPY u FROM STDIN")}, back{&pgproto3.CopyInResponse{ColumnFormatCodes: []uint16{0}}}, front{&pgproto3.CopyData{Data: []byte("1\n")}, &pgproto3.Sync{}, &pgproto3.CopyFail{Message: "x"}}, back{fault, idle})
	say(hello, front{query("COPY s.t TO STDOUT (FORMAT binary)")}, back{&pgproto3.CopyOutResponse{OverallFormat: 1, ColumnFormatCodes: []uint16{1, 1}}, &pgproto3.CopyData{Data: append([]byte(binaryHead), 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 'x', 255, 255, 255, 255)}, &pgproto3.CopyDone{}, tag, idle})
	say(hello, front{&pgproto3.FunctionCall{Function: 952, Arguments: [][]byte{{0, 0, 0, 1}}}}, back{&pgproto3.FunctionCallResponse{Result: []byte{0}}, idle}, front{&pgproto3.FunctionCall{Function: 1}}, back{fault, idle})
	say(hello, front{query("BEGIN; SAVEPOINT a"), query("PREPARE p AS SELECT 1"), query("EXECUTE p"), query("DEALLOCATE ALL")}, back{tag, tag, &pgproto3.ReadyForQuery{TxStatus: 'T'}, tag, &pgproto3.ReadyForQuery{TxStatus: 'T'}},
		back{columns, row, tag, &pgproto3.ReadyForQuery{TxStatus: 'T'}, &pgproto3.NoticeResponse{Message: "n"}, tag, idle})
	say(hello, front{query("INSERT INTO s.t VALUES (1, 'a@b.example')"), query("SELECT * FROM s.t WHERE email = 'x'")}, back{fault, idle, fault, idle})
	return out
}

// lockedLog keeps what is logged until it is taken.
type lockedLog struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// defaultPolicies are those of a demonstration, for one column.
func defaultPolicies(t testing.TB, email sallyport.Column) *policy.Set {
	t.Helper()
	set, problems := policy.Load(policy.Defaults(true), &policy.World{
		Roles: policy.Roles(), Columns: []policy.Column{{Column: email, Class: sallyport.Contact, Scheme: sallyport.Email}},
	}, policy.Copiers{})
	if set == nil {
		t.Fatal(problems)
	}
	return set
}
