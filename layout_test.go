package sallyport_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A folder is one row of the table of packages: what it may import of ours, and whether it is pure.
type folder struct {
	pure bool     // no I/O, no clock, no randomness: they are arguments
	may  []string // our packages that its code may import, besides the root and, unless it is pure, internal/…
	test []string // what its tests may import besides that
}

// table is that of docs/architecture.md, which TestLayoutPage compares with it. A new folder or a new arrow is an edit here, with the reason in the commit.
// A package that stands here and has no folder yet is fine.
var table = map[string]folder{
	".":                    {pure: true},
	"wire/pg":              {pure: true},
	"query":                {pure: true},
	"policy":               {pure: true},
	"token":                {pure: true},
	"exposure":             {pure: true},
	"control":              {pure: true, may: []string{"grant", "staff"}}, // who left is locked by the very entry that says so, and a place with power is a proposal; whether those who approved are enough is part of the fold
	"staff":                {pure: true},
	"scim":                 {may: []string{"staff"}},
	"grant":                {pure: true}, // who must agree to a grant: rules, report lines
	"sim":                  {pure: true},
	"trace":                {pure: true},
	"identity":             {pure: true},
	"drill":                {pure: true}, // how thefts go that are played, and what came of them
	"canary":               {pure: true}, // customers who do not exist: which they are, what each viewer is shown of them
	"identity/assertion":   {},           // reads keys from files and URLs, which identity refuses to
	"catalog":              {may: []string{"query"}},
	"catalog/discover":     {may: []string{"token"}, test: []string{"sim"}}, // reads rows, which catalog refuses to; tries the values with the real schemes
	"purpose":              {may: []string{"catalog"}},
	"purpose/source":       {may: []string{"purpose"}, test: []string{"catalog"}}, // asks other systems, which purpose itself refuses to
	"keys":                 {may: []string{"token"}},
	"record":               {},
	"record/room":          {may: []string{"api", "config", "record"}}, // puts on record what it finds, by the api's orders
	"ledger":               {test: []string{"record"}},                 // somebody who trusts nothing else of ours verifies with it, so it reads the record's files itself
	"scan":                 {pure: true, may: []string{"token"}},       // tokens and plain values in streams, for the command of that name
	"vault":                {may: []string{"token"}},                   // the table of values that no token stands for: the gateway reads and writes it, protect makes it
	"protect":              {may: []string{"token", "vault"}, test: []string{"sim"}},
	"gateway":              {may: []string{"wire/pg", "query", "catalog", "purpose", "policy", "token", "exposure", "control", "record", "identity", "vault", "canary"}, test: []string{"identity/assertion", "protect", "sim"}}, // the corpus of tricks stands in front of a protected database
	"login":                {},                                                                                                                                                                                                   // asks the identity provider who somebody is: network, so not in identity, which is pure
	"entrance":             {may: []string{"config", "gateway", "identity", "purpose"}},                                                                                                                                          // asks the server about roles, which the gateway, who asks it, does not
	"lease":                {may: []string{"exposure", "record"}},                                                                                                                                                                // the connection of gateways to their controller: network, so not in exposure; what it carries stands in records
	"sources":              {may: []string{"query"}},                                                                                                                                                                             // files of other systems; shapes of statements in their logs are the gateway's own
	"intake":               {may: []string{"api", "record", "sources"}},                                                                                                                                                          // other systems' accesses into the record, each once: which stand there is kept beside it
	"history":              {},                                                                                                                                                                                                   // the past: from the store and, for what that has not taken in, from the record
	"history/duck":         {may: []string{"history"}, test: []string{"history/historytest", "record"}},                                                                                                                          // its store in DuckDB: apart, so that only the program links that
	"history/apart":        {may: []string{"history"}, test: []string{"history/duck", "history/historytest", "record"}},                                                                                                          // any store in a process of its own
	"history/historytest":  {may: []string{"history"}},                                                                                                                                                                           // the contract of a store
	"api":                  {may: []string{"assure", "cases", "control", "drill", "grant", "history", "record", "login", "staff", "program", "program/rotation", "program/training"}},                                            // log-ins by the provider are begun and ended there
	"assure":               {pure: true},                                                                                                                                                                                         // calls to customers and their codes: a fold of the control stream
	"console":              {may: []string{"api", "assure", "detect", "drill", "program", "program/board", "program/training"}, test: []string{"cases", "control", "history", "login", "program/rotation", "record"}},            // pages ask the api in the name of who is logged in; a finding is told by detect's own sentences
	"detect":               {pure: true, test: []string{"sim", "sources"}},                                                                                                                                                       // events → findings; tested on organisations that sim makes up
	"docs":                 {},                                                                                                                                                                                                   // pages that go with evidence to somebody outside
	"cases":                {pure: true},                                                                                                                                                                                         // the life of a case: a fold of the control stream
	"blast":                {pure: true},                                                                                                                                                                                         // what one person's access came to, and what it did not: a fold of the record
	"respond":              {may: []string{"detect"}},                                                                                                                                                                            // findings → steps, and the protocols of those who are told
	"internal/apart":       {},                                                                                                                                                                                                   // a fork and a pipe, behind the pure analysis
	"replay":               {pure: true, may: []string{"policy", "exposure", "control", "program/training"}},                                                                                                                     // the record under other policies, with the gateway's own code
	"rulebook":             {may: []string{"config", "control", "exposure", "history", "policy", "record", "replay"}},                                                                                                            // reads the files that policy refuses to, and feeds replay
	"internal/disk":        {},                                                                                                                                                                                                   // one folder of files for internal/durable, and a simulated one for tests of the log and of the record
	"export":               {may: []string{"sources"}, test: []string{"record"}},                                                                                                                                                 // an entry is written as the accesses that it comes to
	"internal/durable":     {},
	"internal/fakezendesk": {}, // a fake of Zendesk, for tests
	"internal/fakeidp":     {}, // a fake identity provider, for tests of log-ins
	"internal/fakesiem":    {}, // fakes of syslog servers and of Splunk, for tests of exports
	"internal/throwaway":   {},
	"internal/tidy":        {}, // for tests
	"internal/socket":      {},
	"internal/upstream":    {}, // the way to the server, for the gateway, the reader and whoever looks for the mark
	"internal/refdb":       {may: []string{"sim"}},
	"examples":             {},                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           // the written policy that the program's own policies enforce, for the pages
	"examples/go":          {},                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           // read by who writes an application, and run by the tests
	"config":               {may: []string{"api", "canary", "catalog", "console", "control", "detect", "drill", "examples", "export", "exposure", "grant", "history", "identity/assertion", "keys", "lease", "ledger", "login", "policy", "program", "protect", "purpose", "purpose/source", "query", "record", "respond", "scim", "staff", "token"}},                                                                                                                                                                                                                                                                                                    // sallyport.yaml, held to sense by the packages that it is about
	"serve":                {may: []string{"api", "assure", "blast", "canary", "cases", "catalog", "config", "console", "control", "detect", "docs", "drill", "entrance", "evidence", "export", "exposure", "gateway", "grant", "history", "history/apart", "history/duck", "identity/assertion", "intake", "keys", "lease", "ledger", "login", "policy", "program", "program/reports", "program/training", "protect", "purpose", "purpose/source", "query", "record", "record/room", "replay", "respond", "rulebook", "scim", "sources", "staff", "token", "trace", "vault"}, test: []string{"cli", "examples/go", "identity", "program/board", "sim"}}, // the running program: it ties the others together
	"cli":                  {may: []string{"api", "assure", "cases", "catalog", "catalog/discover", "config", "control", "detect", "drill", "evidence", "export", "exposure", "grant", "history/duck", "identity", "keys", "ledger", "login", "policy", "program", "program/board", "program/reports", "program/rotation", "program/training", "protect", "record", "record/room", "replay", "respond", "rulebook", "scan", "scim", "serve", "sim", "sources", "staff", "token", "trace", "wire/pg"}},                                                                                                                                                    // the commands, and what they print
	"cmd/sallyport":        {may: []string{"cli"}},
	"evidence":             {may: []string{"ledger"}},                                                                                                                                           // that evidence as one archive, and what verifies it
	"program":              {pure: true, test: []string{"policy"}},                                                                                                                              // what a programme does beside the software, as folds of the record and of a few files
	"program/training":     {pure: true},                                                                                                                                                        // who has learnt what, and what lessons change: apart, since policies and replays ask it
	"program/board":        {pure: true, may: []string{"cases", "drill", "program", "program/training"}},                                                                                        // the board's page: figures of all of these
	"program/rotation":     {pure: true},                                                                                                                                                        // who serves whom: a draw that everybody can repeat; apart, since it is a concept and a mathematics of its own
	"program/reports":      {may: []string{"api", "config", "control", "detect", "history", "policy", "program", "program/board", "program/training", "record", "replay", "rulebook", "staff"}}, // reads the record for what program, which is pure, folds
}

// impure are the imports that no pure package may have: a path stands for all below it.
var impure = []string{
	"os", "net", "syscall", "plugin", "io/fs", "io/ioutil", "path/filepath", "log", "database/sql", "crypto/rand", "testing",
	"golang.org/x/sys", "golang.org/x/term",
}

// harmless are imports below an impure path that only compute.
var harmless = []string{"net/netip", "net/url"}

// pureModules are the third-party packages that pure packages may import: they compute, and read neither files nor clocks.
var pureModules = []string{
	"github.com/cedar-policy/cedar-go",
	"github.com/cloudflare/circl/sign/bls", // a beacon's signature
	"github.com/goccy/go-yaml",
	"github.com/jackc/pgx/v5/pgproto3",
	"github.com/nyaruka/phonenumbers",
	"github.com/pganalyze/pg_query_go/v6",
	"github.com/transparency-dev/formats/note", // signatures of checkpoints
	"golang.org/x/crypto",
	"golang.org/x/mod/sumdb/note",
	"golang.org/x/text",
	"google.golang.org/protobuf",
}

// forbidden are the names of otherwise harmless packages that read a clock, a file or the process's randomness.
var forbidden = map[string][]string{
	"time": {"Now", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Since", "Until", "Local", "LoadLocation"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

// seeded are the names of math/rand and math/rand/v2 that take their randomness as an argument; every other one is global.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewSource", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

// TestLayout holds every import of the project to the table.
func TestLayout(t *testing.T) {
	for _, file := range goFiles(t, ".") {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range checkFile(filepath.ToSlash(file), source) {
			t.Error(problem)
		}
	}
}

// TestLayoutTable holds the table itself to sense: arrows lead to packages of the table, and there is no way round in a circle.
func TestLayoutTable(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		for _, to := range slices.Concat(table[name].may, table[name].test) {
			if _, ok := table[to]; !ok {
				t.Errorf("%s may import %s, which the table does not know", name, to)
			}
			if table[name].pure && !table[to].pure && slices.Contains(table[name].may, to) {
				t.Errorf("%s is pure and may import %s, which is not", name, to)
			}
		}
		if reaches(name, name, map[string]bool{}) {
			t.Errorf("%s may import itself in a circle", name)
		}
	}
}

// TestLayoutPage holds the table of docs/architecture.md to this one: the same packages once each, pure where they are, with the same arrows.
func TestLayoutPage(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z/]+)`( \\(root\\))?( ●)? \\| .* \\| (.*) \\|$")
	said := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		name, pure, may := m[1], m[3] != "", strings.Split(m[4], ", ")
		if m[2] != "" {
			continue // the root, which may import none
		}
		of, ok := table[name]
		switch {
		case !ok:
			t.Errorf("docs/architecture.md has %s, which this table does not know", name)
		case said[name]:
			t.Errorf("docs/architecture.md has %s twice", name)
		case pure != of.pure:
			t.Errorf("docs/architecture.md says of %s pure: %v", name, pure)
		case m[4] == "all":
		case m[4] == "–" && len(of.may) > 0, m[4] != "–" && !slices.Equal(slices.Sorted(slices.Values(may)), slices.Sorted(slices.Values(of.may))):
			t.Errorf("docs/architecture.md says that %s may import %s; here it is %s", name, m[4], strings.Join(of.may, ", "))
		}
		said[name] = true
	}
	for name := range table {
		if !said[name] && name != "." {
			t.Errorf("docs/architecture.md does not have %s", name)
		}
	}
}

// TestLayoutRules shows each rule failing once: a check that cannot fail is none.
func TestLayoutRules(t *testing.T) {
	for _, c := range []struct{ file, source, want string }{
		{"token/a.go", "package token\nimport \"os\"", "imports os"},
		{"token/a.go", "package token\nimport \"net/http\"", "imports net/http"},
		{"token/a.go", "package token\nimport \"crypto/rand\"", "imports crypto/rand"},
		{"token/a.go", "package token\nimport \"log/slog\"", "imports log/slog"},
		{"token/a.go", "package token\nimport \"github.com/jackc/pgx/v5\"", "imports github.com/jackc/pgx/v5"},
		{"trace/a.go", "package trace\nimport \"github.com/RoaringBitmap/roaring/v2\"", "imports github.com/RoaringBitmap/roaring/v2"},
		{"token/a.go", "package token\nimport . \"time\"", "dot import"},
		{"token/a.go", "package token\nimport \"time\"\nvar _ = time.Now", "uses time.Now"},
		{"token/a.go", "package token\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }", "uses time.Sleep"},
		{"sim/a.go", "package sim\nimport \"math/rand/v2\"\nvar _ = rand.IntN(3)", "uses math/rand/v2.IntN"},
		{"sim/a.go", "package sim\nimport \"math/rand/v2\"\nvar _ = rand.New(rand.NewPCG(1, 2))", ""},
		{"token/a.go", "package token\nimport \"net/netip\"\nvar _ netip.Addr", ""},
		{"token/a_test.go", "package token\nimport (\"os\"; \"testing\")", ""},
		{"token/a.go", "package token\nimport \"sallyport/record\"", "imports sallyport/record"},
		{"token/a.go", "package token\nimport \"sallyport/internal/durable\"", "imports sallyport/internal/durable"},
		{"record/a.go", "package record\nimport (\"sallyport/internal/durable\"; \"sallyport\")", ""},
		{"record/a_test.go", "package record\nimport \"sallyport/gateway\"", "imports sallyport/gateway"},
		{"misc/a.go", "package misc", "edit the table"},
	} {
		got := strings.Join(checkFile(c.file, []byte(c.source)), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %q: got %q, want a sentence with %q", c.file, c.source, got, c.want)
		}
	}
}

// goFiles lists the Go files of this module below root, the way the go command sees them.
func goFiles(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != root {
			base := entry.Name()
			_, nested := os.Stat(filepath.Join(name, "go.mod"))
			if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || nested == nil {
				return filepath.SkipDir
			}
		}
		if !entry.IsDir() && strings.HasSuffix(name, ".go") {
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkFile returns what is wrong with one file, as sentences with a position.
func checkFile(name string, source []byte) []string {
	dir := path.Dir(name)
	row, ok := table[dir]
	if !ok {
		return []string{fmt.Sprintf("%s: the folder %s is not in the table of packages: edit the table in layout_test.go and say why in the commit", name, dir)}
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	c := &checker{set: set, dir: dir, row: row, test: strings.HasSuffix(name, "_test.go")}
	c.imports(file)
	if row.pure && !c.test {
		c.selectors(file)
	}
	return c.problems
}

// checker gathers the problems of one file.
type checker struct {
	set      *token.FileSet
	dir      string
	row      folder
	test     bool
	problems []string
}

func (c *checker) report(at token.Pos, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("%s: %s", c.set.Position(at), fmt.Sprintf(format, args...)))
}

// imports checks the arrows between our packages and, for pure code, what it imports of others.
func (c *checker) imports(file *ast.File) {
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			c.report(spec.Pos(), "an import path that cannot be read")
			continue
		}
		switch ours, isOurs := ourPackage(target); {
		case isOurs && !c.mayImport(ours):
			c.report(spec.Pos(), "%s imports %s, and the table of packages in layout_test.go has no such arrow", c.dir, target)
		case !isOurs && c.row.pure && !c.test && !isPure(target):
			c.report(spec.Pos(), "%s is pure and imports %s: make what it needs an argument", c.dir, target)
		case c.row.pure && !c.test && spec.Name != nil && spec.Name.Name == ".":
			c.report(spec.Pos(), "%s is pure: a dot import of %s hides what it uses", c.dir, target)
		}
	}
}

// ourPackage returns the folder of one of our packages.
func ourPackage(target string) (string, bool) {
	if target == "sallyport" {
		return ".", true
	}
	return strings.CutPrefix(target, "sallyport/")
}

func (c *checker) mayImport(ours string) bool {
	switch {
	case ours == "." || ours == c.dir: // an external test imports its own package
		return true
	case strings.HasPrefix(ours, "internal/") && (!c.row.pure || c.test):
		return true
	case c.test && slices.Contains(c.row.test, ours):
		return true
	}
	return slices.Contains(c.row.may, ours)
}

func isPure(target string) bool {
	if slices.ContainsFunc(harmless, within(target)) {
		return true
	}
	if slices.ContainsFunc(impure, within(target)) {
		return false
	}
	first, _, _ := strings.Cut(target, "/")
	return !strings.Contains(first, ".") || slices.ContainsFunc(pureModules, within(target))
}

// within tells whether target is a path or lies below it.
func within(target string) func(string) bool {
	return func(parent string) bool { return target == parent || strings.HasPrefix(target, parent+"/") }
}

// selectors finds uses of clocks, global randomness and standard streams.
func (c *checker) selectors(file *ast.File) {
	names := map[string]string{} // how this file calls a package → its path
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(target)
		if target == "math/rand/v2" {
			name = "rand"
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = target
	}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		ident, ok := selector.X.(*ast.Ident)
		if !ok {
			return true
		}
		target, name := names[ident.Name], selector.Sel.Name
		random := target == "math/rand" || target == "math/rand/v2"
		if slices.Contains(forbidden[target], name) || random && !slices.Contains(seeded, name) {
			c.report(selector.Pos(), "%s is pure and uses %s.%s: make it an argument", c.dir, target, name)
		}
		return true
	})
}

// reaches tells whether the arrows of the table lead from one package to another.
func reaches(from, to string, seen map[string]bool) bool {
	for _, next := range table[from].may {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(next, to, seen) {
				return true
			}
		}
	}
	return false
}
