package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/config"
	"sallyport/detect"
	logs "sallyport/sources"
)

// detectCommand is what is done about detection itself.
func (m *Main) detectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "detect",
		Short:   "Make detection know a company: mine its past for explanations",
		Example: "  sallyport detect mine events.jsonl --staff staff.csv --tickets tickets.csv",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.mineCommand())
	return cmd
}

func (m *Main) mineCommand() *cobra.Command {
	var o analyzeOptions
	var known string
	cmd := &cobra.Command{
		Use:   "mine EVENTS...",
		Short: "Propose explanations that fit many looks without a reason, and no known theft",
		Long: `Reads a company's past logs as 'sallyport analyze' does and proposes templates, by role: those that would explain at least a tenth of the looks without a reason, three times as many
as chance, and hardly any of the known thefts. They are printed as YAML, switched off, to be read by somebody, put beside the program's own, and given to analyze with --templates.`,
		Example: "  sallyport detect mine events.jsonl --staff staff.csv --tickets tickets.csv --ticket-events ticket_events.csv --known thefts.csv",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return config.Usagef("no events; expected 'sallyport detect mine EVENTS...' (see 'sallyport detect mine --help')")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files.Events = args
			return m.mine(cmd, o, known)
		},
	}
	flags := cmd.Flags()
	o.files.register(flags)
	o.budget = "12/year/1000"
	flags.StringVar(&o.templates, "templates", "", "`FILE` of explanations (YAML) instead of the program's own")
	flags.StringVar(&known, "known", "", "`FILE` of known thefts (CSV: staff, from, to)")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.BoolVar(&o.strict, "strict", false, "end at the first line that cannot be read")
	return cmd
}

func (m *Main) mine(cmd *cobra.Command, o analyzeOptions, known string) error {
	thefts, err := readThefts(known)
	if err != nil {
		return err
	}
	options, err := o.detect()
	if err != nil {
		return err
	}
	detector, err := detect.New(options)
	if err != nil {
		return config.Usagef("%w", err)
	}
	miner, err := detect.NewMiner(detector, thefts)
	if err != nil {
		return err
	}
	run := &analysis{Alarms: map[string]time.Time{}, Names: map[sallyport.Staff]string{}, detector: detector}
	reader := &logs.Reader{Stdin: m.Stdin, Strict: o.strict, Report: m.tellProblems()}
	if err := run.read(cmd.Context(), reader, o.files.Files, func(*detect.Finding) error { return nil }); err != nil {
		return err
	}
	list := miner.Proposals()
	switch {
	case o.json:
		err = printJSON(m.Stdout, map[string]any{"proposals": list})
	case len(list) == 0:
		fmt.Fprintln(m.Stdout, "# Nothing is to be proposed: no further explanation fits a tenth of any role's looks.")
	default:
		fmt.Fprint(m.Stdout, detect.YAML(list))
	}
	if err == nil && len(list) > 0 {
		return ErrFound
	}
	return err
}

// readThefts reads a table of known thefts.
func readThefts(name string) ([]detect.Theft, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, config.Usagef("read known thefts: %w", err)
	}
	defer f.Close()
	rows := csv.NewReader(f)
	if header, err := rows.Read(); err != nil || len(header) < 3 || header[0] != "staff" || header[1] != "from" || header[2] != "to" {
		return nil, config.Usagef("%s: expected a header staff,from,to", name)
	}
	var list []detect.Theft
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, config.Usagef("read known thefts: %w", err)
		}
		from, errFrom := time.Parse(time.RFC3339, row[1])
		to, errTo := time.Parse(time.RFC3339, row[2])
		if errFrom != nil || errTo != nil {
			line, _ := rows.FieldPos(0)
			return nil, config.Usagef("%s:%d: from or to is no time; expected RFC 3339 with an offset", name, line)
		}
		list = append(list, detect.Theft{Staff: sallyport.Staff(row[0]), From: from, To: to})
	}
}
