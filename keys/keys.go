// Package keys keeps the root secret: random, made at the first start, wrapped with age for one identity in DIR/keys.age.
// The identity is in the key file, which lies elsewhere. Harden keeps the process's memory out of core files.
//
// It refuses a key file that others can read, that lies inside DIR, or that is missing while DIR has wrapped keys; and it
// never makes new keys where old ones may be. No error holds a byte of a key.
//
// Invariant: who copies DIR has no key, and who has the key file has no token.
package keys

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"sallyport/token"
)

// WrappedName is the file in DIR with the wrapped root secret; docs/keys.md has its format.
const WrappedName = "keys.age"

const (
	// payloadMark begins the wrapped payload: what it is, and the version of its format. The root secret follows.
	payloadMark = "sallyport keys\x00\x01"
	// maxFile bounds both files: the largest that age writes for us has less than 4 KiB.
	maxFile = 64 << 10
)

// Keyring holds the unwrapped root secret.
type Keyring struct {
	root token.Secret
}

// Root is the secret from which token.NewRing derives every key.
func (k *Keyring) Root() token.Secret { return k.root }

// Close wipes the root secret. What was derived from it before stays.
func (k *Keyring) Close() { k.root.Wipe() }

// Open reads the keys of the data folder dir with the identity in keyFile. Where neither is there, at the first start, it
// makes both; where only the key file is there, made by age-keygen or by a first start that was cut short, the wrapped keys.
func Open(dir, keyFile string) (*Keyring, error) {
	if keyFile == "" {
		return nil, errors.New("open keys: there is no key file: name one with --key-file FILE, outside of the data folder")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open keys: create data folder: %w", err)
	}
	if err := refuseInside(dir, keyFile); err != nil {
		return nil, err
	}
	wrapped := filepath.Join(dir, WrappedName)
	haveWrapped, err := exists(wrapped)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	haveKey, err := exists(keyFile)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	switch {
	case haveWrapped && !haveKey:
		return nil, fmt.Errorf("open keys: key file %s is missing, and %s cannot be unwrapped without it: restore it from its backup", keyFile, wrapped)
	case !haveKey:
		if err := makeKeyFile(keyFile); err != nil {
			return nil, fmt.Errorf("make key file %s: %w", keyFile, err)
		}
	}
	identity, err := readKeyFile(keyFile)
	if err != nil {
		return nil, err
	}
	if !haveWrapped {
		if err := makeWrapped(wrapped, identity); err != nil {
			return nil, fmt.Errorf("make %s: %w", wrapped, err)
		}
	}
	// Read back also what was just made: a start that succeeds has shown that the next one will.
	root, err := unwrap(wrapped, keyFile, identity)
	if err != nil {
		return nil, err
	}
	return &Keyring{root: root}, nil
}

// refuseInside refuses a key file inside of dir, by whatever way both are named.
func refuseInside(dir, keyFile string) error {
	realDir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("open keys: find data folder: %w", err)
	}
	realFile, err := filepath.EvalSymlinks(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		var parent string
		parent, err = filepath.EvalSymlinks(filepath.Dir(keyFile))
		realFile = filepath.Join(parent, filepath.Base(keyFile))
	}
	if err != nil {
		return fmt.Errorf("open keys: find key file: %w", err)
	}
	for _, path := range []*string{&realDir, &realFile} {
		if *path, err = filepath.Abs(*path); err != nil {
			return fmt.Errorf("open keys: %w", err)
		}
	}
	// Without a relative path between them they are on two volumes, and so not one inside the other.
	if relative, err := filepath.Rel(realDir, realFile); err != nil || !filepath.IsLocal(relative) {
		return nil
	}
	return fmt.Errorf("open keys: key file %s lies inside the data folder %s: whoever copies the folder, or its backup, would have "+
		"the keys and what they protect: move it elsewhere", keyFile, dir)
}

// exists follows links: a link to nothing is missing.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// wrapper is an identity that can be wrapped for: both kinds that age makes.
type wrapper struct {
	identity  age.Identity
	recipient age.Recipient
}

// readKeyFile reads the one identity of a key file that nobody else can read.
func readKeyFile(path string) (wrapper, error) {
	content, err := readRegular(path, func(info fs.FileInfo) error {
		if mode := info.Mode(); mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0o600 && mode.Perm() != 0o400 {
			return fmt.Errorf("its mode is %04o, and others than its owner must not reach it: chmod 600 %s", mode.Perm(), path)
		}
		return nil
	})
	if err != nil {
		return wrapper{}, fmt.Errorf("read key file %s: %w", path, err)
	}
	defer clear(content)
	// The library's error may quote the line, which may be the key with a slip in it.
	identities, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil || len(identities) != 1 {
		return wrapper{}, fmt.Errorf("read key file %s: it must hold exactly one age identity, as age-keygen writes it", path)
	}
	switch identity := identities[0].(type) {
	case *age.X25519Identity:
		return wrapper{identity: identity, recipient: identity.Recipient()}, nil
	case *age.HybridIdentity:
		return wrapper{identity: identity, recipient: identity.Recipient()}, nil
	}
	return wrapper{}, fmt.Errorf("read key file %s: its identity is of a kind that nothing can be wrapped for: use one of age-keygen", path)
}

// readRegular reads a small regular file. It is checked after it was opened, so that what was checked is what is read.
func readRegular(path string, check func(fs.FileInfo) error) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if err := check(info); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	return content, nil
}

// makeKeyFile makes a new identity.
func makeKeyFile(path string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make an age identity: %w", err)
	}
	content := fmt.Appendf(nil, "# Sallyport's key file. Without it no token can be revealed: back it up, apart from the data folder.\n"+
		"# public key: %s\n%s\n", identity.Recipient(), identity)
	defer clear(content)
	return publish(path, content)
}

// makeWrapped makes a new root secret and wraps it.
func makeWrapped(path string, key wrapper) error {
	payload := append([]byte(payloadMark), make([]byte, token.SecretSize)...)
	defer clear(payload)
	if _, err := io.ReadFull(rand.Reader, payload[len(payloadMark):]); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, key.recipient)
	if err != nil {
		return fmt.Errorf("wrap: %w", err)
	}
	if _, err := w.Write(payload); err != nil {
		return fmt.Errorf("wrap: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("wrap: %w", err)
	}
	return publish(path, sealed.Bytes())
}

// unwrap reads the root secret.
func unwrap(path, keyFile string, key wrapper) (token.Secret, error) {
	sealed, err := readRegular(path, func(fs.FileInfo) error { return nil })
	if err != nil {
		return token.Secret{}, fmt.Errorf("read %s: %w", path, err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), key.identity)
	if _, foreign := errors.AsType[*age.NoIdentityMatchError](err); foreign {
		return token.Secret{}, fmt.Errorf("unwrap %s: it was not wrapped for the identity in %s: use the key file that was made with it", path, keyFile)
	}
	if err != nil {
		return token.Secret{}, fmt.Errorf("unwrap %s: it is damaged: restore it from a backup", path)
	}
	payload := make([]byte, len(payloadMark)+token.SecretSize+1)
	defer clear(payload)
	n, err := io.ReadFull(r, payload)
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != len(payload)-1 || string(payload[:len(payloadMark)]) != payloadMark {
		return token.Secret{}, fmt.Errorf("unwrap %s: it is damaged, or of a later version", path)
	}
	root, err := token.NewSecret(payload[len(payloadMark):n])
	if err != nil {
		return token.Secret{}, fmt.Errorf("unwrap %s: %w", path, err)
	}
	return root, nil
}

// publish makes a file appear whole, on stable storage and with mode 0600, or not at all. It links instead of renaming,
// since a rename would silently replace keys that another process made in the meantime.
func publish(path string, content []byte) (err error) {
	temporary := path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what a crash left: %w", err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary)))
		}
	}()
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(0o600) // whatever the umask left of it
	}
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	if err := os.Remove(temporary); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
