package control

import (
	"bytes"
	"crypto/sha256"
	"time"

	"sallyport"
)

// keys are what people prove themselves with to Sallyport: credentials for a while, passwords of their own, and invitations to set one.
type keys struct {
	credentials map[[sha256.Size]byte]Credential
	passwords   map[sallyport.Staff]string // Argon2id hashes
	halves      map[string][]byte          // by proposal: the digest of the half of a code that its proposer has
	invitations map[sallyport.Staff]invitation
	tokens      map[string]Token // of the api, by the id of their proposal
	passkeys    map[sallyport.Staff][]Passkey
}

// Credential is one that holds.
type Credential struct {
	Staff   sallyport.Staff
	Until   time.Time
	Proven  time.Time // when the person proved to the identity provider who he is; zero: it did not say
	Factors bool      // with more than a password
}

// invitation holds the digests of the two halves of a code.
type invitation struct {
	halves [2][]byte
	until  time.Time
}

// InvitedFor is how long somebody can make use of an invitation, once two people agreed to it.
const InvitedFor = 3 * 24 * time.Hour

func newKeys() keys {
	return keys{credentials: map[[sha256.Size]byte]Credential{}, passwords: map[sallyport.Staff]string{}, halves: map[string][]byte{}, invitations: map[sallyport.Staff]invitation{}, tokens: map[string]Token{}, passkeys: map[sallyport.Staff][]Passkey{}}
}

// revoke takes from somebody what he could log in with, but for his password: whether that counts is asked of his standing.
func (k *keys) revoke(who sallyport.Staff) {
	for digest, c := range k.credentials {
		if c.Staff == who {
			delete(k.credentials, digest)
		}
	}
	delete(k.invitations, who)
	for id, t := range k.tokens {
		if t.Staff == who {
			delete(k.tokens, id)
		}
	}
}

// fold takes up one event. Nobody gets, ends or sets what is another's.
func (k *keys) fold(e *sallyport.Event, o *sallyport.Order) {
	if o.By == "" || o.By != o.About {
		return
	}
	c := o.Credential
	switch {
	case e.Kind == sallyport.PasswordSet && o.Password != "":
		k.passwords[o.About] = o.Password
		delete(k.invitations, o.About)
	case c == nil || len(c.Digest) != sha256.Size:
	case e.Kind == sallyport.CredentialEnded:
		if digest := [sha256.Size]byte(c.Digest); k.credentials[digest].Staff == o.About {
			delete(k.credentials, digest)
		}
	case e.Kind == sallyport.CredentialMade && c.Until.After(e.Time):
		for digest, old := range k.credentials {
			if !old.Until.After(e.Time) {
				delete(k.credentials, digest)
			}
		}
		k.credentials[[sha256.Size]byte(c.Digest)] = Credential{Staff: o.About, Until: c.Until, Proven: c.Proven, Factors: c.Factors}
	}
}

// invite lets somebody set a password by two halves of a code: the proposer's and the approver's.
func (k *keys) invite(who sallyport.Staff, first, second []byte, now time.Time) {
	if len(first) == 0 || len(second) == 0 || bytes.Equal(first, second) {
		return
	}
	k.invitations[who] = invitation{halves: [2][]byte{first, second}, until: now.Add(InvitedFor)}
}

// Credential is the one with this digest, if it holds at this moment.
func (s *State) Credential(digest [sha256.Size]byte, now time.Time) (Credential, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.keys.credentials[digest]
	return c, ok && now.Before(c.Until)
}

// Password is the hash of the password that somebody set himself; empty: he set none.
func (s *State) Password(who sallyport.Staff) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.passwords[who]
}

// Invited tells whether the two halves of a code, by their digests, let somebody set a password now.
func (s *State) Invited(who sallyport.Staff, first, second [sha256.Size]byte, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.keys.invitations[who]
	return ok && now.Before(i.until) && bytes.Equal(i.halves[0], first[:]) && bytes.Equal(i.halves[1], second[:])
}
