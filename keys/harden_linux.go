package keys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden keeps what is in memory out of files and of other processes of the same user: no core file, not dumpable, which
// also forbids ptrace and /proc/PID/mem to them. It MUST be called before the first key is read. It cannot be undone.
func Harden() error {
	if err := forbidCore(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process undumpable: %w", err)
	}
	return nil
}
