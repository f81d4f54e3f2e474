package cli

import (
	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
)

func (m *Main) gatewayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "gateway",
		Short:   "The gateways of a controller",
		Example: "  sallyport gateway forget gw2 --reason 'its disk burnt' --as s050 --data ./data",
	}
	cmd.AddCommand(m.gatewayForgetCommand())
	return cmd
}

func (m *Main) gatewayForgetCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "forget NAME",
		Short: "Propose to take what a gateway was lent for spent, since its disk is lost",
		Long: `What a gateway was lent of budgets stays lent until its record says what became of it. Where that record is lost nobody will ever know, so one
lead or security proposes by this command, and another approves, that all of it counts as spent, for as long as a window is long. Then the gateway may
come back with an empty data folder. Never do it with a gateway whose record can be had: start that instead.`,
		Example: "  sallyport gateway forget gw2 --reason 'its disk burnt' --as s050 --data ./data",
		Args:    exactly(1, "NAME --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what happened'")
		}
		id, err := c.ForgetGateway(cmd.Context(), args[0], reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}
