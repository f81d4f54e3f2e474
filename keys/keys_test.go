package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"sallyport"
	"sallyport/token"
)

// places are a data folder that does not exist and a key file's path beside it.
func places(t *testing.T) (dir, keyFile string) {
	t.Helper()
	base := t.TempDir()
	return filepath.Join(base, "data"), filepath.Join(base, "sallyport.key")
}

// open makes what is missing, and has a key for phones.
func open(dir, keyFile string) (*Keyring, error) {
	return Open(context.Background(), Options{Dir: dir, Provider: &KeyFile{Path: keyFile, Dir: dir}, Groups: []string{"phone"}, Make: true})
}

func mustOpen(t *testing.T, dir, keyFile string) *Keyring {
	t.Helper()
	k, err := open(dir, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// print is a token that only this keyring makes.
func print(t *testing.T, k *Keyring) string {
	t.Helper()
	r, err := token.NewKeyedRing(k.Keys(), token.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Codec(token.Spec{Scheme: sallyport.Phone})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := c.Tokenise(nil, []byte("+442071838750"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(tok)
}

// TestOpen makes keys at the first start and finds the same ones at the next.
func TestOpen(t *testing.T) {
	dir, keyFile := places(t)
	first := print(t, mustOpen(t, dir, keyFile))
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		if err := os.Chmod(keyFile, mode); err != nil {
			t.Fatal(err)
		}
		if again := print(t, mustOpen(t, dir, keyFile)); again != first {
			t.Errorf("mode %o: another key was found", mode)
		}
	}
	otherDir, otherKey := places(t)
	if print(t, mustOpen(t, otherDir, otherKey)) == first {
		t.Error("two first starts made the same key")
	}
	k := mustOpen(t, dir, keyFile)
	k.Close()
	for _, path := range []string{keyFile, filepath.Join(dir, RingName)} {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 && info.Mode() != 0o400 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: %v, %v", info, err)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "*.tmp"))
	if more, err2 := filepath.Glob(filepath.Join(filepath.Dir(dir), "*.tmp")); err != nil || err2 != nil || len(names)+len(more) > 0 {
		t.Errorf("left behind: %v %v", names, more)
	}
}

// TestOpenOwnIdentities takes a key file that age-keygen made, of both kinds.
func TestOpenOwnIdentities(t *testing.T) {
	x25519, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range []string{x25519.String(), "# created by age-keygen\n\n" + hybrid.String() + "\n"} {
		dir, keyFile := places(t)
		write(t, keyFile, identity, 0o600)
		if first := print(t, mustOpen(t, dir, keyFile)); first != print(t, mustOpen(t, dir, keyFile)) {
			t.Error("another key was found")
		}
	}
}

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestOpenAfterCrash starts again from what a first start leaves that was cut short.
func TestOpenAfterCrash(t *testing.T) {
	dir, keyFile := places(t)
	write(t, keyFile+".tmp", "half a", 0o600)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, RingName+".tmp"), "half a", 0o600)
	first := print(t, mustOpen(t, dir, keyFile))
	if again := print(t, mustOpen(t, dir, keyFile)); again != first {
		t.Error("another key was found")
	}
}

// TestOpenTogether starts many at once: at most one makes the keys, and whoever succeeds has the same.
func TestOpenTogether(t *testing.T) {
	dir, keyFile := places(t)
	var group sync.WaitGroup
	prints := make([]string, 8)
	for i := range prints {
		group.Go(func() {
			if k, err := open(dir, keyFile); err == nil {
				prints[i] = print(t, k)
			}
		})
	}
	group.Wait()
	want := print(t, mustOpen(t, dir, keyFile))
	for _, got := range prints {
		if got != "" && got != want {
			t.Error("two rings were made")
		}
	}
}

// TestOpenRefuses lists what is refused, with words of the sentence.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir, keyFile string) (string, string)
		want    []string
	}{
		{"no key file named", func(_ *testing.T, dir, _ string) (string, string) { return dir, "" }, []string{"--key-file"}},
		{"key file lost", func(t *testing.T, dir, keyFile string) (string, string) {
			must(t, os.Remove(keyFile))
			return dir, keyFile
		}, []string{"missing", "restore it from its backup"}},
		{"mode 0644", mode(0o644), []string{"its mode is 0644", "chmod 600 KEY"}},
		{"mode 0640", mode(0o640), []string{"chmod 600 KEY"}},
		{"mode 0700", mode(0o700), []string{"chmod 600 KEY"}},
		{"mode 0604", mode(0o604), []string{"chmod 600 KEY"}},
		{"mode 0200", mode(0o200), nil}, // root reads it and sees the mode, others cannot
		{"mode 4600", mode(0o600 | fs.ModeSetuid), []string{"chmod 600 KEY"}},
		{"inside", func(t *testing.T, dir, keyFile string) (string, string) {
			inside := filepath.Join(dir, "key")
			must(t, os.Rename(keyFile, inside))
			return dir, inside
		}, []string{"lies inside the data folder", "whoever copies the folder"}},
		{"inside, not there yet", func(t *testing.T, dir, keyFile string) (string, string) {
			return dir, filepath.Join(dir, "key")
		}, []string{"lies inside the data folder"}},
		{"inside, deeper", func(t *testing.T, dir, keyFile string) (string, string) {
			must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
			return dir, filepath.Join(dir, "sub", "key")
		}, []string{"lies inside the data folder"}},
		{"inside by a link", func(t *testing.T, dir, keyFile string) (string, string) {
			inside := filepath.Join(dir, "key")
			must(t, os.Rename(keyFile, inside))
			must(t, os.Symlink(inside, keyFile))
			return dir, keyFile
		}, []string{"lies inside the data folder"}},
		{"inside by a linked folder", func(t *testing.T, dir, keyFile string) (string, string) {
			link := dir + "-link"
			must(t, os.Symlink(dir, link))
			return link, filepath.Join(dir, "other.key")
		}, []string{"lies inside the data folder"}},
		{"the data folder itself", func(t *testing.T, dir, _ string) (string, string) { return dir, dir }, []string{"lies inside"}},
		{"folder for a key file", func(t *testing.T, dir, keyFile string) (string, string) {
			must(t, os.Remove(keyFile))
			must(t, os.Mkdir(keyFile, 0o700))
			return dir, keyFile
		}, []string{"not a regular file"}},
		{"device for a key file", func(t *testing.T, dir, keyFile string) (string, string) { return dir, os.DevNull }, []string{"not a regular file"}},
		{"empty key file", content(""), []string{"exactly one age identity"}},
		{"no identity", content("AGE-SECRET-KEY-1MARKER\n"), []string{"exactly one age identity"}},
		{"public key only", content("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqMARKER"), []string{"exactly one age identity"}},
		{"long key file", content(strings.Repeat("#\n", maxFile)), []string{"longer than"}},
		{"two identities", func(t *testing.T, dir, keyFile string) (string, string) {
			one, err := os.ReadFile(keyFile)
			must(t, err)
			two, err := age.GenerateX25519Identity()
			must(t, err)
			write(t, keyFile, string(one)+two.String()+"\n", 0o600)
			return dir, keyFile
		}, []string{"exactly one age identity"}},
		{"another key file", func(t *testing.T, dir, keyFile string) (string, string) {
			other, err := age.GenerateX25519Identity()
			must(t, err)
			write(t, keyFile, other.String(), 0o600)
			return dir, keyFile
		}, []string{"not wrapped for the identity in KEY"}},
		{"ring cut short", wrapped(func(b []byte) []byte { return b[:len(b)-2] }), []string{"damaged"}},
		{"ring without its MAC", wrapped(func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }), []string{"damaged"}},
		{"ring with a letter changed", wrapped(change(`"group":"phone"`, `"group":"phona"`)), []string{"damaged"}},
		{"ring with a date changed", wrapped(change(`"made":"2`, `"made":"3`)), []string{"damaged"}},
		{"ring with an older serial", wrapped(change(`"serial":2`, `"serial":1`)), []string{"damaged"}},
		{"ring with an unknown field", wrapped(change(`"serial"`, `"MARKER":1,"serial"`)), []string{"damaged"}},
		{"ring with a key left out", wrapped(func(b []byte) []byte {
			i, j := bytes.LastIndex(b, []byte(",{")), bytes.LastIndex(b, []byte("]"))
			return append(b[:i:i], b[j:]...)
		}), []string{"damaged"}},
		{"ring that holds no JSON", wrapped(func([]byte) []byte { return []byte(ringMark + "\nMARKER\nAAAA\n") }), []string{"damaged"}},
		{"ring empty", wrapped(func([]byte) []byte { return nil }), []string{"damaged, or of a later version"}},
		{"ring too long", wrapped(func(b []byte) []byte { return append(b, make([]byte, maxFile)...) }), []string{"longer than"}},
		{"ring of a later version", wrapped(change("sallyport keyring 1", "sallyport keyring 2")), []string{"later version"}},
		{"ring of another provider", wrapped(change(`"provider":"age"`, `"provider":"vault://h:1/transit/k"`)), []string{"wrapped by vault://h:1/transit/k"}},
		{"key of a later version", kek("sallyport keys\x00\x03" + strings.Repeat("x", 32)), []string{"later version"}},
		{"key with a longer payload", kek(ageMark + strings.Repeat("x", 33)), []string{"later version"}},
		{"key with a shorter payload", kek(ageMark + strings.Repeat("x", 31)), []string{"later version"}},
		{"another key than the ring's", kek(ageMark + strings.Repeat("x", 32)), []string{"damaged"}},
		{"key wrapped by nobody", wrapped(func(b []byte) []byte {
			r := mustDecode(b)
			r.Wrapped = []byte("age-encryption.org/v1 MARKER")
			return mustEncode(r)
		}), []string{"damaged"}},
		{"folder for keys", func(t *testing.T, dir, keyFile string) (string, string) {
			must(t, os.Remove(filepath.Join(dir, RingName)))
			must(t, os.Mkdir(filepath.Join(dir, RingName), 0o700))
			return dir, keyFile
		}, []string{"not a regular file"}},
		{"file for a data folder", func(t *testing.T, dir, keyFile string) (string, string) {
			must(t, os.RemoveAll(dir))
			write(t, dir, "", 0o600)
			return dir, keyFile
		}, []string{"create data folder"}},
		{"key file in a folder that is not there", func(t *testing.T, dir, keyFile string) (string, string) {
			return dir + "2", filepath.Join(dir+"3", "key")
		}, []string{"find key file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, keyFile := places(t)
			mustOpen(t, dir, keyFile).Close()
			secret, err := os.ReadFile(keyFile)
			must(t, err)
			dir, keyFile = c.prepare(t, dir, keyFile)
			before := listing(t, dir)
			k, err := open(dir, keyFile)
			if err == nil || k != nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if want = strings.ReplaceAll(want, "KEY", keyFile); !strings.Contains(err.Error(), want) {
					t.Errorf("%v: want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "MARKER") || strings.Contains(err.Error(), identityLine(string(secret))) {
				t.Errorf("the error holds a part of the key file: %v", err)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("refused, and the data folder changed from %q to %q", before, after)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mode(m fs.FileMode) func(*testing.T, string, string) (string, string) {
	return func(t *testing.T, dir, keyFile string) (string, string) {
		must(t, os.Chmod(keyFile, m))
		return dir, keyFile
	}
}

func content(text string) func(*testing.T, string, string) (string, string) {
	return func(t *testing.T, dir, keyFile string) (string, string) {
		write(t, keyFile, text, 0o600)
		return dir, keyFile
	}
}

func wrapped(change func([]byte) []byte) func(*testing.T, string, string) (string, string) {
	return func(t *testing.T, dir, keyFile string) (string, string) {
		path := filepath.Join(dir, RingName)
		b, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, change(b), 0o600))
		return dir, keyFile
	}
}

func change(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
}

func mustDecode(content []byte) *ring {
	r, err := decodeRing(content)
	if err != nil {
		panic(err)
	}
	return r
}

// mustEncode makes a file that is right but for its MAC.
func mustEncode(r *ring) []byte {
	l, err := newLock(make([]byte, KeySize))
	if err != nil {
		panic(err)
	}
	content, err := r.encode(l)
	if err != nil {
		panic(err)
	}
	return content
}

// kek wraps something else as the ring's key, for the same identity.
func kek(text string) func(*testing.T, string, string) (string, string) {
	return func(t *testing.T, dir, keyFile string) (string, string) {
		key, err := readKeyFile(keyFile)
		must(t, err)
		sealed, err := seal(key, "", []byte(text))
		must(t, err)
		path := filepath.Join(dir, RingName)
		content, err := os.ReadFile(path)
		must(t, err)
		r := mustDecode(content)
		r.Wrapped = sealed
		must(t, os.WriteFile(path, mustEncode(r), 0o600))
		return dir, keyFile
	}
}

func identityLine(keyFile string) string {
	for line := range strings.Lines(keyFile) {
		if !strings.HasPrefix(line, "#") {
			return strings.TrimSpace(line)
		}
	}
	return "nothing"
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, _ := os.ReadDir(dir) // some tests have a file there
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestNothingInClear looks for the ring's key, the data keys and the identity in everything below the data folder and in the key file.
func TestNothingInClear(t *testing.T) {
	dir, keyFile := places(t)
	k := mustOpen(t, dir, keyFile)
	secret, err := os.ReadFile(keyFile)
	must(t, err)
	identity := identityLine(string(secret))
	kek, err := (&KeyFile{Path: keyFile, Dir: dir}).Unwrap(t.Context(), k.ring.Wrapped)
	must(t, err)
	clear := [][]byte{kek}
	for i := range k.ring.Keys {
		key, err := k.lock.open(&k.ring.Keys[i])
		must(t, err)
		clear = append(clear, key)
	}
	if len(clear) != 3 || bytes.Equal(clear[1], clear[2]) {
		t.Fatalf("%d keys, want the ring's, the record's and one group's", len(clear))
	}
	must(t, filepath.WalkDir(filepath.Dir(dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, key := range clear {
			if form := findKey(b, key); form != "" {
				t.Errorf("%s holds key %d in clear, in %s", path, i, form)
			}
		}
		if path != keyFile && bytes.Contains(b, []byte(identity)) {
			t.Errorf("%s holds the identity", path)
		}
		return nil
	}))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		text := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, *k) + fmt.Sprintf(verb, k.Keys())
		for i, key := range clear {
			if strings.Contains(text, hex.EncodeToString(key[:8])) || findKey([]byte(text), key[:8]) != "" || strings.Contains(text, strings.Trim(fmt.Sprintf("%d", key[:4]), "[]")) {
				t.Errorf("a keyring prints key %d under %s", i, verb)
			}
		}
	}
}

// findKey names the form in which a text holds a key, empty: in none.
func findKey(text, key []byte) string {
	for name, form := range map[string]string{
		"bytes": string(key), "hex": hex.EncodeToString(key), "HEX": strings.ToUpper(hex.EncodeToString(key)),
		"base64": strings.TrimRight(base64.StdEncoding.EncodeToString(key), "="), "base64url": base64.RawURLEncoding.EncodeToString(key),
	} {
		if bytes.Contains(text, []byte(form)) {
			return name
		}
	}
	return ""
}
