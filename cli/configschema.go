package cli

import (
	_ "embed"
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/config"
)

func (m *Main) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "About the configuration itself",
		Example: "  sallyport config schema > sallyport.schema.json",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of sallyport.yaml",
		Long: `Prints the shape of sallyport.yaml as a JSON schema (draft 7), with what each key means. An editor with a YAML language server
completes and checks a file that says where it is: put it beside the file, and this line on top of that:

  # yaml-language-server: $schema=sallyport.schema.json

What hangs on several keys, or on the database, is found by 'sallyport check' alone.`,
		Example: "  sallyport config schema > sallyport.schema.json",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			if _, err := m.Stdout.Write(config.Schema); err != nil {
				return fmt.Errorf("write output: %w", err)
			}
			return nil
		},
	})
	cmd.AddCommand(m.configProposeCommand())
	return cmd
}
