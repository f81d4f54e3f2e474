package entrance

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// triedRoles is as how many roles, at most, it is tried to enter by a certificate.
const triedRoles = 5

// Fault is a role that nobody can be let in as.
type Fault struct {
	Role     string
	Staff    sallyport.Staff // one of those who would enter as it
	Missing  bool            // at the server
	Powerful bool            // a superuser, or one that could become one
	Refused  error           // by the server; nil: otherwise
}

// Faults looks whether the roles that are entered as are there, are no superusers', and whether the server lets Sallyport in.
func (e *Entrances) Faults(ctx context.Context) (list []Fault, err error) {
	by := map[string]door{} // role → one of those who enter as it
	for _, d := range e.by {
		by[d.as] = d
	}
	roles := slices.Sorted(maps.Keys(by))
	there, powerful, err := e.ranks(ctx, roles)
	if err != nil {
		return nil, err
	}
	tried := 0
	for _, role := range roles {
		switch d := by[role]; {
		case !there[role]:
			list = append(list, Fault{Role: role, Staff: d.staff, Missing: true})
		case powerful[role]:
			list = append(list, Fault{Role: role, Staff: d.staff, Powerful: true})
		case e.read.Load().certificates[d.at] != nil && tried < triedRoles:
			tried++
			if err := e.try(ctx, d); err != nil {
				list = append(list, Fault{Role: role, Staff: d.staff, Refused: err})
			}
		}
	}
	return list, nil
}

// ranks tells of roles which are there, and which are superusers or could become ones.
func (e *Entrances) ranks(ctx context.Context, roles []string) (there, powerful map[string]bool, err error) {
	config, err := Reader(e.config, e.server)
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
func (e *Entrances) try(ctx context.Context, d door) error {
	config, err := As(e.server, cmp.Or(e.config.Upstream.Database, e.config.VerifierDatabase()), d.as, "")
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
