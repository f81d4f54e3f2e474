package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"sallyport/internal/socket"
	"sallyport/wire/pg"
)

// front is a client's connection as it is once its start-up packet was read.
type front struct {
	*stream
	secure *tls.Conn         // nil: in clear
	own    *x509.Certificate // ours, that the client saw
}

// handshake is the first byte of a TLS record with a ClientHello: no length of a start-up packet begins with it.
const handshake = 0x16

// startup reads the packets before the log-in: TLS (asked for, or at once), GSS, cancel, and at last the start-up packet
// itself. Without error and packet it was a cancel request, which has been passed on.
//
// Like ProcessStartupPacket of PostgreSQL, which this follows, it hears each request for encryption once.
func (g *Gateway) startup(ctx context.Context, conn net.Conn) (_ *front, _ *pg.Startup, err error) {
	f := &front{stream: newStream(conn, &g.pool)}
	defer func() {
		if errors.Is(err, pg.ErrMalformed) {
			err = writeFatal(f.conn, pg.NewNotice("FATAL", codeProtocol, startFault(err), "", ""))
		}
	}()
	first, err := f.peek(1)
	if err != nil {
		return nil, nil, err
	}
	direct := first[0] == handshake
	if direct {
		if err := g.secureAtOnce(ctx, f); err != nil {
			return nil, nil, err
		}
	}
	heard := requests{tls: direct, gss: direct}
	for {
		code, packet, err := f.startupPacket()
		if err != nil {
			return nil, nil, err
		}
		if answered, err := g.answerRequest(ctx, f, code, &heard); err != nil {
			return nil, nil, err
		} else if answered {
			continue
		}
		start, err := g.takeStartup(ctx, f, code, packet)
		if start == nil || err != nil {
			return nil, nil, err
		}
		return f, start, nil
	}
}

// requests are those for encryption that were heard.
type requests struct{ tls, gss bool }

// answerRequest answers a request for encryption that comes for the first time.
func (g *Gateway) answerRequest(ctx context.Context, f *front, code uint32, heard *requests) (answered bool, err error) {
	switch {
	case code == pg.GSSRequestCode && !heard.gss:
		heard.gss = true
		_, err := f.conn.Write([]byte{'N'})
		return true, err
	case code == pg.SSLRequestCode && !heard.tls:
		err := g.answerTLS(ctx, f)
		heard.tls, heard.gss = true, heard.gss || f.secure != nil
		return true, err
	}
	return false, nil
}

// takeStartup reads the start-up packet itself; nil without an error is a cancel request, which has been passed on.
func (g *Gateway) takeStartup(ctx context.Context, f *front, code uint32, packet []byte) (*pg.Startup, error) {
	switch {
	case code == pg.CancelRequestCode:
		if err := g.cancelFor(ctx, packet, f.secure != nil); err != nil { // PostgreSQL tells nobody either
			return nil, fmt.Errorf("%w: cancel: %s", errRefused, plainReason(err))
		}
		return nil, nil
	case code>>16 != 3:
		return nil, writeFatal(f.conn, pg.NewNotice("FATAL", codeUnsupported,
			fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", code>>16, code&0xffff), "", ""))
	}
	start, err := pg.ParseStartup(packet)
	if err == nil {
		err = g.checkTransport(f, start)
	}
	return start, err
}

// startFault is PostgreSQL's sentence for bytes that are no start-up packet (ProcessStartupPacket, backend_startup.c), where it has one.
func startFault(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "start-up packet of"):
		return "invalid length of startup packet"
	case strings.Contains(text, "start-up packet"):
		return "invalid startup packet layout: expected terminator as last byte"
	case strings.Contains(text, "before TLS"):
		return "received unencrypted data after SSL request"
	}
	return "invalid startup packet"
}

// startupPacket reads one packet of those that have no kind.
func (f *front) startupPacket() (code uint32, packet []byte, err error) {
	head, err := f.peek(8)
	if err != nil {
		return 0, nil, err
	}
	size, code, err := pg.StartupCode(head)
	if err != nil {
		return 0, nil, err
	}
	packet, err = f.exactly(size)
	return code, packet, err
}

// clientTLS is the configuration for one client; nil: none is offered. PostgreSQL has none on Unix sockets.
func (g *Gateway) clientTLS(conn net.Conn) *tls.Config {
	if _, unix := conn.RemoteAddr().(*net.UnixAddr); unix || g.TLS == nil {
		return nil
	}
	return g.TLS()
}

// answerTLS says whether there is TLS, and goes on with it.
func (g *Gateway) answerTLS(ctx context.Context, f *front) error {
	if f.buffered() > 0 { // bytes sent in clear before TLS would be taken for the encrypted client's (CVE-2021-23222)
		return fmt.Errorf("%w: data before TLS", pg.ErrMalformed)
	}
	config := g.clientTLS(f.conn)
	if config == nil {
		_, err := f.conn.Write([]byte{'N'})
		return err
	}
	if _, err := f.conn.Write([]byte{'S'}); err != nil {
		return err
	}
	return g.secure(ctx, f, f.conn, config)
}

// secureAtOnce goes on with a client that begins with TLS (sslnegotiation=direct, since PostgreSQL 17). It must name the
// protocol: somebody may have led a browser here (ALPACA), and then its first bytes must not be read as ours.
func (g *Gateway) secureAtOnce(ctx context.Context, f *front) error {
	config := g.clientTLS(f.conn)
	if config == nil {
		return fmt.Errorf("%w: TLS where there is none", pg.ErrMalformed)
	}
	ahead, err := f.exactly(f.buffered())
	if err != nil {
		return err
	}
	if err := g.secure(ctx, f, &replay{f.conn, append([]byte(nil), ahead...)}, config); err != nil {
		return err
	}
	if f.secure.ConnectionState().NegotiatedProtocol != alpn {
		return fmt.Errorf("%w: direct TLS without ALPN", errRefused) // without a word, as PostgreSQL does
	}
	return nil
}

// alpn is the name of PostgreSQL's protocol among those that speak TLS (IANA).
const alpn = "postgresql"

// secure shakes hands over conn and puts the encrypted connection in its place.
func (g *Gateway) secure(ctx context.Context, f *front, conn net.Conn, config *tls.Config) error {
	encrypted := tls.Server(&socket.Pausing{Conn: conn}, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return err
	}
	f.release()
	f.stream, f.secure = newStream(encrypted, &g.pool), encrypted
	if len(config.Certificates) == 1 {
		f.own = config.Certificates[0].Leaf
	}
	return nil
}

// replay is a connection of which some bytes were read already.
type replay struct {
	net.Conn
	ahead []byte
}

// Read gives back what was read, then reads on.
func (r *replay) Read(p []byte) (int, error) {
	if len(r.ahead) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.ahead)
	r.ahead = r.ahead[n:]
	return n, nil
}

// checkTransport refuses who comes in clear where there is TLS, and who comes without the certificate that is asked for.
// A certificate's common name is the role's, as under clientcert=verify-full; one on a Unix socket is on this machine.
func (g *Gateway) checkTransport(f *front, start *pg.Startup) error {
	config := g.clientTLS(f.conn)
	if config == nil {
		return nil
	}
	if f.secure == nil {
		if (config.ClientCAs == nil || g.Entrances != nil) && local(f.conn) {
			return nil
		}
		return writeFatal(f.conn, fatal(codeEncryption, "this address wants TLS", "Connect with sslmode=verify-full."))
	}
	if config.ClientCAs == nil || g.Entrances != nil { // there a certificate is one way to log in, and not asked of everybody
		return nil
	}
	shown := f.secure.ConnectionState().VerifiedChains
	if len(shown) == 0 {
		return writeFatal(f.conn, pg.NewNotice("FATAL", codeEncryption, "connection requires a valid client certificate", "", ""))
	}
	if name := shown[0][0].Subject.CommonName; name == "" || name != start.Get("user") {
		return writeFatal(f.conn, fatal(codeEncryption, "the client certificate is another role's", "Its common name must be the role that logs in."))
	}
	return nil
}

// local says whether the peer is on this machine.
func local(conn net.Conn) bool {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}
