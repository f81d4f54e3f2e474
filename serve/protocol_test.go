package serve

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestTransportVersion32 speaks protocol 3.2 with a server that has it: what the client asks for goes on, what the server says
// comes back, and its long cancel key works.
func TestTransportVersion32(t *testing.T) {
	h := gatehouseOf(t)
	key := bytes.Repeat([]byte{7}, 256)
	heard := make(chan []byte, 10)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go serve32(conn, key, heard)
		}
	}()
	t.Cleanup(func() { server.Close(); <-done })
	g := h.open(t, nil, "address: "+server.Addr().String())
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	asked := startupOf("ada")
	asked[7] = 2
	if _, err := conn.Write(asked); err != nil {
		t.Fatal(err)
	}
	front := pgproto3.NewFrontend(conn, conn)
	if m, ok := receive(t, front).(*pgproto3.NegotiateProtocolVersion); !ok || m.NewestMinorProtocol != 2 {
		t.Errorf("the server's version did not come back: %v", m)
	}
	if _, ok := receive(t, front).(*pgproto3.AuthenticationOk); !ok {
		t.Error("not let in")
	}
	m, ok := receive(t, front).(*pgproto3.BackendKeyData)
	if !ok || !bytes.Equal(m.SecretKey, key) {
		t.Fatal("the key did not come back")
	}
	for len(heard) > 0 {
		<-heard
	}
	cancel, err := (&pgproto3.CancelRequest{ProcessID: 42, SecretKey: m.SecretKey}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Write(cancel); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; !bytes.Equal(got, cancel) {
		t.Errorf("the cancel request arrived as %d bytes", len(got))
	}
	long, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	if _, err := long.Write(append([]byte{0, 0, 1, 13}, append(cancel[4:], 7)...)); err != nil { // 257 bytes: nobody's key
		t.Fatal(err)
	}
	_ = long.SetDeadline(time.Now().Add(time.Minute))
	if said, err := io.ReadAll(long); len(said) != 0 || len(heard) != 0 {
		t.Errorf("a key that is too long: %q %v", said, err)
	}
}

// TestTransportVersion32Here asks the PostgreSQL that is there for 3.2: an older one says what it speaks, an 18 gives a long key.
func TestTransportVersion32Here(t *testing.T) {
	g := gatehouseOf(t).open(t, nil)
	conn, err := g.dial("ada", "sslmode=disable max_protocol_version=3.2")
	if err != nil {
		t.Fatal(err)
	}
	cancelled(t, conn, func() error { return conn.PgConn().CancelRequest(t.Context()) })

	// A server that is reached a second time says its version a second time; the client hears it once.
	own := g.h.ca.mustIssue(t, "localhost")
	raw := tlsTo(t, g.h.open(t, &own).Addr().String())
	asked := startupOf("ada")
	asked[7] = 2
	if _, err := raw.Write(asked); err != nil {
		t.Fatal(err)
	}
	front := pgproto3.NewFrontend(raw, raw)
	m := receive(t, front)
	if _, ok := m.(*pgproto3.NegotiateProtocolVersion); ok {
		m = receive(t, front)
	}
	if _, ok := m.(*pgproto3.AuthenticationSASL); !ok {
		t.Errorf("the server's version is followed by %T", m)
	}
}

// serve32 is as much of a PostgreSQL 18 as one log-in and a cancel request need.
func serve32(conn net.Conn, key []byte, heard chan<- []byte) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	head := make([]byte, 8)
	if _, err := io.ReadFull(conn, head); err != nil {
		return
	}
	packet := append(head, make([]byte, int(head[2])<<8|int(head[3])-8)...)
	if _, err := io.ReadFull(conn, packet[8:]); err != nil {
		return
	}
	heard <- packet
	if head[4] == 4 { // a cancel request
		return
	}
	back := pgproto3.NewBackend(conn, conn)
	if bytes.Contains(packet, []byte("sallyport_mark")) {
		back.Send(&pgproto3.AuthenticationMD5Password{}) // it has no such role
		_ = back.Flush()
		return
	}
	if packet[7] == 2 {
		back.Send(&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 2})
	}
	back.Send(&pgproto3.AuthenticationOk{})
	back.Send(&pgproto3.BackendKeyData{ProcessID: 42, SecretKey: key})
	back.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	_ = back.Flush()
	_, _ = io.Copy(io.Discard, conn)
}
