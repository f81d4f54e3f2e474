package serve

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sentenceAt says which argument of a function is what a client reads.
var sentenceAt = map[string]int{"refusal": 1, "fatal": 1, "denied": 1, "forbidden": 0, "unmasking": 0} //nolint:gochecknoglobals // constant

// unseen are sentences that no test reads word by word, with what leads to them.
var unseen = map[string]string{ //nolint:gochecknoglobals // constant
	"the controller does not answer, so nobody can be acted for":                       "a controller that falls silent between the log-in and the first statement of a transaction",
	"the assertion that this transaction began with has expired":                       "held by its code in gateway/acting_test.go and serve/applications_test.go, which move the clock or make many assertions",
	"this transaction is another person's already":                                     "held by its code in gateway/acting_test.go and serve/applications_test.go, which move the clock or make many assertions",
	"too many assertions in one transaction":                                           "held by its code in gateway/acting_test.go and serve/applications_test.go, which move the clock or make many assertions",
	"too many assertions are good at once":                                             "held by its code in gateway/acting_test.go and serve/applications_test.go, which move the clock or make many assertions",
	"the assertion cannot be checked now":                                              "keys of an issuer that is away",
	"what is protected cannot be looked up now":                                        "the database, or its catalogue, is away or changes within a statement",
	"the database changed under the statement":                                         "the database, or its catalogue, is away or changes within a statement",
	"the database changed while the statement waited":                                  "the database, or its catalogue, is away or changes within a statement",
	"a column's protection changed under the statement":                                "the database, or its catalogue, is away or changes within a statement",
	"a protected column was changed meanwhile":                                         "the database, or its catalogue, is away or changes within a statement",
	"the database changed under this prepared statement":                               "the database, or its catalogue, is away or changes within a statement",
	"log-ins cannot be checked for now":                                                "the database, or its catalogue, is away or changes within a statement",
	"the server sent something that Sallyport does not understand":                     "the database, or its catalogue, is away or changes within a statement",
	"several protected relations have this name":                                       "the database, or its catalogue, is away or changes within a statement",
	"Sallyport is shutting down":                                                       "serve ends",
	"a budget was used up by the statement before; it ran to its end":                  "held by its code (SP010) in tests of budgets and grants",
	"the grant … is over":                                                              "held by its code (SP010) in tests of budgets and grants",
	"this role's log-in cannot be passed on where client and server both have TLS":     "held by its code in serve/transport_test.go, auth_test.go and clients_test.go",
	"the client certificate is another role's":                                         "held by its code in serve/transport_test.go, auth_test.go and clients_test.go",
	"this database is not served here":                                                 "held by its code in serve/transport_test.go, auth_test.go and clients_test.go",
	"the token for … does not fit into the type of the parameter":                      "psql sends no such message; held by its code in tests of the protocol",
	"names of statements and portals have at most 63 bytes here":                       "psql sends no such message; held by its code in tests of the protocol",
	"EXECUTE with arguments is passed on in simple queries only":                       "psql sends no such message; held by its code in tests of the protocol",
	"unnamed prepared statement does not exist":                                        "psql sends no such message; held by its code in tests of the protocol",
	"portal \"…\" cannot be run":                                                       "psql sends no such message; held by its code in tests of the protocol",
	"what the row holds in … does not fit into the type of the parameter":              "psql sends no such message; held by its code in tests of the protocol",
	"the text holds a zero byte":                                                       "psql sends no such message; held by its code in tests of the protocol",
	"strings with a backslash cannot be read while standard_conforming_strings is off": "psql sends no such message; held by its code in tests of the protocol",
	"replication: ": "psql does not replicate; held by its code in serve/clients_replication_test.go and ruling_test.go",
	"SQL on a replication connection that writes or names protected columns": "psql does not replicate; held by its code in serve/clients_replication_test.go and ruling_test.go",
	"on a replication connection statements pass that only read":             "psql does not replicate; held by its code in serve/clients_replication_test.go and ruling_test.go",
	"an internal fault ended this session":                                   "a fault of the program's own",
	"the statement cannot be analysed":                                       "a fault of the program's own",
	"the statement takes too much work to be analysed":                       "held by its code in query's corpora",
	"which columns this COPY sends cannot be told, and some are masked":      "held by its code in query's corpora",
	"what this write sets off cannot be traced: ":                            "held by its code in query's corpora",
}

// clientText is a sentence of the code: its literal parts, in order.
type clientText struct {
	at    string
	parts []string
}

// sentences are what gateway and query say to clients who are refused.
func sentences(t *testing.T) (all []clientText, codes map[string]bool) {
	t.Helper()
	codes = map[string]bool{}
	for _, folder := range []string{"../gateway", "../query"} {
		names, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			files := token.NewFileSet()
			tree, err := parser.ParseFile(files, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			note := func(n ast.Expr) {
				if parts := literals(n); strings.TrimSpace(strings.Join(parts, "")) != "" {
					all = append(all, clientText{at: strings.TrimPrefix(files.Position(n.Pos()).String(), "../"), parts: parts})
				}
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && regexp.MustCompile(`^SP\d{3}$`).MatchString(text) {
						codes[text] = true
					}
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.Ident); ok {
						if i, ok := sentenceAt[f.Name]; ok && i < len(n.Args) {
							note(n.Args[i])
						}
					}
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Sentence" {
						note(n.Value)
					}
				}
				return true
			})
		}
	}
	return all, codes
}

// literals are the literal parts of an expression that makes a text.
func literals(n ast.Expr) []string {
	switch n := n.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			return regexp.MustCompile(`%[a-z]`).Split(text, -1)
		}
	case *ast.BinaryExpr:
		return append(literals(n.X), literals(n.Y)...)
	case *ast.ParenExpr:
		return literals(n.X)
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return literals(n.Args[0])
		}
	}
	return nil
}

// TestEveryRefusalIsShown finds every sentence of the code that a client reads among what psql showed, or in another test, or on the short list of those that
// nobody can be made to read.
func TestEveryRefusalIsShown(t *testing.T) {
	shown := allOf(t, "testdata/refusals/*.txt")
	others := allOf(t, "../*/*_test.go", "../*/testdata/*.txt", "*_test.go", "testdata/*/*.txt")
	all, _ := sentences(t)
	if len(all) < 100 || strings.Count(shown, "HINT:") < 100 {
		t.Fatalf("only %d sentences were found in the code, and %d in psql", len(all), strings.Count(shown, "HINT:"))
	}
	used := map[string]bool{}
	inPsql := 0
	for _, s := range all {
		quoted := make([]string, len(s.parts))
		for i, part := range s.parts {
			quoted[i] = regexp.QuoteMeta(part)
		}
		if regexp.MustCompile(strings.Join(quoted, ".*")).MatchString(shown) {
			inPsql++
			continue
		}
		sentence := strings.Join(s.parts, "…")
		if _, ok := unseen[sentence]; ok {
			used[sentence] = true
			continue
		}
		if !readBy(others, s.parts) {
			t.Errorf("%s: no test reads %q: add a statement to testdata/refusals", s.at, sentence)
		}
	}
	for sentence, why := range unseen {
		if !used[sentence] {
			t.Errorf("%q is shown, or is not in the code any more: take it off the list (%s)", sentence, why)
		}
	}
	t.Logf("%d sentences, %d of them in psql, %d that no test reads", len(all), inPsql, len(unseen))
}

// readBy tells whether four words of a sentence in a row, or all of it, stand in a text.
func readBy(text string, parts []string) bool {
	for _, part := range parts {
		words := strings.Fields(part)
		for i := 0; i+min(4, len(words)) <= len(words) && len(words) > 2; i++ {
			if strings.Contains(text, strings.Join(words[i:i+min(4, len(words))], " ")) {
				return true
			}
		}
	}
	return false
}

// allOf is the text of all files that patterns name, but for this one.
func allOf(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "refusalsall_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}

// TestEveryCodeIsDocumented holds the table of codes in docs/statements.md to the code, both ways.
func TestEveryCodeIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/statements.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Codes\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^\| .*?\|`).FindAllString(table, -1) {
		documented = append(documented, regexp.MustCompile(`SP\d{3}`).FindAllString(m, -1)...)
	}
	_, codes := sentences(t)
	for code := range codes {
		if !slices.Contains(documented, code) {
			t.Errorf("docs/statements.md does not say what %s means", code)
		}
	}
	for _, code := range documented {
		if !codes[code] {
			t.Errorf("docs/statements.md has %s, which the code has not", code)
		}
	}
	if len(documented) < 14 {
		t.Errorf("only %d codes are documented", len(documented))
	}
}
