package serve

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"sallyport/config"
	"sallyport/internal/socket"
)

// SocketName is the control socket's name in the data folder.
const SocketName = "control.sock"

// listener is one that can be lent: its Accept ends at a deadline.
type listener interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// listen opens where clients connect: HOST:PORT, or unix:PATH.
func listen(c *config.Config, ctx context.Context, address string) (listener, error) {
	path, isSocket := strings.CutPrefix(address, "unix:")
	if !isSocket {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen for clients: %w", err)
		}
		return l.(*net.TCPListener), nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = config.SocketPath(path, "5432") // where libpq looks for it under host=FOLDER
	}
	mode, err := c.SocketMode()
	if err != nil {
		return nil, err
	}
	l, err := socket.Listen(ctx, path, mode)
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	return l, nil
}
