package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport/api"
)

// minPassword is NIST SP 800-63B's least length of a password that is checked against nothing else (section 5.1.1.2).
const minPassword = 8

func (m *Main) passwdCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Print the hash of a password, for a person's entry in the configuration",
		Long: `Reads a password from the terminal, or the first line of standard input, and prints its Argon2id hash: put it after
'password:' under the person in the people section of sallyport.yaml. The password itself never stands on a command line.`,
		Example: "  sallyport passwd\n  pass show sallyport/s050 | sallyport passwd",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			password, err := m.readPassword("New password: ")
			if err != nil {
				return err
			}
			if len(password) < minPassword {
				return usagef("a password of %d characters; expected at least %d", len(password), minPassword)
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
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
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
