package history

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sallyport"
)

// Names turns people, purposes and what leads to them into pseudonyms, and seals the names themselves. Its key is random and lies beside
// the store: whoever sees pseudonyms cannot compute them, so not even a directory of five can be tried through. A new key is a new epoch.
type Names struct {
	macs    sync.Pool // of hash.Hash, keyed
	aead    cipher.AEAD
	epoch   string
	Service func(sallyport.Staff) bool // programs keep their names; nil: nobody is one
}

// keyBytes is the length of the key in its file.
const keyBytes = 32

// OpenNames reads the key, or makes one where there is none.
func OpenNames(file string) (*Names, error) {
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keyBytes)
		rand.Read(key)
		err = keep(file, key)
	}
	if err != nil {
		return nil, fmt.Errorf("open the key of pseudonyms: %w", err)
	}
	if len(key) != keyBytes {
		return nil, fmt.Errorf("open the key of pseudonyms %s: it has %d bytes, expected %d; remove it and history is made again under a new one", file, len(key), keyBytes)
	}
	return NewNames(key)
}

// keep writes a key that survives a power cut once it is used.
func keep(file string, key []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// NewNames is by a key of 32 bytes.
func NewNames(key []byte) (*Names, error) {
	derive := func(what string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte("sallyport history " + what))
		return h.Sum(nil)
	}
	block, err := aes.NewCipher(derive("names"))
	if err != nil {
		return nil, fmt.Errorf("make pseudonyms: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make pseudonyms: %w", err)
	}
	key = derive("pseudonyms")
	return &Names{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}, aead: aead, epoch: fmt.Sprintf("%x", derive("epoch")[:8])}, nil
}

// Epoch tells one key from another.
func (n *Names) Epoch() string { return n.epoch }

// letters of pseudonyms: easy to read aloud.
var letters = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant

// pseudonymLength is that of all of them: their kind, a dash, and 50 bits that only the key can compute. DuckDB keeps so much without a pointer.
const pseudonymLength = 12

// of is a pseudonym.
func (n *Names) of(kind, name string) string {
	if name == "" {
		return ""
	}
	h := n.macs.Get().(hash.Hash) //nolint:forcetypeassert // nothing else is put there
	defer n.macs.Put(h)
	h.Reset()
	_, _ = io.WriteString(h, kind+"\x00"+name) // a hash takes everything
	return kind + "-" + letters.EncodeToString(h.Sum(nil)[:10])[:pseudonymLength-2]
}

// PersonPrefix is how the pseudonym of a person begins.
const PersonPrefix = "p-"

// Pseudonym tells whether a text has the form of one.
func Pseudonym(text string) bool {
	return len(text) == pseudonymLength && strings.Contains("pxadtgr", text[:1]) && text[1] == '-' && strings.Trim(text[2:], "abcdefghijkmnpqrstuvwxyz23456789") == ""
}

// Person is the pseudonym of somebody; a service's own name.
func (n *Names) Person(who sallyport.Staff) string {
	if who == "" || n.Service != nil && n.Service(who) {
		return string(who)
	}
	return n.of("p", string(who))
}

// The rest of what leads to a person.

// Session is the pseudonym of a session.
func (n *Names) Session(id string) string { return n.of("x", id) }

// Address is the pseudonym of a network address. The port is another one each time and left out.
func (n *Names) Address(a string) string {
	if at := strings.LastIndexByte(a, ':'); at > 0 && strings.Count(a, ":") == 1 || at > 0 && strings.HasPrefix(a, "[") {
		a = a[:at]
	}
	return n.of("a", a)
}

// Device is the pseudonym of a device.
func (n *Names) Device(d string) string { return n.of("d", d) }

// Team is the pseudonym of a team: of a small one everybody knows who is in it.
func (n *Names) Team(t string) string { return n.of("t", t) }

// Grant is the pseudonym of a grant, which was asked for by name.
func (n *Names) Grant(id string) string { return n.of("g", id) }

// Customer is the pseudonym of a customer in one place, such as an evidence pack: in another place he has another one.
func (n *Names) Customer(place string, who sallyport.Subject) string {
	if who == "" {
		return ""
	}
	return n.of("c", place+"\x00"+string(who))
}

// Application is the name that a client gives itself, unless it names the person.
func (n *Names) Application(app string, who *sallyport.Who) string {
	lower := strings.ToLower(app)
	for _, name := range []string{string(who.Staff), who.Login} {
		if len(name) > 1 && strings.Contains(lower, strings.ToLower(name)) {
			return "(names its user)"
		}
	}
	return app
}

// Purpose is KIND:PSEUDONYM. What kind it is stays readable where it is one of ours.
func (n *Names) Purpose(text string) string {
	kind, ref, _ := strings.Cut(text, ":")
	if kind == "work" && ref == "mine" {
		return text
	}
	if !slices.Contains([]string{"ticket", "call", "job", "grant", "work"}, kind) {
		kind = "other"
	}
	return kind + ":" + n.of("r", text)
}

// Seal encrypts a name to be stored; what names its place. Open needs the same.
func (n *Names) Seal(plain []byte, what string) []byte {
	return n.aead.Seal(nil, nil, plain, []byte(what)) //nolint:gosec // it makes its own random nonce
}

// Open is the reverse of Seal.
func (n *Names) Open(sealed []byte, what string) ([]byte, error) {
	plain, err := n.aead.Open(nil, nil, sealed, []byte(what))
	if err != nil {
		return nil, fmt.Errorf("open a name: it was sealed under another key: %w", ErrBroken)
	}
	return plain, nil
}

// Mask puts pseudonyms in place of the names of everybody whom shown does not let be seen. The list is changed.
func (n *Names) Mask(list []*Sighting, shown func(sallyport.Staff) bool) {
	for _, s := range list {
		if shown != nil && shown(s.Staff) {
			continue
		}
		person := n.Person(s.Staff)
		if person == string(s.Staff) {
			continue // a service is nobody
		}
		s.Application = n.Application(s.Application, &sallyport.Who{Staff: s.Staff, Login: s.Login})
		s.Staff, s.Login, s.Address, s.Session = sallyport.Staff(person), "", n.Address(s.Address), n.Session(s.Session)
		for i, p := range s.Purposes {
			s.Purposes[i] = n.Purpose(p)
		}
		s.Grant = n.Grant(s.Grant)
	}
}
