package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/cases"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) caseAwareCommand() *cobra.Command {
	var q api.CaseRequest
	var at string
	cmd := &cobra.Command{
		Use:     "aware CASE",
		Short:   "Say when the company learned of it, and where customers concerned live: deadlines count from there",
		Example: "  sallyport case aware 3 --at 2026-03-02T10:30:00+01:00 --country DE,AT --as s051",
		Args:    exactly(1, "CASE --at TIME --as ID"),
	}
	cmd.Flags().StringVar(&at, "at", "", "the `TIME` (RFC 3339)")
	cmd.Flags().StringSliceVar(&q.Countries, "country", nil, "`COUNTRY` in which customers concerned live, as blast counts them (default: all laws apply)")
	cmd.Flags().StringVar(&q.Text, "reason", "", "how, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, _ *controlFlags) error {
		var err error
		if q.At, err = time.Parse(time.RFC3339, at); err != nil {
			return config.Usagef("--at %q is no time; expected RFC 3339, such as 2026-03-02T10:30:00+01:00", at)
		}
		if _, err := c.StepCase(cmd.Context(), args[0], cases.DoAware, q); err != nil {
			return err
		}
		return printLine(m.Stdout, "On record. sallyport case deadlines %s", args[0])
	})
}

func (m *Main) caseDeadlinesCommand() *cobra.Command {
	var rules string
	cmd := &cobra.Command{
		Use:   "deadlines CASE",
		Short: "List what the law asks for by when, of a case",
		Long: `From the time at which the company learned of it (case aware), by the laws of the countries in which customers concerned live. The program's own list is data and no legal advice:
--rules FILE takes another one. Exit status 1 where a deadline has passed that nobody met.`,
		Example: "  sallyport case deadlines 3 --as s051\n  sallyport case deadlines 3 --rules ours.yaml --as s051 --json",
		Args:    exactly(1, "CASE --as ID"),
	}
	cmd.Flags().StringVar(&rules, "rules", "", "YAML `FILE` of deadlines (default: the program's own)")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		list, err := readRules(rules)
		if err != nil {
			return err
		}
		x, err := c.Case(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		due, now, late := cases.Deadlines(list, x.Aware, x.Countries, x.Met), time.Now(), false
		for i := range due {
			late = late || due[i].Late(now)
		}
		if f.json {
			err = printJSON(m.Stdout, map[string]any{"aware": x.Aware, "countries": x.Countries, "deadlines": due})
		} else {
			err = m.printDeadlines(due, x.Aware, now)
		}
		if err == nil && late {
			return ErrFound
		}
		return err
	})
}

func readRules(file string) ([]cases.Rule, error) {
	text := cases.OwnRules()
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil { //nolint:gosec // the operator names it
			return nil, fmt.Errorf("read deadlines: %w", err)
		}
	}
	list, err := cases.ParseRules(text)
	if err != nil {
		return nil, &config.UsageError{Err: err}
	}
	return list, nil
}

func (m *Main) printDeadlines(due []cases.Due, aware, now time.Time) error {
	if aware.IsZero() {
		fmt.Fprintln(m.Stdout, "Nobody has said yet when the company learned of it (sallyport case aware): there are no dates.")
	}
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DEADLINE\tDUE\tLEFT\tTO\tWHAT\tLAW\tIF")
	for _, d := range due {
		at, left := "no fixed time", ""
		if !d.At.IsZero() {
			at, left = d.At.Format(time.RFC3339), d.At.Sub(now).Round(time.Minute).String()
		}
		switch {
		case !d.Met.IsZero():
			left = "met " + d.Met.Format(time.RFC3339)
		case d.Late(now):
			left = "PASSED"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, at, left, d.To, d.What, d.Law+", "+d.Article, d.If)
	}
	return table.Flush()
}

func (m *Main) caseNoticeCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "notice CASE",
		Short:   "Draft the notice to a regulator, with the figures of the record",
		Long:    "Prints a draft to be read by a lawyer. --template takes a text of one's own (Go text/template); docs/cases.md names its figures.",
		Example: "  sallyport case notice 3 --as s051 > notice.txt\n  sallyport case notice 3 --template ours.txt --as s051",
		Args:    exactly(1, "CASE --as ID"),
	}
	cmd.Flags().StringVar(&file, "template", "", "`FILE` with a text of one's own")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		own, err := readTemplate(file)
		if err != nil {
			return err
		}
		x, err := c.Case(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		text, err := c.CaseFigures(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var figures serve.FiguresLine
		if err := json.Unmarshal(text, &figures); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		n := noticeOf(&x, &figures, time.Now())
		if f.json {
			return printJSON(m.Stdout, n)
		}
		draft, err := cases.Draft("regulator", own, n)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(m.Stdout, draft)
		return err
	})
}

func readTemplate(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("read the template: %w", err)
	}
	return string(b), nil
}

// noticeOf are the figures of a notice: of several people, customers may be counted twice, and the limits say so.
func noticeOf(x *api.Case, figures *serve.FiguresLine, now time.Time) cases.Notice {
	n := cases.Notice{Case: x.Number, Aware: "[say when: sallyport case aware]", Now: now.UTC().Format(time.RFC3339), Since: "[unknown]", SinceLow: "[unknown]", SinceHigh: "[unknown]", Reports: figures.Reports, Record: figures.Record}
	if !x.Aware.IsZero() {
		n.Aware = x.Aware.UTC().Format(time.RFC3339)
	}
	for _, note := range x.Notes {
		if note.Do == cases.DoState && strings.HasPrefix(note.Text, cases.Contained) {
			n.Contained = note.At.UTC().Format(time.RFC3339)
		}
	}
	fields, countries := map[string]int{}, map[string]cases.Figure{}
	for i, p := range figures.People {
		if i == 0 {
			n.First, n.Untouched = p.Entries[0], append(slices.Clone(p.Untouched.Columns), p.Untouched.Segments...)
		} else {
			n.Untouched = nil // what one did not touch says nothing of the other
		}
		if !p.Since.IsZero() {
			n.Since, n.SinceLow, n.SinceHigh = p.Since.UTC().Format(time.RFC3339), p.SinceLow.UTC().Format(time.RFC3339), p.SinceHigh.UTC().Format(time.RFC3339)
		}
		n.Last = max(n.Last, p.Entries[1])
		n.Certain, n.Likely, n.Possible = n.Certain+p.Customers.Certain, n.Likely+p.Customers.Likely, n.Possible+p.Customers.Possible
		for name, count := range p.Fields {
			fields[name] += count
		}
		for name, c := range p.Countries {
			f := countries[name]
			countries[name] = cases.Figure{Name: name, Certain: f.Certain + c.Certain, Likely: f.Likely + c.Likely, Possible: f.Possible + c.Possible}
		}
		n.Limits = append(n.Limits, p.Limits...)
	}
	if len(figures.People) > 1 {
		n.Limits = append(n.Limits, "customers whom several of the people involved were shown are counted for each of them")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		n.Fields = append(n.Fields, cases.Figure{Name: name, Customers: fields[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(countries)) {
		n.Countries = append(n.Countries, countries[name])
	}
	return n
}

func (m *Main) caseLettersCommand() *cobra.Command {
	var file, proposal, form string
	cmd := &cobra.Command{
		Use:   "letters CASE",
		Short: "Draft the letters to customers of an approved list, as CSV or JSON: sending is the company's own system's",
		Long: `One row a customer of the list that two people agreed on (blast propose-list): his id, country, what it is about, and the letter. It warns of scam calls and says how to verify one. Addresses
are not in it. --template takes a text of one's own.`,
		Example: "  sallyport case letters 3 --list k3x7q2mzpa --format csv --as s051 > letters.csv",
		Args:    exactly(1, "CASE --list PROPOSAL --as ID"),
	}
	cmd.Flags().StringVar(&file, "template", "", "`FILE` with a text of one's own")
	cmd.Flags().StringVar(&proposal, "list", "", "`PROPOSAL` of the list")
	cmd.Flags().StringVar(&form, "format", "csv", "csv or json")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if proposal == "" || form != "csv" && form != "json" {
			return config.Usagef("expected --list PROPOSAL (sallyport blast propose-list), and --format csv or json")
		}
		own, err := readTemplate(file)
		if err != nil {
			return err
		}
		x, err := c.Case(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		text, err := c.List(cmd.Context(), proposal)
		if err != nil {
			return err
		}
		var line serve.RadiusLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return m.writeLetters(x.Number, line.List, own, f.json || form == "json")
	})
}

// letterLine is one letter.
type letterLine struct {
	Customer  string `json:"customer"`
	Country   string `json:"country"`
	Certainty string `json:"certainty"`
	What      string `json:"what"`
	Letter    string `json:"letter"`
}

func (m *Main) writeLetters(n uint64, list []serve.ExposedLine, own string, asJSON bool) error {
	table := csv.NewWriter(m.Stdout)
	if !asJSON {
		_ = table.Write([]string{"customer", "country", "certainty", "what", "letter"}) // Error tells
	}
	for _, x := range list {
		what := fieldWords(append(slices.Clone(x.Fields), x.Maybe...))
		text, err := cases.Draft("customers", own, cases.Letter{Case: n, Sure: x.Certainty == "certain", First: x.First.Format("2006-01-02"), What: what})
		if err != nil {
			return err
		}
		l := letterLine{string(x.Customer), x.Country, x.Certainty, what, text}
		if asJSON {
			if err := printJSON(m.Stdout, l); err != nil {
				return err
			}
			continue
		}
		_ = table.Write([]string{plainCell(l.Customer), plainCell(l.Country), l.Certainty, plainCell(l.What), plainCell(l.Letter)}) // likewise
	}
	table.Flush()
	if err := table.Error(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// plainCell is one that no spreadsheet computes.
func plainCell(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// fieldWords are columns as a letter calls them.
func fieldWords(columns []string) string {
	words := map[string]string{
		"full_name": "your name", "name": "your name", "email": "your e-mail address", "phone": "your telephone number", "birth_date": "your date of birth", "ticket_no": "the numbers of your requests", "notes": "notes about you",
		"subject": "the subjects of your requests", "body": "what you wrote to us",
	}
	var list []string
	for _, c := range columns {
		last := c[strings.LastIndexByte(c, '.')+1:]
		word, ok := words[last]
		if !ok {
			word = last
		}
		if !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	if len(list) == 0 {
		return "that you are our customer"
	}
	return strings.Join(list, ", ")
}
