package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/record"
)

// TestShownEntries: the key of one encrypted entry is given away with its proof: what it says is then proven, to us and to an independent program, and
// nothing can be changed; the others stay closed.
func TestShownEntries(t *testing.T) {
	t.Parallel()
	key, err := record.NewKey(bytes.Repeat([]byte{7}, record.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), segment: 16 << 10, key: key}
	w.open()
	w.add(20)
	long := strings.Repeat("what was said at length, ", 40)
	seq, err := w.access.Append(&sallyport.Event{Kind: sallyport.AroundKind, Note: long})
	if err != nil {
		t.Fatal(err)
	}
	l := w.follow(w.options())
	id := w.access.RawID()
	w.close()
	prove := func(seq uint64) *Proof {
		t.Helper()
		p, err := Prove(t.Context(), dirOf(w), Access, seq)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p, other := prove(seq), prove(3)
	if _, err := p.Open(); err == nil || !p.Sealed {
		t.Fatalf("it is open without a key: %v", err)
	}
	own, err := key.Disclose(id, byte(p.Form), p.Body) //nolint:gosec // a form
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Show(own); err == nil {
		t.Error("the key of one entry opens another")
	}
	if err := p.Show(own); err != nil {
		t.Fatal(err)
	}
	plain, err := p.Open()
	if err != nil || !bytes.Contains(plain, []byte(long)) {
		t.Errorf("it says %q, %v", plain, err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3: the independent program is not asked")
	}
	ask := func(p *Proof) (string, bool) {
		t.Helper()
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "proof.json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "../docs/verify/verify.py", file, "--key", l.Status().Key).CombinedOutput()
		return string(out), err == nil
	}
	if out, ok := ask(p); !ok || !strings.Contains(out, long) {
		t.Errorf("python says %s", out)
	}
	if out, ok := ask(other); !ok || !strings.Contains(out, "holds no key of it") {
		t.Errorf("python says of one that is not shown: %s", out)
	}
	for name, change := range map[string]func(*Proof){
		"another key":    func(p *Proof) { p.EntryKey = hex.EncodeToString(make([]byte, 32)) },
		"the ciphertext": func(p *Proof) { p.Body[len(p.Body)-30] ^= 1 },
		"the check":      func(p *Proof) { p.Body[30] ^= 1 },
		"no key":         func(p *Proof) { p.EntryKey = "zz" },
	} {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseProof(b)
		if err != nil {
			t.Fatal(err)
		}
		change(q)
		if _, err := q.Open(); err == nil && q.Check(l.Status().Key) == nil {
			t.Errorf("%s: it still opens and is proven", name)
		}
		if out, ok := ask(q); ok || !strings.HasPrefix(out, "NOT PROVEN") {
			t.Errorf("%s: python says %s", name, out)
		}
	}
}
