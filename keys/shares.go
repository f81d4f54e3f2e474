package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// QuorumProvider is the provider of a ring that only several people open together.
const QuorumProvider = "quorum"

// Quorum says how many shares open a ring, and which there are.
type Quorum struct {
	Need   int         `json:"need"`
	Shares []ShareName `json:"shares"`
}

// ShareName names a share. Check is a digest of it, by which a wrong one is told before the others are there.
type ShareName struct {
	Name  string `json:"name"`
	Check []byte `json:"check"`
}

// Limits of a quorum: fewer than two people are none, and more than 16 are more than anybody finds in a night.
const (
	minNeed       = 2
	maxShares     = 16
	maxShareName  = 32
	shareMark     = "sps1"
	checksumBytes = 5
)

// ErrSealed says that shares are missing.
var ErrSealed = errors.New("the keys are sealed")

// ErrShare says that a share is not taken; the sentence around it says why.
var ErrShare = errors.New("the share is not taken")

// ParseQuorum reads "2-of-3".
func ParseQuorum(text string) (need, of int, err error) {
	a, b, found := strings.Cut(text, "-of-")
	need, err1 := strconv.Atoi(a)
	of, err2 := strconv.Atoi(b)
	if !found || err1 != nil || err2 != nil || need < minNeed || of < need || of > maxShares {
		return 0, 0, fmt.Errorf("read the quorum %q: expected K-of-N such as 2-of-3, with at least %d and at most %d shares", text, minNeed, maxShares)
	}
	return need, of, nil
}

// CheckShareName holds a name to what can stand in a share and be the name of a file.
func CheckShareName(name string) error {
	wrong := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' }
	if name == "" || len(name) > maxShareName || strings.ContainsFunc(name, wrong) {
		return fmt.Errorf("name a share %q: expected 1 to %d small letters, digits and underscores", name, maxShareName)
	}
	return nil
}

// Share is a part of what opens a ring. It prints as its name.
type Share struct {
	Name string
	id   int
	text func() string // a closure, so that nothing prints it
}

// Text is the share itself: a line to keep.
func (s Share) Text() string { return s.text() }

// field is where the shares are points of a polynomial: the scalars of ristretto255, of some 252 bits.
func field() group.Group { return group.Ristretto255 }

// Split is the provider that makes a ring of a quorum.
type Split struct {
	Quorum Quorum
	Shares []Share
	aead   func() (cipher.AEAD, error)
}

// NewSplit makes a new secret and its shares.
func NewSplit(need int, names []string) (*Split, error) {
	if need < minNeed || len(names) < need || len(names) > maxShares {
		return nil, fmt.Errorf("split: %d of %d shares; expected at least %d, and at most %d", need, len(names), minNeed, maxShares)
	}
	secret := field().RandomNonZeroScalar(rand.Reader)
	p := &Split{Quorum: Quorum{Need: need}, aead: func() (cipher.AEAD, error) { return quorumAEAD(secret) }}
	for i, share := range secretsharing.New(rand.Reader, uint(need-1), secret).Share(uint(len(names))) { //nolint:gosec // 2 to 16
		if err := CheckShareName(names[i]); err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], names[i]) {
			return nil, fmt.Errorf("split: two shares are called %s", names[i])
		}
		value, err := share.Value.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("split: %w", err)
		}
		text := shareText(names[i], i+1, value)
		p.Quorum.Shares = append(p.Quorum.Shares, ShareName{names[i], shareCheck(i+1, value)})
		p.Shares = append(p.Shares, Share{Name: names[i], id: i + 1, text: func() string { return text }})
	}
	return p, nil
}

// Name is what the ring says of its provider.
func (*Split) Name() string { return QuorumProvider }

// Wrap seals with the secret that the shares make.
func (p *Split) Wrap(_ context.Context, key []byte) ([]byte, error) {
	aead, err := p.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, key, []byte(QuorumProvider)), nil //nolint:gosec // this AEAD draws the nonce itself
}

// Unwrap shows that the first and the last shares that are enough open what Wrap sealed.
func (p *Split) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	last, err := p.unwrap(ctx, wrapped, p.Shares[len(p.Shares)-p.Quorum.Need:])
	if err != nil {
		return nil, err
	}
	clear(last)
	return p.unwrap(ctx, wrapped, p.Shares[:p.Quorum.Need])
}

func (p *Split) unwrap(ctx context.Context, wrapped []byte, shares []Share) ([]byte, error) {
	a := NewAssembly(p.Quorum)
	for _, share := range shares {
		if _, err := a.Add(share.Name, share.Text()); err != nil {
			return nil, err
		}
	}
	return a.Unwrap(ctx, wrapped)
}

// quorumAEAD is the cipher under the key that the secret makes.
func quorumAEAD(secret group.Scalar) (cipher.AEAD, error) {
	bytes, err := secret.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("derive from the shares: %w", err)
	}
	defer clear(bytes)
	key, err := hkdf.Key(sha256.New, bytes, nil, "sallyport quorum 1", KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive from the shares: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive from the shares: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Assembly is the provider that opens a ring of a quorum, once enough people have each brought a share. It is safe for concurrent use.
type Assembly struct {
	quorum Quorum
	mu     sync.Mutex // guards in
	in     []brought
}

type brought struct {
	by    string
	share Share
	value func() []byte // a closure, so that nothing prints it
}

// NewAssembly begins with no share.
func NewAssembly(q Quorum) *Assembly { return &Assembly{quorum: q} }

// Name is what the ring says of its provider.
func (*Assembly) Name() string { return QuorumProvider }

// Add takes the share that somebody brings, and returns its name. It is ErrShare for one that is misspelt, of another ring, or there
// already, and for whoever has brought one.
func (a *Assembly) Add(by, text string) (name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	share, value, err := a.check(by, text)
	if err != nil {
		return "", err
	}
	a.in = append(a.in, brought{by, share, func() []byte { return value }})
	return share.Name, nil
}

// Check says whether Add would take a share, and what it is called.
func (a *Assembly) Check(by, text string) (name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	share, _, err := a.check(by, text)
	return share.Name, err
}

func (a *Assembly) check(by, text string) (Share, []byte, error) {
	share, value, err := parseShare(text)
	if err != nil {
		return Share{}, nil, err
	}
	if len(a.in) >= a.quorum.Need {
		return Share{}, nil, fmt.Errorf("%w: there are enough", ErrShare)
	}
	if share.id > len(a.quorum.Shares) || a.quorum.Shares[share.id-1].Name != share.Name ||
		subtle.ConstantTimeCompare(a.quorum.Shares[share.id-1].Check, shareCheck(share.id, value)) != 1 {
		return Share{}, nil, fmt.Errorf("%w: it belongs to other keys than these", ErrShare)
	}
	for _, b := range a.in {
		switch {
		case b.share.id == share.id:
			return Share{}, nil, fmt.Errorf("%w: the share %s is there already; bring another", ErrShare, share.Name)
		case b.by == by:
			return Share{}, nil, fmt.Errorf("%w: you have brought %s already; another person must bring the next", ErrShare, b.share.Name)
		}
	}
	return share, value, nil
}

// Missing is how many shares are still to come.
func (a *Assembly) Missing() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.quorum.Need - len(a.in)
}

// Quorum is whose shares it takes.
func (a *Assembly) Quorum() Quorum { return a.quorum }

// Opens tells whether all shares are in, and are those of a quorum.
func (a *Assembly) Opens(q Quorum) bool {
	same := func(a, b ShareName) bool { return a.Name == b.Name && bytes.Equal(a.Check, b.Check) }
	return a.Missing() <= 0 && a.quorum.Need == q.Need && slices.EqualFunc(a.quorum.Shares, q.Shares, same)
}

// Need is how many shares it takes.
func (a *Assembly) Need() int { return a.quorum.Need }

// Wrap cannot be done with shares alone.
func (*Assembly) Wrap(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("make keys: a ring of a quorum is made by 'sallyport keys init --quorum'")
}

// Unwrap is ErrSealed as long as shares are missing.
func (a *Assembly) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if missing := a.quorum.Need - len(a.in); missing > 0 {
		return nil, fmt.Errorf("%w: %d of %d shares are in; %d more of different people are needed ('sallyport keys unseal')", ErrSealed, len(a.in), a.quorum.Need, missing)
	}
	var shares []secretsharing.Share
	for _, b := range a.in {
		value := field().NewScalar()
		if err := value.UnmarshalBinary(b.value()); err != nil {
			return nil, fmt.Errorf("put the shares together: %w", errDamaged)
		}
		shares = append(shares, secretsharing.Share{ID: field().NewScalar().SetUint64(uint64(b.share.id)), Value: value}) //nolint:gosec // 1 to 16
	}
	secret, err := secretsharing.Recover(uint(a.quorum.Need-1), shares) //nolint:gosec // 2 to 16
	if err != nil {
		return nil, fmt.Errorf("put the shares together: %w", err)
	}
	aead, err := quorumAEAD(secret)
	if err != nil {
		return nil, err
	}
	key, err := aead.Open(nil, nil, wrapped, []byte(QuorumProvider))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("put the shares together: the ring is of other shares, or %w", errDamaged)
	}
	return key, nil
}

// shareText is a line: mark, name, number, value and checksum, with hyphens between them.
func shareText(name string, id int, value []byte) string {
	body := fmt.Sprintf("%s-%s-%d-%s", shareMark, name, id, shareEncoding().EncodeToString(value))
	return body + "-" + shareChecksum(body)
}

func shareEncoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// shareChecksum finds slips of whoever copies a share by hand.
func shareChecksum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return shareEncoding().EncodeToString(sum[:checksumBytes])
}

// shareCheck is what the ring keeps of a share: its value has some 252 random bits, so that nothing leads back from its digest.
func shareCheck(id int, value []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "sallyport share %d %s", id, value))
	return sum[:16]
}

// parseShare reads a line. No error quotes it.
func parseShare(text string) (Share, []byte, error) {
	text = strings.TrimSpace(text)
	body, checksum, found := cutLast(text, "-")
	parts := strings.Split(body, "-")
	if !found || len(parts) != 4 || parts[0] != shareMark {
		return Share{}, nil, fmt.Errorf("%w: it is no share: it begins with %s- and has four hyphens", ErrShare, shareMark)
	}
	if subtle.ConstantTimeCompare([]byte(checksum), []byte(shareChecksum(body))) != 1 {
		return Share{}, nil, fmt.Errorf("%w: its checksum is wrong: a letter was lost or changed when it was copied", ErrShare)
	}
	id, err1 := strconv.Atoi(parts[2])
	value, err2 := shareEncoding().DecodeString(parts[3])
	if err := cmp.Or(err1, err2); err != nil || id < 1 || id > maxShares {
		return Share{}, nil, fmt.Errorf("%w: it is no share of this version", ErrShare)
	}
	return Share{Name: parts[1], id: id, text: func() string { return text }}, value, nil
}
