package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	cosigning "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// fakeWitness is a fake: it speaks C2SP tlog-witness, holds each checkpoint to the last one that it cosigned, and forgets everything when it ends.
type fakeWitness struct {
	url, key string // its own
	log      string // public key of the one log that it knows
	signer   note.Signer

	mu   sync.Mutex
	size uint64
	root []byte
}

func startFakeWitness(t *testing.T, name, log string) *fakeWitness {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosigning.NewSignerForCosignatureV1(secret)
	if err != nil {
		t.Fatal(err)
	}
	w := &fakeWitness{key: public, log: log, signer: signer}
	server := httptest.NewServer(http.HandlerFunc(w.addCheckpoint))
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	w.url = server.URL
	return w
}

func (w *fakeWitness) addCheckpoint(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	head, text, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, err := strconv.ParseUint(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !ok || err != nil || r.Method != http.MethodPost || r.URL.Path != "/add-checkpoint" {
		http.Error(rw, "malformed", http.StatusBadRequest)
		return
	}
	v, err := note.NewVerifier(w.log)
	if err != nil {
		http.Error(rw, "unknown log", http.StatusNotFound)
		return
	}
	n, err := note.Open(text, note.VerifierList(v))
	if err != nil {
		http.Error(rw, "not its key", http.StatusForbidden)
		return
	}
	c, err := parseCheckpoint(n.Text)
	switch {
	case err != nil || old > c.Size:
		http.Error(rw, "malformed", http.StatusBadRequest)
		return
	case old != w.size:
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintln(rw, w.size)
		return
	case old == c.Size && !bytes.Equal(c.Root, w.root) && old > 0:
		http.Error(rw, "a fork", http.StatusConflict)
		return
	}
	var path [][]byte
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			http.Error(rw, "malformed", http.StatusBadRequest)
			return
		}
		path = append(path, h)
	}
	if old > 0 && proof.VerifyConsistency(rfc6962.DefaultHasher, old, c.Size, path, w.root, c.Root) != nil {
		http.Error(rw, "not consistent", http.StatusUnprocessableEntity)
		return
	}
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		http.Error(rw, "cannot sign", http.StatusInternalServerError)
		return
	}
	w.size, w.root = c.Size, c.Root
	_, signature, _ := bytes.Cut(signed, []byte("\n\n"))
	_, _ = rw.Write(signature)
}

// TestWitnessesCosign shows every checkpoint to two witnesses, over restarts of ours, and verifies by their keys.
func TestWitnessesCosign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := mustOpen(t, w.options())
	a, b := startFakeWitness(t, "a.example", first.Status().Key), startFakeWitness(t, "b.example", first.Status().Key)
	o := func() Options {
		o := w.options()
		o.Witnesses = []Witness{{a.url, a.key}, {b.url, b.key}}
		return o
	}
	for _, n := range []int{5, 300, 40} {
		w.add(n)
		want := w.access.Last() + w.control.Last()
		l := mustOpen(t, o())
		w.run(l, func() bool {
			st := l.Status()
			return st.Witnesses[0].Size == want && st.Witnesses[1].Size == want
		})
	}
	w.close()
	r := w.verify(Outside{Key: first.Status().Key, Witnesses: []string{a.key, b.key}})
	if text := strings.Join(r.NotChecked, "\n"); strings.Contains(text, "rewritten") {
		t.Errorf("cosigned by two witnesses, and yet not checked: %s", text)
	}
	stranger := startFakeWitness(t, "c.example", "")
	r, err := Verify(dirOf(w), Outside{Witnesses: []string{stranger.key}})
	if err != nil || r.Found == 0 {
		t.Errorf("a witness who did not cosign is not missed: %v", err)
	}
}

// TestWitnessSeesWhatIsOlder shows a witness what he has seen more of, and another history.
func TestWitnessSeesWhatIsOlder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(20)
	l := w.follow(w.options())
	a := startFakeWitness(t, "a.example", l.Status().Key)
	o := w.options()
	o.Witnesses = []Witness{{a.url, a.key}}
	a.size, a.root = 4711, make([]byte, 32)
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "4711 leaves") {
		t.Errorf("a witness who has seen more is not heard: %v", err)
	}
	a.size = 10 // of another history
	l = mustOpen(t, o)
	w.run(l, func() bool { return strings.Contains(l.Status().Witnesses[0].Why, "this is a fork") })
	a.log = ""
	l = mustOpen(t, o)
	w.run(l, func() bool { return strings.Contains(l.Status().Witnesses[0].Why, "tell him") })
	w.close()
}
