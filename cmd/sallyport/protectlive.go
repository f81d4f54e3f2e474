package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"sallyport"
	"sallyport/api"
	"sallyport/keys"
	"sallyport/protect"
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
func (m *Main) protectLive(ctx context.Context, config *Config, o protectOptions) error {
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
	report, err := ProtectLive(ctx, config, client, LiveOptions{
		ProtectOptions: ProtectOptions{Owner: o.owner, Data: o.data, KeyFile: o.keyFile, ShareFiles: o.shareFiles, Getenv: m.Getenv, Progress: bars.set, RangeRows: o.live.rangeRows},
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
func (m *Main) estimateMove(ctx context.Context, config *Config, o protectOptions) error {
	ring, err := config.formRing()
	if err != nil {
		return err
	}
	columns, err := config.codecs(ring)
	if err != nil {
		return err
	}
	estimates, err := protect.EstimateMove(ctx, config.ownerDSN(o.owner), columns, protect.Options{Random: rand.Reader}, time.Now)
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
		return usagef("no reason; expected --undo --reason 'why', or --proposal ID that another person approved")
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
		return printLine(m.Stdout, "Undone: the values are plain. Once no database of this server is protected any more: DROP ROLE sallyport_mark.")
	}
	fmt.Fprintln(m.Stdout, "Protected. What still holds the values as they were, and how it is rid of them:")
	for _, left := range report.Remains {
		fmt.Fprintf(m.Stdout, "  %s\n      %s\n", left.What, left.Purge)
	}
	return nil
}

// LiveOptions are what ProtectLive needs besides the configuration.
type LiveOptions struct {
	ProtectOptions
	Undo     bool
	Proposal string // of undoing
	Wait     bool
	Rate     int
	MaxLag   time.Duration
	Tell     func(sentence string)
}

// ProtectLive moves the configured columns in, or out, beside the serve that client talks to.
func ProtectLive(ctx context.Context, config *Config, client *api.Client, o LiveOptions) (report protect.Report, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if err := keys.Harden(); err != nil {
		return report, err
	}
	// serve has the record open; what becomes of the columns stands there.
	assembly, err := config.openOffline(o.Data, o.ShareFiles, func(share string) error {
		what := "protect --online"
		if o.Undo {
			what = "protect --undo"
		}
		return client.Opening(ctx, share, what)
	})
	if err != nil {
		return report, err
	}
	// The file may have been put back since serve read it.
	serving, err := client.Serving(ctx)
	if err != nil {
		return report, err
	}
	opened, err := config.openKeys(ctx, keyring{data: o.Data, keyFile: o.KeyFile, getenv: o.Getenv, clock: o.Clock, assembly: assembly, known: serving.Keys}, false)
	if err != nil {
		return report, err
	}
	defer opened.Close()
	ring, err := config.ring(opened.Keys())
	if err != nil {
		return report, err
	}
	columns, err := config.codecs(ring)
	if err != nil {
		return report, err
	}
	reader, err := config.readerRole()
	if err != nil {
		return report, err
	}
	shredded, err := client.ShreddedTokens(ctx)
	if err != nil {
		return report, err
	}
	options := protect.Options{
		Dead: nothingBy(func(d sallyport.Digest) bool { return shredded[d] }),
		DSN:  config.ownerDSN(o.Owner), Columns: columns, Reader: reader, Random: rand.Reader, Progress: o.Progress, Proposal: o.Proposal, RangeRows: o.RangeRows,
		Live: liveOf(client, o),
	}
	if o.Undo {
		return protect.MoveOut(ctx, options)
	}
	report, err = protect.MoveIn(ctx, options)
	if err == nil {
		err = config.note(ctx, o.ProtectOptions)
	}
	return report, err
}

// liveOf is the serve behind a control socket.
func liveOf(client *api.Client, o LiveOptions) *protect.Live {
	return &protect.Live{
		Serving: func(ctx context.Context) (protect.Serving, error) {
			s, err := client.Serving(ctx)
			return protect.Serving{
				RecordID: s.RecordID, Position: s.Position, Backends: s.Backends,
				States: protect.States{Columns: s.States.Columns, Moving: s.States.Moving, Leaving: s.States.Leaving},
			}, err
		},
		Record: func(ctx context.Context, s protect.States) error {
			return client.Record(ctx, api.States{Columns: s.Columns, Moving: s.Moving, Leaving: s.Leaving, Proposal: s.Proposal})
		},
		Enter: client.Enter,
		Now:   o.Clock, Tell: o.Tell, Wait: o.Wait, Rate: o.Rate, MaxLag: o.MaxLag,
	}
}
