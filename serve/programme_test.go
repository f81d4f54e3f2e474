package serve

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cosigning "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"sallyport/program"
)

// newWitness cosigns checkpoints: by a key of this test, in the form of c2sp.org/tlog-cosignature.
func newWitness(t *testing.T) (key string, cosign func(text string) []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	fatal(t, err)
	vkey, err := note.NewEd25519VerifierKey("witness.example.org", public)
	fatal(t, err)
	key, err = cosigning.VKeyToCosignatureV1(vkey)
	fatal(t, err)
	id := strings.Split(vkey, "+")[1]
	signer, err := cosigning.NewSignerForCosignatureV1("PRIVATE+KEY+witness.example.org+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...)))
	fatal(t, err)
	return key, func(text string) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		fatal(t, err)
		return signed
	}
}

// TestProgramme: a draw is committed to, drawn and checked; a policy is read and acknowledged; accesses are held to what is allowed; a review is opened and
// decided; and each report says so, from the folder of a real serve.
func TestProgramme(t *testing.T) {
	a := newAsking(t, "")
	dir := t.TempDir()
	in := func(name, text string) string {
		path := filepath.Join(dir, name)
		fatal(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	plan := in("plan.yaml", "name: desk\nstart: {from: 2026-12-01, to: 2026-12-20}\npeople: [{id: t1}, {id: t2}, {id: t3}]\nposts: [{id: acme}, {id: bolt}, {id: corp}]\nprevious: [{post: acme, who: t1}]\n")
	secret, drawn := filepath.Join(dir, "secret"), filepath.Join(dir, "draw.json")
	key, cosign := newWitness(t)
	a.move(-10 * time.Minute) // the witness's clock is the machine's
	at := time.Now().Add(-2 * time.Minute).UTC().Format(time.RFC3339)
	commit := []string{"program", "rotate", "commit", plan, "--at", at, "--witness", key, "--origin", "log.example.org", "--secret", secret}
	out, err := a.fort.command("o1", commit...)
	if err != nil || !strings.Contains(out, "Committed to desk") {
		t.Fatalf("%s, %v", out, err)
	}
	if _, err := a.fort.command("o2", append(commit[:len(commit)-1], secret+"2")...); err == nil || !strings.Contains(err.Error(), "waits for its draw") {
		t.Errorf("committed to twice: %v", err)
	}
	a.move(10 * time.Minute)
	beacon := in("beacon", string(cosign("log.example.org\n17\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")))
	if out, err := a.fort.command("o1", "program", "rotate", "draw", plan, "--secret", secret, "--beacon", beacon, "--out", drawn); err != nil || !strings.Contains(out, "desk from 2026-12-") {
		t.Fatalf("%s, %v", out, err)
	}
	if out, err := runMainOf(t, "program", "rotate", "--verify", drawn); err != nil || !strings.Contains(out, "corp") {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := a.fort.command("o2", "program", "rotate", "check", drawn); err != nil {
		t.Errorf("%s, %v", out, err)
	}
	text, err := os.ReadFile(drawn)
	fatal(t, err)
	forged := in("forged.json", strings.Replace(string(text), `"acme"`, `"ACME"`, 1))
	if out, err := runMainOf(t, "program", "rotate", "--verify", forged); !errors.Is(err, errFound) {
		t.Errorf("a forged draw: %s, %v", out, err)
	}
	if out, err := a.fort.command("o1", "program", "rotate", "ls"); err != nil || !strings.Contains(out, "drawn") {
		t.Errorf("%s, %v", out, err)
	}

	who, ticket, customer := a.hasTicket(0)
	c := a.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.must(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got[0][0] != customer.Email {
		t.Fatalf("%s reads %q", who, got)
	}
	document := "../examples/access-policy.md"
	if _, err := a.fort.command("o1", "program", "acknowledge", document); err != nil {
		t.Error(err)
	}
	a.stop()

	config := filepath.Join(a.folder, "sallyport.yaml")
	report := func(args ...string) (string, error) {
		t.Helper()
		return runMainOf(t, append(args, "--config", config, "--data", a.options.Data, "--key-file", a.options.KeyFile)...)
	}
	out, err = report("program", "drift", document, "--json")
	var drift program.Drift
	if !errors.Is(err, errFound) || json.Unmarshal([]byte(out), &drift) != nil || drift.Documents[0].Have != 1 || len(drift.Unread) != 1 || len(drift.Unenforced)+len(drift.Unwritten)+len(drift.Contradicted) > 0 {
		t.Errorf("%v, %s", err, out)
	}
	smaller := filepath.Join(dir, "smaller")
	out, err = report("program", "privileges", "--json", "--out", smaller)
	var said struct {
		Privileges *program.Privileges
		Proposal   struct {
			Accesses int
			Cedar    string
		}
	}
	if !errors.Is(err, errFound) || json.Unmarshal([]byte(out), &said) != nil || said.Privileges.Used < 1 || len(said.Privileges.Propose) == 0 || said.Proposal.Accesses != 0 {
		t.Fatalf("%v, %.2000s", err, out)
	}
	for _, x := range said.Privileges.People {
		if x.Staff == who && (len(x.Used) != 1 || x.Used[0].Column != "support.customers.email" || x.Used[0].Times != 1) {
			t.Errorf("%+v", x)
		}
	}
	if out, err := runMainOf(t, "policy", "schema", "--config", config, "--policies", smaller); err != nil {
		t.Errorf("%v, %.500s", err, out)
	}
	privileges := in("privileges.json", out)
	out, err = report("program", "status")
	if !errors.Is(err, errFound) || !strings.Contains(out, "program:rotation_draw") || !strings.Contains(out, "On record: nothing") || strings.Count(out, "The company:") != 22 {
		t.Errorf("%v, %s", err, out)
	}
	a.start()
	until := time.Now().Add(8 * 24 * time.Hour).UTC().Format(time.RFC3339)
	if out, err := a.fort.command("o1", "program", "review", "open", "autumn", "--from", privileges, "--until", until); err != nil {
		t.Fatalf("%s, %v", out, err)
	}
	if out, err := a.fort.command("o2", "program", "review", "decide", "autumn", string(who), "--keep", "--reason", "he works"); err != nil {
		t.Errorf("%s, %v", out, err)
	}
	a.move(9 * 24 * time.Hour)
	cedar := filepath.Join(dir, "ended.cedar")
	out, err = a.fort.command("o2", "program", "review", "ls", "--cedar", cedar)
	policies, _ := os.ReadFile(cedar)
	if !errors.Is(err, errFound) || !strings.Contains(out, "kept") || !strings.Contains(out, "ended") || strings.Contains(string(policies), `"`+string(who)+`"`) || !strings.Contains(string(policies), "forbid (principal == Staff::") {
		t.Errorf("%v, %s\n%s", err, out, policies)
	}
	folder := filepath.Join(dir, "with-ended")
	fatal(t, os.CopyFS(folder, os.DirFS(smaller)))
	fatal(t, os.WriteFile(filepath.Join(folder, "ended.cedar"), policies, 0o600))
	if out, err := runMainOf(t, "policy", "who-can", "reveal", "--config", config, "--policies", folder); err != nil || !strings.Contains(out, "ended.") {
		t.Errorf("%v, %.1000s", err, out)
	}
}
