package acting

import (
	"crypto"
	"crypto/rand"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Signer makes assertions with a key of the application's own, for one that has no identity provider which would. In Sallyport's
// configuration that is signed_by: service, and what it says is the application's claim.
type Signer struct {
	Key      crypto.Signer // ECDSA on P-256
	ID       string        // of the key, as in the set of public keys that Sallyport reads (kid)
	Issuer   string        // as in Sallyport's configuration
	Audience string        // likewise
}

// Assert says that somebody is logged in at the application. It is good for a minute, and for one transaction.
func (s *Signer) Assert(person string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.Key}, (&jose.SignerOptions{}).WithHeader("kid", s.ID))
	if err != nil {
		return "", err
	}
	now := time.Now() //nolint:forbidigo // an application has no other
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: s.Issuer, Audience: jwt.Audience{s.Audience}, Subject: person, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
}

// Public is the set of public keys for Sallyport: write it into a file that the configuration names.
func (s *Signer) Public() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.Key.Public(), KeyID: s.ID, Algorithm: string(jose.ES256), Use: "sig"}}}
}
