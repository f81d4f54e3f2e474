package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const verifyFolder = "../docs/verify"

// TestTheProgramIsShort: a court's expert reads all of what proves.
func TestTheProgramIsShort(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(verifyFolder, "verify.py"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) != "" {
			n++
		}
		if len(line) > 160 {
			t.Errorf("too long to be read: %s", line)
		}
	}
	if n > 100 || n < 50 {
		t.Errorf("verify.py has %d lines that are not blank, expected at most 100", n)
	}
}

// signedCase is one question to both programs.
type signedCase struct {
	Name, Key, Message, Signature string // hexadecimal but the name

	good   bool // what is expected
	strict bool // Go takes it, and the program is stricter
	asGo   bool // whatever Go says
}

var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10) //nolint:gochecknoglobals // L

var prime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19)) //nolint:gochecknoglobals // P

// littleEndian gives 32 bytes of n, with the sign of a point in the last bit.
func littleEndian(n *big.Int, sign byte) []byte {
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	b[31] |= sign << 7
	return b
}

func number(b []byte) *big.Int {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// twisted adds the point of order two to an encoded one: (x, y) becomes (-x, -y).
func twisted(point []byte) []byte {
	sign := point[31] >> 7
	y := bytes.Clone(point)
	y[31] &= 0x7f
	return littleEndian(new(big.Int).Sub(prime, number(y)), 1-sign)
}

// smallOrder are the points whose order divides eight, as they are encoded.
func smallOrder() [][]byte {
	eighth, _ := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	other := twisted(eighth)
	out := [][]byte{littleEndian(big.NewInt(1), 0), littleEndian(new(big.Int).Sub(prime, big.NewInt(1)), 0), littleEndian(big.NewInt(0), 0), littleEndian(big.NewInt(0), 1)}
	for _, p := range [][]byte{eighth, other} {
		flipped := bytes.Clone(p)
		flipped[31] ^= 0x80
		out = append(out, p, flipped)
	}
	return out
}

// signWith makes a signature for a key and an R as they are encoded, by the private scalars behind them.
func signWith(key, r []byte, secret, nonce *big.Int, message []byte) []byte {
	digest := sha512.Sum512(slices.Concat(r, key, message))
	s := new(big.Int).Mul(number(digest[:]), secret)
	s.Mod(s.Add(s, nonce), order)
	return slices.Concat(r, littleEndian(s, 0))
}

// scalarOf is the private scalar of a seed.
func scalarOf(seed []byte) *big.Int {
	h := sha512.Sum512(seed)
	h[0] &= 248
	h[31] = h[31]&127 | 64
	return number(h[:32])
}

func signedCases() []signedCase {
	seed, nonce := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{9}, 32)
	private := ed25519.NewKeyFromSeed(seed)
	public, r := []byte(private.Public().(ed25519.PublicKey)), []byte(ed25519.NewKeyFromSeed(nonce).Public().(ed25519.PublicKey))
	message := []byte("sallyport\n300\nroot\n")
	good := ed25519.Sign(private, message)
	var out []signedCase
	add := func(name string, key, message, signature []byte, expected bool) *signedCase {
		out = append(out, signedCase{Name: name, Key: hex.EncodeToString(key), Message: hex.EncodeToString(message), Signature: hex.EncodeToString(signature), good: expected})
		return &out[len(out)-1]
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	withS := func(n *big.Int) []byte { return slices.Concat(good[:32], littleEndian(n, 0)) }
	s := number(good[32:])
	add("as it is", public, message, good, true)
	add("no message", public, nil, ed25519.Sign(private, nil), true)
	add("by scalars", public, message, signWith(public, r, scalarOf(seed), scalarOf(nonce), message), true)
	add("another message", public, flip(message, 3), good, false)
	add("another R", public, message, flip(good, 0), false)
	add("another s", public, message, flip(good, 32), false)
	add("another key", r, message, good, false)
	add("R of the other sign", public, message, func() []byte { b := bytes.Clone(good); b[31] ^= 0x80; return b }(), false)
	add("s + L", public, message, withS(new(big.Int).Add(s, order)), false)
	add("s + 8L", public, message, withS(new(big.Int).Add(s, new(big.Int).Mul(order, big.NewInt(8)))), false)
	add("s = 0", public, message, withS(big.NewInt(0)), false)
	add("s = L", public, message, withS(order), false)
	add("L - s", public, message, withS(new(big.Int).Sub(order, s)), false)
	add("s of 256 bits", public, message, slices.Concat(good[:32], bytes.Repeat([]byte{255}, 32)), false)
	add("nothing but zeros", public, message, make([]byte, 64), false)
	add("no signature", public, message, nil, false)
	add("a byte less", public, message, good[:63], false)
	add("a byte more", public, message, append(bytes.Clone(good), 0), false)
	add("R alone", public, message, good[:32], false)
	add("a key of 31 bytes", public[:31], message, good, false)
	add("a key of 33 bytes", append(bytes.Clone(public), 0), message, good, false)
	add("no key", nil, message, good, false)
	add("a key off the curve", littleEndian(big.NewInt(2), 0), message, good, false)
	add("R off the curve", public, message, slices.Concat(littleEndian(big.NewInt(2), 0), good[32:]), false)

	// What verification with a cofactor would take.
	add("R + T2", public, message, signWith(public, twisted(r), scalarOf(seed), scalarOf(nonce), message), false)
	zero, one := big.NewInt(0), littleEndian(big.NewInt(1), 0)
	for i := range 8 {
		m := fmt.Appendf(nil, "message %d", i)
		odd := twisted(public)
		add(fmt.Sprintf("key + T2, %s", m), odd, m, signWith(odd, r, scalarOf(seed), scalarOf(nonce), m), false).asGo = true
		for j, p := range smallOrder() {
			for k, q := range smallOrder() {
				add(fmt.Sprintf("key of small order %d, R %d, %s", j, k, m), p, m, slices.Concat(q, littleEndian(zero, 0)), false).asGo = true
			}
		}
	}

	// Points that are written otherwise: y from P on, or the sign of a zero.
	beyond := littleEndian(new(big.Int).Add(prime, big.NewInt(1)), 0)
	minus := littleEndian(big.NewInt(1), 1)
	zeros := slices.Concat(one, littleEndian(zero, 0))
	add("the key is zero", one, message, zeros, true)
	add("R with y = P + 1", one, message, slices.Concat(beyond, littleEndian(zero, 0)), false)
	add("R with the sign of zero", one, message, slices.Concat(minus, littleEndian(zero, 0)), false)
	add("R with y = 2^255 - 1", public, message, slices.Concat(littleEndian(new(big.Int).Add(prime, big.NewInt(18)), 0), good[32:]), false)
	add("key with y = P + 1", beyond, message, zeros, false).strict = true
	add("key with the sign of zero", minus, message, zeros, false).strict = true
	return out
}

// TestSignaturesAsTheProgramSeesThem: edge cases of Ed25519, on which Go and the program agree, or the program is stricter.
func TestSignaturesAsTheProgramSeesThem(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3: the independent program is not asked")
	}
	cases := signedCases()
	asked, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", "-c", `
import json, sys, verify
def ask(c):
    try:
        return verify.signed(*(bytes.fromhex(c[n]) for n in ("Key", "Message", "Signature")))
    except (ValueError, IndexError):
        return False
print(json.dumps([ask(c) for c in json.load(sys.stdin)]))`)
	cmd.Dir, cmd.Stdin, cmd.Stderr = verifyFolder, bytes.NewReader(asked), os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var said []bool
	if err := json.Unmarshal(answer, &said); err != nil || len(said) != len(cases) {
		t.Fatalf("%d answers to %d cases, %v", len(said), len(cases), err)
	}
	taken, refused := 0, 0
	for i, c := range cases {
		key, _ := hex.DecodeString(c.Key)
		message, _ := hex.DecodeString(c.Message)
		signature, _ := hex.DecodeString(c.Signature)
		ours := len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, signature)
		if c.asGo {
			if c.good = ours; ours {
				taken++
			} else {
				refused++
			}
		}
		if said[i] != c.good || ours != (c.good || c.strict) {
			t.Errorf("%s: python says %v, Go %v, expected %v", c.Name, said[i], ours, c.good)
		}
	}
	if taken < 50 || refused < 50 {
		t.Errorf("of points of small order %d were taken and %d refused: they test little", taken, refused)
	}
}

// TestTheProgramAlone: verify.py proves without the files beside it, and says what is missing.
func TestTheProgramAlone(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3: the independent program is not asked")
	}
	b, err := os.ReadFile(filepath.Join(verifyFolder, "verify.py"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	program, file := filepath.Join(folder, "verify.py"), filepath.Join(folder, "proof.json")
	if err := os.WriteFile(program, b, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.add(9)
	l := w.follow(w.options())
	w.close()
	p, err := Prove(t.Context(), dirOf(w), Access, 3)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) (string, int) {
		cmd := exec.Command(python, append([]string{program}, args...)...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, good := range []bool{true, false} {
		if !good {
			p.Body[3] ^= 1
		}
		if b, err = json.Marshal(p); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := ask(file, "--key", l.Status().Key)
		if good && (code != 0 || !strings.HasPrefix(out, "PROVEN") || !strings.Contains(out, "event.py") || !strings.Contains(out, hex.EncodeToString(p.Body))) ||
			!good && (code != 1 || !strings.HasPrefix(out, "NOT PROVEN")) {
			t.Errorf("alone, of a good proof %v, it says %s (%d)", good, out, code)
		}
	}
	for range 2 { // without both, and without event.py
		if out, code := ask("--pack", file, "--key", l.Status().Key); code != 1 || !strings.HasPrefix(out, "NOT PROVEN") || !strings.Contains(out, "event.py and pack.py") {
			t.Errorf("of a pack it says %s (%d)", out, code)
		}
		if out, code := ask(file, "--key", l.Status().Key); code != 1 || !strings.HasPrefix(out, "NOT PROVEN") {
			t.Errorf("of a proof it says %s (%d)", out, code)
		}
		if err := os.WriteFile(filepath.Join(folder, "pack.py"), []byte("import event\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := ask(file); code != 2 || !strings.Contains(out, "--key") {
		t.Errorf("without a key it says %s (%d)", out, code)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 3 {
		t.Errorf("it left files: %v, %v", left, err)
	}
}
