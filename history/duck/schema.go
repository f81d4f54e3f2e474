package duck

// format is written into a file and checked when it is opened: one of another version is made again.
const format = "2"

// What a row in seen or fresh says, where it is not a column's value.
const (
	fieldRow     = 0  // a row was read while serve only observed
	fieldReached = -1 // a row was returned, its values unreadable
)

// Where in a batch's kind.
const (
	kindReveal = iota
	kindObserved
	kindReached
)

// Where in a mark's what.
const (
	markOther = iota
	markTells // what serve only observed, another system's log, a statement's text
	markFacts
)

// schema is the tables. Rows come by the day; seen and held are sorted by customer within what was compacted together, so that
// DuckDB's zone maps let a question pass over nearly all of it. shared lists where a value stands that identifies somebody and that another
// customer has, too: there are few, and without it each question would look for each value everywhere.
func schema() []string {
	return []string{
		`CREATE TABLE meta (k VARCHAR, v VARCHAR)`,
		`CREATE TABLE position (entry UBIGINT)`,
		`INSERT INTO position VALUES (0)`,

		// Dictionaries. box is sealed.
		`CREATE TABLE people (id INTEGER, person VARCHAR, service BOOLEAN, box BLOB)`,
		`INSERT INTO people VALUES (0, NULL, NULL, NULL)`, // nobody: so that a view may join
		`CREATE TABLE words (id INTEGER, word VARCHAR)`,
		`CREATE TABLE fields (id SMALLINT, "schema" VARCHAR, "table" VARCHAR, name VARCHAR, tells BOOLEAN)`,
		`CREATE TABLE actors (day DATE, id INTEGER, person INTEGER, via INTEGER, claimed BOOLEAN, session VARCHAR, application INTEGER,
			address INTEGER, device INTEGER, country INTEGER, team INTEGER, "database" INTEGER)`,
		`CREATE TABLE reasons (day DATE, id INTEGER, purposes VARCHAR, lent VARCHAR)`,
		`CREATE TABLE boxes (day DATE, kind TINYINT, first INTEGER, last INTEGER, box BLOB)`,
		`CREATE TABLE fresh_boxes (day DATE, kind TINYINT, first INTEGER, last INTEGER, box BLOB)`,
		`CREATE TABLE customers (id BIGINT, key VARCHAR)`,

		// What happened: one row an entry.
		`CREATE TABLE acts (day DATE, entry BIGINT, time TIMESTAMP, kind INTEGER, actor INTEGER, statement BIGINT, verb INTEGER, shape INTEGER,
			fields INTEGER, reason INTEGER, code INTEGER, writes BOOLEAN, note INTEGER)`,
		`CREATE TABLE batches (day DATE, entry BIGINT, time TIMESTAMP, kind TINYINT, actor INTEGER, statement BIGINT, verb INTEGER, reason INTEGER, fields INTEGER)`,
		// Where in the record the rest stands that somebody's questions need: by whom, and whether it explains what others did.
		`CREATE TABLE marks (day DATE, entry BIGINT, what TINYINT, person INTEGER, via INTEGER)`,
		`CREATE TABLE mentions (name VARCHAR)`, // tables of statements

		// Values: fresh as they come, seen once they are compacted.
		`CREATE TABLE fresh (day INTEGER, entry BIGINT, person INTEGER, customer BIGINT, field SMALLINT, hi BIGINT, lo BIGINT)`,
		`CREATE TABLE fresh_keys (id BIGINT, key VARCHAR)`,
		`CREATE TABLE seen (run INTEGER, day DATE, customer BIGINT, field SMALLINT, nth INTEGER, person INTEGER, entry BIGINT)`,
		`CREATE TABLE held (run INTEGER, customer BIGINT, field SMALLINT, nth INTEGER, hi BIGINT, lo BIGINT)`,
		`CREATE TABLE shared (customer BIGINT, field SMALLINT, hi BIGINT, lo BIGINT)`,
	}
}

// views are what questions may be about.
func views() []string {
	const who = `p.person, v.person AS via, a.claimed, a.session, app.word AS application, ad.word AS address, dv.word AS device, co.word AS country,
		te.word AS team, db.word AS "database"`
	const joins = `LEFT JOIN people p ON p.id = a.person LEFT JOIN people v ON v.id = a.via LEFT JOIN words app ON app.id = a.application
		LEFT JOIN words ad ON ad.id = a.address LEFT JOIN words dv ON dv.id = a.device LEFT JOIN words co ON co.id = a.country
		LEFT JOIN words te ON te.id = a.team LEFT JOIN words db ON db.id = a."database"`
	rows := func(condition string) string { // keys that are numbers need no look into customers, and nearly all are
		return `(SELECT day, entry, person, field, customer AS customer_number, customer::VARCHAR AS customer FROM seen WHERE customer >= 0 AND field ` + condition + `
			UNION ALL SELECT s.day, s.entry, s.person, s.field, NULL, k.key FROM seen s LEFT JOIN customers k ON k.id = s.customer WHERE s.customer < 0 AND s.field ` + condition + `
			UNION ALL SELECT DATE '1970-01-01' + f.day, f.entry, f.person, f.field, CASE WHEN f.customer >= 0 THEN f.customer END, CASE WHEN f.customer >= 0 THEN f.customer::VARCHAR ELSE coalesce(k.key, n.key) END
				FROM fresh f LEFT JOIN customers k ON k.id = f.customer LEFT JOIN (SELECT DISTINCT id, key FROM fresh_keys) n ON n.id = f.customer
				WHERE f.field ` + condition + `)`
	}
	return []string{
		`CREATE VIEW reveals AS SELECT r.day, r.entry, p.person, r.customer, r.customer_number, n.names[r.field] AS "column"
			FROM ` + rows("> 0") + ` r JOIN people p ON p.id = r.person, (SELECT list("schema" || '.' || "table" || '.' || name ORDER BY id) AS names FROM fields) n`,
		`CREATE VIEW reached AS SELECT r.day, r.entry, p.person, r.customer, r.customer_number, r.field = 0 AS readable FROM ` + rows("<= 0") + ` r JOIN people p ON p.id = r.person`,
		`CREATE VIEW accesses AS SELECT x.day, x.time, x.entry, x.kind, ` + who + `, x.statement, vb.word AS verb, sh.word AS shape, fl.word AS columns,
				rs.purposes, rs.lent AS "grant", cd.word AS refused, x.writes
			FROM (SELECT b.day, b.time, b.entry, CASE b.kind WHEN 0 THEN 'reveal' WHEN 1 THEN 'observed' ELSE 'touch' END AS kind, b.actor, b.statement, b.verb, b.reason,
					NULL::INTEGER AS shape, NULL::INTEGER AS fields, NULL::INTEGER AS code, NULL::BOOLEAN AS writes FROM batches b
				UNION ALL SELECT c.day, c.time, c.entry, kw.word, c.actor, c.statement, c.verb, c.reason, c.shape, c.fields, c.code, c.writes
					FROM acts c LEFT JOIN words kw ON kw.id = c.kind) x
			LEFT JOIN actors a ON a.id = x.actor ` + joins + ` LEFT JOIN words vb ON vb.id = x.verb LEFT JOIN words sh ON sh.id = x.shape
			LEFT JOIN words fl ON fl.id = x.fields LEFT JOIN words cd ON cd.id = x.code LEFT JOIN reasons rs ON rs.id = x.reason`,
		`CREATE VIEW sessions AS SELECT a.day, ` + who + `, min(c.time) AS first_seen, max(c.time) AS last_seen, count(*) AS entries
			FROM actors a ` + joins + ` LEFT JOIN (SELECT actor, time FROM acts UNION ALL SELECT actor, time FROM batches) c ON c.actor = a.id GROUP BY ALL`,
		`CREATE VIEW findings AS SELECT c.day, c.time, c.entry, kw.word AS kind, p.person, a.session, nw.word AS note
			FROM acts c JOIN words kw ON kw.id = c.kind AND kw.word IN ('budget', 'refused', 'stray', 'around', 'entry_refused', 'power', 'copy')
			LEFT JOIN actors a ON a.id = c.actor LEFT JOIN people p ON p.id = a.person LEFT JOIN words nw ON nw.id = c.note`,
	}
}

// documented are the views that questions may name.
func documented() []string { return []string{"reveals", "reached", "accesses", "sessions", "findings"} }
