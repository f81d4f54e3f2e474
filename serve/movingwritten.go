package serve

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/gateway"
	"sallyport/protect"
)

// Integers and uuids that foreign keys hold equal are written in one form at a time, and going over to the other is a moment in which nobody has written any that is not
// committed (docs/decisions/0085-tokens-begin-when-all-have-heard.md).

// writtenForms says of the columns on their way whose values have no form whether tokens are written. The database knows which of them are bound.
func (g *guard) writtenForms(states map[string]catalog.State) map[sallyport.Column]bool {
	forms := map[sallyport.Column]bool{}
	for name, state := range states {
		column, ok := catalog.ParseColumn(name)
		if !ok || !catalog.Formless(g.s.O.Config.Protect.Columns[name].Scheme) {
			continue
		}
		switch state {
		case catalog.Moving:
			forms[column] = true
		case catalog.Entering, catalog.Leaving:
			forms[column] = false
		case catalog.Settled, catalog.Plain, catalog.Parted, catalog.Rotating, catalog.Turning, catalog.Hidden:
		}
	}
	return forms
}

// enterWritten makes states hold. Where another form of bound columns is written by them it does so in a crossing; waiting are those who hold it up, and nothing has changed then.
func (g *guard) enterWritten(ctx context.Context, gw *gateway.Gateway, states map[string]catalog.State) (waiting []string, err error) {
	forms := g.writtenForms(states)
	if maps.Equal(g.writtenNow(forms), forms) {
		return nil, g.catalog.Enter(ctx, states)
	}
	crossing, cancel := context.WithTimeout(ctx, crossTimeout)
	defer cancel()
	waiting, err = gw.Cross(crossing, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), awaitTimeout) // both or neither, though who asked may be killed now
		defer cancel()
		before := g.writtenNow(forms)
		if err := protect.SetWritten(ctx, g.movers, forms); err != nil {
			return err
		}
		if err := g.catalog.Enter(ctx, states); err != nil {
			return errors.Join(err, protect.SetWritten(context.WithoutCancel(ctx), g.movers, before))
		}
		return nil
	})
	if errors.Is(err, protect.ErrWriting) {
		select { // others go on writing until it is tried again
		case <-time.After(crossTimeout):
		case <-ctx.Done():
		}
		return []string{protect.ErrWriting.Error()}, nil
	}
	return waiting, err
}

// writtenNow are forms with those in the place that bound columns on their way have by what holds.
func (g *guard) writtenNow(forms map[sallyport.Column]bool) map[sallyport.Column]bool {
	now := maps.Clone(forms)
	for _, p := range g.catalog.Snapshot().Columns() {
		if _, there := forms[p.Column]; there && p.Apart() && len(p.Bound) > 0 {
			now[p.Column] = !p.Leaving
		}
	}
	return now
}

// settleWritten has the database take the form that is on record, before anybody is let in. What a serve of before left running has been written by then, or is refused.
func (g *guard) settleWritten(ctx context.Context) error {
	forms := g.writtenForms(g.states())
	if len(forms) == 0 {
		return nil
	}
	return protect.SetWritten(ctx, g.movers, forms)
}

// mayEnter says why columns may not be entering, or not any more, by the states that hold.
func mayEnter(was, next *api.States) error {
	for _, name := range next.Entering {
		switch {
		case !slices.Contains(next.Moving, name) || slices.Contains(next.Leaving, name):
			return movingProblem("bad_states", name+" cannot be entering: it is not on its way in.", "")
		case slices.Contains(was.Moving, name) && !slices.Contains(was.Entering, name):
			return movingProblem("moving", name+" is moving, and tokens are written there already.", "Let protect go on.") // an order that came late
		}
	}
	for _, name := range was.Entering {
		if slices.Contains(next.Leaving, name) && slices.Contains(next.Moving, name) {
			return movingProblem("entering", name+" has no tokens yet, and none are written before it leaves.", "Let protect --undo go on.")
		}
	}
	return nil
}
