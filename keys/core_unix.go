//go:build unix

package keys

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openFlags keep a named pipe in the place of a file from blocking the start.
const openFlags = unix.O_NONBLOCK

// exclusively holds the folder's lock meanwhile, so that of two processes that change a file one waits for the other.
func exclusively(dir string, do func() error) (err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }() // which gives the lock back
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	return do()
}

// forbidCore takes the right to raise the limit again too, and children inherit it.
func forbidCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}
