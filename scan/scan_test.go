package scan

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"sallyport"
	"sallyport/token"
)

func testRing(t testing.TB, seed byte) *token.Ring {
	t.Helper()
	root, err := token.NewSecret(bytes.Repeat([]byte{seed}, token.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(root, token.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func specs() []token.Spec {
	column := func(table, name string, s sallyport.Scheme) token.Spec {
		return token.Spec{Column: sallyport.Column{Schema: "s", Table: table, Name: name}, Scheme: s}
	}
	number := column("tickets", "no", sallyport.Number)
	number.Prefixes = map[string]string{"CS": "ZQ"}
	archive := column("archive", "email", sallyport.Email)
	archive.Group = "archive"
	return []token.Spec{
		column("people", "email", sallyport.Email), column("leads", "email", sallyport.Email), archive, column("people", "phone", sallyport.Phone),
		column("people", "name", sallyport.Name), column("staff", "name", sallyport.Name), column("people", "notes", sallyport.Text), column("people", "born", sallyport.Date), number,
	}
}

// tokens makes one of each column, by its number in specs.
func tokens(t testing.TB, ring *token.Ring) []string { return tokensOf(t, ring, specs()) }

// tokensOf makes one of each of some columns.
func tokensOf(t testing.TB, ring *token.Ring, columns []token.Spec) []string {
	t.Helper()
	var out []string
	for _, spec := range columns {
		codec, err := ring.Codec(spec)
		if err != nil {
			t.Fatal(err)
		}
		plain := map[sallyport.Scheme]string{
			sallyport.Email: "jane@example.com", sallyport.Phone: "+442071838750", sallyport.Name: "Jane Roe", sallyport.Text: "hello", sallyport.Date: "1980-02-29",
			sallyport.Number: "CS-4821-7730",
		}[spec.Scheme]
		tok, err := codec.Tokenise(nil, []byte(plain), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(tok))
	}
	return out
}

func scanAll(t testing.TB, s *Scanner, r io.Reader) []Finding {
	t.Helper()
	var out []Finding
	if err := s.Scan(r, func(f Finding) error { out = append(out, f); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func brief(f Finding) string {
	out := fmt.Sprintf("%d:%d %s %s", f.Line, f.Column, f.Kind, f.What)
	if f.Epoch > 0 {
		out += fmt.Sprintf(" k%d", f.Epoch)
	}
	if f.Opened {
		out += " opened"
	}
	if f.Foreign {
		out += " foreign"
	}
	return strings.TrimSpace(out + " " + strings.Join(f.Columns, ","))
}

// TestOrigin says what is known of each token: with its keys, with others, and without any.
func TestOrigin(t *testing.T) {
	ring, other := testRing(t, 1), testRing(t, 2)
	text := strings.Join(tokens(t, ring), "\n")
	for name, c := range map[string]struct {
		o    Options
		want []string
	}{
		"with the keys": {Options{Ring: ring, Columns: specs(), Opens: true}, []string{
			"1:1 token email k1 opened s.leads.email,s.people.email", "2:1 token email k1 opened s.leads.email,s.people.email", "3:1 token email k1 opened s.archive.email",
			"4:1 token phone k1 s.people.phone", "5:1 token name k1 opened s.people.name", "6:1 token name k1 opened s.staff.name", "7:1 token text k1 opened s.people.notes",
			"8:1 token date k1 opened s.people.born", "9:1 token number s.tickets.no",
		}},
		"with other keys": {Options{Ring: other, Columns: specs(), Opens: true, Dates: true}, []string{
			"1:1 token email k1 foreign", "2:1 token email k1 foreign", "3:1 token email k1 foreign", "4:1 token phone k1 s.people.phone", "5:1 token name k1 foreign",
			"6:1 token name k1 foreign", "7:1 token text k1 foreign", "", "9:1 token number s.tickets.no",
		}},
		"with the configuration": {Options{Ring: other, Columns: specs()}, []string{
			"1:1 token email k1 s.archive.email,s.leads.email,s.people.email", "2:1 token email k1 s.archive.email,s.leads.email,s.people.email",
			"3:1 token email k1 s.archive.email,s.leads.email,s.people.email", "4:1 token phone k1 s.people.phone", "5:1 token name k1 s.people.name,s.staff.name",
			"6:1 token name k1 s.people.name,s.staff.name", "7:1 token text k1 s.people.notes", "9:1 token number s.tickets.no",
		}},
		"by form alone": {Options{Ring: testRing(t, 3)}, []string{
			"1:1 token email k1", "2:1 token email k1", "3:1 token email k1", "4:1 token phone k1", "5:1 token name k1", "6:1 token name k1", "7:1 token text k1",
		}},
	} {
		s, err := New(c.o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range scanAll(t, s, strings.NewReader(text)) {
			got = append(got, brief(f))
		}
		if i := slices.Index(c.want, ""); i >= 0 { // with other keys one date of nine opens
			c.want[i] = "8:1 token date k1 foreign"
			if len(got) > i && strings.Contains(got[i], "date k1 opened") {
				c.want[i] = got[i]
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
		}
	}
}

// TestEpochOfLongAddress reads the epoch off the domain, not off what spilled in front of it.
func TestEpochOfLongAddress(t *testing.T) {
	for tok, want := range map[string]int{"abc@k1.invalid": 1, "abc@k8.k1.invalid": 1, "abc@" + strings.Repeat("v", 63) + ".k7.k2.invalid": 2, "abc@vault.k3.invalid": 3, "abc@x.invalid": 0} {
		if got := epochOf([]byte(tok), sallyport.Email); got != want {
			t.Errorf("%s: epoch %d, want %d", tok, got, want)
		}
	}
}

// TestPlain lists texts and the plain values that are found in them.
func TestPlain(t *testing.T) {
	s, err := New(Options{Ring: testRing(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"nothing, 2026-11-26 18:00:00.123, f47ac10b-58cc-4372-a567-0e02b2c3d479, v1.2.3, 127.0.0.1", ""},
		{"jane.roe@example.com", "1:1 email 20"},
		{"<jane.roe+x@mail.example.co.uk>, 'o'hara@example.org'.", "1:2 email 29|1:35 email 18"},
		{"write to jane@example.com.", "1:10 email 16"},
		{"j\u00fcrgen@m\u00fcller.example", "1:1 email 23"},
		{"git@host user@localhost @here a@b.c @example.com x@y.12", ""},
		{"x@k1.invalid", ""},
		{"+442071838750", "1:1 phone 13"},
		{"tel: +44 (0)20 7183-8750, x", "1:6 phone 19"},
		{"+1 415 555 2671\n+49 30 1234567", "1:1 phone 15|2:1 phone 14"},
		{"+442071838750 4111111111111111 +442071838750 1 2 3", "1:1 phone 13|1:15 card 16|1:32 phone 13"},
		{"+1234567 +99912345678 a+442071838750 1++442071838750 +4420718387501234567", ""},
		{"4111 1111 1111 1111", "1:1 card 19"},
		{"card 5500-0000-0000-0004;378282246310005", "1:6 card 19|1:26 card 15"},
		{"4111111111111112 1234567812345670 0000000000000000 14111111111111111 x4111111111111111 4111 1111-1111 1111", ""},
		{"DE89 3704 0044 0532 0130 00", "1:1 iban 27"},
		{"GB82WEST12345698765432,NL91ABNA0417164300", "1:1 iban 22|1:24 iban 18"},
		{"GB82WEST12345698765433 DE89370400440532013001 XX89370400440532013000 xDE89370400440532013000 DE89370400440532013000x", ""},
		{"a,b\n\nc;jane@example.com\r\n", "3:3 email 16"},
	} {
		var got []string
		for _, f := range scanAll(t, s, strings.NewReader(c.text)) {
			got = append(got, fmt.Sprintf("%d:%d %s %d", f.Line, f.Column, f.What, f.Length))
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%q: found %q, want %q", c.text, got, c.want)
		}
	}
}

// TestCuts checks that what is found does not depend on where the stream is cut: byte by byte, by windows of several sizes, and with lines
// that are longer than all of them.
func TestCuts(t *testing.T) {
	ring := testRing(t, 1)
	values := append(tokens(t, ring), "jane.roe@example.com", "+442071838750", "4111 1111 1111 1111", "DE89370400440532013000")
	long, err := ring.Codec(specs()[6])
	if err != nil {
		t.Fatal(err)
	}
	body, err := long.Tokenise(nil, bytes.Repeat([]byte("a long note "), 2000), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range 4000 {
		b.WriteString(strings.Repeat("filler ", i%23))
		b.WriteString(values[i%len(values)])
		switch {
		case i%7 == 0 && i > 1500:
			b.WriteString("\n")
		case i%1000 == 999:
			b.WriteString(" " + string(body) + ",")
		default:
			b.WriteString(" ")
		}
	}
	text := b.String()
	s, err := New(Options{Ring: ring, Columns: specs(), Opens: true})
	if err != nil {
		t.Fatal(err)
	}
	want := scanAll(t, s, strings.NewReader(text))
	if len(want) < 4000 {
		t.Fatalf("%d findings in %d bytes", len(want), len(text))
	}
	for _, size := range []int{40 << 10, 48<<10 + 13, 100_003} {
		s.window = size
		if got := scanAll(t, s, strings.NewReader(text)); !equal(got, want) {
			t.Errorf("a window of %d: %d findings, want %d", size, len(got), len(want))
		}
	}
	if got := scanAll(t, s, iotest.OneByteReader(strings.NewReader(text))); !equal(got, want) {
		t.Errorf("byte by byte: %d findings, want %d", len(got), len(want))
	}
	s.window = 2 * ahead // the long texts do not fit, and are told by their form
	got := scanAll(t, s, strings.NewReader(text))
	if len(got) != len(want) {
		t.Errorf("a window smaller than a text: %d findings, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Line != want[i].Line || got[i].Column != want[i].Column || got[i].What != want[i].What {
			t.Fatalf("a window smaller than a text: finding %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func equal(a, b []Finding) bool {
	return slices.EqualFunc(a, b, func(x, y Finding) bool { return x.Length == y.Length && brief(x) == brief(y) })
}

// TestNothingBlurts checks that no finding holds what was found.
func TestNothingBlurts(t *testing.T) {
	ring := testRing(t, 1)
	values := append(tokens(t, ring), "jane.roe@example.com", "+442071838750", "4111111111111111", "DE89370400440532013000")
	s, err := New(Options{Ring: ring, Columns: specs(), Opens: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range scanAll(t, s, strings.NewReader(strings.Join(values, "\n"))) {
		line, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range append(values, "Jane Roe", "hello", "1980", "jane@") {
			if strings.Contains(string(line)+brief(f), v) {
				t.Errorf("a finding holds %q", v)
			}
		}
	}
}

// FuzzScan looks through anything, whole and in small windows.
func FuzzScan(f *testing.F) {
	f.Add([]byte("a@b.de +442071838750 tk1:a" + strings.Repeat("A", 100)))
	f.Add([]byte("DE89 3704 0044 0532 0130 00\n4111 1111 1111 1111"))
	ring := testRing(f, 1)
	s, err := New(Options{Ring: ring, Columns: specs(), Opens: true})
	if err != nil {
		f.Fatal(err)
	}
	small := *s
	small.window = 20 << 10
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Repeat(b, 1+30_000/(len(b)+1))
		if got, want := scanAll(t, &small, bytes.NewReader(b)), scanAll(t, s, bytes.NewReader(b)); len(got) != len(want) {
			t.Errorf("%d findings in small windows, %d in a large one", len(got), len(want))
		}
	})
}

// BenchmarkScan is how fast text goes by that holds nothing, and a dump that holds tokens.
func BenchmarkScan(b *testing.B) {
	ring := testRing(b, 1)
	s, err := New(Options{Ring: ring, Columns: specs(), Opens: true})
	if err != nil {
		b.Fatal(err)
	}
	for name, line := range map[string]string{
		"words": strings.Repeat("Called again about the invoice of last month. ", 20) + "\n",
		"rows":  "48211\t" + strings.Join(tokens(b, ring), "\t") + "\t2026-11-26 18:00:00\n",
	} {
		text := bytes.Repeat([]byte(line), 8<<20/len(line))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := s.Scan(bytes.NewReader(text), func(Finding) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// ringOf has the keys of one epoch, and knows the tokens of every one.
func ringOf(t testing.TB, epoch int) *token.Ring {
	t.Helper()
	secret, err := token.NewSecret(bytes.Repeat([]byte{byte(epoch)}, token.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	keys := token.Keys{Record: secret, Groups: map[string][]token.DataKey{}}
	for _, group := range []string{"email", "archive", "phone", "name", "text", "date", "number"} {
		keys.Groups[group] = []token.DataKey{{Epoch: epoch, Secret: secret}}
	}
	ring, err := token.NewKeyedRing(keys, token.Settings{EveryEpoch: true})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// TestEveryEpoch: a leaked token is found and its columns named whatever the epoch of the keys that there are, and without keys. The epoch is
// the right one where the token opens, else the first of that form.
func TestEveryEpoch(t *testing.T) {
	columns := specs()
	for i := range columns {
		if columns[i].Scheme == sallyport.Number {
			columns[i].NextPrefixes = map[string]string{"CS": "ZX"}
		}
	}
	type epochs struct{ email, phone, sealed, date int }
	for _, c := range []struct {
		epoch int
		forms epochs
	}{{1, epochs{1, 1, 1, 1}}, {2, epochs{2, 2, 2, 2}}, {3, epochs{3, 1, 3, 1}}, {10, epochs{1, 2, 10, 2}}, {29, epochs{2, 1, 3, 1}}} {
		text := strings.Join(tokensOf(t, ringOf(t, c.epoch), columns), "\n")
		for _, keys := range []struct {
			name string
			o    Options
		}{
			{"its keys", Options{Ring: ringOf(t, c.epoch), Columns: columns, Opens: true}},
			{"newer keys", Options{Ring: ringOf(t, c.epoch+1), Columns: columns, Opens: true, Dates: true}},
			{"no keys", Options{Ring: ringOf(t, 1), Columns: columns, Dates: true}},
		} {
			s, err := New(keys.o)
			if err != nil {
				t.Fatal(err)
			}
			proof := map[string]string{"its keys": " opened ", "newer keys": " foreign", "no keys": " "}[keys.name]
			n := c.forms
			if keys.name == "its keys" {
				n = epochs{c.epoch, c.forms.phone, c.epoch, c.epoch}
			}
			want := []string{
				fmt.Sprintf("token email k%d", n.email), fmt.Sprintf("token phone k%d s.people.phone", n.phone), fmt.Sprintf("token name k%d", n.sealed),
				fmt.Sprintf("token text k%d", n.sealed), fmt.Sprintf("token date k%d", n.date), "token number s.tickets.no",
			}
			got := map[string]bool{}
			findings := scanAll(t, s, strings.NewReader(text))
			for _, f := range findings {
				_, rest, _ := strings.Cut(brief(f), " ")
				got[rest] = true
			}
			if len(findings) != len(columns) {
				t.Errorf("epoch %d with %s: %d of %d tokens are found: %v", c.epoch, keys.name, len(findings), len(columns), got)
			}
			for _, w := range want {
				if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(g string) bool {
					return g == w || strings.HasPrefix(g, w+proof) || strings.HasPrefix(g, w+" opened ") && strings.Contains(w, "date")
				}) {
					t.Errorf("epoch %d with %s: no %q%s in %v", c.epoch, keys.name, w, proof, got)
				}
			}
		}
	}
}
