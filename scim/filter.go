package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// filter tells whether a resource is wanted; values gives what it has under an attribute's name, in lower case.
type filter interface {
	holds(values func(attribute string) []string) bool
}

type (
	both    struct{ a, b filter }
	either  struct{ a, b filter }
	negated struct{ a filter }
	// compared is attribute op value; sub-attributes stand behind a dot.
	compared struct{ attribute, op, value string }
)

func (f both) holds(v func(string) []string) bool    { return f.a.holds(v) && f.b.holds(v) }
func (f either) holds(v func(string) []string) bool  { return f.a.holds(v) || f.b.holds(v) }
func (f negated) holds(v func(string) []string) bool { return !f.a.holds(v) }

func (f compared) holds(v func(string) []string) bool {
	values := v(f.attribute)
	if f.op == "ne" {
		return !slices.ContainsFunc(values, func(s string) bool { return f.same(s) })
	}
	return slices.ContainsFunc(values, f.meets)
}

// same compares as the schema says: ids of the provider and ours by their bytes, everything else whatever the case.
func (f compared) same(s string) bool {
	switch f.attribute {
	case "id", "externalid", "manager", "manager.value", "members", "members.value":
		return s == f.value
	}
	return fold(s) == fold(f.value)
}

func (f compared) meets(s string) bool {
	a, b := fold(s), fold(f.value)
	switch f.op {
	case "eq":
		return f.same(s)
	case "co":
		return strings.Contains(a, b)
	case "sw":
		return strings.HasPrefix(a, b)
	case "ew":
		return strings.HasSuffix(a, b)
	case "pr":
		return s != ""
	case "gt":
		return a > b
	case "ge":
		return a >= b
	case "lt":
		return a < b
	case "le":
		return a <= b
	}
	return false
}

// The most that a filter may have of what nests or repeats: providers send one or two comparisons.
const (
	deepest = 20
	mostOf  = 50
)

// parseFilter reads a filter of RFC 7644 (3.4.2.2). Prefix stands before the names of a filter in brackets; where attributes are given, another
// one than those is an error.
func parseFilter(text, prefix string, attributes ...string) (filter, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFilter)
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	r := &filterReader{words: words, prefix: strings.ToLower(prefix), known: attributes}
	f, err := r.any(0)
	if err == nil && len(r.words) > 0 {
		err = errors.New("something stands behind its end")
	}
	return f, err
}

// split cuts a filter into words, brackets and texts; a text keeps its quotes.
func split(s string) (out []string, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		n := 1
		switch {
		case s[0] == '"':
			for n < len(s) && s[n] != '"' {
				if s[n] == '\\' {
					n++
				}
				n++
			}
			if n++; n > len(s) {
				return nil, errors.New("a text has no end")
			}
		case strings.IndexByte("()[]", s[0]) >= 0:
		default:
			if n = strings.IndexAny(s, " \t\"()[]"); n < 0 {
				n = len(s)
			}
		}
		out, s = append(out, s[:n]), s[n:]
		if len(out) > 10*mostOf {
			return nil, errors.New("it has too many words")
		}
	}
	return out, nil
}

type filterReader struct {
	words  []string
	prefix string
	known  []string // nil: all
	terms  int
}

func (r *filterReader) next() string {
	if len(r.words) == 0 {
		return ""
	}
	w := r.words[0]
	r.words = r.words[1:]
	return w
}

func (r *filterReader) sees(word string) bool {
	return len(r.words) > 0 && strings.EqualFold(r.words[0], word)
}

func (r *filterReader) any(depth int) (filter, error) {
	f, err := r.all(depth)
	for err == nil && r.sees("or") {
		r.next()
		var g filter
		if g, err = r.all(depth); err == nil {
			f = either{f, g}
		}
	}
	return f, err
}

func (r *filterReader) all(depth int) (filter, error) {
	f, err := r.one(depth)
	for err == nil && r.sees("and") {
		r.next()
		var g filter
		if g, err = r.one(depth); err == nil {
			f = both{f, g}
		}
	}
	return f, err
}

func (r *filterReader) one(depth int) (filter, error) {
	if r.terms++; depth > deepest || r.terms > mostOf {
		return nil, errors.New("it is too large")
	}
	if r.sees("not") {
		r.next()
		if !r.sees("(") {
			return nil, errors.New("behind not stands a bracket")
		}
		f, err := r.one(depth + 1)
		return negated{f}, err
	}
	if r.sees("(") {
		return r.bracket(depth, r.prefix, ")")
	}
	attribute, err := r.attribute()
	if err != nil {
		return nil, err
	}
	if r.sees("[") {
		if r.prefix != "" {
			return nil, errors.New("brackets stand within brackets")
		}
		return r.bracket(depth, attribute+".", "]")
	}
	return r.comparison(attribute)
}

func (r *filterReader) bracket(depth int, prefix, end string) (filter, error) {
	r.next()
	outer := r.prefix
	r.prefix = prefix
	f, err := r.any(depth + 1)
	r.prefix = outer
	if err == nil && r.next() != end {
		err = fmt.Errorf("a %s is missing", end)
	}
	return f, err
}

func (r *filterReader) attribute() (string, error) {
	name := strings.ToLower(r.next())
	for _, schema := range []string{userSchema, groupSchema, enterpriseSchema, ownSchema} {
		name = strings.TrimPrefix(name, strings.ToLower(schema)+":")
	}
	for part := range strings.SplitSeq(name, ".") {
		if !word(part) {
			return "", errors.New("the name of an attribute is expected")
		}
	}
	return r.prefix + name, nil
}

func (r *filterReader) comparison(attribute string) (filter, error) {
	if r.known != nil && !slices.Contains(r.known, attribute) {
		return nil, fmt.Errorf("nothing is known of the attribute %q", attribute)
	}
	f := compared{attribute: attribute, op: strings.ToLower(r.next())}
	if f.op == "pr" {
		return f, nil
	}
	if !slices.Contains([]string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}, f.op) {
		return nil, errors.New("one of eq, ne, co, sw, ew, pr, gt, ge, lt, le is expected")
	}
	value := r.next()
	switch {
	case strings.HasPrefix(value, `"`):
		if err := json.Unmarshal([]byte(value), &f.value); err != nil {
			return nil, errors.New("a text is none of JSON")
		}
	case strings.EqualFold(value, "true"), strings.EqualFold(value, "false"):
		f.value = strings.ToLower(value)
	default:
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return nil, errors.New("a text in double quotes, a number, true or false is expected")
		}
		f.value = value
	}
	return f, nil
}
