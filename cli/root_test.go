package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sallyport/serve"
)

// TestEveryCommand: each command says what it does, shows an example of itself, and prints JSON for programs. Those that only print text
// for other programs do not need to.
func TestEveryCommand(t *testing.T) {
	text := map[string]bool{"sallyport": true, "sallyport config schema": true, "sallyport respond ladder": true, "sallyport sim": true} // the last writes files
	m := &Main{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }}
	seen := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() && cmd.HasParent() {
			return // its commands are what is used
		}
		if cmd.Name() == serve.HistoryStore {
			return // serve starts it, and it refuses everybody else
		}
		seen++
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: its short description is %q", path, cmd.Short)
		}
		if !strings.Contains(cmd.Example, path) {
			t.Errorf("%s: no example of itself in its help", path)
		}
		if cmd.Flags().Lookup("json") == nil && !text[path] {
			t.Errorf("%s has no --json", path)
		}
	}
	walk(m.command())
	if seen < 25 {
		t.Errorf("only %d commands were looked at", seen)
	}
}
