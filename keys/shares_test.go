package keys

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustSplit(t *testing.T, need int, names ...string) *Split {
	t.Helper()
	split, err := NewSplit(need, names)
	must(t, err)
	return split
}

// TestQuorum makes rings of quorums and opens them with every set of shares that is enough, in every order; and with none that is not.
func TestQuorum(t *testing.T) {
	names := strings.Fields("anna ben carla dora emil")
	for need := 2; need <= 4; need++ {
		for of := need; of <= 5; of++ {
			split := mustSplit(t, need, names[:of]...)
			dir := filepath.Join(t.TempDir(), "data")
			k, err := Open(t.Context(), Options{Dir: dir, Provider: split, Groups: []string{"phone"}, Make: true})
			must(t, err)
			want := print(t, k)
			for set := range 1 << of {
				openWith(t, dir, split, set, want)
			}
		}
	}
}

// openWith brings the shares of a set, the last first where the set's number is odd.
func openWith(t *testing.T, dir string, split *Split, set int, want string) {
	t.Helper()
	status, err := Look(dir)
	must(t, err)
	a := NewAssembly(*status.Quorum)
	brought := 0
	for n := range split.Shares {
		i := n
		if set%2 == 1 {
			i = len(split.Shares) - 1 - n
		}
		if set&(1<<i) == 0 || brought == split.Quorum.Need {
			continue
		}
		name, err := a.Add(fmt.Sprint("person ", i), split.Shares[i].Text())
		if err != nil || name != split.Shares[i].Name {
			t.Fatalf("share %s: %q, %v", split.Shares[i].Name, name, err)
		}
		brought++
	}
	k, err := Open(t.Context(), Options{Dir: dir, Provider: a, Groups: []string{"phone"}})
	switch {
	case brought < split.Quorum.Need && !errors.Is(err, ErrSealed):
		t.Fatalf("%d of %d shares: %v", brought, split.Quorum.Need, err)
	case brought < split.Quorum.Need:
		if a.Missing() != split.Quorum.Need-brought {
			t.Fatalf("%d are missing", a.Missing())
		}
	case err != nil || print(t, k) != want:
		t.Fatalf("set %b: %v", set, err)
	}
}

// TestShareRefused tells each wrong share apart, and takes no second one of a person.
func TestShareRefused(t *testing.T) {
	split, other := mustSplit(t, 2, "anna", "ben", "carla"), mustSplit(t, 2, "anna", "ben", "carla")
	share := split.Shares[1].Text()
	turned := func(i int) string {
		b := []byte(share)
		b[i] = "abcdefghijklmnopqrstuvwxyz234567"[(strings.IndexByte("abcdefghijklmnopqrstuvwxyz234567", b[i])+1)%32]
		return string(b)
	}
	unlike := 20 // where two letters follow one another that differ
	for share[unlike] == share[unlike+1] {
		unlike++
	}
	body := share[:strings.LastIndexByte(share, '-')]
	checked := func(body string) string { return body + "-" + shareChecksum(body) }
	for name, c := range map[string]struct{ by, text, want string }{
		"empty":                 {"p2", "", "it is no share"},
		"something else":        {"p2", "correct horse MARKER", "it is no share"},
		"a letter changed":      {"p2", turned(20), "checksum is wrong"},
		"a letter lost":         {"p2", share[:20] + share[21:], "checksum is wrong"},
		"two letters swapped":   {"p2", share[:unlike] + share[unlike+1:unlike+2] + share[unlike:unlike+1] + share[unlike+2:], "checksum is wrong"},
		"the end lost":          {"p2", body, "it is no share"},
		"of other keys":         {"p2", other.Shares[1].Text(), "belongs to other keys"},
		"under another name":    {"p2", checked(strings.Replace(body, "-ben-", "-anna-", 1)), "belongs to other keys"},
		"under another number":  {"p2", checked(strings.Replace(body, "-2-", "-3-", 1)), "belongs to other keys"},
		"number 0":              {"p2", checked(strings.Replace(body, "-2-", "-0-", 1)), "no share of this version"},
		"number 99":             {"p2", checked(strings.Replace(body, "-2-", "-99-", 1)), "no share of this version"},
		"number 9":              {"p2", checked(strings.Replace(body, "-2-", "-9-", 1)), "belongs to other keys"},
		"of a later version":    {"p2", checked(strings.Replace(body, "sps1", "sps2", 1)), "it is no share"},
		"brought again":         {"p2", split.Shares[0].Text(), "anna is there already"},
		"another, by the same":  {"p1", share, "another person must bring the next"},
		"the same, by the same": {"p1", split.Shares[0].Text(), "anna is there already"},
	} {
		a := NewAssembly(split.Quorum)
		_, err := a.Add("p1", split.Shares[0].Text())
		must(t, err)
		_, err = a.Add(c.by, c.text)
		if !errors.Is(err, ErrShare) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "MARKER") || strings.Contains(err.Error(), share[12:24])) {
			t.Errorf("%s: the error quotes the share", name)
		}
		if a.Missing() != 1 {
			t.Errorf("%s: %d shares are missing, want 1", name, a.Missing())
		}
		if _, err := a.Add("p2", "  "+share+"\n"); err != nil {
			t.Errorf("%s: the right share afterwards: %v", name, err)
		}
		if _, err := a.Add("p3", split.Shares[2].Text()); !errors.Is(err, ErrShare) {
			t.Errorf("%s: a share too many: %v", name, err)
		}
	}
}

// TestForgedQuorum changes what the ring says of its quorum: nothing opens with fewer shares.
func TestForgedQuorum(t *testing.T) {
	split := mustSplit(t, 3, "anna", "ben", "carla")
	dir := filepath.Join(t.TempDir(), "data")
	_, err := Open(t.Context(), Options{Dir: dir, Provider: split, Make: true})
	must(t, err)
	forged := split.Quorum
	forged.Need = 2
	a := NewAssembly(forged)
	for i := range 2 {
		_, err := a.Add(fmt.Sprint(i), split.Shares[i].Text())
		must(t, err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir, Provider: a}); err == nil || errors.Is(err, ErrSealed) {
		t.Errorf("two of three shares: %v", err)
	}
	if _, err := a.Wrap(t.Context(), make([]byte, KeySize)); err == nil {
		t.Error("shares wrapped a new key")
	}
}

// TestSharesInClear looks for shares in the data folder and in what is printed.
func TestSharesInClear(t *testing.T) {
	split := mustSplit(t, 2, "anna", "ben")
	dir := filepath.Join(t.TempDir(), "data")
	_, err := Open(t.Context(), Options{Dir: dir, Provider: split, Make: true})
	must(t, err)
	content, err := os.ReadFile(filepath.Join(dir, RingName))
	must(t, err)
	a := NewAssembly(split.Quorum)
	_, err = a.Add("p", split.Shares[0].Text())
	must(t, err)
	text := ""
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		text += fmt.Sprintf(verb, split) + fmt.Sprintf(verb, a)
	}
	for _, share := range split.Shares {
		_, value, err := parseShare(share.Text())
		must(t, err)
		for name, held := range map[string][]byte{"the ring": content, "what is printed": []byte(text)} {
			if findKey(held, value) != "" || bytes.Contains(held, []byte(strings.Split(share.Text(), "-")[3])) {
				t.Errorf("%s holds the share %s", name, share.Name)
			}
		}
	}
}

func TestParseQuorum(t *testing.T) {
	if need, of, err := ParseQuorum("2-of-3"); err != nil || need != 2 || of != 3 {
		t.Errorf("%d of %d, %v", need, of, err)
	}
	for _, text := range []string{"", "2", "2-3", "1-of-3", "4-of-3", "2-of-17", "x-of-3", "2-of-x", "-2-of-3", "2-of-3-of-4"} {
		if _, _, err := ParseQuorum(text); err == nil {
			t.Errorf("%q is a quorum", text)
		}
	}
	for _, names := range [][]string{{"anna"}, {"anna", "anna"}, {"anna", ""}, {"anna", "../x"}, {"anna", "A"}, {"anna", "b-c"}, {"anna", strings.Repeat("x", 33)}, make([]string, 17)} {
		if _, err := NewSplit(2, names); err == nil {
			t.Errorf("%q are names of shares", names)
		}
	}
}

func FuzzParseShare(f *testing.F) {
	split, err := NewSplit(2, []string{"anna", "ben"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(split.Shares[0].Text())
	f.Add("sps1-a-1--")
	f.Fuzz(func(t *testing.T, text string) {
		share, value, err := parseShare(text)
		if err == nil && shareText(share.Name, share.id, value) != strings.TrimSpace(text) && len(value) > 0 {
			// Numbers and base32 have several spellings, and the checksum is over the one that was given: they are one share.
			if again, same, err := parseShare(shareText(share.Name, share.id, value)); err != nil || again.id != share.id || !bytes.Equal(same, value) {
				t.Errorf("%v", err)
			}
		}
	})
}
