package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"sallyport"
	"sallyport/purpose"
	"sallyport/wire/pg"
)

// startTimeout bounds everything up to the end of the log-in.
const startTimeout = 30 * time.Second

// errRefused says that the client was refused and has been told why.
var errRefused = errors.New("connection refused")

// open takes a connection through start-up and log-in. A nil session without error is a cancel request that was passed on.
func (g *Gateway) open(ctx context.Context, conn net.Conn) (*session, error) {
	_ = conn.SetDeadline(time.Now().Add(startTimeout))
	client, packet, err := g.startup(ctx, conn)
	if err != nil || packet == nil {
		return nil, err
	}
	s := &session{
		gw: g, id: newID(), client: client, clientConn: client.conn,
		prepared: map[string]*prepared{}, portals: map[string]*portal{}, described: map[string]*layout{}, written: map[string]purpose.Value{},
	}
	s.wake.L = &s.mu
	if err := g.admit(s, packet); err != nil {
		return nil, err
	}
	server, err := g.dial(ctx)
	if err != nil {
		g.Log.Warn("database unreachable", "reason", plainReason(err))
		return nil, s.refuseStart(fatal(codeAway, "the database cannot be reached", "Try again in a moment; the administrator sees the reason in Sallyport's log."))
	}
	s.serverConn, s.server = server, newStream(server, &g.pool)
	_ = server.SetDeadline(time.Now().Add(startTimeout))
	if _, err := server.Write(pg.AppendStartup(nil, packet)); err != nil {
		_ = server.Close()
		return nil, fmt.Errorf("send start-up packet: %w", err)
	}
	if err := s.logIn(); err != nil {
		g.forget(s)
		_ = server.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	_ = server.SetDeadline(time.Time{})
	return s, nil
}

// startup reads the packets before the log-in: TLS, GSS, cancel, and at last the start-up packet itself.
func (g *Gateway) startup(ctx context.Context, conn net.Conn) (_ *stream, _ *pg.Startup, err error) {
	client := newStream(conn, &g.pool)
	defer func() {
		if errors.Is(err, pg.ErrMalformed) {
			err = writeFatal(client.conn, pg.NewNotice("FATAL", codeProtocol, startFault(err), "", ""))
		}
	}()
	encrypted := false
	for range 4 { // GSS, TLS, start-up: nobody needs more
		code, packet, err := startPacket(client)
		if err != nil {
			return nil, nil, err
		}
		switch code {
		case pg.CancelRequestCode:
			return nil, nil, g.cancelFor(ctx, packet)
		case pg.GSSRequestCode:
			err = decline(client)
		case pg.SSLRequestCode:
			client, encrypted, err = g.answerTLS(client, encrypted)
		default:
			if code>>16 != 3 {
				return nil, nil, writeFatal(client.conn, pg.NewNotice("FATAL", codeUnsupported,
					fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", code>>16, code&0xffff), "", ""))
			}
			start, err := g.readStartup(client, packet, encrypted || local(conn))
			return client, start, err
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("%w: too many requests before the start-up packet", pg.ErrMalformed)
}

// startPacket reads one packet of those that have no kind, and its code.
func startPacket(client *stream) (code uint32, packet []byte, err error) {
	head, err := client.peek(8)
	if err != nil {
		return 0, nil, err
	}
	size, code, err := pg.StartupCode(head)
	if err != nil {
		return 0, nil, err
	}
	packet, err = client.exactly(size)
	return code, packet, err
}

// decline says no to a request for encryption; the client goes on without.
func decline(client *stream) error {
	_, err := client.conn.Write([]byte{'N'})
	return err
}

// answerTLS answers a request for TLS, which holds for what follows on the stream that it returns.
func (g *Gateway) answerTLS(client *stream, encrypted bool) (*stream, bool, error) {
	if client.buffered() > 0 { // bytes sent in clear before TLS would be taken for the encrypted client's (CVE-2021-23222)
		return client, false, fmt.Errorf("%w: data before TLS", pg.ErrMalformed)
	}
	if encrypted || g.TLS == nil {
		return client, encrypted, decline(client)
	}
	if _, err := client.conn.Write([]byte{'S'}); err != nil {
		return client, false, err
	}
	client.release()
	return newStream(tls.Server(client.conn, g.TLS), &g.pool), true, nil
}

// readStartup reads the start-up packet; where TLS is to be had, only a private connection may go on to the password.
func (g *Gateway) readStartup(client *stream, packet []byte, private bool) (*pg.Startup, error) {
	start, err := pg.ParseStartup(packet)
	if err != nil {
		return nil, err
	}
	if g.TLS != nil && !private {
		return nil, writeFatal(client.conn, fatal(codeEncryption, "this address wants TLS", "Connect with sslmode=verify-full."))
	}
	return start, nil
}

// startFault is PostgreSQL's sentence for bytes that are no start-up packet (ProcessStartupPacket, backend_startup.c), where it has one.
func startFault(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "too many requests"):
		return "too many requests before the startup packet"
	case strings.Contains(text, "start-up packet of"):
		return "invalid length of startup packet"
	case strings.Contains(text, "start-up packet"):
		return "invalid startup packet layout: expected terminator as last byte"
	case strings.Contains(text, "before TLS"):
		return "received unencrypted data after SSL request"
	}
	return "invalid startup packet"
}

// cancelFor passes a client's cancel request on; the key is the server's own.
func (g *Gateway) cancelFor(ctx context.Context, packet []byte) error {
	if len(packet) < 16 {
		return fmt.Errorf("%w: cancel request", pg.ErrMalformed)
	}
	pid := uint32(packet[8])<<24 | uint32(packet[9])<<16 | uint32(packet[10])<<8 | uint32(packet[11])
	return g.cancel(ctx, pid, packet[12:])
}

// admit reads who wants what from the start-up packet and strips Sallyport's own settings off it.
func (g *Gateway) admit(s *session, packet *pg.Startup) error {
	login, database := packet.Get("user"), packet.Get("database")
	if database == "" {
		database = login
	}
	s.who = sallyport.Who{
		Login: login, Session: s.id, Application: packet.Get("application_name"),
		Address: s.clientConn.RemoteAddr().String(), Database: database,
	}
	s.person = purpose.Person{Staff: sallyport.UnknownLogin(login), Logins: []string{login}}
	p := g.Protection
	if p != nil {
		s.person = p.Person(login)
		s.protected = database == p.Database
		if packet.Get("replication") != "" && packet.Get("replication") != "false" && packet.Get("replication") != "off" {
			return s.refuseStart(fatal(codeUnsupported, "replication is not passed on while data are protected", ""))
		}
	}
	s.who.Staff, s.who.Team = s.person.Staff, s.person.Team
	if g.Ready != nil {
		if err := g.Ready(); err != nil {
			g.Log.Debug("client refused for now", "why", err.Error())
			// Why is for the log: whoever reads this has not logged in, and it may name roles, addresses and folders.
			return s.refuseStart(fatal("57P03", "the database cannot be served yet", "Try again in a moment; the administrator sees the reason in Sallyport's log."))
		}
	}
	if s.protected {
		return s.takePurpose(packet)
	}
	return nil
}

// takePurpose takes the start-up purpose out of the packet, from a parameter of that name and from options: the server
// would otherwise be told a ticket's number.
func (s *session) takePurpose(packet *pg.Startup) error {
	value := ""
	kept := packet.Params[:0]
	for _, param := range packet.Params {
		switch {
		case strings.EqualFold(param[0], purposeSetting):
			value = param[1]
			continue
		case param[0] == "options":
			rest, v, found := cutOption(param[1])
			if found {
				param[1], value = rest, v
			}
		case strings.HasPrefix(strings.ToLower(param[0]), "sallyport."):
			continue
		}
		kept = append(kept, param)
	}
	packet.Params = kept
	if _, err := sallyport.ParsePurposes(value); err != nil {
		return s.refuseStart(fatal(codePurpose, "the start-up purpose cannot be read: "+unreadable(err), "Write for example options='-c sallyport.purpose=ticket:4711'."))
	}
	s.setting = newSetting(value)
	if value != "" {
		packet.Params = append(packet.Params, [2]string{purposeSetting, s.canonicalText(value)})
	}
	return nil
}

// purposeSetting is the name of the setting.
const purposeSetting = "sallyport.purpose"

// cutOption takes every "-c sallyport.purpose=…" and "--sallyport.purpose=…" out of the options parameter. Options are
// separated by white space that a backslash protects (pg_split_opts, postinit.c).
func cutOption(options string) (rest, value string, found bool) {
	var kept []string
	words := splitOptions(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		setting := ""
		switch {
		case word == "-c" && i+1 < len(words):
			setting = words[i+1]
		case strings.HasPrefix(word, "-c"):
			setting = word[2:]
		case strings.HasPrefix(word, "--"):
			setting = word[2:]
		}
		name, v, ok := strings.Cut(setting, "=")
		if !ok || !strings.EqualFold(strings.ReplaceAll(name, "-", "_"), purposeSetting) {
			kept = append(kept, word)
			continue
		}
		value, found = v, true
		if word == "-c" {
			i++
		}
	}
	if !found {
		return options, "", false
	}
	for i, word := range kept {
		kept[i] = strings.NewReplacer(`\`, `\\`, ` `, `\ `, "\t", "\\\t", "\n", "\\\n").Replace(word)
	}
	return strings.Join(kept, " "), value, true
}

func splitOptions(s string) []string {
	var words []string
	var word strings.Builder
	in := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			in = true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

// logIn relays the log-in exchange byte for byte; what the server accepts is who the person is. Only then, and before
// the client learns that the password was right, his standing is looked at.
func (s *session) logIn() error {
	for {
		kind, m, err := s.server.message()
		if err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		if kind == pg.Authentication {
			if done, err := s.authenticate(m); done || err != nil {
				return err
			}
			continue
		}
		if _, err := s.clientConn.Write(m); err != nil {
			return err
		}
		switch kind {
		case pg.ErrorResponse:
			return errRefused
		case pg.NoticeResponse, pg.NegotiateVersion:
		default:
			return fmt.Errorf("%w: %q during the log-in", pg.ErrMalformed, kind)
		}
	}
}

// Authentication codes that need no answer (55.7).
const (
	authOK        = 0
	authSASLFinal = 12
)

// authenticate relays one request for authentication and the client's answer; done says that the server is content.
func (s *session) authenticate(m []byte) (done bool, err error) {
	code, _, err := pg.AuthCode(m)
	if err != nil {
		return false, err
	}
	if code == authOK {
		return true, s.accepted(m)
	}
	if _, err := s.clientConn.Write(m); err != nil {
		return false, err
	}
	if code == authSASLFinal {
		return false, nil
	}
	return false, s.relayPassword()
}

// relayPassword passes on the client's one answer.
func (s *session) relayPassword() error {
	kind, m, err := s.client.message()
	switch { // PostgreSQL's sentences (recv_password_packet, auth.c; SocketBackend, postgres.c)
	case errors.Is(err, pg.ErrMalformed):
		return s.refuseStart(pg.NewNotice("FATAL", codeProtocol, "invalid message length", "", ""))
	case err != nil:
		return fmt.Errorf("log in: %w", err)
	case kind != pg.Password:
		return s.refuseStart(pg.NewNotice("FATAL", codeProtocol, fmt.Sprintf("expected password response, got message type %d", kind), "", ""))
	}
	_, err = s.serverConn.Write(m)
	return err
}

// accepted registers the session, checks the person's standing and lets the client in.
func (s *session) accepted(m []byte) error {
	if !s.gw.register(s) {
		return s.refuseStart(fatal(codeShutdown, "Sallyport is shutting down", ""))
	}
	st := s.gw.Standing.Standing(s.person.Staff)
	switch out := st.Locked || st.Suspended; {
	case out && s.gw.Observe != nil:
		s.observe("would have refused the log-in: " + lockSentence(st.Locked, st.Reason))
	case out:
		return s.refuseStart(fatal(codeLocked, lockSentence(st.Locked, st.Reason), "Ask a lead for `sallyport unlock`."))
	}
	s.out = append(s.gw.pool.get(), m...)
	if s.protected {
		s.expectReply(&reply{what: expectSync}) // the first ReadyForQuery
	}
	return nil
}

func lockSentence(locked bool, reason string) string {
	if locked {
		return "you are locked: " + reason
	}
	return "you are suspended: " + reason
}

// refuseStart tells the client why it is not let in.
func (s *session) refuseStart(n pg.Notice) error { return writeFatal(s.clientConn, n) }

func writeFatal(conn net.Conn, n pg.Notice) error {
	_, _ = conn.Write(pg.AppendNotice(nil, pg.ErrorResponse, n))
	return errRefused
}

// local says whether the peer is on this machine.
func local(conn net.Conn) bool {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b[:])
}
