package cli

import (
	"github.com/spf13/cobra"
)

func (m *Main) programCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "program",
		Short:   "What an insider-threat programme does beside the software: assets, rotation, many eyes, written policies, reviews, outside firms",
		Long:    "Reads it from the record and from a few files. docs/programme.md is for whoever must run such a programme from Monday.",
		Example: "  sallyport program rotate --verify plan.draw.json\n  sallyport program status --as s051",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.programRotateCommand(), m.programHandoverCommand(), m.programSeparationCommand(), m.programDriftCommand(), m.programAcknowledgeCommand())
	cmd.AddCommand(m.programAssetsCommand(), m.programPrivilegesCommand(), m.programReviewCommand(), m.programFirmsCommand(), m.programFirmCommand(), m.programOffboardingCommand(), m.programStatusCommand())
	cmd.AddCommand(m.programTrainingCommand(), m.programDrillsCommand(), m.programBoardCommand())
	return cmd
}
