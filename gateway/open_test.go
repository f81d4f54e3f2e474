package gateway

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/wire/pg"
)

// distant is a connection whose peer is on another machine.
type distant struct{ net.Conn }

func (distant) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 5} }

func someTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }

// TestStartupWantsTLS refuses a start-up packet in clear from another machine where there is a certificate.
func TestStartupWantsTLS(t *testing.T) {
	for _, tt := range []struct {
		name    string
		tls     bool
		far     bool
		request []byte // before the start-up packet
		want    string
	}{
		{"near, in clear", true, false, nil, "accepted"},
		{"far, in clear", true, true, nil, "this address wants TLS"},
		{"far, without a certificate", false, true, nil, "accepted"},
		{"far, refused GSS, in clear", true, true, []byte{0, 0, 0, 8, 4, 210, 22, 48}, "this address wants TLS"},
		{"asking twice", true, true, []byte(strings.Repeat("\x00\x00\x00\x08\x04\xd2\x16\x30", 2)), "unsupported frontend protocol 1234.5680"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			g := &Gateway{}
			if tt.tls {
				g.TLS = someTLS
			}
			conn := net.Conn(ours)
			if tt.far {
				conn = distant{ours}
			}
			_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
			_ = theirs.SetDeadline(time.Now().Add(10 * time.Second))
			go func() {
				packet := pg.AppendStartup(append([]byte(nil), tt.request...), &pg.Startup{Version: 3 << 16, Params: [][2]string{{"user", "x"}}})
				_, _ = theirs.Write(packet)
			}()
			answer := make(chan string, 1)
			go func() {
				said, _ := io.ReadAll(theirs)
				answer <- string(said)
			}()
			_, packet, err := g.startup(t.Context(), conn)
			_ = ours.Close()
			got := <-answer
			switch {
			case packet != nil && err == nil:
				got = "accepted"
			case err != nil:
				got += err.Error()
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestStartupSaysWhatIsWrong answers bytes that are no start-up packet with an error of the protocol, in PostgreSQL's words.
func TestStartupSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ name, sent, code, want string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "08P01", "invalid length of startup packet"},
		{"a huge length", "\x7f\xff\xff\xff\x00\x03\x00\x00", "08P01", "invalid length of startup packet"},
		{"a length below 8", "\x00\x00\x00\x04\x00\x03\x00\x00", "08P01", "invalid length of startup packet"},
		{"protocol 2.0", "\x00\x00\x00\x0c\x00\x02\x00\x00user", "0A000", "unsupported frontend protocol 2.0: server supports 3.0 to 3.2"},
		{"no terminator", "\x00\x00\x00\x0d\x00\x03\x00\x00user\x00", "08P01", "expected terminator as last byte"},
		{"bytes before TLS", "\x00\x00\x00\x08\x04\xd2\x16\x2fmore", "08P01", "received unencrypted data after SSL request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
			go func() { _, _ = theirs.Write([]byte(tt.sent)) }()
			answer := make(chan string, 1)
			go func() {
				said, _ := io.ReadAll(theirs)
				answer <- string(said)
			}()
			_, packet, err := (&Gateway{}).startup(t.Context(), ours)
			_ = ours.Close()
			got := <-answer
			if packet != nil || err == nil || !strings.HasPrefix(got, "E") || !strings.Contains(got, "C"+tt.code+"\x00") || !strings.Contains(got, tt.want) {
				t.Errorf("answered %q, %v; want %s %q", got, err, tt.code, tt.want)
			}
		})
	}
}

// TestCheckListener guards over an open network with TLS only.
func TestCheckListener(t *testing.T) {
	guarding, relaying, secured := &Gateway{Config: Config{Protection: &Protection{}}}, &Gateway{}, &Gateway{Config: Config{Protection: &Protection{}, TLS: someTLS}}
	near, far, any4, any6 := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4zero}, &net.TCPAddr{IP: net.IPv6zero}
	for _, tt := range []struct {
		g    *Gateway
		addr net.Addr
		ok   bool
	}{
		{guarding, near, true},
		{guarding, &net.TCPAddr{IP: net.IPv6loopback}, true},
		{guarding, far, false},
		{guarding, any4, false},
		{guarding, any6, false},
		{guarding, &net.TCPAddr{}, false},
		{guarding, &net.UnixAddr{Name: "/tmp/x"}, true},
		{secured, far, true},
		{relaying, far, true},
	} {
		if err := tt.g.CheckListener(tt.addr); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.addr, err)
		}
	}
}
