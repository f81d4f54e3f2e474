package serve

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/entrance"
	"sallyport/internal/upstream"
)

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
	e, err := entrance.New(c.config, server, time.Now)
	if err != nil {
		c.found("upstream.enter", "%s", oneLine(err))
		return
	}
	defer e.Close(context.WithoutCancel(ctx))
	faults, err := e.Faults(ctx)
	if err != nil {
		c.found("upstream.enter", "%s", oneLine(err))
	}
	for _, f := range faults {
		switch {
		case f.Missing:
			c.found("upstream.enter", "there is no role %s at the server, so %s cannot log in: CREATE ROLE %s LOGIN; or another as:", f.Role, f.Staff, pgx.Identifier{f.Role}.Sanitize())
		case f.Powerful:
			c.found("upstream.enter", "%s is a superuser or could become one, so nobody is let in as it; expected another role", f.Role)
		default:
			c.found("upstream.enter", "the server does not let Sallyport in as %s: %s; see docs/login.md for pg_hba.conf and pg_ident.conf", f.Role, oneLine(f.Refused))
		}
	}
}
