// Package evidence makes an evidence pack: one archive that somebody outside can read, print and verify offline, with nothing but the ledger's
// public key.
//
// It refuses a file name that leads out of the archive, and to call a pack whole of which a file, its hash, its seal or a proof does not hold.
//
// Invariant: the seal is an entry of the record that states the digest of the list of hashes; so whoever changes a byte of a pack has to change
// the ledger that others saw.
package evidence

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/ledger"
)

// The names in an archive.
const (
	Sums    = "SHA256SUMS"   // of all files but itself and the seal
	Seal    = "seal.json"    // the proof of the entry that states the digest of Sums
	Report  = "report.html"  // for people
	Events  = "events/"      // proofs of single entries
	Program = "verify.py"    // checks one proof, and by the next two all of it
	Reader  = "event.py"     // opens and reads what a proof shows
	Checker = "pack.py"      // checks a pack
	Index   = "events.csv"   // which entries are here, and what they say
	Case    = "case.json"    // the case, as its investigators see it
	Custody = "custody.json" // who did what with this evidence
)

// SumsOf lists the hashes of files, as sha256sum does, and the digest of that list.
func SumsOf(files map[string][]byte) (list []byte, digest string) {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == Sums || name == Seal {
			continue
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	sum := sha256.Sum256(b.Bytes())
	return b.Bytes(), hex.EncodeToString(sum[:])
}

// Write makes the archive. The same files give the same bytes.
func Write(w io.Writer, files map[string][]byte, at time.Time) error {
	z := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at.UTC()})
		if err == nil {
			_, err = f.Write(files[name])
		}
		if err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write pack: %w", err)
	}
	return nil
}

// What bounds a pack that is read.
const (
	mostFiles = 20_000
	mostBytes = 1 << 30
)

// Read takes an archive apart.
func Read(r io.ReaderAt, size int64) (map[string][]byte, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("read pack: %w", err)
	}
	files, all := map[string][]byte{}, int64(0)
	for _, f := range z.File {
		if len(files) >= mostFiles || f.Name == "" || strings.Contains(f.Name, "..") || strings.ContainsAny(f.Name, "\\\n") || strings.HasPrefix(f.Name, "/") {
			return nil, fmt.Errorf("read pack: %q is no name of a file of a pack, or there are too many", f.Name)
		}
		if _, twice := files[f.Name]; twice {
			return nil, fmt.Errorf("read pack: %q is there twice", f.Name)
		}
		b, err := content(f, mostBytes-all)
		if err != nil {
			return nil, fmt.Errorf("read pack: %s: %w", f.Name, err)
		}
		all += int64(len(b))
		files[f.Name] = b
	}
	return files, nil
}

func content(f *zip.File, most int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = errors.New("longer than a pack may be")
	}
	return b, err
}

// Found is what a verification comes to.
type Found struct {
	Case     uint64   `json:"case"`
	Files    int      `json:"files"`
	Proven   int      `json:"proven"` // entries that stand in the ledger
	Shown    int      `json:"shown"`  // of which that is proven of what they say, too
	Problems []string `json:"problems"`
}

// sealed is what the seal's event says, by the keys of docs/record.md.
type sealed struct {
	Kind    string
	Details string
	Case    uint64
	Do      string
}

// Verify holds a pack to its hashes, these to the seal, and all proofs to the ledger's public key, which must come from elsewhere. decode reads
// what it needs of an event (CBOR).
func Verify(files map[string][]byte, key string, decode func([]byte) (kind, details, do string, n uint64, err error)) *Found {
	f := &Found{Files: len(files)}
	say := func(format string, args ...any) { f.Problems = append(f.Problems, fmt.Sprintf(format, args...)) }
	sums, digest := SumsOf(files)
	if !bytes.Equal(sums, files[Sums]) {
		say("%s does not list these files: something was changed, added or removed", Sums)
	}
	var s sealed
	plain, err := open(files[Seal], key)
	if err == nil {
		s.Kind, s.Details, s.Do, s.Case, err = decode(plain)
	}
	switch {
	case err != nil:
		say("%s: %v", Seal, err)
	case s.Kind != "case" || s.Do != "exported" || s.Details != digest:
		say("%s is not the seal of these files", Seal)
	default:
		f.Case = s.Case
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasPrefix(name, Events) {
			continue
		}
		switch _, err := open(files[name], key); {
		case err == nil:
			f.Proven, f.Shown = f.Proven+1, f.Shown+1
		case errors.Is(err, ledger.ErrNotShown):
			f.Proven++
		default:
			say("%s: %v", name, err)
		}
	}
	return f
}

// open checks a proof and returns what its entry says.
func open(text []byte, key string) ([]byte, error) {
	if text == nil {
		return nil, errors.New("it is missing")
	}
	p, err := ledger.ParseProof(text)
	if err != nil {
		return nil, err
	}
	if err := p.Check(key); err != nil {
		return nil, err
	}
	return p.Open()
}

// JSON is a file that people may read, too.
func JSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write pack: %w", err)
	}
	return append(b, '\n'), nil
}
