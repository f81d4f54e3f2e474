package api

import (
	"bytes"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport"
	"sallyport/assure"
	"sallyport/cases"
)

// registered are the patterns that the package hands to its mux, read from its source.
func registered(t *testing.T) (list []string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	want(t, err, "")
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		want(t, err, "")
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Handle" {
				return true
			}
			switch x := call.Args[0].(type) {
			case *ast.BasicLit:
				pattern, err := strconv.Unquote(x.Value)
				want(t, err, "")
				if strings.Contains(pattern, " ") {
					list = append(list, pattern)
				}
			case *ast.BinaryExpr:
				list = append(list, "POST "+lockPath)
			}
			return true
		})
	}
	slices.Sort(list)
	return list
}

// TestOpenAPI holds the description to the routes that there are, every one, and answers to the schemas that it has of them.
func TestOpenAPI(t *testing.T) {
	var listed []string
	for _, o := range operations() {
		listed = append(listed, o.method+" "+o.path)
	}
	slices.Sort(listed)
	if diff := cmp.Diff(registered(t), listed); diff != "" {
		t.Fatalf("routes (-) and their description (+) differ:\n%s", diff)
	}
	var told []string
	r := start(t, func(c *Config) {
		book := assure.NewBook()
		c.Calls = &Calls{Book: book}
		c.Desk = theDesk(&told)
		b := cases.NewBook()
		want(t, c.Orders.Fold(b.Apply), "")
		c.Cases = &Cases{Book: b, Control: c.Orders.stream}
		c.Reports = &Reports{
			List: func() ([]Report, error) { return []Report{{ID: "1", Customer: "48211", State: ReportOpen}}, nil },
			Trace: func(context.Context, sallyport.Staff, time.Time, func(sallyport.Staff) string) (json.RawMessage, error) {
				return json.RawMessage(`{}`), nil
			},
		}
	})
	_, err := r.as("s001").RequestGrant(t.Context(), asking(5))
	want(t, err, "")
	_, err = r.as("s050").OpenCase(t.Context(), CaseRequest{Text: "t", Customers: []sallyport.Subject{"1"}})
	want(t, err, "")
	_, err = r.as("s050").Unlock(t.Context(), "s001", "r")
	want(t, err, "not_locked")
	want(t, r.as("s050").Lock(t.Context(), "s001", "r"), "")
	_, err = r.as("s050").Unlock(t.Context(), "s001", "r")
	want(t, err, "")

	d := described(t, r)
	valid := 0
	for _, o := range operations() {
		d.refuses(&o)
		if o.method != http.MethodGet || strings.Contains(o.path, "{") || o.stream != "" {
			continue
		}
		query := map[string]string{"/v1/record": "?stream=control", "/v1/who-saw": "?customer=1"}[o.path]
		status, body := d.ask(o.method, "/api"+o.path+query, true)
		if status == http.StatusOK {
			valid++
			d.fits(body, "#/paths/"+strings.ReplaceAll(o.path, "/", "~1")+"/get/responses/200/content/application~1json/schema")
		} else {
			d.fits(body, "#/components/schemas/Problem")
		}
	}
	if valid < 12 {
		t.Errorf("only %d answers were held to their schema", valid)
	}
	for path, schema := range map[string]string{"/v1/cases/1": "Case", "/v1/record/control/1": "RecordLine"} {
		status, body := d.ask(http.MethodGet, "/api"+path, true)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
		d.fits(body, "#/components/schemas/"+schema)
	}
}

// described is the description as it is served, and a way to the server.
type description struct {
	t        *testing.T
	http     *http.Client
	compiler *jsonschema.Compiler
}

func described(t *testing.T, r *running) *description {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	d := &description{t: t, http: &http.Client{Transport: transport}, compiler: jsonschema.NewCompiler()}
	status, body := d.ask(http.MethodGet, "/api/v1/openapi.json", false)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	want(t, err, "")
	of, ok := doc.(map[string]any)
	if !ok || of["openapi"] != "3.1.0" {
		t.Fatalf("no OpenAPI 3.1: %s", body[:200])
	}
	want(t, d.compiler.AddResource("mem:///openapi.json", doc), "")
	for name := range of["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := d.compiler.Compile("mem:///openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
	return d
}

func (d *description) ask(method, path string, loggedIn bool) (int, []byte) {
	d.t.Helper()
	q, err := http.NewRequestWithContext(d.t.Context(), method, "http://sallyport"+path, strings.NewReader("{}"))
	want(d.t, err, "")
	if loggedIn {
		q.SetBasicAuth("s060", password)
	}
	answer, err := d.http.Do(q)
	want(d.t, err, "")
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	want(d.t, err, "")
	if ok := answer.StatusCode == http.StatusOK; !ok && answer.Header.Get("Content-Type") != "application/problem+json" {
		d.t.Errorf("%s %s answers %d as %s", method, path, answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	return answer.StatusCode, body
}

// refuses sees that an endpoint is there, and for nobody who is not logged in.
func (d *description) refuses(o *operation) {
	d.t.Helper()
	path := strings.NewReplacer("{id}", "x", "{n}", "9", "{do}", "note", "{stream}", "access", "{seq}", "9", "{name}", "x").Replace("/api" + o.path)
	status, body := d.ask(o.method, path, false)
	if !o.before && status != http.StatusUnauthorized {
		d.t.Errorf("%s %s answers nobody with %d", o.method, o.path, status)
	}
	if bytes.Contains(body, []byte("no_such_endpoint")) {
		d.t.Errorf("%s %s is not there", o.method, o.path)
	}
	d.fits(body, "#/components/schemas/Problem")
}

// fits holds a body to a schema of the description.
func (d *description) fits(body []byte, at string) {
	d.t.Helper()
	schema, err := d.compiler.Compile("mem:///openapi.json" + at)
	if err != nil {
		d.t.Errorf("%s: %v", at, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		d.t.Errorf("%s: %v: %s", at, err, body)
		return
	}
	if err := schema.Validate(value); err != nil {
		d.t.Errorf("%s: %v\n%s", at, err, body)
	}
}

// TestDescriptionIsStable: the same program describes itself by the same bytes.
func TestDescriptionIsStable(t *testing.T) {
	a, err := openAPI()
	want(t, err, "")
	b, err := openAPI()
	want(t, err, "")
	if !bytes.Equal(a, b) || !json.Valid(a) {
		t.Error("two descriptions differ")
	}
}
