package query

import (
	"sort"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// tokens are the scanned tokens of a text, with its comments apart.
type tokens struct {
	list     []*pg.ScanToken
	comments []*pg.ScanToken
}

// scan splits a text into tokens and bounds what the parser will have to do. The parser is C code that recurses without a
// check: a long chain of operators or set operations ends the whole process with SIGSEGV, so nothing reaches it
// before it was measured here.
func scan(sql string, limits Options) (*tokens, *Refusal) {
	if len(sql) > limits.MaxLength {
		return nil, &Refusal{
			Code: CodeTooComplex, Sentence: "the text is too long", Position: -1,
			Hint: "Send several shorter statements, or pass values as parameters.",
		}
	}
	if at := strings.IndexByte(sql, 0); at >= 0 {
		return nil, &Refusal{Code: CodeSyntax, Sentence: "the text holds a zero byte", Position: at}
	}
	result, err := pg.Scan(sql)
	if err != nil {
		return nil, unparsable(sql, err)
	}
	if len(result.Tokens) > limits.MaxTokens {
		return nil, &Refusal{
			Code: CodeTooComplex, Sentence: "the text holds too many words", Position: -1,
			Hint: "Send several shorter statements, or pass values as array parameters.",
		}
	}
	t := &tokens{list: make([]*pg.ScanToken, 0, len(result.Tokens))}
	for _, token := range result.Tokens {
		if token.Token == pg.Token_C_COMMENT || token.Token == pg.Token_SQL_COMMENT {
			t.comments = append(t.comments, token)
		} else {
			t.list = append(t.list, token)
		}
	}
	if len(t.comments) > maxComments {
		return nil, &Refusal{Code: CodeTooComplex, Sentence: "the text holds too many comments", Position: int(t.comments[maxComments].Start), Hint: "Send it without them."}
	}
	if at := t.tooDeep(limits.MaxDepth); at >= 0 {
		return nil, &Refusal{
			Code: CodeTooComplex, Sentence: "the statement is nested too deeply or chains too many operators", Position: at,
			Hint: "Write IN (…) or a join instead of long chains, or send several statements.",
		}
	}
	if at := t.buried(); at >= 0 {
		return nil, &Refusal{
			Code: "0A000", Position: at, Sentence: "a statement that changes data stands inside another one",
			Hint: "PostgreSQL takes it at the top of WITH only.",
		}
	}
	return t, nil
}

// maxComments bounds what the removal of comments costs.
const maxComments = 2000

// buried finds INSERT, UPDATE, DELETE or MERGE behind the third open parenthesis or deeper, where PostgreSQL takes none. The
// parser does, and writes the source of SET (a, b) = (SELECT …) out once for each column: nested, a text of 1 KB becomes a
// tree of gigabytes. It looks ahead from each WITH, so the nesting MUST have been bounded before.
func (t *tokens) buried() int {
	depth := 0
	for i, token := range t.list {
		switch token.Token {
		case pg.Token_ASCII_40:
			depth++
		case pg.Token_ASCII_41:
			depth = max(depth-1, 0)
		case pg.Token_ASCII_59:
			depth = 0
		case pg.Token_INSERT, pg.Token_UPDATE, pg.Token_DELETE_P, pg.Token_MERGE, pg.Token_WITH, pg.Token_WITH_LA:
			changes := token.Token != pg.Token_WITH && token.Token != pg.Token_WITH_LA
			if depth > 2 && changes && t.is(i-1, pg.Token_ASCII_40) {
				return int(token.Start)
			}
			if depth > 2 && !changes && t.changesBehind(i) {
				return int(token.Start)
			}
		default:
		}
	}
	return -1
}

// changesBehind tells whether the statement that WITH at i begins is one that changes data: INSERT and its like behind a
// closing parenthesis.
func (t *tokens) changesBehind(i int) bool {
	depth := 0
	for j := i + 1; j < len(t.list); j++ {
		switch t.list[j].Token {
		case pg.Token_ASCII_40:
			depth++
		case pg.Token_ASCII_41:
			if depth--; depth < 0 {
				return false
			}
		case pg.Token_INSERT, pg.Token_UPDATE, pg.Token_DELETE_P, pg.Token_MERGE:
			if depth == 0 && t.is(j-1, pg.Token_ASCII_41) {
				return true
			}
		case pg.Token_SELECT, pg.Token_VALUES, pg.Token_TABLE:
			if depth == 0 {
				return false
			}
		default:
		}
	}
	return false
}

// level is the inside of one pair of parentheses, brackets or CASE … END.
type level struct {
	by    pg.Token // what opened it
	chain int      // operators since the last point at which a new expression begins
	sets  int      // set operations and joins: their trees lean to the left across the whole level
}

// nestingCost is what one pair of parentheses counts: a sub-select in it is several nodes deep in the tree.
const nestingCost = 8

// tooDeep estimates from above how deep the parse tree would be: where it exceeds the limit its offset is returned, else -1.
// Each open level costs nestingCost, plus the longest chain that may enclose the present position.
func (t *tokens) tooDeep(limit int) int {
	open := []level{{}}
	depth := 0
	for i, token := range t.list {
		top := &open[len(open)-1]
		kind := kindOf(token.Token)
		if kind != chains && token.Token >= pg.Token_ABORT_P && (t.is(i-1, pg.Token_ASCII_46) || t.is(i-1, pg.Token_AS)) {
			kind = neutral // a keyword as a label: a.case, AS end
		}
		switch kind {
		case opens:
			open = append(open, level{by: token.Token})
			depth += nestingCost
		case closes:
			if len(open) > 1 && closerOf(top.by) == token.Token {
				depth -= nestingCost + top.chain + top.sets
				open = open[:len(open)-1]
				open[len(open)-1].chain++ // what follows in brackets or parentheses may lean on it
				depth++
			}
		case separates:
			depth -= top.chain
			top.chain = 0
		case ends:
			open = append(open[:0], level{})
			depth = 0
		case combines:
			depth++
			top.sets++
		case chains:
			top.chain++
			depth++
		case neutral:
		}
		if depth > limit {
			return int(token.Start)
		}
	}
	return -1
}

// closerOf is what ends a level.
func closerOf(opener pg.Token) pg.Token {
	switch opener {
	case pg.Token_ASCII_40:
		return pg.Token_ASCII_41
	case pg.Token_ASCII_91:
		return pg.Token_ASCII_93
	default:
		return pg.Token_END_P
	}
}

type tokenKind uint8

const (
	neutral   tokenKind = iota
	opens               // begins a level
	closes              // ends it
	separates           // begins a new expression beside the last one
	combines            // puts what came before below it, over a whole clause
	chains              // may put what came before below it
	ends                // ends the statement
)

// kindOf sorts tokens for tooDeep. AND and OR separate: PostgreSQL flattens their chains into one node (makeAndExpr).
func kindOf(t pg.Token) tokenKind {
	switch t {
	case pg.Token_ASCII_40, pg.Token_ASCII_91, pg.Token_CASE: // ( [
		return opens
	case pg.Token_ASCII_41, pg.Token_ASCII_93, pg.Token_END_P: // ) ]
		return closes
	case pg.Token_ASCII_44, pg.Token_AND, pg.Token_OR, pg.Token_WHEN, pg.Token_THEN, pg.Token_ELSE, pg.Token_SELECT, pg.Token_WHERE, pg.Token_ON:
		return separates
	case pg.Token_ASCII_59:
		return ends
	case pg.Token_UNION, pg.Token_INTERSECT, pg.Token_EXCEPT, pg.Token_JOIN:
		return combines
	case pg.Token_IDENT, pg.Token_UIDENT, pg.Token_FCONST, pg.Token_SCONST, pg.Token_USCONST, pg.Token_BCONST, pg.Token_XCONST,
		pg.Token_ICONST, pg.Token_PARAM, pg.Token_ASCII_46: // .
		return neutral
	case pg.Token_NOT, pg.Token_IS, pg.Token_ISNULL, pg.Token_NOTNULL, pg.Token_COLLATE, pg.Token_AT, pg.Token_LIKE, pg.Token_ILIKE,
		pg.Token_SIMILAR, pg.Token_BETWEEN, pg.Token_IN_P, pg.Token_OPERATOR, pg.Token_OVERLAPS, pg.Token_EXPLAIN, pg.Token_SETOF:
		return chains
	}
	if t < pg.Token_ABORT_P {
		return chains // operators, casts and whatever else is no keyword
	}
	return neutral
}

// at returns the index of the token that begins at a byte offset, or -1.
func (t *tokens) at(offset int) int {
	i := t.from(offset)
	if i < len(t.list) && int(t.list[i].Start) == offset {
		return i
	}
	return -1
}

// from returns the index of the first token that begins at or behind a byte offset.
func (t *tokens) from(offset int) int {
	return sort.Search(len(t.list), func(i int) bool { return int(t.list[i].Start) >= offset })
}

// is tells whether token i exists and is of a kind.
func (t *tokens) is(i int, kind pg.Token) bool {
	return i >= 0 && i < len(t.list) && t.list[i].Token == kind
}
