package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport/catalog"
	"sallyport/gateway"
	"sallyport/protect"
	"sallyport/token"
)

// announceBound is announce for a column that foreign keys hold equal to others. It is announced for all of them, since a cascade writes there too, and rows of all that
// hold the value in its other form are given this one together before.
func (g *guard) announceBound(ctx context.Context, p *catalog.Protected, codec *token.Codec, w sides, v gateway.Vacate, a protect.Announcement) (ready bool, err error) {
	if p.Hidden {
		return false, fmt.Errorf("the keys of %s are rotated, and a foreign key stands on it", p.Column)
	}
	canonical, err := codec.Canonical(nil, []byte(v.Forms[0]))
	if err != nil {
		return false, err
	}
	value := string(canonical)
	forms, err := w.forms(codec, value)
	if err != nil {
		return false, err
	}
	stood := slices.DeleteFunc(forms, func(form string) bool { return form == a.Value })
	if len(stood) != 1 {
		return false, errors.New("the keys were exchanged meanwhile")
	}
	a.Stood.Text = stood[0]
	vacancy := protect.BoundVacancy{
		Column: v.Column, Becomes: a.Value, Stood: stood[0],
		Is: func(text, how string) bool {
			at, ok := g.wayOf(p, codec, how)
			if !ok || g.standsForNobody(codec, text) {
				return false
			}
			plain, err := at.reads(codec, text)
			return err == nil && plain == value
		},
	}
	snapshot := g.catalog.Snapshot()
	for _, other := range p.Bound {
		stands, ok := snapshot.Stands(other)
		if !ok {
			return false, fmt.Errorf("the database does not say how far %s is", other.Column)
		}
		vacancy.Places = append(vacancy.Places, protect.Place{Column: other.Column, Table: stands.Table, Kind: stands.Type, How: stands.How})
	}
	found := false
	for _, at := range vacancy.Places {
		a.Column, a.Stood.Table, a.Stood.Kind = at.Column, at.Table, at.Kind
		said, err := protect.Announce(ctx, g.movers, a)
		if err != nil || !said.Ready {
			return false, err
		}
		found = found || said.Found
	}
	if !found {
		return true, nil
	}
	defer g.resolver.Renewed()
	return true, protect.VacateBound(ctx, g.movers, vacancy)
}
