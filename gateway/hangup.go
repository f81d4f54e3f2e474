package gateway

import (
	"net"
	"syscall"
)

// hungUp tells whether the client has closed its connection, without taking anything of what it sent: the goodbye of PostgreSQL's protocol and that of TLS may
// wait to be read, and nobody reads while a statement waits.
func (s *session) hungUp() bool {
	var socket any = s.clientConn
	if under, ok := s.clientConn.(interface{ NetConn() net.Conn }); ok {
		socket = under.NetConn()
	}
	sc, ok := socket.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) { gone = endOfStream(fd) })
	return gone || err != nil
}
