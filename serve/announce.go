package serve

import (
	"context"
	"errors"
	"fmt"

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
	value, how := "", ""
	if p.Unique {
		if value, how, err = g.standing(p, codec, w, v, &a); err != nil {
			return false, err
		}
	}
	said, err := protect.Announce(ctx, g.movers, a)
	if err != nil || !said.Ready || !said.Found {
		return said.Ready, err
	}
	defer g.resolver.Renewed()
	return true, protect.VacateApart(ctx, g.movers, protect.ApartVacancy{
		Column: v.Column, How: how, Becomes: a.Value, Stood: a.Stood, Key: v.Key, Except: v.Except,
		Is: func(text, how string) bool {
			at, ok := g.wayOf(p, codec, how)
			if !ok {
				return false
			}
			plain, err := at.reads(codec, text)
			return err == nil && plain == value
		},
	})
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
func (g *guard) standing(p *catalog.Protected, codec *token.Codec, w sides, v gateway.Vacate, a *protect.Announcement) (value, how string, err error) {
	stands, ok := g.catalog.Snapshot().Stands(p)
	if !ok {
		return "", "", fmt.Errorf("the database does not say how far %s is", p.Column)
	}
	canonical, err := codec.Canonical(nil, []byte(v.Forms[0]))
	if err != nil {
		return "", "", err
	}
	forms, err := w.forms(codec, string(canonical))
	if err != nil {
		return "", "", err
	}
	a.Stood = protect.Stood{Text: forms[0], Table: stands.Table, Kind: stands.Type}
	switch a.Value {
	case forms[0]:
		a.Stood.Text = forms[1]
	case forms[1]:
	default:
		return "", "", errors.New("the keys were exchanged meanwhile")
	}
	return string(canonical), stands.How, nil
}
