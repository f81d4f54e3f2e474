package serve

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
	"sallyport/config"
	"sallyport/evidence"
	"sallyport/ledger"
	"sallyport/record"
	"sallyport/sim"
)

// TestEvidencePack: a thief sells what he saw, customers report, he is named, and two people hand over a pack that a recipient verifies with an
// independent program: all of it is there, nothing of other customers is shown, and not a byte can be changed.
func TestEvidencePack(t *testing.T) {
	f := reported(t, "")
	agents := f.org.Agents()
	thief := agents[0].ID
	stolen := f.looks(thief, 10)
	for _, other := range agents[1:6] {
		f.looks(other.ID, 10)
	}
	f.connect(thief).must(fmt.Sprintf("SELECT id, email FROM support.customers WHERE id IN (%d, %d)", stolen[0].ID, stolen[7].ID)) // one of the case, and another one
	o1, o2 := f.officer("o1"), f.officer("o2")
	for _, c := range stolen[:6] {
		id, err := o1.AddReport(t.Context(), api.Report{Customer: sallyport.Subject(fmt.Sprint(c.ID)), Channel: "call", Quoted: []string{"ticket", "name"}})
		fatal(t, err)
		fatal(t, o2.JudgeReport(t.Context(), id, true, "call"))
	}
	within(t, 60*time.Second, "the case about the reports names him", func() bool {
		c, ok := f.server.casing.book.Case(1)
		return ok && c.Source == cases.FromReports && len(c.People) == 1 && c.People[0] == thief && len(c.Customers) == 6
	})
	id, err := o1.StepCase(t.Context(), "1", cases.DoExport, api.CaseRequest{Text: "asked for by the prosecutor"})
	fatal(t, err)
	if _, err := o1.Pack(t.Context(), "1", id); err == nil {
		t.Error("one person has the pack")
	}
	_, err = o2.Approve(t.Context(), id)
	fatal(t, err)
	if _, err := f.officer("o3").Pack(t.Context(), "1", id); err == nil {
		t.Error("a third person has the pack")
	}
	name := filepath.Join(f.folder, "case1.zip")
	out := f.run("o2", "case", "export", "1", "--proposal", id, "-o", name, "--data", f.options.Data, "--as", "o2")
	key := f.server.ledger.Status().Key
	verified, err := runMainOf(t, "case", "verify", name, "--key", key)
	t.Logf("%s%s", out, verified)
	if err != nil {
		t.Fatalf("it does not verify: %v\n%s", err, verified)
	}
	files := packFiles(t, name)
	report := string(files[evidence.Report])
	for _, want := range []string{string(thief), fmt.Sprint(stolen[0].ID), "Chain of custody", "asked for by the prosecutor"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	f.minimised(files, stolen[:6], agents[1].ID)
	f.tampered(name, files, key)
	f.clock(len(stolen))
}

// clock has deadlines, the notice and the letters of the case, with the figures of the record.
func (f *fort) clock(stolen int) {
	t := f.t
	t.Helper()
	data := []string{"--data", f.options.Data, "--as", "o2"}
	f.run("o2", append([]string{"case", "aware", "1", "--at", time.Now().Add(-73 * time.Hour).Format(time.RFC3339), "--country", "DE"}, data...)...)
	if out := f.run("o2", append([]string{"case", "deadlines", "1"}, data...)...); !strings.Contains(out, "gdpr-33") || !strings.Contains(out, "PASSED") || strings.Contains(out, "us-ny") {
		t.Errorf("deadlines:\n%s", out)
	}
	f.run("o2", append([]string{"case", "met", "1", "gdpr-33", "--reason", "sent late, with reasons"}, data...)...)
	if out := f.run("o2", append([]string{"case", "deadlines", "1"}, data...)...); !strings.Contains(out, "met ") {
		t.Errorf("deadlines:\n%s", out)
	}
	out := f.run("o2", append([]string{"case", "notice", "1"}, data...)...)
	for _, want := range []string{fmt.Sprintf("Persons concerned: %d whose data", stolen), "6 customers have confirmed", fmt.Sprintf("support.customers.email (of %d)", stolen)} {
		if !strings.Contains(out, want) {
			t.Errorf("the notice lacks %q:\n%s", want, out)
		}
	}
	c, _ := f.server.casing.book.Case(1)
	id, err := f.officer("o1").ProposeList(f.ctx, f.server.Names.Person(c.People[0]), "", "tell customers")
	f.need(err)
	_, err = f.officer("o2").Approve(f.ctx, id)
	f.need(err)
	rows, err := csv.NewReader(strings.NewReader(f.run("o2", append([]string{"case", "letters", "1", "--list", id}, data...)...))).ReadAll()
	f.need(err)
	if len(rows) != stolen+1 || !strings.Contains(rows[1][4], "hang up") || !strings.Contains(rows[1][4], "your e-mail address") {
		t.Errorf("letters: %d rows, %q", len(rows), rows[1])
	}
}

// run runs a command as an officer.
func (f *fort) run(who string, args ...string) string {
	f.t.Helper()
	var out, errs bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return map[string]string{passwordVariable: who + "-password"}[name] }}
	if err := m.Run(f.ctx, args); err != nil && !errors.Is(err, errFound) {
		f.t.Fatalf("%v: %v\n%s", args, err, &errs)
	}
	return out.String()
}

func packFiles(t testing.TB, name string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files, err := evidence.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// minimised looks for customers who are not of the case, and for a colleague, in everything that is shown.
func (f *fort) minimised(files map[string][]byte, stolen []sim.Customer, colleague sallyport.Staff) {
	t := f.t
	t.Helper()
	of := map[sallyport.Subject]bool{}
	for _, c := range stolen {
		of[sallyport.Subject(fmt.Sprint(c.ID))] = true
	}
	shown, seen := 0, map[sallyport.Subject]bool{}
	for name, text := range files {
		if !strings.HasPrefix(name, evidence.Events) {
			continue
		}
		p, err := ledger.ParseProof(text)
		f.need(err)
		plain, err := p.Open()
		if errors.Is(err, ledger.ErrNotShown) {
			continue
		}
		f.need(err)
		shown++
		e, err := record.Decode(plain)
		f.need(err)
		for c := range config.CustomersOf(e) {
			seen[c] = true
			if !of[c] {
				t.Errorf("%s shows customer %s, who is not of the case", name, c)
			}
		}
		if bytes.Contains(plain, []byte(colleague)) {
			t.Errorf("%s names a colleague", name)
		}
	}
	f.others(files, of)
	if len(seen) != len(of) || shown < 6 {
		t.Errorf("%d entries are shown, about %d of %d customers", shown, len(seen), len(of))
	}
	for _, name := range []string{evidence.Report, evidence.Case, evidence.Index} {
		if bytes.Contains(files[name], []byte(colleague)) {
			t.Errorf("%s names a colleague", name)
		}
	}
}

// others: an entry that is not shown names customers of no concern to the case by pseudonyms that nobody can compute.
func (f *fort) others(files map[string][]byte, of map[sallyport.Subject]bool) {
	t := f.t
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(files[evidence.Index])).ReadAll()
	f.need(err)
	named := 0
	for _, row := range rows[1:] {
		for name := range strings.FieldsSeq(row[7]) {
			named++
			if !strings.HasPrefix(name, "c-") || len(name) != 12 {
				t.Errorf("%s names another customer as %q", row[0], name)
			}
		}
		if fmt.Sprint(len(strings.Fields(row[7]))) != row[6] {
			t.Errorf("%s names %s of %s other customers", row[0], row[7], row[6])
		}
	}
	if named == 0 || !bytes.Contains(files[evidence.Report], []byte("stand here by pseudonyms")) {
		t.Errorf("%d other customers are named by pseudonym", named)
	}
	for who := range of {
		if f.server.Names.Customer("pack a", who) == f.server.Names.Customer("pack b", who) {
			t.Error("packs can be put together by their pseudonyms")
		}
	}
}

// verifierOf writes the independent program of a pack into a folder.
func verifierOf(t *testing.T, folder string, files map[string][]byte) string {
	t.Helper()
	for _, name := range []string{evidence.Program, evidence.Reader, evidence.Checker} {
		if files[name] == nil {
			t.Errorf("the pack has no %s", name)
		}
		fatal(t, os.WriteFile(filepath.Join(folder, name), files[name], 0o600))
	}
	return filepath.Join(folder, evidence.Program)
}

// tampered changes packs, in each way that somebody might.
func (f *fort) tampered(name string, files map[string][]byte, key string) {
	t := f.t
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("there is no python3: the independent program is not asked")
	}
	check := func(what string, files map[string][]byte, key string, good bool) {
		t.Helper()
		var b bytes.Buffer
		f.need(evidence.Write(&b, files, time.Time{}))
		file := filepath.Join(f.folder, "tried.zip")
		f.need(os.WriteFile(file, b.Bytes(), 0o600))
		if _, err := runMainOf(asTest(f.t), "case", "verify", file, "--key", key); (err == nil) != good {
			t.Errorf("%s: %v, expected %v", what, err, good)
		}
		if python == "" {
			return
		}
		program := verifierOf(asTest(f.t), f.folder, files)
		if what == "another program" {
			return // whoever has a pack from elsewhere has the program from elsewhere, too
		}
		out, err := exec.CommandContext(f.ctx, python, program, "--pack", file, "--key", key).CombinedOutput() //nolint:gosec // our own program
		if (err == nil) != good || good != strings.HasPrefix(string(out), "PROVEN") {
			t.Errorf("%s: python says %s (%v), expected %v", what, out, err, good)
		}
	}
	check("as it is", files, key, true)
	event := ""
	for n := range files {
		if strings.HasPrefix(n, evidence.Events+"access") {
			event = n
		}
	}
	change := func(n string, to []byte, resum bool) map[string][]byte {
		out := map[string][]byte{}
		maps.Copy(out, files)
		if out[n] = to; to == nil {
			delete(out, n)
		}
		if resum {
			out[evidence.Sums], _ = evidence.SumsOf(out)
		}
		return out
	}
	check("another report", change(evidence.Report, []byte("<p>it was his lead"), false), key, false)
	check("another report, and its hash", change(evidence.Report, []byte("<p>it was his lead"), true), key, false)
	check("another program", change(evidence.Program, []byte("print('PROVEN')"), true), key, false)
	check("an event less", change(event, nil, true), key, false)
	check("an event changed", change(event, bytes.Replace(files[event], []byte(`"sequence": `), []byte(`"sequence": 1`), 1), true), key, false)
	check("an event as the seal", change(evidence.Seal, files[event], false), key, false)
	check("no seal", change(evidence.Seal, nil, false), key, false)
	check("a file more", change("notes.txt", []byte("he did more"), false), key, false)
	other, err := ledger.Open(f.ctx, ledger.Options{Data: f.t.TempDir(), Origin: f.server.ledger.Status().Origin})
	f.need(err)
	check("another ledger's key", files, other.Status().Key, false)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for range 2 {
		w, err := z.Create(evidence.Report)
		f.need(err)
		_, err = w.Write([]byte("twice"))
		f.need(err)
	}
	f.need(z.Close())
	if _, err := evidence.Read(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil {
		t.Error("a file is there twice")
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}

// asTest is a fort's test, which is no benchmark.
func asTest(t testing.TB) *testing.T {
	return t.(*testing.T) //nolint:forcetypeassert // see above
}
