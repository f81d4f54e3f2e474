package serve

import (
	"strings"
	"testing"
)

// TestMaskedExtensions refuses functions of extensions that may read tables, and what calls them, and lets others pass.
func TestMaskedExtensions(t *testing.T) {
	s := newScreen(t)
	s.run(s.database, `CREATE EXTENSION pgstattuple; CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_trgm;
		CREATE FUNCTION app.weigh(text) RETURNS bigint LANGUAGE sql AS 'SELECT table_len FROM pgstattuple($1)';
		CREATE VIEW app.weights AS SELECT table_len FROM pgstattuple('app.open')`)
	if _, err := s.server.gateway.Protection.Catalog.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for who, refused := range map[string]bool{"mara": true, "crm": false} {
		conn, _ := s.connect(who)
		for _, sql := range []string{"SELECT table_len FROM pgstattuple('app.people')", "SELECT public.pg_relpages('app.people')", "SELECT app.weigh('app.people')", "SELECT (SELECT table_len FROM pgstattuple('app.people')) FROM app.open"} {
			_, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
			if got := strings.HasPrefix(codeOf(err), "SP0"); got != refused {
				t.Errorf("%s: %s: %v", who, sql, err)
			}
		}
		for _, sql := range []string{"SELECT crypt('x', gen_salt('bf', 4)) IS NOT NULL", "SELECT similarity('a', 'b'), set_limit(0.3)", "SELECT gen_random_uuid() IS NOT NULL, digest(note, 'sha1') IS NOT NULL FROM app.orders"} {
			if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
				t.Errorf("%s: %s: %v", who, sql, err)
			}
		}
	}
}
