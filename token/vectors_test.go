package token

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// readVectors returns the files of the published test vectors by name. They are not part of the project.
func readVectors(t *testing.T) map[string][]byte {
	t.Helper()
	dir := os.Getenv("SALLYPORT_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "vectors")
	}
	file, err := os.Open(filepath.Join(dir, "crypto-vectors.tar.gz"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the published test vectors are not in %s: set SALLYPORT_VECTORS to the folder with crypto-vectors.tar.gz", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[path.Base(header.Name)], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// ff1Vectors is a file of Wycheproof: texts over an alphabet, or lists of numerals.
type ff1Vectors struct {
	NumberOfTests int
	TestGroups    []struct {
		Alphabet string
		Radix    int
		Tests    []struct {
			TcID            int
			Key, Tweak      string
			Msg, Ct         json.RawMessage
			Result, Comment string
		}
	}
}

// TestFF1Wycheproof runs all cases of Wycheproof, on words and on big integers.
func TestFF1Wycheproof(t *testing.T) {
	var ran, files atomic.Int64
	t.Run("files", func(t *testing.T) {
		for name, data := range readVectors(t) {
			if !strings.HasPrefix(name, "aes_ff1_") {
				continue
			}
			files.Add(1)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ran.Add(int64(runFF1Vectors(t, data)))
			})
		}
	})
	if files.Load() > 0 && (files.Load() != 22 || ran.Load() != 57_246) {
		t.Errorf("%d cases of %d files were run, not 57,246 of 22", ran.Load(), files.Load())
	}
}

func runFF1Vectors(t *testing.T, data []byte) int {
	var vectors ff1Vectors
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range vectors.TestGroups {
		for _, c := range group.Tests {
			n++
			plain, ok := vectorNumerals(t, c.Msg, group.Alphabet)
			want, okWant := vectorNumerals(t, c.Ct, group.Alphabet)
			f, err := ff1Of(unhex(t, c.Key), group.Radix, len(plain), unhex(t, c.Tweak))
			switch {
			case c.Result == "valid" && (err != nil || !ok || !okWant):
				t.Errorf("case %d (%s): refused: %v", c.TcID, c.Comment, err)
			case c.Result == "valid":
				checkFF1(t, f, plain, want)
			case err == nil && ok && f.Encrypt(plain) == nil:
				t.Errorf("case %d (%s): accepted", c.TcID, c.Comment)
			}
			if t.Failed() {
				return n
			}
		}
	}
	if n != vectors.NumberOfTests {
		t.Errorf("%d cases were run, not %d", n, vectors.NumberOfTests)
	}
	return n
}

// ff1Of allows the small domains of the first edition, from 100 values on, which a part of the cases has.
func ff1Of(key []byte, radix, length int, tweak []byte) (*FF1, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if new(big.Int).Exp(big.NewInt(int64(radix)), big.NewInt(int64(length)), nil).Cmp(big.NewInt(100)) < 0 {
		return nil, errNumerals
	}
	return newFF1(block, radix, length, tweak, new(scratchPool))
}

// vectorNumerals reads a text over an alphabet, or a list; not ok if a numeral is not even 16 bits or not of the alphabet.
func vectorNumerals(t *testing.T, raw json.RawMessage, alphabet string) (list []uint16, ok bool) {
	t.Helper()
	if alphabet == "" {
		var wide []int
		if err := json.Unmarshal(raw, &wide); err != nil {
			t.Fatal(err)
		}
		for _, n := range wide {
			if n < 0 || n > 0xffff {
				return make([]uint16, len(wide)), false
			}
			list = append(list, uint16(n))
		}
		return list, true
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		t.Fatal(err)
	}
	letters, err := NewAlphabet(alphabet)
	if err != nil {
		t.Fatal(err)
	}
	list, err = letters.Numerals(nil, text)
	if err == nil && string(letters.AppendText(nil, list)) != text {
		t.Error("a text came back as another one")
	}
	return list, err == nil
}

// TestFF1ACVP runs the cases of NIST's validation programme.
func TestFF1ACVP(t *testing.T) {
	n := 0
	lines := bufio.NewScanner(bytes.NewReader(readVectors(t)["acvp_ff1_subset.tsv"]))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		c := strings.Split(lines.Text(), "\t") // tcId direction keyLen radix key tweak pt ct
		radix, err := strconv.Atoi(c[3])
		if err != nil || len(c) != 8 {
			t.Fatal(c, err)
		}
		f, err := NewFF1(unhex(t, c[4]), radix, len(c[6]), unhex(t, c[5]))
		if err != nil {
			t.Fatalf("case %s: %v", c[0], err)
		}
		checkFF1(t, f, numerals(t, c[6]), numerals(t, c[7]))
		n++
	}
	if n != 48 {
		t.Errorf("%d cases were run, not 48", n)
	}
}

// sivVectors is a file of Wycheproof for AES-SIV, with and without a nonce.
type sivVectors struct {
	NumberOfTests int
	TestGroups    []struct {
		Tests []struct {
			TcID                       int
			Key, IV, Aad, Msg, Ct, Tag string
			Result                     string
		}
	}
}

// TestSIVWycheproof runs the cases of Wycheproof. In the AEAD ones the nonce is the last associated string, and the
// vector stands apart from the ciphertext.
func TestSIVWycheproof(t *testing.T) {
	files := readVectors(t)
	for name, want := range map[string]int{"aes_siv_cmac_test.json": 442, "aead_aes_siv_cmac_test.json": 900} {
		var vectors sivVectors
		if err := json.Unmarshal(files[name], &vectors); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, group := range vectors.TestGroups {
			for _, c := range group.Tests {
				n++
				v, err := NewSIV(unhex(t, c.Key))
				if err != nil {
					t.Fatal(err)
				}
				ads := [][]byte{unhex(t, c.Aad)}
				sealed := unhex(t, c.Ct)
				if strings.HasPrefix(name, "aead_") {
					ads = append(ads, unhex(t, c.IV))
					sealed = slices.Concat(unhex(t, c.Tag), sealed)
				}
				plain := unhex(t, c.Msg)
				opened, ok := v.Open(nil, sealed, ads...)
				if valid := c.Result == "valid"; ok != valid || valid && !bytes.Equal(opened, plain) {
					t.Errorf("%s case %d: opened %t, want %s", name, c.TcID, ok, c.Result)
				}
				if got := v.Seal(nil, plain, ads...); c.Result == "valid" != bytes.Equal(got, sealed) {
					t.Errorf("%s case %d: sealed to another text", name, c.TcID)
				}
			}
		}
		if n != want || n != vectors.NumberOfTests {
			t.Errorf("%s: %d cases were run, not %d", name, n, want)
		}
	}
}
