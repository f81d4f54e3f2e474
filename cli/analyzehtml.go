package cli

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"os"
	"strings"
	"time"

	"sallyport/detect"
	"sallyport/serve"
)

//go:embed analyze.html
var analyzePage string

// pageFinding is one person of the report.
type pageFinding struct {
	detect.Finding
	Who       string
	Raised    time.Time
	Sentences [5]string
	Odds      string
	Chart     template.HTML
	Bars      []pageBar
}

// pageBar is one weight of evidence, drawn from the middle.
type pageBar struct {
	Text   string
	Log10  float64
	X, Len float64
	For    bool
}

// writeHTML writes the report: one page, no script, nothing loaded from elsewhere.
func (a *analysis) writeHTML(name string) error {
	page, err := template.New("report").Parse(analyzePage)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	list := make([]pageFinding, 0, len(a.Findings))
	for i := range a.Findings {
		f := &a.Findings[i]
		who := serve.Printable(a.Names[f.Staff[0]])
		list = append(list, pageFinding{
			Finding: *f, Who: who, Raised: a.Alarms[f.ID], Sentences: detect.Explain(f, who), Odds: oddsOf(f.Log10Odds),
			Chart: chart(a.detector.Days(f.Staff[0]), f, a.Alarms[f.ID]), Bars: evidenceBars(f.Evidence),
		})
	}
	var b bytes.Buffer
	if err := page.Execute(&b, map[string]any{"Summary": a.Summary, "Findings": list, "Attack": detect.AttackVersion}); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func evidenceBars(evidence []detect.Evidence) []pageBar {
	const middle, scale, most = 120., 12., 10.
	list := make([]pageBar, 0, len(evidence))
	for _, e := range evidence {
		length := min(math.Abs(e.Log10), most) * scale
		bar := pageBar{Text: e.Text, Log10: e.Log10, X: middle, Len: length, For: e.Log10 >= 0}
		if !bar.For {
			bar.X = middle - length
		}
		list = append(list, bar)
	}
	return list
}

// chart draws customers without a reason by day as bars, what was expected as a line, the interval of the start, and the alarm. It consists
// of numbers only, so nothing of it can be hostile.
func chart(days []detect.Day, f *detect.Finding, raised time.Time) template.HTML {
	if len(days) == 0 {
		return ""
	}
	const width, height = 900., 140.
	from, to := days[0].Day, days[len(days)-1].Day.Add(24*time.Hour)
	x := func(t time.Time) float64 {
		return min(width, max(0, width*t.Sub(from).Hours()/max(1, to.Sub(from).Hours())))
	}
	most := 4.
	for _, d := range days {
		most = max(most, d.Count, d.Expected)
	}
	y := func(n float64) float64 { return height - height*math.Log1p(n)/math.Log1p(most) } // thefts are much larger than days
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 -12 %g %g" role="img"><title>customers without a reason, by day, on a logarithmic scale up to %.0f</title>`, width, height+30, most)
	fmt.Fprintf(&b, `<rect class="since" x="%.1f" y="0" width="%.1f" height="%g"/>`, x(f.SinceLow), max(2, x(f.SinceHigh)-x(f.SinceLow)), height)
	one := max(1, width/max(1, to.Sub(from).Hours()/24)-1)
	for _, d := range days {
		fmt.Fprintf(&b, `<rect class="count" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x(d.Day), y(d.Count), one, height-y(d.Count))
	}
	b.WriteString(`<polyline class="expected" points="`)
	for _, d := range days {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(d.Day)+one/2, y(d.Expected))
	}
	fmt.Fprintf(&b, `"/><line class="alarm" x1="%.1f" x2="%.1f" y1="0" y2="%g"/>`, x(raised), x(raised), height)
	fmt.Fprintf(&b, `<text x="0" y="%g">%s</text><text x="%g" y="%g" text-anchor="end">%s</text><text x="%.1f" y="-2" text-anchor="middle">alarm</text></svg>`,
		height+14, from.Format(time.DateOnly), width, height+14, to.Format(time.DateOnly), x(raised))
	return template.HTML(b.String()) //nolint:gosec // numbers and dates only
}

func pow10(x float64) float64 { return math.Pow(10, x) }
