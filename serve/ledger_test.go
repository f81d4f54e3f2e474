package serve

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
	"sallyport/ledger"
)

// ledgerFort is a fort whose ledger is seen elsewhere, and whose clock can be set.
func ledgerFort(t *testing.T) (f *fort, elsewhere string, ahead *atomic.Int64) {
	t.Helper()
	ahead = &atomic.Int64{}
	elsewhere = filepath.Join(t.TempDir(), "checkpoint")
	// These tests read whole tables, which detection finds, and what it finds is held as evidence.
	f = newFort(t, "detect: {off: true}\nledger: {checkpoints: ["+elsewhere+"]}\n", func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	return f, elsewhere, ahead
}

// settled waits until everything on record is under a checkpoint, here and elsewhere.
func (f *fort) settled() {
	f.t.Helper()
	within(f.t, 30*time.Second, "the ledger has everything", func() bool {
		st := f.server.ledger.Status()
		return st.Lag == 0 && st.Signed > 0 && (len(st.Copies) == 0 || st.Copies[0].Size == st.Signed)
	})
}

// reveal has somebody see values for a reason, and gives the sequence of the entry.
func (f *fort) reveal() (seq uint64) {
	f.t.Helper()
	who, ticket, _ := f.hasTicket(0)
	c := f.connect(who)
	c.must("SET sallyport.purpose = 'ticket:" + ticket.No + "'")
	c.must("SELECT full_name, email FROM support.customers")
	for _, e := range f.events() {
		if e.Kind == sallyport.RevealKind {
			seq = e.Seq
		}
	}
	if seq == 0 {
		f.t.Fatal("nothing was revealed")
	}
	return seq
}

// TestInvariant7TheRecordIsEvident: what a client saw has its leaf under a checkpoint; a copy is verified offline, one entry is proven to who has nothing but
// a public key, two people erase an entry, and any other absence is found.
func TestInvariant7TheRecordIsEvident(t *testing.T) {
	f, elsewhere, ahead := ledgerFort(t)
	seq := f.reveal()
	f.settled()
	out, err := f.command("o1", "status")
	if err != nil || !strings.Contains(out, "ledger   ") || !strings.Contains(out, "entries wait") || !strings.Contains(out, elsewhere) {
		t.Errorf("status says %q, %v", out, err)
	}
	// What is seen elsewhere is kept from before each backup: a session may end, or a second of it be counted, between a backup and its check, and
	// then the checkpoint of now is of more entries than any honest copy has.
	seen := filepath.Join(t.TempDir(), "seen")
	keep := func() {
		t.Helper()
		b, err := os.ReadFile(elsewhere)
		fatal(t, err)
		fatal(t, os.WriteFile(seen, b, 0o600))
	}
	keep()
	copied := filepath.Join(t.TempDir(), "copy")
	if out, err := runMainOf(t, "backup", copied, "--data", f.options.Data); err != nil || !strings.Contains(out, "verified") {
		t.Fatalf("%s %v", out, err)
	}
	key := filepath.Join(t.TempDir(), "ledger.pub")
	fatal(t, os.WriteFile(key, []byte(f.server.ledger.Status().Key+"\n"), 0o600))
	verify := func(folder string, want error, more ...string) string {
		t.Helper()
		out, err := runMainOf(t, append([]string{"ledger", "verify", folder, "--key", key, "--checkpoint", seen}, more...)...)
		if err != want { //nolint:errorlint // exactly this one
			t.Errorf("verify %s: %v, expected %v: %s", folder, err, want, out)
		}
		return out
	}
	if out := verify(copied, nil, "--complete"); !strings.Contains(out, "Nothing was changed") || !strings.Contains(out, "NOT CHECKED: what entries say") {
		t.Errorf("verify says %s", out)
	}
	f.prove(copied, seq, key)

	// Two people erase what was seen, once it is old enough.
	event := "access:" + strconv.FormatUint(seq, 10)
	if out, err := f.command("o1", "ledger", "erase", event, "--reason", "asked for"); err == nil || !strings.Contains(err.Error(), "younger than 35 days") {
		t.Errorf("a young entry: %q %v", out, err)
	}
	ahead.Store(int64(60 * 24 * time.Hour))
	if out, err := f.command("o1", "ledger", "erase", "control:1", "--reason", "asked for"); err == nil || !strings.Contains(err.Error(), "who may see what") {
		t.Errorf("an order: %q %v", out, err)
	}
	f.agree(t, func() (string, error) {
		stream, runs, err := ParseRuns([]string{event})
		fatal(t, err)
		return f.officer("o1").Erase(f.ctx, stream, runs, "asked for")
	})
	within(t, 20*time.Second, "the entry is erased", func() bool {
		return !slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Seq == seq })
	})
	within(t, 20*time.Second, "it is on record", func() bool { return len(f.server.State.Erasures()) == 0 })
	f.settled()
	keep()
	after := filepath.Join(t.TempDir(), "after")
	if out, err := runMainOf(t, "backup", after, "--data", f.options.Data); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if out := verify(after, nil, "--complete"); !strings.Contains(out, "1 of them erased and listed") {
		t.Errorf("verify says %s", out)
	}
	if _, err := runMainOf(t, "ledger", "prove", event, "--data", after); err == nil || !strings.Contains(err.Error(), "was erased") {
		t.Errorf("an erased entry is proven: %v", err)
	}

	// The same with a segment from before the erasure: what is gone is back, and found. An erased segment without its list is found, too.
	for _, mix := range [][3]string{{copied, after, "lists as erased what is there still"}, {after, copied, "no entry of the control stream lists that"}} {
		mixed := filepath.Join(t.TempDir(), "mixed")
		fatal(t, os.CopyFS(mixed, os.DirFS(mix[1])))
		old, err := filepath.Glob(filepath.Join(mix[0], "access", "*.log"))
		fatal(t, err)
		b, err := os.ReadFile(old[0])
		fatal(t, err)
		fatal(t, os.WriteFile(filepath.Join(mixed, "access", filepath.Base(old[0])), b, 0o600))
		if out := verify(mixed, errFound); !strings.Contains(out, mix[2]) {
			t.Errorf("verify does not say %q: %s", mix[2], out)
		}
	}
}

// prove makes the file for a court, and has Python check it where there is one.
func (f *fort) prove(folder string, seq uint64, key string) {
	t, file := f.t.(*testing.T), filepath.Join(f.t.TempDir(), "proof.json")
	t.Helper()
	if out, err := runMainOf(t, "ledger", "prove", "access:"+strconv.FormatUint(seq, 10), "--data", folder, "-o", file); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	b, err := os.ReadFile(file)
	fatal(t, err)
	proof, err := ledger.ParseProof(b)
	fatal(t, err)
	fatal(t, proof.Check(f.server.ledger.Status().Key))
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("there is no python3: the independent program is not asked")
		return
	}
	out, err := exec.Command(python, "../docs/verify/verify.py", file, "--key", f.server.ledger.Status().Key).CombinedOutput() //nolint:noctx // a moment
	if err != nil || !strings.HasPrefix(string(out), "PROVEN") {
		t.Errorf("python says %s %v", out, err)
	}
}

// TestRestoredCopyIsNotThePresent backs up beside a running serve, goes on, and restores: the copy is whole, verified, and refused in front of a database that knows
// more, and by a checkpoint that was kept elsewhere. The backup of the present serves.
func TestRestoredCopyIsNotThePresent(t *testing.T) {
	f, elsewhere, _ := ledgerFort(t)
	f.reveal()
	f.settled()
	file := filepath.Join(t.TempDir(), "early.tar.gz")
	if out, err := runMainOf(t, "backup", file, "--data", f.options.Data); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	early, err := os.ReadFile(elsewhere)
	fatal(t, err)
	for range 3 {
		f.reveal()
	}
	f.settled()
	f.stop()
	late := filepath.Join(t.TempDir(), "late")
	if out, err := runMainOf(t, "backup", late, "--data", f.options.Data, "--json"); err != nil || !json.Valid([]byte(out)) {
		t.Fatalf("%s %v", out, err)
	}

	restored := filepath.Join(filepath.Dir(f.options.Data), "r1")
	if _, err := runMainOf(t, "restore", file, "--data", restored, "--checkpoint", elsewhere); err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("an older backup is restored beside a newer checkpoint: %v", err)
	}
	if out, err := runMainOf(t, "restore", file, "--data", restored); err != nil || !strings.Contains(out, "NOT CHECKED") {
		t.Fatalf("%s %v", out, err)
	}
	options := f.options
	options.Data = restored
	if _, err := Start(f.ctx, options); err == nil || !strings.Contains(err.Error(), "this data folder is older") || !strings.Contains(err.Error(), "Restore a newer backup") {
		t.Errorf("serve takes an older copy for the present: %v", err)
	}
	fatal(t, os.WriteFile(elsewhere, early, 0o600)) // whoever can rewrite that, too, has the database's mark against him
	s, err := Start(f.ctx, options)
	fatal(t, err)
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "it is older than the one that the database was last served with") || !strings.Contains(err.Error(), "--await-agreement") {
		t.Errorf("serve takes an older copy for the present: %v", err)
	}

	present := filepath.Join(filepath.Dir(f.options.Data), "r2")
	if out, err := runMainOf(t, "restore", late, "--data", present); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	f.options.Data = present
	f.start()
	f.reveal()
	f.settled()

	// A backup that was changed on the way is no backup.
	keys, err := filepath.Glob(filepath.Join(late, "*"))
	fatal(t, err)
	for _, name := range keys {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && filepath.Base(name) != "backup.json" {
			fatal(t, os.WriteFile(name, []byte("x"), 0o600))
			break
		}
	}
	if _, err := runMainOf(t, "restore", late, "--data", filepath.Join(t.TempDir(), "r3")); err == nil || !strings.Contains(err.Error(), "not those that were backed up") {
		t.Errorf("a changed backup is restored: %v", err)
	}
}
