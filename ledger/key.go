package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/transparency-dev/merkle/compact"
	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is what a signed checkpoint says (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   []byte
	Note   []byte // the whole note, with its signatures
}

// parseCheckpoint reads the text of a note, which somebody else verified.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return Checkpoint{}, errors.New("not the text of a checkpoint")
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, errors.New("not the text of a checkpoint: its size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != 32 {
		return Checkpoint{}, errors.New("not the text of a checkpoint: its root")
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// OpenCheckpoint verifies a note by the log's public key.
func OpenCheckpoint(b []byte, key string) (Checkpoint, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the ledger's public key: %w", err)
	}
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verify checkpoint: %w", err)
	}
	if !canonical(b) {
		return Checkpoint{}, errors.New("verify checkpoint: its signatures are not written as they must be")
	}
	c, err := parseCheckpoint(n.Text)
	if err == nil && c.Origin != v.Name() {
		err = fmt.Errorf("a checkpoint of %q", c.Origin)
	}
	c.Note = bytes.Clone(b)
	return c, err
}

// signer signs checkpoints, and only of trees that are what the record says: whatever a library or a file did.
type signer struct {
	note.Signer
	public string

	mu     sync.Mutex     // guards what follows
	failed error          // why the last checkpoint was not signed; nil: it was
	base   *compact.Range // the first leaves
	hashes [][]byte       // of the leaves behind them, as they are to stand in the log
}

var errRefused = errors.New("refuse to sign: this tree is not the record's entries in their order")

// Sign signs the text of a checkpoint.
func (s *signer) Sign(msg []byte) (signature []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = s.fits(msg); s.failed == nil {
		signature, s.failed = s.Signer.Sign(msg)
	}
	return signature, s.failed
}

// fits says why a text is not to be signed. The mutex is held.
func (s *signer) fits(msg []byte) error {
	c, err := parseCheckpoint(string(msg))
	if err != nil {
		return fmt.Errorf("refuse to sign: %w", err)
	}
	if s.base == nil || c.Size < s.base.End() || c.Size-s.base.End() > uint64(len(s.hashes)) {
		return errRefused
	}
	want, err := rootOf(s.base, s.hashes[:c.Size-s.base.End()])
	if err != nil || !bytes.Equal(want, c.Root) {
		return errRefused
	}
	return nil
}

// refusal is why the last checkpoint was not signed.
func (s *signer) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// begin says what stands in the log.
func (s *signer) begin(base *compact.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base, s.hashes = base, nil
}

// expect says what comes next. What came long before is not asked for any more.
func (s *signer) expect(leaves [][]byte, keep int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if drop := len(s.hashes) - keep; drop > 0 {
		base, err := extend(s.base, s.hashes[:drop])
		if err != nil {
			return err
		}
		s.base, s.hashes = base, append([][]byte(nil), s.hashes[drop:]...)
	}
	s.hashes = append(s.hashes, leaves...)
	return nil
}

// root is that of the tree of everything expected, with its size.
func (s *signer) root() (uint64, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	root, err := rootOf(s.base, s.hashes)
	return s.base.End() + uint64(len(s.hashes)), root, err
}

// readCheckpoint reads a file.
func (s *signer) readCheckpoint(path string) (Checkpoint, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Checkpoint{}, err
	}
	return OpenCheckpoint(b, s.public)
}

// openKey reads the key, or makes it with the ledger.
func (l *Ledger) openKey() (*signer, error) {
	path := filepath.Join(l.o.Data, KeyFile)
	_, gone := os.Stat(filepath.Join(l.dir, publicName))
	secret, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && gone != nil:
		if secret, err = l.makeKey(path); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the key %s is gone, and nobody else can sign for this ledger: restore it from a backup, or move %s away to begin a new ledger under a new key", path, l.dir)
	case err != nil:
		return nil, err
	}
	inner, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		return nil, fmt.Errorf("read the key %s: malformed", path) // the error might quote it
	}
	if l.o.Origin != "" && l.o.Origin != inner.Name() {
		return nil, fmt.Errorf("this ledger was begun as %s and the configuration calls it %s: a name is for ever; put ledger.origin back, or move %s and %s away to begin a new ledger", inner.Name(), l.o.Origin, path, l.dir)
	}
	public, err := publicKey(strings.TrimSpace(string(secret)))
	if err != nil {
		return nil, err
	}
	s := &signer{Signer: inner, public: public}
	kept, err := os.ReadFile(filepath.Join(l.dir, publicName))
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first start, or one that was interrupted; a ledger that was removed has left its key
		if _, made := os.Stat(path + ".new"); made != nil {
			return nil, fmt.Errorf("the ledger in %s is gone and its key %s is not: restore the ledger from a backup, or move the key away to begin a new one. With the same key it would be a second history", l.dir, path)
		}
		if err := writeFile(filepath.Join(l.dir, publicName), []byte(public+"\n"), 0o644); err != nil {
			return nil, err
		}
		_ = os.Remove(path + ".new") // it is only a sign
	case err != nil:
		return nil, err
	case strings.TrimSpace(string(kept)) != public:
		return nil, fmt.Errorf("the key %s is not that of the ledger in %s: put the right one back", path, l.dir)
	}
	return s, nil
}

// makeKey makes the key of a new ledger. A file beside it says, until the public key is written, that there was none before.
func (l *Ledger) makeKey(path string) ([]byte, error) {
	origin := l.o.Origin
	if origin == "" {
		for _, s := range l.o.Sources {
			if s.Stream == Access {
				origin = "sallyport/" + hex.EncodeToString(s.ID[:])
			}
		}
	}
	secret, _, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if err := writeFile(path+".new", nil, 0o600); err != nil {
		return nil, err
	}
	return []byte(secret), writeFile(path, []byte(secret+"\n"), 0o600)
}

// publicKey is the verifier key of a signer's.
func publicKey(secret string) (string, error) {
	parts := strings.SplitN(secret, "+", 5) // PRIVATE+KEY+name+hash+key
	if len(parts) != 5 {
		return "", errors.New("the key is malformed")
	}
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("the key is malformed")
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("the key is malformed")
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}

// writeFile makes a file with its content at once and durably.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
