package gateway

import "golang.org/x/sys/unix"

// endOfStream asks poll(2) whether the other side has closed, whatever of it is still to be read.
func endOfStream(fd uintptr) bool {
	one := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a file descriptor
	_, err := unix.Poll(one, 0)
	return err == nil && one[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0 // interrupted: the next look tells
}
