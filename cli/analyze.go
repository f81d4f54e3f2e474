package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport"
	"sallyport/config"
	"sallyport/detect"
	"sallyport/serve"
	logs "sallyport/sources"
)

type analyzeOptions struct {
	files                        analyzeFilesFlags
	budget                       string
	canaries, watched, templates string
	html                         string
	json, strict, personnel      bool
}

func (m *Main) analyzeCommand() *cobra.Command {
	var o analyzeOptions
	cmd := &cobra.Command{
		Use:   "analyze EVENTS...",
		Short: "Find insiders in a company's own past logs, offline",
		Long: `Reads access events and what explains them, and prints who looked at customers that nobody can explain: worst first, or, with --json, as lines in the order in
which they would have been raised. What is found at a time uses nothing that became known later. No gateway is needed, and nothing is written but the report.

Events are OCSF Datastore Activity (class 6005) as JSON Lines, or PostgreSQL's own logs with pgAudit; the other files are CSV or JSON Lines; all may be packed (gzip, zstd), and - is standard
input (docs/detection.md). Only events are needed: what is missing widens uncertainty.

Exit status 0: nothing found; 1: something found; 2: wrong usage; 3: failed, or, with --strict, a line that cannot be read.`,
		Example: `  sallyport analyze events.jsonl.gz --staff staff.csv --tickets tickets.csv --ticket-events ticket_events.csv --contacts contacts.csv --html report.html
  zcat logs/*.gz | sallyport analyze - --staff staff.csv --json --budget 12/year/1000`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return config.Usagef("no events; expected 'sallyport analyze EVENTS...' (see 'sallyport analyze --help')")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files.Events = args
			return m.analyze(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.files.register(flags)
	flags.StringVar(&o.budget, "budget", "12/year/1000", "false alarms that are bearable, as `N/year/PEOPLE`")
	flags.StringVar(&o.canaries, "canaries", "", "`FILE` with the ids of customers who do not exist, one a line")
	flags.StringVar(&o.watched, "watched", "", "`FILE` with the ids of famous customers and colleagues, one a line")
	flags.StringVar(&o.templates, "templates", "", "`FILE` of explanations (YAML) instead of the program's own")
	flags.BoolVar(&o.personnel, "weigh-hr", false, "let a notice and overdue training weigh: a little, never alone (off: people should be able to give notice without being watched for it)")
	flags.StringVar(&o.html, "html", "", "write a report of one page to `FILE`")
	flags.BoolVar(&o.json, "json", false, "print JSON lines in the order of time, and a summary")
	flags.BoolVar(&o.strict, "strict", false, "end at the first line that cannot be read")
	return cmd
}

// analyzeFilesFlags are the files of an organisation, as flags name them.
type analyzeFilesFlags struct{ logs.Files }

func (o *analyzeFilesFlags) register(flags *pflag.FlagSet) {
	for _, f := range []struct {
		list       *[]string
		name, what string
	}{
		{&o.Staff, "staff", "`FILE` of staff"},
		{&o.Tickets, "tickets", "`FILE` of tickets"},
		{&o.TicketEvents, "ticket-events", "`FILE` of what happened to tickets"},
		{&o.Contacts, "contacts", "`FILE` of calls, mails and chats"},
		{&o.Jobs, "jobs", "`FILE` of approved bulk work"},
		{&o.HR, "hr", "`FILE` of the personnel department: role changes and leave explain; see --weigh-hr"},
		{&o.LogIns, "logins", "`FILE` of log-ins"},
		{&o.Alerts, "alerts", "`FILE` of other tools' alerts"},
		{&o.Reports, "reports", "`FILE` of customers' reports of calls"},
	} {
		flags.StringArrayVar(f.list, f.name, nil, f.what)
	}
}

// analysis is a run with what came out.
type analysis struct {
	Summary  analyzeSummary
	Findings []detect.Finding // the last line of each, the worst first
	Alarms   map[string]time.Time
	Shares   []detect.Share
	Health   []detect.Health
	Names    map[sallyport.Staff]string

	detector *detect.Detector
	canaries map[sallyport.Subject]bool
}

type analyzeSummary struct {
	Events    int64              `json:"events"`
	Staff     int                `json:"staff"`
	UserDays  int64              `json:"user_days"`
	Findings  int64              `json:"findings"`
	Seconds   float64            `json:"seconds"`
	BadLines  int64              `json:"bad_lines"`
	Late      int64              `json:"late"`
	Duplicate int64              `json:"duplicate"`
	Other     int64              `json:"other_lines,omitempty"` // events of other classes than 6005
	Looks     int64              `json:"looks"`
	Level     float64            `json:"level"`
	Shares    []detect.Share     `json:"explained_by"`
	Health    []detect.Health    `json:"peers"`
	StandOut  []detect.StandsOut `json:"stand_out"`
}

func (m *Main) analyze(ctx context.Context, o analyzeOptions) error {
	options, err := o.detect()
	if err != nil {
		return err
	}
	detector, err := detect.New(options)
	if err != nil {
		return config.Usagef("%w", err)
	}
	out := bufio.NewWriter(m.Stdout)
	run := &analysis{Alarms: map[string]time.Time{}, Names: map[sallyport.Staff]string{}, detector: detector, canaries: options.Canaries}
	reader := &logs.Reader{Stdin: m.Stdin, Strict: o.strict, Report: m.tellProblems()}
	began := time.Now()
	err = run.read(ctx, reader, o.files.Files, func(f *detect.Finding) error {
		if !o.json {
			return nil
		}
		if err := printJSON(out, f); err != nil {
			return err
		}
		return out.Flush() // who follows a log wants to hear of it now
	})
	if err != nil {
		return err
	}
	run.finish(reader, time.Since(began))
	if o.html != "" {
		if err := run.writeHTML(o.html); err != nil {
			return err
		}
	}
	if o.json {
		err = printJSON(out, map[string]any{"summary": run.Summary})
	} else {
		run.print(out, o.budget)
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if len(run.Findings) > 0 {
		return ErrFound
	}
	return nil
}

// tellProblems prints the first lines that cannot be read; all are counted.
func (m *Main) tellProblems() func(*logs.Problem) {
	const most = 20
	told := 0
	return func(p *logs.Problem) {
		if told++; told <= most {
			fmt.Fprintln(m.Stderr, p)
		}
		if told == most+1 {
			fmt.Fprintln(m.Stderr, "… further lines that cannot be read are only counted; --strict ends at the first one")
		}
	}
}

// detect is what the options mean for detection.
func (o *analyzeOptions) detect() (detect.Options, error) {
	budget, err := config.ParseBudget(o.budget)
	if err != nil {
		return detect.Options{}, err
	}
	f := &o.files.Files
	d := detect.Options{
		Budget: budget, Personnel: o.personnel,
		Known: detect.Sources{
			Staff: len(f.Staff) > 0, Tickets: len(f.Tickets) > 0, TicketEvents: len(f.TicketEvents) > 0, Contacts: len(f.Contacts) > 0, Jobs: len(f.Jobs) > 0,
			Personnel: len(f.HR) > 0, LogIns: len(f.LogIns) > 0, Alerts: len(f.Alerts) > 0,
		},
	}
	if d.Canaries, err = config.ReadIDs(o.canaries); err != nil {
		return d, err
	}
	if d.Watched, err = config.ReadIDs(o.watched); err != nil {
		return d, err
	}
	if o.templates != "" {
		text, err := os.ReadFile(o.templates)
		if err != nil {
			return d, config.Usagef("read templates: %w", err)
		}
		if d.Templates, err = detect.ParseTemplates(text); err != nil {
			return d, config.Usagef("%s: %w", o.templates, err)
		}
	}
	return d, nil
}

// read lets everything pass the detector.
func (a *analysis) read(ctx context.Context, r *logs.Reader, files logs.Files, found func(*detect.Finding) error) error {
	timeline, err := r.Open(files)
	if err != nil {
		return err
	}
	defer timeline.Close()
	a.detector.Hire(timeline.Staff)
	for i := range timeline.Staff {
		a.Names[timeline.Staff[i].ID] = timeline.Staff[i].Name
	}
	last := map[string]int{}
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		in, err := timeline.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if in.Access != nil {
			serve.Touches(in.Access, a.canaries)
		}
		for _, f := range a.detector.Observe(in) {
			if err := found(&f); err != nil {
				return err
			}
			at, known := last[f.ID]
			if !known {
				last[f.ID] = len(a.Findings)
				a.Findings = append(a.Findings, f)
				a.Alarms[f.ID] = f.Time
				continue
			}
			a.Findings[at] = f
		}
	}
	a.Summary.Late, a.Summary.Duplicate, a.Summary.Other = timeline.Late, timeline.Duplicate, r.Other
	return nil
}

// finish adds the figures.
func (a *analysis) finish(r *logs.Reader, took time.Duration) {
	slices.SortStableFunc(a.Findings, func(x, y detect.Finding) int {
		return cmp.Or(cmp.Compare(y.Log10Odds, x.Log10Odds), cmp.Compare(y.SubjectsExposed, x.SubjectsExposed), cmp.Compare(x.ID, y.ID))
	})
	counts := a.detector.Counts()
	s := &a.Summary
	s.Events, s.UserDays, s.Findings, s.Looks = counts.Accesses, counts.PersonDays, int64(len(a.Findings)), counts.Looks
	s.Staff, s.BadLines, s.Level = a.detector.People(), r.Bad, a.detector.Level()
	s.Seconds = float64(took.Milliseconds()) / 1000
	s.Shares, s.Health, s.StandOut = a.detector.Shares(), a.detector.Health(), a.detector.StandOut(0.1)
}

// print is for people: the worst first.
func (a *analysis) print(w io.Writer, budget string) {
	s := &a.Summary
	for i := range a.Findings {
		f := &a.Findings[i]
		fmt.Fprintf(w, "%d. %s, %s, odds %s, first raised %s\n", i+1, f.Kind, f.Type, oddsOf(f.Log10Odds), a.Alarms[f.ID].Format(time.DateTime))
		for _, sentence := range detect.Explain(f, serve.Printable(a.Names[f.Staff[0]])) {
			fmt.Fprintf(w, "   %s\n", sentence)
		}
		fmt.Fprintf(w, "   ATT&CK %s: %s. Would have done: %s.\n\n", detect.AttackVersion, strings.Join(f.Attack, ", "), f.Action)
	}
	if len(a.Findings) == 0 {
		fmt.Fprintln(w, "Nothing was found.")
	}
	fmt.Fprintf(w, "%d events of %d people on %d days of a person, read in %.1f s; %d lines could not be read, %d events came twice, %d too late for their place.\n", s.Events, s.Staff, s.UserDays, s.Seconds, s.BadLines, s.Duplicate, s.Late)
	if s.Other > 0 {
		fmt.Fprintf(w, "%d events of other classes than 6005 say nothing of an access and were passed over.\n", s.Other)
	}
	fmt.Fprintf(w, "Promised are at most %s false alarms; on these days that makes %.2f.\n", budget, float64(s.UserDays)/s.Level)
	fmt.Fprintf(w, "Of %d looks at customers these were explained by:", s.Looks)
	for _, share := range s.Shares {
		fmt.Fprintf(w, " %s %.1f %%", share.Template, 100*float64(share.Looks)/float64(max(1, s.Looks)))
	}
	fmt.Fprintln(w)
	a.others(w)
	for _, h := range s.Health {
		fmt.Fprintf(w, "On innocent days of %s evidence came to a hundredfold weight %.0f times, promised at most %.1f, and to a thousandfold %.0f times, promised at most %.1f.\n",
			cmp.Or(h.Peers, "everybody"), h.Reached, h.Promised, h.ReachedHigh, h.PromisedHigh)
		if h.Warning != "" {
			fmt.Fprintf(w, "Warning, %s: %s.\n", cmp.Or(h.Peers, "everybody"), h.Warning)
		}
	}
}

// others names who stands out beside the findings.
func (a *analysis) others(w io.Writer) {
	told := map[sallyport.Staff]bool{}
	for i := range a.Findings {
		for _, who := range a.Findings[i].Staff {
			told[who] = true
		}
	}
	var names []string
	for _, s := range a.Summary.StandOut {
		if !told[s.Staff] {
			names = append(names, string(s.Staff))
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "Besides, %s stand out among all people; of those who do, one in ten does by chance.\n", strings.Join(names, ", "))
	}
}

// oddsOf are odds as people say them.
func oddsOf(log10 float64) string {
	switch {
	case log10 >= 6:
		return "over 1,000,000 : 1"
	case log10 >= 0:
		return fmt.Sprintf("%.0f : 1", pow10(log10))
	}
	return fmt.Sprintf("1 : %.0f", pow10(-log10))
}
