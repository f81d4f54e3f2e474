package console

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserProgramme loads each page of the programme in Chromium at the width of a telephone, and makes its report by the page's own button: nothing on
// the console, nothing wider than the screen, and with SALLYPORT_AXE nothing serious by axe-core, in light and dark. With SALLYPORT_SCREENSHOTS it takes
// pictures at 360 and 1440 px.
func TestBrowserProgramme(t *testing.T) {
	x := &browsers{t: t}
	x.start(false)
	s := newStage(t)
	s.revealed("s001", "48211")
	file := s.committed()
	s.drawn(file)
	draw := filepath.Join(t.TempDir(), "plan.draw.json")
	fatal(t, os.WriteFile(draw, file, 0o600))
	program := axeProgram(t)
	for _, dark := range []bool{false, true} {
		for _, width := range []int{360, 1440} {
			if (dark || width != 360) && program == "" && os.Getenv("SALLYPORT_SCREENSHOTS") == "" {
				continue // what is looked for besides is the same
			}
			b := x.open(t, s.web.URL, dark, width)
			b.logIn("s050", password)
			look := func(path string) { b.looked(program, path, dark, width) }
			for _, path := range programmePages() {
				b.open(path)
				look(path)
			}
			for _, r := range reports() {
				b.open("/programme/" + r.Name)
				b.fill(s, r.Name)
				b.goes(chromedp.Click("form.form button"))
				_, shown := s.askedFor(r.Name)
				b.shows(shown)
				look("/programme/" + r.Name + "/made")
				if r.Name == "board" || r.Name == "firm" {
					b.printed(r.Name)
				}
			}
			b.open("/programme/rotation")
			b.do(chromedp.SetUploadFiles("input[type=file]", []string{draw}))
			b.goes(chromedp.Click("form.form button"))
			b.shows("It comes out as the file says")
			look("/programme/rotation/verified")
			b.quiet()
		}
	}
}

// fill fills the form of a report.
func (b *tab) fill(s *stage, report string) {
	b.t.Helper()
	fields, _ := s.askedFor(report)
	for i := 0; i < len(fields); i += 2 {
		b.do(chromedp.SetValue("form.form [name="+fields[i]+"]", fields[i+1]))
	}
}

// printed holds the page that is open to one sheet of A4.
func (b *tab) printed(name string) {
	b.t.Helper()
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4), chromedp.PDFPreferCSSPageSize()))
	fatal(b.t, err)
	if n := len(regexp.MustCompile(`/Type\s*/Page[^s]`).FindAll(pdf, -1)); n != 1 {
		b.t.Errorf("%s takes %d pages", name, n)
	}
	if folder := os.Getenv("SALLYPORT_SCREENSHOTS"); folder != "" {
		fatal(b.t, os.WriteFile(filepath.Join(folder, "programme-"+name+".pdf"), pdf, 0o600))
	}
}

// looked holds the page that is open to its width and, where it was asked for, to axe-core, and takes its picture.
func (b *tab) looked(program, path string, dark bool, width int) {
	b.t.Helper()
	wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
	fatal(b.t, err)
	if wide > int64(width) {
		b.t.Errorf("%s is %d px wide, of %d", path, wide, width)
	}
	if program != "" {
		b.accessible(program, path)
	}
	if folder := os.Getenv("SALLYPORT_SCREENSHOTS"); folder != "" {
		fatal(b.t, os.MkdirAll(folder, 0o755))
		b.picture(folder, path, dark, width)
	}
}

// axeProgram is axe-core, where SALLYPORT_AXE asks for it.
func axeProgram(t *testing.T) string {
	t.Helper()
	if os.Getenv("SALLYPORT_AXE") == "" {
		return ""
	}
	program, err := os.ReadFile(axe)
	fatal(t, err)
	if sum := sha256.Sum256(program); hex.EncodeToString(sum[:]) != axeHash {
		t.Fatalf("%s is not the file that was looked at", axe)
	}
	return string(program)
}
