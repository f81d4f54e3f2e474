package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/config"
)

// Main is the program, with everything that it takes from its surroundings; tests run the same one.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// Run executes one command line, without the program's name.
func (m *Main) Run(ctx context.Context, args []string) error {
	root := m.command() //nolint:contextcheck // cobra hands each command the context below
	root.SetArgs(args)
	root.SetIn(m.Stdin)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	return root.ExecuteContext(ctx)
}

func (m *Main) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "Customer data are readable for a checked reason only, by people trusted right now, and on the record",
		Long: `Sallyport stands in front of a PostgreSQL that holds customer data. Personal data at rest are tokens; a value is
revealed only for a reason that checks out, after a durable record entry, and within a budget of customers.`,
		Example:       "  sallyport serve --config sallyport.yaml --data /var/lib/sallyport",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return config.Usagef("%w (see '%s --help')", err, cmd.CommandPath())
	})
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return noCommand(root, strings.Join(args, " "))
			}
			return about.Help()
		},
	})
	root.AddCommand(
		m.demoCommand(), m.initCommand(), m.serveCommand(), m.protectCommand(), m.keysCommand(),
		m.lockCommand(),
		m.unlockCommand(),
		m.acceptMarkCommand(),
		m.gatewayCommand(),
		m.proposalsCommand(),
		m.approveCommand(),
		m.declineCommand(),
		m.requestCommand(),
		m.grantsCommand(),
		m.breakGlassCommand(),
		m.whoSawCommand(),
		m.findingsCommand(),
		m.explainCommand(),
		m.respondCommand(),
		m.traceCommand(),
		m.reportCommand(),
		m.apiTokenCommand(),
		m.assureCommand(),
		m.blastCommand(),
		m.caseCommand(),
		m.statusCommand(),
		m.topCommand(),
		m.checkCommand(),
		m.configCommand(),
		m.policyCommand(),
		m.replayCommand(),
		m.exportCommand(),
		m.importCommand(),
		m.loginCommand(),
		m.confirmCommand(),
		m.trustCommand(),
		m.directoryCommand(),
		m.scanCommand(),
		m.analyzeCommand(),
		m.simCommand(),
		m.passwdCommand(),
		m.benchCommand(),
		m.versionCommand(),
		m.ledgerCommand(),
		m.backupCommand(),
		m.restoreCommand(),
		m.detectCommand(),
		m.historyCommand(),
		m.historyStoreCommand(),
		m.unmaskCommand(),
		m.canaryCommand(),
		m.drillCommand(),
		m.programCommand(),
	)
	return root
}

// noCommand names what was most likely meant.
func noCommand(root *cobra.Command, name string) error {
	names := make([]string, 0, len(root.Commands()))
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	return config.Usagef("no command %q; expected %s (see 'sallyport --help')", name, config.OneOf(name, names))
}

// exactly asks for so many arguments and names them when they are wrong.
func exactly(n int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		if n == 0 {
			return config.Usagef("no argument %q; '%s' takes none (see '%s --help')", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return config.Usagef("%d arguments; expected '%s %s' (see '%s --help')", len(args), cmd.CommandPath(), names, cmd.CommandPath())
	}
}

// printJSON writes one value as one line.
func printJSON(w io.Writer, v any) error {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
