package cli

import (
	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/keys"
)

func (m *Main) keysUnsealCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "unseal",
		Short: "Bring a share of the keys to a serve that starts sealed",
		Long: `Brings one share of those that 'sallyport keys init --quorum' made. A serve whose keys are split starts sealed and refuses its
clients until so many different people have each brought another share. Who brought which is on record. The share is asked for
unless --share-file names it; it never stands on a command line.`,
		Example: "  sallyport keys unseal --as s050\n  sallyport keys unseal --as s051 --share-file /media/usb/anna.share",
		Args:    exactly(0, "--as ID"),
	}
	cmd.Flags().StringVar(&file, "share-file", "", "`FILE` whose first line is the share (else asked for)")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if err := keys.Harden(); err != nil { // a share is as good as a part of the keys
			return err
		}
		share, err := m.share(file)
		if err != nil {
			return err
		}
		u, err := c.Unseal(cmd.Context(), share)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, u)
		}
		if u.Missing > 0 {
			return printLine(m.Stdout, "The share %s is in. %d of %d are still missing, of other people.", u.Share, u.Missing, u.Need)
		}
		return printLine(m.Stdout, "The share %s is in, and that is enough: the keys are opened.", u.Share)
	})
}

func (m *Main) share(file string) (string, error) {
	if file != "" {
		return config.ReadSecretFile(file)
	}
	return m.readPassword("Share: ")
}
