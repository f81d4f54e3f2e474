package query

import (
	"net/url"
	"slices"
	"strings"
)

// The settings of Sallyport's own, which comments give too.
const (
	purposeSetting = "sallyport.purpose"
	actorSetting   = "sallyport.actor"
)

// longestTail bounds a comment that speaks to Sallyport.
const longestTail = 16 << 10

// tail is what a text's last comment says to Sallyport (the form of sqlcommenter.github.io): for whom its statements are, and why.
type tail struct{ actor, purpose *string }

// cutTail takes the comment off the end of a text that speaks to Sallyport, so that statements which differ in nothing else are the same text.
// It is found from the end, without reading what stands before: what is left is read and forwarded, so nothing hangs on whether that was a
// comment; and a text of somebody else's that got into the statement cannot make the comment one that does not count.
func cutTail(sql string) (rest string, t tail, refused *Refusal) {
	end := strings.TrimRight(sql, " \t\r\n\f\v;")
	if !strings.HasSuffix(end, "*/") {
		return sql, tail{}, nil
	}
	at := strings.LastIndex(end, "/*")
	if at < 0 || at+4 > len(end) {
		return sql, tail{}, nil
	}
	inside := end[at+2 : len(end)-2]
	if strings.Contains(inside, "*/") || !speaks(inside, "sallyport") {
		return sql, tail{}, nil
	}
	if len(inside) > longestTail {
		return sql, tail{}, &Refusal{Code: CodeTooComplex, Sentence: "the comment for Sallyport is too long", Position: at, Hint: "A shorter assertion will do: it needs few claims."}
	}
	values, whole := commentValues(inside)
	actors := values[actorSetting]
	switch {
	case len(actors) > 1:
		return sql, tail{}, &Refusal{Code: CodeActor, Sentence: "the comment says twice who acts", Position: at, Hint: actorHint}
	case len(actors) == 0 && speaks(inside, "actor"), len(actors) == 1 && !whole:
		return sql, tail{}, &Refusal{Code: CodeActor, Sentence: "the comment that says who acts cannot be read", Position: at, Hint: actorHint}
	case len(actors) == 1:
		t.actor = &actors[0]
	}
	if purposes := values[purposeSetting]; len(purposes) > 0 {
		t.purpose = &purposes[0]
	}
	return strings.TrimRight(sql[:at], " \t\r\n"), t, nil
}

const actorHint = "End the text with one comment: /*sallyport_actor='…'*/, the assertion url-encoded, or BEGIN; SET LOCAL sallyport.actor = '…'; first."

// speaks tells whether a comment holds a word, url-encoded or not, whatever its case.
func speaks(comment, word string) bool {
	if plain, err := url.PathUnescape(comment); err == nil && strings.Contains(strings.ToLower(plain), word) {
		return true
	}
	return strings.Contains(strings.ToLower(comment), word)
}

// speaksOfActor tells whether a comment would say who acts if it stood where that counts.
func speaksOfActor(comment string) bool {
	return speaks(comment, "sallyport.actor") || speaks(comment, "sallyport_actor")
}

// commentValues reads key='value',key='value'. whole says that all of it is of this form.
func commentValues(rest string) (values map[string][]string, whole bool) {
	values = map[string][]string{}
	for strings.Trim(rest, " \t\r\n,") != "" {
		key, after, ok := strings.Cut(rest, "=")
		after = strings.TrimLeft(after, " \t\r\n")
		if !ok || !strings.HasPrefix(after, "'") {
			return values, false
		}
		value, next, ok := quoted(after[1:])
		if !ok {
			return values, false
		}
		name, err := url.PathUnescape(strings.Trim(key, " \t\r\n,"))
		plain, errValue := url.PathUnescape(value)
		if err != nil || errValue != nil {
			return values, false
		}
		name = strings.Replace(strings.ToLower(name), "sallyport_", "sallyport.", 1)
		values[name] = append(values[name], plain)
		rest = next
	}
	return values, true
}

// on is a plan under the tail of its text. Who acts holds for every statement, why for the last.
func (t tail) on(plan *Plan) (*Plan, *Refusal) {
	if t.actor == nil && t.purpose == nil || len(plan.Statements) == 0 {
		return plan, nil
	}
	out := &Plan{Text: plan.Text, Statements: slices.Clone(plan.Statements), Edits: plan.Edits}
	if t.purpose != nil {
		out.Statements[len(out.Statements)-1].Comment = t.purpose
	}
	if t.actor == nil {
		return out, nil
	}
	for i := range out.Statements {
		st := &out.Statements[i]
		switch {
		case st.SetsActor:
			return nil, &Refusal{Code: CodeActor, Sentence: "the text says twice who acts", Position: st.Start, Hint: actorHint}
		case st.Tx != nil && (len(out.Statements) > 1 || st.Tx.Kind == Begin):
			return nil, &Refusal{
				Code: CodeActor, Sentence: "who acts is said for one transaction, and this text begins or ends one", Position: st.Start,
				Hint: "Put the comment on the statements between BEGIN and COMMIT.",
			}
		case st.Tx == nil: // COMMIT, ROLLBACK and savepoints by themselves are nobody's
			st.Actor = t.actor
		}
	}
	return out, nil
}
