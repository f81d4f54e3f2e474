//go:build !linux

package gateway

import "syscall"

// readNow and writeNow are read(2) and write(2) on a socket that never blocks.
func readNow(fd uintptr, b []byte) (n int, err error) {
	for n, err = syscall.Read(int(fd), b); err == syscall.EINTR; n, err = syscall.Read(int(fd), b) { //nolint:errorlint // straight from the kernel
	}
	return max(n, 0), err
}

func writeNow(fd uintptr, b []byte) (n int, err error) {
	for n, err = syscall.Write(int(fd), b); err == syscall.EINTR; n, err = syscall.Write(int(fd), b) { //nolint:errorlint // straight from the kernel
	}
	return max(n, 0), err
}
