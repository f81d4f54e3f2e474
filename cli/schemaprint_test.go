package cli

import (
	"testing"

	"sallyport/config"
)

// TestSchemaPrinted: an editor gets the very schema that the reader is held to.
func TestSchemaPrinted(t *testing.T) {
	out, err := runMainOf(t, "config", "schema")
	if err != nil || out != string(config.Schema) {
		t.Errorf("config schema prints %d bytes, %v", len(out), err)
	}
}
