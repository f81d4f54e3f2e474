package gateway

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"sallyport"
	"sallyport/query"
)

// applied is one edit as it was made: where in the client's text, where in the server's.
type applied struct{ from, to, at, length int }

// rewrite applies edits to text; slots were tokenised into tokens, by index of edit. further are the numbers of the parameters that
// hold the other forms of one.
func rewrite(text string, edits []query.Edit, tokens map[int][]string, further map[int][]int) (string, []applied) {
	if len(edits) == 0 {
		return text, nil
	}
	var out strings.Builder
	out.Grow(len(text) + 64*len(edits))
	made := make([]applied, 0, len(edits))
	at := 0
	for i, e := range edits {
		out.WriteString(text[at:e.Start])
		put := e.Text
		switch {
		case e.Wide != nil:
			put = wideText(&e, tokens[i], further)
		case e.Slot != nil && e.Slot.Parted && tokens[i][0] == e.Slot.Value:
			put = text[e.Start:e.End]
		case e.Slot != nil:
			put = literalOf(e.Slot, tokens[i][0])
		}
		made = append(made, applied{from: e.Start, to: e.End, at: out.Len(), length: len(put)})
		out.WriteString(put)
		at = e.End
	}
	out.WriteString(text[at:])
	return out.String(), made
}

// wideText writes all forms of one value.
func wideText(e *query.Edit, forms []string, further map[int][]int) string {
	var items []string
	if e.Slot == nil {
		for _, number := range append([]int{e.Param}, further[e.Param]...) {
			items = append(items, fmt.Sprintf("%s$%d%s", e.Wide.Before, number, e.Wide.After))
		}
		return e.Wide.Open + strings.Join(items, ", ") + e.Wide.Close
	}
	if e.Wide.Array {
		for _, form := range forms {
			items = append(items, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(form)+`"`)
		}
		return e.Wide.Open + quote("{"+strings.Join(items, ",")+"}") + e.Wide.Close
	}
	for _, form := range forms {
		items = append(items, e.Wide.Before+quote(form)+e.Wide.After)
	}
	return e.Wide.Open + strings.Join(items, ", ") + e.Wide.Close
}

// quote makes a literal that means the same whatever standard_conforming_strings is. Only plain values of a column that is moving hold
// a backslash; a purpose that does is refused before.
func quote(s string) string {
	text := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.IndexByte(s, '\\') < 0 {
		return text
	}
	return " E" + strings.ReplaceAll(text, `\`, `\\`)
}

// literalOf is a token in the place of a literal. What was written as an integer stays one, whatever stands around it.
func literalOf(slot *query.Slot, token string) string {
	if slot.Number && (slot.Scheme == sallyport.Int4 || slot.Scheme == sallyport.Int8) {
		return quote(token) + "::pg_catalog." + string(slot.Scheme)
	}
	return quote(token)
}

// clientPosition carries a position in characters (from 1) in the server's text back to the client's.
func clientPosition(text, sent string, made []applied, position int) int {
	at := byteOffset(sent, position-1)
	shift := 0
	for _, a := range made {
		if at < a.at {
			break
		}
		if at < a.at+a.length {
			return utf8.RuneCountInString(text[:a.from]) + 1
		}
		shift = a.to - (a.at + a.length)
	}
	at = min(max(at+shift, 0), len(text))
	return utf8.RuneCountInString(text[:at]) + 1
}

// byteOffset is where character n (from 0) begins.
func byteOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
