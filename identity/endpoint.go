package identity

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
)

// EndPoint is the tls-server-end-point of a certificate (RFC 5929, section 4.1): its digest by the hash of its signature,
// SHA-256 in place of MD5 and SHA-1. It is nil where that is undefined, as for Ed25519: such a channel cannot be bound.
func EndPoint(c *x509.Certificate) []byte {
	if c == nil {
		return nil
	}
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1,
		x509.SHA256WithRSA, x509.ECDSAWithSHA256, x509.DSAWithSHA256, x509.SHA256WithRSAPSS:
		sum := sha256.Sum256(c.Raw)
		return sum[:]
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		sum := sha512.Sum384(c.Raw)
		return sum[:]
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		sum := sha512.Sum512(c.Raw)
		return sum[:]
	default:
		return nil
	}
}
