package serve

import (
	"context"
	"errors"
	"fmt"

	"sallyport"
	"sallyport/catalog"
	"sallyport/gateway"
	"sallyport/protect"
	"sallyport/token"
)

// announce tells the database what the gateway is about to write into a column on its way whose values have no form, and gives a row of a unique one that
// holds the value in its other form this one: then the index knows it.
func (g *guard) announce(ctx context.Context, p *catalog.Protected, v gateway.Vacate) (ready bool, err error) {
	codec, err := g.codecFor(p)
	if err != nil {
		return false, err
	}
	w, a, err := announcementOf(p, codec, v)
	if err != nil {
		return false, err
	}
	if len(p.Bound) > 0 {
		return g.announceBound(ctx, p, codec, w, v, a)
	}
	how := ""
	if p.Unique {
		if how, err = g.standing(p, codec, w, v, &a); err != nil {
			return false, err
		}
	}
	said, err := protect.Announce(ctx, g.movers, a)
	if err != nil || !said.Ready || !said.Found || a.Epoch != a.Newer { // as long as tokens of the older key are written no row is of the newer
		return said.Ready, err
	}
	defer g.resolver.Renewed()
	ahead := g.ahead(p, codec, a, how)
	ahead.Key, ahead.Except = v.Key, v.Except
	return true, ahead.Go(ctx, g.movers, a.Stood.Text, a.Value)
}

// ahead has rows take the form in which all will be: those that hold what is about to be written, and what stands in the way.
func (g *guard) ahead(p *catalog.Protected, codec *token.Codec, a protect.Announcement, how string) *protect.Ahead {
	return &protect.Ahead{
		Column: p.Column, Table: a.Stood.Table, Kind: a.Stood.Kind, How: how,
		Next: func(text, stands string) (next string, older bool, err error) {
			at, ok := g.wayOf(p, codec, stands)
			if !ok || g.standsForNobody(codec, text) { // it stays
				return "", false, nil
			}
			plain, err := at.reads(codec, text)
			if err != nil {
				return "", false, err
			}
			forms, err := at.forms(codec, plain)
			if err != nil {
				return "", false, err
			}
			if p.Leaving {
				return forms[0], at.here != at.from, nil
			}
			return forms[1], at.here != at.to, nil
		},
		Says: func(text string) protect.Announcement {
			says := a
			says.Value, says.Stood = text, protect.Stood{}
			return says
		},
	}
}

// announcementOf says what is written and in which two forms the value may stand meanwhile. The text is the one by which the database will know it.
func announcementOf(p *catalog.Protected, codec *token.Codec, v gateway.Vacate) (w sides, a protect.Announcement, err error) {
	before, epoch, rotating := codec.Turning()
	if rotating != p.Hidden {
		return w, a, errors.New("the keys were exchanged meanwhile")
	}
	text, err := codec.Canonical(nil, []byte(v.Becomes))
	if err != nil {
		return w, a, err
	}
	a = protect.Announcement{Column: v.Column, Value: string(text)}
	if p.Hidden {
		w = sides{from: min(before, epoch), to: max(before, epoch)}
		a.Group, a.Epoch, a.Older, a.Newer = p.Group, epoch, w.from, w.to
	} else {
		w, a.Tokens = sides{from: 0, to: epoch}, !p.Leaving
	}
	return w, a, nil
}

// standing says by which other text the value may stand in the column, and how its rows stand.
func (g *guard) standing(p *catalog.Protected, codec *token.Codec, w sides, v gateway.Vacate, a *protect.Announcement) (how string, err error) {
	stands, ok := g.catalog.Snapshot().Stands(p)
	if !ok {
		return "", fmt.Errorf("the database does not say how far %s is", p.Column)
	}
	canonical, err := codec.Canonical(nil, []byte(v.Forms[0]))
	if err != nil {
		return "", err
	}
	forms, err := w.forms(codec, string(canonical))
	if err != nil {
		return "", err
	}
	a.Stood = protect.Stood{Text: forms[0], Table: stands.Table, Kind: stands.Type, Narrow: p.Scheme == sallyport.Int4}
	switch a.Value {
	case forms[0]:
		a.Stood.Text = forms[1]
	case forms[1]:
	default:
		return "", errors.New("the keys were exchanged meanwhile")
	}
	return stands.How, nil
}
