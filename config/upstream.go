package config

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/upstream"
)

// SocketMode is who may connect to the socket. Like PostgreSQL's own it is open to everybody on the machine unless the
// configuration says otherwise: who a client is, the server still asks.
func (c *Config) SocketMode() (fs.FileMode, error) {
	if c.ListenMode == "" {
		return 0o777, nil
	}
	mode, err := strconv.ParseUint(c.ListenMode, 8, 16)
	if err != nil || mode > 0o777 {
		return 0, errors.New(`no mode of a socket; expected three octal digits in quotes, such as "0770"`)
	}
	return fs.FileMode(mode), nil
}

// Place is where the server is, and how to get there.
type Place struct {
	Network, Address string
	TLS              UpstreamTLS // of a URL; its paths are relative to the working directory
}

// ParsePlace reads an address: HOST:PORT, unix:PATH, or the path of a socket or its folder.
func ParsePlace(text string) (Place, error) {
	path, isSocket := strings.CutPrefix(text, "unix:")
	if isSocket && !strings.HasPrefix(path, "/") {
		return Place{}, Usagef("a socket that is no absolute path; expected unix:/FOLDER/.s.PGSQL.5432")
	}
	if strings.HasPrefix(path, "/") {
		return Place{Network: "unix", Address: SocketPath(path, "5432")}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "5432"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" {
		return Place{}, Usagef("an --upstream without host or port; expected postgres://HOST:PORT")
	}
	return Place{Network: "tcp", Address: net.JoinHostPort(host, port)}, nil
}

// SocketPath is where PostgreSQL's socket stands in a folder; the path of the socket itself passes through.
func SocketPath(folder, port string) string {
	if strings.Contains(folder, "/.s.PGSQL.") {
		return folder
	}
	return strings.TrimSuffix(folder, "/") + "/.s.PGSQL." + port
}

// KnownMode tells whether there is such an sslmode; none is the default.
func KnownMode(mode string) bool {
	return mode == "" || slices.Contains(upstream.Modes(), upstream.Mode(mode))
}

// ModeNames lists them for a message.
func ModeNames() string {
	var names []string
	for _, m := range upstream.Modes() {
		names = append(names, string(m))
	}
	return "one of " + strings.Join(names, ", ")
}

// Server is the PostgreSQL behind. at goes before what the configuration says; its settings of TLS do if it has any.
func (c *Config) Server(at Place) (*upstream.Server, error) {
	settings, path := c.Upstream.TLS, c.Path
	if at.Address == "" {
		p, err := ParsePlace(c.Upstream.Address)
		if err != nil {
			return nil, err
		}
		at.Network, at.Address = p.Network, p.Address
	}
	if at.TLS != (UpstreamTLS{}) {
		settings, path = at.TLS, func(name string) string { return name }
	}
	mode := c.upstreamMode(at, settings)
	if c.Protects() && at.Network == "tcp" && !loopback(at.Address) && !mode.Checked() {
		return nil, Usagef("%s is no loopback address and upstream.tls.mode is %s; expected verify-full or verify-ca while columns are protected: "+
			"somebody between could answer in the database's place", at.Address, mode)
	}
	return upstream.New(at.Network, at.Address, upstream.TLS{
		Mode: mode, CA: path(settings.CA), ServerName: settings.ServerName, Certificate: path(settings.Certificate), Key: path(settings.Key),
	})
}

// upstreamMode is the mode that is configured, or else: none on a socket; while protecting, a server on another machine must
// prove who it is; otherwise as the client came. On this machine nobody stands between who could not read our memory too, so
// the transport is the client's choice, as it would be without us.
func (c *Config) upstreamMode(at Place, settings UpstreamTLS) upstream.Mode {
	switch {
	case at.Network == "unix":
		return upstream.Disable
	case settings.Mode != "":
		return upstream.Mode(settings.Mode)
	case c.Protects() && !loopback(at.Address):
		return upstream.VerifyFull
	}
	return upstream.Mirror
}

// OwnerDSN completes the DSN of the tables' owner with the configuration's server and database.
func (c *Config) OwnerDSN(dsn string) string {
	if dsn != "" {
		return dsn
	}
	u := url.URL{Scheme: "postgres", Host: c.Upstream.Address, Path: "/" + c.Upstream.Database}
	at, err := ParsePlace(c.Upstream.Address)
	if err != nil {
		return u.String()
	}
	settings, query := c.Upstream.TLS, url.Values{}
	if at.Network == "unix" {
		folder, port, _ := strings.Cut(at.Address, "/.s.PGSQL.")
		u.Host = ""
		query.Set("host", folder)
		query.Set("port", port)
	} else if mode := c.upstreamMode(at, settings); mode != upstream.Mirror {
		query.Set("sslmode", string(mode))
	}
	for name, file := range map[string]string{"sslrootcert": settings.CA, "sslcert": settings.Certificate, "sslkey": settings.Key} {
		if file != "" {
			query.Set(name, c.Path(file))
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// VerifierDatabase is where the function is.
func (c *Config) VerifierDatabase() string {
	if c.Upstream.Verifiers != "" {
		return c.Upstream.Verifiers
	}
	return c.Upstream.Database
}
