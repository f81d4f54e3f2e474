package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/upstream"
)

// triedEntrances is as how many roles, at most, check enters by a certificate to see that the server lets it.
const triedEntrances = 5

// provider looks whether the identity provider is there and is what the configuration says.
func (c *check) provider(ctx context.Context) {
	logIns, err := c.config.LogIns()
	if err != nil {
		c.found("login", "%s", oneLine(err))
		return
	}
	if logIns == nil {
		return
	}
	defer logIns.Provider.Close()
	if err := logIns.Provider.Reach(ctx); err != nil {
		c.found("login.issuer", "nobody could log in: %s", oneLine(err))
	}
}

// entrances looks whether the roles that are entered as are there, are no superusers', and whether the server lets Sallyport in.
func (c *check) entrances(ctx context.Context, server *upstream.Server) {
	if len(c.config.Upstream.Enter) == 0 {
		return
	}
	e, err := newEntrances(c.config, server)
	if err != nil {
		c.found("upstream.enter", "%s", oneLine(err))
		return
	}
	defer e.close(context.WithoutCancel(ctx))
	by := map[string]door{} // role → one of those who enter as it
	for _, d := range e.by {
		by[d.as] = d
	}
	roles := slices.Sorted(maps.Keys(by))
	there, powerful, err := e.ranks(ctx, roles)
	if err != nil {
		c.found("upstream.enter", "%s", oneLine(err))
		return
	}
	tried := 0
	for _, role := range roles {
		switch d := by[role]; {
		case !there[role]:
			c.found("upstream.enter", "there is no role %s at the server, so %s cannot log in: CREATE ROLE %s LOGIN; or another as:", role, d.staff, pgx.Identifier{role}.Sanitize())
		case powerful[role]:
			c.found("upstream.enter", "%s is a superuser or could become one, so nobody is let in as it; expected another role", role)
		case e.read.Load().certificates[d.at] != nil && tried < triedEntrances:
			tried++
			if err := e.try(ctx, d); err != nil {
				c.found("upstream.enter", "the server does not let Sallyport in as %s: %s; see docs/login.md for pg_hba.conf and pg_ident.conf", role, oneLine(err))
			}
		}
	}
}

// ranks tells of roles which are there, and which are superusers or could become ones.
func (e *entrances) ranks(ctx context.Context, roles []string) (there, powerful map[string]bool, err error) {
	config, err := reader(e.config, e.server)
	if err != nil {
		return nil, nil, err
	}
	config.Database = e.config.VerifierDatabase()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	rows, err := conn.Query(ctx, "SELECT r.rolname::text, "+mighty+" FROM "+memberships+" WHERE r.rolname = ANY($1) GROUP BY r.rolname", roles)
	if err != nil {
		return nil, nil, fmt.Errorf("look at roles: %w", err)
	}
	there, powerful = map[string]bool{}, map[string]bool{}
	var role string
	var super bool
	_, err = pgx.ForEachRow(rows, []any{&role, &super}, func() error {
		there[role], powerful[role] = true, super
		return nil
	})
	return there, powerful, err
}

// try enters by the certificate, and leaves again. A secret is not tried: pgx would also send it in clear, where a server asks for that.
func (e *entrances) try(ctx context.Context, d door) error {
	config, err := readerConfig(e.server, cmp.Or(e.config.Upstream.Database, e.config.VerifierDatabase()), d.as, "")
	if err != nil {
		return err
	}
	shown := e.read.Load().certificates[d.at]
	config.Fallbacks = nil
	config.TLSConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
