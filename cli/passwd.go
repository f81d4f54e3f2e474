package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
)

// minPassword is the least length of a password.
const minPassword = api.MinPassword

func (m *Main) passwdCommand() *cobra.Command {
	f := &controlFlags{m: m}
	var invite, reason, set string
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Print the hash of a password for the configuration; or invite somebody to set his own",
		Long: `Reads a password from the terminal, or the first line of standard input, and prints its Argon2id hash: put it after
'password:' under the person in the people section of sallyport.yaml. The password itself never stands on a command line.
With --invite, proposes that a person of the configuration may set his password himself, and prints half of a code; who approves the
proposal gets the other half. Each gives his half to the person, who has three days: --set asks him for both and for the password.`,
		Example: "  sallyport passwd\n  pass show sallyport/s050 | sallyport passwd\n  sallyport passwd --invite s017 --reason 'his first day' --as s050\n  sallyport passwd --set s017",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case invite != "" && set != "":
				return config.Usagef("both --invite and --set; expected one of them")
			case invite != "":
				return m.invite(cmd.Context(), f, invite, reason)
			case set != "":
				return m.setPassword(cmd.Context(), f, set)
			}
			return m.printHash(f.json)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", defaultData, "data `FOLDER` of the running serve, with --invite and --set")
	f.logInFlags(flags)
	flags.StringVar(&invite, "invite", "", "let the person with this `ID` set a password of his own, if another person approves")
	flags.StringVar(&reason, "reason", "", "with --invite: why, as `TEXT` for the record")
	flags.StringVar(&set, "set", "", "set your own password, by a code; your `ID`")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// printHash prints the hash of a password.
func (m *Main) printHash(asJSON bool) error {
	password, err := m.readPassword("New password: ")
	if err != nil {
		return err
	}
	if len(password) < minPassword {
		return config.Usagef("a password of %d characters; expected at least %d", len(password), minPassword)
	}
	hash, err := api.HashPassword([]byte(password), rand.Reader)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.Stdout, map[string]string{"password": string(hash)})
	}
	_, err = fmt.Fprintln(m.Stdout, string(hash))
	return err
}

// invite proposes that somebody may set his password.
func (m *Main) invite(ctx context.Context, f *controlFlags, who, reason string) error {
	if reason == "" {
		return config.Usagef("no reason; expected --reason 'his first day'")
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	i, err := client.Invite(ctx, sallyport.Staff(who), reason)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(m.Stdout, i)
	}
	return printLine(m.Stdout, "Proposed as %s. The first half of the code, for %s alone: %s\nWho approves it gets the second half: sallyport approve %s", i.Proposal, i.Staff, i.Code, i.Proposal)
}

// setPassword sets one's own password.
func (m *Main) setPassword(ctx context.Context, f *controlFlags, who string) error {
	lines, err := m.readSecrets("First half of the code, of who invited you: ", "Second half, of who approved it: ", "New password: ")
	if err != nil {
		return err
	}
	if len(lines[2]) < minPassword {
		return config.Usagef("a password of %d characters; expected at least %d", len(lines[2]), minPassword)
	}
	client, err := f.stranger()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.SetPassword(ctx, sallyport.Staff(who), lines[0], lines[1], lines[2]); err != nil {
		return err
	}
	if f.json {
		return printJSON(m.Stdout, map[string]any{"staff": who, "set": true})
	}
	return printLine(m.Stdout, "Your password is set. Commands take it with --as %s.", who)
}

// readSecrets asks for several on the terminal without echo, or reads a line for each of what is piped in.
func (m *Main) readSecrets(prompts ...string) ([]string, error) {
	var lines []string
	if f, ok := m.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		for _, prompt := range prompts {
			line, err := m.readPassword(prompt)
			if err != nil {
				return nil, err
			}
			lines = append(lines, line)
		}
		return lines, nil
	}
	scanner := bufio.NewScanner(io.LimitReader(m.Stdin, 16<<10))
	for len(lines) < len(prompts) && scanner.Scan() {
		lines = append(lines, strings.TrimRight(scanner.Text(), "\r"))
	}
	if len(lines) < len(prompts) {
		return nil, config.Usagef("%d lines on standard input; expected %d: both halves of the code, and the password", len(lines), len(prompts))
	}
	return lines, nil
}

// readPassword asks on the terminal without echo, or reads the first line of what is piped in.
func (m *Main) readPassword(prompt string) (string, error) {
	if f, ok := m.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(m.Stderr, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(m.Stderr)
		if err != nil {
			return "", fmt.Errorf("read password from the terminal: %w", err)
		}
		return string(b), nil
	}
	line, err := bufio.NewReader(io.LimitReader(m.Stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password from standard input: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
