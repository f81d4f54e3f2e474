package gateway

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/query"
	"sallyport/wire/pg"
)

// TestGather reads long results that come in pieces, with other things behind them that are short, or long, or come late: nothing waits for more than comes,
// and afterwards the socket says of each byte that it is there.
func TestGather(t *testing.T) {
	short := pg.AppendDataRow(nil, [][]byte{[]byte("1"), bytes.Repeat([]byte("x"), 150)})
	rows := bytes.Repeat(short, 4000)
	long := pg.AppendDataRow(nil, [][]byte{[]byte("1"), bytes.Repeat([]byte("y"), longRow+12345)})
	end := pg.Append(nil, pg.CommandComplete, "SELECT 1\x00")
	for name, parts := range map[string][][]byte{
		"rows":              {rows, end},
		"a short one after": {rows, end, short, end},
		"a long row":        {rows, long, short, end},
		"a medium row":      {rows, pg.AppendDataRow(nil, [][]byte{[]byte("1"), bytes.Repeat([]byte("z"), 100<<10)}), end},
		"slow":              {rows, short, short, end, rows, end},
	} {
		t.Run(name, func(t *testing.T) { checkGather(t, parts) })
	}
}

func checkGather(t *testing.T, parts [][]byte) {
	t.Helper()
	p, _ := layRowPath(t, &rowWay{columns: []columnKind{passing, passing}})
	p.wake.L = &p.mu
	near, server := loopback(t)
	client, far := loopback(t)
	p.serverConn, p.server, p.clientConn, p.client = near, newStream(near, &p.gw.pool), client, newStream(client, &p.gw.pool)
	want, replies := bytes.Join(parts, nil), 0
	for _, part := range parts {
		if len(part) > 0 && part[0] != pg.DataRow {
			replies++
		}
	}
	p.queue = nil
	for range replies {
		p.queue = append(p.queue, &reply{what: expectRows, run: &run{stmt: &query.Statement{Verb: "SELECT"}, layout: p.run.layout, recorded: true}})
	}
	got := make(chan []byte, 1)
	go func() {
		b := make([]byte, len(want))
		n, _ := io.ReadFull(far, b)
		got <- b[:n]
	}()
	taken := make(chan struct{}, 1)
	go func() {
		for _, part := range parts {
			for len(part) > 0 {
				n, _ := server.Write(part[:min(8<<10, len(part))])
				if part = part[n:]; n == 0 {
					return
				}
			}
			<-taken // the piece before has been looked at
		}
	}()
	limit := time.AfterFunc(30*time.Second, func() { _, _ = near.Close(), far.Close() })
	defer limit.Stop()
	for done := false; !done; {
		select {
		case taken <- struct{}{}:
		default:
		}
		if err := p.nextAnswer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if done = len(p.queue) == 0; done {
			if err := p.flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("%d bytes came, or others, of %d", len(b), len(want))
	}
	if !limit.Stop() {
		t.Error("it took longer than the limit")
	}
	if err := p.pause(); err != nil {
		t.Fatal(err)
	}
	n := 0
	var asked error
	err := p.server.raw.Control(func(fd uintptr) {
		n, asked = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT) //nolint:gosec // a descriptor
	})
	if err != nil || asked != nil || n != 1 {
		t.Errorf("the socket waits for %d bytes, %v, %v", n, err, asked)
	}
}

// loopback is a connection, and its other end.
func loopback(t *testing.T) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}
