package gateway

import (
	"net"
	"syscall"
)

// hungUp tells whether the client has closed its connection, without taking anything of what it sent. Under TLS, and where bytes wait to be read, that is
// known of a connection that is gone as a whole.
func (s *session) hungUp() bool {
	conn, ok := s.clientConn.(interface{ NetConn() net.Conn })
	var socket any = s.clientConn
	if ok {
		socket = conn.NetConn()
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

// endOfStream peeks at a socket (recv(2)): nothing to read and no more to come.
func endOfStream(fd uintptr) bool {
	var one [1]byte
	n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT) //nolint:gosec // a file descriptor
	switch err {
	case nil:
		return n == 0
	case syscall.EAGAIN, syscall.EINTR:
		return false
	}
	return true
}
