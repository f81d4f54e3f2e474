package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport"
	"sallyport/internal/upstream"
)

// TestConfigSchema: the schema is made of the struct Config and its comments, every key has one, and the file is what is made.
// UPDATE=1 writes it.
func TestConfigSchema(t *testing.T) {
	made, err := json.MarshalIndent(newSchemaMaker(t).root(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("sallyport.schema.json", made, 0o644); err != nil { //nolint:gosec // everybody may read it
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(made, Schema) {
		t.Error("sallyport.schema.json is not what the struct Config says: run UPDATE=1 go test ./config -run ConfigSchema, and read the diff")
	}
}

// TestConfigSchemaFits holds the schema to the configurations that there are, and to what the reader says about each with one mistake
// in it: an unknown key anywhere, a value of another kind, a missing key.
func TestConfigSchemaFits(t *testing.T) {
	t.Parallel() // it waits more than it works
	schema := compiledSchema(t)
	text, err := os.ReadFile("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(asJSON(t, text)); err != nil {
		t.Errorf("the example: %v", err)
	}
	mistakes := 0
	for _, where := range placesIn("", decoded(t, text)) {
		for _, mistake := range []string{"unknown", "kind", "missing"} {
			wrong := decoded(t, text)
			if !spoil(wrong, where, mistake) {
				continue
			}
			mistakes++
			spoilt, err := yaml.Marshal(wrong)
			if err != nil {
				t.Fatal(err)
			}
			_, refused := Parse("sallyport.yaml", spoilt)
			invalid := schema.Validate(asJSON(t, spoilt))
			// The schema may let pass what hangs on other keys; it must not refuse what the reader takes, and must see every mistake of shape.
			if invalid != nil && refused == nil || mistake != "missing" && invalid == nil {
				t.Errorf("%s at %s: the reader says %v, the schema %v", mistake, where, refused, invalid)
			}
		}
	}
	if mistakes < 200 {
		t.Errorf("only %d mistakes were tried", mistakes)
	}
}

// TestConfigNearestKey: every key that there is, with a slip in it, is named by the error.
func TestConfigNearestKey(t *testing.T) {
	slips := 0
	for path, fields := range mappingsOf("", reflect.TypeFor[Config]()) {
		known := slices.Sorted(maps.Keys(fields))
		for _, key := range known {
			for i := range key {
				slip := key[:i] + key[i+1:]
				if len(key) < 4 || fields[slip] != nil {
					continue
				}
				slips++
				text := ""
				for depth, part := range strings.FieldsFunc(path, func(c rune) bool { return c == '.' }) {
					text += strings.Repeat("  ", depth) + part + ":\n"
				}
				text = "version: 1\n" + text + strings.Repeat("  ", strings.Count(path, ".")+min(len(path), 1)) + slip + ": x\n"
				if strings.Contains(path, "[]") {
					continue // lists are written otherwise; their keys are looked up the same way
				}
				_, err := Parse("sallyport.yaml", []byte(text))
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("unknown key %q; expected %q", slip, key)) && !nearAsWell(slip, key, known) {
					t.Errorf("%s.%s: %v", path, slip, err)
				}
			}
		}
	}
	if slips < 100 {
		t.Errorf("only %d slips were tried", slips)
	}
}

// nearAsWell tells whether another key is as near to a slip as the one that was meant.
func nearAsWell(slip, key string, known []string) bool {
	return slices.ContainsFunc(known, func(other string) bool { return other != key && distance(slip, other) <= 1 })
}

// mappingsOf are the structs of a type by the path that leads there, with their keys.
func mappingsOf(path string, t reflect.Type) map[string]map[string]reflect.Type {
	out := map[string]map[string]reflect.Type{}
	switch t.Kind() {
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return out
		}
		out[path] = fieldsOf(t)
		for key, field := range out[path] {
			maps.Copy(out, mappingsOf(strings.TrimPrefix(path+"."+key, "."), field))
		}
	case reflect.Map:
		return mappingsOf(path+".any", t.Elem())
	case reflect.Slice:
		return mappingsOf(path+".[]", t.Elem())
	default:
	}
	return out
}

// spoil makes one mistake at a place. It tells whether there is one to make.
func spoil(v any, where, mistake string) bool {
	parts := strings.Split(where, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch at := v.(type) {
		case map[string]any:
			if !last {
				v = at[part]
				continue
			}
			inner, isMap := at[part].(map[string]any)
			switch {
			case mistake == "missing":
				delete(at, part)
			case mistake == "kind" && !isMap:
				at[part] = map[string]any{"x": 1}
			case mistake == "kind":
				at[part] = "x"
			case isMap && !isFree(where):
				inner["nonesuch"] = "x"
			default:
				return false
			}
			return true
		case []any:
			n, err := strconv.Atoi(part)
			if err != nil {
				return false
			}
			if last {
				if mistake != "kind" {
					return false
				}
				at[n] = []any{[]any{}}
				return true
			}
			v = at[n]
		}
	}
	return false
}

// isFree tells whether a mapping's keys are names that people choose.
func isFree(where string) bool {
	return slices.Contains([]string{"protect/columns", "protect/paths", "mask/columns", "services", "people", "budgets/teams", "powers", "copy"}, where) || strings.HasSuffix(where, "/prefixes") || strings.HasSuffix(where, "/next_prefixes")
}

// placesIn are the paths of everything in a document.
func placesIn(path string, v any) (places []string) {
	add := func(key string, inner any) {
		at := strings.TrimPrefix(path+"/"+key, "/")
		places = append(append(places, at), placesIn(at, inner)...)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			add(key, v[key])
		}
	case []any:
		for i := range v {
			add(strconv.Itoa(i), v[i])
		}
	}
	return places
}

func decoded(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// asJSON is a YAML document as the schema's library takes it.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	b, err := json.Marshal(decoded(t, text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("sallyport.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("sallyport.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// schemaMaker makes the schema of Go types and the comments of their fields.
type schemaMaker struct {
	t        *testing.T
	packages map[string]map[string]*ast.File // by import path
}

func newSchemaMaker(t *testing.T) *schemaMaker {
	return &schemaMaker{t: t, packages: map[string]map[string]*ast.File{}}
}

// known are the words that a key takes where its type does not tell, and the keys that must be there.
func (m *schemaMaker) known(key string) []string {
	switch key {
	case "config.Person.role":
		return Roles()
	case "config.UpstreamTLS.mode":
		var modes []string
		for _, mode := range upstream.Modes() {
			modes = append(modes, string(mode))
		}
		return append(modes, "")
	}
	return nil
}

func (m *schemaMaker) required(name string) []string {
	return map[string][]string{
		"config.Config": {"version"}, "catalog.ColumnConfig": {"class", "scheme"}, "config.Service": {"logins"},
		"policy.Grant": {"id", "for", "columns", "customers", "until", "approved_by"},
	}[name]
}

func (m *schemaMaker) root() map[string]any {
	s := m.of(reflect.TypeFor[Config]())
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "sallyport.yaml"
	s["description"] = "The configuration of Sallyport. Paths are relative to the folder of the file."
	properties := s["properties"].(map[string]any)
	properties["version"].(map[string]any)["const"] = 1
	var powers []any
	for _, p := range sallyport.Powers() {
		if p != sallyport.PowerFile { // nobody may have it
			powers = append(powers, string(p))
		}
	}
	properties["powers"].(map[string]any)["propertyNames"] = map[string]any{"enum": powers}
	return s
}

// of is the schema of a type. Everything may be null, as if its key were absent.
func (m *schemaMaker) of(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": []string{"string", "null"}, "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.+)?$`}
	case t.Kind() == reflect.Struct:
		return m.object(t)
	case t.Kind() == reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": m.of(t.Elem())}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": m.of(t.Elem())}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": []string{"boolean", "null"}}
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64, t.Kind() == reflect.Int32:
		return map[string]any{"type": []string{"integer", "null"}}
	case t.Kind() == reflect.String:
		s := map[string]any{"type": []string{"string", "null"}}
		if words := m.constants(t); len(words) > 0 {
			s["enum"] = append(anyOf(words), nil)
		}
		return s
	}
	m.t.Fatalf("no schema for %s", t)
	return nil
}

func (m *schemaMaker) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for f := range t.Fields() {
		key, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || key == "-":
			continue
		case rest == "inline":
			maps.Copy(properties, m.object(f.Type)["properties"].(map[string]any))
			continue
		}
		s := m.of(f.Type)
		if words := m.known(t.String() + "." + key); words != nil {
			s["enum"] = append(anyOf(words), nil)
		}
		s["description"] = m.comment(t, f)
		if s["description"] == "" {
			m.t.Errorf("%s.%s has no comment: it is the documentation of the key %s", t.Name(), f.Name, key)
		}
		properties[key] = s
	}
	s := map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
	if required := m.required(t.String()); required != nil {
		s["required"] = required
	}
	if t == reflect.TypeFor[Person]() { // who only gives orders needs no log-in
		s["anyOf"] = []any{map[string]any{"required": []string{"logins"}}, map[string]any{"required": []string{"password"}}}
	}
	return s
}

func anyOf(words []string) (list []any) {
	for _, w := range words {
		list = append(list, w)
	}
	return list
}

// comment is what stands above a field or behind it, in one line.
func (m *schemaMaker) comment(t reflect.Type, f reflect.StructField) (text string) {
	for _, file := range m.files(t.PkgPath()) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != t.Name() {
				return true
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				return false
			}
			for _, field := range fields.Fields.List {
				if slices.ContainsFunc(field.Names, func(name *ast.Ident) bool { return name.Name == f.Name }) {
					text = field.Doc.Text() + " " + field.Comment.Text()
				}
			}
			return false
		})
	}
	return strings.Join(strings.Fields(text), " ")
}

// constants are the words of a type of ours that is a text.
func (m *schemaMaker) constants(t reflect.Type) (words []string) {
	if !strings.HasPrefix(t.PkgPath(), "sallyport") {
		return nil
	}
	for _, file := range m.files(t.PkgPath()) {
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				if kind, ok := value.Type.(*ast.Ident); !ok || kind.Name != t.Name() || len(value.Values) != 1 {
					continue
				}
				if literal, ok := value.Values[0].(*ast.BasicLit); ok {
					word, err := strconv.Unquote(literal.Value)
					if err != nil {
						m.t.Fatal(err)
					}
					words = append(words, word)
				}
			}
		}
	}
	return words
}

// files are the parsed files of a package of ours.
func (m *schemaMaker) files(path string) map[string]*ast.File {
	if files, ok := m.packages[path]; ok {
		return files
	}
	folder := filepath.Join("..", strings.TrimPrefix(path, "sallyport"))
	if path == "main" || strings.HasSuffix(path, "serve") {
		folder = "."
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(names) == 0 {
		m.t.Fatalf("no files of %s in %s", path, folder)
	}
	m.packages[path] = map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			m.t.Fatal(err)
		}
		m.packages[path][name] = file
	}
	return m.packages[path]
}
