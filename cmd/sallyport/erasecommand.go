package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/api"
)

func (m *Main) ledgerEraseCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "erase EVENTS …",
		Short: "Propose to erase entries of the record; another person approves it",
		Long: `EVENTS is access:SEQ or access:SEQ-SEQ, or control: likewise; all of one stream. Once another lead or security approves, serve puts on record
which entries go, and then removes their salts and bodies. Their places and commitments stay, so that everything else can be proven as before, and
'ledger verify' accepts just these absences. It cannot be undone. Entries from which it follows who may see what are kept, as are those of the last
35 days, and what the configuration holds (retention.hold).`,
		Example: `  sallyport ledger erase access:4711-4720 access:4733 --reason 'asked for erasure on 3 March' --as s050`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no entries; expected 'sallyport ledger erase access:SEQ-SEQ … --reason TEXT --as ID'")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record; no personal data")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return usagef("no reason; expected --reason 'what for'")
		}
		stream, runs, err := parseRuns(args)
		if err != nil {
			return &usageError{err}
		}
		id, err := c.Erase(cmd.Context(), stream, runs, reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}

// parseRuns reads entries of one stream, and puts them in order.
func parseRuns(args []string) (stream string, runs []uint64, err error) {
	var all [][2]uint64
	for _, text := range args {
		of, run, err := parseRun(text)
		if err != nil {
			return "", nil, err
		}
		if stream != "" && of.String() != stream {
			return "", nil, errors.New("entries of two streams; expected those of one")
		}
		stream = of.String()
		all = append(all, run)
	}
	slices.SortFunc(all, func(a, b [2]uint64) int {
		if a[0] < b[0] {
			return -1
		}
		return 1
	})
	for _, run := range all {
		if n := len(runs); n > 0 && run[0] <= runs[n-1]+1 {
			runs[n-1] = max(runs[n-1], run[1])
			continue
		}
		runs = append(runs, run[0], run[1])
	}
	return stream, runs, nil
}
