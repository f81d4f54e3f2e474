package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/record"
	"sallyport/serve"
)

func (m *Main) historyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "history",
		Short:   "Ask the past in SQL, or have it made again from the record",
		Example: "  sallyport history query 'SELECT person, count(DISTINCT customer) FROM reveals GROUP BY ALL' --as s051",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.historyQueryCommand(), m.historyRebuildCommand())
	return cmd
}

func (m *Main) historyQueryCommand() *cobra.Command {
	asCSV := false
	cmd := &cobra.Command{
		Use:   "query SQL",
		Short: "Answer one SELECT over what was revealed, reached, accessed and found",
		Long: `SQL is one SELECT in DuckDB's dialect over the views reveals, reached, accesses, sessions and findings (docs/history.md has
their columns); - reads it from standard input. People, purposes, sessions, addresses, devices and teams stand in them by
pseudonyms: 'sallyport unmask' shows a name to two people who agree. A question is bounded in time, memory and rows. That you
asked is itself recorded, without the texts and long numbers of the question.`,
		Example: `  sallyport history query "SELECT person, count(DISTINCT customer) AS customers FROM reveals WHERE day >= '2026-03-01' GROUP BY ALL ORDER BY 2 DESC LIMIT 10" --as s051
  sallyport history query 'SELECT * FROM findings' --json`,
		Args: exactly(1, "SQL --as ID"),
	}
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		sql := args[0]
		if sql == "-" {
			text, err := io.ReadAll(io.LimitReader(m.Stdin, 64<<10))
			if err != nil {
				return fmt.Errorf("read the question: %w", err)
			}
			sql = string(text)
		}
		answer, err := c.HistoryQuery(cmd.Context(), sql)
		if err != nil {
			return err
		}
		switch {
		case f.json:
			return printJSON(m.Stdout, answer)
		case asCSV:
			err = m.printCSV(answer)
		default:
			err = m.printRows(answer)
		}
		if err == nil && answer.Truncated {
			fmt.Fprintf(m.Stderr, "There is more: these are the first %d rows.\n", len(answer.Rows.Rows))
		}
		return err
	})
}

func (m *Main) printRows(answer api.HistoryAnswer) error {
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	heads := make([]string, len(answer.Columns))
	for i, c := range answer.Columns {
		heads[i] = serve.Printable(c)
	}
	fmt.Fprintln(table, strings.Join(heads, "\t"))
	for _, row := range answer.Rows.Rows {
		fmt.Fprintln(table, strings.Join(texts(row), "\t"))
	}
	return table.Flush()
}

func (m *Main) printCSV(answer api.HistoryAnswer) error {
	out := csv.NewWriter(m.Stdout)
	if err := out.Write(answer.Columns); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	for _, row := range answer.Rows.Rows {
		if err := out.Write(texts(row)); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

func texts(row []any) []string {
	list := make([]string, len(row))
	for i, v := range row {
		if v != nil {
			list[i] = serve.Printable(fmt.Sprint(v))
		}
	}
	return list
}

func (m *Main) historyRebuildCommand() *cobra.Command {
	var reason string
	offline, epoch := false, false
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make history again from the record",
		Long: `Has a running serve remove its history and make it again from the record; who-saw answers from the record meanwhile. It is
never needed for a history that was lost or damaged: serve does that by itself. With --offline, while no serve runs, it only
removes it, and the next start of serve makes it again; with --new-pseudonyms everybody gets a new one then, and what was
learned under the old ones does not carry over.`,
		Example: "  sallyport history rebuild --reason 'entries were erased' --as s051\n  sallyport history rebuild --offline --new-pseudonyms --data ./data",
		Args:    exactly(0, ""),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	cmd.Flags().BoolVar(&offline, "offline", false, "remove it while no serve runs")
	cmd.Flags().BoolVar(&epoch, "new-pseudonyms", false, "with --offline: give everybody another pseudonym")
	online := m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what happened'")
		}
		if err := c.HistoryRebuild(cmd.Context(), reason); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"rebuilding": true})
		}
		return printLine(m.Stdout, "History is being made again; 'sallyport status' says how far it is.")
	})
	running := online.RunE
	online.RunE = func(cmd *cobra.Command, args []string) error {
		if !offline {
			if epoch {
				return config.Usagef("--new-pseudonyms without --offline; expected both")
			}
			return running(cmd, args)
		}
		data, err := cmd.Flags().GetString("data")
		if err != nil {
			return err
		}
		asJSON, err := cmd.Flags().GetBool("json")
		if err != nil {
			return err
		}
		return m.removeHistory(data, epoch, asJSON)
	}
	return online
}

// removeHistory works on a data folder that nobody serves from.
func (m *Main) removeHistory(data string, epoch, asJSON bool) error {
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	access, err := serve.OpenRecord(data, "access", record.Options{}, m.logger(false)) // nobody else may have it open
	if err != nil {
		return err
	}
	defer access.Close() //nolint:errcheck // nothing was written
	if err := wipeHistory(data, epoch); err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.Stdout, map[string]any{"removed": true, "new_pseudonyms": epoch})
	}
	return printLine(m.Stdout, "History is removed; the next start of serve makes it again from the record.")
}

func (m *Main) unmaskCommand() *cobra.Command {
	var reason string
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "unmask [PSEUDONYM]",
		Short: "Ask to see who stands behind a pseudonym, or list whom you may see",
		Long: `Proposes that you may see the name behind a pseudonym of who-saw or 'history query'. Another lead or security approves it,
neither of you the person it is about; then both of you, and nobody else, see the name and the purposes in who-saw, until the
time is over. Without a pseudonym it lists whom you may see now. All of it is recorded.`,
		Example: "  sallyport unmask p-x4k9qcd27h --reason 'case 17: nine customers were called' --as s050\n  sallyport approve k3x7q2mzpa --as s051\n  sallyport unmask --as s050",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return config.Usagef("%d arguments; expected none, or one pseudonym", len(args))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	cmd.Flags().DurationVar(&lasts, "for", api.DefaultUnmask, "how long, from the approval on, at most 168h")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if len(args) == 0 {
			return m.listUnmasked(cmd, c, f.json)
		}
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what happened'")
		}
		id, err := c.Unmask(cmd.Context(), args[0], reason, lasts)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]string{"proposal": id})
		}
		return printLine(m.Stdout, "Proposed as %s. Nothing is shown yet: somebody else must approve it: sallyport approve %s --as ID", id, id)
	})
}

func (m *Main) listUnmasked(cmd *cobra.Command, c *api.Client, asJSON bool) error {
	list, err := c.Unmasked(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.Stdout, map[string]any{"unmasked": list})
	}
	if len(list) == 0 {
		return printLine(m.Stdout, "You may see nobody's name.")
	}
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PSEUDONYM\tWHO\tUNTIL")
	for _, u := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\n", u.Person, u.Staff, u.Until.Format(time.RFC3339))
	}
	return table.Flush()
}
