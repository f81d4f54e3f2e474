package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// claims are what else is read of an ID token.
type claims struct {
	Party    string   `json:"azp"`
	Proven   *int64   `json:"auth_time"`
	Methods  []string `json:"amr"`
	Verified *bool    `json:"email_verified"`
}

// issuedWithin is how far the time of an ID token's issue may be from now: it has just been asked for.
const issuedWithin = 5 * time.Minute

// verify holds an ID token to OpenID Connect Core 3.1.3.7 and to the attempt that it answers.
func (p *Provider) verify(ctx context.Context, verifier *oidc.IDTokenVerifier, a *attempt, token *oauth2.Token) (Person, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Person{}, refused("it sent no ID token; is the scope openid allowed?")
	}
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return Person{}, refused(wrongToken(err))
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return Person{}, refused("the ID token's claims cannot be read")
	}
	now := p.c.Now()
	switch {
	case a.device == nil && !same(id.Nonce, a.nonce):
		return Person{}, refused("the nonce is another attempt's")
	case c.Party != "" && c.Party != p.c.ClientID, len(id.Audience) > 1 && c.Party == "":
		return Person{}, refused("the ID token is for another party")
	case id.IssuedAt.IsZero() || now.Sub(id.IssuedAt).Abs() > issuedWithin:
		return Person{}, refused("the ID token was not issued now; do the clocks differ?")
	case id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil:
		return Person{}, refused("the access token is not the ID token's")
	}
	person := Person{Fresh: a.fresh}
	if c.Proven != nil {
		person.Proven = time.Unix(*c.Proven, 0)
	}
	if a.fresh && !fresh(id.IssuedAt, person.Proven, now.Sub(a.begun)) {
		return Person{}, refused("it did not ask who it is: the log-in is older than what waits for it")
	}
	person.Methods = len(c.Methods) > 0
	person.Factors = slices.ContainsFunc(c.Methods, func(m string) bool { return slices.Contains(p.c.Factors, m) })
	return p.name(id, &c, person)
}

// fresh tells whether somebody proved who he is after an attempt was begun, so long ago. Both times are by the provider's clock, in
// whole seconds: however far its clock is from ours, their distance may be a second longer than it was.
func fresh(issued, proven time.Time, ago time.Duration) bool {
	return !proven.IsZero() && issued.Sub(proven) <= ago+time.Second
}

// name reads who it is and his groups.
func (p *Provider) name(id *oidc.IDToken, c *claims, person Person) (Person, error) {
	var all map[string]any
	if err := id.Claims(&all); err != nil {
		return Person{}, refused("the ID token's claims cannot be read")
	}
	person.Name, _ = all[p.c.Claim].(string)
	switch {
	case id.Subject == "":
		return Person{}, refused("the ID token names nobody")
	case person.Name == "":
		return Person{}, refused("the ID token has no claim " + p.c.Claim + "; is its scope allowed?")
	case p.c.Claim == "email" && (c.Verified == nil || !*c.Verified):
		return Person{}, refused("the address is not verified (email_verified)")
	}
	if p.c.Groups == "" {
		return person, nil
	}
	list, _ := all[p.c.Groups].([]any)
	for _, g := range list {
		if text, ok := g.(string); ok {
			person.Groups = append(person.Groups, text)
		}
	}
	return person, nil
}

// algorithms are those of the provider that sign with a key which it alone has: never none, and no shared secret.
func (p *Provider) algorithms(found *oidc.Provider) []string {
	var says struct {
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := found.Claims(&says); err != nil {
		return []string{oidc.RS256}
	}
	signing := []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}
	use := slices.DeleteFunc(says.Algorithms, func(name string) bool { return !slices.Contains(signing, name) })
	if len(use) == 0 {
		return []string{oidc.RS256} // the one that everybody has (Core, 15.1)
	}
	return use
}

func refused(why string) error { return fmt.Errorf("%w: %s", ErrRefused, why) }

// wrongToken says what is wrong with an ID token without a word of it.
func wrongToken(err error) string {
	if late, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return "the ID token ended at " + late.Expiry.UTC().Format(time.RFC3339)
	}
	return "the ID token is not one of this provider's for Sallyport: its signature, issuer or audience is wrong"
}

func same(a, b string) bool { return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
