package socket

import (
	"net"
	"os"
)

// Pausing is a connection under TLS that can be told to give nothing. TLS above it then gives what it has decrypted already
// and waits for no more: there is no other way to learn how much that is, and an idle session is to hold no buffer for it.
type Pausing struct {
	net.Conn
	paused bool
}

// Pause is for the one who reads.
func (p *Pausing) Pause(paused bool) { p.paused = paused }

// Read says that nothing has come yet, while paused.
func (p *Pausing) Read(b []byte) (int, error) {
	if p.paused {
		return 0, os.ErrDeadlineExceeded // TLS takes it for temporary, as it is
	}
	return p.Conn.Read(b)
}
