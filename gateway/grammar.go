package gateway

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"sallyport/query"
	"sallyport/wire/pg"
)

// grammarName is the prepared statement under which the server is asked about a text.
const grammarName = "sallyport grammar"

// askGrammar has the server say what is wrong with a text that cannot be parsed here, for its grammar may be another one than ours. It is asked
// by a Parse of the text with every name and literal blanked, so neither it nor its log learns a value. Its syntax error goes to the
// client; any other answer is followed by the refusal, which the caller sends behind this. It says whether it asked.
func (s *session) askGrammar(sql string, why *query.Refusal) bool {
	if why.Code != query.CodeSyntax {
		return false
	}
	blank, ok := query.Blank(sql)
	if !ok {
		return false
	}
	s.expectReply(&reply{what: expectClose, name: grammarName, swallow: true})
	s.expectReply(&reply{what: expectLook, swallow: true, refused: why, text: sql})
	s.toServer = pg.AppendTarget(s.toServer, pg.Close, 'S', grammarName)
	s.toServer = pg.AppendParse(s.toServer, grammarName, blank, nil)
	return true
}

// inWordsOf puts the word at which an error points back in the place of the one that was blanked. The words are the client's own.
func inWordsOf(text string, n pg.Notice) pg.Notice {
	at, err := strconv.Atoi(n.Get(pg.Position))
	blank, ok := query.Blank(text)
	if err != nil || !ok {
		return n
	}
	was, is := fromCharacter(text, at-1), fromCharacter(blank, at-1)
	for i := range n {
		if n[i].Code != pg.Message {
			continue
		}
		// "syntax error at or near \"zzz\"", in whatever language: the word is what stands between the quotes.
		first, last := bytes.IndexByte(n[i].Value, '"'), bytes.LastIndexByte(n[i].Value, '"')
		if first < 0 || last <= first {
			continue
		}
		word := string(n[i].Value[first+1 : last])
		if len(word) <= len(is) && is[:len(word)] == word {
			own := was[:len(was)-len(fromCharacter(was, utf8.RuneCountInString(word)))]
			n[i].Value = append(append(n[i].Value[:first+1:first+1], own...), n[i].Value[last:]...)
		}
	}
	return n
}

// fromCharacter is what stands behind the first n characters.
func fromCharacter(s string, n int) string {
	for ; n > 0 && s != ""; n-- {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	return s
}
