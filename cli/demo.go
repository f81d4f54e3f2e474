package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport/config"
	"sallyport/internal/throwaway"
	"sallyport/sim"
	"sallyport/trace"
)

// demoOptions are the command line of demo.
type demoOptions struct {
	customers  int64
	seed       uint64
	hold, json bool
	stay       bool // keep serving once the story is told
	keep       string
}

func (m *Main) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything on this machine: a private PostgreSQL, a working day, a theft in five ways, and what became of it",
		Long: `Starts a PostgreSQL of its own, fills it with a made-up support organisation, and steals its customers: first straight at the
database, then, once the rows are protected, in five ways through the gateway. Every figure is measured in that run. On a terminal everything keeps running then: it prints the address of the pages,
which tell the story, and who logs in (--stay without a terminal, --stay=false to end at once). With --hold nothing is stolen: everything
keeps running from the beginning, for you to try. Whatever was started and made is removed at the end.`,
		Example: `  sallyport demo
  sallyport demo --customers 12000000
  sallyport demo --stay > story.txt
  sallyport demo --hold`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.customers < fewestCustomers {
				return config.Usagef("--customers %d; expected at least %d", o.customers, fewestCustomers)
			}
			if f, ok := m.Stdout.(*os.File); ok && !cmd.Flags().Changed("stay") {
				o.stay = term.IsTerminal(int(f.Fd()))
			}
			o.stay = o.stay && !o.json
			return m.demo(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&o.customers, "customers", 200_000, "how many customers the database holds, `N`")
	flags.Uint64Var(&o.seed, "seed", 1, "another number makes up other people and another day")
	flags.BoolVar(&o.hold, "hold", false, "play no story; keep everything running and print what to try, until interrupted")
	flags.BoolVar(&o.stay, "stay", false, "once the story is told, keep everything running until interrupted; left out: where this is a terminal")
	flags.BoolVar(&o.json, "json", false, "print the figures as one JSON object; with --hold: where everything is, as one line")
	flags.StringVar(&o.keep, "keep", "", "make the record, the keys and the configuration in this new `FOLDER` and leave them there")
	return cmd
}

// fewestCustomers is how many the made-up working day needs, so that people have something to do.
const fewestCustomers = 1000

// stolen2019 is how many customers' data, at least, left a security company in 2019, by its own word: of 68,000 to 120,000 customers.
const stolen2019 = 68_000

// demo is one demonstration.
type demo struct {
	*demoStage
	o       demoOptions
	m       *Main
	out     io.Writer // of the story; nobody reads it under --json
	figures demoFigures
	began   time.Time
	notes   *roaring.Bitmap // what the fifth thief wrote down
	told    []trace.Report  // what customers reported
}

// demo plays the story from the first row to the name of the thief, or holds the stage for visitors.
func (m *Main) demo(ctx context.Context, o demoOptions) (err error) {
	d := &demo{o: o, m: m, out: m.Stdout, began: time.Now()}
	if o.json {
		d.out = io.Discard
	}
	clock := &demoClock{}
	now := time.Now()
	if !o.hold {
		now = demoMonday
		clock.advance(now)
	}
	org, err := sim.New(o.seed, o.customers, now)
	if err != nil {
		return err
	}
	d.demoStage = &demoStage{org: org, clock: clock, held: o.hold, keep: o.keep}
	defer func() {
		interrupted := ctx.Err() != nil && err != nil
		if interrupted {
			err = errors.New("demonstration interrupted; what it started and made is gone")
		}
		err = errors.Join(err, d.strike())
	}()
	if o.hold {
		return d.hold(ctx)
	}
	for _, act := range []func(context.Context) error{d.build, d.stealDirectly, d.protect, d.open, d.workingDay, d.softLevel, d.fiveThefts, d.reports} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	if err := d.conclude(); err != nil || !o.stay {
		return err
	}
	return d.stay(ctx)
}

// demoMonday is when the story begins, on its own clock.
var demoMonday = time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// build starts the private PostgreSQL and fills it.
func (d *demo) build(ctx context.Context) error {
	d.title("A private PostgreSQL with %s customers", grouped(d.org.Customers))
	start := time.Now()
	bars := newBars(d.m.Stderr)
	err := d.demoStage.build(ctx, bars.set)
	bars.end()
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		return err
	}
	if err != nil {
		return fmt.Errorf("build the stage: %w", err)
	}
	f := &d.figures
	f.Customers, f.Staff, f.Tickets, f.Seed = d.org.Customers, len(d.org.Staff), d.org.Tickets, d.o.seed
	f.LoadSeconds = time.Since(start).Seconds()
	d.say("%s customers, %s tickets, %s messages, %s contacts and %d staff in %s (wall clock). All of it is made up.",
		grouped(d.org.Customers), grouped(d.org.Tickets), grouped(d.org.Messages), grouped(d.org.Contacts), len(d.org.Staff), wall(start))
	return nil
}

// protect turns the rows into tokens, with the code of the protect command.
func (d *demo) protect(ctx context.Context) error {
	d.title("Protect what is there")
	start := time.Now()
	bars := newBars(d.m.Stderr)
	values, err := d.demoStage.protect(ctx, bars.set)
	bars.end()
	if err != nil {
		return fmt.Errorf("protect the database: %w", err)
	}
	d.figures.Protect = demoProtect{Values: values, Seconds: time.Since(start).Seconds()}
	d.say("%s values are tokens after %s (wall clock): names, e-mail addresses, telephone numbers, dates of birth, notes, ticket\n"+
		"numbers, subjects, messages. The keys are in a file that is not in the database.", grouped(values), wall(start))
	return nil
}

// open starts the gateway.
func (d *demo) open(ctx context.Context) error {
	start := time.Now()
	if err := d.serve(ctx); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	d.say("The gateway serves on %s after %s (wall clock), with the default budgets: %s", d.server.Addr(), wall(start), defaultBudgets())
	return nil
}
