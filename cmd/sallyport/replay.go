package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/history"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/record"
	"sallyport/replay"
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
		return usagef("nothing to try; expected --policy FOLDER, or --budgets FILE")
	}
	if o.days <= 0 {
		return usagef("%d days; expected --days 90, or another number above 0", o.days)
	}
	config, err := LoadConfig(o.config)
	if err != nil {
		return err
	}
	budgets := &config.Budgets
	if o.budgets != "" {
		if budgets, err = loadBudgets(o.budgets); err != nil {
			return err
		}
	}
	if _, err := os.Stat(o.data); err != nil {
		return usagef("read the record: %w; expected --data FOLDER", err)
	}
	report, err := m.replayOffline(ctx, config, o, budgets)
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(m.Stdout, report)
	} else {
		err = printReplay(m.Stdout, report)
	}
	if err == nil && report.Hinders() {
		return errFound
	}
	return err
}

// replayOffline opens the streams of a folder in which no serve runs.
func (m *Main) replayOffline(ctx context.Context, config *Config, o replayOptions, budgets *Budgets) (report *replay.Report, err error) {
	quiet := slog.New(slog.DiscardHandler)
	key, err := config.recordKey(ctx, keyring{data: o.data, keyFile: o.keyFile, getenv: m.Getenv}, false)
	if err != nil {
		return nil, err
	}
	access, err := openRecord(o.data, "access", record.Options{Key: key}, quiet)
	if errors.Is(err, record.ErrInUse) {
		return nil, fmt.Errorf("%w (while serve runs, give a copy: cp -r %s /tmp/copy)", err, o.data)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, access.Close()) }()
	orders, err := openRecord(o.data, "control", record.Options{Key: key}, quiet)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, orders.Close()) }()
	before, after, err := config.replaySets(orders, o.policies)
	if err != nil {
		return nil, err
	}
	names, err := config.pseudonyms(o.data)
	if err != nil {
		return nil, err
	}
	bars := newBars(m.Stderr)
	defer bars.end()
	now := time.Now()
	return config.replayed(ctx, replayed{
		Before: before, After: after, Budgets: budgets, Access: access, Control: orders, From: now.AddDate(0, 0, -o.days), Until: now, Names: names,
		Progress: func(done, total uint64) { bars.set("entries", int64(done), int64(total)) }, //nolint:gosec // numbers of entries
	})
}

// replaySets are today's policies and the other ones, on everybody whom configuration and record know.
func (c *Config) replaySets(orders *record.Stream, other string) (before, after *policy.Set, err error) {
	state := control.NewState()
	if err := orders.Read(1, func(e *sallyport.Event) error {
		state.Apply(e)
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("read who is who: %w", err)
	}
	c.roster = state.Directory().Roster(c.own(), c.rules(), time.Now())
	if before, _, err = c.loadPolicies(c.policyFolder()); err != nil || other == "" {
		return before, before, err
	}
	after, _, err = c.loadPolicies(other)
	return before, after, err
}

// replayed is what a record is run under. A change of policies that widens access is proposed with the report and its hash.
type replayed struct {
	Before, After   *policy.Set    // today's, and the other ones
	Budgets         *Budgets       // nil: the configuration's
	Access, Control *record.Stream // may be in use by serve: they are only read
	From, Until     time.Time
	Names           *history.Names           // gives pseudonyms
	Progress        func(done, total uint64) // nil: nobody looks
	Percent         int                      // of those budgets; 0: as they are
	First           uint64                   // entry of the access stream before which nothing matters; 0: all do
}

// replayed runs what was accessed under other policies or budgets.
func (c *Config) replayed(ctx context.Context, o replayed) (*replay.Report, error) {
	company := c.replayCompany(o.Budgets)
	company.Name = func(who sallyport.Staff) sallyport.Staff { return sallyport.Staff(o.Names.Person(who)) }
	if o.Percent > 0 {
		of := company.Budgets
		company.Budgets = func(who sallyport.Staff, team string) exposure.Budgets { return percentOf(of(who, team), o.Percent) }
	}
	r := replay.New(company, o.Before, o.After, o.From, o.Until)
	next, stop := iter.Pull2(inOrder(ctx, o.Control))
	defer stop()
	order, err, more := next()
	last := o.Access.Last()
	readErr := o.Access.Read(max(1, o.First), func(e *sallyport.Event) error {
		if e.Seq > last {
			return io.EOF
		}
		for more && err == nil && !order.Time.After(e.Time) {
			r.Control(order)
			order, err, more = next()
		}
		r.Access(e)
		if o.Progress != nil && e.Seq%4096 == 0 {
			o.Progress(e.Seq, last)
		}
		return errors.Join(err, ctx.Err())
	})
	if readErr != nil && !errors.Is(readErr, io.EOF) {
		return nil, fmt.Errorf("read the record: %w", readErr)
	}
	if o.Progress != nil {
		o.Progress(last, last)
	}
	return r.Report()
}

// percentOf are budgets of so many percent, of one customer at least.
func percentOf(b exposure.Budgets, percent int) exposure.Budgets {
	for _, m := range []*exposure.Budget{&b.Revealed, &b.Reached, &b.Probed} {
		for _, n := range []*int{&m.Hour, &m.Day, &m.Month} {
			*n = max(1, *n*percent/100)
		}
	}
	return b
}

// inOrder are a stream's events as they stand now; an error comes last.
func inOrder(ctx context.Context, s *record.Stream) iter.Seq2[*sallyport.Event, error] {
	return func(yield func(*sallyport.Event, error) bool) {
		stopped := errors.New("stopped")
		last := s.Last()
		err := s.Read(1, func(e *sallyport.Event) error {
			if e.Seq > last || !yield(e, nil) {
				return stopped
			}
			return ctx.Err()
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, err)
		}
	}
}

// replayCompany is what the record does not say.
func (c *Config) replayCompany(budgets *Budgets) replay.Company {
	d := directoryOf(c)
	if budgets != nil {
		d.budgets = *budgets
	}
	grants := map[string]int{}
	for _, g := range c.Grants.Standing {
		grants[g.ID] = g.Customers
	}
	return replay.Company{
		Service: func(who sallyport.Staff) bool {
			_, ok := c.Services[string(who)]
			return ok
		},
		Local:  c.local,
		Scheme: func(column sallyport.Column) sallyport.Scheme { return c.Protect.Columns[column.String()].Scheme },
		Budgets: func(who sallyport.Staff, team string) exposure.Budgets {
			return d.of(purpose.Person{Staff: who, Team: c.teamOf(who, team)})
		},
		Grant: func(id string) (int, bool) {
			n, ok := grants[id]
			return n, ok
		},
	}
}

// teamOf is somebody's team, else the one that the record names.
func (c *Config) teamOf(who sallyport.Staff, recorded string) string {
	if c.roster != nil {
		if p, ok := c.roster.People[who]; ok {
			return p.Place.Team
		}
	}
	if p, ok := c.People[string(who)]; ok {
		return p.Team
	}
	if s, ok := c.Services[string(who)]; ok {
		return s.Team
	}
	return recorded
}

// loadBudgets reads a file with a section budgets.
func loadBudgets(path string) (*Budgets, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("read budgets: %w", err)
	}
	var file struct {
		Budgets Budgets `yaml:"budgets"`
	}
	r := readYAML(text, &file)
	for name, b := range file.Budgets.Teams {
		(&Config{}).checkBudget(r, "budgets.teams."+name, b)
	}
	(&Config{}).checkBudget(r, "budgets.default", file.Budgets.Default)
	if len(r.problems) > 0 {
		return nil, &ConfigError{File: path, Problems: r.sorted()}
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
				line("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s", would(f.What), f.Policy, f.Accesses, f.New, f.Values, f.Customers, f.People, f.Because)
			}
		})
	}
	if len(r.People) > 0 {
		table("WHO\tCUSTOMERS\tACCESSES\tREFUSED\tSTATEMENTS\tWAITED\tSLOWED\tMISSING\tCUT AT", func(line func(string, ...any)) {
			for _, p := range r.People {
				cut := "-"
				if p.Cut != nil {
					cut = fmt.Sprintf("%d %s per %s, on %s (%s)", p.Cut.Count, p.Cut.Measure, p.Cut.Window, p.Cut.At.Format(time.DateOnly), several(int64(p.Cuts), "day"))
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

// would says in a word what became of an access.
func would(what string) string {
	return map[string]string{"token": "stayed tokens", "mask": "been masked", "wait": "waited", "slow": "gone slower", "suspend": "suspended", "cut": "been cut", "statement": "been refused"}[what]
}
