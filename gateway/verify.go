package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"sallyport/identity"
	"sallyport/wire/pg"
)

// Verifiers reads a role's stored verifier. Errors: identity.ErrUnknown, identity.ErrWithheld, ErrNoVerifiers, or the database's.
type Verifiers interface {
	Verifier(ctx context.Context, login string) (identity.Verifier, error)
}

// ErrNoVerifiers says that there is nowhere to read verifiers from.
var ErrNoVerifiers = errors.New("there is no function to read verifiers with")

func (s *session) verifier(ctx context.Context) (identity.Verifier, error) {
	if s.gw.Verifiers == nil {
		return identity.Verifier{}, ErrNoVerifiers
	}
	return s.gw.Verifiers.Verifier(ctx, s.who.Login)
}

// verify is the server to the client and the client to the server, in this order: the server's challenge, the client's whole
// exchange up to his proof, the same proof made anew for the server, the server's verdict, ours. So the client reads the
// server's own salt, its own words about a wrong password, and whatever it holds against the role.
//
// v is nil for a role that does not exist: the exchange goes the same way, with a verifier that nothing fits.
func (s *session) verify(offered []string, v *identity.Verifier) error {
	up, err := identity.NewClient(offered, s.serverBinding(), rand.Reader)
	if err != nil {
		return fmt.Errorf("%w: %w", pg.ErrMalformed, err)
	}
	salt, iterations, err := s.challenge(up)
	if err != nil {
		return err
	}
	if v == nil || !v.Like(salt, iterations) { // another salt than the role's: the server has its reasons to refuse it
		mock, err := identity.Mock(salt, iterations, rand.Reader)
		if err != nil {
			return err
		}
		v = &mock
	}
	defer v.Wipe()
	down := identity.NewServer(*v, identity.EndPoint(s.front.own), rand.Reader)
	defer down.Wipe()
	var key identity.Key
	defer key.Wipe()
	if err := s.prove(down, &key); err != nil {
		return err
	}
	final, err := s.pass(up, &key)
	key.Wipe()
	if err != nil {
		return err
	}
	if err := up.Verify(&v.Server, final); err != nil {
		s.gw.Log.Error("the database does not know the role's password that it stores: is it another server?", "reason", err.Error())
		return s.refuseStart(fatal(codeAway, "the database does not prove that it is the database", "The administrator must look at Sallyport's log."))
	}
	_, err = s.clientConn.Write(pg.AppendAuth(nil, pg.AuthSASLFinal, down.Signature()))
	return err
}

// serverBinding is what the connection to the server can be bound to.
func (s *session) serverBinding() []byte {
	if shown := s.serverTLS().ConnectionState().PeerCertificates; len(shown) > 0 {
		return identity.EndPoint(shown[0])
	}
	return nil
}

// challenge asks the server with what the role's keys are derived.
func (s *session) challenge(up *identity.Client) (salt string, iterations int, err error) {
	mechanism, begin := up.Begin()
	if _, err := s.serverConn.Write(pg.AppendSASLInitial(nil, mechanism, begin)); err != nil {
		return "", 0, err
	}
	first, err := s.serverSays(pg.AuthSASLContinue)
	if err != nil {
		return "", 0, err
	}
	salt, iterations, err = up.Challenge(first)
	if err != nil {
		err = fmt.Errorf("%w: %w", pg.ErrMalformed, err)
	}
	return salt, iterations, err
}

// prove takes the client through our side. For a proof that does not fit the key becomes one that nothing fits either: the
// server is to see the failed attempt, count it, and say so in its own words.
func (s *session) prove(down *identity.Server, key *identity.Key) error {
	if _, err := s.clientConn.Write(pg.AppendMechanisms(nil, down.Mechanisms())); err != nil {
		return err
	}
	answer, err := s.password()
	if err != nil {
		return err
	}
	mechanism, data, err := pg.ParseSASLInitial(answer)
	if err != nil {
		return err
	}
	first, err := down.First(mechanism, string(data))
	if err != nil {
		return s.refuseSCRAM(err)
	}
	if _, err := s.clientConn.Write(pg.AppendAuth(nil, pg.AuthSASLContinue, first)); err != nil {
		return err
	}
	if answer, err = s.password(); err != nil {
		return err
	}
	ok, err := down.Final(string(answer[pg.HeaderLen:]), key)
	clear(answer) // with the verifier the proof gives the key
	switch {
	case err != nil:
		return s.refuseSCRAM(err)
	case !ok:
		_, err = rand.Read(key[:])
	}
	return err
}

// refuseSCRAM says what was wrong with a client's message, as PostgreSQL says it.
func (s *session) refuseSCRAM(err error) error {
	code := codeProtocol
	if errors.Is(err, identity.ErrBinding) {
		code = "28000"
	}
	return s.refuseStart(pg.NewNotice("FATAL", code, err.Error(), "", ""))
}

// pass proves to the server what the client has proved to us, and returns the server's last message.
func (s *session) pass(up *identity.Client, key *identity.Key) (string, error) {
	final := pg.Append(nil, pg.Password, up.Prove(key))
	defer clear(final)
	if _, err := s.serverConn.Write(final); err != nil {
		return "", err
	}
	return s.serverSays(pg.AuthSASLFinal)
}

// serverSays reads the server's next step. An error of its is the client's to read, and ends the log-in.
func (s *session) serverSays(want uint32) (string, error) {
	for {
		kind, m, err := s.server.message()
		if err != nil {
			return "", fmt.Errorf("log in: %w", err)
		}
		switch kind {
		case pg.Authentication:
			code, rest, err := pg.AuthCode(m)
			if err == nil && code != want {
				err = fmt.Errorf("%w: authentication request %d in the middle of SCRAM", pg.ErrMalformed, code)
			}
			return string(rest), err
		case pg.ErrorResponse:
			if s.entering {
				return "", s.entryFailed(m)
			}
			if _, err := s.clientConn.Write(m); err != nil {
				return "", err
			}
			return "", errRefused
		case pg.NoticeResponse:
			if _, err := s.clientConn.Write(m); err != nil {
				return "", err
			}
		default:
			return "", fmt.Errorf("%w: %q in the middle of SCRAM", pg.ErrMalformed, kind)
		}
	}
}
