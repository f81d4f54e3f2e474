// Package assertion checks what an application shows about the person for whom it acts: a signed token (JWT, RFC 7519) whose keys come
// from a set (JWKS, RFC 7517) in a file or behind a URL.
//
// It refuses a token without a signature or by an algorithm that is not on the source's list, one that is for somebody else, expired, not
// valid yet, good for longer than the source may say, or without an id; and a set that holds a key which is not public. It does not
// remember which ids were shown before: that is for who makes use of the answer.
// Its invariant: a Word comes only out of a signature that verified with a key of the very source that the token names.
package assertion

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sallyport"
)

// Source is who signs, as the configuration names him.
type Source struct {
	Name       string        // in the configuration and in the record
	Issuer     string        // the token's iss
	Audience   string        // that must be among the token's aud
	Keys       string        // a file's path or a URL
	CA         string        // a PEM file: who signs the certificate behind the URL; empty: the system's authorities
	ByService  bool          // the service holds the key itself, so that its word is nobody else's
	Algorithms []string      // empty: Usual
	Claim      string        // that names the person; empty: sub
	Longest    time.Duration // how long a token may be good from now on; 0: DefaultLongest
}

// DefaultLongest is how long a token may be good, MostLongest how long a source may let it be: what was shown is remembered for as long.
const (
	DefaultLongest = 15 * time.Minute
	MostLongest    = 24 * time.Hour
)

// skew is how far the clock of who signs may be ahead of ours. An expiry is taken as it stands.
const skew = 30 * time.Second

// longest bounds the bytes of a token, of its id and of what names a person.
const (
	longestToken = 8 << 10
	longestName  = 256
)

// Usual are the algorithms that hold where a source names none; Known those that it may name. Both ends of none of them share a secret.
func Usual() []string { return []string{"EdDSA", "ES256", "PS256", "RS256"} }

// Known are the algorithms that a source may name.
func Known() []string {
	return []string{"EdDSA", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}
}

// Word is what a token says, once everything about it has checked out.
type Word struct {
	Source    string
	ByService bool
	Person    string           // as the claim names him
	Client    string           // the application that it was issued to (azp, client_id); empty: the token does not say
	ID        sallyport.Digest // of the token's issuer and id
	Expires   time.Time
}

// Refused is why a token is not taken. Neither sentence nor hint holds anything of the token.
type Refused struct{ Sentence, Hint string }

// Error is the sentence.
func (r *Refused) Error() string { return r.Sentence }

func refuse(sentence, hint string) error { return &Refused{sentence, hint} }

// ErrKeys says that a source's keys cannot be had.
var ErrKeys = errors.New("the keys cannot be had")

// Verifier checks tokens of several sources. It is safe for use by many goroutines.
type Verifier struct {
	sources map[string]*source // by name
}

type source struct {
	Source
	algorithms []jose.SignatureAlgorithm
	keys       *keys
}

// Options of a Verifier.
type Options struct {
	Now func() time.Time // the age of keys is measured with it
}

// New makes a verifier. Keys are read when they are needed for the first time.
func New(sources []Source, o Options) (*Verifier, error) {
	if o.Now == nil {
		return nil, errors.New("make a verifier of assertions: it needs a clock")
	}
	v := &Verifier{sources: map[string]*source{}}
	for _, s := range sources {
		if s.Name == "" || s.Issuer == "" || s.Audience == "" || s.Keys == "" {
			return nil, fmt.Errorf("make a verifier of assertions: source %q lacks issuer, audience or keys", s.Name)
		}
		if s.Claim == "" {
			s.Claim = "sub"
		}
		if s.Longest <= 0 {
			s.Longest = DefaultLongest
		}
		if len(s.Algorithms) == 0 {
			s.Algorithms = Usual()
		}
		made := &source{Source: s}
		for _, name := range s.Algorithms {
			if !slices.Contains(Known(), name) {
				return nil, fmt.Errorf("make a verifier of assertions: source %q: there is no algorithm %q", s.Name, name)
			}
			made.algorithms = append(made.algorithms, jose.SignatureAlgorithm(name))
		}
		var err error
		if made.keys, err = newKeys(s.Keys, s.CA, o.Now); err != nil {
			return nil, err
		}
		v.sources[s.Name] = made
	}
	return v, nil
}

// Load reads the keys of all sources, for who wants to know now whether they can be had.
func (v *Verifier) Load(ctx context.Context) error {
	var errs []error
	for _, s := range v.sources {
		if err := s.keys.load(ctx); err != nil {
			errs = append(errs, fmt.Errorf("read the keys of assertions %q: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Verify checks a token by the sources that are allowed, by name. The error is a *Refused, or wraps ErrKeys.
func (v *Verifier) Verify(ctx context.Context, token string, allowed []string, now time.Time) (Word, error) {
	if len(token) > longestToken {
		return Word{}, refuse("the assertion is too long", "It needs few claims: iss, aud, sub, iat, exp and jti.")
	}
	s, parsed, err := v.parse(token, allowed)
	if err != nil {
		return Word{}, err
	}
	header := parsed.Headers[0]
	found, err := s.keys.find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return Word{}, err
	}
	claims, more := jwt.Claims{}, map[string]any{}
	signed := slices.ContainsFunc(found, func(key any) bool { return parsed.Claims(key, &claims, &more) == nil })
	if !signed {
		return Word{}, refuse("the assertion's signature does not verify", "It must be signed with a key of "+s.Name+"'s set, which the token names by kid.")
	}
	return s.word(&claims, more, now)
}

// parse reads a token and finds whose it says to be.
func (v *Verifier) parse(token string, allowed []string) (*source, *jwt.JSONWebToken, error) {
	parsed, err := jwt.ParseSigned(token, everyAlgorithm())
	if err != nil || len(parsed.Headers) != 1 {
		return nil, nil, refuse("the assertion is no signed token", "It is a JWT in its compact form, signed with one of the algorithms that the configuration lists.")
	}
	var named jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&named); err != nil {
		return nil, nil, refuse("the assertion's claims cannot be read", "")
	}
	for _, name := range allowed {
		s := v.sources[name]
		if s == nil || s.Issuer != named.Issuer {
			continue
		}
		if !slices.Contains(s.Algorithms, parsed.Headers[0].Algorithm) {
			return nil, nil, refuse("the assertion is signed by an algorithm that is not on the list", "The configuration lists them: assertions."+name+".algorithms.")
		}
		return s, parsed, nil
	}
	return nil, nil, refuse("the assertion is from nobody whom this service may bring", "The configuration names them: services.ID.acts_for, and the issuer of each under assertions.")
}

func everyAlgorithm() []jose.SignatureAlgorithm {
	var out []jose.SignatureAlgorithm
	for _, name := range Known() {
		out = append(out, jose.SignatureAlgorithm(name))
	}
	return out
}

// word holds the claims of a token that is signed to what is expected of them.
func (s *source) word(c *jwt.Claims, more map[string]any, now time.Time) (Word, error) {
	person, _ := more[s.Claim].(string)
	client, one := issuedTo(more)
	switch {
	case !one:
		return Word{}, refuse("the assertion was issued to two applications at once", "Its azp and its client_id must be the same.")
	case !c.Audience.Contains(s.Audience):
		return Word{}, refuse("the assertion is for somebody else", "Its aud must be the audience of the configuration.")
	case c.Expiry == nil:
		return Word{}, refuse("the assertion never expires", "It needs an exp.")
	case !now.Before(c.Expiry.Time()):
		return Word{}, refuse("the assertion has expired", "Get a new one for each transaction.")
	case c.Expiry.Time().Sub(now) > s.Longest:
		return Word{}, refuse("the assertion is good for too long", fmt.Sprintf("At most %s: make its exp earlier.", s.Longest))
	case c.NotBefore != nil && now.Add(skew).Before(c.NotBefore.Time()):
		return Word{}, refuse("the assertion is not valid yet", "Compare the clocks of who signs it and of Sallyport.")
	case c.IssuedAt != nil && now.Add(skew).Before(c.IssuedAt.Time()):
		return Word{}, refuse("the assertion was issued in the future", "Compare the clocks of who signs it and of Sallyport.")
	case c.ID == "" || len(c.ID) > longestName:
		return Word{}, refuse("the assertion has no id of its own", "It needs a jti that no other one has.")
	case person == "" || len(person) > longestName:
		return Word{}, refuse("the assertion names nobody", "The person's id stands in its claim "+s.Claim+".")
	}
	sum := sha256.Sum256([]byte(s.Issuer + "\x00" + c.ID))
	return Word{Source: s.Name, ByService: s.ByService, Person: person, Client: client, ID: sallyport.Digest(sum[:16]), Expires: c.Expiry.Time()}, nil
}

// issuedTo is the application that a token was issued to: azp in an ID token (OpenID Connect Core, 2), client_id in an access token (RFC 9068, 2.2).
// one is false where the two differ.
func issuedTo(claims map[string]any) (client string, one bool) {
	party, _ := claims["azp"].(string)
	client, _ = claims["client_id"].(string)
	if party != "" && client != "" && party != client {
		return "", false
	}
	if client == "" {
		client = party
	}
	return client, true
}
