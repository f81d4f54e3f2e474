package export

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// unread is an error unless the other side's kernel has acknowledged everything that was sent, and nothing was thrown away there: a socket
// that is closed with something unread in it, or that is sent something after its end, answers with a reset.
func unread(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(unreadPatience); ; { //nolint:forbidigo // of a network, not of a decision
		var waiting, pending int
		var failed error
		err := raw.Control(func(fd uintptr) {
			if pending, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); failed == nil {
				waiting, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			}
		})
		switch {
		case err != nil || failed != nil:
			return errors.Join(err, failed)
		case pending != 0:
			return os.NewSyscallError("the receiver's end", unix.Errno(pending)) //nolint:gosec // an errno
		case waiting == 0:
			return nil
		case time.Now().After(deadline): //nolint:forbidigo // as above
			return fmt.Errorf("%d bytes were not acknowledged", waiting)
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // the kernel tells nobody
	}
}

const unreadPatience = 5 * time.Second
