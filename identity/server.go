package identity

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// Server is the server's side of one exchange (RFC 5802, section 5): First, then Final, then Signature.
type Server struct {
	verifier Verifier
	binding  []byte // tls-server-end-point of our certificate; nil: channel binding is not offered
	random   io.Reader

	gs2, clientBare, serverFirst, nonce string
	plus                                bool
	auth                                string // the AuthMessage
}

// NewServer begins an exchange. The Server owns the verifier's keys until Wipe.
func NewServer(v Verifier, binding []byte, random io.Reader) *Server {
	return &Server{verifier: v, binding: binding, random: random}
}

// Mechanisms are what AuthenticationSASL offers, best first.
func (s *Server) Mechanisms() []string {
	if s.binding != nil {
		return []string{SCRAMPlus, SCRAM}
	}
	return []string{SCRAM}
}

// First takes the client's choice and its first message, and answers.
func (s *Server) First(mechanism, message string) (string, error) {
	s.plus = mechanism == SCRAMPlus
	if !s.plus && mechanism != SCRAM || s.plus && s.binding == nil {
		return "", fmt.Errorf("%w: client selected an invalid SASL authentication mechanism", ErrMalformed)
	}
	gs2, bare, err := s.cutHeader(message)
	if err != nil {
		return "", err
	}
	s.gs2, s.clientBare = gs2, bare
	if _, ok := attribute(&bare, 'n'); !ok { // the name is the start-up packet's, as in PostgreSQL
		return "", fmt.Errorf("%w: no user name", ErrMalformed)
	}
	theirs, ok := attribute(&bare, 'r')
	if !ok || !printable(theirs) {
		return "", fmt.Errorf("%w: no nonce", ErrMalformed)
	}
	ours, err := nonce(s.random)
	if err != nil {
		return "", err
	}
	s.nonce = theirs + ours
	s.serverFirst = fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, s.verifier.Salt, s.verifier.Iterations)
	return s.serverFirst, nil
}

// cutHeader reads the GS2 header: whether the channel is bound, and that nobody asks for somebody else's rights.
func (s *Server) cutHeader(message string) (header, rest string, err error) {
	flag, after, ok := strings.Cut(message, ",")
	authzid, rest, ok2 := strings.Cut(after, ",")
	switch {
	case !ok || !ok2:
		return "", "", fmt.Errorf("%w: no GS2 header", ErrMalformed)
	case authzid != "":
		return "", "", fmt.Errorf("%w: client uses authorization identity, but it is not supported", ErrMalformed)
	case strings.HasPrefix(flag, "p=") != s.plus:
		return "", "", fmt.Errorf("%w: channel binding does not fit the mechanism", ErrMalformed)
	case s.plus && flag != "p=tls-server-end-point":
		return "", "", fmt.Errorf("%w: unsupported SCRAM channel-binding type", ErrMalformed)
	case !s.plus && flag == "y" && s.binding != nil:
		return "", "", ErrDowngrade
	case !s.plus && flag != "y" && flag != "n":
		return "", "", fmt.Errorf("%w: unexpected channel-binding flag", ErrMalformed)
	}
	return message[:len(message)-len(rest)], rest, nil
}

// Final takes the client's proof. ok says that it fits the verifier, and *key is then the client's own: who holds it can log
// in as the role, so it MUST be wiped. An error is a violation of the protocol, a wrong password is none.
func (s *Server) Final(message string, key *Key) (ok bool, err error) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return false, fmt.Errorf("%w: no proof", ErrMalformed)
	}
	bare := message[:at]
	var proof Key
	defer proof.Wipe()
	if !proof.decode(message[at+len(",p="):]) {
		return false, fmt.Errorf("%w: malformed proof", ErrMalformed)
	}
	rest := bare
	bound, ok1 := attribute(&rest, 'c')
	nonce, ok2 := attribute(&rest, 'r')
	if !ok1 || !ok2 {
		return false, fmt.Errorf("%w: no channel binding or nonce", ErrMalformed)
	}
	want := s.gs2
	if s.plus {
		want += string(s.binding)
	}
	if bound != base64.StdEncoding.EncodeToString([]byte(want)) {
		return false, ErrBinding
	}
	if nonce != s.nonce {
		return false, fmt.Errorf("%w: the nonce does not fit", ErrMalformed)
	}
	s.auth = s.clientBare + "," + s.serverFirst + "," + bare
	signature := s.verifier.Stored.sign(s.auth)
	*key = proof.xor(&signature)
	stored := key.hash()
	if !stored.equal(&s.verifier.Stored) {
		key.Wipe()
		return false, nil
	}
	return true, nil
}

// Signature is the message that ends a successful exchange; it proves to the client that we hold the role's verifier.
func (s *Server) Signature() string {
	signature := s.verifier.Server.sign(s.auth)
	return "v=" + signature.encode()
}

// Wipe overwrites the keys.
func (s *Server) Wipe() { s.verifier.Wipe() }
