package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/login"
	"sallyport/serve"
)

func (m *Main) confirmCommand() *cobra.Command {
	f := &loginFlags{controlFlags: controlFlags{m: m}}
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Prove anew that it is you, where a statement waits for it",
		Long: `Has you log in afresh at the company's identity provider, or, where there is none, with your password for commands (--as), and puts
that on record. A statement that waits for it in any of your sessions goes on at once. How long it is good for is for the policies to say;
by default a shift, and half an hour while what you do is unlike you. Confirm only what you have just asked for yourself.`,
		Example: "  sallyport confirm\n  sallyport confirm --device --server https://db.example.com:6440\n  sallyport confirm --as s017",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return m.confirm(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", defaultData, "data `FOLDER` of the running serve")
	f.logInFlags(flags)
	f.ways(flags)
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// confirm proves anew who somebody is: by a fresh log-in, unless --as says by a password.
func (m *Main) confirm(ctx context.Context, f *loginFlags) error {
	byPassword := f.as != ""
	client, err := f.confirming()
	if err != nil {
		return err
	}
	defer client.Close()
	if byPassword {
		err = client.Confirm(ctx)
	} else {
		m.tellWaiting(ctx, client)
		var in api.LoggedIn
		in, err = m.logInAfresh(ctx, client, f, true)
		f.as = string(in.Staff)
	}
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(m.Stdout, map[string]any{"staff": f.as, "confirmed": true})
	}
	return printLine(m.Stdout, "Confirmed: it is you, %s. What waited for it goes on.", f.as)
}

// confirming is a client that is logged in by a password, or is not logged in: it is about to prove who it is. Where the log-in is of was kept.
func (f *loginFlags) confirming() (*api.Client, error) {
	if f.as != "" {
		return f.client()
	}
	kept, err := login.Load(f.m.Getenv)
	own := err == nil && kept != nil && f.server == "" && f.socket == "" && !f.dataSet()
	if own {
		f.server, f.ca, f.socket = kept.Server, kept.CA, kept.Socket
	}
	client, err := f.stranger()
	if err == nil && own {
		client.With(kept.Credential) // to be told what waits; it confirms nothing
	}
	return client, err
}

// tellWaiting says what a confirmation opens, where somebody is logged in already. That it cannot be said hinders nobody.
func (m *Main) tellWaiting(ctx context.Context, client *api.Client) {
	list, err := client.Waiting(ctx)
	if err != nil {
		return
	}
	if len(list) == 0 {
		fmt.Fprintln(m.Stderr, "Nothing of yours waits now; what you ask for next will not have to.")
	}
	for _, w := range list {
		from := w.Address
		if w.Application != "" {
			from += ", " + serve.Printable(w.Application)
		}
		fmt.Fprintf(m.Stderr, "This waits, and goes on: %s, from %s, since %s.\n", serve.Printable(w.What), from, w.Since.Local().Format(time.TimeOnly))
	}
	if len(list) > 0 {
		fmt.Fprintln(m.Stderr, "If you did not ask for it, do not confirm: have yourself locked.")
	}
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
			return config.Usagef("%q is no trust; expected a whole number from 0 to 100", args[1])
		}
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what happened'")
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
