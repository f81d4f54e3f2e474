package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"sallyport/lease"
)

// GatewaysConfig is how several serve in front of one database share what one of them counts: one 'serve --role controller', and
// 'serve --role gateway' as often as clients need (docs/gateways.md). Its files are PEM; each machine has its own under these names.
type GatewaysConfig struct {
	// Controller is where gateways find the controller, HOST:PORT. The host stands in its certificate.
	Controller string `yaml:"controller"`

	// Listen is where the controller hears gateways, HOST:PORT. Empty: the address in controller.
	Listen string `yaml:"listen"`

	// Names are the gateways that may come: the first DNS name in the certificate of each.
	Names []string `yaml:"names"`

	Authority   string `yaml:"authority"`   // who signs the certificates of controller and gateways, and nobody else's
	Certificate string `yaml:"certificate"` // of this controller or gateway
	Key         string `yaml:"key"`         // of that certificate
}

// checkGateways holds the section to what a connection needs.
func (c *Config) checkGateways(r *Document) {
	g := &c.Gateways
	if g.Controller == "" && g.Listen == "" && len(g.Names) == 0 && g.Authority == "" && g.Certificate == "" && g.Key == "" {
		return
	}
	for path, address := range map[string]string{"gateways.controller": g.Controller, "gateways.listen": g.Listen} {
		if _, _, err := net.SplitHostPort(address); err != nil && (address != "" || path == "gateways.controller") {
			r.problemAt(path, "%q is no address; expected HOST:PORT", address)
		}
	}
	host, _, _ := net.SplitHostPort(g.Controller) //nolint:errcheck // checked above
	for i, name := range g.Names {
		if name == "" || name == host || slices.Index(g.Names, name) < i {
			r.problemAt(fmt.Sprintf("gateways.names[%d]", i), "%q is no name of a gateway; expected one that no other and not the controller has", name)
		}
	}
	if len(g.Names) == 0 {
		r.problemAt("gateways.names", "no gateway may come; expected the names in their certificates")
	}
	for path, file := range map[string]string{"gateways.authority": g.Authority, "gateways.certificate": g.Certificate, "gateways.key": g.Key} {
		if file == "" {
			r.problemAt(path, "no file; both ends show a certificate")
		}
	}
}

// SecureGateways is how this end of the connection speaks TLS, and the name in its own certificate.
func (c *Config) SecureGateways() (config *tls.Config, name string, err error) {
	g := &c.Gateways
	own, err := tls.LoadX509KeyPair(c.Path(g.Certificate), c.Path(g.Key))
	if err != nil {
		return nil, "", fmt.Errorf("read gateways.certificate and gateways.key: %w", err)
	}
	text, err := os.ReadFile(c.Path(g.Authority))
	if err != nil {
		return nil, "", fmt.Errorf("read gateways.authority: %w", err)
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(text) {
		return nil, "", errors.New("read gateways.authority: no certificate in it")
	}
	host, _, err := net.SplitHostPort(g.Controller)
	if err != nil {
		return nil, "", fmt.Errorf("read gateways.controller: %w", err)
	}
	if len(own.Leaf.DNSNames) > 0 {
		name = own.Leaf.DNSNames[0]
	}
	return lease.Config(own, authority, host), name, nil
}
