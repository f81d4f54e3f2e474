package serve

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"sallyport"
	"sallyport/catalog"
	"sallyport/protect"
)

// Of integers and uuids the database says itself of which epoch their tokens are (sallyport.turning), in the transactions of the rows. Where that is not
// what record and ring say, it or the ring is an older copy, and what they hold would be read as other numbers.

// lagging is a group whose integers and uuids are not of the epoch that they have to be.
type lagging struct {
	why error
	// turns says that they are of the older of the ring's two keys, as far as the database says: the rotation may go on from there.
	turns bool
}

// checkTurned refuses such a database when serve starts. Where both keys are there still, the columns are hidden instead, and the rotation goes on.
func (g *guard) checkTurned(ctx context.Context) error {
	if g.keyring == nil { // observing
		return nil
	}
	behind, err := g.lookTurned(ctx)
	if err != nil {
		return err
	}
	g.behind.Store(&behind)
	for _, group := range slices.Sorted(maps.Keys(behind)) {
		why := behind[group].why
		if behind[group].turns {
			g.s.log.Warn("the rotation of integers and uuids goes on from where the database is", "group", group, "why", why.Error())
			continue
		}
		if _, agreed := g.s.State.AcceptedMark(); !agreed {
			return &hopeless{why}
		}
		g.s.log.Warn("two people accepted this record; integers and uuids of another key are hidden", "group", group, "why", why.Error())
	}
	return nil
}

// lookTurned finds the groups whose integers and uuids are not of the epoch that they have to be.
func (g *guard) lookTurned(ctx context.Context) (map[string]lagging, error) {
	behind := map[string]lagging{}
	states := g.states()
	for _, name := range slices.Sorted(maps.Keys(g.s.O.Config.Protect.Columns)) {
		column, ok := catalog.ParseColumn(name)
		if !ok || !catalog.Formless(g.s.O.Config.Protect.Columns[name].Scheme) || states[name] == catalog.Plain || states[name] == catalog.Parted {
			continue
		}
		group := g.s.O.Config.GroupOf(name)
		at, done, known, err := protect.Turned(ctx, g.conn, column, group)
		if err != nil {
			return nil, err
		}
		if one, is := g.standsApart(column, group, at, done, known); is {
			if before, two := behind[group]; two { // what cannot go on in one column cannot in the group
				one.turns = one.turns && before.turns
			}
			behind[group] = one
		}
	}
	return behind, nil
}

// standsApart holds what the database says of a column to record and ring.
func (g *guard) standsApart(column sallyport.Column, group string, at int, done, known bool) (lagging, bool) {
	newest, older := g.epochs(group)
	now, turning := g.s.State.Turning(group)
	recorded := g.s.State.TurnedEpochs()[column.String()]
	switch {
	case known && at > newest:
		return lagging{why: fmt.Errorf("open keys: tokens of %s are of epoch %d, of which the ring in %s has no key (docs/keys.md, An older ring)", column, at, g.s.O.Data)}, true
	case turning && !now.Turned, recorded.Last == 0, known && done && at >= recorded.Last:
		return lagging{}, false
	}
	why := fmt.Errorf("look at %s: its tokens are of epoch %d by the record, and the database does not say so, as an older copy of it does (docs/keys.md, An older ring)", column, recorded.Last)
	turns := older < newest && recorded.Last == newest && (known && (at == newest && !done || at == older && done) || !known && recorded.First == newest)
	return lagging{why: why, turns: turns}, true
}

// epochs are those of a group's keys.
func (g *guard) epochs(group string) (newest, older int) {
	g.s.mu.Lock()
	turns := g.s.turns
	g.s.mu.Unlock()
	if turns != nil { // else serve is starting, and nobody changes the ring
		turns.mu.Lock()
		defer turns.mu.Unlock()
	}
	for _, key := range g.keyring.Keys().Groups[group] {
		newest, older = max(newest, key.Epoch), min(cmp.Or(older, key.Epoch), key.Epoch)
	}
	return newest, older
}

// fallBack hides integers and uuids again where the database became an older copy of itself under this serve.
func (g *guard) fallBack(ctx context.Context) error {
	behind, err := g.lookTurned(ctx)
	if err != nil {
		return err
	}
	if before := g.behind.Load(); len(behind) == 0 && (before == nil || len(*before) == 0) {
		return nil
	}
	g.behind.Store(&behind)
	for _, group := range slices.Sorted(maps.Keys(behind)) {
		g.s.log.Error("integers and uuids are hidden", "group", group, "why", behind[group].why.Error())
	}
	return g.catalog.Enter(ctx, g.states())
}

// fellBehind tells whether the integers and uuids of a group are of another key than they have to be.
func (g *guard) fellBehind(group string) bool {
	behind := g.behind.Load()
	if behind == nil {
		return false
	}
	_, is := (*behind)[group]
	return is
}

// stranded says why the rotation of a group cannot go on from where the database is; nil: it can.
func (g *guard) stranded(group string) error {
	if behind := g.behind.Load(); behind != nil {
		if of, is := (*behind)[group]; is && !of.turns {
			return of.why
		}
	}
	return nil
}

// caughtUp ends that.
func (g *guard) caughtUp(group string) {
	if behind := g.behind.Load(); behind != nil {
		next := maps.Clone(*behind)
		delete(next, group)
		g.behind.Store(&next)
	}
}
