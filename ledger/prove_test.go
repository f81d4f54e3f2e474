package ledger

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProof proves single entries, and shows that nothing in a proof can be changed. Python's program agrees in each case.
func TestProof(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("there is no python3: the independent program is not asked")
	}
	w := newWorld(t)
	w.add(300)
	l := w.follow(w.options())
	w.close()
	for _, event := range []string{"access:1", "control:2", "access:240", "control:40"} {
		stream, seq, err := ParseEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Prove(t.Context(), dirOf(w), stream, seq)
		if err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		hold(t, python, p, l.Status().Key, true)
		for name, change := range changes() {
			b, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			q, err := ParseProof(b)
			if err != nil {
				t.Fatal(err)
			}
			change(q)
			t.Run(event+" "+name, func(t *testing.T) { hold(t, python, q, l.Status().Key, false) })
			if event != "access:1" {
				break // the others once are enough: Python is slow
			}
		}
	}
	other, err := Open(t.Context(), Options{Data: t.TempDir(), Origin: l.Status().Origin, Sources: nil})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prove(t.Context(), dirOf(w), Access, 5)
	if err != nil {
		t.Fatal(err)
	}
	hold(t, python, p, other.Status().Key, false)
	if _, err := Prove(t.Context(), dirOf(w), Access, 4711); err == nil || !strings.Contains(err.Error(), "no access entry 4711") {
		t.Errorf("an entry that is not there: %v", err)
	}
}

func changes() map[string]func(*Proof) {
	return map[string]func(*Proof){
		"body":       func(p *Proof) { p.Body[3] ^= 1 },
		"salt":       func(p *Proof) { p.Salt = flip(p.Salt) },
		"sequence":   func(p *Proof) { p.Sequence++ },
		"event":      func(p *Proof) { p.Event, p.Sequence = "control:1", 1 },
		"record":     func(p *Proof) { p.Record = flip(p.Record) },
		"leaf":       func(p *Proof) { p.Leaf++ },
		"path":       func(p *Proof) { p.Inclusion[1][0] ^= 1 },
		"shorter":    func(p *Proof) { p.Inclusion = p.Inclusion[1:] },
		"longer":     func(p *Proof) { p.Inclusion = append(p.Inclusion, p.Inclusion[0]) },
		"checkpoint": func(p *Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n300\n", "\n299\n", 1) },
		"signature":  func(p *Proof) { p.Checkpoint = strings.TrimSpace(p.Checkpoint)[:len(p.Checkpoint)-9] + "AAAAAAA=\n" },
		"format":     func(p *Proof) { p.Format = "sallyport proof 2" },
	}
}

// flip changes the first hexadecimal digit.
func flip(s string) string {
	if s[0] == '0' {
		return "1" + s[1:]
	}
	return "0" + s[1:]
}

// hold asks our check and the independent program, which must agree.
func hold(t *testing.T, python string, p *Proof, key string, good bool) {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseProof(b)
	if err == nil {
		err = q.Check(key)
	}
	if (err == nil) != good {
		t.Errorf("%s: %v, expected %v", p.Event, err, good)
	}
	if python == "" {
		return
	}
	file := filepath.Join(t.TempDir(), "proof.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "../docs/verify/verify.py", file, "--key", key).CombinedOutput()
	if word := string(out); (err == nil) != good || good != strings.HasPrefix(word, "PROVEN") || !good && !strings.HasPrefix(word, "NOT PROVEN") {
		t.Errorf("%s: python says %v %s, expected %v", p.Event, err, word, good)
	}
}

// TestProofDisclosesNothingElse looks for the salts and bodies of all other entries in a proof.
func TestProofDisclosesNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(40)
	w.follow(w.options())
	w.close()
	p, err := Prove(t.Context(), dirOf(w), Access, 7)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []Stream{Access, Control} {
		r, err := openRecord(dirOf(w), stream, func(where, text string) { t.Errorf("%s: %s", where, text) })
		if err != nil {
			t.Fatal(err)
		}
		for {
			it, err := r.read()
			if err != nil {
				t.Fatal(err)
			}
			if it == nil {
				break
			}
			if it.seq == 7 && stream == Access {
				continue
			}
			salt := hex.EncodeToString(it.salt)
			if strings.Contains(string(b), salt) || strings.Contains(string(b), hex.EncodeToString(it.commitment[:])) {
				t.Errorf("the proof of access:7 holds the salt or commitment of %s:%d", stream, it.seq)
			}
		}
	}
}
