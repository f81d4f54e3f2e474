package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
)

func (m *Main) confirmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Prove anew that it is you, where a statement waits for it",
		Long: `Logs in with your password for commands and puts that on record. A statement that waits for it in any of your sessions
goes on at once. How long it is good for is for the policies to say; by default a shift, and half an hour while what you do is unlike you.`,
		Example: "  sallyport confirm --as s017",
		Args:    exactly(0, ""),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if err := c.Confirm(cmd.Context()); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"staff": f.as, "confirmed": true})
		}
		return printLine(m.Stdout, "Confirmed: it is you, %s. What waited for it goes on.", f.as)
	})
}

func (m *Main) trustCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "trust STAFF 0-100",
		Short: "Say how far somebody is trusted right now: less at once, more if another person approves",
		Long: `Policies go by it: by default below 75 things go slower, below 60 people confirm who they are, below 40 a colleague agrees,
below 25 values are masked, below 10 they are suspended. Nobody sets his own.`,
		Example: "  sallyport trust s017 50 --reason 'looks at customers nobody sent him to' --as s050",
		Args:    exactly(2, "STAFF 0-100 --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		trust, err := strconv.Atoi(args[1])
		if err != nil || trust < 0 || trust > 100 {
			return usagef("%q is no trust; expected a whole number from 0 to 100", args[1])
		}
		if reason == "" {
			return usagef("no reason; expected --reason 'what happened'")
		}
		proposal, err := c.Trust(cmd.Context(), sallyport.Staff(args[0]), trust, reason)
		switch {
		case err != nil:
			return err
		case proposal != "":
			return m.proposed(proposal, f)
		case f.json:
			return printJSON(m.Stdout, map[string]any{"staff": args[0], "trust": trust})
		}
		return printLine(m.Stdout, "%s is trusted as far as %d from now on. More again takes two: sallyport trust %s 100 --reason …", args[0], trust, args[0])
	})
}
