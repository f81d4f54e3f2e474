package console

import (
	"context"
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

// open starts a browser of its own for a test.
func open(t *testing.T, url string, dark bool, width int) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.IgnoreCertErrors, chromedp.WindowSize(width, 900))
	if dark {
		options = append(options, chromedp.Flag("blink-settings", "preferredColorScheme=0"))
	}
	limit, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	allocator, end := chromedp.NewExecAllocator(limit, options...)
	ctx, leave := chromedp.NewContext(allocator)
	b := &tab{t: t, url: url, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), 900)); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
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
	t.Cleanup(func() {
		leave()
		end()
		stop()
		wg.Wait()
	})
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%v; on the page: %s", err, b.text())
	}
}

// goes does what leads to another page, and waits for it.
func (b *tab) goes(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, steps...); err != nil {
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

// TestBrowserPages loads every page in Chromium, as wide as a telephone: nothing on the console, and nothing wider than the screen.
func TestBrowserPages(t *testing.T) {
	chromium(t)
	s := newStage(t)
	list := s.everyPage()
	b := open(t, s.web.URL, false, 360)
	b.logIn("s050", password)
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

// TestBrowserRequest asks and approves on two telephones.
func TestBrowserRequest(t *testing.T) {
	chromium(t)
	s := newStage(t)
	b := open(t, s.web.URL, false, 360)
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

// TestBrowserFindingByKeyboard leads from a finding to a case and a lock, with a keyboard alone: every step is the next field or button of the page.
func TestBrowserFindingByKeyboard(t *testing.T) {
	chromium(t)
	s := newStage(t)
	s.found("s001")
	b := open(t, s.web.URL, false, 1440)
	b.open("/login")
	b.do(chromedp.KeyEvent("s050"), chromedp.KeyEvent("\t"), chromedp.KeyEvent(password)) // the first field has the focus
	b.goes(chromedp.KeyEvent("\r"))
	b.tabTo("a[href='/findings']")
	b.goes(chromedp.KeyEvent("\r"))
	b.tabTo("a[href='/findings/s001-1']")
	b.goes(chromedp.KeyEvent("\r"))
	b.tabTo("form[action$='/case'] input")
	b.do(chromedp.KeyEvent("looks like a theft"))
	b.goes(chromedp.KeyEvent("\r"))
	b.shows("The case is open", "looks like a theft")
	b.open("/findings/s001-1")
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

// TestBrowserLive sees the open page follow what is revealed, without being loaded anew.
func TestBrowserLive(t *testing.T) {
	chromium(t)
	s := newStage(t)
	b := open(t, s.web.URL, false, 1440)
	b.logIn("s050", password)
	b.shows("Nothing lately")
	before := s.count(sallyport.Queried)
	s.revealed("s001", "48211")
	b.do(chromedp.WaitVisible("a[href='/now']"), chromedp.WaitVisible("#live table td code"))
	b.shows("support.customers.email")
	b.quiet()
	if n := s.count(sallyport.Queried); n != before {
		t.Errorf("an open page makes %d entries", n-before)
	}
}

// TestScreenshots renders each page in light and dark at 360 and 1440 px into a folder (make screenshots). The console may be another one:
// SALLYPORT_CONSOLE=https://… and SALLYPORT_CONSOLE_AS=ID:PASSWORD.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("SALLYPORT_SCREENSHOTS")
	if folder == "" {
		t.Skip("SALLYPORT_SCREENSHOTS names no folder (make screenshots)")
	}
	chromium(t)
	fatal(t, os.MkdirAll(folder, 0o755))
	at, who, secret := os.Getenv("SALLYPORT_CONSOLE"), "s050", password
	list := strings.Fields(os.Getenv("SALLYPORT_CONSOLE_PAGES"))
	if at == "" {
		s := newStage(t)
		at, list = s.web.URL, s.everyPage()
	} else {
		who, secret, _ = strings.Cut(os.Getenv("SALLYPORT_CONSOLE_AS"), ":")
	}
	for _, dark := range []bool{false, true} {
		for _, width := range []int{360, 1440} {
			b := open(t, at, dark, width)
			b.logIn(who, secret)
			for _, path := range list {
				if path == "/now/part" {
					continue
				}
				b.open(path)
				picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				fatal(t, err)
				name := strings.Trim(strings.NewReplacer("/", "-").Replace(path), "-")
				shade := map[bool]string{false: "light", true: "dark"}[dark]
				fatal(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%s-%d.png", name, shade, width)), picture, 0o600))
			}
		}
	}
}
