package serve

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/protect"
)

// readerTables are those that Sallyport's own role reads: with protected columns, and in which reasons stand.
func readerTables(c *config.Config) (list []protect.Table) {
	tables := map[string]bool{c.Protect.Customer.Table: true, c.Purposes.Ticket.Table: true, c.Purposes.Contact.Table: true}
	for table := range c.Protect.Paths {
		tables[table] = true
	}
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		if schema, name, ok := strings.Cut(table, "."); ok {
			list = append(list, protect.Table{Schema: schema, Name: name})
		}
	}
	return list
}

// HiddenRows are the tables of which row security hides rows from the reader. Where a superuser is to run protect, that lets the reader pass.
func HiddenRows(c *config.Config, ctx context.Context, conn *pgx.Conn) (tables []string, super bool, err error) {
	tables, passes, err := protect.Hidden(ctx, conn, c.Upstream.Reader.User, readerTables(c))
	if err != nil || passes {
		return nil, false, err
	}
	err = conn.QueryRow(ctx, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&super)
	return tables, super, err
}

// rowSecurity tells of rows that the reader would not see. ahead says that protect is still to run: then it is a note where protect can let
// the reader pass.
func (c *check) rowSecurity(ctx context.Context, conn *pgx.Conn, ahead bool) error {
	tables, super, err := HiddenRows(c.config, ctx, conn)
	if err != nil {
		return err
	}
	role := c.config.Upstream.Reader.User
	for _, table := range tables {
		switch {
		case ahead && super:
			c.note(table, "its row security would hide rows from %s, in which reasons are looked up: protect lets that role pass it (BYPASSRLS)", role)
		case ahead:
			c.found(table, "its row security would hide rows from %s, in which reasons are looked up: protect it as a superuser, or have one make that role before: CREATE ROLE %s LOGIN BYPASSRLS",
				role, pgx.Identifier{role}.Sanitize())
		default:
			c.found(table, "its row security hides rows from %s, so that no reason can be checked there: a superuser must run %s", role, protect.PassSQL(role))
			last := &c.findings[len(c.findings)-1]
			last.Kind, last.SQL = "row security", []string{protect.PassSQL(role) + ";"}
		}
	}
	return nil
}
