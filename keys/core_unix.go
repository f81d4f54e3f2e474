//go:build unix

package keys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openFlags keep a named pipe in the place of a file from blocking the start.
const openFlags = unix.O_NONBLOCK

// forbidCore takes the right to raise the limit again too, and children inherit it.
func forbidCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}
