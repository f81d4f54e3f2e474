package query

import (
	"strings"
	"testing"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func TestBlank(t *testing.T) {
	for _, tt := range []struct{ sql, want string }{
		{`SELEC id FROM customers WHERE email = 'ada@example.org'`, `zzzzz zz FROM zzzzzzzzz WHERE zzzzz = 'zzzzzzzzzzzzzzz'`},
		{
			`SELECT "Ada ""E""", 'Jürgen', E'\'x', U&'\00e4' UESCAPE '!', b'01', x'ff', 1.5e3, $1 -- of Ada`,
			`SELECT "zzzzzzzzz", 'zzzzzz', E'zzz', U&'zzzzz' UESCAPE 'z', b'00', x'00', 9.9e9, $1 --zzzzzzz`,
		},
		{"SELECT $a$ada$a$, $$ada$$ /* ada */", "SELECT $z$yyy$z$, $$yyy$$ /*zzzzz*/"},
		{"SELECT 'a'\n'b'", "SELECT 'zzzzz'"},
	} {
		if got, ok := Blank(tt.sql); got != tt.want || !ok {
			t.Errorf("%s\nis blanked to %s\nwant          %s", tt.sql, got, tt.want)
		}
	}
	for _, sql := range []string{"SELECT 'open", "SELECT \x00", "SELECT \xff"} {
		if got, ok := Blank(sql); ok {
			t.Errorf("%q is blanked to %q", sql, got)
		}
	}
}

// FuzzBlank holds a blanked text to the words of the original: the same kinds at the same characters, and no letter of a name or value.
func FuzzBlank(f *testing.F) {
	for _, sql := range []string{`SELECT 'a' "b" $$c$$ 12 --d`, "UPDATE t SET a = U&'x' UESCAPE '!' /* x */ WHERE $q$z$q$", "SELECT 1a, é'x'"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		blank, ok := Blank(sql)
		if !ok || len(sql) > 4096 {
			return
		}
		before, err := pg.Scan(sql)
		if err != nil {
			t.Fatal(err)
		}
		after, err := pg.Scan(blank)
		if err != nil {
			t.Fatalf("%q is blanked to %q, which cannot be split: %v", sql, blank, err)
		}
		if len(before.Tokens) != len(after.Tokens) {
			t.Fatalf("%q has %d words, blanked to %q %d", sql, len(before.Tokens), blank, len(after.Tokens))
		}
		for i, was := range before.Tokens {
			is := after.Tokens[i]
			if was.Token != is.Token || utf8.RuneCountInString(sql[:was.Start]) != utf8.RuneCountInString(blank[:is.Start]) {
				t.Fatalf("word %d of %q is %s, blanked to %q %s", i, sql, was.Token, blank, is.Token)
			}
			if was.Token == pg.Token_IDENT && strings.Trim(blank[is.Start:is.End], `z"`) != "" {
				t.Fatalf("a name of %q is still in %q", sql, blank)
			}
		}
	})
}
