package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/policy"
	"sallyport/wire/pg"
)

// logIn connects to the server and relays the log-in exchange byte for byte; what the server accepts is who the person is.
// Only then, and before the client learns that the password was right, his standing is looked at. Where an exchange cannot be
// relayed, because both sides have TLS, verify.go takes both ends of it.
func (s *session) logIn(ctx context.Context, packet *pg.Startup) error {
	if entry, ok := s.entry(); ok {
		return s.enter(ctx, packet, &entry)
	}
	if err := s.dial(ctx, packet, false); err != nil {
		return err
	}
	for {
		kind, m, err := s.server.message()
		if err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		done := false
		switch kind {
		case pg.Authentication:
			done, err = s.authenticate(ctx, packet, m)
		case pg.ErrorResponse:
			err = s.refusedStart(ctx, packet, m)
		case pg.NegotiateVersion:
			if !s.negotiated { // a server that is reached again says it again, and no client takes it twice
				s.negotiated = true
				_, err = s.clientConn.Write(m)
			}
		case pg.NoticeResponse:
			_, err = s.clientConn.Write(m)
		default:
			err = fmt.Errorf("%w: %q during the log-in", pg.ErrMalformed, kind)
		}
		if done || err != nil {
			return err
		}
	}
}

// dial connects to the server, anew if need be, and sends the start-up packet.
func (s *session) dial(ctx context.Context, packet *pg.Startup, inClear bool) error {
	if s.serverConn != nil {
		_ = s.serverConn.Close()
		s.server.release()
		s.serverConn = nil
	}
	connect := func() (err error) {
		if inClear {
			s.serverConn, err = s.gw.Server.DialClear(ctx)
		} else {
			s.serverConn, err = s.gw.Server.Dial(ctx, s.front.secure != nil)
		}
		return err
	}
	if err := connect(); err != nil {
		s.gw.Log.Warn("database unreachable", "reason", serverReason(err))
		return s.refuseStart(fatal(codeAway, "the database cannot be reached", "Try again in a moment; the administrator sees the reason in Sallyport's log."))
	}
	s.server = newStream(s.serverConn, &s.gw.pool)
	_ = s.serverConn.SetDeadline(time.Now().Add(startTimeout))
	if _, err := s.serverConn.Write(pg.AppendStartup(nil, packet)); err != nil {
		return fmt.Errorf("send start-up packet: %w", err)
	}
	return nil
}

// serverTLS is the connection to the server if it has TLS.
func (s *session) serverTLS() *tls.Conn {
	c, _ := s.serverConn.(*tls.Conn)
	return c
}

// way is how the server was reached.
type way int

const (
	asConfigured way = iota
	insteadClear     // without TLS, because with it the log-in cannot be relayed
	insteadBare      // with TLS again, without an offer of channel binding
	refusedTLS       // without TLS, because the server does not take the role with it
)

// refusedStart passes a server's refusal on. Where it is the transport that it refuses (no line of pg_hba.conf), and the mode
// leaves that open, the server is reached in the other way first: from TLS to none as libpq does under prefer, and back from
// where chooseSASL went.
func (s *session) refusedStart(ctx context.Context, packet *pg.Startup, m []byte) error {
	if n, err := pg.ParseNotice(m); err == nil && n.Get(pg.SQLState) == codeEncryption && !s.asked {
		switch {
		case s.way == insteadClear:
			s.way = insteadBare
			return s.dial(ctx, packet, false)
		case s.way == asConfigured && s.serverTLS() != nil && s.gw.Server.Prefers():
			s.way = refusedTLS
			return s.dial(ctx, packet, true)
		}
	}
	if _, err := s.clientConn.Write(m); err != nil {
		return err
	}
	return errRefused
}

// authenticate passes one request of the server's on, and the client's answer back. done says that the client is in.
func (s *session) authenticate(ctx context.Context, packet *pg.Startup, m []byte) (done bool, err error) {
	s.asked = true
	code, rest, err := pg.AuthCode(m)
	if err != nil {
		return false, err
	}
	switch code {
	case pg.AuthOK:
		if s.gw.Entrances == nil && s.front.secure != nil && len(s.front.secure.ConnectionState().VerifiedChains) > 0 {
			s.strength = policy.Certificate // whatever the server asked for beside it: its common name is the role, see checkTransport
		}
		return true, s.accepted(m)
	case pg.AuthMD5:
		s.strength = policy.ByMD5
	case pg.AuthSASL:
		s.strength = policy.ByDatabase
		return false, s.chooseSASL(ctx, packet, rest)
	case pg.AuthSASLFinal:
		_, err := s.clientConn.Write(m)
		return false, err
	default:
		s.strength = policy.ByDatabase
	}
	if _, err := s.clientConn.Write(m); err != nil {
		return false, err
	}
	answer, err := s.password()
	if err != nil {
		return false, err
	}
	_, err = s.serverConn.Write(answer)
	clear(answer) // it may be a password in clear, and the buffer goes to others
	return false, err
}

// chooseSASL relays the exchange where it can hold, and otherwise takes both ends of it. It can hold unless both sides have
// TLS, since a client binds the exchange to our certificate, or says that he could, and the server has another one.
func (s *session) chooseSASL(ctx context.Context, packet *pg.Startup, rest []byte) error {
	offered, err := pg.ParseMechanisms(rest)
	if err != nil {
		return err
	}
	if s.front.secure == nil || s.serverTLS() == nil || !slices.Contains(offered, identity.SCRAMPlus) || s.sameCertificate() {
		return s.relaySASL(offered)
	}
	verifier, err := s.verifier(ctx)
	switch {
	case err == nil:
		return s.verify(offered, &verifier)
	case errors.Is(err, identity.ErrUnknown):
		return s.verify(offered, nil)
	case !errors.Is(err, identity.ErrWithheld) && !errors.Is(err, ErrNoVerifiers):
		s.gw.Log.Warn("verifiers cannot be read", "reason", serverReason(err))
		return s.refuseStart(fatal("57P03", "log-ins cannot be checked for now", "Try again in a moment; the administrator sees the reason in Sallyport's log."))
	case s.way == asConfigured && s.gw.Server.MayBeClear(): // as if the server had no TLS, which is good enough under this mode
		if s.gw.warned.CompareAndSwap(false, true) {
			s.gw.Log.Warn("clients with TLS are taken to the database without: their log-in could not be relayed otherwise; see `sallyport check --sql`", "role", s.who.Login)
		}
		s.way, s.asked = insteadClear, false
		return s.dial(ctx, packet, true)
	}
	// A client who does not bind channels, and does not say that he could, can be relayed still.
	return s.relaySASL(slices.DeleteFunc(offered, func(name string) bool { return name == identity.SCRAMPlus }))
}

// sameCertificate tells whether the client saw the very certificate that the server shows us: then what he binds holds there.
func (s *session) sameCertificate() bool {
	shown := s.serverTLS().ConnectionState().PeerCertificates
	return len(shown) > 0 && shown[0].Equal(s.front.own)
}

// relaySASL passes an offer on, and the client's choice back. The rest of the exchange is relayed message by message.
func (s *session) relaySASL(offered []string) error {
	if _, err := s.clientConn.Write(pg.AppendMechanisms(nil, offered)); err != nil {
		return err
	}
	answer, err := s.password()
	if err != nil {
		return err
	}
	bound := s.front.secure != nil && s.serverTLS() != nil && !slices.Contains(offered, identity.SCRAMPlus) && slices.Contains(offered, identity.SCRAM)
	if _, first, err := pg.ParseSASLInitial(answer); bound && err == nil && strings.HasPrefix(string(first), "y,") {
		return s.refuseStart(fatal(codeEncryption, "this role's log-in cannot be passed on where client and server both have TLS",
			"Connect with channel_binding=disable. For roles that are no superusers, the function that `sallyport check --sql` prints makes it work."))
	}
	_, err = s.serverConn.Write(answer)
	return err
}

// password reads the client's answer to a request. Nobody is logged in yet, so its length is bounded as in PostgreSQL.
func (s *session) password() ([]byte, error) {
	head, err := s.client.peek(pg.HeaderLen)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	kind, size, _, err := pg.Header(head)
	switch { // PostgreSQL's sentences (recv_password_packet, auth.c; SocketBackend, postgres.c)
	case errors.Is(err, pg.ErrMalformed), err == nil && kind == pg.Password && size > pg.HeaderLen+pg.MaxAuthToken:
		return nil, s.refuseStart(pg.NewNotice("FATAL", codeProtocol, "invalid message length", "", ""))
	case err != nil:
		return nil, err
	case kind != pg.Password:
		return nil, s.refuseStart(pg.NewNotice("FATAL", codeProtocol, fmt.Sprintf("expected password response, got message type %d", kind), "", ""))
	}
	_, m, err := s.client.message()
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	return m, nil
}

// accepted registers the session, checks the person's standing and lets the client in.
func (s *session) accepted(m []byte) error {
	if !s.gw.register(s) {
		return s.refuseStart(fatal(codeShutdown, "Sallyport is shutting down", ""))
	}
	st := s.gw.Standing.Standing(s.person.Staff)
	switch out := st.Locked || st.Suspended || st.Left; {
	case out && s.observing():
		s.observe("would have refused the log-in: " + lockSentence(st.Locked, st.Reason))
	case out:
		return s.refuseStart(fatal(codeLocked, lockSentence(st.Locked || st.Left, st.Reason), "Ask a lead for `sallyport unlock`."))
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
