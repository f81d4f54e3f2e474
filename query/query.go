// Package query reads SQL: which protected columns a statement touches, which of its literals and parameters must become
// tokens, what it does to the session, and whether it may pass at all.
//
// It refuses to run anything, to do I/O, and to guess: a value that it cannot trace from where it is written to where the
// database would use it makes the statement refused, with a code, a sentence and a hint that never quote the statement.
//
// Invariant: a literal or parameter that is written to or compared with a protected column is a Slot of the Plan, or the
// statement carries a Refusal.
package query

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
)

// Options bound the work of an Analyzer. Zero fields take the defaults.
type Options struct {
	MaxLength    int // bytes of one text; default 1 MiB
	MaxDepth     int // operators, set operations and nesting of one statement; default 2,000, at most 4,000 (PostgreSQL itself refuses at 5,000)
	MaxTokens    int // words of one text; default 250,000: what the parser makes of a million takes a gigabyte
	CacheEntries int // plans kept; default 4,096
	CacheBytes   int // about what they may hold; default 32 MiB
	Facts        FactColumns

	// ParseLong parses texts over 8 KiB where a crash or a hang of the parser does no harm; nil: they are parsed here, behind
	// the bounds above alone.
	ParseLong func(sql string) (*pg.ParseResult, error)
}

// FactColumns name the columns that become facts. Empty ones return NULL.
type FactColumns struct {
	Ticket  TicketColumns
	Contact ContactColumns
}

// TicketColumns are the columns of the ticket table, by meaning.
type TicketColumns struct{ ID, Customer, Assignee, State string }

// ContactColumns are the columns of the contact table, by meaning.
type ContactColumns struct{ ID, Customer, Staff, Ticket, Direction, At string }

const (
	defaultLength       = 1 << 20
	defaultDepth        = 2000
	largeText           = 64 << 10
	longText            = 8 << 10 // below, no chain of operators is long enough to exhaust a stack
	mostDepth           = 4000    // with 8 MiB of C stack the parser dies between 16,000 and 30,000, with 2 MiB between 4,000 and 6,000 (measured)
	defaultTokens       = 250_000
	defaultCacheEntries = 4096
	defaultCacheBytes   = 32 << 20
)

// Analyzer turns texts into Plans against one Schema. It is safe for use by several goroutines.
type Analyzer struct {
	schema  *Schema
	options Options
	cache   *cache
	shapes  *templates
	large   sync.Mutex // held by the one large text that is analysed at a time
}

// New returns an Analyzer. When the catalogue changes, a new one takes its place: plans of another Schema are worthless.
func New(schema *Schema, options Options) *Analyzer {
	if options.MaxLength <= 0 {
		options.MaxLength = defaultLength
	}
	if options.MaxTokens <= 0 {
		options.MaxTokens = defaultTokens
	}
	if options.MaxDepth <= 0 {
		options.MaxDepth = defaultDepth
	}
	options.MaxDepth = min(options.MaxDepth, mostDepth)
	if options.CacheEntries <= 0 {
		options.CacheEntries = defaultCacheEntries
	}
	if options.CacheBytes <= 0 {
		options.CacheBytes = defaultCacheBytes
	}
	return &Analyzer{schema: schema, options: options, cache: newCache(options.CacheEntries, options.CacheBytes), shapes: newTemplates(options.CacheEntries)}
}

// Analyze returns the Plan of a text; standardStrings is the session's standard_conforming_strings. An error is always a
// *Refusal of the whole text: it cannot be parsed, or is too long or too deep to be parsed safely. A comment at the end that speaks to
// Sallyport is taken off first: texts that differ in it alone are parsed once.
func (a *Analyzer) Analyze(sql string, standardStrings bool) (*Plan, error) {
	if at := strings.IndexByte(sql, 0); at >= 0 { // the parser ends there, and the protocol's texts, too: they would be read in two ways
		return nil, &Refusal{Code: CodeSyntax, Sentence: "the text holds a zero byte", Position: at, Hint: "No text of PostgreSQL holds one."}
	}
	rest, t, refused := cutTail(sql)
	if refused != nil {
		return nil, refused
	}
	plan, err := a.read(rest, standardStrings)
	if err != nil {
		return nil, err
	}
	if plan, refused = t.on(plan); refused != nil {
		return nil, refused
	}
	return plan, nil
}

func (a *Analyzer) read(sql string, standardStrings bool) (*Plan, error) {
	if plan := a.cache.get(sql, standardStrings); plan != nil {
		return plan, nil
	}
	if plan := a.shapes.plan(sql); plan != nil {
		return plan, nil
	}
	sql = strings.Clone(sql) // the caller's buffer may be reused; the plan is kept
	plan, refusal := a.analyze(sql, standardStrings)
	if refusal != nil {
		return nil, refusal
	}
	if !a.shapes.keep(plan) && !slices.ContainsFunc(plan.Statements, func(st Statement) bool { return st.SetsActor }) { // an assertion is good once
		a.cache.put(sql, standardStrings, plan)
	}
	return plan, nil
}

func (a *Analyzer) analyze(sql string, standardStrings bool) (*Plan, *Refusal) {
	if len(sql) > largeText { // its tokens and its tree take hundreds of times its own room
		a.large.Lock()
		defer a.large.Unlock()
	}
	tokens, refusal := scan(sql, a.options)
	if refusal != nil {
		return nil, refusal
	}
	parse, apart := pg.Parse, len(sql) > longText && a.options.ParseLong != nil
	if apart {
		parse = a.options.ParseLong
	}
	tree, err := parse(sql)
	if apart && err != nil && !syntax(err) {
		return nil, &Refusal{Code: CodeTooComplex, Sentence: "the text is too complex to be parsed", Position: -1, Hint: "Send several shorter statements."}
	}
	if err != nil {
		return nil, unparsable(sql, err)
	}
	plan := &Plan{Text: sql, Statements: make([]Statement, 0, len(tree.Stmts))}
	for _, raw := range tree.Stmts {
		plan.Statements = append(plan.Statements, a.statement(sql, tokens, raw, standardStrings))
	}
	plan.attachComments(tokens)
	return plan, nil
}

// syntax tells whether the parser came to an end and says that a text is not SQL.
func syntax(err error) bool {
	var refused *parser.Error
	return errors.As(err, &refused)
}

// unparsable passes the parser's message on, which is PostgreSQL's own, unless it quotes what could be a value.
func unparsable(sql string, err error) *Refusal {
	refusal := &Refusal{
		Code: CodeSyntax, Sentence: "syntax error", Position: -1,
		Hint: "The statement is read by PostgreSQL 17's grammar; what cannot be read cannot be protected.",
	}
	var parse *parser.Error
	if !errors.As(err, &parse) {
		return refusal
	}
	if parse.Cursorpos > 0 {
		refusal.Position = byteOffset(sql, parse.Cursorpos-1)
	}
	if near, ok := strings.CutPrefix(parse.Message, `syntax error at or near "`); ok && harmlessWord(strings.TrimSuffix(near, `"`)) ||
		parse.Message == "syntax error at end of input" {
		refusal.Sentence, refusal.Hint = parse.Message, ""
	}
	return refusal
}

// harmlessWord tells whether what the parser quotes is a keyword or a sign; a name might be a value that somebody forgot to
// quote.
func harmlessWord(s string) bool {
	if len(s) == 1 {
		return strings.ContainsAny(s, "()[],;:.+-*/<>=")
	}
	result, err := pg.Scan(s)
	return err == nil && len(result.Tokens) == 1 && result.Tokens[0].KeywordKind != pg.KeywordKind_NO_KEYWORD
}

// byteOffset turns the parser's position, which counts characters, into bytes.
func byteOffset(s string, characters int) int {
	at := 0
	for ; characters > 0 && at < len(s); characters-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}
