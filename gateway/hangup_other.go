//go:build !linux

package gateway

import "syscall"

// endOfStream peeks at a socket (recv(2)): nothing to read and no more to come. Where bytes wait to be read it cannot tell.
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
