package drill

import (
	"fmt"
	"html/template"
	"io"
	"strconv"
)

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Drill {{.Drill}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 800px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff; }
h1 { font-size: 1.5em; } table { border-collapse: collapse; } td, th { padding: .15em 1em .15em 0; text-align: left; vertical-align: top; }
td.n { text-align: right; } .score { font-size: 2.5em; } .warn { background: #fff3cd; padding: .5em 1em; }
</style>
</head>
<body>
<h1>Drill {{.Drill}}: {{.Story}}</h1>
<p class="score">{{.Score}} of 100</p>
{{if not .Acts}}<p class="warn">Sallyport only observes: what it found stands below, and nobody was stopped by it.</p>{{end}}
{{if .Trouble}}<p class="warn">It did not go to its end: {{.Trouble}}</p>{{end}}
<table>
<tr><td>customers who could be taken</td><td class="n">{{.Customers}}</td></tr>
<tr><td>asked for</td><td class="n">{{.Asked}}</td></tr>
<tr><td>would have been lost</td><td class="n">{{.Lost}}</td></tr>
<tr><td>taken as tokens, which nobody can use</td><td class="n">{{.Tokens}}</td></tr>
<tr><td>statements refused</td><td class="n">{{.Refused}}</td></tr>
<tr><td>time to detect</td><td class="n">{{seconds .Detect}}</td></tr>
<tr><td>time to contain</td><td class="n">{{seconds .Contain}}</td></tr>
<tr><td>time to name, from the first mail</td><td class="n">{{seconds .Name}}{{if .Named}} ({{.Named}}){{end}}</td></tr>
</table>
<h2>What the record says</h2>
<table>{{range .Marks}}<tr><td>{{.Time.UTC.Format "15:04:05.000"}}</td><td>{{.What}}</td></tr>{{else}}<tr><td>nothing about the thief</td></tr>{{end}}</table>
<p>Played by {{range $i, $a := .Accounts}}{{if $i}}, {{end}}{{$a}}{{end}} from {{.Began.UTC.Format "2006-01-02 15:04:05"}} UTC on, on customers who do not exist; drill {{.ID}}. The score is half for what was kept, a quarter for detection and a quarter for containment, each the less the later.</p>
</body>
</html>
`

// WriteHTML writes a report as one page without scripts.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("drill").Funcs(template.FuncMap{"seconds": func(s *float64) string {
		if s == nil {
			return "not in time"
		}
		return strconv.FormatFloat(*s, 'f', 2, 64) + " s"
	}}).Parse(page)
	if err == nil {
		err = t.Execute(w, r)
	}
	if err != nil {
		return fmt.Errorf("write the report of a drill: %w", err)
	}
	return nil
}
