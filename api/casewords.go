package api

import (
	"strings"

	"sallyport"
)

// wroteInCase is what a person wrote himself in an entry, which ends its line.
func wroteInCase(o *sallyport.Order) string {
	switch {
	case o.By == "":
		return ""
	case o.Case != nil && o.Case.Text != "":
		return strings.TrimSpace(o.Case.Text)
	}
	return strings.TrimSpace(o.Reason)
}

// ownWords is what somebody wrote, as whoever looks may see it. His own words come back as he wrote them: a pseudonym in the place of one of many names
// would tell him whose it is.
func ownWords(me, by sallyport.Staff, text string, mask func(string) string) string {
	if by == me {
		return text
	}
	return mask(text)
}

// textTo is a line of a timeline as somebody may see it.
func (l *CaseLine) textTo(me sallyport.Staff, mask func(string) string) string {
	text := strings.TrimSpace(l.Text)
	if made, ok := strings.CutSuffix(text, l.wrote); ok {
		return mask(made) + ownWords(me, sallyport.Staff(l.By), l.wrote, mask)
	}
	return mask(text)
}
