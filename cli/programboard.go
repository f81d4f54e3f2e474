package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program/board"
)

func (m *Main) programBoardCommand() *cobra.Command {
	var f programFlags
	var of, html string
	var documents []string
	cmd := &cobra.Command{
		Use:   "board",
		Short: "Make the board's page of a month: one page to be printed, with figures from the record alone",
		Long: `Exposure for 1,000 tickets, the share of looks that nothing explains, times to detect, contain and name from drills and cases, false alarms beside the promise, reviews, training, drift,
each over twelve months. Where the record has nothing it says 'not measured', and why.
` + howReports + `

Exit status 0: made; 2: wrong usage.`,
		Example: "  sallyport program board --month 2026-11 --html board.html --document access-policy.md --config sallyport.yaml --data /tmp/copy --key-file key.txt",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.Flags().StringVar(&of, "month", "", "the `MONTH`, as 2026-11 (default: the present one)")
	cmd.Flags().StringVar(&html, "html", "", "write the page into `FILE` (default: print the figures)")
	cmd.Flags().StringArrayVar(&documents, "document", nil, "`FILE` with a written policy, for drift; as often as there are documents (default: those of console.documents)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		docs, err := config.DocumentsAt(documents)
		if err != nil {
			return err
		}
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "board", Month: of, Documents: docs}, func(found json.RawMessage) error {
			page, err := readReport[*board.Page](found)
			if err != nil {
				return err
			}
			return m.printBoard(page, html, f.json)
		})
	}
	return cmd
}

func (m *Main) printBoard(p *board.Page, html string, asJSON bool) error {
	if html != "" {
		file, err := os.OpenFile(html, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // whoever runs the command names the file
		if err != nil {
			return fmt.Errorf("write the board's page: %w", err)
		}
		if err := p.WriteHTML(file); err != nil {
			_ = file.Close()
			return err
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("write the board's page: %w", err)
		}
	}
	if asJSON {
		return printJSON(m.Stdout, p)
	}
	if html != "" {
		return printLine(m.Stdout, "%s: %s", html, p.Month)
	}
	return p.WriteText(m.Stdout)
}
