package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/sim"
)

type simOptions struct {
	profile, out string
	seed         uint64
	staff, weeks int
	clean        bool
}

// simCommand writes made-up companies as files, to try `analyze` on. It is for who works on detection, so it is not listed.
func (m *Main) simCommand() *cobra.Command {
	var o simOptions
	var names []string
	for _, p := range profiles() {
		names = append(names, p.Name)
	}
	cmd := &cobra.Command{
		Use:     "sim",
		Short:   "Write a made-up company with insiders as files that 'sallyport analyze' reads",
		Long:    "Writes events.jsonl, staff.csv, tickets.csv and so on, and truth.json, which tells who the insiders are. The same seed gives the same files.",
		Example: "  sallyport sim --profile consumer --seed 7 --out ./company",
		Hidden:  true,
		Args:    exactly(0, ""),
		RunE:    func(_ *cobra.Command, _ []string) error { return simulate(o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.profile, "profile", "consumer", "one of "+strings.Join(names, ", "))
	flags.Uint64Var(&o.seed, "seed", 1, "`SEED`")
	flags.StringVar(&o.out, "out", "", "`FOLDER` to write into")
	flags.IntVar(&o.staff, "staff", 0, "other than the profile's number of `PEOPLE`")
	flags.IntVar(&o.weeks, "weeks", 0, "other than the profile's number of `WEEKS`")
	flags.BoolVar(&o.clean, "clean", false, "without insiders")
	return cmd
}

// profiles are all companies that can be made up.
func profiles() []sim.Profile { return append(sim.Profiles(), sim.Desk()) }

func simulate(o simOptions) error {
	if o.out == "" {
		return config.Usagef("no folder; expected --out FOLDER")
	}
	var profile *sim.Profile
	for _, p := range profiles() {
		if p.Name == o.profile {
			profile = &p
		}
	}
	if profile == nil {
		return config.Usagef("no profile %q (see 'sallyport sim --help')", o.profile)
	}
	if o.staff > 0 {
		profile.Staff = o.staff
	}
	if o.weeks > 0 {
		profile.Weeks = o.weeks
	}
	if profile.Staff < 10 || profile.Weeks < 4 {
		return config.Usagef("%d people and %d weeks; expected at least 10 and 4", profile.Staff, profile.Weeks)
	}
	if err := os.MkdirAll(o.out, 0o750); err != nil {
		return fmt.Errorf("write made-up files: %w", err)
	}
	return sim.NewCompany(*profile, o.seed, !o.clean).Write(func(name string) (io.WriteCloser, error) {
		return os.OpenFile(filepath.Join(o.out, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	})
}
