package cli

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

// passwordVariable may hold the password of --as.
const passwordVariable = "SALLYPORT_PASSWORD"

// controlFlags are what every command needs that talks to a running serve.
type controlFlags struct {
	m            *Main
	data, socket string
	as           string
	passwordFile string
	json         bool
	server, ca   string         // of a serve on another machine
	flags        *pflag.FlagSet // that they were taken from
}

// defaultData is the data folder where none is given.
const defaultData = "sallyport-data"

// controlCommand gives a command the flags, and hands what it does a client logged in as --as.
func (m *Main) controlCommand(cmd *cobra.Command, do func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error) *cobra.Command {
	f := &controlFlags{m: m}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", defaultData, "data `FOLDER` of the running serve")
	f.logInFlags(flags)
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := f.client()
		if err != nil {
			return err
		}
		defer client.Close()
		client.Heard = func(sentence string) { fmt.Fprintln(m.Stderr, "notice:", serve.Printable(sentence)) }
		return do(cmd, args, client, f)
	}
	return cmd
}

// logInFlags are those by which a command finds a running serve and logs in.
func (f *controlFlags) logInFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.socket, "control", "", "control `SOCKET` of the running serve (default FOLDER/"+serve.SocketName+")")
	flags.StringVar(&f.as, "as", "", "log in as this person by his password (`ID` in the configuration; without it: by 'sallyport login')")
	flags.StringVar(&f.passwordFile, "password-file", "", "`FILE` whose first line is the password (else "+passwordVariable+", else asked for)")
	f.remoteFlags(flags)
	f.flags = flags
}

// remoteFlags are those by which a command finds a serve on another machine.
func (f *controlFlags) remoteFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.server, "server", "", "serve on another machine, `https://HOST:PORT` (api.listen), in place of the socket")
	flags.StringVar(&f.ca, "ca", "", "PEM `FILE` with who signs its certificate (default: the system's authorities)")
}

// dataSet tells whether the data folder was named.
func (f *controlFlags) dataSet() bool { return f.flags != nil && f.flags.Changed("data") }

// stranger is a client that is not logged in.
func (f *controlFlags) stranger() (*api.Client, error) {
	if f.server == "" {
		if f.socket == "" {
			f.socket = filepath.Join(f.data, serve.SocketName)
		}
		return api.NewClient(f.socket, "", ""), nil
	}
	f.server = strings.TrimSuffix(f.server, "/")
	u, err := url.Parse(f.server)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.User != nil {
		return nil, config.Usagef("--server %s is no address of a serve; expected https://HOST:PORT", f.server)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		if f.ca, err = filepath.Abs(f.ca); err == nil {
			trust.RootCAs, err = config.ReadRoots(f.ca)
		}
		if err != nil {
			return nil, fmt.Errorf("read --ca: %w", err)
		}
	}
	return api.NewRemote(f.server, trust), nil
}

// client is logged in as --as, or by what 'sallyport login' kept.
func (f *controlFlags) client() (*api.Client, error) {
	if f.as == "" {
		return f.bySaved()
	}
	password, err := f.password()
	if err != nil {
		return nil, err
	}
	client, err := f.stranger()
	if err != nil {
		return nil, err
	}
	client.As(sallyport.Staff(f.as), password)
	return client, nil
}

func (f *controlFlags) password() (string, error) {
	if f.passwordFile != "" {
		return config.ReadSecretFile(f.passwordFile)
	}
	if password := f.m.Getenv(passwordVariable); password != "" {
		return password, nil
	}
	return f.m.readPassword("Password of " + f.as + ": ")
}
