package query

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// attachComments removes comments that must not reach the server, and reads a purpose from those behind a statement.
func (p *Plan) attachComments(t *tokens) {
	for _, c := range t.comments {
		text := p.Text[c.Start:c.End]
		owner := p.owner(int(c.Start))
		ours := strings.Contains(strings.ToLower(text), "sallyport.") || strings.Contains(strings.ToLower(text), "sallyport_")
		edit := Edit{Start: int(c.Start), End: int(c.End), Text: " "}
		if owner == nil {
			if ours {
				p.Edits = append(p.Edits, edit)
			}
			continue
		}
		if ours || repeats(text, owner.Edits) {
			owner.Edits = insertEdit(owner.Edits, edit)
		}
		if speaksOfActor(text) && owner.Refusal == nil { // the one that counts was cut off before
			owner.Refusal = &Refusal{Code: CodeActor, Sentence: "a comment that says who acts does not stand where it counts", Position: int(c.Start), Hint: actorHint}
		}
		trailing := int(c.Start) >= t.endOf(owner.Start, owner.End)
		if value, ok := commentPurpose(text); ok && trailing && c.Token == pg.Token_C_COMMENT {
			owner.Comment = &value
		}
		if body := owner.Prepare; body != nil {
			body.Body.Edits = owner.Edits
		}
	}
	for i := range p.Statements {
		p.Statements[i].behindEdits()
	}
}

// behindEdits moves a Capture behind the removal of trailing comments, which takes all in between with it, so that its text
// comes last in order too. The semicolon that may go with it ends the last statement only.
func (st *Statement) behindEdits() {
	if st.Capture == nil {
		return
	}
	end, kept := st.Capture.At, st.Edits[:0:0]
	for _, e := range st.Edits {
		if e.Start < st.Capture.At {
			kept = append(kept, e)
		} else {
			end = max(end, e.End)
		}
	}
	if end > st.Capture.At {
		st.Edits = append(kept, Edit{Start: st.Capture.At, End: end})
		st.Capture.At = end
	}
}

// owner is the statement that a byte belongs to: the last one that begins before it.
func (p *Plan) owner(at int) *Statement {
	var owner *Statement
	for i := range p.Statements {
		if owner == nil || p.Statements[i].Start <= at {
			owner = &p.Statements[i]
		}
	}
	return owner
}

// repeats tells whether a comment holds a value that becomes a token: it would reach the server after all.
func repeats(comment string, edits []Edit) bool {
	const shortest = 3 // shorter ones stand in any text
	for _, e := range edits {
		if e.Slot != nil && !e.Slot.Parted && len(e.Slot.Value) >= shortest && strings.Contains(comment, e.Slot.Value) {
			return true
		}
	}
	return false
}

// insertEdit keeps the order. A comment inside a literal of several tokens goes with it.
func insertEdit(edits []Edit, e Edit) []Edit {
	for _, other := range edits {
		if other.Start <= e.Start && e.End <= other.End {
			return edits
		}
	}
	edits = append(slices.Clone(edits), e)
	sortEdits(edits)
	return edits
}

func sortEdits(edits []Edit) {
	slices.SortStableFunc(edits, func(x, y Edit) int { return x.Start - y.Start })
}

// commentPurpose reads /*key='value',sallyport.purpose='ticket%3A4711'*/ (the form of sqlcommenter.github.io).
func commentPurpose(comment string) (string, bool) {
	values, _ := commentValues(strings.TrimSuffix(strings.TrimPrefix(comment, "/*"), "*/"))
	if list := values[purposeSetting]; len(list) > 0 {
		return list[0], true
	}
	return "", false
}

// quoted reads up to the closing quote; \' is a quote inside.
func quoted(s string) (value, rest string, ok bool) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			out.WriteByte(s[i])
		case s[i] == '\'':
			return out.String(), s[i+1:], true
		default:
			out.WriteByte(s[i])
		}
	}
	return "", "", false
}
