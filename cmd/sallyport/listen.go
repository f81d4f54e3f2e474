package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/socket"
)

// listener is one that can be lent: its Accept ends at a deadline.
type listener interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// listen opens where clients connect: HOST:PORT, or unix:PATH.
func (c *Config) listen(ctx context.Context, address string) (listener, error) {
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
		path = socketPath(path, "5432") // where libpq looks for it under host=FOLDER
	}
	mode, err := c.socketMode()
	if err != nil {
		return nil, err
	}
	l, err := socket.Listen(ctx, path, mode)
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	return l, nil
}

// socketMode is who may connect to the socket. Like PostgreSQL's own it is open to everybody on the machine unless the
// configuration says otherwise: who a client is, the server still asks.
func (c *Config) socketMode() (fs.FileMode, error) {
	if c.ListenMode == "" {
		return 0o777, nil
	}
	mode, err := strconv.ParseUint(c.ListenMode, 8, 16)
	if err != nil || mode > 0o777 {
		return 0, errors.New(`no mode of a socket; expected three octal digits in quotes, such as "0770"`)
	}
	return fs.FileMode(mode), nil
}
