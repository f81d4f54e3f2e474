package protect

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Remains lists where the values of some tables are still to be found as they were, as far as the server knows of it, and how each place is
// rid of them.
func (r *run) findRemains(ctx context.Context) error {
	for _, t := range r.tables {
		r.remains = append(r.remains, Remainder{
			fmt.Sprintf("free space in the files of %s and its indexes, where old rows stood", t),
			"VACUUM (FULL) " + t.sql() + "; it locks the table as long as it takes. pg_repack does the same with short locks. Later rows overwrite it too.",
		})
	}
	rows, err := r.main.Query(ctx, remainders, r.oids())
	if err != nil {
		return fmt.Errorf("look for what still holds values: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Remainder])
	if err != nil {
		return fmt.Errorf("look for what still holds values: %w", err)
	}
	r.remains = append(r.remains, found...)
	r.remains = append(r.remains, Remainder{
		"backups and dumps that were made before, on this machine and elsewhere; snapshots of its disks",
		"Let them expire or delete them, and make a new one first. Until then treat them as the plain data that they are.",
	}, Remainder{
		"what applications wrote: their logs, caches, search indexes, exports, test databases",
		"sallyport scan finds values and tokens in files.",
	})
	return nil
}

const remainders = `
SELECT 'the write-ahead log from before ' || pg_current_wal_lsn() || ', in pg_wal', 'CHECKPOINT recycles it; old segments are overwritten with time, or deleted by a larger wal_recycle = off'
UNION ALL
SELECT 'the archive of the write-ahead log (' || name || ')', 'Let it expire together with the backups that need it.' FROM pg_settings
    WHERE name IN ('archive_command', 'archive_library') AND setting NOT IN ('', '(disabled)')
UNION ALL
SELECT 'the replica ' || coalesce(nullif(application_name, ''), host(client_addr), 'without a name'),
    'Its tables follow by themselves; its own write-ahead log, archive, logs and backups are as this server''s.' FROM pg_stat_replication
UNION ALL
SELECT 'replication slot ' || slot_name || ', which keeps the write-ahead log from ' || coalesce(restart_lsn::text, 'nowhere') || ' on',
    'Let its reader come on, or SELECT pg_drop_replication_slot(…).' FROM pg_replication_slots
UNION ALL
SELECT 'subscribers of publication ' || pubname, 'They got every change, old values too where the replica identity is full: protect them by themselves.' FROM pg_publication
UNION ALL
SELECT 'the server''s log: ' || name || ' is ' || setting, 'Delete the log files up to now; statements of before stand there with their values.' FROM pg_settings
    WHERE name = 'log_statement' AND setting <> 'none' OR name = 'log_min_duration_statement' AND setting <> '-1' OR name = 'log_min_error_statement' AND setting <> 'panic'
UNION ALL
SELECT 'pg_stat_statements, where statements of before may stand with their values', 'SELECT pg_stat_statements_reset()' FROM pg_extension WHERE extname = 'pg_stat_statements'
UNION ALL
SELECT format('materialised view %I.%I', n.nspname, c.relname), format('REFRESH MATERIALIZED VIEW %I.%I; with CONCURRENTLY where it has a unique index', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND EXISTS (
        WITH RECURSIVE below (oid) AS (
            SELECT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.objid = w.oid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
                WHERE w.ev_class = c.oid AND d.refobjid <> c.oid
            UNION SELECT d.refobjid FROM below JOIN pg_rewrite w ON w.ev_class = below.oid
                JOIN pg_depend d ON d.objid = w.oid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass WHERE d.refobjid <> below.oid
        ) SELECT FROM below WHERE oid = ANY ($1))`

func (r *run) oids() []uint32 {
	oids := make([]uint32, len(r.tables))
	for i, t := range r.tables {
		oids[i] = t.oid
	}
	return oids
}
