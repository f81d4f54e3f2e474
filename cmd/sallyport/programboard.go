package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/detect"
	"sallyport/program"
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
		docs, err := documentsAt(documents)
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

// board makes the page of a month.
func (r *programRecord) board(ctx context.Context, q *api.ReportQuestion) (*board.Page, error) {
	month := r.now
	if q.Month != "" {
		var err error
		if month, err = time.Parse("2006-01", q.Month); err != nil {
			return nil, usagef("--month %q is no month; expected one such as 2026-11", q.Month)
		}
	}
	docs, err := documentsOf(q)
	if err != nil {
		return nil, err
	}
	budget := 0.0
	if !r.config.Detect.Off {
		options, err := r.config.detectOptions()
		if err != nil {
			return nil, err
		}
		if budget = options.Budget; budget == 0 {
			budget = detect.DefaultBudget
		}
	}
	book := board.NewBook(budget)
	if err := r.looked(ctx, func(s *looking) { book.Input(s.in, s.looks, s.unexplained, s.days) }); err != nil {
		return nil, err
	}
	if err := r.control.Read(1, func(e *sallyport.Event) error {
		book.Control(e)
		return ctx.Err()
	}); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	page := book.Page(month, r.now)
	page.Record, page.Entries = r.access.ID(), r.access.Last()+r.control.Last()
	if len(docs) > 0 {
		policies, err := r.enforcing(ctx, q.Days)
		if err != nil {
			return nil, err
		}
		page.Drift = board.DriftOf(program.FindDrift(docs, policies, r.members(), r.book.Read))
	}
	return page, nil
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
