package main

import "strings"

// reads are tricks by names and shapes: where a column stands under another name, or a result under another shape.
func reads() []trick {
	list := []string{
		"SELECT full_name FROM support.customers c(email, id, full_name) WHERE full_name = '{email}'", "SELECT 1 FROM support.customers c(a, b, d) WHERE c.d = '{email}'",
		"SELECT 1 FROM support.customers AS email(x, y, full_name) WHERE email.full_name = '{email}'", "SELECT 1 FROM (support.customers c JOIN support.tickets t ON t.customer_id = c.id) AS j(a, b, d) WHERE j.d = '{email}'",
		"SELECT 1 FROM (SELECT * FROM support.customers) s(a, b, d) WHERE d = '{email}'", "SELECT 1 FROM (SELECT c.* FROM support.customers c) s WHERE s.email = '{email}'",
		"SELECT 1 FROM (SELECT email AS plan FROM support.customers) s WHERE plan = '{email}'", "SELECT 1 FROM (SELECT email FROM support.customers) plan WHERE plan.email = '{email}'",
		"WITH q(a, b, d) AS (SELECT * FROM support.customers) SELECT a FROM q WHERE d = '{email}'", "WITH q AS MATERIALIZED (SELECT * FROM support.customers) SELECT id FROM q WHERE email = '{email}'",
		"WITH RECURSIVE q(e) AS (SELECT email FROM support.customers UNION SELECT e FROM q WHERE e = '{email}') SELECT * FROM q WHERE e = '{email}'",
		"WITH RECURSIVE q(e, n) AS (SELECT '{email}'::text, 1 UNION ALL SELECT email, 2 FROM support.customers JOIN q ON q.e = email) SELECT * FROM q",
		"WITH customers AS (SELECT 'x'::text AS email) SELECT * FROM support.customers WHERE email = '{email}'", "WITH customers(id, email) AS (SELECT id, email FROM support.customers) SELECT * FROM customers WHERE email = '{email}'",
		"WITH a AS (SELECT email FROM support.customers), b AS (SELECT * FROM a) SELECT * FROM b WHERE b = ROW('{email}')", "WITH a AS (SELECT email e FROM support.customers) SELECT * FROM a WHERE a.e IN (TABLE a) AND e = '{email}'",
		"SELECT 1 FROM support.customers c, LATERAL (SELECT c.email) l(x) WHERE l.x = '{email}'", "SELECT 1 FROM support.customers c CROSS JOIN LATERAL (VALUES (c.email)) l(x) WHERE x = '{email}'",
		"SELECT 1 FROM support.customers c, LATERAL unnest(ARRAY[c.email]) u WHERE u = '{email}'", "SELECT 1 FROM support.customers c, LATERAL unnest(ARRAY[c.email], ARRAY['x']) u(a, b) WHERE u.a = '{email}'",
		"SELECT 1 FROM support.customers c, LATERAL jsonb_each_text(to_jsonb(c)) j WHERE j.value = '{email}'", "SELECT 1 FROM support.customers c, LATERAL json_to_record(to_json(c)) AS r(email text) WHERE r.email = '{email}'",
		"SELECT 1 FROM support.customers c, LATERAL jsonb_populate_record(NULL::support.customers, to_jsonb(c)) r WHERE r.email = '{email}'", "SELECT 1 FROM ROWS FROM (unnest(ARRAY(SELECT email FROM support.customers))) r(x) WHERE x = '{email}'",
		"SELECT 1 FROM support.customers JOIN (VALUES ('{email}')) v(email) USING (email)", "SELECT 1 FROM support.customers NATURAL JOIN (VALUES ('{email}')) v(email)", "SELECT 1 FROM support.customers a JOIN support.customers b USING (email) WHERE email = '{email}'",
		"SELECT 1 FROM support.customers FULL JOIN (SELECT '{email}'::text AS email) v USING (email)", "SELECT 1 FROM support.customers c LEFT JOIN (SELECT '{email}'::text AS x) v ON v.x = c.email", "SELECT 1 FROM (support.customers JOIN support.tickets t ON true) WHERE email = '{email}'",
		"SELECT 1 FROM support.customers a JOIN support.customers b USING (id) AS u WHERE a.email = '{email}'", "SELECT email FROM support.customers UNION SELECT '{email}'", "SELECT email FROM support.customers INTERSECT SELECT '{email}'",
		"SELECT '{email}' EXCEPT SELECT email FROM support.customers", "SELECT email FROM support.customers UNION ALL SELECT '{email}' ORDER BY 1", "VALUES ('{email}') INTERSECT (SELECT email FROM support.customers)",
		"SELECT x FROM (SELECT email FROM support.customers UNION ALL SELECT plan FROM support.customers) u(x) WHERE x = '{email}'", "SELECT DISTINCT ON (x) x FROM (SELECT email FROM support.customers UNION ALL SELECT '{email}') u(x)",
		"SELECT x, count(*) FROM (SELECT email FROM support.customers UNION ALL SELECT '{email}') u(x) GROUP BY x", "SELECT rank('{email}') WITHIN GROUP (ORDER BY email) FROM support.customers", "SELECT percent_rank('{email}') WITHIN GROUP (ORDER BY c.email) FROM support.customers c",
		"SELECT count(*) FILTER (WHERE email = '{email}') FROM support.customers", "SELECT array_position(array_agg(email), '{email}') FROM support.customers", "SELECT string_agg(email, ',') LIKE '%{m}%' FROM support.customers", "SELECT bool_or(email = '{email}') FROM support.customers",
		"SELECT lag(email, 1, '{email}') OVER () = email FROM support.customers", "SELECT first_value(email) OVER () = '{email}' FROM support.customers", "SELECT mode() WITHIN GROUP (ORDER BY email) = '{email}' FROM support.customers", "SELECT json_agg(c)::text LIKE '%{m}%' FROM support.customers c",
		"SELECT json_object_agg(email, id) ->> '{email}' FROM support.customers", "SELECT (jsonb_object_agg(email, id)) -> '{email}' FROM support.customers", "SELECT array_agg(email) @> ARRAY['{email}'] FROM support.customers", "SELECT '{email}' = ANY (array_agg(email)) FROM support.customers",
		"SELECT width_bucket('{email}'::text, array_agg(email ORDER BY id)) FROM support.customers", "SELECT xmlagg(xmlelement(name e, email))::text LIKE '%{m}%' FROM support.customers", "SELECT ts_headline(email, to_tsquery('{m}')) FROM support.customers",
		"SELECT * FROM support.open_cases WHERE email = '{email}'", "SELECT * FROM support.open_cases o(a, b, d, e, f, g, h) WHERE g = '{email}'", "SELECT * FROM support.open_cases WHERE full_name = '{name}' OR ticket_no = '{no}'", "TABLE support.open_cases",
		"SELECT * FROM ONLY support.customers WHERE email = '{email}'", "SELECT * FROM support.customers TABLESAMPLE SYSTEM (100) WHERE email = '{email}'", "SELECT * FROM support.customers WHERE email = '{email}' FOR UPDATE OF customers SKIP LOCKED",
		"SELECT * FROM support.customers WHERE id = 1 AND email = '{email}' FETCH FIRST 1 ROWS WITH TIES", "SELECT id AS email FROM support.customers GROUP BY email, id HAVING email = '{email}'", "SELECT plan AS email FROM support.customers WHERE email = '{email}'",
		"SELECT 1 FROM support.customers WHERE EXISTS (SELECT 1 FROM support.staff WHERE email = '{email}')", "SELECT (SELECT 1 FROM support.staff WHERE email = '{email}' LIMIT 1) FROM support.customers", "SELECT (SELECT email FROM support.staff LIMIT 1) = '{email}' FROM support.customers",
		"SELECT c FROM support.customers c WHERE c.email = '{email}' OR c IS NULL", "SELECT (SELECT x FROM (SELECT c.*) x).email = '{email}' FROM support.customers c", "SELECT ((SELECT c)).email = '{email}' FROM support.customers c",
		"SELECT x.c.email FROM (SELECT c FROM support.customers c) x WHERE (x.c).email = '{email}'", "SELECT (ARRAY(SELECT c FROM support.customers c))[1].email = '{email}'", "SELECT (array_agg(c))[1].email = '{email}' FROM support.customers c",
		"SELECT CASE WHEN true THEN email ELSE '{email}' END = '{email}' FROM support.customers", "SELECT coalesce(NULL, email) = '{email}' FROM support.customers", "SELECT (email, 'x')::text FROM support.customers WHERE email = '{email}'",
		"SELECT ('{email}' || '') IN (SELECT email FROM support.customers)", "SELECT '{email}' = ALL (SELECT email FROM support.customers)", "SELECT NOT EXISTS (SELECT '{email}' INTERSECT SELECT email FROM support.customers)",
		"COPY (SELECT id FROM support.customers WHERE email = '{email}') TO STDOUT", "COPY (DELETE FROM support.customers WHERE email = '{email}' RETURNING *) TO STDOUT",
		"SET search_path = support; SELECT id FROM customers WHERE email = '{email}'", "SET search_path = pg_temp, support; SELECT id FROM customers WHERE email = '{email}'", "SET LOCAL search_path = support; SELECT email = '{email}' FROM customers",
		"SELECT id FROM pg_temp.customers WHERE email = '{email}'", "SELECT id FROM nowhere.customers WHERE email = '{email}'", "SELECT id FROM postgres.support.customers WHERE email = '{email}'", "SELECT id FROM \"support\".\"customers\" WHERE \"email\" = '{email}'",
		"SELECT id FROM SUPPORT.CUSTOMERS WHERE EMAIL = '{email}'", "SELECT id FROM U&\"s\\0075pport\".U&\"c\\0075stomers\" WHERE U&\"!0065mail\" UESCAPE '!' = '{email}'", "SELECT id FROM support . customers WHERE customers . email='{email}'",
		"SELECT id FROM support.customers* WHERE email = '{email}'", "SELECT email 'x@x.example' FROM support.customers", "SELECT support.customers.email = '{email}', customers.phone = '{phone}' FROM support.customers",
	}
	rows := make([]trick, 0, len(list))
	for _, sql := range list {
		rows = append(rows, trick{name: "name: " + sql[:min(len(sql), 60)], roles: agent, sql: []string{"BEGIN", sql, "ROLLBACK"}})
	}
	return rows
}

// outputs are tricks to have the victim's plain values come back, in every shape and from every place.
func outputs() []trick {
	const v = " FROM support.customers c WHERE id = {victim}"
	list := []string{
		"SELECT *" + v, "SELECT c" + v, "SELECT email, full_name, phone, birth_date, notes" + v, "TABLE support.tickets", "SELECT body FROM support.messages WHERE ticket_id = {vticket}", "SELECT to_json(c), to_jsonb(c), row_to_json(c)" + v,
		"SELECT email::bytea, email::name, email::varchar, email::char(200), email::xml" + v, "SELECT encode(email::bytea, 'base64'), upper(email), reverse(email), left(email, 5)" + v, "SELECT string_agg(email, '|'), array_agg(email), json_agg(c)" + v,
		"SELECT query_to_xml('SELECT * FROM support.customers WHERE id = {victim}', true, false, '')", "SELECT table_to_xml('support.customers', true, false, '')", "SELECT cursor_to_xml('x', 1, true, false, '')", "SELECT database_to_xml(true, false, '')",
		"SELECT email::int" + v, "SELECT (email || full_name)::date" + v, "SELECT full_name::json" + v, "SELECT notes::inet" + v, "SELECT birth_date::text::int" + v, "SELECT 1 / (length(email) - length(email))" + v, "SELECT notes::xml, xmlparse(document notes)" + v,
		"SELECT birth_date, birth_date::text, birth_date::timestamp, to_char(birth_date, 'YYYY-MM-DD'), age(birth_date), extract(epoch FROM birth_date)" + v, "SET datestyle = 'German'; SELECT birth_date" + v, "SET datestyle = 'SQL, DMY'; SELECT birth_date, c" + v,
		"SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE schemaname = 'support'", "SELECT * FROM pg_stats_ext", "SELECT stavalues1, stavalues2 FROM pg_statistic", "ANALYZE support.customers; SELECT histogram_bounds::text FROM pg_stats WHERE tablename = 'customers'",
		"SELECT query FROM pg_stat_activity", "SELECT * FROM pg_prepared_statements", "SELECT * FROM pg_cursors", "SELECT pg_get_viewdef('support.open_cases'::regclass)", "SELECT current_query(), '{vemail}' IS NULL", "SHOW sallyport.purpose", "SELECT * FROM pg_settings WHERE name LIKE 'sallyport%'",
		"EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM support.customers WHERE id = {victim}", "EXPLAIN (FORMAT JSON, VERBOSE) SELECT email FROM support.customers WHERE email = (SELECT email FROM support.customers WHERE id = {victim})", "EXPLAIN (ANALYZE) DELETE FROM support.messages WHERE id = -1",
		"CREATE TEMP TABLE o{row} AS SELECT *" + v + "; SELECT * FROM o{row}; DROP TABLE o{row}", "SELECT * INTO TEMP o{row}" + v + "; TABLE o{row}; COPY o{row} TO STDOUT; DROP TABLE o{row}", "BEGIN; CREATE TEMP TABLE o{row} ON COMMIT DROP AS TABLE support.customers; SELECT (o).email FROM o{row} o LIMIT 50; COMMIT",
		"CREATE TEMP VIEW o{row} AS SELECT *" + v + "; SELECT * FROM o{row}", "CREATE TEMP TABLE o{row} (LIKE support.customers INCLUDING ALL); INSERT INTO o{row} SELECT * FROM support.customers LIMIT 5; TABLE o{row}; DROP TABLE o{row}", "BEGIN; CREATE MATERIALIZED VIEW o{row} AS SELECT 1; ROLLBACK",
		"COPY support.customers TO STDOUT", "COPY support.customers TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)", "COPY support.customers TO STDOUT (FORMAT binary)", "COPY support.tickets TO STDOUT (FORMAT csv, DELIMITER '|', QUOTE '''', ESCAPE '!')", "COPY (SELECT c" + v + ") TO STDOUT (DELIMITER 'a')",
		"COPY (SELECT email, full_name FROM support.customers LIMIT 20) TO STDOUT (FORMAT csv, DELIMITER '@')", "COPY (SELECT * FROM support.customers ORDER BY id LIMIT 20) TO STDOUT (DELIMITER E'\\x01', NULL 'tk1:', ENCODING 'LATIN1')", "COPY support.customers TO '/tmp/qq7'", "COPY support.customers TO PROGRAM 'cat'",
		"DECLARE o{row} SCROLL CURSOR WITH HOLD FOR SELECT *" + v + "; FETCH ALL o{row}; FETCH BACKWARD 1 o{row}; MOVE FIRST IN o{row}; FETCH RELATIVE 0 o{row}; CLOSE o{row}", "BEGIN; DECLARE o{row} BINARY CURSOR FOR SELECT *" + v + "; FETCH o{row}; COMMIT",
		"PREPARE o{row} AS SELECT *" + v + "; EXECUTE o{row}; DEALLOCATE o{row}", "UPDATE support.customers SET plan = plan WHERE id = {victim} RETURNING *", "UPDATE support.customers c SET plan = c.plan WHERE id = {victim} RETURNING c, c.*, to_json(c)", "WITH u AS (UPDATE support.customers SET plan = plan WHERE id = {victim} RETURNING *) TABLE u",
		"BEGIN; DELETE FROM support.messages WHERE ticket_id = {vticket} RETURNING *; ROLLBACK", "INSERT INTO support.staff SELECT left(email, 9) || id, full_name, email, phone" + v + " RETURNING *", "BEGIN; INSERT INTO support.staff SELECT id::text || 'x', full_name, email, notes" + v + " RETURNING *; ROLLBACK",
		"INSERT INTO support.customers SELECT *" + v + " ON CONFLICT DO NOTHING RETURNING *", "INSERT INTO support.customers SELECT *" + v, "INSERT INTO support.customers (id, full_name, email, country, plan, created_at) VALUES ({victim}, 'x', 'x@x.example', 'DE', 'p', now()) RETURNING *",
		"SELECT lo_from_bytea(0, email::bytea)" + v, "SELECT convert_from(lo_get(lo_from_bytea(0, (email || full_name)::bytea)), 'UTF8')" + v, "SELECT lo_export(1, '/tmp/qq7')", "SELECT pg_read_file('/etc/passwd')", "SELECT pg_notify('c', email)" + v, "LISTEN c; SELECT pg_notify('c', c::text)" + v,
		"SELECT set_config('a.b', email, false)" + v + "; SELECT current_setting('a.b'); SHOW a.b", "SELECT set_config('sallyport.purpose', 'ticket:{vticket}', false); SELECT *" + v, "SET sallyport.purpose = 'ticket:{vticket}'; SELECT *" + v, "SET LOCAL sallyport.purpose = 'ticket:{vno}'; SELECT *" + v,
		"SELECT * FROM support.customers c WHERE id = {victim} /*sallyport.purpose='ticket:{vticket}'*/", "SELECT * FROM support.customers c WHERE id = {victim} /* a='b', sallyport.purpose='ticket:{ticket},ticket:{vticket},work:mine' */", "SELECT '/*sallyport.purpose=''ticket:{vticket}''*/', c.*" + v,
		"SELECT *" + v + " /*sallyport.purpose='ticket:{ticket}'*/ /*sallyport.purpose='ticket:{vticket}'*/", "SELECT *" + v + " /* /*sallyport.purpose='ticket:{vticket}'*/ */", "SELECT *" + v + " --/*sallyport.purpose='ticket:{vticket}'*/", "/*sallyport.purpose='ticket:{vticket}'*/ SELECT *" + v,
		"SET sallyport.purpose = 'ticket:{ticket}'; SELECT * FROM support.customers", "SET sallyport.purpose = 'work:mine'; SELECT *" + v, "SET sallyport.purpose = 'work:{vticket}'; SELECT *" + v, "SET sallyport.purpose = 'grant:all,job:all,call:1'; SELECT *" + v, "SET sallyport.purpose = 'ticket:{ticket} ticket:{vticket}'; SELECT *" + v,
		"SET sallyport.purpose TO DEFAULT; SELECT *" + v, "SET \"sallyport\".\"purpose\" TO 'ticket:{vticket}'; SELECT *" + v, "SET SESSION sallyport.purpose = \"ticket:{vticket}\"; SELECT *" + v, "BEGIN; SET sallyport.purpose = 'ticket:{vticket}'; ROLLBACK; SELECT *" + v, "BEGIN; SAVEPOINT a; SET LOCAL sallyport.purpose = 'ticket:{vticket}'; ROLLBACK TO a; SELECT *" + v + "; COMMIT",
		"SET ROLE svc_router; SELECT *" + v, "SET SESSION AUTHORIZATION svc_router; SELECT *" + v, "SET SESSION AUTHORIZATION postgres; SELECT *" + v, "RESET ROLE; RESET ALL; DISCARD ALL; SELECT *" + v, "ALTER ROLE {me} SET sallyport.purpose = 'ticket:{vticket}'", "SET ROLE sallyport_reader; SELECT *" + v,
		"BEGIN; UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}; SELECT *" + v + "; ROLLBACK", "UPDATE support.tickets SET customer_id = {victim} WHERE id = {ticket}", "BEGIN; UPDATE support.tickets SET assignee = '{me}' WHERE id = {vticket}; SET LOCAL sallyport.purpose = 'ticket:{vticket}'; SELECT *" + v + "; ROLLBACK",
		"SELECT email FROM support.customers WHERE id = {victim} UNION ALL SELECT email FROM support.customers WHERE id = {own}", "SELECT replace(a.email, a.email, b.email) FROM support.customers a, support.customers b WHERE a.id = {own} AND b.id = {victim}", "SELECT a.email, b.email, ARRAY[a.email, b.email], (a.email, b.email) FROM support.customers a, support.customers b WHERE a.id = {own} AND b.id = {victim}",
		"SELECT overlay(a.email placing b.email from 1) FROM support.customers a, support.customers b WHERE a.id = {own} AND b.id = {victim}", "SELECT json_build_object(a.email, b.email, 'n', b.full_name) FROM support.customers a, support.customers b WHERE a.id = {own} AND b.id = {victim}",
		"SELECT left(a.full_name, 20) || right(b.full_name, -20), left(b.full_name, 20) || right(a.full_name, -20) FROM support.customers a, support.customers b WHERE a.id = {own} AND b.id = {victim}", "SELECT xmlforest(email, full_name)" + v, "SELECT format('%s %L %I', email, phone, full_name)" + v,
		"DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM support.customers WHERE id = {victim}; RAISE NOTICE '%', r; END $$", "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT email FROM support.customers WHERE id = {victim}); END $$", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE false",
		"SET client_encoding = 'LATIN1'; SELECT *" + v, "SET client_encoding = 'EUC_JP'; SELECT *" + v, "SET client_encoding = 'SQL_ASCII'; SELECT *" + v, "SET bytea_output = 'escape'; SELECT email::bytea, c::text::bytea" + v, "SET extra_float_digits = 3; SET lc_messages = 'C'; SET client_min_messages = debug5; SELECT *" + v,
		"SET debug_print_plan = on; SET client_min_messages = log; SELECT *" + v + " AND email = '{email}'", "SET log_statement_stats = on; SELECT *" + v, "SELECT ts_stat('SELECT to_tsvector(email) FROM support.customers')", "SELECT * FROM support.customers; SELECT 1/0; SELECT * FROM support.tickets",
		"SELECT pg_sleep(0), c.* FROM support.customers c WHERE id = {victim} \\gdesc", "SELECT *" + v + strings.Repeat(" AND 1 = 1", 300),
	}
	rows := make([]trick, 0, len(list))
	for _, sql := range list {
		parts := strings.Split(sql, "; ")
		rows = append(rows, trick{name: "output: " + sql[:min(len(sql), 60)], sql: parts}, trick{name: "output in one text: " + sql[:min(len(sql), 60)], how: simple, sql: []string{sql}})
		if len(parts) == 1 {
			rows = rows[:len(rows)-1]
		}
	}
	return rows
}

// definitions are tricks that make something which sees plain values later, or which has a protected one's name.
func definitions() []trick {
	list := []string{
		"CREATE FUNCTION pg_temp.f{row}(t text) RETURNS text LANGUAGE sql AS 'SELECT t'; SELECT pg_temp.f{row}(email) = '{email}' FROM support.customers", "CREATE OR REPLACE FUNCTION public.f{row}(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE t; END'; SELECT public.f{row}('SELECT 1 FROM support.customers WHERE email = ''{email}''')",
		"CREATE PROCEDURE pg_temp.p{row}(t text) LANGUAGE sql AS 'UPDATE support.customers SET notes = t'; CALL pg_temp.p{row}('{text}')", "CREATE RULE r{row} AS ON INSERT TO support.staff DO ALSO UPDATE support.customers SET notes = NEW.name; INSERT INTO support.staff VALUES ('{m}', '{text}', 't', 'r')",
		"CREATE TRIGGER t{row} BEFORE UPDATE ON support.customers FOR EACH ROW WHEN (NEW.email = '{email}') EXECUTE FUNCTION suppress_redundant_updates_trigger()", "CREATE VIEW v{row} AS SELECT id FROM support.customers WHERE email = '{email}'", "CREATE TEMP VIEW v{row} AS SELECT * FROM support.open_cases WHERE email = '{email}'; TABLE v{row}",
		"CREATE RECURSIVE VIEW pg_temp.v{row}(e) AS SELECT email FROM support.customers WHERE email = '{email}'", "CREATE MATERIALIZED VIEW v{row} AS SELECT id FROM support.customers WHERE email = '{email}'", "CREATE TEMP TABLE c{row} AS SELECT id FROM support.customers WHERE email = '{email}'",
		"CREATE INDEX i{row} ON support.customers (id) WHERE email = '{email}'", "CREATE INDEX i{row} ON support.customers ((email || 'x'))", "CREATE INDEX i{row} ON support.customers ((email = '{email}'))", "CREATE STATISTICS s{row} ON (email = '{email}'), (phone || '{phone}') FROM support.customers",
		"CREATE POLICY p{row} ON support.customers USING (email = '{email}')", "ALTER TABLE support.customers ADD CONSTRAINT k{row} CHECK (email <> '{email}')", "ALTER TABLE support.customers ALTER COLUMN email SET DEFAULT '{email}'", "ALTER TABLE support.customers ALTER COLUMN notes TYPE text USING '{text}'", "ALTER TABLE support.customers ADD COLUMN x{row} text GENERATED ALWAYS AS (email || '{m}') STORED",
		"ALTER TABLE support.customers ADD COLUMN x{row} boolean DEFAULT ('{email}' = 'x'); UPDATE support.customers SET x{row} = (email = '{email}')", "ALTER TABLE support.customers RENAME COLUMN email TO plan2; SELECT id FROM support.customers WHERE plan2 = '{email}'", "ALTER TABLE support.customers RENAME TO others; SELECT 1 FROM support.others WHERE email = '{email}'",
		"ALTER TABLE support.customers SET SCHEMA public; SELECT 1 FROM public.customers WHERE email = '{email}'", "ALTER SCHEMA support RENAME TO s2; SELECT 1 FROM s2.customers WHERE email = '{email}'", "ALTER VIEW support.open_cases RENAME COLUMN email TO queue2; SELECT 1 FROM support.open_cases WHERE queue2 = '{email}'",
		"CREATE TEMP TABLE customers (id bigint, email text); SELECT 1 FROM customers WHERE email = '{email}'", "CREATE TEMP TABLE x{row} (id bigint, email text); ALTER TABLE x{row} RENAME TO customers; SELECT 1 FROM support.customers WHERE email = '{email}'", "CREATE TEMP SEQUENCE customers", "SELECT 1 AS id INTO TEMP customers",
		"CREATE SCHEMA s{row} CREATE TABLE customers (email text)", "CREATE TEMP TABLE h{row} () INHERITS (support.customers); SELECT 1 FROM h{row} WHERE email = '{email}'", "CREATE TABLE support.customers{row} PARTITION OF support.customers DEFAULT", "CREATE TEMP TABLE fk{row} (email text REFERENCES support.customers (email)); INSERT INTO fk{row} VALUES ('{email}')",
		"CREATE TEMP TABLE fk{row} (e text, FOREIGN KEY (e) REFERENCES support.customers (email) ON UPDATE CASCADE); INSERT INTO fk{row} VALUES ('{email}')", "CREATE DOMAIN d{row} AS text CHECK (VALUE <> 'x'); SELECT email::d{row} = '{email}'::d{row} FROM support.customers", "CREATE TYPE y{row} AS (email text); SELECT (email)::text = ROW('{email}')::y{row}::text FROM support.customers",
		"CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq); SELECT email === '{email}' FROM support.customers", "CREATE CAST (text AS int) WITH INOUT AS IMPLICIT; SELECT email = 1 FROM support.customers", "CREATE AGGREGATE a{row}(text) (SFUNC = textcat, STYPE = text); SELECT a{row}(email) = '{email}' FROM support.customers",
		"CREATE EVENT TRIGGER e{row} ON ddl_command_start EXECUTE FUNCTION suppress_redundant_updates_trigger()", "CREATE EXTENSION dblink; SELECT dblink('dbname=postgres', 'SELECT 1')", "CREATE EXTENSION postgres_fdw; CREATE SERVER z{row} FOREIGN DATA WRAPPER postgres_fdw", "CREATE SUBSCRIPTION z{row} CONNECTION '' PUBLICATION p", "CREATE PUBLICATION z{row} FOR ALL TABLES",
		"SELECT pg_create_logical_replication_slot('z{row}', 'test_decoding')", "ALTER SYSTEM SET log_statement = 'none'", "ALTER ROLE {me} SET standard_conforming_strings = off", "ALTER DATABASE support SET search_path = pg_temp", "LOAD 'auto_explain'", "SECURITY LABEL ON COLUMN support.customers.email IS 'x'", "TRUNCATE support.customers CASCADE", "DROP TABLE support.customers CASCADE", "DROP SCHEMA support CASCADE",
		"ALTER TABLE support.staff ADD CONSTRAINT k{row} CHECK (name <> (SELECT 'x'))", "REASSIGN OWNED BY postgres TO {me}", "ALTER TABLE support.customers DISABLE TRIGGER ALL", "ALTER TABLE support.customers ENABLE ALWAYS RULE r{row}", "VACUUM FULL support.customers", "CLUSTER support.customers USING customers_pkey", "LOCK TABLE support.customers IN ACCESS EXCLUSIVE MODE NOWAIT",
	}
	rows := make([]trick, 0, len(list))
	for _, sql := range list {
		parts := strings.Split(sql, "; ")
		rows = append(rows, trick{name: "definition: " + sql[:min(len(sql), 60)], roles: everyone, how: extended, chain: true, sql: append(append([]string{"BEGIN"}, parts...), "ROLLBACK")},
			trick{name: "definition, step by step: " + sql[:min(len(sql), 50)], roles: engineer, how: simple, chain: true, sql: parts})
	}
	return rows
}
