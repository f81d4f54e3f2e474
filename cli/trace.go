package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/config"
	"sallyport/serve"
	logs "sallyport/sources"
	"sallyport/trace"
)

// traceFlags are what `sallyport trace` is asked.
type traceFlags struct {
	files     logs.Files
	leaked    string // a file instead of reports
	customers int64
	since     string // reports before are of calm
	strict    bool
	asJSON    bool
	live      controlFlags
}

func (m *Main) traceCommand() *cobra.Command {
	f := traceFlags{live: controlFlags{m: m}}
	cmd := &cobra.Command{
		Use:   "trace [REPORTS... | --file LEAKED]",
		Short: "Say who is behind scam calls that customers report, or where a leaked file comes from",
		Long: `Compares the customers who report that somebody called and knew too much with whom each person had seen before, and says who is the
source, with the probability that this accuses an innocent; or that it is not enough to say, and how many more reports would settle it.

REPORTS are CSV or JSON Lines with time and customer; what the caller knew (quoted) and whether somebody asked the customer (confirmed)
where they are known. --file instead takes a leaked table, or a part of one, in any order and among other rows, and says which
result on record or whose view it fits; customers are recognised by their ids. --events are access events (OCSF 6005) of any
system. --tickets says who made the reasons of others.

Every company has some such reports. --since says from when on you suspect a theft: the reports before tell at what rate, and from whom, they come anyhow,
so that fewer of the others are needed. Choose the day for what the reports were like, and keep to it: who tries many days names somebody in the end.

Without files a running serve answers, from its record and the reports that arrived there (sallyport report): people by pseudonym until two
agree to see a name, and whoever asks is not weighed himself.

Exit status 0: nobody is named; 1: somebody is; 2: wrong usage; 3: something could not be read.`,
		Example: `  sallyport trace --as s051
  sallyport trace reports.csv --events access.jsonl.zst --staff staff.csv --tickets tickets.csv --customers 12000000
  sallyport trace reports.csv --events access.jsonl --since 2026-03-01 --json
  sallyport trace --file leaked.csv --events access.jsonl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			since, err := pastMoment(f.since)
			switch {
			case err != nil:
				return config.Usagef("--since %v", err)
			case f.since != "" && f.leaked != "":
				return config.Usagef("--since is about reports; a leaked file has none")
			case len(args) == 0 && f.leaked == "" && len(f.files.Events) == 0:
				f.live.json = f.asJSON
				return m.traceLive(cmd, &f.live, since)
			case (len(args) == 0) == (f.leaked == ""):
				return config.Usagef("expected either reports or --file: 'sallyport trace REPORTS --events EVENTS', 'sallyport trace --file LEAKED --events EVENTS'")
			case len(f.files.Events) == 0:
				return config.Usagef("no access events; expected --events FILE")
			}
			if f.leaked != "" {
				return m.traceFile(cmd.Context(), &f)
			}
			f.files.Reports = args
			return m.trace(cmd.Context(), &f, since)
		},
	}
	cmd.Flags().StringVar(&f.leaked, "file", "", "leaked `FILE` to find the source of, instead of reports")
	cmd.Flags().StringArrayVar(&f.files.Events, "events", nil, "access events, `FILE`; may be given several times")
	cmd.Flags().StringArrayVar(&f.files.Staff, "staff", nil, "staff `FILE`: teams, against which a suspect is compared")
	cmd.Flags().StringArrayVar(&f.files.Tickets, "tickets", nil, "tickets `FILE`: who opened the tickets that others looked at")
	cmd.Flags().Int64Var(&f.customers, "customers", 0, "how many customers the company has (default: as many as stand in the files)")
	cmd.Flags().StringVar(&f.since, "since", "", "weigh reports from this `TIME` on, a day or RFC 3339; earlier ones, which must be all there were, tell how many come anyhow, and from whom")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "end at the first line that cannot be read")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&f.live.data, "data", defaultData, "without files: data `FOLDER` of the running serve")
	f.live.logInFlags(cmd.Flags())
	return cmd
}

// trace reads the files and prints what they say.
func (m *Main) trace(ctx context.Context, f *traceFlags, since time.Time) error {
	r := &logs.Reader{Stdin: m.Stdin, Strict: f.strict, Report: func(p *logs.Problem) { fmt.Fprintln(m.Stderr, p) }}
	line, err := r.Open(f.files)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	defer line.Close()
	x := trace.NewExposures()
	x.Team = map[sallyport.Staff]string{}
	for _, e := range line.Staff {
		x.Team[e.ID] = e.Team
	}
	list, err := exposures(ctx, line, x)
	if err != nil {
		return err
	}
	result := x.Trace(list, trace.Options{Customers: f.customers, From: since})
	if f.asJSON {
		err = printJSON(m.Stdout, serve.TraceJSON(&result, r.Bad, r.Other))
	} else {
		err = printTrace(m.Stdout, &result)
	}
	if err != nil {
		return err
	}
	if result.Verdict == trace.Named {
		return ErrFound
	}
	return nil
}

// exposures notes who was shown whom, and returns the reports.
func exposures(ctx context.Context, line *logs.Timeline, x *trace.Exposures) (list []trace.Report, err error) {
	opened := map[string]sallyport.Staff{} // ticket → the person who opened it
	for {
		in, err := line.Next()
		switch {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("trace: %w", err)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case in.Ticket != nil && in.Ticket.OpenedBy != "":
			opened[in.Ticket.ID] = in.Ticket.OpenedBy
		case in.Report != nil:
			list = append(list, trace.Report{
				Customer: in.Report.Customer, At: in.Report.Time, Quoted: trace.ParseFields(in.Report.Quoted), Unconfirmed: in.Report.Unconfirmed, Taker: in.Report.Taker,
			})
		case in.Access != nil:
			serve.Expose(x, in.Access, opened)
		}
	}
}

func printTrace(w io.Writer, r *trace.Result) error {
	switch r.Verdict {
	case trace.Named:
		fmt.Fprintf(w, "%s, with a probability of %.3f. That this accuses an innocent: %s.\n", staffList(r.Suspects[0].Staff), r.Suspects[0].Posterior, oneIn(r.FalseNaming))
	case trace.NoneOf:
		fmt.Fprintf(w, "Nobody of those on record: %.3f.\n", r.None)
	default:
		fmt.Fprintf(w, "Not enough to name anybody.%s\n", moreReports(r.More))
	}
	fmt.Fprintf(w, "%d customers reported; %d more are not confirmed yet and do not weigh. About %.0f %% of the reports have nothing to do with this company.\n", r.Reports, r.Unconfirmed, 100*r.Background)
	if r.Calm > 0 {
		fmt.Fprintf(w, "%d more customers reported before that; they tell how many come anyhow, and from whom.\n", r.Calm)
	}
	if r.Aside > 0 {
		fmt.Fprintf(w, "In %d of these reports whoever took it first saw the customer in the hour before: that look says nothing.\n", r.Aside)
	}
	if len(r.Suspects) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "staff\tprobability\tlog10 odds\tof the reports, seen before\tby chance\tcustomers\t")
		for _, s := range r.Suspects[:min(len(r.Suspects), 10)] {
			fmt.Fprintf(table, "%s\t%.4f\t%.1f\t%d\t%.1f\t%d\t\n", staffList(s.Staff), s.Posterior, s.LogOdds, s.Seen, s.Expected, s.Customers)
		}
		fmt.Fprintf(table, "nobody of them\t%.4f\t\t\t\t\t\n", r.None)
		if err := table.Flush(); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	if r.Forged > 0 {
		fmt.Fprintf(w, "To turn this around at least %d reports would have to be forged and confirmed.\n", r.Forged)
	}
	if len(r.AskNext) > 0 && r.Verdict != trace.Named {
		var keys []string
		for _, c := range r.AskNext {
			keys = append(keys, string(c))
		}
		fmt.Fprintf(w, "Whose answer would say most: customers %s.\n", strings.Join(keys, ", "))
	}
	return nil
}

func moreReports(n int) string {
	if n < 0 {
		return " More reports alone will hardly do: too many people saw the same customers."
	}
	return fmt.Sprintf(" About %d more reports would, if the first suspect is the source.", n)
}

func oneIn(p float64) string {
	if p < 1e-6 {
		return "less than one in a million"
	}
	return fmt.Sprintf("%.2g", p)
}
