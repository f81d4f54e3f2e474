package serve

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/config"
)

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

func decoded(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema))
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
