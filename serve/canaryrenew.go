package serve

import (
	"crypto/rand"
	"slices"

	"sallyport"
	"sallyport/canary"
)

// renew puts on record by which digests canaries are known besides those that stand there: a rotation gives their values other tokens, and whoever saw one
// of these would come by unseen. It is looked each time before anything is planted; where nothing is new nothing is written.
func (c *canaries) renew() error {
	c.renewing.Lock()
	defer c.renewing.Unlock()
	book := c.book.Load()
	c.s.mu.Lock()
	g := c.s.guard
	c.s.mu.Unlock()
	if book == nil || g == nil || g.catalog == nil || c.s.link != nil {
		return nil
	}
	p := &planter{c: c, book: book, guard: g}
	columns := c.told(g)
	for _, old := range book.Canaries() {
		if old.Gone || old.Subject == "" {
			continue
		}
		one := *old
		one.Values, one.Tokens = nil, nil
		if err := p.knownBy(&one, columns); err != nil {
			return err
		}
		if allIn(one.Values, old.Values) && allIn(one.Tokens, old.Tokens) {
			continue
		}
		if err := c.retell(book, &one); err != nil {
			return err
		}
	}
	return nil
}

// told are the columns by whose values canaries are known.
func (c *canaries) told(g *guard) (columns []plantColumn) {
	named := c.s.O.Config.Protect.Customer.Named()
	for _, x := range g.catalog.Snapshot().Columns() {
		if x.Column.Schema == named.Schema && x.Column.Table == named.Name && (x.Scheme == sallyport.Email || x.Scheme == sallyport.Phone) {
			columns = append(columns, plantColumn{name: x.Column.Name, protected: x})
		}
	}
	return columns
}

// knownBy gives a canary the digests of its values and of their tokens.
func (p *planter) knownBy(one *canary.Canary, columns []plantColumn) error {
	for i := range columns {
		value := one.Email
		if columns[i].protected.Scheme == sallyport.Phone {
			value = one.Phone
		}
		if value == "" {
			continue
		}
		if err := p.known(one, &columns[i], value); err != nil {
			return err
		}
	}
	return nil
}

func allIn(few, many []sallyport.Digest) bool {
	return !slices.ContainsFunc(few, func(d sallyport.Digest) bool { return !slices.Contains(many, d) })
}

// retell records a canary once more. What was known of it before stays known: tokens of before a rotation stand in copies.
func (c *canaries) retell(book *canary.Book, one *canary.Canary) error {
	sealed, err := book.Key().Seal(one, rand.Reader)
	if err != nil {
		return err
	}
	e := &sallyport.Event{Time: c.s.O.Clock(), Kind: sallyport.CanaryPlanted, Order: &sallyport.Order{Action: "plant", Sealed: sealed}}
	if err := c.s.orders.Give(nil, e); err != nil {
		return err
	}
	return book.Apply(e)
}
