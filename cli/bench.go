package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/sim"
)

// benchOptions are the command line of bench.
type benchOptions struct {
	customers       int64
	rounds, seconds int
	clients         []int
	only            []string
	json            bool
}

// The parts of bench.
const (
	benchTransactions = "transactions"
	benchRows         = "rows"
	benchReveals      = "reveals"
)

func (m *Main) benchCommand() *cobra.Command {
	var o benchOptions
	parts := []string{benchTransactions, benchRows, benchReveals}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what Sallyport costs on this machine, beside a direct connection and pgbouncer",
		Long: `Starts a PostgreSQL of its own, fills and protects it, and does the same work straight at the server, through pgbouncer where
the distribution's program is installed, and through 'sallyport serve' in a process of its own: in turn, round by round,
so that a machine whose speed drifts is equally unfair to all. Printed are medians and ratios. docs/performance.md explains each line.`,
		Example: `  sallyport bench
  sallyport bench --only transactions --clients 8,64 --rounds 5 --seconds 10 --json`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, part := range o.only {
				if !slices.Contains(parts, part) {
					return config.Usagef("--only %s; expected %s", part, config.OneOf(part, parts))
				}
			}
			if o.customers < fewestCustomers || o.rounds < 1 || o.seconds < 1 || len(o.clients) == 0 {
				return config.Usagef("--customers %d --rounds %d --seconds %d; expected at least %d customers, 1 round and 1 second", o.customers, o.rounds, o.seconds, fewestCustomers)
			}
			return m.bench(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&o.customers, "customers", 1_000_000, "how many customers the database holds, `N`: the rows of the wide results")
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is done, `N`")
	flags.IntVar(&o.seconds, "seconds", 5, "how long each run of pgbench takes, `S`")
	flags.IntSliceVar(&o.clients, "clients", []int{1, 8, 64}, "numbers of clients of pgbench")
	flags.StringSliceVar(&o.only, "only", parts, "which parts are measured")
	flags.BoolVar(&o.json, "json", false, "print the figures as one JSON object")
	return cmd
}

// bench is one run of all measurements.
type bench struct {
	*benchStage
	o benchOptions
}

// benchReport is what was measured. Every line has its medians by way: direct, pgbouncer, sallyport.
type benchReport struct {
	Machine string      `json:"machine"`
	Lines   []benchLine `json:"lines"`
}

// benchLine is one kind of work.
type benchLine struct {
	Work    string             `json:"work"`
	Unit    string             `json:"unit"` // tps, s or ms
	Medians map[string]float64 `json:"medians"`
	Ratio   map[string]float64 `json:"ratio_to_direct"`         // median of the rounds' own ratios
	CPU     map[string]float64 `json:"cpu_us,omitempty"`        // of the program in between, per transaction or row
	P99     map[string]float64 `json:"p99_ms,omitempty"`        // latency
	Behind  float64            `json:"cpu_us_behind,omitempty"` // of serve and history's process once the answer was there: what was put off
	Memory  float64            `json:"mib_over_idle,omitempty"` // of serve, over what it held when it had just begun to listen
}

func (m *Main) bench(ctx context.Context, o benchOptions) (err error) {
	org, err := sim.New(1, o.customers, time.Now())
	if err != nil {
		return err
	}
	b := &bench{o: o, benchStage: &benchStage{demoStage: &demoStage{org: org, clock: &demoClock{}, held: true, bench: true}}}
	defer func() { err = errors.Join(err, b.strike()) }()
	bars := newBars(m.Stderr)
	err = b.set(ctx, bars.set)
	bars.end()
	if err != nil {
		return fmt.Errorf("prepare the benchmark: %w", err)
	}
	report := benchReport{Machine: benchMachine()}
	for _, part := range []struct {
		name    string
		measure func(context.Context) ([]benchLine, error)
	}{{benchTransactions, b.transactions}, {benchRows, b.rows}, {benchReveals, b.reveals}} {
		if !slices.Contains(o.only, part.name) {
			continue
		}
		lines, err := part.measure(ctx)
		if err != nil {
			return fmt.Errorf("measure %s: %w", part.name, err)
		}
		report.Lines = append(report.Lines, lines...)
		if !o.json {
			m.printBench(lines)
		}
	}
	if o.json {
		return printJSON(m.Stdout, report)
	}
	fmt.Fprintln(m.Stdout, report.Machine)
	return nil
}

// printBench prints lines as rows of a Markdown table.
func (m *Main) printBench(lines []benchLine) {
	fmt.Fprintln(m.Stdout, "| work | direct | pgbouncer | Sallyport | pgbouncer ÷ direct | Sallyport ÷ direct | CPU µs pgbouncer, Sallyport, put off | p99 ms direct, pgbouncer, Sallyport | MiB over idle |")
	fmt.Fprintln(m.Stdout, "|---|---|---|---|---|---|---|---|---|")
	for _, l := range lines {
		figure := func(from map[string]float64, way, format, unit string) string {
			if v, ok := from[way]; ok {
				return fmt.Sprintf(format, v) + unit
			}
			return "–"
		}
		format := map[string]string{"tps": "%.0f", "s": "%.3f", "ms": "%.3f"}[l.Unit]
		fmt.Fprintf(m.Stdout, "| %s | %s | %s | %s | %s | %s | %s, %s, %s | %s, %s, %s | %s |\n", l.Work,
			figure(l.Medians, wayDirect, format, " "+l.Unit), figure(l.Medians, wayPooler, format, " "+l.Unit), figure(l.Medians, wayGateway, format, " "+l.Unit),
			figure(l.Ratio, wayPooler, "%.2f", ""), figure(l.Ratio, wayGateway, "%.2f", ""),
			figure(l.CPU, wayPooler, "%.1f", ""), figure(l.CPU, wayGateway, "%.1f", ""), figure(map[string]float64{"": l.Behind}, "", "%.1f", ""),
			figure(l.P99, wayDirect, "%.2f", ""), figure(l.P99, wayPooler, "%.2f", ""), figure(l.P99, wayGateway, "%.2f", ""),
			figure(map[string]float64{"": l.Memory}, "", "%.0f", ""))
	}
	fmt.Fprintln(m.Stdout)
}

// rounds does the work of each way in turn and gathers what it says.
func (b *bench) inTurn(ctx context.Context, ways []string, work func(ctx context.Context, way string) (float64, error)) (map[string][]float64, error) {
	all := map[string][]float64{}
	for range b.o.rounds {
		for _, way := range ways {
			if _, err := b.gateway.settle(ctx); err != nil { // else it works behind somebody else's figure
				return nil, err
			}
			v, err := work(ctx, way)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			all[way] = append(all[way], v)
		}
	}
	return all, nil
}

// line makes a line of what the rounds gave: ratios are taken within a round, then their median.
func newBenchLine(work, unit string, rounds map[string][]float64) benchLine {
	l := benchLine{Work: work, Unit: unit, Medians: map[string]float64{}, Ratio: map[string]float64{}, CPU: map[string]float64{}, P99: map[string]float64{}}
	for way, values := range rounds {
		l.Medians[way] = median(values)
		if way == wayDirect {
			continue
		}
		ratios := make([]float64, len(values))
		for i, v := range values {
			ratios[i] = v / rounds[wayDirect][i]
		}
		l.Ratio[way] = median(ratios)
	}
	return l
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
