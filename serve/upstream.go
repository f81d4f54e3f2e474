package serve

import (
	"net"
	"net/url"
	"strings"

	"sallyport/config"
	"sallyport/internal/upstream"
)

// parseUpstream reads --upstream: postgres://HOST:PORT with settings of TLS behind it, HOST:PORT, or a socket (unix:PATH, the
// path of its folder, or postgres:///?host=/FOLDER). Users, passwords and databases have no place in it: every client brings
// his own.
func parseUpstream(text string) (config.Place, error) {
	if !strings.Contains(text, "://") {
		return config.ParsePlace(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return config.Place{}, config.Usagef("an --upstream that cannot be read; expected postgres://HOST:PORT")
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" {
		return config.Place{}, config.Usagef("an --upstream with a user or a database; expected postgres://HOST:PORT, as clients log in themselves")
	}
	settings, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return config.Place{}, config.Usagef("an --upstream with settings that cannot be read; expected postgres://HOST:PORT?sslmode=verify-full&sslrootcert=FILE")
	}
	host, port := u.Hostname(), u.Port()
	tls, err := takeSettings(settings, &host, &port)
	if err != nil {
		return config.Place{}, err
	}
	if port == "" {
		port = "5432"
	}
	if strings.HasPrefix(host, "/") {
		return config.Place{Network: "unix", Address: config.SocketPath(host, port), TLS: tls}, nil
	}
	p, err := config.ParsePlace(net.JoinHostPort(host, port))
	p.TLS = tls
	return p, err
}

// upstreamOf is the server behind: --upstream's where it is given, else the configuration's.
func upstreamOf(c *config.Config, flag string) (*upstream.Server, error) {
	var at config.Place
	if flag != "" {
		var err error
		if at, err = parseUpstream(flag); err != nil {
			return nil, err
		}
	}
	return c.Server(at)
}

// takeSettings reads libpq's words (34.1.2) for what concerns the way to a server.
func takeSettings(settings url.Values, host, port *string) (tls config.UpstreamTLS, err error) {
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
			return tls, config.Usagef("an --upstream with %q; expected host, hostaddr, port, sslmode, sslrootcert, sslcert or sslkey", name)
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
			return tls, config.Usagef("sslrootcert=system with sslmode=%s; expected sslmode=verify-full", tls.Mode)
		}
	}
	if !config.KnownMode(tls.Mode) {
		return tls, config.Usagef("sslmode=%s; expected %s", tls.Mode, config.ModeNames())
	}
	return tls, nil
}
