package gateway

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/query"
)

func TestParseArray(t *testing.T) {
	tests := []struct {
		text string
		want []string
		ok   bool
	}{
		{`{}`, nil, true},
		{`{a,b}`, []string{"a", "b"}, true},
		{`{"a b", c ,"d\"e\\"}`, []string{"a b", "c", `d"e\`}, true},
		{`{NULL,"NULL"}`, []string{"NULL", "NULL"}, true},
		{`{""}`, []string{""}, true},
		{`{{a},{b}}`, nil, false},
		{`{"a}`, []string{"a"}, false},
		{`a,b`, nil, false},
		{``, nil, false},
	}
	for _, tt := range tests {
		got, nulls, ok := parseArray(tt.text)
		if ok != tt.ok || ok && !cmp.Equal(got, tt.want) {
			t.Errorf("%s: %q %v", tt.text, got, ok)
		}
		if tt.text == `{NULL,"NULL"}` && (!nulls[0] || nulls[1]) {
			t.Errorf("%s: nulls %v", tt.text, nulls)
		}
	}
}

func TestCutOption(t *testing.T) {
	tests := []struct{ options, rest, value string }{
		{"-c geqo=off", "-c geqo=off", ""},
		{"-c sallyport.purpose=ticket:4711", "", "ticket:4711"},
		{"-c geqo=off -csallyport.purpose=ticket:1 -c x.y=1", "-c geqo=off -c x.y=1", "ticket:1"},
		{"--sallyport.purpose=ticket:1 --geqo=off", "--geqo=off", "ticket:1"},
		{`-c sallyport.purpose=ticket:1,\ ticket:2 -c a.b=x\ y`, `-c a.b=x\ y`, "ticket:1, ticket:2"},
		{"-c SALLYPORT.Purpose=work:mine", "", "work:mine"},
	}
	for _, tt := range tests {
		rest, value, _ := cutOption(tt.options)
		if rest != tt.rest || value != tt.value {
			t.Errorf("%s: %q %q", tt.options, rest, value)
		}
	}
}

// TestCopyText holds the text format of COPY to its inverse.
func TestCopyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fields [][]byte
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			if rapid.Bool().Draw(t, "null") {
				fields = append(fields, nil)
				continue
			}
			fields = append(fields, append([]byte{}, rapid.SliceOf(rapid.ByteRange(1, 255)).Draw(t, "field")...))
		}
		row := make([][]byte, len(fields))
		for i, f := range fields {
			row[i] = []byte(`\N`)
			if f != nil {
				row[i] = appendCopyText(nil, f, '\t')
			}
		}
		_, got := splitCopyText(append(bytes.Join(row, []byte{'\t'}), '\n'), '\t')
		if !cmp.Equal(got, fields) {
			t.Fatalf("%q became %q", fields, got)
		}
	})
}

// TestCopyCSV likewise.
func TestCopyCSV(t *testing.T) {
	c := &query.Copy{Delimiter: ',', Quote: '"', Escape: '"'}
	rapid.Check(t, func(t *rapid.T) {
		var fields [][]byte
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			if rapid.Bool().Draw(t, "null") {
				fields = append(fields, nil)
				continue
			}
			fields = append(fields, append([]byte{}, rapid.SliceOf(rapid.ByteRange(1, 255)).Draw(t, "field")...))
		}
		row := make([][]byte, len(fields))
		for i, f := range fields {
			if f != nil {
				row[i] = appendCopyCSV(nil, f, c, len(f) == 0)
			}
		}
		_, got, ok := splitCopyCSV(append(bytes.Join(row, []byte{','}), '\n'), c.Delimiter, c.Quote, c.Escape)
		if !ok || !cmp.Equal(got, fields) {
			t.Fatalf("%q became %q", fields, got)
		}
	})
}

func TestRewritePositions(t *testing.T) {
	text := "SELECT é FROM c WHERE email = 'anna@x.example' AND nope = 1"
	start := len("SELECT é FROM c WHERE email = ")
	edits := []query.Edit{{Start: start, End: start + len("'anna@x.example'"), Slot: &query.Slot{}}}
	sent, made := rewrite(text, edits, map[int][]string{0: {"0123456789@k1.invalid"}}, nil)
	if want := "SELECT é FROM c WHERE email = '0123456789@k1.invalid' AND nope = 1"; sent != want {
		t.Fatalf("%s", sent)
	}
	for _, tt := range []struct {
		mark string
		want int
	}{{"FROM", 10}, {"'0123", 31}, {"nope", 52}} {
		at := 1
		for i := range sent {
			if sent[i:min(i+len(tt.mark), len(sent))] == tt.mark {
				break
			}
			at++
		}
		if got := clientPosition(text, sent, made, at); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.mark, got, tt.want)
		}
	}
}

func TestDates(t *testing.T) {
	for setting, text := range map[string]string{
		"ISO, DMY": "2345-06-07", "SQL, DMY": "07/06/2345", "SQL, MDY": "06/07/2345",
		"Postgres, DMY": "07-06-2345", "Postgres, MDY": "06-07-2345", "German, DMY": "07.06.2345",
	} {
		s := &session{style: parseDateStyle(setting)}
		iso, ok := s.isoDate(&column{}, []byte(text))
		if !ok || string(iso) != "2345-06-07" {
			t.Errorf("%s: %s", setting, iso)
		}
		if got := s.redate([]byte("2345-06-07"), 0, &column{}); string(got) != text {
			t.Errorf("%s: written as %s", setting, got)
		}
	}
}

func TestEmbed(t *testing.T) {
	tests := []struct {
		how          container
		field, plain string
		want         string
		ok           bool
	}{
		{inText, "x⟦y", `a"b`, `x` + `a"b` + `y`, true},
		{inJSON, `{"n": "⟦"}`, `a"b` + "\n", `{"n": "a\"b\n"}`, true},
		{inComposite, `(1,⟦,2)`, `Anna B`, `(1,"Anna B",2)`, true},
		{inComposite, `(1,⟦,2)`, `Anna`, `(1,Anna,2)`, true},
		{inComposite, `(1,⟦,"a b",2)`, `Anna B`, `(1,"Anna B","a b",2)`, true},
		{inComposite, `("a""b",⟦)`, `Anna B`, `("a""b","Anna B")`, true},
		{inComposite, `("(⟦)")`, `Anna B`, `("(""Anna B"")")`, true},
		{inComposite, `{"(1,⟦,2)"}`, `Anna B`, `{"(1,\"Anna B\",2)"}`, true},
		{inComposite, `{"(1,⟦,\"a b\")"}`, `say "hi"`, `{"(1,\"say \"\"hi\"\"\",\"a b\")"}`, true},
		{inComposite, `{"(\"x \\\\ \"\" y\",⟦)"}`, `Anna B`, `{"(\"x \\\\ \"\" y\",\"Anna B\")"}`, true},
		{inComposite, `{"said ⟦, and left"}`, `"A" B`, `{"said \"A\" B, and left"}`, true},
		{inComposite, `{"(1,\"(⟦)\")"}`, `Anna B`, ``, false},
		{inComposite, `(⟦)`, `a"\`, `("a""\\")`, true},
		{inComposite, `{⟦}`, `a\"`, `{"a\\\""}`, true},
		{inComposite, `{x⟦}`, `Anna B`, ``, false},
		{sealed, `⟦`, `x`, ``, false},
	}
	for _, tt := range tests {
		b := 0
		for tt.field[b:b+3] != "⟦" {
			b++
		}
		got, ok := embed([]byte(tt.plain), tt.how, []byte(tt.field), b, b+3)
		if tt.how == inText && ok {
			got = []byte("x" + string(got) + "y")
		} else if ok {
			got = []byte(tt.field[:b] + string(got) + tt.field[b+3:])
		}
		if ok != tt.ok || ok && string(got) != tt.want {
			t.Errorf("%s in %s: %s %v, want %s", tt.plain, tt.field, got, ok, tt.want)
		}
	}
}

// FuzzCopy splits arbitrary bytes as COPY data: no panic, and what was split joins to something that splits the same.
func FuzzCopy(f *testing.F) {
	f.Add([]byte("a\tb\\tc\t\\N\n"))
	f.Add([]byte("a,\"b \"\"c\"\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		row, fields := splitCopyText(line, '\t')
		if _, again := splitCopyText(append(bytes.Join(row, []byte{'\t'}), '\n'), '\t'); !cmp.Equal(fields, again) {
			t.Errorf("%q: %q, then %q", line, fields, again)
		}
		splitCopyBinary(line)
		splitCopyCSV(line, ',', '"', '"')
		parseArray(string(line))
		cutOption(string(line))
	})
}
