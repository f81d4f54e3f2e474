package purpose

import (
	"sallyport"
	"sallyport/catalog"
)

// Apart is a value of an integer's or a uuid's column on its way, which nothing but the database's word about its row tells.
type Apart struct {
	Plain string
	Token string   // by the key of new tokens
	Forms []string // by which it may stand in the row, now or in a moment
}

// addApart adds the forms of such a value to a cover. Two values that may stand there as the same are neither.
func (c *Cover) addApart(p *catalog.Protected, subject sallyport.Subject, a Apart) {
	value := Value{Column: p.Column, Scheme: p.Scheme, Subject: subject, Plain: a.Plain, Token: a.Token}
	for _, form := range a.Forms {
		key := p.Key(form)
		if known, there := c.Values[key]; there && known.Plain != a.Plain {
			c.Values[key] = Value{}
			continue
		}
		if _, there := c.Values[key]; !there {
			c.Values[key] = value
		}
	}
}

// apartOf reads such a value by what the database says of its row.
func (q *queries) apartOf(p *catalog.Protected, text, stands []byte) (Apart, bool) {
	if q.apart == nil || len(stands) == 0 {
		return Apart{}, false
	}
	return q.apart(p, string(text), string(stands))
}
