package lease

import (
	"crypto/tls"
	"crypto/x509"
)

// Config is how either end speaks TLS: 1.3, each with a certificate of the one authority. A gateway holds the controller to the name server.
func Config(own tls.Certificate, authority *x509.CertPool, server string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own},
		RootCAs: authority, ClientCAs: authority, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: server,
	}
}
