package control

import (
	"bytes"
	"slices"
	"time"

	"sallyport"
)

// Passkey is one by which somebody proves who he is.
type Passkey struct {
	sallyport.Passkey
	Staff sallyport.Staff
	Added time.Time
	Used  time.Time // when it was last; zero: never
}

// MostPasskeys is how many one person may have.
const MostPasskeys = 10

// passkey folds what became of one. Nobody adds or uses what is another's; who ends one may be somebody else.
func (k *keys) passkey(e *sallyport.Event, o *sallyport.Order) {
	p := o.Passkey
	if p == nil || len(p.ID) == 0 || o.About == "" {
		return
	}
	list := k.passkeys[o.About]
	at := slices.IndexFunc(list, func(x Passkey) bool { return bytes.Equal(x.ID, p.ID) })
	switch {
	case e.Kind == sallyport.PasskeyEnded && at >= 0:
		k.passkeys[o.About] = slices.Delete(slices.Clone(list), at, at+1)
	case o.By != o.About:
	case e.Kind == sallyport.PasskeyUsed && at >= 0:
		list = slices.Clone(list)
		list[at].Count, list[at].Used = p.Count, e.Time
		k.passkeys[o.About] = list
	case e.Kind == sallyport.PasskeyAdded && at < 0 && len(p.Public) > 0 && len(list) < MostPasskeys && !k.anybodys(p.ID):
		k.passkeys[o.About] = append(slices.Clone(list), Passkey{Passkey: *p, Staff: o.About, Added: e.Time})
		delete(k.invitations, o.About)
	}
}

// anybodys tells whether somebody has a passkey of this id.
func (k *keys) anybodys(id []byte) bool {
	for _, list := range k.passkeys {
		if slices.ContainsFunc(list, func(x Passkey) bool { return bytes.Equal(x.ID, id) }) {
			return true
		}
	}
	return false
}

// Passkeys are somebody's.
func (s *State) Passkeys(who sallyport.Staff) []Passkey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys.passkeys[who])
}
