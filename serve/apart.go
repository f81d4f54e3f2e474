package serve

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/catalog"
	"sallyport/protect"
	"sallyport/purpose"
	"sallyport/token"
)

// apart reads what is stored of an integer or a uuid on its way, by what the database says of its row.
func (g *guard) apart(p *catalog.Protected, stored, stands string) (purpose.Apart, bool) {
	codec, err := g.codecFor(p)
	if err != nil || g.standsForNobody(codec, stored) {
		return purpose.Apart{}, false
	}
	way, ok := g.wayOf(p, codec, stands)
	if !ok {
		return purpose.Apart{}, false
	}
	plain, err := way.reads(codec, stored)
	if err != nil {
		return purpose.Apart{}, false
	}
	forms, err := way.forms(codec, plain)
	if err != nil {
		return purpose.Apart{}, false
	}
	tok, err := codec.Search(nil, []byte(plain))
	if err != nil || !slices.Contains(forms, string(tok)) { // the keys were exchanged meanwhile
		return purpose.Apart{}, false
	}
	return purpose.Apart{Plain: plain, Token: string(tok), Forms: forms}, true
}

// standsForNobody tells whether a token was drawn at random for a shredded customer.
func (g *guard) standsForNobody(codec *token.Codec, stored string) bool {
	state := g.s.State
	return state.Shreds() && (state.Dead(codec.ListDigest([]byte(stored))) || state.Dead(codec.BeforeDigest([]byte(stored))))
}

// sides is in which of two forms a row holds a value: by the key of an epoch, or, where that is 0, plain.
type sides struct{ from, to, here int }

// wayOf reads what the database says of a row (catalog.Stands). false: nothing that could be.
func (g *guard) wayOf(p *catalog.Protected, codec *token.Codec, stands string) (sides, bool) {
	first, second, rotating := codec.Turning()
	if !p.Hidden {
		w := sides{from: 0, to: second, here: 0} // without a second key it is the one key's
		if stands == "true" {
			w.here = w.to
		}
		return w, !rotating && (stands == "true" || stands == "false")
	}
	w := sides{from: min(first, second), to: max(first, second)}
	w.here = w.from
	at, done, _ := strings.Cut(stands, " ")
	epoch, err := strconv.Atoi(at)
	switch {
	case err != nil || !rotating || done != "true" && done != "false":
		return w, false
	case epoch == w.to && done == "true":
		w.here = w.to
		return w, true
	case epoch == w.to, epoch == w.from && done == "true": // of the rotation before, all are: this one has not begun with the rows
		return w, true
	}
	return w, epoch == 0 && g.s.State.TurnedEpochs()[p.Column.String()].Last == 0 // there was none before
}

// reads is the value of what a row holds.
func (w sides) reads(codec *token.Codec, stored string) (string, error) {
	return w.at(codec, stored, w.here)
}

// at is the value of a text that stands in one of the two forms.
func (w sides) at(codec *token.Codec, stored string, epoch int) (string, error) {
	if epoch == 0 {
		plain, err := codec.Canonical(nil, []byte(stored))
		return string(plain), err
	}
	plain, err := codec.RevealEpoch(nil, []byte(stored), epoch)
	return string(plain), err
}

// forms are both forms of a value, that of before first.
func (w sides) forms(codec *token.Codec, plain string) ([]string, error) {
	before := []byte(plain)
	var err error
	if w.from > 0 {
		if before, err = codec.TokenEpoch(nil, before, w.from); err != nil {
			return nil, err
		}
	}
	behind, err := codec.TokenEpoch(nil, []byte(plain), w.to)
	return []string{string(before), string(behind)}, err
}

// lone tells whether no row holds another value than this one in one of its forms, or will in a moment: two values of 32 bits may have one form, if
// one of them is a token of one key and the other of another. What is asked for is each value that could be taken for it, in each of its forms.
func (g *guard) lone(ctx context.Context, p *catalog.Protected, value []byte) (bool, error) {
	codec, err := g.codecFor(p)
	if err != nil {
		return false, err
	}
	stands, ok := g.catalog.Snapshot().Stands(p)
	if !ok {
		return false, fmt.Errorf("the database does not say how far %s is", p.Column)
	}
	first, second, _ := codec.Turning()
	w := sides{from: min(first, second), to: max(first, second)}
	canonical, err := codec.Canonical(nil, value)
	if err != nil {
		return true, nil //nolint:nilerr // it is no value, which who asks finds out
	}
	own, err := w.forms(codec, string(canonical))
	if err != nil {
		return false, err
	}
	asked := slices.Clone(own)
	for i, epoch := range []int{w.to, w.from} { // what is the form of before may be another's of behind, and the other way round
		other, err := w.at(codec, own[i], epoch)
		if err != nil {
			return false, err
		}
		forms, err := w.forms(codec, other)
		if err != nil {
			return false, err
		}
		asked = append(asked, forms...)
	}
	return g.noOther(ctx, p, codec, stands, string(canonical), asked)
}

// noOther looks whether any row that holds one of these texts holds another value that could be taken for this one.
func (g *guard) noOther(ctx context.Context, p *catalog.Protected, codec *token.Codec, stands catalog.Stands, value string, asked []string) (bool, error) {
	found, err := protect.Standing(ctx, g.movers, stands.Table, stands.Column, stands.Type, stands.How, asked)
	if err != nil {
		return false, err
	}
	for _, row := range found {
		w, ok := g.wayOf(p, codec, row.Stands)
		if !ok {
			return false, fmt.Errorf("the database does not say how far %s is", p.Column)
		}
		plain, err := w.reads(codec, row.Text)
		if err != nil {
			return false, err
		}
		if plain == value {
			continue
		}
		forms, err := w.forms(codec, plain)
		if err != nil {
			return false, err
		}
		own, err := w.forms(codec, value)
		if err != nil {
			return false, err
		}
		if forms[0] == own[1] || forms[1] == own[0] {
			return false, nil
		}
	}
	return true, nil
}
