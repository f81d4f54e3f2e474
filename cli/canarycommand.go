package cli

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) canaryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "canary",
		Short: "Plant customers who do not exist, and tell who was shown their contact details",
		Long: `A canary is a customer who does not exist and whom nobody has a reason to look up: who comes by one is found at once. Whoever reveals one is
shown an address and a telephone number that nobody else is shown, so that one mail or call names him and the time.`,
		Example: "  sallyport canary plant --count 50 --reason 'first canaries' --as s051\n  sallyport canary who tarivo.masenolidukabo84@post.example.net --as s051",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.canaryPlantCommand(), m.canaryStatusCommand(), m.canaryWhoCommand())
	return cmd
}

func (m *Main) canaryPlantCommand() *cobra.Command {
	q := api.PlantRequest{}
	cmd := &cobra.Command{
		Use:   "plant",
		Short: "Have customers made who do not exist",
		Long: `Serve writes them through the gateway, by the log-in canary.login, at random moments over the time that is given: rows that all came at
once would tell themselves. Which customers they are stands in the record sealed, and nobody is told.`,
		Example: "  sallyport canary plant --count 50 --over 720h --reason 'first canaries' --as s051",
		Args:    exactly(0, "--count N --reason TEXT --as ID"),
	}
	cmd.Flags().IntVar(&q.Count, "count", 0, "how `MANY`")
	cmd.Flags().DurationVar(&q.Over, "over", 30*24*time.Hour, "`TIME` that it takes; 0: at once")
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why, as `TEXT` for the record; no personal data")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if q.Count < 1 || q.Reason == "" {
			return config.Usagef("expected --count N and --reason 'what for'")
		}
		if err := c.PlantCanaries(cmd.Context(), q); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"count": q.Count, "over": q.Over.String()})
		}
		_, err := fmt.Fprintf(m.Stdout, "%d customers who do not exist will be made over %s. 'sallyport canary status' says how far that is.\n", q.Count, q.Over)
		return err
	})
}

func (m *Main) canaryStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Say how many there are, and how many were touched",
		Long: "Prints figures. Which customers they are nobody is told.", Example: "  sallyport canary status --as s051", Args: exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		n, err := c.CanaryStatus(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, n)
		}
		fmt.Fprintf(m.Stdout, "planted: %d, to be planted yet: %d, for drills: %d\ndetails shown: of %d, to %d people and services\nmails and calls heard: %d\n", n.Planted, n.Due, n.Drill, n.Shown, n.Viewers, n.Heard)
		if n.Trouble != "" {
			fmt.Fprintf(m.Stdout, "the last one could not be planted: %s\n", serve.Printable(n.Trouble))
		}
		return nil
	})
}

func (m *Main) canaryWhoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "who ADDRESS|NUMBER",
		Short: "Tell who was shown a contact detail of a customer who does not exist, and when",
		Long: `An address is shown to one person, in one period or under one grant: who else knows it has it from him. A number of the pool may have been
shown to several, and some call any number; how likely each is the source follows from the calls that came, against those that come anyway.
That you asked is itself recorded. What is about yourself is not shown. Exit status 1: somebody was shown it.`,
		Example: "  sallyport canary who tarivo.masenolidukabo84@post.example.net --as s051\n  sallyport canary who +4930901820 --json --as s051",
		Args:    exactly(1, "ADDRESS|NUMBER --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		a, err := c.CanaryWho(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if f.json {
			err = printJSON(m.Stdout, a)
		} else {
			err = m.printCanaryWho(&a)
		}
		if err == nil && len(a.Views) > 0 {
			return ErrFound
		}
		return err
	})
}

func (m *Main) printCanaryWho(a *api.CanaryAnswer) error {
	var b strings.Builder
	switch {
	case a.Hidden:
		b.WriteString("One who was shown it is you; that is not shown.\n")
	case len(a.Views) == 0 && !a.Given:
		b.WriteString("This is no detail that Sallyport shows anybody.\n")
	case len(a.Views) == 0:
		b.WriteString("Nobody was shown this, by the record.\n")
	}
	for i := range a.Views {
		v := &a.Views[i]
		under := ""
		if v.Grant != "" {
			under = " under grant " + v.Grant
		}
		fmt.Fprintf(&b, "%s %s%s: %.1f %% likely the source\n", v.Staff, serve.Printable(v.Name), under, 100*v.Posterior)
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, l := range v.Looks {
			fmt.Fprintf(table, "  %s\tsession %s, statement %d (access:%d)\t%s\n", l.Time.Format(time.RFC3339), serve.Printable(l.Session), l.Statement, l.Entry, serve.Printable(strings.TrimSpace(l.Application+" "+l.Address)))
		}
		if err := table.Flush(); err != nil {
			return errors.Join(errors.New("write output"), err)
		}
	}
	if len(a.Views) > 0 && a.None > 0 {
		fmt.Fprintf(&b, "somebody else, or nobody: %.1f %%\n", 100*a.None)
	}
	for _, h := range a.Heard {
		fmt.Fprintf(&b, "heard %s%s\n", h.At.Format(time.RFC3339), map[bool]string{true: ", from a machine of the company's own"}[h.Own])
	}
	_, err := fmt.Fprint(m.Stdout, b.String())
	return err
}
