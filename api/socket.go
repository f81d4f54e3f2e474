package api

import (
	"context"
	"fmt"
	"net"

	"sallyport/internal/socket"
)

// ErrAnswered says that somebody listens on the socket already.
var ErrAnswered = socket.ErrAnswered

// Listen opens the control socket, for its owner only (mode 0600). What a killed run left is removed, once nobody answers on it;
// the folder SHOULD be its owner's alone (0700).
func Listen(ctx context.Context, path string) (net.Listener, error) {
	l, err := socket.Listen(ctx, path, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return l, nil
}
