package historytest

import (
	"context"
	"strings"

	"sallyport"
)

// Attacks are questions that must be refused.
func Attacks() []string {
	return []string{
		"", ";", "--", "nonsense",
		// writing and reaching out
		"COPY reveals TO '/tmp/history-attack.csv'",
		"COPY (SELECT 1) TO '/tmp/history-attack.parquet' (FORMAT parquet)",
		"EXPORT DATABASE '/tmp/history-attack'",
		"ATTACH '/tmp/history-attack.db' AS a", "ATTACH ':memory:' AS a", "DETACH history",
		"INSTALL httpfs", "LOAD httpfs", "LOAD '/tmp/x.duckdb_extension'", "FORCE INSTALL json FROM 'http://127.0.0.1:1'",
		"CREATE TABLE t AS SELECT 1", "CREATE OR REPLACE VIEW reveals AS SELECT 1", "CREATE TEMP TABLE t (i INT)", "CREATE MACRO m(a) AS a", "CREATE SEQUENCE q", "CREATE SECRET s (TYPE s3)",
		"DROP VIEW reveals", "DROP TABLE seen", "ALTER TABLE seen ADD COLUMN x INT", "TRUNCATE seen",
		"INSERT INTO seen SELECT * FROM seen", "UPDATE position SET entry = 0", "DELETE FROM seen", "MERGE INTO seen USING seen s ON true WHEN MATCHED THEN DELETE",
		"WITH gone AS (DELETE FROM seen RETURNING *) SELECT * FROM gone",
		"CHECKPOINT", "FORCE CHECKPOINT", "VACUUM", "ANALYZE", "BEGIN", "COMMIT", "ROLLBACK",
		"PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p", "CALL force_checkpoint()", "CALL pragma_version()",
		// settings
		"SET memory_limit = '100GB'", "RESET memory_limit", "SET enable_external_access = true", "SET GLOBAL lock_configuration = false", "SET VARIABLE v = 1", "USE temp",
		"PRAGMA database_list", "PRAGMA memory_limit='100GB'", "PRAGMA enable_profiling", "PRAGMA show_tables",
		"SELECT current_setting('temp_directory')", "SELECT getenv('HOME')", "SELECT getvariable('v')", "SELECT version()",
		"EXPLAIN SELECT * FROM reveals", "EXPLAIN ANALYZE SELECT * FROM reveals", "DESCRIBE reveals", "SHOW TABLES", "SHOW ALL TABLES", "SUMMARIZE reveals",
		"SELECT * FROM (DESCRIBE people)", "SELECT * FROM (SHOW TABLES)", "FROM (SUMMARIZE people)",
		// several statements
		"SELECT 1; SELECT 2", "SELECT 1; DROP TABLE seen", "SELECT 1); DROP TABLE seen; SELECT (1", "SELECT 1;; COPY reveals TO '/tmp/history-attack.csv'; SELECT 1",
		"SELECT 1 -- \n; DROP TABLE seen",
		// files
		"SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_csv_auto('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM \"/etc/passwd\"", "FROM 'x.parquet'",
		"SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_blob('/etc/passwd')", "SELECT * FROM glob('/*')", "SELECT * FROM read_json('/etc/passwd')", "SELECT * FROM read_parquet('x')",
		"SELECT * FROM sniff_csv('/etc/passwd')", "SELECT * FROM read_ndjson_objects('/etc/passwd')", "SELECT (SELECT content FROM read_text('/etc/passwd'))",
		"SELECT * FROM parquet_metadata('x')", "SELECT * FROM reveals, LATERAL (SELECT * FROM read_text(reveals.person))",
		// what lies behind the views
		"SELECT * FROM people", "SELECT * FROM boxes", "SELECT * FROM main.reveals", "SELECT * FROM main.people", "SELECT * FROM history.main.people", "TABLE people", "FROM people",
		"SELECT * FROM reveals UNION ALL SELECT NULL, NULL, person, NULL, NULL, NULL FROM people", "SELECT (SELECT max(box) FROM people)", "SELECT * FROM reveals WHERE EXISTS (FROM boxes)",
		"WITH people AS (SELECT 1) SELECT * FROM people", "SELECT * FROM (WITH people AS (SELECT 1) SELECT * FROM people), people", "WITH PEOPLE AS (SELECT 1) SELECT * FROM People",
		"WITH RECURSIVE held AS (SELECT 1) SELECT * FROM held",
		"SELECT * FROM query('SELECT * FROM people')", "SELECT * FROM query_table('people')", "SELECT * FROM query_table(['people', 'boxes'])",
		"SELECT json_execute_serialized_sql(json_serialize_sql('SELECT * FROM people'))", "FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM people'))",
		"PIVOT people ON id USING count(*)", "SELECT * FROM (PIVOT people ON id USING count(*))", "SELECT * FROM (UNPIVOT people ON id)",
		"SELECT * FROM information_schema.tables", "SELECT * FROM duckdb_tables", "SELECT * FROM duckdb_tables()", "SELECT * FROM duckdb_views()", "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_secrets()",
		"SELECT * FROM pg_catalog.pg_class", "SELECT * FROM pg_class", "SELECT * FROM sqlite_master", "SELECT * FROM pragma_storage_info('people')", "SELECT * FROM pragma_table_info('people')", "SELECT * FROM duckdb_logs()",
		"SELECT * FROM enable_logging('QueryLog')", "SELECT * FROM force_checkpoint()", "SELECT * FROM test_all_types()", "SELECT nextval('q')", "SELECT * FROM which_secret('a', 's3')",
		"SELECT columns(*) FROM people", "SELECT * EXCLUDE (id) FROM people", "SELECT * FROM people AT (VERSION => 1)", "SELECT * FROM reveals POSITIONAL JOIN people", "SELECT * FROM reveals ASOF JOIN people ON true",
		"SELECT ?", "SELECT $1", "SELECT $name",
		// much out of nothing
		"SELECT count(*) FROM range(100000000000) a, range(100000000000) b",
		"SELECT a.range, b.range FROM range(10000000000) a, range(100000) b ORDER BY a.range + b.range, a.range * b.range",
		"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
		"SELECT repeat('x', 4000000000)", "SELECT lpad('x', 2000000000, 'y')", "SELECT count(*) FROM (SELECT DISTINCT a.range * 1000003 + b.range FROM range(100000000) a, range(100) b)",
		"SELECT list(a.range) FROM range(100000000000) a", "SELECT string_agg(a.range, ',') FROM range(100000000000) a", "SELECT range(100000000000)", "SELECT generate_series(1, 100000000000)",
		"SELECT " + strings.Repeat("(", 5000) + "1 FROM people" + strings.Repeat(")", 5000), "SELECT " + strings.Repeat("NOT ", 4000) + "true", "SELECT " + strings.Repeat("(SELECT ", 1500) + "1" + strings.Repeat(")", 1500),
		"SELECT " + strings.Repeat("[", 5000) + "1" + strings.Repeat("]", 5000), "SELECT " + strings.Repeat("CASE WHEN true THEN ", 700) + "1" + strings.Repeat(" END", 700), "SELECT " + strings.Repeat("1+", 8000) + "1", strings.Repeat("SELECT 1 UNION ALL ", 800) + "SELECT 1 FROM people",
		"SELECT '" + strings.Repeat("x", 20_000) + "'", "SELECT '\x00'", "SELECT '\xff'",
	}
}

// ID is history.Record's.
func (j *Journal) ID() string { return Record }

// Last is history.Record's.
func (j *Journal) Last() uint64 { return uint64(len(j.Events)) }

// Read is history.Record's. Each event delivered is fn's own, as a record's is.
func (j *Journal) Read(from uint64, fn func(*sallyport.Event) error) error {
	for _, e := range j.Events[min(max(from, 1)-1, j.Last()):] {
		own := *e
		if err := fn(&own); err != nil {
			return err
		}
	}
	return nil
}

// Pick is history.Record's.
func (j *Journal) Pick(from uint64, wanted func(seq uint64) bool, fn func(seq uint64, e *sallyport.Event) error) error {
	return j.Read(from, func(e *sallyport.Event) error {
		if !wanted(e.Seq) {
			return fn(e.Seq, nil)
		}
		return fn(e.Seq, e)
	})
}

// Follow is history.Record's.
func (j *Journal) Follow(ctx context.Context, from uint64, fn func(*sallyport.Event) error) error {
	if err := j.Read(from, fn); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}
