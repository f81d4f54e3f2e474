package gateway

import (
	"sallyport"
	"sallyport/catalog"
	"sallyport/query"
)

// While the keys of integers and uuids are rotated nothing but a list of rows tells of which key a stored token is. So such a column shows
// what a reason covers and nothing else (apart.go), is searched by the tokens of both keys, and nothing is written into it, here and in the database
// itself: a value would be made a token of one key and might stand among those of the other.

// hidden tells whether a column is in that state.
func (s *session) hidden(column sallyport.Column) bool {
	p := s.gw.protectedColumn(column)
	return p != nil && p.Hidden
}

// codeInUse is object_in_use, which the database answers with, too.
const codeInUse = "55006"

func hiddenWrite(column sallyport.Column) *query.Refusal {
	return refusal(codeInUse, "the keys of "+column.String()+" are being rotated, and its tokens do not show of which key they are: it cannot be written now",
		"Leave the column out, or try again when that is done.")
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
