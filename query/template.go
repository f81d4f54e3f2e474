package query

import (
	"sync"
	"unicode/utf8"
)

// templates remembers shapes of statements that touch nothing protected, so that programs which write their values into the
// text (pgbench does) are not parsed anew for each value. What the analysis says of such a statement hangs on no literal; of
// one that touches anything it may, so those are kept by their exact text only.
type templates struct {
	most int

	mu    sync.RWMutex // guards inert
	inert map[string]Statement
}

const longestTemplate = 1 << 10

func newTemplates(most int) *templates {
	return &templates{most: most, inert: map[string]Statement{}}
}

// plan makes the plan of a text whose template is known, or returns nil.
func (t *templates) plan(sql string) *Plan {
	var buffer [longestTemplate]byte
	template, end, ok := shapeOf(buffer[:0], sql)
	if !ok {
		return nil
	}
	t.mu.RLock()
	st, ok := t.inert[string(template)]
	t.mu.RUnlock()
	if !ok {
		return nil
	}
	st.End = end
	return &Plan{Text: sql, Statements: []Statement{st}}
}

// keep remembers a plan's template where that is safe. It returns whether the exact text need not be kept.
func (t *templates) keep(plan *Plan) bool {
	var buffer [longestTemplate]byte
	template, end, ok := shapeOf(buffer[:0], plan.Text)
	if !ok || len(plan.Statements) != 1 || string(template) == plan.Text {
		return false
	}
	st := plan.Statements[0]
	if st.Start != 0 || st.End != end || !inert(&st) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.inert) >= t.most {
		clear(t.inert) // shapes are few; whoever has thousands writes something else than values into them
	}
	t.inert[string(template)] = st
	return true
}

// inert tells whether a statement is nothing but plain work on unprotected data.
func inert(st *Statement) bool {
	switch st.Verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE":
	default:
		return false
	}
	return !st.Touches && !st.Masks && st.Refusal == nil && st.Edits == nil && st.Params == nil && st.Columns == nil && st.Comment == nil && st.Capture == nil &&
		!st.DDL && st.Copies == nil && !st.exact && st.Powers == nil
}

// shapeOf writes a text with 0 for each number and an empty string for each string. It is no lexer: where the text holds
// anything whose reading needs one (comments, quoted names, dollar quotes, escapes, a prefix before a string, several
// statements) ok is false. end is where the statement ends.
func shapeOf(dst []byte, sql string) (out []byte, end int, ok bool) {
	if len(sql) > longestTemplate {
		return dst, 0, false
	}
	end = len(sql)
	for i := 0; i < len(sql); {
		c := sql[i]
		switch {
		case c == '\'':
			stop := stringEnd(sql, i)
			if stop < 0 {
				return dst, 0, false
			}
			dst = append(dst, "''"...)
			i = stop
			continue
		case digit(c) && (i == 0 || !wordByte(sql[i-1])):
			stop := numberEnd(sql, i)
			if stop < 0 {
				return dst, 0, false
			}
			dst = append(dst, '0')
			i = stop
			continue
		case needsLexer(sql, i):
			return dst, 0, false
		case c == ';' && end == len(sql):
			end = i
		case end < len(sql) && !blank(c):
			return dst, 0, false
		}
		dst = append(dst, c)
		i++
	}
	return dst, end, true
}

// stringEnd is the index behind a string that is just what stands between its quotes, -1 for any other.
func stringEnd(sql string, open int) int {
	end := closing(sql, open)
	if end < 0 || !utf8.ValidString(sql[open:end]) || open > 0 && wordByte(sql[open-1]) {
		return -1
	}
	return end
}

// closing is the index behind the closing quote of a plain string, -1 where there is none or a backslash inside.
func closing(sql string, open int) int {
	for i := open + 1; i < len(sql); i++ {
		switch sql[i] {
		case '\\', 0:
			return -1
		case '\'':
			if next(sql, i) != '\'' {
				return i + 1
			}
			i++
		}
	}
	return -1
}

// numberEnd is the index behind a number of digits only, -1 for 1e5, 0x1F and their like.
func numberEnd(sql string, start int) int {
	end := start
	for end < len(sql) && digit(sql[end]) {
		end++
	}
	if end < len(sql) && wordByte(sql[end]) {
		return -1
	}
	return end
}

// needsLexer tells whether something begins that only a lexer reads right.
func needsLexer(sql string, i int) bool {
	switch c := sql[i]; c {
	case '\\', '$', '"', 0:
		return true
	case '-':
		return next(sql, i) == '-'
	case '/':
		return next(sql, i) == '*'
	default:
		return c >= utf8.RuneSelf
	}
}

func next(s string, i int) byte {
	if i+1 < len(s) {
		return s[i+1]
	}
	return 0
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

// wordByte tells whether a byte may belong to a name or number.
func wordByte(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 || c == '&' || c == '$'
}
