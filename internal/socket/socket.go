// Package socket opens Unix sockets to listen on: with a mode, and in the place of one that a killed run has left.
//
// It refuses to take the place of a file that is no socket, or of a socket on which somebody answers.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
)

// maxPath is what a socket's address holds on every system that we know (Linux 107 bytes, macOS 103; unix(7)).
const maxPath = 103

// ErrAnswered says that somebody listens on the socket already.
var ErrAnswered = errors.New("another serve answers there")

// Listen opens a socket. The mode is set after the socket is there: where it is to keep others out, the folder SHOULD too.
func Listen(ctx context.Context, path string, mode fs.FileMode) (*net.UnixListener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("open socket %s: the path has %d bytes, a socket's at most %d; choose a shorter folder", path, len(path), maxPath)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("open socket %s: %w", path, err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("open socket: %w", err), l.Close())
	}
	return l.(*net.UnixListener), nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file in its place that is no socket; move it away")
	}
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // nothing was sent
		return ErrAnswered
	}
	return os.Remove(path)
}
