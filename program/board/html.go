package board

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
)

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Insider threat programme, {{.Month}}</title>
<style>
@page { size: A4; margin: 14mm; }
body { font: 13px/1.4 system-ui, sans-serif; max-width: 800px; margin: 1.5em auto; padding: 0 1em; color: #222; background: #fff; }
h1 { font-size: 1.4em; margin: 0; } h2 { font-size: 1.05em; margin: 1.2em 0 .3em; } p { margin: .3em 0; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .25em .6em .25em 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; } .none { color: #595959; } small { color: #595959; font-weight: 400; } svg { display: block; }
tr { break-inside: avoid; }
</style>
</head>
<body>
<h1>Insider threat programme, {{.Month}}</h1>
<p>{{if .Over}}The whole month.{{else}}Not over: until {{.Until.UTC.Format "2006-01-02 15:04"}} UTC.{{end}} Every figure is counted from the record {{.Record}}, {{.Entries}} entries; lines are the last twelve months, gaps are months without a figure.</p>
{{with .Asks}}<h2>To ask about</h2>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>{{end}}
<table>
<thead><tr><th scope="col">Figure</th><th scope="col">This month</th><th scope="col">The month before</th><th scope="col">Twelve months</th></tr></thead>
<tbody>
{{range .Figures}}<tr><th scope="row">{{.Title}}<br><small>{{.Says}}</small></th>
<td class="n">{{if .Value}}{{number .Value}} {{.Unit}}{{else}}<span class="none">not measured</span>{{end}}</td>
<td class="n none">{{.Before}}</td>
<td>{{line .}}</td></tr>
{{end}}</tbody>
</table>
<h2>Drills</h2>
{{if .Drills}}{{scores .Drills}}<table><tbody>{{range .Drills}}<tr><td>{{.At.UTC.Format "2006-01-02"}}</td><td>{{.Drill}}</td><td class="n">{{.Score}} of 100</td><td>{{.Lost}} of {{.Of}} customers lost</td></tr>{{end}}</tbody></table>
{{else}}<p class="none">Not measured: no drill is on record in twelve months.</p>{{end}}
<h2>Written policies</h2>
{{with .Drift}}<p>When this page was made: documents {{.Documents}}; paragraphs that nothing enforces {{.Unenforced}}, that the record contradicts {{.Contradicted}}; policies without a paragraph {{.Unwritten}}; that do not name each other {{.Broken}}; documents that not everybody has acknowledged {{.Unread}}.</p>
{{else}}<p class="none">Not measured: no document was given (--document).</p>{{end}}
</body>
</html>
`

// WriteText writes the page for a terminal, a line for each figure, and what the board should ask about.
func (p *Page) WriteText(w io.Writer) error {
	for _, f := range p.Figures {
		value := "not measured"
		if f.Value != nil {
			value = fmt.Sprintf("%.4g %s", *f.Value, f.Unit)
		}
		if _, err := fmt.Fprintf(w, "%s: %s (%s)\n", f.Title, value, f.Says); err != nil {
			return fmt.Errorf("write the board's page: %w", err)
		}
	}
	for _, ask := range p.Asks() {
		if _, err := fmt.Fprintf(w, "To ask about: %s\n", ask); err != nil {
			return fmt.Errorf("write the board's page: %w", err)
		}
	}
	return nil
}

// WriteHTML writes the page, to be printed, without scripts.
func (p *Page) WriteHTML(w io.Writer) error {
	t, err := template.New("board").Funcs(template.FuncMap{"number": number, "line": line, "scores": scores}).Parse(page)
	if err == nil {
		err = t.Execute(w, p)
	}
	if err != nil {
		return fmt.Errorf("write the board's page: %w", err)
	}
	return nil
}

// Text is the figure of the month with its unit.
func (f *Figure) Text() string {
	if f.Value == nil {
		return "not measured"
	}
	return strings.TrimSpace(number(f.Value) + " " + f.Unit)
}

// number is a figure with as many digits as it deserves.
func number(v *float64) string {
	switch x := math.Abs(*v); {
	case x == math.Trunc(x):
		return strconv.FormatFloat(*v, 'f', 0, 64)
	case x >= 100:
		return strconv.FormatFloat(*v, 'f', 0, 64)
	case x >= 1:
		return strconv.FormatFloat(*v, 'f', 1, 64)
	}
	return strconv.FormatFloat(*v, 'g', 2, 64)
}

const (
	wide = 150.0
	high = 30.0
)

// line is a figure over its months: from 0, with gaps where nothing was measured.
func line(f Figure) template.HTML {
	top := 0.0
	for _, p := range f.Past {
		if p.Value != nil {
			top = max(top, *p.Value)
		}
	}
	top = cmp.Or(top, 1)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%g" height="%g" viewBox="0 0 %g %g" role="img"><title>%s: %s</title>`, wide, high, wide, high, template.HTMLEscapeString(f.Title), template.HTMLEscapeString(f.Told()))
	path, pen := "", "M"
	for i, p := range f.Past {
		if p.Value == nil {
			pen = "M"
			continue
		}
		x, y := 4+(wide-8)*float64(i)/float64(max(len(f.Past)-1, 1)), high-4-(high-8)**p.Value/top
		path += fmt.Sprintf("%s%.1f %.1f", pen, x, y)
		pen = "L"
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2" fill="#1f4e79"/>`, x, y)
	}
	if path != "" {
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#1f4e79" stroke-width="1.5"/>`, path)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers, and texts that were escaped
}

// Told are the months of which there is a figure, for who does not see the line.
func (f *Figure) Told() string {
	var list []string
	for _, p := range f.Past {
		if p.Value != nil {
			list = append(list, p.Month+" "+number(p.Value))
		}
	}
	if len(list) == 0 {
		return "not measured"
	}
	return strings.Join(list, ", ")
}

// scores are bars, one a drill.
func scores(list []Score) template.HTML {
	const bar, tall = 16, 60
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%d" height="%d" viewBox="0 0 %d %d" role="img"><title>Scores of drills, the oldest first</title>`, bar*len(list)+8, tall+4, bar*len(list)+8, tall+4)
	for i, s := range list {
		h := float64(tall) * float64(s.Score) / 100
		fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="#1f4e79"/>`, 4+bar*i, float64(tall)+2-h, bar-4, h)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers
}
