package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// SyncData spares the inode's times: in a zero-filled file no other metadata changes, which halves the cost.
func SyncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
