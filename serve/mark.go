package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/protect"
)

// checkMark holds the mark in the database to this record: it must be the record by which the database was protected, and at
// least as far as it was when the mark was last moved. Otherwise budgets, locks and facts would be forgotten by a restart with
// an empty folder. Two people may accept another or an older record (accept-mark).
func (g *guard) checkMark(ctx context.Context) error {
	if g.s.O.Observe != nil {
		return nil // unmarked has looked
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	mark, found, err := protect.ReadMark(ctx, g.conn)
	switch {
	case err != nil:
		return err
	case (!found || g.undone(mark)) && g.s.O.MovingIn && !g.s.hasProtected():
		return nil
	case found && g.s.O.MovingIn && !g.s.hasProtected(): // under another name, or by another record
		return &hopeless{fmt.Errorf("protect database %s: it is marked, and this record does not know it by this name; run serve without --moving-in", g.s.O.Config.Upstream.Database)}
	case !found && g.onlyBegun():
		return g.unmarkedYet()
	case !found:
		return &hopeless{fmt.Errorf("protect database %s: its values are still plain; run 'sallyport protect' first", g.s.O.Config.Upstream.Database)}
	case mark.ProtectedAt.IsZero() && !g.s.isMoving() && len(mark.Moving) == 0: // what moved in beside us is on record as protected; the mark follows
		return &hopeless{fmt.Errorf("protect database %s: 'sallyport protect' was interrupted there; run it again", g.s.O.Config.Upstream.Database)}
	}
	if err := g.checkColumns(mark); err != nil {
		return &hopeless{err}
	}
	problem := g.misfit(mark)
	if problem == "" {
		if err := g.checkRecorded(mark); err != nil {
			return &hopeless{err}
		}
	}
	if problem == "" || g.accepted(mark) {
		g.advanced = min(mark.Position, g.s.AccessStream.Last())
		g.s.setMark("")
		return nil
	}
	g.s.setMark(markDetails(mark))
	err = fmt.Errorf("serve with the record in %s: %s", g.s.O.Data, problem)
	if !g.s.O.AwaitAgreement {
		return &hopeless{fmt.Errorf("%w; use the data folder that the database was protected with, or let two people accept this one: serve --await-agreement, then accept-mark and approve", err)}
	}
	return fmt.Errorf("%w; waiting for two people: one runs 'sallyport accept-mark', another 'sallyport approve'", err)
}

// onlyBegun tells whether all that the record knows of is on its way in: then a database without a mark is one in which protect was killed behind the word
// and before the mark. No row has changed, and what is treated as moving is right whatever stands there.
func (g *guard) onlyBegun() bool {
	set, _ := g.s.State.Protects(g.s.O.Config.Upstream.Database)
	moving, leaving := g.s.State.Moving(g.s.O.Config.Upstream.Database)
	for name := range set {
		if !slices.Contains(moving, name) {
			return false
		}
	}
	return len(set) > 0 && len(leaving) == 0
}

// unmarkedYet lets serve go by the record until protect has been run again.
func (g *guard) unmarkedYet() error {
	wanted, err := g.s.O.Config.ProtectSet()
	if err != nil {
		return &hopeless{err}
	}
	recorded, _ := g.s.State.Protects(g.s.O.Config.Upstream.Database)
	changes := protect.Set(recorded).Changes(wanted)
	if g.s.O.MovingIn {
		changes = protect.Lost(changes)
	}
	if len(changes) > 0 {
		return &hopeless{fmt.Errorf("protect database %s: the configuration is not what the record says of it:%s\n%s", g.s.O.Config.Upstream.Database, listChanges(changes, "on record", "configured"), whatNext(changes))}
	}
	g.yetToMark = true
	g.s.log.Warn("protect began with this database and was interrupted before it marked it; run 'sallyport protect --online' again", "database", g.s.O.Config.Upstream.Database)
	g.s.setMark("")
	return nil
}

// What a server answers where the configuration names what is not there.
const (
	undefinedTable  = "42P01"
	undefinedColumn = "42703"
)

// checkKeys opens one stored token of each column whose scheme tells right keys from wrong ones. With the keys of another
// database nothing would be readable, and what is written would be lost among what stands there.
func (g *guard) checkKeys(ctx context.Context) error {
	if g.s.O.Observe != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	columns, err := g.s.O.Config.Codecs(g.ring)
	if err != nil {
		return &hopeless{err}
	}
	if err := g.checkEpochs(ctx, columns); err != nil {
		return err
	}
	many := 1
	if g.s.State.Shreds() {
		many = mostTokens
	}
	for _, c := range columns {
		switch g.s.O.Config.Protect.Columns[c.Column.String()].Scheme {
		case sallyport.Email, sallyport.Name, sallyport.Text:
		case sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID:
			continue // every key opens these, to something
		}
		name := pgx.Identifier{c.Column.Name}.Sanitize()
		stored, err := g.anyToken(ctx, c, fmt.Sprintf("SELECT %s FROM %s WHERE %s IS NOT NULL LIMIT %d",
			name, pgx.Identifier{c.Column.Schema, c.Column.Table}.Sanitize(), name, many))
		if answer, ok := errors.AsType[*pgconn.PgError](err); ok && (answer.Code == undefinedTable || answer.Code == undefinedColumn) {
			continue // the catalogue says it better, with the place in the configuration
		}
		if err != nil {
			return fmt.Errorf("look at a token of %s: %w", c.Column, err)
		}
		if _, err := c.Codec.Reveal(nil, []byte(stored)); err != nil && c.Codec.IsToken([]byte(stored)) {
			return &hopeless{fmt.Errorf("open keys: those in %s are not the keys of this database: they do not open a token of %s", g.s.O.Data, c.Column)}
		}
	}
	return nil
}

// mostTokens is among how many one is looked for that is not a shredded customer's.
const mostTokens = 1000

// anyToken is the first stored text that was not drawn at random, empty where there is none.
func (g *guard) anyToken(ctx context.Context, c protect.Column, sql string) (string, error) {
	rows, err := g.conn.Query(ctx, sql)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var stored string
		if err := rows.Scan(&stored); err != nil {
			return "", err
		}
		if !g.dead(c, stored) && !c.Codec.Destroyed([]byte(stored)) {
			return stored, nil
		}
	}
	return "", rows.Err()
}

// misfit says how a mark differs from what this record says.
func (g *guard) misfit(mark protect.Mark) string {
	switch {
	case mark.RecordID != g.s.recordID():
		return "the database was protected with another record"
	case g.s.link == nil && mark.Position > g.s.AccessStream.Last():
		return fmt.Sprintf("it is older than the one that the database was last served with (%d entries, now %d)", mark.Position, g.s.AccessStream.Last())
	}
	return ""
}

// markDetails names what two people accept: which record stands in the mark, how far it was, and what it says is protected.
func markDetails(mark protect.Mark) string {
	return mark.RecordID + "@" + strconv.FormatUint(mark.Position, 10) + "/" + columnsDigest(mark.Columns)
}

// accepted tells whether two people accepted this very mark. Its position may since have moved as far as this record did.
func (g *guard) accepted(mark protect.Mark) bool {
	details, ok := g.s.State.AcceptedMark()
	if !ok {
		return false
	}
	id, text, _ := strings.Cut(details, "@")
	text, columns, _ := strings.Cut(text, "/")
	position, err := strconv.ParseUint(text, 10, 64)
	return err == nil && id == mark.RecordID && mark.Position <= max(position, g.s.AccessStream.Last()) && columns == columnsDigest(mark.Columns)
}

// advanceMark moves the mark on to where the record is.
func (g *guard) advanceMark(ctx context.Context) error {
	if g.s.O.Observe != nil || g.s.link != nil || g.s.O.MovingIn && !g.s.hasProtected() {
		return nil // there is none yet, or the controller moves it
	}
	if g.conn.IsClosed() {
		err := g.connect(ctx)
		if stop, ok := errors.AsType[*hopeless](err); ok {
			return stop.error // at the start it would be; who serves already goes on, and tries again
		}
		if err != nil {
			return err
		}
		g.unsure = true
	}
	if err := g.lookBack(ctx); err != nil {
		return err
	}
	if g.yetToMark {
		if _, found, err := protect.ReadMark(ctx, g.conn); err != nil || !found {
			return err
		}
		g.yetToMark = false
	}
	position := g.s.AccessStream.Last()
	if err := protect.Advance(ctx, g.conn, position); err != nil {
		return err
	}
	g.advanced = position
	return nil
}

// lookBack shreds again whoever was shredded, and hides integers and uuids of another key, where the database may have become an older copy of itself under this serve: the connection
// broke, or the mark is not as far as it was.
func (g *guard) lookBack(ctx context.Context) error {
	if !g.s.State.Shreds() && len(g.s.State.TurnedEpochs()) == 0 || g.keyring == nil {
		g.unsure = false
		return nil
	}
	mark, found, err := protect.ReadMark(ctx, g.conn)
	if err != nil {
		return err
	}
	if g.unsure = g.unsure || !found || mark.Position < g.advanced; !g.unsure {
		return nil
	}
	if _, err := g.catalog.Refresh(ctx); err != nil {
		return err
	}
	if err := g.fallBack(ctx); err != nil {
		return err
	}
	if err := g.replayShreds(ctx); err != nil {
		return err
	}
	g.unsure = false
	return nil
}

func (s *Server) setMark(details string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = details
}

// undone tells whether a mark is left over from a protection that this record says was undone: protect --undo was cut before it removed it.
func (g *guard) undone(mark protect.Mark) bool {
	set, known := g.s.State.Protects(g.s.O.Config.Upstream.Database)
	return known && len(set) == 0 && mark.RecordID == g.s.recordID()
}
