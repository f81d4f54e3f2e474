package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/record"
	"sallyport/replay"
	"sallyport/rulebook"
	"sallyport/serve"
)

type replayOptions struct {
	config, data, policies, budgets, keyFile string
	days                                     int
	json                                     bool
}

func (m *Main) replayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Run the recorded accesses under other policies or budgets: what would have been refused, and whom it would have hindered",
		Long: `Reads the record of the data folder, while no serve runs in it, or of a copy of the folder, and asks other policies about every value that left in
the last days, with what the record holds of the moment: who, the log-in, the reason, trust and confirmations then, grants, and how many customers he had seen. It counts
customers by other budgets. What the record does not say is assumed and named. People stand there by the pseudonyms that who-saw shows. The report has a hash, by which a change can be proposed together with it.

Exit status 0: nobody would have been hindered; 1: somebody would have been; 2: the policies or budgets cannot be used.`,
		Example: `  sallyport replay --policy ./new-policies --days 90 --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt
  cp -r /var/lib/sallyport /tmp/copy && sallyport replay --budgets new-budgets.yaml --config sallyport.yaml --data /tmp/copy --key-file key.txt --json`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return m.replay(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "sallyport.yaml", "configuration `FILE`: people, columns, today's policies and budgets")
	flags.StringVar(&o.data, "data", "sallyport-data", "data `FOLDER`, or a copy of it")
	flags.StringVar(&o.keyFile, "key-file", "", "`FILE` with the key that opens the keys, where the record is encrypted")
	flags.StringVar(&o.policies, "policy", "", "`FOLDER` with the other policies; left out: today's")
	flags.StringVar(&o.budgets, "budgets", "", "`FILE` with a section budgets as in the configuration; left out: today's")
	flags.IntVar(&o.days, "days", 90, "how many `DAYS` back")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (m *Main) replay(ctx context.Context, o replayOptions) error {
	if o.policies == "" && o.budgets == "" {
		return config.Usagef("nothing to try; expected --policy FOLDER, or --budgets FILE")
	}
	if o.days <= 0 {
		return config.Usagef("%d days; expected --days 90, or another number above 0", o.days)
	}
	settings, err := config.Load(o.config)
	if err != nil {
		return err
	}
	budgets := &settings.Budgets
	if o.budgets != "" {
		if budgets, err = loadBudgets(o.budgets); err != nil {
			return err
		}
	}
	if _, err := os.Stat(o.data); err != nil {
		return config.Usagef("read the record: %w; expected --data FOLDER", err)
	}
	report, err := m.replayOffline(ctx, settings, o, budgets)
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(m.Stdout, report)
	} else {
		err = printReplay(m.Stdout, report)
	}
	if err == nil && report.Hinders() {
		return ErrFound
	}
	return err
}

// replayOffline opens the streams of a folder in which no serve runs.
func (m *Main) replayOffline(ctx context.Context, config *config.Config, o replayOptions, budgets *config.Budgets) (report *replay.Report, err error) {
	quiet := slog.New(slog.DiscardHandler)
	key, err := serve.RecordKey(config, ctx, serve.Keyring{Data: o.data, KeyFile: o.keyFile, Getenv: m.Getenv}, false)
	if err != nil {
		return nil, err
	}
	access, err := serve.OpenRecord(o.data, "access", record.Options{Key: key}, quiet)
	if errors.Is(err, record.ErrInUse) {
		return nil, fmt.Errorf("%w (while serve runs, give a copy: cp -r %s /tmp/copy)", err, o.data)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, access.Close()) }()
	orders, err := serve.OpenRecord(o.data, "control", record.Options{Key: key}, quiet)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, orders.Close()) }()
	before, after, err := rulebook.ReplaySets(config, orders, o.policies, time.Now())
	if err != nil {
		return nil, err
	}
	names, err := serve.Pseudonyms(config, o.data)
	if err != nil {
		return nil, err
	}
	bars := newBars(m.Stderr)
	defer bars.end()
	now := time.Now()
	return rulebook.Replay(config, ctx, rulebook.Replayed{
		Before: before, After: after, Budgets: budgets, Access: access, Control: orders, From: now.AddDate(0, 0, -o.days), Until: now, Names: names,
		Progress: func(done, total uint64) { bars.set("entries", int64(done), int64(total)) }, //nolint:gosec // numbers of entries
	})
}

// loadBudgets reads a file with a section budgets.
func loadBudgets(path string) (*config.Budgets, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, config.Usagef("read budgets: %w", err)
	}
	var file struct {
		Budgets config.Budgets `yaml:"budgets"`
	}
	r := config.ReadYAML(text, &file)
	for name, b := range file.Budgets.Teams {
		(&config.Config{}).CheckBudget(r, "budgets.teams."+name, b)
	}
	(&config.Config{}).CheckBudget(r, "budgets.default", file.Budgets.Default)
	if len(r.Problems) > 0 {
		return nil, &config.Error{File: path, Problems: r.Sorted()}
	}
	return &file.Budgets, nil
}

// printReplay writes a report for people.
func printReplay(w io.Writer, r *replay.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s until %s: %d accesses, %d values\n", r.From.Format(time.DateOnly), r.Until.Format(time.DateOnly), r.Accesses, r.Values)
	if !r.Hinders() {
		b.WriteString("Nothing would have been refused, and nobody hindered.\n")
	}
	table := func(head string, rows func(line func(format string, args ...any))) {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "\n"+head+"\t")
		rows(func(format string, args ...any) { fmt.Fprintf(t, format+"\t\n", args...) })
		_ = t.Flush() // into a builder
	}
	if len(r.Refused) > 0 {
		table("WOULD HAVE\tBY\tACCESSES\tNEW\tVALUES\tCUSTOMERS\tPEOPLE\tBECAUSE", func(line func(string, ...any)) {
			for _, f := range r.Refused {
				line("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s", rulebook.Would(f.What), f.Policy, f.Accesses, f.New, f.Values, f.Customers, f.People, f.Because)
			}
		})
	}
	if len(r.People) > 0 {
		table("WHO\tCUSTOMERS\tACCESSES\tREFUSED\tSTATEMENTS\tWAITED\tSLOWED\tMISSING\tCUT AT", func(line func(string, ...any)) {
			for _, p := range r.People {
				cut := "-"
				if p.Cut != nil {
					cut = fmt.Sprintf("%d %s per %s, on %s (%s)", p.Cut.Count, p.Cut.Measure, p.Cut.Window, p.Cut.At.Format(time.DateOnly), serve.Several(int64(p.Cuts), "day"))
				}
				line("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s", p.Staff, p.Customers, p.Accesses, p.Refused, p.Statements, p.Waited, p.Slowed, p.Missing, cut)
			}
		})
	}
	if len(r.Opened) > 0 {
		table("WOULD HAVE READ, TOO\tCOLUMN\tSTATEMENTS\tBY", func(line func(string, ...any)) {
			for _, g := range r.Opened {
				line("%s\t%s\t%d\t%s", g.Staff, g.Column, g.Statements, g.Policy)
			}
		})
	}
	b.WriteString("\nNot on record, and assumed:\n")
	for _, u := range r.Unknown {
		fmt.Fprintf(&b, "- of %d entries: %s\n", u.Entries, u.What)
	}
	for _, a := range r.Assumes {
		fmt.Fprintf(&b, "- %s\n", a)
	}
	fmt.Fprintf(&b, "Report %s\n", r.Hash)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
