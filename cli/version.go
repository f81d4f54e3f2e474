package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (m *Main) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version and what it was built with",
		Example: "  sallyport version --json",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			version, revision := "(unknown)", "(unknown)"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
				for _, setting := range info.Settings {
					if setting.Key == "vcs.revision" {
						revision = setting.Value
					}
				}
			}
			if asJSON {
				return printJSON(m.Stdout, map[string]string{"version": version, "revision": revision, "go": runtime.Version()})
			}
			_, err := fmt.Fprintf(m.Stdout, "sallyport %s, revision %s, %s\n", version, revision, runtime.Version())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
