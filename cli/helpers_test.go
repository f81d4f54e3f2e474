package cli

import (
	"bytes"
	"strings"
	"testing"
)

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runMainOf runs one command line and returns what it prints.
func runMainOf(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}
	err := m.Run(t.Context(), args)
	return out.String(), err
}
