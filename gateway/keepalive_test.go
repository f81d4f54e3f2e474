package gateway

import (
	"net"
	"syscall"
	"testing"

	"sallyport/internal/upstream"
)

// TestKeepalive holds both legs to TCP keepalive: a peer that is gone without a word is noticed, also while nobody speaks.
func TestKeepalive(t *testing.T) {
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	behind, err := upstream.New("tcp", ln.Addr().String(), upstream.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := behind.Dial(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, conn := range map[string]net.Conn{"to the server": server, "to the client": client} {
		for option, most := range map[int]int{syscall.TCP_KEEPIDLE: 60, syscall.TCP_KEEPINTVL: 30, syscall.TCP_KEEPCNT: 10} {
			if n := socketOption(t, conn, syscall.IPPROTO_TCP, option); n <= 0 || n > most {
				t.Errorf("%s: option %d is %d", name, option, n)
			}
		}
		if socketOption(t, conn, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE) == 0 {
			t.Errorf("%s: no keepalive", name)
		}
	}
}

func socketOption(t *testing.T, conn net.Conn, level, option int) (value int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, option) }); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return value
}
