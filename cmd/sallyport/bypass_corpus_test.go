package main

import "strings"

// corpus is all tricks. Rows are only ever added.
func corpus() []trick {
	var rows []trick
	for _, part := range [][]trick{
		conditions(), writes(), reads(), outputs(), definitions(), names(), around(), wireTricks(), launderings(), asides(),
	} {
		rows = append(rows, part...)
	}
	return rows
}

// conditions are tricks that compare a mark with protected columns where the analysis might not see it.
func conditions() []trick {
	list := []string{
		"email = '{email}'", "'{email}' = email", "email <> '{email}'", "email != '{email}'", "email IS DISTINCT FROM '{email}'",
		"email IN ('{email}', 'b')", "email NOT IN ('{email}')", "email = ANY ('{{email}}')", "email = ANY (ARRAY['{email}'])", "email <> ALL (ARRAY['{email}'])",
		"email = ANY (string_to_array('{email},b', ','))", "email IN (SELECT '{email}')", "email = (SELECT '{email}')", "email = (VALUES ('{email}'))",
		"email = ANY (VALUES ('{email}'))", "email = (SELECT x FROM (VALUES ('{email}')) v(x))", "(email, id) = ('{email}', 1)", "ROW(email) = ROW('{email}')",
		"(id, email) IN ((1, '{email}'))", "(email, phone) = (SELECT '{email}', '{phone}')", "email LIKE '{m}%'", "email ILIKE '{m}%'", "email SIMILAR TO '{m}%'",
		"email ~ '^{m}'", "email ~* '^{m}'", "email ^@ '{m}'", "email > '{email}'", "email BETWEEN '{email}' AND 'z'", "email BETWEEN SYMMETRIC 'a' AND '{email}'",
		"lower(email) = '{email}'", "email = lower('{EMAIL}')", "email = '{m}' || '@x.example'", "email = concat('{m}', '@x.example')", "email = format('%s', '{email}')",
		"email || '' = '{email}'", "md5(email) = md5('{email}')", "hashtext(email) = hashtext('{email}')", "sha256(email::bytea) = sha256('{email}'::bytea)",
		"email::bytea = '{email}'::bytea", "email::varchar(80) = '{email}'", "email = '{email}'::varchar(80)", "email = '{email}'::char(40)", "email = '{email}'::name",
		"email = '{email}'::text::varchar::text", "email = varchar '{email}'", "email = CAST('{email}' AS text)", "email = '{email}' COLLATE \"C\"", "email COLLATE \"C\" = '{email}'",
		"email OPERATOR(pg_catalog.=) '{email}'", "email OPERATOR(pg_catalog.~~) '{email}'", "email OPERATOR(pg_catalog.~=~) '{email}'", "NOT email = '{email}'", "(email = '{email}') IS TRUE",
		"CASE email WHEN '{email}' THEN true END", "CASE WHEN email = '{email}' THEN true END", "NULLIF(email, '{email}') IS NULL", "coalesce(email, '{email}') = '{email}'",
		"coalesce('{email}', email) = email", "greatest(email, '{email}') = email", "least(email, '{email}') = '{email}'", "position('{m}' in email) > 0", "strpos(email, '{m}') > 0",
		"substring(email from '{m}') IS NOT NULL", "overlay(email placing 'x' from 1) = '{email}'", "replace(email, '{email}', '') = ''", "starts_with(email, '{m}')", "split_part(email, '{m}', 1) = ''",
		"regexp_match(email, '{m}') IS NOT NULL", "regexp_replace(email, '{m}', '') = ''", "translate(email, '{m}', '') = ''", "to_tsvector(email) @@ to_tsquery('{m}')", "length(replace(email, '{m}', '')) < 5",
		"ARRAY[email] = ARRAY['{email}']", "ARRAY[email] @> ARRAY['{email}']", "ARRAY[email] && ARRAY['{email}']", "array_position(ARRAY[email], '{email}') = 1", "'{email}' = ANY (ARRAY[email])",
		"(c).email = '{email}'", "email(c) = '{email}'", "c::text LIKE '%{m}%'", "c = ROW(1, '{name}', '{email}', NULL, NULL, 'DE', 'p', NULL, now(), 'x')::support.customers",
		"to_jsonb(c) @> '{\"email\": \"{email}\"}'", "to_jsonb(c) ->> 'email' = '{email}'", "row_to_json(c)::text LIKE '%{m}%'", "json_build_object('k', email) ->> 'k' = '{email}'",
		"to_jsonb(c) ? '{email}'", "jsonb_path_exists(to_jsonb(c), '$.email ? (@ == \"{email}\")')", "xmlelement(name x, email)::text = '<x>{email}</x>'", "xpath_exists('//x[text()=\"{email}\"]', xmlelement(name x, email))",
		"(email = '{email}') = true", "(SELECT email) = '{email}'", "(SELECT c.email = '{email}')", "EXISTS (SELECT WHERE c.email = '{email}')", "EXISTS (SELECT email INTERSECT SELECT '{email}')",
		"EXISTS (SELECT '{email}' EXCEPT SELECT email)", "(SELECT count(DISTINCT x) FROM (SELECT email UNION SELECT '{email}') u(x)) = 1", "email = (ARRAY['{email}'])[1]", "email = ('{{email}}'::text[])[1]",
		"email = ('{\"a\": \"{email}\"}'::jsonb ->> 'a')", "email = current_setting('a.b', true)", "email = U&'\\0071q7r{row}@x.example'", "email = E'{email}'", "email = $a${email}$a$", "email = N'{email}'",
		"email = '{m}'\n'@x.example'", "email = '{m}' -- between\n '@x.example'", "email = '{email}' /* {email} */", "email = /* {email} */ '{email}'", "email = '{email}' -- {email}\n", "email =\n\t'{email}'",
		"email = '{email}'::text -- sallyport.purpose='x'", "\"email\" = '{email}'", "U&\"\\0065mail\" = '{email}'", "EMAIL = '{email}'", "c.\"email\" = '{email}'", "support.customers.email = '{email}'",
		"full_name = '{name}'", "c.full_name IN ('{name}')", "left(full_name, 20) = '{name}'", "full_name = ANY ('{\"{name}\"}')", "(full_name, email) = ('{name}', '{email}')", "upper(full_name) = '{name}'",
		"phone = '{phone}'", "phone = ANY (ARRAY['{phone}'])", "replace(phone, ' ', '') = '{phone}'", "phone IN ('{phone}', NULL)", "notes = '{text}'", "notes LIKE '%{text}%'", "notes IS NOT DISTINCT FROM '{text}'",
		"email = phone AND phone = '{phone}'", "email = plan OR plan = '{email}' AND email = '{email}'", "id = (SELECT id FROM support.customers WHERE email = '{email}')",
		"id IN (SELECT customer_id FROM support.tickets WHERE ticket_no = '{no}')", "id = ALL (SELECT customer_id FROM support.open_cases WHERE email = '{email}' AND ticket_no = '{no}')",
		"id = 1 ORDER BY email = '{email}'", "id = 1 ORDER BY CASE email WHEN '{email}' THEN 1 END", "true GROUP BY id HAVING max(email) = '{email}'", "true GROUP BY id, email HAVING email = '{email}'",
		"id = 1 LIMIT (SELECT count(*) FROM support.customers WHERE email = '{email}')", "true WINDOW w AS (PARTITION BY email = '{email}')", "id = 1 FOR UPDATE", "email IS NOT NULL AND 'x' IS NOT NULL AND email = '{email}'",
		"birth_date = '1931-07-{row}'", "email = any(array_remove(ARRAY['{email}'], NULL))", "email = array_to_string(ARRAY['{email}'], '')", "email = trim('{email}')", "email = reverse('elpmaxe.x@{m}')",
		"email = encode('{email}'::bytea, 'escape')", "email = convert_from('{email}'::bytea, 'UTF8')", "email = quote_ident('{email}')", "email = (xpath('/a/text()', '<a>{email}</a>'))[1]::text",
		"email = (SELECT string_agg(x, '') FROM unnest(ARRAY['{m}', '@x.example']) x)", "email = (SELECT min(x) FROM (VALUES ('{email}')) v(x))", "email IN (SELECT unnest(ARRAY['{email}']))", "email IN (SELECT unnest('{{email}}'::text[]))",
		"email = (SELECT x FROM json_each_text('{\"k\": \"{email}\"}') j(k, x))", "email = (SELECT x FROM regexp_split_to_table('{email}', ',') x)", "email = (WITH q(x) AS (SELECT '{email}') SELECT x FROM q)",
		"email = (WITH RECURSIVE q(x, n) AS (SELECT '{email}'::text, 1 UNION ALL SELECT x, n + 1 FROM q WHERE n < 2) SELECT max(x) FROM q)", "email = lag('{email}'::text) OVER ()",
	}
	rows := make([]trick, 0, len(list))
	for _, condition := range list {
		rows = append(rows, trick{name: condition, roles: agent, sql: []string{"SELECT c.id FROM support.customers c WHERE " + condition}})
	}
	return rows
}

// writes are tricks that put a mark into a protected column.
func writes() []trick {
	const row = "INSERT INTO support.customers (id, full_name, email, phone, country, plan, notes, created_at) "
	values := []string{
		row + "VALUES (70{row}, '{name}', '{email}', '{phone}', 'DE', 'p', '{text}', now())",
		row + "SELECT 71{row}, '{name}', '{email}', '{phone}', 'DE', 'p', '{text}', now()",
		row + "SELECT 72{row}, a, b, '{phone}', 'DE', 'p', NULL, now() FROM (VALUES ('{name}', '{email}')) v(a, b)",
		row + "SELECT 73{row}, v.*, NULL, now() FROM (VALUES ('{name}', '{email}', '{phone}', 'DE', 'p')) v",
		row + "(WITH v(a, b) AS (SELECT '{name}', '{email}') SELECT 74{row}, a, b, NULL, 'DE', 'p', NULL, now() FROM v)",
		"WITH v(a, b) AS (VALUES ('{name}', '{email}')) " + row + "SELECT 75{row}, a, b, NULL, 'DE', 'p', NULL, now() FROM v",
		row + "SELECT 76{row}, '{name}', '{email}', NULL, 'DE', 'p', NULL, now() UNION ALL SELECT 77{row}, '{name} b', 'b{email}', NULL, 'DE', 'p', NULL, now()",
		row + "VALUES (78{row}, (SELECT '{name}'), (VALUES ('{email}')), NULL, 'DE', 'p', NULL, now())",
		row + "SELECT 79{row}, CASE WHEN true THEN '{name}' END, coalesce(NULL, '{email}'), NULL, 'DE', 'p', NULL, now()",
		row + "SELECT DISTINCT 80{row}, '{name}', '{email}', NULL, 'DE', 'p', NULL, now() ORDER BY 1 LIMIT 1",
		row + "VALUES (81{row}, '{name}'::text, '{email}'::varchar, '{phone}'::varchar(30), 'DE', 'p', NULL, now())",
		row + "VALUES (82{row}, concat('{name}'), lower('{EMAIL}'), NULL, 'DE', 'p', NULL, now())",
		row + "SELECT * FROM json_populate_record(NULL::support.customers, '{\"id\": 83{row}, \"email\": \"{email}\"}')",
		"INSERT INTO support.customers SELECT * FROM json_populate_record(NULL::support.customers, '{\"id\": 84{row}, \"full_name\": \"{name}\", \"email\": \"{email}\", \"country\": \"DE\", \"plan\": \"p\", \"created_at\": \"2020-01-01\", \"segment\": \"x\"}')",
		"INSERT INTO support.customers SELECT (r).* FROM (SELECT ROW(85{row}, '{name}', '{email}', NULL, NULL, 'DE', 'p', NULL, now(), 'x')::support.customers AS r) q",
		"INSERT INTO support.customers SELECT x.* FROM jsonb_to_recordset('[{\"id\": 86{row}, \"full_name\": \"{name}\", \"email\": \"{email}\"}]') AS x(id bigint, full_name text, email text)",
		row + "SELECT id + 87000000, full_name, '{email}' || id, NULL, 'DE', 'p', NULL, now() FROM support.customers WHERE id = {own}",
		row + "OVERRIDING SYSTEM VALUE VALUES (88{row}, '{name}', '{email}', NULL, 'DE', 'p', NULL, now())",
		row + "VALUES ({own}, '{name}', '{email}', NULL, 'DE', 'p', NULL, now()) ON CONFLICT (id) DO UPDATE SET email = 'c' || excluded.email",
		row + "VALUES ({own}, '{name}', 'x{email}', NULL, 'DE', 'p', NULL, now()) ON CONFLICT (id) DO UPDATE SET notes = '{text}' WHERE customers.email = '{email}'",
		row + "VALUES (89{row}, '{name}', '{email}', NULL, 'DE', 'p', NULL, now()) ON CONFLICT (email) WHERE email = '{email}' DO NOTHING",
		row + "VALUES (90{row}, '{name}', 'r{email}', NULL, 'DE', 'p', NULL, now()) RETURNING email = 'r{email}', 'x' || email, email",
		"UPDATE support.customers SET notes = '{text}' WHERE id = {own}", "UPDATE support.customers SET notes = '{text}' || notes WHERE id = {own}",
		"UPDATE support.customers SET (notes, phone) = ('{text}', '{phone}') WHERE id = {own}", "UPDATE support.customers SET (notes, phone) = ROW('{text}', '{phone}') WHERE id = {own}",
		"UPDATE support.customers SET (notes, phone) = (SELECT '{text}', '{phone}') WHERE id = {own}", "UPDATE support.customers c SET notes = v.n FROM (VALUES ({own}, '{text}')) v(id, n) WHERE c.id = v.id",
		"UPDATE support.customers SET notes = CASE WHEN id = {own} THEN '{text}' ELSE notes END WHERE id = {own}", "UPDATE support.customers SET notes = coalesce('{text}', notes) WHERE id = {own}",
		"UPDATE support.customers SET notes = (SELECT '{text}' FROM support.staff LIMIT 1) WHERE id = {own}", "UPDATE support.customers SET notes = $t${text}$t$ WHERE id = {own}",
		"UPDATE ONLY support.customers AS x SET notes = E'{text}' WHERE x.id = {own}", "UPDATE support.customers SET notes = format('%s', '{text}') WHERE id = {own}",
		"UPDATE support.customers SET notes = array_to_string(ARRAY['{text}'], '') WHERE id = {own}", "UPDATE support.customers SET notes = '{text}'::char(40) WHERE id = {own}",
		"UPDATE support.customers SET notes[1] = '{text}' WHERE id = {own}", "UPDATE support.customers SET notes = ('{\"a\": \"{text}\"}'::jsonb)->>'a' WHERE id = {own}",
		"WITH u AS (UPDATE support.customers SET notes = '{text}' WHERE id = {own} RETURNING notes) SELECT notes, notes = '{text}' FROM u",
		"WITH u AS (UPDATE support.customers SET notes = x FROM (VALUES ('{text}')) v(x) WHERE id = {own} RETURNING 1) SELECT 1",
		"MERGE INTO support.customers c USING (VALUES ({own}::bigint, '{text}')) v(id, n) ON c.id = v.id WHEN MATCHED THEN UPDATE SET notes = v.n",
		"MERGE INTO support.customers c USING (SELECT 91{row} AS id) v ON c.id = v.id WHEN NOT MATCHED THEN INSERT (id, full_name, email, country, plan, created_at) VALUES (v.id, '{name}', '{email}', 'DE', 'p', now())",
		"MERGE INTO support.customers c USING support.staff s ON c.email = '{email}' AND s.id = '{me}' WHEN MATCHED AND c.email = '{email}' THEN DO NOTHING",
		"MERGE INTO support.customers c USING (VALUES ('{email}')) v(e) ON c.email = v.e WHEN MATCHED THEN DELETE",
		"DELETE FROM support.customers WHERE email = '{email}'", "DELETE FROM support.customers c USING (VALUES ('{email}')) v(e) WHERE c.email = v.e RETURNING c.*",
		"INSERT INTO support.messages (id, ticket_id, author, body, sent_at) VALUES (92{row}, {ticket}, '{me}', '{text}', now()) RETURNING body",
		"INSERT INTO support.messages SELECT 93{row}, {ticket}, '{me}', '{text}', now()", "UPDATE support.messages SET body = '{text}' WHERE ticket_id = {ticket}",
		"INSERT INTO support.tickets (id, ticket_no, customer_id, queue, state, subject, opened_at) VALUES (94{row}, '{no}', {own}, 'q', 'open', '{text}', now())",
		"UPDATE support.open_cases SET email = '{email}' WHERE id = {ticket}", "INSERT INTO support.open_cases (id, email) VALUES (1, '{email}')",
		"SELECT '{text}' AS body INTO TEMP here{row}; INSERT INTO support.messages SELECT 95{row}, {ticket}, 'x', body, now() FROM here{row}; DROP TABLE here{row}",
		"COPY support.customers (email, id) FROM STDIN", "COPY support.customers (email) FROM STDIN", "COPY support.messages FROM STDIN WHERE body = '{text}'", "COPY support.open_cases FROM STDIN",
		"DO $$ BEGIN UPDATE support.customers SET notes = '{text}' WHERE id = {own}; END $$", "CALL support.nothing(notes)",
		"EXPLAIN ANALYZE UPDATE support.customers SET notes = '{text}' WHERE id = {own}", "EXPLAIN (VERBOSE, FORMAT JSON) SELECT 1 FROM support.customers WHERE email = '{email}'",
		"PREPARE w{row} AS UPDATE support.customers SET notes = '{text}' WHERE id = $1; EXECUTE w{row}({own})", "PREPARE w{row} AS UPDATE support.customers SET notes = $1 WHERE id = {own}; EXECUTE w{row}('{text}')",
		"PREPARE w{row} (text) AS SELECT id FROM support.customers WHERE email = $1; EXECUTE w{row}('{m}' || '@x.example')", "PREPARE w{row} AS SELECT id FROM support.customers WHERE email = $1; EXECUTE w{row}(lower('{EMAIL}'))",
		"PREPARE w{row} AS SELECT id FROM support.customers WHERE email = $1; EXPLAIN EXECUTE w{row}('{email}')", "PREPARE w{row} AS SELECT id FROM support.customers WHERE email = $1; CREATE TEMP TABLE e{row} AS EXECUTE w{row}('{email}')",
		"PREPARE w{row} AS SELECT id FROM support.customers WHERE email = $1; EXPLAIN ANALYZE CREATE TEMP TABLE f{row} AS EXECUTE w{row}('{email}')",
		"PREPARE w{row} AS SELECT $1::text, $2::text; DEALLOCATE w{row}; PREPARE w{row} AS SELECT id FROM support.customers WHERE email = $1 AND phone = $2; EXECUTE w{row}('{email}', '{phone}')",
		"BEGIN; PREPARE w{row} AS SELECT $1::text; ROLLBACK; DEALLOCATE w{row}; PREPARE w{row} AS SELECT id FROM support.customers WHERE email = $1; EXECUTE w{row}('{email}'::text)",
		"DECLARE d{row} CURSOR WITH HOLD FOR SELECT email FROM support.customers WHERE email = '{email}'; FETCH ALL d{row}; CLOSE d{row}",
		"BEGIN; DECLARE d{row} SCROLL CURSOR FOR SELECT * FROM support.customers WHERE id = {own}; FETCH d{row}; UPDATE support.customers SET notes = '{text}' WHERE CURRENT OF d{row}; COMMIT",
		"SELECT 1; SELECT id FROM support.customers WHERE email = '{email}'", "SELECT 1;; SELECT id FROM support.customers WHERE phone = '{phone}';", "-- c\nSELECT id FROM support.customers /* /* nested */ */ WHERE email = '{email}' --",
	}
	rows := make([]trick, 0, len(values)+8)
	for _, sql := range values {
		rows = append(rows, trick{name: "write: " + sql[:min(len(sql), 60)], sql: []string{sql}})
	}
	for _, sql := range []string{
		"SELECT id FROM support.customers WHERE email = $1", "SELECT id FROM support.customers WHERE email = $1::varchar", "SELECT id FROM support.customers WHERE email = ANY ($1)",
		"SELECT id FROM support.customers WHERE $1 = ANY (ARRAY[email])", "SELECT id FROM support.customers WHERE email = lower($1)", "SELECT id, $1::text FROM support.customers WHERE email = $1",
		"SELECT id FROM support.customers WHERE email = $1 AND plan = $1", "SELECT id FROM support.customers WHERE email LIKE $1", "SELECT id FROM support.customers WHERE email = coalesce($1, email)",
		"SELECT id FROM support.customers WHERE ($1 IS NULL OR email = $1)", "SELECT id FROM support.customers JOIN (SELECT $1::text AS email) x USING (email)", "SELECT id FROM support.customers NATURAL JOIN (VALUES ($1)) x(email)",
		"UPDATE support.customers SET email = $1 WHERE email = $1", "UPDATE support.customers SET notes = $1 WHERE email = $1", "DELETE FROM support.customers WHERE (email, plan) = ($1, 'x')",
	} {
		arg := "{email}"
		if strings.Contains(sql, "ANY ($1)") {
			arg = "{{email}}"
		}
		rows = append(rows, trick{name: "parameter: " + sql, sql: []string{sql}, args: []string{arg}})
	}
	return rows
}
