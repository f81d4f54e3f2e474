package serve

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/export"
	"sallyport/internal/fakesiem"
	logs "sallyport/sources"
)

// outlets are the receivers of a test: a file, syslog over TLS and Splunk's collector, the latter two misbehaving.
type outlets struct {
	file   string
	syslog *fakesiem.Syslog
	hec    *fakesiem.HEC
	yaml   string
}

func newOutlets(t *testing.T, badly int) *outlets {
	t.Helper()
	own, _, authority, err := fakesiem.Pair()
	fatal(t, err)
	o := &outlets{file: filepath.Join(t.TempDir(), "out", "ocsf.jsonl"), hec: fakesiem.NewHEC("b0b5-token", badly)}
	o.syslog, err = fakesiem.NewSyslog(own, badly)
	fatal(t, err)
	t.Cleanup(o.syslog.Close)
	web := httptest.NewServer(o.hec)
	web.Config.ErrorLog = nil
	t.Cleanup(web.Close)
	folder := t.TempDir()
	ca, token := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "token")
	fatal(t, os.WriteFile(ca, authority, 0o600))
	fatal(t, os.WriteFile(token, []byte("Splunk b0b5-token\n"), 0o600))
	o.yaml = fmt.Sprintf(`export:
  - {name: file, file: {path: %q}}
  - {name: syslog, syslog: {address: %q, ca: %q}}
  - {name: hec, webhook: {url: %q, authorization_file: %q}}
metrics: {listen: "127.0.0.1:0"}
`, o.file, o.syslog.Address(), ca, web.URL+"/services/collector/raw", token)
	return o
}

// TestExportPlugPulled kills serve again and again while people work and receivers are gone or cut: each has every entry in the end.
func TestExportPlugPulled(t *testing.T) {
	out := newOutlets(t, 4)
	f := newFort(t, out.yaml)
	f.stop()
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	got := map[sallyport.Subject]int{}
	const kills = 3
	for range kills {
		address := freeAddress(t)
		serve := exec.Command(name, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, //nolint:gosec // this very test binary
			"--key-file", f.options.KeyFile, "--listen", address)
		serve.Stderr = f.log
		fatal(t, serve.Start())
		var readers sync.WaitGroup
		var mu sync.Mutex
		enough := total(got) + 20 + mathrand.IntN(60)
		for i := range 3 {
			readers.Go(func() { readUntilDead(t, f, address, i, &mu, got) })
		}
		within(t, 20*time.Second, "clients read something", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return total(got) >= enough
		})
		_ = serve.Process.Kill()
		_ = serve.Wait()
		readers.Wait()
	}
	f.start()
	want := map[string]bool{}
	for _, id := range exported(t, f) {
		want[id] = true
	}
	file := &fakesiem.Received{}
	for what, r := range map[string]*fakesiem.Received{"the syslog server": &out.syslog.Received, "Splunk's collector": &out.hec.Received, "the file": file} {
		missing := func() (n int, again int) {
			if r == file {
				*file = fakesiem.Received{}
				readMessages(t, out.file, file)
			}
			first, again, wrong := r.All()
			if len(wrong) > 0 {
				t.Fatalf("%s: %q", what, wrong)
			}
			has := map[string]bool{}
			for _, id := range first {
				has[id] = true
			}
			for id := range want {
				if !has[id] {
					n++
				}
			}
			return n, again
		}
		within(t, 60*time.Second, what+" has everything", func() bool {
			n, _ := missing()
			return n == 0
		})
		_, again := missing()
		t.Logf("%s has all %d messages, %d came again", what, len(want), again)
	}
	if total(got) == 0 || len(want) < total(got) {
		t.Errorf("%d reads, %d messages: this test proves nothing", total(got), len(want))
	}
}

// exported are the ids of what stands in the record now.
func exported(t *testing.T, f *fort) (ids []string) {
	t.Helper()
	fatal(t, f.server.AccessStream.Sync())
	for _, stream := range []string{config.StreamAccess, config.StreamControl} {
		of := f.server.exports.watched[stream]
		encoder, err := f.server.encoder(export.OCSF, of, false)
		fatal(t, err)
		fatal(t, of.Read(1, func(e *sallyport.Event) error {
			for _, m := range encoder.Append(nil, e) {
				ids = append(ids, m.UID)
			}
			return nil
		}))
	}
	return ids
}

// readMessages reads whole lines of a file.
func readMessages(t *testing.T, name string, r *fakesiem.Received) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		return // not made yet
	}
	defer file.Close()
	b := bufio.NewReader(file)
	for {
		line, err := b.ReadBytes('\n')
		if err == io.EOF { //nolint:errorlint // what has no end is not written yet
			return
		}
		fatal(t, err)
		r.Add(line)
	}
}

// TestExportCommand: whoever is of security takes the record out, which is recorded; nobody else does; and what is read back into another
// record is there once, whatever is tried.
func TestExportCommand(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.jsonl") // for who may see everybody
	f := newFort(t, "metrics: {listen: \"127.0.0.1:0\"}\nexport:\n  - {name: own, people: names, file: {path: "+own+"}}\n")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.must(fmt.Sprintf("SELECT email, phone FROM support.customers WHERE id = %d", customer.ID))
	c.fails("SELECT * FROM support.customers WHERE email LIKE 'a%'")
	_ = c.Close(t.Context())
	within(t, 20*time.Second, "the session's end is on record", func() bool { return strings.Contains(kindsText(f), string(sallyport.SessionEnd)) })

	run := func(args ...string) (string, string, error) {
		t.Helper()
		var out, errs bytes.Buffer
		m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(key string) string {
			if key == passwordVariable {
				return "o1-password"
			}
			return ""
		}}
		err := m.Run(t.Context(), append(args, "--as", "o1", "--data", f.options.Data))
		return out.String(), errs.String(), err
	}
	folder := t.TempDir()
	ocsf := filepath.Join(folder, "all.jsonl")
	if out, _, err := run("export", "-o", ocsf, "--since", "1h"); err != nil || !strings.Contains(out, "messages in") {
		t.Fatalf("%q, %v", out, err)
	}
	text, err := os.ReadFile(ocsf)
	fatal(t, err)
	subject := fmt.Sprintf(`"subjects":["%d"]`, customer.ID)
	for _, part := range []string{subject, `"activity_id":10`, `"status_id":2`, `"class_uid":3002`, `"ref":"r-`, f.server.Names.Person(who)} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("the export is without %s", part)
		}
	}
	for _, secret := range []string{customer.Email, customer.Phone, "LIKE", `"` + string(who) + `"`, `"ref":"` + fmt.Sprint(ticket.ID) + `"`} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("a value, a literal or somebody's name stands in the export: %.3q…", secret)
		}
	}
	f.unmaskedExport(t, who, ocsf, run)
	if last := lastOf(t, f, sallyport.Queried); last == nil || last.Order.Action != "export" || last.Order.By != "o1" {
		t.Errorf("that somebody took the record out is not on record: %+v", last)
	}
	if err := f.officer("o1").Export(t.Context(), api.ExportQuery{Format: "xml", Streams: []string{"access"}}, io.Discard); err == nil {
		t.Error("an unknown format is exported")
	}

	ids := exported(t, f)
	within(t, 20*time.Second, "the output has everything", func() bool {
		text, err := os.ReadFile(own)
		return err == nil && !slices.ContainsFunc(ids, func(id string) bool { return !bytes.Contains(text, []byte(`"`+id+`"`)) })
	})
	f.sameAccesses(own)
	if out, _, err := run("import", ocsf, "--source", "here", "--json"); err != nil || !strings.Contains(out, `"imported":0`) {
		t.Errorf("its own export comes into the record again: %s %v", out, err)
	}
	other := filepath.Join(folder, "other.jsonl")
	fatal(t, os.WriteFile(other, bytes.ReplaceAll(text, []byte(`"uid":"`+f.server.AccessStream.ID()[:16]), []byte(`"uid":"another-gateway`)), 0o600))
	first, _, err := run("import", other, "--source", "there", "--json")
	var counts struct{ Imported, Known, BadLines int }
	fatal(t, json.Unmarshal([]byte(first), &counts))
	if err != nil || counts.Imported < 3 {
		t.Fatalf("%s, %v", first, err)
	}
	f.restart()
	for _, again := range [][]string{{"import", other, "--source", "there", "--json"}, {"import", shuffled(t, other), "--source", "there", "--json"}} {
		if out, _, err := run(again...); err != nil || !strings.Contains(out, `"imported":0`) || !strings.Contains(out, fmt.Sprintf(`"known":%d`, counts.Imported)) {
			t.Errorf("again: %s %v", out, err)
		}
	}
	broken := filepath.Join(folder, "broken.jsonl")
	fatal(t, os.WriteFile(broken, []byte("{\"class_uid\":6005}\n{\n"), 0o600))
	if _, errs, err := run("import", broken); exitCode(err) != ExitFound || !strings.Contains(errs, broken+":1: no activity_id") || !strings.Contains(errs, broken+":2: ") {
		t.Errorf("%q, %v", errs, err)
	}
	if _, _, err := run("import", broken, "--strict"); exitCode(err) != ExitFailed || !strings.Contains(err.Error(), broken+":1: no activity_id") {
		t.Error(err)
	}
	f.metricsNameNobody(who)
}

// unmaskedExport has two agree to see who somebody is: from then on he stands in what one of them exports, and nobody else does.
func (f *fort) unmaskedExport(t *testing.T, who sallyport.Staff, before string, run func(...string) (string, string, error)) {
	t.Helper()
	f.agree(t, func() (string, error) {
		return f.officer("o1").Unmask(f.ctx, f.server.Names.Person(who), "case 17", time.Hour)
	})
	after := filepath.Join(t.TempDir(), "after.jsonl")
	if out, _, err := run("export", "-o", after, "--since", "1h", "--stream", "access"); err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	text, err := os.ReadFile(after)
	fatal(t, err)
	if !bytes.Contains(text, []byte(`"uid":"`+string(who)+`"`)) {
		t.Error("two agreed to see who it is, and the export does not say")
	}
	old, err := os.ReadFile(before)
	fatal(t, err)
	if bytes.Contains(old, []byte(`"uid":"`+string(who)+`"`)) {
		t.Error("his name stood in what was exported before")
	}
}

// sameAccesses holds what is read of an export to what the record itself comes to, statement by statement.
func (f *fort) sameAccesses(name string) {
	f.t.Helper()
	gather := func(list map[string]sallyport.Access) func(*sallyport.Access) error {
		return func(a *sallyport.Access) error {
			one := *a
			one.Arrived, one.Time = 0, a.Time.UTC().Truncate(time.Millisecond) // OCSF has milliseconds
			list[a.UID] = one
			return nil
		}
	}
	services := f.config.Services
	want, got := map[string]sallyport.Access{}, map[string]sallyport.Access{}
	own := logs.Fold{Emit: gather(want), Parts: logs.Parts{Record: f.server.AccessStream.ID(), Service: func(who sallyport.Staff) bool { _, ok := services[string(who)]; return ok }}}
	for _, e := range f.events() {
		if err := own.Event(e); err != nil {
			f.t.Fatal(err)
		}
	}
	back := logs.Fold{Emit: gather(got)}
	file, err := os.Open(name)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	_, err = logs.OCSF(file, back.Part, func(n int, what string) error { return fmt.Errorf("%s:%d: %s", name, n, what) })
	if err := errors.Join(err, own.End(), back.End()); err != nil {
		f.t.Fatal(err)
	}
	whole := false
	for id, a := range want {
		whole = whole || len(a.Subjects) > 0 && a.Rows > 0 && a.Shape != "" && a.Purpose.Ref != "" && a.Verdict == "reveal" && a.Policy != "" && a.Trust > 0
		if diff := cmp.Diff(a, got[id], cmpopts.EquateEmpty()); diff != "" {
			f.t.Errorf("%s: %s", id, diff)
		}
	}
	if len(want) != len(got) || !whole {
		f.t.Errorf("%d accesses of the record, %d of the export; a statement with everything: %v", len(want), len(got), whole)
	}
}

// metricsNameNobody reads /metrics of a running serve.
func (f *fort) metricsNameNobody(who sallyport.Staff) {
	f.t.Helper()
	response, err := http.Get("http://" + f.server.exports.listener.Addr().String() + "/metrics")
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Contains(text, []byte(`sallyport_record_last_entry{stream="access"}`)) || bytes.Contains(text, []byte(who)) {
		f.t.Errorf("%v: %s", err, text)
	}
}

func lastOf(t *testing.T, f *fort, kind sallyport.EventKind) (last *sallyport.Event) {
	t.Helper()
	fatal(t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == kind {
			last = e
		}
		return nil
	}))
	return last
}

func kindsText(f *fort) string {
	var b strings.Builder
	for _, e := range f.events() {
		b.WriteString(string(e.Kind) + " ")
	}
	return b.String()
}

// shuffled is a file with the lines in another order.
func shuffled(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	fatal(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Reverse(lines)
	other := name + ".reversed"
	fatal(t, os.WriteFile(other, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return other
}

// TestImportedCountsForNothing: accesses that are imported fill no budget, make no reason, are no fact and nothing that who-saw finds; after a
// restart, which folds the stream anew, neither.
func TestImportedCountsForNothing(t *testing.T) {
	f := newFort(t, "budgets: {default: {revealed: {hour: 3, day: 3}, reached: {hour: 3, day: 3}, probed: {hour: 3, day: 3}}}\n")
	who, ticket, customer := f.hasTicket(0)
	_, _, stranger := f.hasTicket(1)
	c := f.officer("o1")
	id, err := c.BeginImport(t.Context(), sallyport.Importing{Source: "elsewhere"})
	fatal(t, err)
	var list []sallyport.Access
	for i := range 500 {
		list = append(list, sallyport.Access{
			UID: fmt.Sprint("e-", i), Time: time.Now().Add(-time.Minute), Activity: sallyport.RevealActivity, Staff: who, Session: "x", Statement: uint64(i + 1),
			Subjects: []sallyport.Subject{sallyport.Subject(fmt.Sprint(i)), sallyport.Subject(fmt.Sprint(stranger.ID))}, Verdict: "reveal", Probes: 100, Reach: 100,
			Purpose: sallyport.Purpose{Kind: "ticket", Ref: fmt.Sprint(ticket.ID)}, Reached: []sallyport.Subject{"1", "2", "3", "4"},
		})
	}
	taken, err := c.ImportAccesses(t.Context(), api.ImportPart{Import: id, Format: "ocsf", Accesses: list})
	if err != nil || taken.New != len(list) {
		t.Fatalf("%+v, %v", taken, err)
	}
	for range 2 {
		mine := f.connect(who)
		mine.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		if got := mine.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != customer.Email {
			t.Errorf("his budget is used up by what was imported: %s", got)
		}
		if got := mine.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", stranger.ID)); got == stranger.Email {
			t.Error("an imported access is a reason")
		}
		sightings, err := c.WhoSaw(t.Context(), sallyport.Subject(fmt.Sprint(stranger.ID)))
		if err != nil || len(sightings) != 0 {
			t.Errorf("who-saw finds %d, %v", len(sightings), err)
		}
		_ = mine.Close(t.Context())
		f.restart()
	}
	for what, a := range map[string]sallyport.Access{
		"no id": {Staff: who, Time: time.Now()}, "nobody": {UID: "x", Time: time.Now()}, "no time": {UID: "x", Staff: who},
		"a long text": {UID: "x", Staff: who, Time: time.Now(), Application: strings.Repeat("x", 400)},
	} {
		id, err := c.BeginImport(t.Context(), sallyport.Importing{Source: "elsewhere"})
		fatal(t, err)
		if _, err := c.ImportAccesses(t.Context(), api.ImportPart{Import: id, Format: "ocsf", Accesses: []sallyport.Access{a}}); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// BenchmarkImport is how many accesses a second come into the record: read from OCSF, handed to serve in parts, checked, known by their ids, and
// on disk.
func BenchmarkImport(b *testing.B) {
	f := newFort(b, "")
	encoder, err := export.NewEncoder(export.OCSF, strings.Repeat("cd", 16), "1", nil)
	if err != nil {
		b.Fatal(err)
	}
	var lines bytes.Buffer
	for i := range b.N {
		lines.Write(encoder.Access(&sallyport.Access{
			UID: fmt.Sprint("cdcdcdcdcdcdcdcd-", i), Time: time.Now(), Activity: 10, Staff: "s017", Session: "x9", Application: "desk", Address: "10.4.0.17", Shape: "f3ab",
			Database: "support", Table: "customers", Columns: []string{"email", "phone"}, Subjects: []sallyport.Subject{sallyport.Subject(fmt.Sprint(i % 5000))}, Verb: "SELECT",
		}).Body)
		lines.WriteByte('\n')
	}
	file := filepath.Join(b.TempDir(), "log.jsonl")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(lines.Len() / b.N))
	b.ReportAllocs()
	b.ResetTimer()
	m := &Main{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "o1-password" }}
	if err := m.Run(b.Context(), []string{"import", file, "--source", "bench", "--as", "o1", "--data", f.options.Data}); err != nil {
		b.Fatal(err)
	}
}
