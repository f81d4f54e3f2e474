package api

import (
	"encoding"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// schemas describe Go's types as JSON Schema, so that the description says what the code does.
type schemas struct{ known map[string]any }

// operation describes one endpoint.
func (s *schemas) operation(o *operation, problem map[string]any) map[string]any {
	ok := map[string]any{"description": "It was done"}
	switch {
	case o.stream != "":
		ok["content"] = map[string]any{o.stream: map[string]any{"schema": map[string]any{"type": "string"}}}
	case o.gives != nil:
		ok["content"] = s.content(o.gives)
	default:
		ok["content"] = map[string]any{"application/json": map[string]any{"schema": map[string]any{"type": "object"}}}
	}
	if o.list {
		s.page(o, ok)
	}
	d := map[string]any{"summary": o.summary, "operationId": operationID(o), "responses": map[string]any{"200": ok, "default": problem}}
	if o.before {
		d["security"] = []any{}
	}
	if o.who != everybody {
		d["description"] = "For whom policies let " + strings.ReplaceAll(string(o.who), " ", " or ") + "."
	}
	if o.takes != nil {
		d["requestBody"] = map[string]any{"required": true, "content": s.content(o.takes)}
	}
	var parameters []any
	for part := range strings.SplitSeq(o.path, "/") {
		if strings.HasPrefix(part, "{") {
			parameters = append(parameters, map[string]any{"name": strings.Trim(part, "{}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	for _, name := range o.query {
		parameters = append(parameters, map[string]any{"name": name, "in": "query", "schema": map[string]any{"type": "string"}})
	}
	if o.list {
		parameters = append(parameters,
			map[string]any{"name": "limit", "in": "query", "description": "entries of a page", "schema": map[string]any{"type": "integer", "minimum": 1, "maximum": longestPage, "default": defaultPage}},
			map[string]any{"name": "cursor", "in": "query", "description": "next of the page before", "schema": map[string]any{"type": "string"}})
	}
	if o.method == http.MethodPost && !o.before && !repeats(o.path) {
		parameters = append(parameters, map[string]any{"name": onceHeader, "in": "header", "description": "the same key and body within a day: carried out once, answered alike", "schema": map[string]any{"type": "string", "maxLength": mostOnceKey}})
	}
	if parameters != nil {
		d["parameters"] = parameters
	}
	return d
}

// page says that an answer is one page of several.
func (s *schemas) page(o *operation, ok map[string]any) {
	schema := s.of(reflect.TypeOf(o.gives))
	if properties, is := schema["properties"].(map[string]any); is {
		properties["next"] = map[string]any{"type": "string", "description": "cursor of the page behind this one; absent: it is the last"}
	}
	ok["content"] = map[string]any{"application/json": map[string]any{"schema": schema}}
}

// operationID is its method and path as one word.
func operationID(o *operation) string {
	return strings.ToLower(o.method) + strings.NewReplacer("/v1", "", "/", "_", "{", "", "}", "", "-", "_").Replace(o.path)
}

func (s *schemas) content(of any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": s.of(reflect.TypeOf(of))}}
}

// of is the schema of a type; of a named struct a reference to it.
func (s *schemas) of(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return map[string]any{}
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "description": "nanoseconds"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return map[string]any{"type": "string"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return map[string]any{}
	}
	switch t.Kind() { //nolint:exhaustive // the others are in no body
	case reflect.Pointer:
		inner := s.of(t.Elem())
		return map[string]any{"anyOf": []any{inner, map[string]any{"type": "null"}}}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
			return map[string]any{"type": []any{"string", "null"}, "contentEncoding": "base64"}
		}
		list := map[string]any{"type": []any{"array", "null"}, "items": s.of(t.Elem())}
		if t.Kind() == reflect.Array {
			list["type"] = "array"
		}
		return list
	case reflect.Map:
		return map[string]any{"type": []any{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.structOf(t)
	}
	return map[string]any{"type": "integer"}
}

func (s *schemas) structOf(t reflect.Type) map[string]any {
	if t.Name() == "" {
		return s.fields(t)
	}
	name := t.Name()
	if from := t.PkgPath(); from != "sallyport/api" {
		name = from[strings.LastIndexByte(from, '/')+1:] + "." + name
	}
	if s.known[name] == nil {
		s.known[name] = map[string]any{} // it may hold itself
		s.known[name] = s.fields(t)
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// fields are those that encoding/json writes. Nothing else stands in an answer, and nothing else is taken.
func (s *schemas) fields(t reflect.Type) map[string]any {
	properties := map[string]any{}
	s.add(t, properties)
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

func (s *schemas) add(t reflect.Type, properties map[string]any) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if f.Anonymous && name == "" {
			s.add(f.Type, properties)
			continue
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = s.of(f.Type)
	}
}
