package serve

import (
	"fmt"
	"strings"
	"testing"
)

// TestConnectErrorsAreOneLine: who reads a command's error finds what the server said and what to do, not every attempt of the driver.
func TestConnectErrorsAreOneLine(t *testing.T) {
	site := plainSiteOf(t)
	port := site.cluster.Port
	for dsn, want := range map[string]string{
		fmt.Sprintf("postgres://nobody:secret@127.0.0.1:%d/postgres", port): `connect to the database to look at (password: PGPASSWORD or ~/.pgpass): password authentication failed for user "nobody" (SQLSTATE 28P01)`,
		"postgres://nobody:secret@127.0.0.1:1/postgres":                     `connect to the database to look at (password: PGPASSWORD or ~/.pgpass): 127.0.0.1:1 (127.0.0.1): dial error: dial tcp 127.0.0.1:1: connect: connection refused`,
	} {
		_, err := runMainOf(t, "init", dsn, "--out", "-")
		if err == nil || oneLine(err) != want || exitCode(err) != ExitFailed {
			t.Errorf("init says %v\nwant %s", err, want)
		}
	}
	text := oneLine(fmt.Errorf("read it:\n%w", fmt.Errorf("line 1\nline 2")))
	if strings.Contains(text, "\n") {
		t.Errorf("%q has several lines", text)
	}
}
