package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/config"
	"sallyport/internal/throwaway"
)

// screen is a database that nobody changed for Sallyport, behind a gateway that masks some of its columns.
type screen struct {
	t        *testing.T
	cluster  *throwaway.Cluster
	database string
	server   *Server
	config   *config.Config
}

var screens atomic.Int64 //nolint:gochecknoglobals // numbers their databases

// Every masked value of screenTables holds one of these.
var (
	screenSecrets = []string{"zq7", "ZQ7", "7qz", "7319461", "1931-07-19", "07/19/1931", "Jul 1931", "8361.25", `\x7a7137`, "enE3"} //nolint:gochecknoglobals // constants
	screenDay     = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, 0xffff9e62)                                                   //nolint:gochecknoglobals // days from 2000-01-01
	screenSalary  = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, 7319461)                                                      //nolint:gochecknoglobals // a constant
)

const screenTables = `
CREATE SCHEMA app;
CREATE TABLE app.people (id int PRIMARY KEY, name text NOT NULL, email varchar(80) UNIQUE, phone text, salary int, born date, bonus numeric(12,2),
	vip bool, tags text[], data jsonb, avatar bytea, plan text NOT NULL DEFAULT 'basic', note text, handle text GENERATED ALWAYS AS (lower(email)) STORED,
	CONSTRAINT plan_known CHECK (plan IN ('basic', 'gold', 'none')));
INSERT INTO app.people VALUES
	(1, 'Zq7ann Lee', 'zq7ann@corp.example', '+1zq75550001', 7319461, '1931-07-19', 8361.25, true, '{zq7a,zq7b}', '{"k": "zq7data"}', 'zq7bytes', 'gold', 'open note'),
	(2, 'Zq7bob Roe', 'zq7bob@corp.example', '+1zq75550002', 7319461, '1931-07-19', 8361.25, false, '{zq7c}', '{"k": "zq7more"}', 'zq7bytes', 'basic', NULL),
	(3, 'Zq7cyd Poe', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'basic', NULL);
UPDATE app.people SET name = replace(name, 'Zq7', 'zq7');
CREATE TABLE app.orders (id int PRIMARY KEY, person_id int REFERENCES app.people, total numeric, note text);
INSERT INTO app.orders VALUES (1, 1, 10, 'first'), (2, 2, 20, 'second');
CREATE TABLE app.events (id int, at date NOT NULL, email text) PARTITION BY RANGE (at);
CREATE TABLE app.events_now PARTITION OF app.events FOR VALUES FROM ('2020-01-01') TO ('2040-01-01');
INSERT INTO app.events VALUES (1, '2026-01-01', 'zq7event@corp.example');
CREATE TABLE app.open (id int, note text);
INSERT INTO app.open VALUES (1, 'zq');
CREATE VIEW app.contacts AS SELECT id, email, phone AS number, upper(name) AS shout, plan, email LIKE 'zq7ann%' AS is_ann FROM app.people;
CREATE VIEW app.deep AS SELECT c.number, c.shout, o.total FROM app.contacts c JOIN app.orders o ON o.person_id = c.id;
CREATE MATERIALIZED VIEW app.kept AS SELECT id, email, name || '!' AS loud FROM app.people;
CREATE VIEW app.figures AS SELECT attname, most_common_vals::text AS most FROM pg_stats WHERE tablename = 'people';
CREATE FUNCTION app.mail(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM app.people WHERE id = $1';
CREATE FUNCTION app.all_people() RETURNS SETOF app.people LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT * FROM app.people; END';
CREATE FUNCTION app.shout(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN $1; END';
CREATE FUNCTION app.twice(app.people) RETURNS text LANGUAGE sql AS 'SELECT $1.name || $1.name';
CREATE FUNCTION app.dyn(text) RETURNS text LANGUAGE plpgsql AS 'DECLARE r text; BEGIN EXECUTE $1 INTO r; RETURN r; END';
CREATE FUNCTION app.cursors() RETURNS refcursor LANGUAGE plpgsql AS 'DECLARE c refcursor := ''sly''; BEGIN OPEN c FOR SELECT upper(email) FROM app.people; RETURN c; END';
CREATE FUNCTION app.touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''% became %'', OLD.email, NEW.email; RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON app.people FOR EACH ROW WHEN (NEW.note = 'say') EXECUTE FUNCTION app.touched();
CREATE FUNCTION app.denied() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no: %'', OLD.name USING ERRCODE = ''unique_violation'', DETAIL = OLD.email, HINT = OLD.phone; END';
CREATE TRIGGER denied BEFORE DELETE ON app.people FOR EACH ROW EXECUTE FUNCTION app.denied();
CREATE FUNCTION app.ordered() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RAISE NOTICE ''for %'', (SELECT name FROM app.people WHERE id = NEW.person_id); RETURN NEW; END';
CREATE TRIGGER ordered AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.ordered();
CREATE TABLE app.late (id int PRIMARY KEY, email text UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO app.late VALUES (1, 'zq7late@corp.example'), (2, 'zq7later@corp.example');
CREATE TABLE app.teams (id int PRIMARY KEY);
CREATE TABLE app.passes (id int PRIMARY KEY, team int NOT NULL REFERENCES app.teams ON DELETE SET NULL ON UPDATE CASCADE, email text);
INSERT INTO app.teams VALUES (1), (2);
INSERT INTO app.passes VALUES (1, 1, 'zq7pass@corp.example'), (2, 2, 'zq7past@corp.example');
CREATE TRIGGER passed BEFORE UPDATE ON app.passes FOR EACH ROW WHEN (NEW.team > 8) EXECUTE FUNCTION app.touched();
ANALYZE;
`

const screenMask = `
mask:
  columns:
    app.people.name: {show: first}
    app.people.email: {show: domain}
    app.people.phone: {show: none}
    app.people.salary: {}
    app.people.born: {}
    app.people.bonus: {}
    app.people.vip: {}
    app.people.tags: {}
    app.people.data: {}
    app.people.avatar: {}
    app.events.email: {}
    app.late.email: {}
    app.passes.email: {}
  seen_by: [crm]
services:
  crm: {logins: [%[1]s_crm]}
people:
  mara: {name: Mara, role: agent, logins: [%[1]s_mara]}
`

// newScreen makes the database and serves it. Nothing in it is protected.
func newScreen(t *testing.T) *screen {
	t.Helper()
	h := gatehouseOf(t) // where nothing is protected
	s := &screen{t: t, cluster: h.cluster, database: fmt.Sprintf("screen%d", screens.Add(1))}
	s.run("postgres", "CREATE DATABASE "+s.database)
	for _, role := range []string{"mara", "crm", "reader"} {
		s.run("postgres", fmt.Sprintf("CREATE ROLE %s_%s LOGIN PASSWORD 'pw'", s.database, role))
	}
	s.run(s.database, screenTables)
	s.run(s.database, fmt.Sprintf(`GRANT ALL ON SCHEMA app TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA app TO PUBLIC; GRANT TEMP, CREATE ON DATABASE %s TO PUBLIC`, s.database))
	folder := t.TempDir()
	text := fmt.Sprintf("version: 1\nlisten: 127.0.0.1:0\nupstream:\n  address: 127.0.0.1:%d\n  database: %s\n  reader: {user: %[2]s_reader, password_file: reader.password}\n",
		s.cluster.Port, s.database) + fmt.Sprintf(screenMask, s.database)
	path := filepath.Join(folder, "sallyport.yaml")
	for name, content := range map[string]string{"reader.password": "pw\n", "sallyport.yaml": text} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.config, err = config.Load(path); err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	s.server, err = Start(context.Background(), Options{
		Config: s.config, Data: filepath.Join(folder, "data"), Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.server.Close() })
	select {
	case <-s.server.Ready():
	case <-s.server.Done():
		t.Fatalf("serve ended: %v\n%s", s.server.Close(), log)
	case <-time.After(stretched(20 * time.Second)):
		t.Fatalf("serve is not ready: %s", log)
	}
	return s
}

// run is the superuser's, around the gateway.
func (s *screen) run(database, sql string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.cluster.SuperDSN(database))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql[:min(len(sql), 60)], err)
	}
}

// roles of the screen.
func (s *screen) role(who string) (name, password string) {
	if who == "super" {
		return s.cluster.Superuser, s.cluster.Password
	}
	return s.database + "_" + who, "pw"
}

// connect goes through the gateway.
func (s *screen) connect(who string, change ...func(*pgx.ConnConfig)) (*pgx.Conn, *ear) {
	s.t.Helper()
	name, password := s.role(who)
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", name, password, s.server.Addr(), s.database))
	if err != nil {
		s.t.Fatal(err)
	}
	kept := keepRead(&config.Config)
	for _, c := range change {
		c(config)
	}
	conn, err := pgx.ConnectConfig(s.t.Context(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, kept
}

// secretIn is a masked value that stands in bytes of the wire, or nothing.
func secretIn(b []byte) string {
	for _, secret := range screenSecrets {
		if bytes.Contains(b, []byte(secret)) {
			return secret
		}
	}
	for _, raw := range [][]byte{screenDay, screenSalary} {
		if bytes.Contains(b, raw) {
			return fmt.Sprintf("%x", raw)
		}
	}
	return ""
}

// sendAs runs a text in the simple protocol, or by Parse, Bind and Execute with results in one format.
func sendAs(ctx context.Context, conn *pgconn.PgConn, how string, sql string, args ...string) error {
	if how == "simple" {
		_, err := conn.Exec(ctx, sql).ReadAll()
		return err
	}
	format := int16(0)
	if how == "binary" {
		format = 1
	}
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	return conn.ExecParams(ctx, sql, values, nil, nil, []int16{format}).Read().Err
}

// codeOf is an error's SQLSTATE.
func codeOf(err error) string {
	if p := (*pgconn.PgError)(nil); errors.As(err, &p) {
		return p.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
