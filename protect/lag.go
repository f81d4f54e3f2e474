package protect

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// moment is how far the write-ahead log was at some time.
type moment struct {
	at  time.Time
	end int64
}

// selectReplicas is the end of the write-ahead log, and how far each replica has replayed it. The server's own replay_lag is of what was replayed last:
// of a replica that stands still it says nothing.
const selectReplicas = `SELECT (w.now - '0/0')::bigint, (r.replay_lsn - '0/0')::bigint, coalesce(extract(epoch FROM r.replay_lag), 0)::float8
	FROM (SELECT pg_current_wal_lsn() AS now) w LEFT JOIN pg_stat_replication r ON r.state IN ('catchup', 'streaming') AND r.replay_lsn IS NOT NULL`

// lag is how far the replica that is furthest behind is, in time: since when there is something that it has not replayed.
func (r *run) lag(ctx context.Context) (time.Duration, error) {
	rows, err := r.main.Query(ctx, selectReplicas)
	if err != nil {
		return 0, fmt.Errorf("look how far replicas are: %w", err)
	}
	now := r.Live.Now()
	var end int64
	var replayed *int64
	var told float64
	behind, most, follows := int64(0), 0.0, false
	_, err = pgx.ForEachRow(rows, []any{&end, &replayed, &told}, func() error {
		if replayed != nil {
			if !follows || *replayed < behind {
				behind, follows = *replayed, true
			}
			most = max(most, told)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look how far replicas are: %w", err)
	}
	if len(r.written) == 0 || r.written[len(r.written)-1].end < end {
		r.written = append(r.written, moment{now, end})
	}
	for len(r.written) > 0 && (!follows || r.written[0].end <= behind) { // all of it has been replayed
		r.written = r.written[1:]
	}
	if len(r.written) == 0 {
		return 0, nil
	}
	return max(now.Sub(r.written[0].at), time.Duration(most*float64(time.Second))), nil
}

// awaitReplicas waits until no replica is further behind than it may be.
func (r *run) awaitReplicas(ctx context.Context) error {
	most := r.Live.MaxLag
	if most <= 0 {
		most = 10 * time.Second
	}
	for told := false; ; {
		lag, err := r.lag(ctx)
		if err != nil || lag <= most {
			return err
		}
		if !told {
			r.tell("waiting for a replica that is %.0f s behind", lag.Seconds())
			told = true
		}
		if _, err := r.main.Exec(ctx, "SELECT pg_sleep(0.5)"); err != nil {
			return fmt.Errorf("wait for replicas: %w", err)
		}
	}
}
