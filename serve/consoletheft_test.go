package serve

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport"
	"sallyport/cases"
)

// TestJourneyOfATheft goes, on the pages of a running serve, from what customers told to a name, and from a finding over its case and a lock to a file that its
// recipient verifies: somebody sells customers whom he saw through the gateway, one of whom does not exist.
func TestJourneyOfATheft(t *testing.T) {
	s := built(t, theStage)
	_, keys := certified(t)
	f := newFort(t, "console: {"+keys+"}\n"+canaryYAML, func(o *Options) {
		fatal(t, os.WriteFile(filepath.Join(filepath.Dir(o.Config.File), "router.password"), []byte(s.passwords["svc_router"]+"\n"), 0o600))
	})
	base := "https://" + f.server.Console().String()
	one, other := chromiumAt(t, base, "o1", "o1-password"), chromiumAt(t, base, "o2", "o2-password")
	f.plant(1)
	agents := f.org.Agents()
	thief := agents[0].ID
	who := f.server.Names.Person(thief)
	stolen := f.looks(thief, 8)
	for _, a := range agents[1:5] {
		f.looks(a.ID, 8)
	}
	j := &journey{f, t, one, other}
	j.reportsNameHim(who, base, stolen[0].ID, stolen[1].ID, stolen[2].ID, stolen[3].ID, stolen[4].ID, stolen[5].ID)
	bird := f.birds()[0]
	c := f.connect(thief)
	c.must("SET sallyport.purpose = 'ticket:" + f.lure("svc_router", thief, bird) + "'")
	c.one("SELECT email FROM support.customers WHERE id = " + string(bird.Subject))
	number := j.findingLeadsToCase(who, base, thief)
	if _, err := c.Exec(f.ctx, "SELECT 1"); err == nil {
		t.Error("who is locked works on")
	}
	j.packVerifies(base, number)
}

// journey is two officers, each before a browser of his own.
type journey struct {
	f          *fort
	t          *testing.T
	one, other context.Context //nolint:containedctx // chromedp's tabs are contexts
}

// open loads a page, and says what it shows.
func (j *journey) open(tab context.Context, page string) string { //nolint:revive // a tab
	j.t.Helper()
	fatal(j.t, chromedp.Do(tab, chromedp.Navigate(page)))
	text, err := chromedp.Run(tab, chromedp.Evaluate[string]("document.body.innerText"))
	fatal(j.t, err)
	return text
}

// reportsNameHim enters what customers told; the other one asks these customers, and the ranking comes to name somebody.
func (j *journey) reportsNameHim(who, base string, customers ...int64) {
	t := j.t
	t.Helper()
	if text := j.open(j.one, base+"/trace"); !strings.Contains(text, "Not enough yet") {
		t.Errorf("before anybody reported: %s", text)
	}
	var lines []string
	for _, c := range customers {
		lines = append(lines, fmt.Sprintf("%d,ticket+name,%s", c, time.Now().UTC().Format(time.RFC3339)))
	}
	fatal(t, chromedp.Do(j.one, chromedp.SetValue("textarea", strings.Join(lines, "\n"))))
	if text := goes(t, j.one, chromedp.Click("form[action='/trace/upload'] button")); !strings.Contains(text, "Not enough yet") {
		t.Errorf("what nobody asked the customers about names somebody: %s", text)
	}
	for range customers {
		j.open(j.other, base+"/trace")
		if text := goes(t, j.other, chromedp.Click("form.judge button[value=yes]")); !strings.Contains(text, "Noted what the customer said") {
			t.Fatal(text)
		}
	}
	within(t, 60*time.Second, "the reports name him, by his pseudonym", func() bool {
		return strings.Contains(j.open(j.one, base+"/trace"), "The reports name "+who)
	})
}

// findingLeadsToCase locks whom a finding is about, and opens its case.
func (j *journey) findingLeadsToCase(who, base string, thief sallyport.Staff) (number string) {
	t := j.t
	t.Helper()
	within(t, 60*time.Second, "a finding about him stands first, and has a case", func() bool {
		for _, x := range j.f.server.casing.book.All() {
			if x.Source == cases.FromFinding && len(x.People) == 1 && x.People[0] == thief {
				number = fmt.Sprint(x.Number)
			}
		}
		return number != "" && strings.Contains(j.open(j.one, base+"/findings"), who)
	})
	text := goes(t, j.one, chromedp.Click("//main//article[contains(., '"+who+"')]//h3/a"))
	if !strings.Contains(text, who) || strings.Contains(text, string(thief)) {
		t.Errorf("the finding is not about %s, or names him: %s", who, text)
	}
	fatal(t, chromedp.Do(j.one, chromedp.SendKeys("form[action$='/lock'] input", "it looks like a theft")))
	if text := goes(t, j.one, chromedp.Click("form[action$='/lock'] button")); !strings.Contains(text, "Locked") {
		t.Fatal(text)
	}
	if !j.f.server.State.Standing(thief).Locked {
		t.Error("he is not locked")
	}
	return number
}

// packVerifies has both agree on an evidence pack, fetches it by the page's own form, and gives it to the independent program.
func (j *journey) packVerifies(base, number string) {
	t := j.t
	t.Helper()
	j.open(j.one, base+"/cases/"+number)
	fatal(t, chromedp.Do(j.one, chromedp.SendKeys("form[action$='/export'] input[name=text]", "the prosecutor")))
	goes(t, j.one, chromedp.Click("form[action$='/export'] button"))
	j.open(j.other, base+"/requests")
	if text := goes(t, j.other, chromedp.Click("form[action^='/proposals/'][action$='/approve'] button")); !strings.Contains(text, "Approved") {
		t.Fatal(text)
	}
	j.open(j.one, base+"/cases/"+number)
	text, err := chromedp.Run(j.one, chromedp.Evaluate[string](`(async () => {
		const answer = await fetch(document.querySelector("form[action^='/cases/`+number+`/pack/']").action, {method: "POST"});
		const bytes = new Uint8Array(await answer.arrayBuffer());
		let text = "";
		for (const b of bytes) text += String.fromCharCode(b);
		return answer.status + " " + btoa(text);
	})()`, chromedp.EvalAwaitPromise))
	fatal(t, err)
	status, coded, _ := strings.Cut(text, " ")
	pack, err := base64.StdEncoding.DecodeString(coded)
	if status != "200" || err != nil {
		t.Fatalf("the pack: %s, %v", status, err)
	}
	name := filepath.Join(j.f.folder, "case.zip")
	fatal(t, os.WriteFile(name, pack, 0o600))
	key := j.f.server.ledger.Status().Key
	if out, err := runMainOf(t, "case", "verify", name, "--key", key); err != nil {
		t.Errorf("it does not verify: %v\n%s", err, out)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("there is no python3: the independent program is not asked")
		return
	}
	program := verifierOf(t, j.f.folder, packFiles(t, name))
	out, err := exec.CommandContext(t.Context(), python, program, "--pack", name, "--key", key).CombinedOutput() //nolint:gosec // our own program
	if err != nil || !strings.HasPrefix(string(out), "PROVEN") {
		t.Errorf("the independent program says %s (%v)", out, err)
	}
}
