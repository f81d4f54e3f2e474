package gateway

import (
	"sallyport"
	"sallyport/catalog"
)

// While the keys of integers and uuids are rotated nothing but a list of rows tells of which key a stored token is. So such a column shows
// what a reason covers and nothing else, is searched by the tokens of both keys, and what is written is announced to the database, which notes of which
// key it is (apart.go).

// hidden tells whether a column is in that state.
func (s *session) hidden(column sallyport.Column) bool {
	p := s.gw.protectedColumn(column)
	return p != nil && p.Hidden
}

// adviseOnHidden tells once a session why nothing is shown where there was something before.
func (s *session) adviseOnHidden(p *catalog.Protected) {
	if s.unseen {
		return
	}
	s.unseen = true
	what := "is moving"
	if p.Hidden {
		what = "is given other keys"
	}
	s.notice("NOTICE", p.Column.String()+" "+what+": until that is done it shows what a reason covers and nothing else", "Where a reason covers the row, try again in a moment.")
}
