package protect

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/upstream"
)

// ErrCannotTell says that a server's way to authenticate shows nothing about the mark to somebody without credentials.
var ErrCannotTell = errors.New("server does not show whether it is marked")

// Sense tells whether a server holds a database that Sallyport protects, and by which record, without credentials: it begins
// to log in as a role that only marked servers have, looks at the salt that the server offers, and hangs up. Where the server
// trusts everybody the record's id stays empty. An answer that tells nothing is ErrCannotTell: who must not run in front of a
// protected database then refuses.
func Sense(ctx context.Context, server *upstream.Server) (recordID string, marked bool, err error) {
	recordID, marked, err = sense(ctx, server, false)
	if refused := (*refusal)(nil); errors.As(err, &refused) && refused.code == invalidAuthorization && server.Network != "unix" && server.MayBeClear() {
		// Perhaps it speaks to us under TLS only.
		recordID, marked, err = sense(ctx, server, true)
	}
	if err != nil {
		return "", false, fmt.Errorf("look for the mark of protection on %s: %w", server.Address, err)
	}
	return recordID, marked, nil
}

// The SQLSTATEs that tell something.
const (
	invalidAuthorization = "28000" // no such role, or no line in pg_hba.conf
	noSuchDatabase       = "3D000"
	tooManyConnections   = "53300" // of a role: markRole may have none
)

// refusal is an ErrorResponse.
type refusal struct{ code string }

func (r *refusal) Error() string { return "server answered SQLSTATE " + r.code }

func (r *refusal) Unwrap() error { return ErrCannotTell }

func sense(ctx context.Context, server *upstream.Server, encrypt bool) (recordID string, marked bool, err error) {
	dial := func() (net.Conn, error) { return server.Dial(ctx, false) }
	if encrypt {
		dial = func() (net.Conn, error) { return server.DialClear(ctx) }
	}
	conn, err := dial()
	if err != nil {
		return "", false, err
	}
	defer func() { conn.Close() }()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if encrypt {
		if conn, err = startTLS(ctx, conn); err != nil {
			return "", false, err
		}
	}
	front := pgproto3.NewFrontend(conn, conn)
	front.Send(&pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters:      map[string]string{"user": markRole, "database": "postgres"},
	})
	if err := front.Flush(); err != nil {
		return "", false, err
	}
	recordID, marked, err = readAnswer(front)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return recordID, marked, err
}

// startTLS encrypts. The certificate is not checked: we send nothing secret, and who stands between us and the server
// could as well answer in its place without TLS.
func startTLS(ctx context.Context, conn net.Conn) (net.Conn, error) {
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		return conn, err
	}
	if _, err := conn.Write(request); err != nil {
		return conn, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return conn, err
	}
	if answer[0] != 'S' {
		return conn, fmt.Errorf("%w: it refuses both with and without TLS", ErrCannotTell)
	}
	encrypted := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // #nosec G402 -- see above
	return encrypted, encrypted.HandshakeContext(ctx)
}

// readAnswer reads how the server wants markRole to authenticate.
func readAnswer(front *pgproto3.Frontend) (recordID string, marked bool, err error) {
	message, err := front.Receive()
	if err != nil {
		return "", false, err
	}
	switch m := message.(type) {
	case *pgproto3.AuthenticationSASL:
		return readSalt(front, m.AuthMechanisms)
	case *pgproto3.AuthenticationMD5Password:
		// pg_hba.conf says md5: a role with a SCRAM verifier is asked for SCRAM under it, so this one has none.
		return "", false, nil
	case *pgproto3.AuthenticationOk:
		return readTrusted(front)
	case *pgproto3.ErrorResponse:
		return "", false, &refusal{m.Code}
	default:
		return "", false, fmt.Errorf("%w: it authenticates by %T", ErrCannotTell, m)
	}
}

// readSalt goes one step into SCRAM (RFC 5802, section 5) and looks at the salt.
func readSalt(front *pgproto3.Frontend, mechanisms []string) (recordID string, marked bool, err error) {
	const mechanism = "SCRAM-SHA-256"
	offered := false
	for _, m := range mechanisms {
		offered = offered || m == mechanism
	}
	if !offered {
		return "", false, fmt.Errorf("%w: it does not offer %s", ErrCannotTell, mechanism)
	}
	front.Send(&pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: []byte("n,,n=,r=" + rand.Text())})
	if err := front.Flush(); err != nil {
		return "", false, err
	}
	message, err := front.Receive()
	if err != nil {
		return "", false, err
	}
	switch m := message.(type) {
	case *pgproto3.AuthenticationSASLContinue:
		return parseSalt(string(m.Data))
	case *pgproto3.ErrorResponse:
		return "", false, &refusal{m.Code}
	default:
		return "", false, fmt.Errorf("%w: it answers SCRAM with %T", ErrCannotTell, m)
	}
}

// parseSalt takes the record's id out of a server-first-message.
func parseSalt(serverFirst string) (recordID string, marked bool, err error) {
	for attribute := range strings.SplitSeq(serverFirst, ",") {
		encoded, ok := strings.CutPrefix(attribute, "s=")
		if !ok {
			continue
		}
		salt, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "", false, fmt.Errorf("%w: its salt is malformed", ErrCannotTell)
		}
		id, ok := strings.CutPrefix(string(salt), saltPrefix)
		if !ok || len(id) != recordIDBytes {
			return "", false, nil
		}
		return hex.EncodeToString([]byte(id)), true, nil
	}
	return "", false, fmt.Errorf("%w: its SCRAM message has no salt", ErrCannotTell)
}

// readTrusted reads on after a server that trusts everybody said yes: only then does it look for the role.
func readTrusted(front *pgproto3.Frontend) (recordID string, marked bool, err error) {
	message, err := front.Receive()
	if err != nil {
		return "", false, err
	}
	refused, ok := message.(*pgproto3.ErrorResponse)
	if !ok {
		return "", true, nil // it lets the role in
	}
	switch refused.Code {
	case tooManyConnections, noSuchDatabase:
		return "", true, nil
	case invalidAuthorization:
		return "", false, nil
	}
	return "", false, &refusal{refused.Code}
}
