package catalog

import "github.com/jackc/pgx/v5"

// Still is a Catalog that holds one snapshot without having read it, for tests that have no database: Refresh fails unless
// connect leads to one.
func Still(connect *pgx.ConnConfig, s *Snapshot) *Catalog {
	c := &Catalog{connect: connect}
	c.current.Store(s)
	return c
}
