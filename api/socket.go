package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
)

// maxSocketPath is what a socket's address holds on every system that we know (Linux 107 bytes, macOS 103; unix(7)).
const maxSocketPath = 103

// ErrAnswered says that somebody listens on the socket already.
var ErrAnswered = errors.New("another serve answers there")

// Listen opens the control socket, for its owner only (mode 0600). What a killed run left is removed, once nobody answers on it;
// the folder SHOULD be its owner's alone (0700), as the mode is set after the socket is there.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("open control socket %s: the path has %d bytes, a socket's at most %d; choose a shorter data folder", path, len(path), maxSocketPath)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("open control socket %s: %w", path, err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open control socket: %w", err), l.Close())
	}
	return l, nil
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
