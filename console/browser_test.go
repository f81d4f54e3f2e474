package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
)

// tab is one tab of a real Chromium.
type tab struct {
	t   *testing.T
	url string
	ctx context.Context

	mu   sync.Mutex // guards what follows
	said []string   // on its console: errors and warnings
}

// chromium finds the browser; where there is none the test is left out.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium on this machine, so nothing is tried in a browser; 'apt-get install chromium' (scripts/needs.sh) brings it")
	return ""
}

// browsers are those that tests share: to start one takes a second, and one is enough.
type browsers struct {
	t    *testing.T
	bins [2]context.Context // light and dark, once they were started
	wg   sync.WaitGroup
}

// start starts Chromium, light or dark. It ends with the test.
func (x *browsers) start(dark bool) context.Context {
	x.t.Helper()
	place := 0
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(x.t)), chromedp.NoSandbox, chromedp.IgnoreCertErrors)
	if dark {
		place = 1
		options = append(options, chromedp.Flag("blink-settings", "preferredColorScheme=0"))
	}
	if x.bins[place] == nil {
		limit, stop := context.WithTimeout(x.t.Context(), 15*time.Minute) // axe and pictures go through every page
		allocator, end := chromedp.NewExecAllocator(limit, options...)
		ctx, leave := chromedp.NewContext(allocator)
		if err := chromedp.Do(ctx); err != nil {
			x.t.Fatalf("start Chromium: %v", err)
		}
		x.bins[place] = ctx
		x.t.Cleanup(func() {
			leave()
			end()
			stop()
			x.wg.Wait()
		})
	}
	return x.bins[place]
}

// open opens a tab with cookies of its own.
func (x *browsers) open(t *testing.T, url string, dark bool, width int) *tab {
	t.Helper()
	ctx, leave := chromedp.NewContext(x.start(dark), chromedp.WithNewBrowserContext())
	t.Cleanup(leave)
	b := &tab{t: t, url: url, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), 900)); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	x.wg.Go(func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleWarning {
				b.mu.Lock()
				b.said = append(b.said, m.Text)
				b.mu.Unlock()
			}
		}
	})
	return b
}

// patience is how long a step in the browser may take.
const patience = 30 * time.Second

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v; on the page: %s", err, b.text())
	}
}

// goes does what leads to another page, and waits for it.
func (b *tab) goes(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, steps...); err != nil {
		b.t.Fatalf("%v; on the page: %s", err, b.text())
	}
}

func (b *tab) text() string {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *tab) shows(words ...string) {
	b.t.Helper()
	text := b.text()
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.t.Errorf("the browser does not show %q:\n%s", w, text)
		}
	}
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

func (b *tab) logIn(who, secret string) {
	b.t.Helper()
	b.open("/login")
	b.do(chromedp.SendKeys("input[name=name]", who), chromedp.SendKeys("input[name=password]", secret))
	b.goes(chromedp.Click("main button"))
}

// quiet ends the test where the console said something.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) > 0 {
		b.t.Errorf("the browser's console says: %s", strings.Join(b.said, "\n"))
	}
}

// TestBrowser tries the pages in a real Chromium.
func TestBrowser(t *testing.T) {
	x := &browsers{t: t}
	x.start(false)
	for name, try := range map[string]func(*testing.T, *browsers){
		"pages": browserPages, "request": browserRequest, "finding by keyboard": browserFindingByKeyboard, "live": browserLive, "data live": browserDataLive, "trace live": browserTraceLive, "axe": browserAxe, "customers": browserCustomers, "reports": browserReports, "passkeys": browserPasskeys, "evidence": browserEvidence, "provider": browserProvider, "proof": browserProof, "slider": browserSlider, "calls": browserCalls,
	} {
		t.Run(name, func(t *testing.T) { try(t, x) })
	}
}

// browserPages loads every page in Chromium, as wide as a telephone: nothing on the console, and nothing wider than the screen.
func browserPages(t *testing.T, x *browsers) {
	s := whole(t)
	list := append(s.everyPage(), "/calls", "/passkeys")
	b := x.open(t, s.web.URL, false, 360)
	b.byPassword("s050")
	for _, path := range list {
		if path == "/now/part" {
			continue
		}
		b.open(path)
		wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
		fatal(t, err)
		if wide > 360 {
			t.Errorf("%s is %d px wide", path, wide)
		}
	}
	b.quiet()
}

// axe is what looks for what keeps people from using a page (axe-core, MPL 2.0; make axe fetches it by npm).
const (
	axe     = "../bin/tools/axe-core-4.14.1.js"
	axeHash = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
)

// browserAxe has axe-core look at every page, in light and dark: nothing serious.
func browserAxe(t *testing.T, x *browsers) {
	if os.Getenv("SALLYPORT_AXE") == "" {
		t.Skip("SALLYPORT_AXE is not set: 'make axe' has axe-core look at each page, for a minute or two")
	}
	program, err := os.ReadFile(axe)
	fatal(t, err)
	if sum := sha256.Sum256(program); hex.EncodeToString(sum[:]) != axeHash {
		t.Fatalf("%s is not the file that was looked at", axe)
	}
	s := whole(t)
	list := append(s.everyPage(), "/calls", "/passkeys", "/cases/99")
	public, now, _, _, _ := newPublic(t)
	for _, dark := range []bool{false, true} {
		b := x.open(t, s.web.URL, dark, 360)
		b.slips("s050")
		b.accessible(string(program), "a wrong password")
		b.byPassword("s050")
		for _, path := range list {
			if path == "/now/part" {
				continue
			}
			b.open(path)
			b.accessible(string(program), path)
		}
		c := x.open(t, public.web.URL, dark, 360)
		c.states(now, func(state string) { c.accessible(string(program), state) })
	}
}

// slips types a wrong password.
func (b *tab) slips(who string) {
	b.t.Helper()
	b.open("/login")
	b.do(chromedp.SendKeys("input[name=name]", who), chromedp.SendKeys("input[name=password]", "wrong"))
	b.goes(chromedp.Click(withPassword))
}

// states opens each page for customers, and brings forms to each of their answers.
func (b *tab) states(code string, look func(state string)) {
	b.t.Helper()
	for _, path := range []string{"en/", "de/", "de/report", "en/contacts", "en/nowhere", "en/seen/x"} {
		b.open("/" + path)
		look(path)
	}
	for _, x := range []struct{ state, field, text, form string }{
		{"yes", "#code", code, "/en/check"}, {"no", "#code", "CS-4821-7730", "/en/check"}, {"ours", "#sender", "help@example.org", "/en/ours"}, {"not-ours", "#sender", strings.Repeat("x", 200) + ".test", "/en/ours"},
	} {
		b.open("/en/")
		b.do(chromedp.SendKeys(x.field, x.text))
		b.goes(chromedp.Click("form[action='" + x.form + "'] button"))
		look(x.state)
	}
	for state, day := range map[string]string{"slip": "03011980", "thanks": "03012026"} {
		b.open("/de/report")
		b.do(chromedp.SendKeys("#customer", "48211"), chromedp.SendKeys("#day", day))
		b.goes(chromedp.Click("main form button"))
		look(state)
	}
}

// accessible lets axe-core look at the page that is open, by the rules of WCAG 2.2 AA and best practice.
func (b *tab) accessible(program, path string) {
	b.t.Helper()
	type violation struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](program+"; true")); err != nil {
		b.t.Fatalf("load axe-core: %v", err)
	}
	list, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]violation]("axe.run().then(r => r.violations)", chromedp.EvalAwaitPromise))
	fatal(b.t, err)
	for _, v := range list {
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Errorf("%s: %s (%s): %s\n%v", path, v.ID, v.Impact, v.Help, v.Nodes)
		} else {
			b.t.Logf("%s: %s (%s): %s", path, v.ID, v.Impact, v.Help)
		}
	}
}

// browserRequest asks and approves on two telephones.
func browserRequest(t *testing.T, x *browsers) {
	s := newStage(t)
	b := x.open(t, s.web.URL, false, 360)
	b.logIn("s001", password)
	b.do(chromedp.SendKeys("input[name=customers]", "5"), chromedp.SendKeys("input[name=columns]", "support.customers.email"), chromedp.SendKeys("main input[name=reason]", "INC-311"))
	b.goes(chromedp.Click("form.form button"))
	b.shows("Your request is on record", "Asked for", "Needed otherwise", "2 of overseers")
	for _, officer := range []string{"s050", "s060"} {
		b.goes(chromedp.Click(".who button"))
		b.logIn(officer, password)
		b.open("/requests")
		b.goes(chromedp.Click("form[action$='/approve'] button"))
		b.shows("Approved, and on record")
	}
	b.shows("active")
	b.quiet()
	if list := s.orders.State().Grants(); len(list) != 1 || list[0].Status != control.GrantActive {
		t.Errorf("%+v", list)
	}
}

// browserFindingByKeyboard leads from a finding to a case and a lock, with a keyboard alone: every step is the next field or button of the page.
func browserFindingByKeyboard(t *testing.T, x *browsers) {
	s := newStage(t)
	id := s.found("s001")
	b := x.open(t, s.web.URL, false, 1440)
	b.open("/login")
	b.do(chromedp.KeyEvent("s050"), chromedp.KeyEvent("\t"), chromedp.KeyEvent(password)) // the first field has the focus
	b.goes(chromedp.KeyEvent("\r"))
	b.tabTo("a[href='/findings']")
	b.goes(chromedp.KeyEvent("\r"))
	b.tabTo("a[href='/findings/" + id + "']")
	b.goes(chromedp.KeyEvent("\r"))
	b.tabTo("form[action$='/case'] input")
	b.do(chromedp.KeyEvent("looks like a theft"))
	b.goes(chromedp.KeyEvent("\r"))
	b.shows("The case is open", "looks like a theft")
	b.open("/findings/" + id)
	b.tabTo("form[action$='/lock'] input")
	b.do(chromedp.KeyEvent("theft"), chromedp.KeyEvent("\t"))
	b.goes(chromedp.KeyEvent("\r"))
	b.shows("Locked")
	b.quiet()
	if !s.orders.State().Standing("s001").Locked || s.count(sallyport.CaseKind) == 0 {
		t.Error("nothing was done")
	}
}

// tabTo presses the tabulator until something has the focus, and sees that focus can be seen on the way.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 80 {
		b.do(chromedp.KeyEvent("\t"))
		at, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](fmt.Sprintf("document.activeElement.matches(%q)", selector)))
		fatal(b.t, err)
		seen, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== 'none'"))
		fatal(b.t, err)
		if !seen {
			b.t.Errorf("on the way to %s the focus cannot be seen", selector)
		}
		if at {
			return
		}
	}
	b.t.Fatalf("the keyboard does not get to %s", selector)
}

// browserLive sees the open page follow what is revealed, without being loaded anew.
func browserLive(t *testing.T, x *browsers) {
	s := newStage(t)
	b := x.open(t, s.web.URL, false, 1440)
	b.logIn("s050", password)
	b.shows("Nothing lately")
	before := s.count(sallyport.Queried)
	s.revealed("s001", "48211")
	b.do(chromedp.WaitVisible("nav a[href='/now']"), chromedp.WaitVisible("#live table td code"))
	b.shows("support.customers.email")
	b.quiet()
	if n := s.count(sallyport.Queried); n != before {
		t.Errorf("an open page makes %d entries", n-before)
	}
}

// browserCustomers has a customer check a call on a telephone, and tell of a strange one.
func browserCustomers(t *testing.T, x *browsers) {
	s, now, _, _, reports := newPublic(t)
	b := x.open(t, s.web.URL, false, 360)
	b.open("/en/")
	b.do(chromedp.SendKeys("#code", strings.ToLower(now)))
	b.goes(chromedp.Click("form[action='/en/check'] button"))
	b.shows("Yes, this is our call", "billing", "an invoice")
	b.open("/de/")
	b.do(chromedp.SendKeys("#code", "CS-4821-7730"))
	b.goes(chromedp.Click("form[action='/de/check'] button"))
	b.shows("Von diesem Anruf wissen wir nichts", "Legen Sie auf")
	b.goes(chromedp.Click("main a.button"))
	b.do(chromedp.SendKeys("#customer", "48211"), chromedp.SendKeys("#day", "03012026"), chromedp.Click("input[value=ticket]"))
	b.goes(chromedp.Click("main form button"))
	b.shows("Danke", "Bank")
	b.quiet()
	if len(*reports) != 1 || (*reports)[0].Customer != "48211" {
		t.Errorf("%+v", *reports)
	}
}

// browserReports enters a report, which another person confirms.
func browserReports(t *testing.T, x *browsers) {
	s := newStage(t)
	b := x.open(t, s.web.URL, false, 1440)
	b.logIn("s050", password)
	b.open("/trace")
	b.shows("Not enough yet")
	b.do(chromedp.SendKeys("textarea", "48211,ticket+name"))
	b.goes(chromedp.Click("form[action='/trace/upload'] button"))
	b.shows("The report is on record", "ticket, name")
	other := x.open(t, s.web.URL, false, 1440)
	other.logIn("s060", password)
	other.open("/trace")
	other.goes(chromedp.Click("form.judge button[value=yes]"))
	other.shows("Noted what the customer said")
	b.quiet()
	other.quiet()
	if s.count(sallyport.ReportJudged) != 1 {
		t.Error("not judged")
	}
}

// TestScreenshots renders each page in light and dark at 360 and 1440 px into a folder (make screenshots). The console may be another one:
// SALLYPORT_CONSOLE=https://… and SALLYPORT_CONSOLE_AS=ID:PASSWORD.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("SALLYPORT_SCREENSHOTS")
	if folder == "" {
		t.Skip("SALLYPORT_SCREENSHOTS names no folder (make screenshots)")
	}
	x := &browsers{t: t}
	fatal(t, os.MkdirAll(folder, 0o755))
	at, who, secret := os.Getenv("SALLYPORT_CONSOLE"), "s050", password
	list := strings.Fields(os.Getenv("SALLYPORT_CONSOLE_PAGES"))
	if at == "" {
		s := whole(t, func(c *api.Config) { c.Named = func(sallyport.Staff) string { return "Sarah Cruz" } })
		at, list = s.web.URL, append(s.everyPage(), "/calls", "/passkeys", "/cases/99")
	} else {
		who, secret, _ = strings.Cut(os.Getenv("SALLYPORT_CONSOLE_AS"), ":")
	}
	public, now, _, _, _ := newPublicOf(t, "Ada")
	for _, dark := range []bool{false, true} {
		for _, width := range []int{360, 1440} {
			b := x.open(t, at, dark, width)
			b.slips(who)
			b.picture(folder, "login", dark, width)
			b.open("/login")
			b.do(chromedp.SendKeys("input[name=name]", who), chromedp.SendKeys("input[name=password]", secret))
			b.goes(chromedp.Click(withPassword))
			for _, path := range list {
				if path != "/now/part" {
					b.open(path)
					b.picture(folder, path, dark, width)
				}
			}
			c := x.open(t, public.web.URL, dark, width)
			c.states(now, func(state string) { c.picture(folder, "customers/"+state, dark, width) })
		}
	}
}

// picture renders the page that is open into a file.
func (b *tab) picture(folder, path string, dark bool, width int) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	fatal(b.t, err)
	name := strings.Trim(strings.NewReplacer("/", "-").Replace(path), "-")
	shade := map[bool]string{false: "light", true: "dark"}[dark]
	fatal(b.t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%s-%d.png", name, shade, width)), picture, 0o600))
}
