package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"sallyport/api"
	"sallyport/config"
	"sallyport/protect"
	"sallyport/serve"
)

// liveOptions are the command line of protect beside a running serve.
type liveOptions struct {
	control          controlFlags
	online, undo     bool
	dryRun           bool
	wait             bool
	rate, rangeRows  int
	maxLag           time.Duration
	reason, proposal string
}

func (o *liveOptions) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.online, "online", false, "while the database is in use, through a serve that runs with --moving-in and this data folder")
	flags.BoolVar(&o.undo, "undo", false, "turn tokens back into plain values, beside a running serve: with --reason propose it, with --proposal do it")
	flags.BoolVar(&o.dryRun, "dry-run", false, "change nothing: estimate from a sample how long it would take, and how much room")
	flags.BoolVar(&o.wait, "wait", false, "with --online or --undo: wait for sessions around the gateway to end, instead of refusing")
	flags.IntVar(&o.rate, "rate", 0, "with --online or --undo: `ROWS` a second at most (default: as fast as it goes)")
	flags.IntVar(&o.rangeRows, "range", 5000, "with --online or --undo: `ROWS` a transaction; fewer keep those who write the same rows waiting for less")
	flags.DurationVar(&o.maxLag, "max-lag", 10*time.Second, "with --online or --undo: how far behind a replica may be before rows wait for it")
	flags.StringVar(&o.reason, "reason", "", "with --undo: why, as `TEXT` for the record")
	flags.StringVar(&o.proposal, "proposal", "", "with --undo: `ID` that another person approved")
	o.control.logInFlags(flags)
}

// protectLive moves columns in or out while serve runs.
func (m *Main) protectLive(ctx context.Context, config *config.Config, o protectOptions) error {
	client, err := o.live.control.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if o.live.undo && o.live.proposal == "" {
		serving, err := client.Serving(ctx)
		if err != nil {
			return err
		}
		if len(serving.States.Leaving) == 0 { // else it goes on with what was agreed on
			return m.proposeUndo(ctx, client, o)
		}
	}
	bars := newBars(m.Stderr)
	report, err := serve.ProtectLive(ctx, config, client, serve.LiveOptions{
		ProtectOptions: serve.ProtectOptions{Owner: o.owner, Data: o.data, KeyFile: o.keyFile, ShareFiles: o.shareFiles, Getenv: m.Getenv, Progress: bars.set, RangeRows: o.live.rangeRows},
		Undo:           o.live.undo, Proposal: o.live.proposal, Wait: o.live.wait, Rate: o.live.rate, MaxLag: o.live.maxLag,
		Tell: func(sentence string) { fmt.Fprintln(m.Stderr, "protect: "+sentence) },
	})
	bars.end()
	if err != nil {
		return err
	}
	return m.moved(report, o)
}

// estimateMove prints what protect would take.
func (m *Main) estimateMove(ctx context.Context, config *config.Config, o protectOptions) error {
	ring, err := config.FormRing()
	if err != nil {
		return err
	}
	columns, err := config.Codecs(ring)
	if err != nil {
		return err
	}
	estimates, err := protect.EstimateMove(ctx, config.OwnerDSN(o.owner), columns, protect.Options{Random: rand.Reader}, time.Now)
	if err != nil {
		return err
	}
	if o.json {
		tables := map[string]protect.Estimate{}
		for _, e := range estimates {
			tables[e.Table.String()] = e
		}
		return printJSON(m.Stdout, map[string]any{"estimates": tables})
	}
	var least, most float64
	var grows, log int64
	for _, e := range estimates {
		fmt.Fprintf(m.Stdout, "%-28s %d of about %d rows tried: %s to %s, grows by %s until old rows are vacuumed, %s of write-ahead log\n",
			e.Table, e.Sampled, e.Rows, roughly(e.Least), roughly(e.Most), bytesOf(e.Grows), bytesOf(e.Log))
		least, most, grows, log = least+e.Least, most+e.Most, grows+e.Grows, log+e.Log
	}
	return printLine(m.Stdout, "An estimate, from samples: %s to %s in all, %s of room for tables and indexes, %s for the write-ahead log. Nothing was changed.",
		roughly(least), roughly(most), bytesOf(grows), bytesOf(log))
}

func roughly(seconds float64) time.Duration {
	d := time.Duration(seconds * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

func bytesOf(n int64) string {
	const mib = 1 << 20
	if n < 1024*mib {
		return fmt.Sprintf("%.1f MiB", float64(n)/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/1024/mib)
}

func (m *Main) proposeUndo(ctx context.Context, client *api.Client, o protectOptions) error {
	if o.live.reason == "" {
		return config.Usagef("no reason; expected --undo --reason 'why', or --proposal ID that another person approved")
	}
	id, err := client.Undo(ctx, o.live.reason)
	if err != nil {
		return err
	}
	if err := m.proposed(id, &o.live.control); err != nil || o.json {
		return err
	}
	return printLine(m.Stdout, "and then, within a day\n  sallyport protect --undo --proposal %s …", id)
}

// moved prints what a run beside serve did.
func (m *Main) moved(report protect.Report, o protectOptions) error {
	if o.json {
		columns := make([]map[string]any, len(report.Columns))
		for i, c := range report.Columns {
			columns[i] = map[string]any{"column": c.Column.String(), "settled": c.Tokens, "moved": c.Moved}
		}
		return printJSON(m.Stdout, map[string]any{"columns": columns, "undone": o.live.undo, "remains": report.Remains, "steps": report.Steps})
	}
	what := "tokens"
	if o.live.undo {
		what = "plain"
	}
	for _, c := range report.Columns {
		fmt.Fprintf(m.Stdout, "%-40s %d values are %s, %d of them by this run\n", c.Column, c.Tokens, what, c.Moved)
	}
	if o.live.undo {
		return printLine(m.Stdout, "Undone: the values are plain. Leave the columns in the configuration until nobody saves any more what he read before. Once no database of this server is protected any more: DROP ROLE sallyport_mark.")
	}
	fmt.Fprintln(m.Stdout, "Protected. What still holds the values as they were, and how it is rid of them:")
	for _, left := range report.Remains {
		fmt.Fprintf(m.Stdout, "  %s\n      %s\n", left.What, left.Purge)
	}
	return nil
}
