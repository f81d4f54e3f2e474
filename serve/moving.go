package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/gateway"
	"sallyport/protect"
	"sallyport/purpose"
	"sallyport/token"
)

// states are how far the configured columns are, by the record. The mark in the database, which a DBA can write, has no say.
func (g *guard) states() map[string]catalog.State {
	config := g.s.O.Config
	set, known := g.s.State.Protects(config.Upstream.Database)
	moving, leaving := g.s.State.Moving(config.Upstream.Database)
	parted := g.s.State.Parted(config.Upstream.Database)
	entering := g.s.State.Entering(config.Upstream.Database)
	states := map[string]catalog.State{}
	for name := range config.Protect.Columns {
		rotating, whole := g.rotates(name)
		switch _, begun := set[name]; {
		case slices.Contains(entering, name):
			states[name] = catalog.Entering
		case slices.Contains(moving, name): // about to leave, too: a CHECK may refuse plain values still
			states[name] = catalog.Moving
		case slices.Contains(leaving, name):
			states[name] = catalog.Leaving
		case !begun && slices.Contains(parted, name): // its protection was undone
			states[name] = catalog.Parted
		case !begun && (known || g.s.O.MovingIn): // it has not begun
			states[name] = catalog.Plain
		case (rotating || g.fellBehind(config.GroupOf(name))) && catalog.Formless(config.Protect.Columns[name].Scheme):
			states[name] = g.hidden(config.GroupOf(name))
		case rotating && whole:
			states[name] = catalog.Turning
		case rotating:
			states[name] = catalog.Rotating
		}
	}
	return states
}

// codecFor makes the codec of a column that is moving.
func (g *guard) codecFor(p *catalog.Protected) (*token.Codec, error) {
	return g.ring.Codec(token.Spec{Column: p.Column, Scheme: p.Scheme, Group: p.Group, Prefixes: p.Prefixes, NextPrefixes: p.NextPrefixes, Region: p.Region, Shred: p.Shred})
}

// settle is the token that the gateway makes of what is stored in a column that is moving. What has none is nothing.
func (g *guard) settle(p *catalog.Protected, stored string) string {
	codec, err := g.codecFor(p)
	if err != nil || !codec.Recognisable() { // nobody can tell what it is
		return ""
	}
	settled, err := codec.Settle(nil, []byte(stored))
	if errors.Is(err, token.ErrDomain) && p.Overflow && g.vault != nil {
		var o *token.Overflow
		if o, err = codec.Overflow(); err == nil {
			settled, _, err = g.vault.Keep(context.Background(), o, []byte(stored)) // it bounds its own time
		}
	}
	if err != nil {
		return ""
	}
	return string(settled)
}

// forms are the texts by which a token's value may be stored in a column that is moving.
func (g *guard) forms(p *catalog.Protected, tok string) []string {
	if p.Hidden {
		return nil
	}
	out := []string{tok}
	codec, err := g.codecFor(p)
	if err != nil || !codec.IsToken([]byte(tok)) {
		return out
	}
	if p.Rotating {
		all, err := codec.Searches([]byte(tok))
		if err != nil {
			return out
		}
		out = out[:0]
		for _, search := range all {
			out = append(out, string(search))
		}
		return out
	}
	plain, err := codec.Reveal(nil, []byte(tok))
	if err != nil {
		return out
	}
	return append(out, string(plain))
}

// vacate gives rows of a unique column that is moving the form in which a value is about to be written.
func (g *guard) vacate(ctx context.Context, v gateway.Vacate) (instead string, err error) {
	defer g.resolver.Renewed()
	vacancy := protect.Vacancy{Column: v.Column, Becomes: v.Becomes, Forms: v.Forms, Key: v.Key, Except: v.Except, Backend: v.Backend, Bound: g.bound(v.Column)}
	if _, whole := g.rotates(v.Column.String()); whole {
		return protect.VacateWhole(ctx, g.movers, vacancy, g.kin(v.Column))
	}
	return "", protect.Vacate(ctx, g.movers, vacancy)
}

// kin are the columns in which equal values have equal tokens, in the order in which a rotation goes through them.
func (g *guard) kin(column sallyport.Column) []sallyport.Column {
	all := g.s.O.Config.Protect.Columns
	of := all[column.String()]
	var kin []sallyport.Column
	for _, c := range g.s.O.Config.GroupColumns(cmp.Or(of.Group, string(of.Scheme))) {
		if all[c.String()].Scheme == of.Scheme {
			kin = append(kin, c)
		}
	}
	return kin
}

// bound are the columns that foreign keys hold equal to one.
func (g *guard) bound(column sallyport.Column) (list []protect.Bound) {
	snapshot := g.catalog.Snapshot()
	for _, p := range snapshot.Columns() {
		if p.Column != column {
			continue
		}
		for _, other := range p.Bound {
			table, _ := snapshot.Table(other.Column.Schema + "." + other.Column.Table)
			list = append(list, protect.Bound{Column: other.Column, Kind: table.Columns[other.Column.Name].Type})
		}
	}
	return list
}

// hasProtected tells whether protect ever began with this database, by the record.
func (s *Server) hasProtected() bool {
	set, known := s.State.Protects(s.O.Config.Upstream.Database)
	return known && len(set) > 0
}

// isMoving tells whether anything is on its way in or out, by the record.
func (s *Server) isMoving() bool {
	moving, leaving := s.State.Moving(s.O.Config.Upstream.Database)
	return len(moving)+len(leaving) > 0
}

// awaitTimeout is how long enterStates waits for sessions before it says for which.
const awaitTimeout = 5 * time.Second

// enterStates makes the states hold that stand in the record, and waits until no session works by those before.
func (s *Server) enterStates(ctx context.Context) (waiting []string, err error) {
	s.mu.Lock()
	g, gw := s.guard, s.gateway
	s.mu.Unlock()
	if g == nil {
		return nil, errors.New("serve is still starting")
	}
	if err := g.awaitVault(ctx); err != nil {
		return nil, err
	}
	if waiting, err := g.enterWritten(ctx, gw, g.states()); err != nil || len(waiting) > 0 {
		return waiting, err
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	return gw.Await(ctx), nil
}

// moving is what serve does for a protect beside it; nil where it protects nothing.
func (s *Server) moving() *api.Moving {
	if !s.O.Config.Protects() || s.O.Observe != nil {
		return nil
	}
	if s.O.Role == Controller {
		return &api.Moving{Refuses: errSeveral}
	}
	return &api.Moving{Record: s.recordStates, Enter: s.enterStates, Serving: s.serving, Undo: s.undoing}
}

func (s *Server) serving() api.Serving {
	out := api.Serving{RecordID: s.AccessStream.ID(), Position: s.AccessStream.Last(), States: s.statesOnRecord(), Backends: []uint32{}, Keys: s.State.Ring()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gateway != nil {
		out.Backends = slices.Collect(maps.Keys(s.gateway.Backends()))
	}
	return out
}

func (s *Server) statesOnRecord() api.States {
	set, known := s.State.Protects(s.O.Config.Upstream.Database)
	if !known {
		set = nil
	}
	moving, leaving := s.State.Moving(s.O.Config.Upstream.Database)
	return api.States{Columns: set, Moving: moving, Leaving: leaving, Entering: s.State.Entering(s.O.Config.Upstream.Database)}
}

// undoing names what two people agree on when they take protection away.
func (s *Server) undoing() string {
	return s.O.Config.Upstream.Database + "/" + columnsDigest(s.statesOnRecord().Columns)
}

// recordStates puts states on record that may follow on those that hold. Before a column counts as protected the database itself has to keep
// plain values out of it; before it leaves two people have to agree.
func (s *Server) recordStates(ctx context.Context, me sallyport.Staff, next api.States) error {
	s.mu.Lock()
	g := s.guard
	s.mu.Unlock()
	if g == nil {
		return errors.New("serve is still starting")
	}
	if err := g.baseline(ctx); err != nil {
		return err
	}
	wanted, err := s.O.Config.Codecs(g.ring)
	if err != nil {
		return err
	}
	var closed []protect.Column
	settling := s.settling(next)
	for _, c := range wanted {
		if slices.Contains(settling, c.Column.String()) {
			closed = append(closed, c)
		}
	}
	if err := g.keepsPlainOut(ctx, closed); err != nil {
		return err
	}
	now := s.O.Clock()
	check := func() error {
		return cmp.Or(s.maySettle(next, settling), s.mayFollow(next, protect.SetOf(wanted), now))
	}
	return s.orders.Give(check, &sallyport.Event{
		Time: now, Kind: sallyport.Protecting, Note: "configuration " + s.O.Config.Hash,
		Order: &sallyport.Order{
			Action: "protect", By: me, ID: next.Proposal, Details: s.O.Config.Upstream.Database,
			Columns: next.Columns, Moving: next.Moving, Leaving: next.Leaving, Entering: next.Entering,
		},
	})
}

// settling are the columns that are moving by the record, and would be protected by what is to follow.
func (s *Server) settling(next api.States) (names []string) {
	for _, name := range s.statesOnRecord().Moving {
		if !slices.Contains(next.Moving, name) && !slices.Contains(next.Leaving, name) {
			names = append(names, name)
		}
	}
	return names
}

// readThrough is how long reading whole tables may take.
const readThrough = 15 * time.Minute

// keepsPlainOut refuses to take columns for protected into which the database would let plain values.
func (g *guard) keepsPlainOut(ctx context.Context, columns []protect.Column) error {
	if len(columns) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readThrough)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, g.reader)
	if err != nil {
		return fmt.Errorf("look for constraints: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	open, err := protect.Unconstrained(ctx, conn, columns)
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return movingProblem("not_moved", "Plain values may stand in "+strings.Join(open, ", ")+": the database has no valid CHECK of protect's there.", "Let protect go on to its end.")
	}
	return nil
}

func movingProblem(code, sentence, hint string) error {
	return &api.Problem{Status: http.StatusConflict, Code: code, Sentence: sentence, Hint: hint}
}

// maySettle says which column would be protected that is not among those out of which the database was seen to keep plain values: it may have
// begun to move since that was looked at.
func (s *Server) maySettle(next api.States, closed []string) error {
	for _, name := range s.settling(next) {
		if !slices.Contains(closed, name) {
			return movingProblem("not_moved", name+" began to move a moment ago, so that plain values may stand in it.", "Let protect go on to its end.")
		}
	}
	return nil
}

// mayFollow says why states may not follow on those that are on record.
func (s *Server) mayFollow(next api.States, wanted protect.Set, now time.Time) error {
	was := s.statesOnRecord()
	for _, name := range slices.Concat(next.Moving, next.Leaving) {
		if s.rotates(name) {
			return movingProblem("rotating", name+" cannot move while the keys of its join group are rotated.", "Destroy the older key first: sallyport keys destroy.")
		}
		if _, ok := next.Columns[name]; !ok {
			return movingProblem("bad_states", name+" cannot move: it is not among the columns.", "")
		}
	}
	isMoving := func(st *api.States, name string) bool { return slices.Contains(st.Moving, name) }
	isLeaving := func(st *api.States, name string) bool { return slices.Contains(st.Leaving, name) }
	if err := mayEnter(&was, &next); err != nil {
		return err
	}
	leaves := false
	for _, change := range protect.Set(was.Columns).Changes(next.Columns) {
		switch name := change.Column; {
		case change.To == "" && isLeaving(&was, name):
		case change.To == "":
			return movingProblem("still_protected", name+" is protected: it does not become plain at once.", "sallyport protect --undo, which two people agree on.")
		case change.From != "" || wanted[name] != change.To:
			return movingProblem("other_form", name+" would get another form of tokens than serve's configuration gives it.", "Run protect with the configuration that serve has.")
		case !isMoving(&next, name):
			return movingProblem("not_moved", name+" is plain: it does not become protected at once.", "")
		}
	}
	for name := range next.Columns {
		_, begun := was.Columns[name]
		switch {
		case isLeaving(&was, name) && !isMoving(&was, name) && isLeaving(&next, name) && isMoving(&next, name):
			return movingProblem("leaving", name+" is leaving, and plain values are written there already.", "Let protect --undo go on.") // an order that came late
		case isLeaving(&next, name) && !isLeaving(&was, name):
			leaves = true
		case begun && isMoving(&next, name) && !isMoving(&was, name) && !isLeaving(&was, name):
			return movingProblem("protected", name+" is protected, and stays so.", "")
		case isLeaving(&was, name) && !isLeaving(&next, name) && !isMoving(&next, name):
			return movingProblem("leaving", name+" is leaving: plain values stand there.", "Let protect --undo go on, or protect it anew.")
		}
	}
	if leaves && !s.State.MayUndo(next.Proposal, s.undoing(), now) {
		return movingProblem("not_agreed", "Two people have to agree before protection is undone.", "One runs sallyport protect --undo --reason, another sallyport approve; then protect --undo --proposal ID, within a day.")
	}
	return nil
}

// baseline takes down the tickets and contacts that stand there when protection begins, once for a database.
func (g *guard) baseline(ctx context.Context) error {
	config := g.s.O.Config
	began, err := hasBegun(config, g.s.ControlStream)
	if err != nil || began {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, g.reader)
	if err != nil {
		return fmt.Errorf("read the tickets that are open now: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	err = purpose.Baseline(ctx, conn, config.Purposes, g.catalog.Snapshot(), func(found []sallyport.Fact) error {
		e := &sallyport.Event{Time: g.s.O.Clock(), Kind: sallyport.FactKind, Facts: found, Note: purpose.BaselineNote}
		if _, err := g.s.AccessStream.Append(e); err != nil {
			return err
		}
		g.facts.Apply(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the tickets that are open now: %w", err)
	}
	return g.s.orders.Give(nil, &sallyport.Event{
		Time: g.s.O.Clock(), Kind: sallyport.Protected, Order: &sallyport.Order{Action: "protect", Details: config.Upstream.Database}, Note: "configuration " + config.Hash,
	})
}
