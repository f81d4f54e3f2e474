package main

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/upstream"
)

// place is where the server is, and how to get there.
type place struct {
	network, address string
	tls              UpstreamTLS // of a URL; its paths are relative to the working directory
}

// parseUpstream reads --upstream: postgres://HOST:PORT with settings of TLS behind it, HOST:PORT, or a socket (unix:PATH, the
// path of its folder, or postgres:///?host=/FOLDER). Users, passwords and databases have no place in it: every client brings
// his own.
func parseUpstream(text string) (place, error) {
	if !strings.Contains(text, "://") {
		return parsePlace(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return place{}, usagef("an --upstream that cannot be read; expected postgres://HOST:PORT")
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" {
		return place{}, usagef("an --upstream with a user or a database; expected postgres://HOST:PORT, as clients log in themselves")
	}
	settings, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return place{}, usagef("an --upstream with settings that cannot be read; expected postgres://HOST:PORT?sslmode=verify-full&sslrootcert=FILE")
	}
	host, port := u.Hostname(), u.Port()
	tls, err := takeSettings(settings, &host, &port)
	if err != nil {
		return place{}, err
	}
	if port == "" {
		port = "5432"
	}
	if strings.HasPrefix(host, "/") {
		return place{network: "unix", address: socketPath(host, port), tls: tls}, nil
	}
	p, err := parsePlace(net.JoinHostPort(host, port))
	p.tls = tls
	return p, err
}

// upstreamOf is the server behind: --upstream's where it is given, else the configuration's.
func upstreamOf(c *Config, flag string) (*upstream.Server, error) {
	var at place
	if flag != "" {
		var err error
		if at, err = parseUpstream(flag); err != nil {
			return nil, err
		}
	}
	return c.server(at)
}

// takeSettings reads libpq's words (34.1.2) for what concerns the way to a server.
func takeSettings(settings url.Values, host, port *string) (tls UpstreamTLS, err error) {
	named := *host
	for name, values := range settings {
		value := values[len(values)-1]
		switch name {
		case "host":
			*host, named = value, value
		case "hostaddr", "port": // below: they go before the host, in whatever order they come
		case "sslmode":
			tls.Mode = value
		case "sslrootcert":
			tls.CA = value
		case "sslcert":
			tls.Certificate = value
		case "sslkey":
			tls.Key = value
		default:
			return tls, usagef("an --upstream with %q; expected host, hostaddr, port, sslmode, sslrootcert, sslcert or sslkey", name)
		}
	}
	if value := settings.Get("port"); value != "" {
		*port = value
	}
	if value := settings.Get("hostaddr"); value != "" {
		*host, tls.ServerName = value, named
	}
	if tls.CA == "system" { // as libpq has it: the system's authorities, and nothing weaker than verify-full
		if tls.CA = ""; tls.Mode == "" {
			tls.Mode = string(upstream.VerifyFull)
		}
		if tls.Mode != string(upstream.VerifyFull) {
			return tls, usagef("sslrootcert=system with sslmode=%s; expected sslmode=verify-full", tls.Mode)
		}
	}
	if !knownMode(tls.Mode) {
		return tls, usagef("sslmode=%s; expected %s", tls.Mode, modeNames())
	}
	return tls, nil
}

// parsePlace reads an address: HOST:PORT, unix:PATH, or the path of a socket or its folder.
func parsePlace(text string) (place, error) {
	path, isSocket := strings.CutPrefix(text, "unix:")
	if isSocket && !strings.HasPrefix(path, "/") {
		return place{}, usagef("a socket that is no absolute path; expected unix:/FOLDER/.s.PGSQL.5432")
	}
	if strings.HasPrefix(path, "/") {
		return place{network: "unix", address: socketPath(path, "5432")}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "5432"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" {
		return place{}, usagef("an --upstream without host or port; expected postgres://HOST:PORT")
	}
	return place{network: "tcp", address: net.JoinHostPort(host, port)}, nil
}

// socketPath is where PostgreSQL's socket stands in a folder; the path of the socket itself passes through.
func socketPath(folder, port string) string {
	if strings.Contains(folder, "/.s.PGSQL.") {
		return folder
	}
	return strings.TrimSuffix(folder, "/") + "/.s.PGSQL." + port
}

// knownMode tells whether there is such an sslmode; none is the default.
func knownMode(mode string) bool {
	return mode == "" || slices.Contains(upstream.Modes(), upstream.Mode(mode))
}

// modeNames lists them for a message.
func modeNames() string {
	var names []string
	for _, m := range upstream.Modes() {
		names = append(names, string(m))
	}
	return "one of " + strings.Join(names, ", ")
}

// server is the PostgreSQL behind. at goes before what the configuration says; its settings of TLS do if it has any.
func (c *Config) server(at place) (*upstream.Server, error) {
	settings, path := c.Upstream.TLS, c.path
	if at.address == "" {
		p, err := parsePlace(c.Upstream.Address)
		if err != nil {
			return nil, err
		}
		at.network, at.address = p.network, p.address
	}
	if at.tls != (UpstreamTLS{}) {
		settings, path = at.tls, func(name string) string { return name }
	}
	mode := c.upstreamMode(at, settings)
	if c.Protects() && at.network == "tcp" && !loopback(at.address) && !mode.Checked() {
		return nil, usagef("%s is no loopback address and upstream.tls.mode is %s; expected verify-full or verify-ca while columns are protected: "+
			"somebody between could answer in the database's place", at.address, mode)
	}
	return upstream.New(at.network, at.address, upstream.TLS{
		Mode: mode, CA: path(settings.CA), ServerName: settings.ServerName, Certificate: path(settings.Certificate), Key: path(settings.Key),
	})
}

// upstreamMode is the mode that is configured, or else: none on a socket; while protecting, a server on another machine must
// prove who it is; otherwise as the client came. On this machine nobody stands between who could not read our memory too, so
// the transport is the client's choice, as it would be without us.
func (c *Config) upstreamMode(at place, settings UpstreamTLS) upstream.Mode {
	switch {
	case at.network == "unix":
		return upstream.Disable
	case settings.Mode != "":
		return upstream.Mode(settings.Mode)
	case c.Protects() && !loopback(at.address):
		return upstream.VerifyFull
	}
	return upstream.Mirror
}

// ownerDSN completes the DSN of the tables' owner with the configuration's server and database.
func (c *Config) ownerDSN(dsn string) string {
	if dsn != "" {
		return dsn
	}
	u := url.URL{Scheme: "postgres", Host: c.Upstream.Address, Path: "/" + c.Upstream.Database}
	at, err := parsePlace(c.Upstream.Address)
	if err != nil {
		return u.String()
	}
	settings, query := c.Upstream.TLS, url.Values{}
	if at.network == "unix" {
		folder, port, _ := strings.Cut(at.address, "/.s.PGSQL.")
		u.Host = ""
		query.Set("host", folder)
		query.Set("port", port)
	} else if mode := c.upstreamMode(at, settings); mode != upstream.Mirror {
		query.Set("sslmode", string(mode))
	}
	for name, file := range map[string]string{"sslrootcert": settings.CA, "sslcert": settings.Certificate, "sslkey": settings.Key} {
		if file != "" {
			query.Set(name, c.path(file))
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}
