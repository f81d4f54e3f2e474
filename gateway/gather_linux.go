package gateway

import "golang.org/x/sys/unix"

// queued is how many bytes stand in a socket to be read.
func queued(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ) //nolint:gosec // a descriptor
	if err != nil {
		return gatherMost // read tells what is wrong
	}
	return n
}

// readableFrom has a socket say that it is readable only when so many bytes are there, or its end (SO_RCVLOWAT of socket(7)).
func readableFrom(fd uintptr, n int) bool {
	return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, n) == nil //nolint:gosec // a descriptor
}
