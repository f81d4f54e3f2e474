package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport"
	"sallyport/api"
)

// passwordVariable may hold the password of --as.
const passwordVariable = "SALLYPORT_PASSWORD"

// socketName is the control socket's name in the data folder.
const socketName = "control.sock"

// controlFlags are what every command needs that talks to a running serve.
type controlFlags struct {
	m            *Main
	data, socket string
	as           string
	passwordFile string
	json         bool
}

// controlCommand gives a command the flags, and hands what it does a client logged in as --as.
func (m *Main) controlCommand(cmd *cobra.Command, do func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error) *cobra.Command {
	f := &controlFlags{m: m}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "sallyport-data", "data `FOLDER` of the running serve")
	f.logInFlags(flags)
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := f.client()
		if err != nil {
			return err
		}
		defer client.Close()
		client.Heard = func(sentence string) { fmt.Fprintln(m.Stderr, "notice:", printable(sentence)) }
		return do(cmd, args, client, f)
	}
	return cmd
}

// logInFlags are those by which a command finds a running serve and logs in.
func (f *controlFlags) logInFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.socket, "control", "", "control `SOCKET` of the running serve (default FOLDER/"+socketName+")")
	flags.StringVar(&f.as, "as", "", "log in as this person (`ID` in the configuration)")
	flags.StringVar(&f.passwordFile, "password-file", "", "`FILE` whose first line is the password (else "+passwordVariable+", else asked for)")
}

// client is logged in as --as.
func (f *controlFlags) client() (*api.Client, error) {
	if f.as == "" {
		return nil, usagef("nobody to log in as; expected --as ID, one of the people in the configuration")
	}
	password, err := f.password()
	if err != nil {
		return nil, err
	}
	if f.socket == "" {
		f.socket = filepath.Join(f.data, socketName)
	}
	return api.NewClient(f.socket, sallyport.Staff(f.as), password), nil
}

func (f *controlFlags) password() (string, error) {
	if f.passwordFile != "" {
		return readSecretFile(f.passwordFile)
	}
	if password := f.m.Getenv(passwordVariable); password != "" {
		return password, nil
	}
	return f.m.readPassword("Password of " + f.as + ": ")
}

// readSecretFile returns the first line of a file that only its owner may read.
func readSecretFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("read password: %s has mode %04o; expected one that only its owner may read (chmod 600 %s)", path, info.Mode().Perm(), path)
	}
	scanner := bufio.NewScanner(file)
	if !scanner.Scan() {
		return "", errors.Join(fmt.Errorf("read password: nothing stands in %s", path), scanner.Err())
	}
	return strings.TrimRight(scanner.Text(), "\r"), nil
}
