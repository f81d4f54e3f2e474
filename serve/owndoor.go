package serve

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"net"
	"slices"
)

// door is where Sallyport itself comes in as a client, to plant canaries and to play drills, and the SHA-256 of the certificate that is shown there; empty: none.
// A controller takes the door of a gateway that is here.
func (s *Server) door(ctx context.Context) (at net.Addr, shows []byte, err error) {
	if s.Hub != nil {
		return s.Hub.door(ctx)
	}
	at = s.Addr()
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		at = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	}
	return at, s.shows(), nil
}

// shows is the SHA-256 of the certificate that clients are shown; nil: none is.
func (s *Server) shows() []byte {
	shown := s.certificates.Current()
	if shown == nil || len(shown.Certificates) == 0 {
		return nil
	}
	return digestOfCertificate(shown.Certificates[0].Certificate[0])
}

func digestOfCertificate(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return sum[:]
}

// serves is where clients come, for a controller, who knows the machine where it comes from.
func (s *Server) serves() string {
	tcp, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	host, port, err := net.SplitHostPort(tcp.String())
	if err != nil {
		return ""
	}
	if tcp.IP.IsUnspecified() {
		host = ""
	}
	return net.JoinHostPort(host, port)
}

// door is that of the first gateway that says where it is.
func (h *hub) door(ctx context.Context) (net.Addr, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, censusWithin)
	defer cancel()
	answers, _ := h.Census(ctx)
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		a := answers[name]
		if a.Serves == "" {
			continue
		}
		if at, err := net.ResolveTCPAddr("tcp", a.Serves); err == nil {
			return at, a.Shows, nil
		}
	}
	return nil, nil, errors.New("no gateway is here that takes clients over TCP")
}
