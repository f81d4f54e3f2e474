package cli

import (
	"context"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) ledgerEraseCommand() *cobra.Command {
	var reason, customer string
	cmd := &cobra.Command{
		Use:   "erase EVENTS … | --customer ID",
		Short: "Propose to erase entries of the record; another person approves it",
		Long: `EVENTS is access:SEQ or access:SEQ-SEQ, or control: likewise; all of one stream. Once another lead or security approves, serve puts on record
which entries go, and then removes their salts and bodies. Their places and commitments stay, so that everything else can be proven as before, and
'ledger verify' accepts just these absences. It cannot be undone. Entries from which it follows who may see what are kept, as are those of the last
35 days, and what the configuration holds (retention.hold).

With --customer it is everything that speaks of this customer and of nobody else, in both streams; what of him stays, and why, is printed. The files that
outputs of the configuration keep on this machine lose it, too; whoever was sent it is told by the entry that lists it.`,
		Example: `  sallyport ledger erase access:4711-4720 access:4733 --reason 'asked for erasure on 3 March' --as s050
  sallyport ledger erase --customer 48211 --reason 'asked for erasure on 3 March' --as s050`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && customer != "" {
				return config.Usagef("both entries and --customer; expected one of them")
			}
			if len(args) == 0 && customer == "" {
				return config.Usagef("no entries; expected 'sallyport ledger erase access:SEQ-SEQ … --reason TEXT --as ID'")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record; no personal data")
	cmd.Flags().StringVar(&customer, "customer", "", "`ID` of a customer: all that the record says of him alone")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what for'")
		}
		if customer != "" {
			return m.eraseCustomer(cmd.Context(), c, sallyport.Subject(customer), reason, f)
		}
		stream, runs, err := serve.ParseRuns(args)
		if err != nil {
			return &config.UsageError{Err: err}
		}
		id, err := c.Erase(cmd.Context(), stream, runs, reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}

// eraseCustomer proposes, and prints what is owed besides.
func (m *Main) eraseCustomer(ctx context.Context, c *api.Client, customer sallyport.Subject, reason string, f *controlFlags) error {
	answer, err := c.EraseCustomer(ctx, customer, reason)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(m.Stdout, answer)
	}
	if len(answer.Proposals) == 0 {
		return printLine(m.Stdout, "The record holds nothing that speaks of this customer alone and can be erased now. What stays:\n%s", owedLines(&answer.Owed))
	}
	for _, id := range answer.Proposals {
		if err := m.proposed(id, f); err != nil {
			return err
		}
	}
	return printLine(m.Stdout, "%d entries would be erased. What stays:\n%s", answer.Entries, owedLines(&answer.Owed))
}
