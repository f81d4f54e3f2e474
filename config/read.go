package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// position is a place in a configuration file, counted from 1. The zero position is the file as a whole.
type position struct{ Line, Column int }

// problem is one thing that is wrong with a configuration, and where.
type problem struct {
	At   position
	Text string
}

// Error lists everything that is wrong with a configuration file, one FILE:LINE:COLUMN line each.
type Error struct {
	File     string
	Problems []problem
}

// Error is one line for each problem, in the order of the file.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.File, max(p.At.Line, 1), max(p.At.Column, 1), p.Text)
	}
	return strings.Join(lines, "\n")
}

// Document holds the nodes of a YAML file to the shape of a Go struct. It finds every mistake in one pass, where a
// decoder would stop at the first, and it remembers where each key and value stands, for what is checked later.
type Document struct {
	Keys     map[string]position // path of a key, such as people.s001.role → where the key stands
	values   map[string]position // → where its value stands, if it is a scalar
	Problems []problem
}

// ReadYAML decodes text into *into and returns the reader for positions; problems stand in the reader.
func ReadYAML(text []byte, into any) *Document {
	r := &Document{Keys: map[string]position{}, values: map[string]position{}}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		r.yamlError(err)
		return r
	}
	var body ast.Node
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		if body != nil {
			r.problem(where(document.Body), "a second document; expected one")
			return r
		}
		body = document.Body
	}
	if body == nil {
		r.problem(position{}, "nothing stands in this file; expected a configuration such as examples/sallyport.yaml")
		return r
	}
	r.node("", reflect.TypeOf(into).Elem(), body)
	if len(r.Problems) == 0 {
		if err := yaml.NodeToValue(body, into, yaml.Strict()); err != nil {
			r.yamlError(err)
		}
	}
	return r
}

func (r *Document) problem(at position, format string, args ...any) {
	r.Problems = append(r.Problems, problem{at, fmt.Sprintf(format, args...)})
}

// problemAt reports at a path's value, or its key, or the nearest thing around it that the file holds.
func (r *Document) problemAt(path, format string, args ...any) {
	r.problem(r.find(path), format, args...)
}

func (r *Document) find(path string) position {
	for path != "" {
		if at, ok := r.values[path]; ok {
			return at
		}
		if at, ok := r.Keys[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return position{}
}

// Sorted returns the problems in the order of the file.
func (r *Document) Sorted() []problem {
	list := slices.Clone(r.Problems)
	slices.SortStableFunc(list, func(a, b problem) int {
		if a.At.Line != b.At.Line {
			return a.At.Line - b.At.Line
		}
		return a.At.Column - b.At.Column
	})
	return list
}

func (r *Document) yamlError(err error) {
	var y yaml.Error
	if !errors.As(err, &y) {
		r.problem(position{}, "this is no YAML that can be read")
		return
	}
	at := position{}
	if t := y.GetToken(); t != nil && t.Position != nil {
		at = position{t.Position.Line, t.Position.Column}
	}
	text := strings.TrimSpace(y.GetMessage())
	if !strings.Contains(text, "expected") {
		text += "; expected YAML, with each key: value on a line of its own"
	}
	r.problem(at, "%s", text)
}

// node checks one value against the Go type that will hold it.
func (r *Document) node(path string, want reflect.Type, n ast.Node) {
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.problem(where(n), "anchors, aliases and tags are not read here; expected the value itself")
		return
	case *ast.NullNode:
		return // as if the key were absent
	}
	if want == reflect.TypeFor[time.Time]() {
		r.time(path, n)
		return
	}
	switch want.Kind() {
	case reflect.Struct, reflect.Map:
		r.mapping(path, want, n)
	case reflect.Slice:
		sequence, ok := n.(*ast.SequenceNode)
		if !ok {
			r.wrong(n, "a list, such as [a, b]")
			return
		}
		for i, element := range sequence.Values {
			inner := fmt.Sprintf("%s[%d]", path, i)
			r.Keys[inner] = where(element)
			r.node(inner, want.Elem(), element)
		}
	default:
		r.values[path] = where(n)
		if text := scalar(want, n); text != "" {
			r.wrong(n, text)
		}
	}
}

// scalar returns what was expected where a scalar does not fit.
func scalar(want reflect.Type, n ast.Node) string {
	var ok bool
	var text string
	switch want.Kind() {
	case reflect.String:
		_, plain := n.(*ast.StringNode)
		_, block := n.(*ast.LiteralNode)
		ok, text = plain || block, `text, such as "abc" (in quotes where it would read as a number or a truth value)`
	case reflect.Bool:
		_, ok = n.(*ast.BoolNode)
		text = "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		_, ok = n.(*ast.IntegerNode)
		text = "a whole number"
	default:
		text = "a value of kind " + want.Kind().String()
	}
	if ok {
		return ""
	}
	return text
}

func (r *Document) time(path string, n ast.Node) {
	r.values[path] = where(n)
	if s, ok := n.(*ast.StringNode); ok {
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if _, err := time.Parse(layout, s.Value); err == nil {
				return
			}
		}
	}
	r.wrong(n, "a time, such as 2026-12-31T00:00:00Z")
}

func (r *Document) mapping(path string, want reflect.Type, n ast.Node) {
	m, ok := n.(ast.MapNode)
	if !ok {
		r.wrong(n, "keys with values, such as key: value")
		return
	}
	fields := fieldsOf(want)
	for pairs := m.MapRange(); pairs.Next(); {
		key, isText := pairs.Key().(*ast.StringNode)
		at := where(pairs.Key())
		if !isText {
			r.problem(at, `a key that is no text; expected a name, in quotes where it would read as a number or a truth value`)
			continue
		}
		inner := key.Value
		if path != "" {
			inner = path + "." + key.Value
		}
		r.Keys[inner] = at
		kind := want
		if want.Kind() == reflect.Map {
			kind = want.Elem()
		} else if kind, ok = fields[key.Value]; !ok {
			r.problem(at, "unknown key %q; expected %s", key.Value, OneOf(key.Value, slices.Sorted(maps.Keys(fields))))
			continue
		}
		r.node(inner, kind, pairs.Value())
	}
}

func (r *Document) wrong(n ast.Node, expected string) {
	r.problem(where(n), "found %s; expected %s", kindOf(n), expected)
}

// fieldsOf returns the keys that a struct has in YAML, and their types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return fields
	}
	for f := range t.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case rest == "inline":
			maps.Copy(fields, fieldsOf(f.Type))
		case name == "":
			fields[strings.ToLower(f.Name)] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	return fields
}

func where(n ast.Node) position {
	t := n.GetToken()
	if m, ok := n.(ast.MapNode); ok {
		// A mapping's own token is its first colon or brace: people look for its first key.
		if pairs := m.MapRange(); pairs.Next() {
			t = pairs.Key().GetToken()
		}
	}
	return tokenPosition(t)
}

func tokenPosition(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "a truth value"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "keys with values"
	}
	return "something else"
}
