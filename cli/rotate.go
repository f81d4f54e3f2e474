package cli

import (
	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) keysRotateCommand() *cobra.Command {
	var group, reason, settings, owner string
	var follow bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Propose to give a join group a new key; another person approves it",
		Long: `Once another lead or security approves, new tokens of the group's columns are made with a new key, searches find both, and serve
makes new tokens of all older ones in the background ('sallyport status' shows how far it is; a restart goes on where it was). When
none is left, 'sallyport keys destroy' proposes to destroy the older key.

serve changes the rows as the reader's role, which must be allowed to: give --config and --owner once, and the command grants it. Of
integers and uuids, whose tokens do not show of which key they are, nothing is shown, found or written while that goes on; for them it makes
triggers, too.

--follow goes on until no older token is left, a line whenever something changed. Without --reason it follows a rotation that is under way.`,
		Example: `  sallyport keys rotate --group contact --reason 'yearly' --as s050
  sallyport keys rotate --group contact --follow --as s050
  sallyport keys rotate --group contact --reason 'yearly' --as s050 --config sallyport.yaml --owner postgres://postgres@127.0.0.1:5432/support`,
		Args: exactly(0, "--group GROUP --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&group, "group", "", "join `GROUP`")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	cmd.Flags().StringVar(&settings, "config", "", "configuration `FILE`, with --owner")
	cmd.Flags().StringVar(&owner, "owner", "", "`DSN` of the tables' owner, who lets the reader change the group's columns; needed once")
	cmd.Flags().BoolVar(&follow, "follow", false, "print how far it is until no older token is left")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		switch {
		case group == "":
			return config.Usagef("no group; expected --group GROUP, one that 'sallyport keys status' lists")
		case reason == "" && !follow:
			return config.Usagef("no reason; expected --reason 'what for'")
		case (settings == "") != (owner == ""):
			return config.Usagef("only one of --config and --owner; expected both or none")
		}
		if owner != "" {
			loaded, err := config.Load(settings)
			if err != nil {
				return err
			}
			if err := serve.LetReaderRenew(loaded, cmd.Context(), owner, group); err != nil {
				return err
			}
		}
		id := ""
		if reason != "" {
			var err error
			if id, err = c.RotateKey(cmd.Context(), group, reason); err != nil {
				return err
			}
			if err := m.proposed(id, f); err != nil || !follow {
				return err
			}
		}
		return m.followRotation(cmd.Context(), c, f, group, id)
	})
}

func (m *Main) keysDestroyCommand() *cobra.Command {
	var group, reason string
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Propose to destroy the older key of a join group that was rotated; another person approves it",
		Long: `Once another lead or security approves, serve looks at every row of the group's columns once more. Only if none has a token of the
older key is that key taken out of the ring. Tokens in backups of the database stay readable with backups of the ring that have it.`,
		Example: "  sallyport keys destroy --group contact --reason 'rotated on 1 March' --as s050",
		Args:    exactly(0, "--group GROUP --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&group, "group", "", "join `GROUP`")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		switch {
		case group == "":
			return config.Usagef("no group; expected --group GROUP, one that 'sallyport keys status' lists with two keys")
		case reason == "":
			return config.Usagef("no reason; expected --reason 'what for'")
		}
		id, err := c.DestroyKey(cmd.Context(), group, reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}
