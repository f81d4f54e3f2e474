package main

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// parseUpstream reads --upstream: postgres://HOST:PORT, HOST:PORT, or the path of a socket's folder. Users, passwords and
// databases have no place in it: every client brings his own.
func parseUpstream(text string) (network, address string, err error) {
	host := text
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return "", "", usagef("an --upstream that cannot be read; expected postgres://HOST:PORT")
		}
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return "", "", usagef("an --upstream with a user, a database or settings; expected postgres://HOST:PORT, as clients log in themselves")
		}
		host = u.Host
	}
	if strings.HasPrefix(host, "/") {
		return "unix", socketPath(host, "5432"), nil
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "5432"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || name == "" {
		return "", "", usagef("an --upstream without host or port; expected postgres://HOST:PORT")
	}
	return "tcp", net.JoinHostPort(name, port), nil
}

// socketPath is where PostgreSQL's socket stands in a folder; the path of the socket itself passes through.
func socketPath(folder, port string) string {
	if strings.Contains(folder, "/.s.PGSQL.") {
		return folder
	}
	return strings.TrimSuffix(folder, "/") + "/.s.PGSQL." + port
}

// setAddress points a connection's settings at the server.
func setAddress(config *pgconn.Config, network, address string) error {
	if network == "unix" {
		folder, port, _ := strings.Cut(address, "/.s.PGSQL.")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return usagef("a socket that is not PostgreSQL's; expected a path ending in /.s.PGSQL.PORT")
		}
		config.Host, config.Port, config.TLSConfig, config.Fallbacks = folder, uint16(n), nil, nil
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("no address that can be used; expected HOST:PORT")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return usagef("no port that can be used; expected HOST:PORT")
	}
	config.Host, config.Port = host, uint16(n)
	if config.TLSConfig != nil {
		config.TLSConfig.ServerName = host
	}
	for _, fallback := range config.Fallbacks {
		fallback.Host, fallback.Port = config.Host, config.Port
	}
	return nil
}

// ownerDSN completes the DSN of the tables' owner with the configuration's server and database.
func (c *Config) ownerDSN(dsn string) string {
	if dsn != "" {
		return dsn
	}
	return (&url.URL{Scheme: "postgres", Host: c.Upstream.Address, Path: "/" + c.Upstream.Database}).String()
}
