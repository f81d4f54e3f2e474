package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
)

func dirOf(w *world) fs.FS { return os.DirFS(w.dir) }

// logFiles are the files of a log of some leaves, without a checkpoint: what somebody makes who can write files.
func logFiles(t testing.TB, leaves []Leaf) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	tree := factory().NewEmptyRange(0)
	levels := map[uint][][]byte{}
	var bundle []byte
	for i, leaf := range leaves {
		bundle = leaf.Append(binary.BigEndian.AppendUint16(bundle, leafBytes))
		if (i+1)%256 == 0 || i == len(leaves)-1 {
			files[layout.EntriesPath(uint64(i/256), uint8((i+1)%256))] = bundle
			bundle = nil
		}
		err := tree.Append(leaf.Hash(), func(id compact.NodeID, h []byte) {
			if id.Level%8 == 0 {
				levels[id.Level/8] = append(levels[id.Level/8], h)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for level, hashes := range levels {
		for i := 0; i < len(hashes); i += 256 {
			part := hashes[i:min(i+256, len(hashes))]
			files[layout.TilePath(uint64(level), uint64(i/256), uint8(len(part)%256))] = bytes.Join(part, nil)
		}
	}
	root, err := rangeRoot(tree)
	if err != nil {
		t.Fatal(err)
	}
	state, err := json.Marshal(treeState{tree.End(), root})
	if err != nil {
		t.Fatal(err)
	}
	files[stateName] = state
	return files
}

// stage is a finished copy, and what an attacker makes of it.
type stage struct {
	t      testing.TB
	rng    *rand.Rand
	copied fstest.MapFS // as it is right
	older  fstest.MapFS // the ledger's folder as it was earlier
	out    Outside
	key    *signer
	names  []string // files whose every byte counts
}

// newStage makes a data folder in which everything that a verifier looks at occurs.
func newStage(t testing.TB) *stage {
	t.Helper()
	w := newWorld(t)
	w.add(60)
	w.follow(w.options())
	older := load(t, w.dir)
	w.add(240)
	a := (*fakeWitness)(nil)
	if tt, ok := t.(*testing.T); ok {
		a = startFakeWitness(tt, "a.example", w.follow(w.options()).Status().Key)
	}
	o := w.options()
	o.Witnesses = []Witness{{a.url, a.key}}
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w.run(l, func() bool { return l.Status().Witnesses[0].Size == 300 })
	w.close()
	s := &stage{t: t, copied: load(t, w.dir), older: older, key: l.key}
	s.out = Outside{Key: l.Status().Key, Witnesses: []string{a.key}, Checkpoints: map[string][]byte{"kept": s.copied["ledger/checkpoint"].Data}}
	for name := range s.copied {
		if strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "ledger/tile/") || slices.Contains([]string{"ledger/checkpoint", "ledger/cosigned", "ledger/public-key", "ledger/position", "ledger/" + stateName}, name) {
			s.names = append(s.names, name)
		}
	}
	slices.Sort(s.names)
	return s
}

func load(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || !strings.Contains(name, "/") {
			return err
		}
		b, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = &fstest.MapFile{Data: b, Mode: 0o600}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// tamperings are what may be done to a copy. Each gets files of its own to change, and says what it did; empty: nothing this time.
func tamperings() map[string]func(s *stage, files fstest.MapFS) string {
	return map[string]func(s *stage, files fstest.MapFS) string{
		"flip a bit": func(s *stage, files fstest.MapFS) string {
			name := s.names[s.rng.IntN(len(s.names))]
			b := slices.Clone(files[name].Data)
			used := len(bytes.TrimRight(b, "\x00"))
			at := s.rng.IntN(max(used, 1))
			b[at] ^= 1 << s.rng.IntN(8)
			files[name] = &fstest.MapFile{Data: b, Mode: 0o600}
			return fmt.Sprintf("%s at %d", name, at)
		},
		"change bytes": func(s *stage, files fstest.MapFS) string {
			name := s.names[s.rng.IntN(len(s.names))]
			b := slices.Clone(files[name].Data)
			from := s.rng.IntN(len(bytes.TrimRight(b, "\x00")))
			for i := from; i < min(from+1+s.rng.IntN(40), len(b)); i++ {
				b[i] = byte(s.rng.Uint32())
			}
			if bytes.Equal(b, files[name].Data) {
				return ""
			}
			files[name] = &fstest.MapFile{Data: b, Mode: 0o600}
			return fmt.Sprintf("%s from %d", name, from)
		},
		"cut a file": func(s *stage, files fstest.MapFS) string {
			name := s.names[s.rng.IntN(len(s.names))]
			b := bytes.TrimRight(files[name].Data, "\x00")
			if strings.HasSuffix(name, ".log") { // behind the last entry stands a seal, which a crash leaves out as well
				r := &recordReader{data: b}
				copy(r.id[:], b[8:])
				b = b[:r.upTo(1, 1<<40)]
			}
			n := s.rng.IntN(len(b))
			files[name] = &fstest.MapFile{Data: b[:n], Mode: 0o600}
			return fmt.Sprintf("%s to %d of %d", name, n, len(b))
		},
		"remove a file": func(s *stage, files fstest.MapFS) string {
			name := s.names[s.rng.IntN(len(s.names))]
			// The follower's note of its position is a convenience; and what a tile was before it was full is removed in time by the library itself.
			if name == "ledger/"+positionName || strings.Contains(name, ".p/") && !current(files, name) {
				return ""
			}
			delete(files, name)
			return name
		},
		"remove an entry":   func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).drop) },
		"alter an entry":    func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).edit) },
		"insert an entry":   func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).insert) },
		"reorder entries":   func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).swap) },
		"replay an entry":   func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).replay) },
		"cut the end":       func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).cut) },
		"erase an entry":    func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).erase) },
		"salt an entry new": func(s *stage, files fstest.MapFS) string { return s.alter(files, (*stage).salt) },
		"swap streams": func(s *stage, files fstest.MapFS) string {
			a, c := s.takeApart(files, Access), s.takeApart(files, Control)
			i, j := s.rng.IntN(len(a.payloads)), s.rng.IntN(len(c.payloads))
			a.payloads[i], c.payloads[j] = c.payloads[j], a.payloads[i]
			return fmt.Sprintf("access %d, control %d, ", i+1, j+1) + s.finish(files, a, c)
		},
		"swap folders": func(s *stage, files fstest.MapFS) string {
			a, c := s.takeApart(files, Access), s.takeApart(files, Control)
			a.stream, c.stream = c.stream, a.stream
			return s.finish(files, a, c)
		},
		"swap segments": func(s *stage, files fstest.MapFS) string {
			var names []string
			for name := range files {
				if strings.HasSuffix(name, ".log") {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			i, j := s.rng.IntN(len(names)), s.rng.IntN(len(names))
			if i == j {
				return ""
			}
			files[names[i]], files[names[j]] = files[names[j]], files[names[i]]
			return names[i] + " and " + names[j]
		},
		"put the ledger back": func(s *stage, files fstest.MapFS) string {
			maps.DeleteFunc(files, func(name string, _ *fstest.MapFile) bool { return strings.HasPrefix(name, "ledger/") })
			for name, f := range s.older {
				if strings.HasPrefix(name, "ledger/") {
					files[name] = f
				}
			}
			return "to 60 leaves"
		},
		"put everything back": func(s *stage, files fstest.MapFS) string {
			clear(files)
			maps.Copy(files, s.older)
			return "to 60 entries"
		},
		"a checkpoint by another key": func(s *stage, files fstest.MapFS) string {
			secret, _, err := note.GenerateKey(nil, s.key.Name())
			if err == nil {
				var other note.Signer
				if other, err = note.NewSigner(secret); err == nil {
					s.rewrite(files, other)
				}
			}
			if err != nil {
				s.t.Fatal(err)
			}
			return "with the right content"
		},
	}
}

// current tells whether a partial tile is one of the log as it is.
func current(files fstest.MapFS, name string) bool {
	var n int
	_, _ = fmt.Sscanf(name[strings.LastIndex(name, "/")+1:], "%d", &n)
	for other := range files {
		var m int
		if strings.HasPrefix(other, name[:strings.LastIndex(name, "/")+1]) {
			_, _ = fmt.Sscanf(other[strings.LastIndex(other, "/")+1:], "%d", &m)
			if m > n {
				return false
			}
		}
	}
	_, full := files[strings.TrimSuffix(name[:strings.LastIndex(name, "/")], ".p")]
	return !full
}

// alter changes one stream as somebody does who knows the format.
func (s *stage) alter(files fstest.MapFS, how func(*stage, *forged) string) string {
	stream := Access
	if s.rng.IntN(3) == 0 {
		stream = Control
	}
	f := s.takeApart(files, stream)
	what := how(s, f)
	if what == "" {
		return ""
	}
	return fmt.Sprintf("%s %s, ", stream, what) + s.finish(files, f)
}

// finish writes streams back: as they are, chained anew, with a ledger that fits, or signed by the true key.
func (s *stage) finish(files fstest.MapFS, all ...*forged) string {
	effort := s.rng.IntN(4)
	for _, f := range all {
		if effort > 0 {
			f.chain()
		}
		f.put(files)
	}
	switch effort {
	case 2:
		s.rewrite(files, nil)
	case 3:
		s.rewrite(files, s.key.Signer) // only what is kept elsewhere knows better
	}
	return []string{"as it is", "chained anew", "with a ledger made anew", "with a ledger signed by its own key"}[effort]
}

func (s *stage) drop(f *forged) string {
	i := s.rng.IntN(len(f.payloads))
	f.payloads = slices.Delete(f.payloads, i, i+1)
	return fmt.Sprint(i + 1)
}

func (s *stage) edit(f *forged) string {
	i := s.rng.IntN(len(f.payloads))
	b := slices.Clone(f.payloads[i])
	b[bodyAt+s.rng.IntN(len(b)-bodyAt)] ^= 1 << s.rng.IntN(8)
	f.payloads[i] = b
	return fmt.Sprint(i + 1)
}

func (s *stage) salt(f *forged) string {
	i := s.rng.IntN(len(f.payloads))
	b := slices.Clone(f.payloads[i])
	b[saltAt+s.rng.IntN(16)] ^= 1 << s.rng.IntN(8)
	f.payloads[i] = b
	return fmt.Sprint(i + 1)
}

func (s *stage) insert(f *forged) string {
	b := slices.Clone(f.payloads[s.rng.IntN(len(f.payloads))])
	b[saltAt]++
	i := s.rng.IntN(len(f.payloads))
	f.payloads = slices.Insert(f.payloads, i, b)
	return fmt.Sprint(i + 1)
}

func (s *stage) swap(f *forged) string {
	i, j := s.rng.IntN(len(f.payloads)), s.rng.IntN(len(f.payloads))
	if i == j {
		return ""
	}
	f.payloads[i], f.payloads[j] = f.payloads[j], f.payloads[i]
	return fmt.Sprint(i+1, " and ", j+1)
}

func (s *stage) replay(f *forged) string {
	i := s.rng.IntN(len(f.payloads))
	j := i + 1 + s.rng.IntN(len(f.payloads)-i)
	f.payloads = slices.Insert(f.payloads, j, f.payloads[i])
	return fmt.Sprint(i+1, " at ", j+1)
}

func (s *stage) cut(f *forged) string {
	n := 1 + s.rng.IntN(len(f.payloads)-1)
	f.payloads = f.payloads[:n]
	return fmt.Sprint("to ", n)
}

// erase puts the commitment in the place of salt and body: the chain still holds, and no entry lists it.
func (s *stage) erase(f *forged) string {
	i := s.rng.IntN(len(f.payloads))
	c := f.commitment(i)
	f.payloads[i] = append(append(slices.Clone(f.payloads[i][:formAt]), formErased), c[:]...)
	return fmt.Sprint(i + 1)
}

// TestTamperings does ten thousand random things to a copy (SALLYPORT_TAMPERINGS says how many), from a flipped bit to a whole history made
// anew by who holds the key, and expects every one to be found by what was kept elsewhere.
func TestTamperings(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	many := 400
	if text := os.Getenv("SALLYPORT_TAMPERINGS"); text != "" {
		if _, err := fmt.Sscan(text, &many); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	s.rng = rand.New(rand.NewPCG(seed, 1))
	if r, err := Verify(s.copied, s.out); err != nil || r.Found > 0 {
		t.Fatalf("untouched: %v %+v", err, r)
	}
	all := tamperings()
	kinds := slices.Sorted(maps.Keys(all))
	done := map[string]int{}
	for i := 0; i < many; {
		kind := kinds[s.rng.IntN(len(kinds))]
		files := maps.Clone(s.copied)
		what := all[kind](s, files)
		if what == "" {
			continue
		}
		i++
		done[kind]++
		r, err := Verify(files, s.out)
		if err == nil && r.Found == 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("seed %d, tampering %d: %s, %s: found nothing (%v)", seed, i, kind, what, err)
		}
	}
	t.Logf("%d tamperings, all found: %v", many, done)
}

// TestWhoHoldsTheKey makes history anew with the ledger's own key: without anything from elsewhere nothing is found, and Verify says that
// it cannot be; the checkpoint kept elsewhere, or the witness's key, finds it.
func TestWhoHoldsTheKey(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.rng = rand.New(rand.NewPCG(1, 1))
	files := maps.Clone(s.copied)
	f := s.takeApart(files, Access)
	s.edit(f)
	f.chain()
	f.put(files)
	s.rewrite(files, s.key.Signer)
	r, err := Verify(files, Outside{Key: s.out.Key})
	if err != nil || r.Found != 0 || !strings.Contains(strings.Join(r.NotChecked, "\n"), "whoever holds the ledger's key could have made all of this anew") {
		t.Errorf("without anything from elsewhere: %v %+v", err, r)
	}
	for name, out := range map[string]Outside{"checkpoint": {Checkpoints: s.out.Checkpoints}, "witness": {Witnesses: s.out.Witnesses}} {
		if r, err := Verify(files, out); err != nil || r.Found == 0 {
			t.Errorf("by the %s: %v %+v", name, err, r)
		}
	}
}

// TestAppendedEntry appends an entry that serve did not write: it looks like one that is not in the log yet, and is named as such; in a
// copy that must be complete it is found.
func TestAppendedEntry(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	files := maps.Clone(s.copied)
	f := s.takeApart(files, Access)
	b := slices.Clone(f.payloads[0])
	b[saltAt]++
	f.payloads = append(f.payloads, b)
	f.chain()
	f.put(files)
	if r, err := Verify(files, s.out); err != nil || r.Found != 0 || !strings.Contains(strings.Join(r.NotChecked, "\n"), "the newest 1 entries of the access stream") {
		t.Errorf("%v %+v", err, r)
	}
	s.out.Complete = true
	if r, err := Verify(files, s.out); err != nil || r.Found != 1 {
		t.Errorf("complete: %v %+v", err, r)
	}
}

func FuzzRecordReader(f *testing.F) {
	id := [16]byte{1}
	payload := append(append(make([]byte, 32), formPlain), make([]byte, 40)...)
	good := &forged{Access, id, [][]byte{payload, payload}}
	good.chain()
	files := fstest.MapFS{}
	good.put(files)
	for _, file := range files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := openRecord(fstest.MapFS{"access/00000000000000000001.log": &fstest.MapFile{Data: b}}, Access, func(string, string) {})
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			it, err := r.read()
			if err != nil {
				t.Fatal(err)
			}
			if it == nil {
				break
			}
			if n > len(b) {
				t.Fatal("more entries than bytes")
			}
		}
	})
}
