package serve

import (
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
	"sallyport/evidence"
)

// TestFromACallToAFile: somebody sells customers whom he saw through the gateway, one of whom does not exist. The buyer writes to that one, at the address
// that only the seller was shown, and calls others, who report it. Both name him, each opens a case, and the file for the police verifies with the
// independent program.
func TestFromACallToAFile(t *testing.T) {
	s := built(t, theStage)
	f := newFort(t, "reports: {listen: 127.0.0.1:0, secret_file: reports.secret, customers: 3000}\n"+canaryYAML, func(o *Options) {
		folder := filepath.Dir(o.Config.File)
		fatal(t, os.WriteFile(filepath.Join(folder, "reports.secret"), []byte(reportsSecret+"\n"), 0o600))
		fatal(t, os.WriteFile(filepath.Join(folder, "router.password"), []byte(s.passwords["svc_router"]+"\n"), 0o600))
		o.Config.Canary.Mail.Listen = "127.0.0.1:0"
	})
	f.plant(1)
	agents := f.org.Agents()
	thief := agents[0].ID
	stolen := f.looks(thief, 8)
	for _, other := range agents[1:5] {
		f.looks(other.ID, 8)
	}
	bird := f.birds()[0]
	c := f.connect(thief)
	c.must("SET sallyport.purpose = 'ticket:" + f.lure("svc_router", thief, bird) + "'")
	address := c.one("SELECT email FROM support.customers WHERE id = " + string(bird.Subject))

	// Sold. The buyer writes, and calls.
	var server string
	within(t, 20*time.Second, "mail is heard", func() bool {
		f.server.canaries.mu.Lock()
		defer f.server.canaries.mu.Unlock()
		server = f.server.canaries.mail
		return server != ""
	})
	fatal(t, smtp.SendMail(server, nil, "seller@scam.example", []string{address}, []byte("Message-ID: <m1>\r\nSubject: your ticket\r\n\r\nHello, this is support.\r\n")))
	now := time.Now()
	var lines []string
	for _, x := range stolen[:6] {
		lines = append(lines, fmt.Sprintf(`{"customer":%d,"time":%q,"channel":"call","quoted":"ticket+name"}`, x.ID, now.Format(time.RFC3339)))
	}
	if status, answer := f.send("/reports", reportsSecret, now, `{"id":"m-1","reports":[`+strings.Join(lines, ",")+`]}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	o1, o2 := f.officer("o1"), f.officer("o2")
	list, err := o1.Reports(t.Context())
	fatal(t, err)
	for _, r := range list {
		fatal(t, o2.JudgeReport(t.Context(), r.ID, true, "call"))
	}

	// Both name him.
	who, err := o1.CanaryWho(t.Context(), address)
	fatal(t, err)
	if len(who.Views) != 1 || who.Views[0].Staff != thief || len(who.Heard) != 1 {
		t.Errorf("the address names %+v", who)
	}
	number := map[string]uint64{}
	defer func() {
		if t.Failed() {
			for _, x := range f.server.casing.book.All() {
				t.Logf("case %d, %s: about %v, weighed %+v", x.Number, x.Title, x.People, x.Weighed)
			}
			for _, x := range f.server.State.Findings() {
				t.Logf("finding %s about %s", x.ID, x.About)
			}
		}
	}()
	within(t, 60*time.Second, "there are cases about him, by the canary and by the reports", func() bool {
		for _, x := range f.server.casing.book.All() {
			if len(x.People) == 1 && x.People[0] == thief {
				number[x.Source] = x.Number
			}
		}
		return number[cases.FromFinding] > 0 && number[cases.FromReports] > 0
	})
	f.handsOver(fmt.Sprint(number[cases.FromReports]), thief)
}

// handsOver has two people export a case, and verifies it as its recipient will.
func (f *fort) handsOver(number string, thief sallyport.Staff) {
	t := asTest(f.t)
	t.Helper()
	id, err := f.officer("o1").StepCase(f.ctx, number, cases.DoExport, api.CaseRequest{Text: "asked for by the police"})
	fatal(t, err)
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	name := filepath.Join(f.folder, "case.zip")
	f.run("o2", "case", "export", number, "--proposal", id, "-o", name, "--data", f.options.Data, "--as", "o2")
	key := f.server.ledger.Status().Key
	if out, err := runMainOf(t, "case", "verify", name, "--key", key); err != nil {
		t.Errorf("it does not verify: %v\n%s", err, out)
	}
	files := packFiles(t, name)
	if !strings.Contains(string(files[evidence.Report]), string(thief)) {
		t.Error("the report does not name him")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("there is no python3: the independent program is not asked")
		return
	}
	program := verifierOf(t, f.folder, files)
	out, err := exec.CommandContext(f.ctx, python, program, "--pack", name, "--key", key).CombinedOutput() //nolint:gosec // our own program
	if err != nil || !strings.HasPrefix(string(out), "PROVEN") {
		t.Errorf("the independent program says %s (%v)", out, err)
	}
}
