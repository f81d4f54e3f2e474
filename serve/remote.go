package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"sallyport"
	"sallyport/api"
)

// listenRemote opens where commands from other machines come in, under the certificate that clients of the database see; nil: nowhere.
func (s *Server) listenRemote(ctx context.Context) (net.Listener, error) {
	address := s.O.Config.API.Listen
	if address == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := s.certificates.Current()
			if now == nil {
				return nil, errors.New("there is no certificate")
			}
			own := now.Clone()
			own.NextProtos, own.ClientAuth, own.ClientCAs = []string{"http/1.1"}, tls.NoClientCert, nil
			return own, nil
		},
	}), nil
}

// commands are where commands come in.
func (s *Server) commands() (on []net.Listener) {
	for _, l := range []net.Listener{s.socket, s.remote} {
		if l != nil {
			on = append(on, l)
		}
	}
	return on
}

// WaitingFor is what waits at the second door for somebody.
func (s *Server) WaitingFor(who sallyport.Staff) (out []api.Waiting) {
	s.mu.Lock()
	gw := s.gateway
	s.mu.Unlock()
	if gw == nil {
		return nil
	}
	for _, w := range gw.Waiting(who) {
		out = append(out, api.Waiting{What: w.What, Because: w.Because, Address: w.Address, Application: w.Application, Since: w.Since})
	}
	return out
}

// Remote is where commands from other machines reach serve; nil: nowhere.
func (s *Server) Remote() net.Addr {
	if s.remote == nil {
		return nil
	}
	return s.remote.Addr()
}
