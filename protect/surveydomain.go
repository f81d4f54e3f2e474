package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

const surveyDomain = `WITH RECURSIVE up (oid, kind, base, missing, rules) AS (
		SELECT t.oid, t.typtype, t.typbasetype, t.typnotnull, EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')
			FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1 AND a.attnum = $2
		UNION ALL SELECT t.oid, t.typtype, t.typbasetype, t.typnotnull OR up.missing, EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c') OR up.rules
			FROM up JOIN pg_type t ON t.oid = up.base WHERE up.kind = 'd')
	SELECT format_type(oid, NULL), missing, rules FROM up WHERE kind <> 'd' AND (SELECT count(*) FROM up) > 1`

// domain has a column of a domain get the type under it, where that is one that tokens fit in: the domain's rules are for values.
func (s *surveyor) domain(ctx context.Context, c *surveyed, o *Obstacle) error {
	var under string
	var notNull, rules bool
	err := s.conn.QueryRow(ctx, surveyDomain, c.oid, c.number).Scan(&under, &notNull, &rules)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	want := wantKinds(c.Codec)
	if err != nil || !slices.Contains(want, plainKind(under)) {
		return err
	}
	o.What = fmt.Sprintf("its type is %s, a domain over %s; tokens of the scheme %s need %s itself", c.kind, under, c.Codec.Spec().Scheme, strings.Join(want, " or "))
	if rules {
		o.What += ". The domain's CHECKs are about values, and do not hold for the column any more"
	}
	to := under
	if slices.Contains(want, "text") && plainKind(under) != "citext" { // whatever length the domain has
		to = "text"
	}
	if o.SQL, err = s.retype(ctx, c, to, ""); err == nil && notNull {
		o.SQL = append(o.SQL, fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;", c.table, c.name))
	}
	return err
}
