package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/api"
	"sallyport/catalog"
	"sallyport/keys"
	"sallyport/protect"
)

// progress is how far one group is, since this serve began with it.
type progress struct {
	keys.Rotation
	began   time.Time // the pass
	table   string
	done    int64 // pages of the table that were looked at by this pass
	past    int64 // of the tables before it
	total   int64 // of all tables
	rows    int64 // changed by this serve
	inPass  int64 // of them by this pass, in tables that it is through with
	left    protect.Renewed
	clean   bool // a whole pass met no older token
	trouble error
}

// begins notes that a pass begins, and how much there is to look at.
func (r *rotations) begins(ctx context.Context, p *progress, conn *pgx.Conn, tables []*protect.Renewal) error {
	if !r.g.turned(p.Group) {
		turns, err := r.g.turns(conn, p.Group, p.To)
		if err != nil {
			return err
		}
		tables = slices.Clone(tables)
		for _, t := range turns {
			tables = append(tables, &protect.Renewal{Table: t.Table})
		}
	}
	var total int64
	for _, w := range tables {
		w.Conn = conn
		pages, err := w.Size(ctx)
		if err != nil {
			return err
		}
		total += pages
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.began, p.done, p.past, p.total, p.inPass = time.Now(), 0, 0, total, 0
	return nil
}

// reached notes how far a pass is.
func (r *rotations) reached(p *progress, table protect.Table, done, rows int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.table, p.done = table.Schema+"."+table.Name, done
	p.rows, p.inPass = p.rows+rows, p.inPass+rows
}

// through notes that a pass is through with a table.
func (r *rotations) through(p *progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.past, p.done = p.past+p.done, 0
}

// describe is how a rotation is, for people and programs. The caller holds mu.
func (r *rotations) describe(rotation keys.Rotation) api.Rotation {
	recorded, _ := r.g.s.State.Turning(rotation.Group)
	out := api.Rotation{Group: rotation.Group, From: rotation.From, To: rotation.To, Whole: recorded.Whole}
	if r.g.hidden(rotation.Group) == catalog.Hidden {
		for _, c := range r.g.s.O.Config.GroupColumns(rotation.Group) {
			if catalog.Formless(r.g.s.O.Config.Protect.Columns[c.String()].Scheme) {
				out.Hidden = append(out.Hidden, c.String())
			}
		}
	}
	p := r.seen[rotation.Group]
	switch {
	case r.g.early[rotation.Group] || p == nil:
		out.State = "starting"
		if p != nil && p.trouble != nil {
			out.Why = p.trouble.Error()
		}
		return out
	case p.clean:
		out.State = "done"
	default:
		out.State = "renewing"
	}
	out.Rows, out.Table, out.Stuck = p.rows, p.table, p.left.Stuck
	if p.trouble != nil && !errors.Is(p.trouble, context.Canceled) {
		out.Why = p.trouble.Error()
	}
	if out.State == "renewing" && p.total > 0 {
		seen, took := float64(p.past+p.done)/float64(p.total), time.Since(p.began)
		out.Seen = math.Round(1000*min(1, seen)) / 1000
		if took > time.Second && seen > 0 {
			out.PerSecond = math.Round(float64(p.inPass) / took.Seconds())
			out.Left = int64(float64(p.inPass) * (1 - min(1, seen)) / seen)
			out.Remaining = time.Duration(float64(took) * (1 - min(1, seen)) / seen).Round(time.Second).String()
		}
	}
	return out
}

// rotations are how all rotations are.
func (r *rotations) all() []api.Rotation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.g.keyring == nil {
		return nil
	}
	var list []api.Rotation
	for _, rotation := range r.g.keyring.Rotating() {
		list = append(list, r.describe(rotation))
	}
	return list
}

// status is a line for each rotation.
func (r *rotations) status() []api.Standby {
	var lines []api.Standby
	for _, rotation := range r.all() {
		lines = append(lines, api.Standby{What: "keys", How: RotationLine(rotation)})
	}
	return lines
}

// RotationLine says in one line how a rotation is.
func RotationLine(r api.Rotation) string {
	how := ""
	switch r.State {
	case "starting":
		how = "is about to renew tokens"
	case "done":
		how = fmt.Sprintf("no token of epoch %d is left: sallyport keys destroy --group %s", r.From, r.Group)
	default:
		how = fmt.Sprintf("%d rows have new tokens; %.1f %% looked through, in %s", r.Rows, 100*r.Seen, r.Table)
		if r.Remaining != "" {
			how += fmt.Sprintf("; %.0f rows a second, about %d rows and %s left", r.PerSecond, r.Left, r.Remaining)
		}
	}
	if r.Stuck > 0 {
		how += fmt.Sprintf("; %d cannot be changed", r.Stuck)
	}
	if r.Why != "" {
		how += ": " + r.Why
	}
	if !r.Whole && slices.Contains([]string{"starting", "renewing"}, r.State) {
		how += "; columns of the group are not compared with each other or grouped by meanwhile"
	}
	if len(r.Hidden) > 0 {
		how += "; meanwhile " + strings.Join(r.Hidden, ", ") + " shows only what a reason covers"
	}
	return fmt.Sprintf("%s goes from epoch %d to %d: %s", r.Group, r.From, r.To, how)
}
