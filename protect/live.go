package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// Live is a serve in front of the database, which goes on while a run works beside it. It alone writes the record, and tells the sessions
// that come through it in which columns plain values stand beside tokens. All functions are required.
type Live struct {
	Serving func(ctx context.Context) (Serving, error)
	// Record puts states on record. It is durable when it returns; nothing else has changed.
	Record func(ctx context.Context, s States) error
	// Enter lets the states hold that are on record. waiting are sessions that still work by those before: no row may change as long as
	// there are any.
	Enter func(ctx context.Context) (waiting []string, err error)

	Now  func() time.Time      // for Rate
	Tell func(sentence string) // what the run waits for, and why; may be nil

	Rate   int           // rows a second at most; 0: as fast as it goes
	MaxLag time.Duration // how far behind a replica may be before rows wait for it; 0: 10 s
	Wait   bool          // for sessions around the gateway to end; else they make the run end
}

// Serving is what a serve says of itself.
type Serving struct {
	RecordID string
	Position uint64
	Backends []uint32 // the database's processes behind its sessions
	States   States   // on record
}

// States are how far columns are: Columns with the form of their tokens, those that are on their way in, and out. The rest is protected. A column on
// both ways is about to leave: tokens are written into it until no CHECK refuses plain values any more.
type States struct {
	Columns         Set
	Moving, Leaving []string
	Entering        []string // those of Moving in which plain values are written as yet
	Proposal        string   // that two people agreed on, where protection begins to be undone
}

// MoveIn protects columns while a gateway serves the database. Rows change range by range; meanwhile every search finds both kinds,
// and what is written is a token. A run that was cut goes on where it stopped.
func MoveIn(ctx context.Context, o Options) (Report, error) { return runLive(ctx, o, false) }

// MoveOut turns the tokens of columns back into plain values, in the same way. Proposal is what two people agreed on.
func MoveOut(ctx context.Context, o Options) (Report, error) { return runLive(ctx, o, true) }

func runLive(ctx context.Context, o Options, out bool) (Report, error) {
	if o.Live == nil {
		return Report{}, errors.New("protect: there is no serve to work beside")
	}
	serving, err := o.Live.Serving(ctx)
	if err != nil {
		return Report{}, err
	}
	o.RecordID, o.Position, o.Recorded = serving.RecordID, serving.Position, serving.States.Columns
	if err := o.check(); err != nil {
		return Report{}, err
	}
	r := &run{Options: o, out: out, states: serving.States}
	r.all = r.Columns
	r.Columns = slices.DeleteFunc(slices.Clone(r.Columns), func(c Column) bool { return r.settled(c.Column) })
	defer r.close(ctx)
	if len(r.Columns) == 0 {
		return r.report(), r.finishLive(ctx)
	}
	steps := []liveStep{
		{"look", []stepFunc{r.connect, r.lock, r.readMark, r.inspect}},
		{"examine", []stepFunc{r.examine}}, // nothing has changed so far
		{"begin", []stepFunc{r.beginLive}},
		{"index", []stepFunc{r.makeMovingIndexes, r.makeBondIndexes}},
		{"enter", []stepFunc{r.enter, r.closeHold, r.awaitOthers}},
		{"move", []stepFunc{r.move, r.moveNoted}},
		{"constrain", []stepFunc{r.constrain}}, // from here on nothing plain can come
		{"verify", []stepFunc{r.verifyBeside}},
		{"settle", []stepFunc{r.settleLive, r.release}},
		{"tidy", []stepFunc{r.tidy, r.analyze, r.complete, r.findRemains}},
	}
	if out {
		steps = []liveStep{
			{"look", []stepFunc{r.connect, r.lock, r.readMark, r.inspect}},
			{"begin", []stepFunc{r.beginLive, r.gather, r.dropConstraints, r.leave}},
			{"index", []stepFunc{r.makeMovingIndexes, r.makeBondIndexes}},
			{"enter", []stepFunc{r.enter, r.closeHold, r.awaitOthers}},
			{"move", []stepFunc{r.move, r.moveNoted}},
			{"verify", []stepFunc{r.verify}},
			{"settle", []stepFunc{r.settleLive, r.release}},
			{"tidy", []stepFunc{r.tidy, r.vacuum, r.analyze, r.complete}},
		}
	}
	for _, step := range steps {
		began := o.Live.Now()
		for _, do := range step.do {
			if err := do(ctx); err != nil {
				return r.report(), err
			}
		}
		r.steps = append(r.steps, Step{step.name, o.Live.Now().Sub(began).Seconds()})
	}
	return r.report(), nil
}

// verifyBeside reads every value again, while the server takes away old rows, then fewer for the index to pass by, and makes the indexes that find names.
func (r *run) verifyBeside(ctx context.Context) error {
	return beside(ctx, func(ctx context.Context) error {
		if err := r.vacuum(ctx); err != nil {
			return err
		}
		return r.makeNameIndexes(ctx)
	}, r.verify)
}

type stepFunc func(context.Context) error

// liveStep is a part of a run that is told of by itself.
type liveStep struct {
	name string
	do   []stepFunc
}

// settled tells whether a run has nothing to do with a column.
func (r *run) settled(c sallyport.Column) bool {
	name := c.String()
	_, begun := r.states.Columns[name]
	if r.out {
		return !begun
	}
	return begun && !slices.Contains(r.states.Moving, name) && !slices.Contains(r.states.Leaving, name)
}

// names of the columns of this run.
func (r *run) names() []string {
	names := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		names[i] = c.Column.String()
	}
	return names
}

func (r *run) tell(format string, args ...any) {
	if r.Live.Tell != nil {
		r.Live.Tell(fmt.Sprintf(format, args...))
	}
}

// beginLive gives the reader what the gateway needs meanwhile, has the states recorded, and marks the database. A run that is killed behind the word and before
// the mark has changed no row: serve goes by the word alone then.
func (r *run) beginLive(ctx context.Context) error {
	for _, do := range []stepFunc{r.keepRanges, r.hold} { // what has no form is held before anybody takes it for moving
		if err := do(ctx); err != nil {
			return err
		}
	}
	states := States{Columns: SetOf(r.all), Moving: r.names(), Entering: r.entering()}
	if r.out {
		states = r.leaving(func(name string) bool {
			return !slices.Contains(r.states.Entering, name) && (slices.Contains(r.states.Moving, name) || !slices.Contains(r.states.Leaving, name))
		})
	}
	if !r.marked { // an empty one, which the rights are on
		if _, err := r.main.Exec(ctx, createMark); err != nil {
			return fmt.Errorf("make the mark of protection: %w", withoutValues(err))
		}
	}
	// What serves needs those rights from the word on, which it may hear of by a start of its own.
	if err := r.grantRights(ctx); err != nil {
		return err
	}
	if err := r.Live.Record(ctx, states); err != nil {
		return errors.Join(err, r.takeBack(ctx))
	}
	if err := r.note(ctx, states); err != nil || len(states.Entering) == 0 {
		return err
	}
	if err := r.gather(ctx); err != nil {
		return err
	}
	states.Entering = nil // all have heard: now tokens
	return r.record(ctx, states)
}

// takeBack takes the rights away again where the word is not on record: nobody agreed, for example.
func (r *run) takeBack(ctx context.Context) error {
	serving, err := r.Live.Serving(ctx)
	if err != nil || len(serving.States.Moving)+len(serving.States.Leaving) > 0 {
		return err
	}
	return r.grantMoves(ctx, "REVOKE", "FROM")
}

// grantRights gives the reader what the gateway needs while columns move.
func (r *run) grantRights(ctx context.Context) error {
	for _, do := range []stepFunc{r.makeReader, r.letReaderFollow} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return r.grantMoves(ctx, "GRANT", "TO")
}

// leave has what is written be plain from now on: the CHECKs that would refuse it are gone. A run that is killed before leaves columns in which
// tokens are still written, though two people agreed and nothing but the gateway keeps plain values out of them.
func (r *run) leave(ctx context.Context) error {
	return r.record(ctx, r.leaving(func(string) bool { return false }))
}

// leaving are the states of a run that goes out: all its columns leave, and in some of them tokens are written as yet.
func (r *run) leaving(tokens func(name string) bool) States {
	s := States{Columns: r.states.Columns, Leaving: r.names(), Proposal: r.Proposal}
	for _, name := range s.Leaving {
		if tokens(name) {
			s.Moving = append(s.Moving, name)
		}
	}
	return s
}

// record has states put on record, and marks the database by them.
func (r *run) record(ctx context.Context, states States) error {
	if err := r.Live.Record(ctx, states); err != nil {
		return err
	}
	return r.note(ctx, states)
}

// note marks the database by states that are on record.
func (r *run) note(ctx context.Context, states States) error {
	serving, err := r.Live.Serving(ctx)
	if err != nil {
		return err
	}
	mark := Mark{RecordID: serving.RecordID, Position: serving.Position, Columns: states.Columns, Moving: states.Moving, Leaving: states.Leaving}
	return beginMark(ctx, r.main, mark, r.Random)
}

// grantMoves lets the reader change values of unique columns and of bonds as long as they are moving, or takes that away.
func (r *run) grantMoves(ctx context.Context, verb, preposition string) error {
	for _, t := range r.tables {
		for _, c := range t.columns {
			if !c.unique && c.bond == nil {
				continue
			}
			sql := fmt.Sprintf("%s UPDATE (%s) ON %s %s %s", verb, c.sql(), t.sql(), preposition, pgx.Identifier{r.Reader.User}.Sanitize())
			if _, err := r.main.Exec(ctx, sql); err != nil {
				return fmt.Errorf("let the reader change %s: %w", c, withoutValues(err))
			}
		}
	}
	return nil
}

// enter waits until every session of the gateway works by the new states.
func (r *run) enter(ctx context.Context) error {
	for last := ""; ; {
		waiting, err := r.Live.Enter(ctx)
		if err != nil || len(waiting) == 0 {
			return err
		}
		if now := strings.Join(waiting, ", "); now != last {
			r.tell("waiting for transactions that began before: %s", now)
			last = now
		}
	}
}

// awaitOthers refuses, or waits for, sessions that do not come through the gateway: they could write plain values, and find only half.
func (r *run) awaitOthers(ctx context.Context) error {
	for last := ""; ; {
		others, err := r.strangers(ctx)
		switch {
		case err != nil || len(others) == 0:
			return err
		case !r.Live.Wait:
			return fmt.Errorf("%w: %s; nothing was changed but the mark, and protect goes on when it is run again", ErrConnected, strings.Join(others, ", "))
		}
		if now := strings.Join(others, ", "); now != last {
			r.tell("waiting for sessions around the gateway to end: %s", now)
			last = now
		}
		if _, err := r.main.Exec(ctx, "SELECT pg_sleep(0.5)"); err != nil {
			return fmt.Errorf("wait for other sessions: %w", err)
		}
	}
}

// strangers are sessions on the database that are neither the gateway's nor our own.
func (r *run) strangers(ctx context.Context) ([]string, error) {
	var own []int64
	for _, pid := range r.pids() {
		own = append(own, int64(pid))
	}
	serving, err := r.Live.Serving(ctx)
	if err != nil {
		return nil, err
	}
	for _, pid := range serving.Backends {
		own = append(own, int64(pid))
	}
	rows, err := r.main.Query(ctx, `
SELECT format('process %s of %s', pid, coalesce(usename, '?')) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> ALL ($1) AND backend_type = 'client backend' AND usename IS DISTINCT FROM $2
UNION ALL
SELECT format('prepared transaction of %s', owner) FROM pg_prepared_xacts WHERE database = current_database()`, own, r.Reader.User)
	if err != nil {
		return nil, fmt.Errorf("look for other sessions: %w", err)
	}
	others, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for other sessions: %w", err)
	}
	return others, nil
}

// finishLive does what a run that was cut behind its last entry in the record left to do: the mark, and cleaning up.
func (r *run) finishLive(ctx context.Context) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	if err := r.lock(ctx); err != nil {
		return err
	}
	mark, found, err := ReadMark(ctx, r.main)
	switch {
	case err != nil:
		return err
	case !found && r.out:
		return ErrNothing
	case found && r.out && len(r.states.Columns) == 0 && len(mark.Columns) > 0 && len(mark.Moving)+len(mark.Leaving) == 0:
		return ErrUnknown
	case found && len(mark.Moving)+len(mark.Leaving) == 0 && !mark.ProtectedAt.IsZero():
		return nil
	}
	r.Columns = slices.DeleteFunc(slices.Clone(r.all), func(c Column) bool { return !c.Codec.Recognisable() })
	for _, step := range []func(context.Context) error{r.openHold, r.enter, r.release, r.inspect, r.tidy, r.vacuum, r.analyze, r.complete} { // what is on record may not hold yet
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ErrNothing says that there is no protection to undo.
var ErrNothing = errors.New("nothing in this database is protected by this record")

// ErrUnknown says that a protected database is not known to the record by its name: it is a copy of another, or was renamed.
var ErrUnknown = errors.New("this database is protected, and the record does not know it by its name; run protect without --online once, with nobody connected, which puts that on record")

// complete makes the mark what the record says. It is the last thing done, so that a run which was cut is taken up.
func (r *run) complete(ctx context.Context) error {
	if len(r.states.Columns) == 0 {
		if err := r.dropTurning(ctx); err != nil {
			return err
		}
		return dropMark(ctx, r.main)
	}
	return settleMark(ctx, r.main, r.states.Columns)
}

// settleLive has the end recorded and lets it hold. What it tells of is on the server's disk before: ranges were committed without waiting.
func (r *run) settleLive(ctx context.Context) error {
	if err := flush(ctx, r.main); err != nil {
		return err
	}
	states := States{Columns: SetOf(r.all)}
	if r.out {
		states.Columns = Set{}
		for name, form := range r.states.Columns {
			if !slices.Contains(r.names(), name) {
				states.Columns[name] = form
			}
		}
	}
	// Before it is on record: a serve that starts behind that announces nothing any more.
	if err := r.openHold(ctx); err != nil {
		return err
	}
	if err := r.Live.Record(ctx, states); err != nil {
		return errors.Join(err, r.closeAgain(ctx))
	}
	r.states = states
	return r.enter(ctx)
}

// closeAgain takes openHold back where the end is not on record.
func (r *run) closeAgain(ctx context.Context) error {
	serving, err := r.Live.Serving(ctx)
	if err != nil || len(serving.States.Moving)+len(serving.States.Leaving) == 0 {
		return err
	}
	return r.closeHold(ctx)
}
