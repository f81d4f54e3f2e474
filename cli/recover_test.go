package cli

import (
	"strings"
	"testing"
)

// TestRecoverRows holds the reading of dumps to what pg_dump writes.
func TestRecoverRows(t *testing.T) {
	for text, want := range map[string]string{
		`support.customers`: "support|customers", `"a.b"."c""d"`: `a.b|c"d`, `public."T x"`: "public|T x",
	} {
		if got := strings.Join(identifiers(text, '.'), "|"); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := string(appendCopyField(nil, []byte("a\tb\\c\nd\re"))); got != `a\tb\\c\nd\re` {
		t.Errorf("escaped: %s", got)
	}
}
