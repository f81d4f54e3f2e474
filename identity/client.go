package identity

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Client is the client's side of one exchange, with a key in place of a password: Begin, Challenge, then Prove.
type Client struct {
	mechanism string
	header    string // GS2
	binding   []byte // behind the header in the last message, under SCRAM-SHA-256-PLUS
	bare      string
	nonce     string
	first     string // the server's
	auth      string // the AuthMessage
}

// NewClient chooses among the mechanisms that a server offers. binding is the tls-server-end-point of its certificate; nil: the
// connection has none.
func NewClient(offered []string, binding []byte, random io.Reader) (*Client, error) {
	c := &Client{mechanism: SCRAM, header: "n,,"}
	switch {
	case binding != nil && slices.Contains(offered, SCRAMPlus):
		c.mechanism, c.header, c.binding = SCRAMPlus, "p=tls-server-end-point,,", binding
	case !slices.Contains(offered, SCRAM):
		return nil, fmt.Errorf("%w: the server offers no %s", ErrMalformed, SCRAM)
	case binding != nil:
		c.header = "y,," // a server whose offer of PLUS somebody between has cut out is to notice
	}
	own, err := nonce(random)
	if err != nil {
		return nil, err
	}
	c.nonce = own
	c.bare = "n=,r=" + own // PostgreSQL takes the name of the start-up packet
	return c, nil
}

// Begin is the mechanism and the first message.
func (c *Client) Begin() (mechanism, message string) {
	return c.mechanism, c.header + c.bare
}

// Challenge takes the server's first message: what to derive the keys of the role's password with.
func (c *Client) Challenge(message string) (salt string, iterations int, err error) {
	rest := message
	nonce, ok := attribute(&rest, 'r')
	salt, ok2 := attribute(&rest, 's')
	count, ok3 := attribute(&rest, 'i')
	iterations, err = strconv.Atoi(count)
	if _, bad := base64.StdEncoding.DecodeString(salt); !ok || !ok2 || !ok3 || err != nil || bad != nil || iterations < 1 ||
		!strings.HasPrefix(nonce, c.nonce) || len(nonce) == len(c.nonce) {
		return "", 0, fmt.Errorf("%w: the server's first", ErrMalformed)
	}
	c.nonce, c.first = nonce, message
	return salt, iterations, nil
}

// Prove is the last message, with the proof that the holder of the key makes. The key stays the caller's, to be wiped.
func (c *Client) Prove(key *Key) string {
	bare := "c=" + base64.StdEncoding.EncodeToString(append([]byte(c.header), c.binding...)) + ",r=" + c.nonce
	c.auth = c.bare + "," + c.first + "," + bare
	stored := key.hash()
	defer stored.Wipe()
	signature := stored.sign(c.auth)
	proof := key.xor(&signature)
	return bare + ",p=" + proof.encode()
}

// Verify checks the server's last message: who does not hold the role's server key is not the server.
func (c *Client) Verify(server *Key, message string) error {
	text, ok := attribute(&message, 'v')
	var got Key
	if !ok || !got.decode(text) {
		return fmt.Errorf("%w: the server's last", ErrMalformed)
	}
	if want := server.sign(c.auth); !got.equal(&want) {
		return ErrServer
	}
	return nil
}
