package main

import "testing"

// TestSchemaPrinted: an editor gets the very schema that the reader is held to.
func TestSchemaPrinted(t *testing.T) {
	out, err := runMainOf(t, "config", "schema")
	if err != nil || out != string(configSchema) {
		t.Errorf("config schema prints %d bytes, %v", len(out), err)
	}
}
