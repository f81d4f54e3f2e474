package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"filippo.io/age"
)

// What is wrapped begins with a mark: what it is, and the version of its format. The key follows.
const (
	ageMark    = "sallyport keys\x00\x02"
	formerMark = "sallyport keys\x00\x01" // of a keys.age, whose key is the root secret
)

// KeyFile wraps for the age identity in a file, which MUST lie outside of the data folder.
type KeyFile struct {
	Path string
	Dir  string // the data folder
}

// Name is what the ring says of its provider.
func (*KeyFile) Name() string { return "age" }

// Wrap makes the key file where there is none.
func (f *KeyFile) Wrap(_ context.Context, key []byte) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	have, err := exists(f.Path)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if !have {
		if err := makeKeyFile(f.Path); err != nil {
			return nil, fmt.Errorf("make key file %s: %w", f.Path, err)
		}
	}
	identity, err := readKeyFile(f.Path)
	if err != nil {
		return nil, err
	}
	return seal(identity, ageMark, key)
}

// Unwrap undoes Wrap.
func (f *KeyFile) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return f.unwrap(wrapped, ageMark, "the ring")
}

// check refuses a key file that nobody named, or inside of the data folder.
func (f *KeyFile) check() error {
	if f.Path == "" {
		return errors.New("open keys: there is no key file: name one with --key-file FILE, outside of the data folder")
	}
	return refuseInside(f.Dir, f.Path)
}

// unwrap opens what was wrapped under a mark; what names it in errors.
func (f *KeyFile) unwrap(wrapped []byte, mark, what string) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	have, err := exists(f.Path)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if !have {
		return nil, fmt.Errorf("open keys: key file %s is missing, and %s cannot be unwrapped without it: restore it from its backup", f.Path, what)
	}
	identity, err := readKeyFile(f.Path)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), identity.identity)
	if _, foreign := errors.AsType[*age.NoIdentityMatchError](err); foreign {
		return nil, fmt.Errorf("unwrap %s: it was not wrapped for the identity in %s: use the key file that was made with it", what, f.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("unwrap %s: it is damaged: restore it from a backup", what)
	}
	payload := make([]byte, len(mark)+KeySize+1)
	defer clear(payload)
	n, err := io.ReadFull(r, payload)
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != len(payload)-1 || string(payload[:len(mark)]) != mark {
		return nil, fmt.Errorf("unwrap %s: it is damaged, or of a later version", what)
	}
	return bytes.Clone(payload[len(mark):n]), nil
}

// seal wraps a key for an identity.
func seal(identity wrapper, mark string, key []byte) ([]byte, error) {
	payload := append([]byte(mark), key...)
	defer clear(payload)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, identity.recipient)
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	if _, err := w.Write(payload); err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	return sealed.Bytes(), nil
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
