package token

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport"
)

// exampleTokens is one token of each scheme, with names for tables.
func exampleTokens(t testing.TB, r *Ring) map[string]string {
	t.Helper()
	tokens := map[string]string{}
	for name, c := range map[string]struct {
		scheme sallyport.Scheme
		plain  string
	}{
		"EMAIL": {sallyport.Email, "jane.roe@example.com"},
		"LONG":  {sallyport.Email, strings.Repeat("jane.roe", 14) + "@example.com"},
		"PHONE": {sallyport.Phone, "+442071838750"},
		"NUM":   {sallyport.Number, "CS-4821-7730"},
		"DENSE": {sallyport.Number, "TK48217730"},
		"NAME":  {sallyport.Name, "Jane Roe"},
		"TEXT":  {sallyport.Text, "hello"},
		"DATE":  {sallyport.Date, "1980-02-29"},
	} {
		codec, err := r.Codec(testSpec(c.scheme))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := codec.Tokenise(nil, []byte(c.plain), zeros{})
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = string(tok)
	}
	return tokens
}

// TestFind lists texts with tokens and what is found in them, in order. Words in capitals stand for tokens.
func TestFind(t *testing.T) {
	r := testRing(t)
	tokens := exampleTokens(t, r)
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"nothing here", ""},
		{"jane.roe@example.com called +442071838750 about CS-4821-7730 on 1980-02-29", ""},
		{"EMAIL", "EMAIL"},
		{"LONG", "LONG"},
		{"NAME", "NAME"},
		{"(48211,NAME,EMAIL,PHONE,DATE,,f)", "NAME EMAIL PHONE DATE"},
		{"{EMAIL,LONG}", "EMAIL LONG"},
		{`{"(1,\"NAME\",NUM)"}`, "NAME NUM"},
		{`{"name":"NAME","mail":"EMAIL","phone":"PHONE","no":"NUM","born":"DATE","notes":"TEXT"}`, "NAME EMAIL PHONE NUM DATE TEXT"},
		{`{"t":"Hello\nEMAIL\tPHONE\r\nNUM\nDATE\u00e9EMAIL\u00E9NUM"}`, "EMAIL PHONE NUM DATE EMAIL NUM"},
		{"EMAIL EMAIL", "EMAIL EMAIL"},
		{"<EMAIL>; mailto:EMAIL.", "EMAIL EMAIL"},
		{"to=EMAIL", "EMAIL"},
		{"Key (email)=(EMAIL) already exists.", "EMAIL"},
		{"x.EMAIL", ""},
		{"zEMAIL", ""},
		{"0EMAIL", ""},
		{"EMAIL.example.com", ""},
		{"EMAILs", ""},
		{"EMAIL-", ""},
		{"@EMAIL", "EMAIL"},
		{"EMAIL@k1.invalid", "EMAIL"},
		{"tel:PHONE;", "PHONE"},
		{"+PHONE", "PHONE"},
		{"PHONE1", ""},
		{"PHONEx", "PHONE"},
		{"no. NUM, NUM/x", "NUM NUM"},
		{"NUM.", "NUM"},
		{"NUM 2024", "NUM"},
		{"NUM-2024", "NUM-2024"},
		{"xNUM", ""},
		{"-NUM", ""},
		{"NUMx", ""},
		{"DENSE DENSE", "DENSE DENSE"},
		{"DENSE-1", "DENSE-1"},
		{"ZQZQZQ ZQ- ZQ-12345 ZQ", ""},
		{"DATE", "DATE"},
		{"DATE 12:00", "DATE"},
		{"DATET12:00", ""},
		{"1DATE", ""},
		{"-DATE", ""},
		{"DATE-1", ""},
		{"DATE1", ""},
		{"[DATE,2150-01-01)", "DATE"},
		{"9999-12-31", ""},
		{"3000-02-30", ""},
		{"tk1:NAME", "NAME"},
		{"xNAME", "NAME"},
		{"NAME NAME", "NAME NAME"},
		{"tk1:A tk1:ab tk1: tk1:Z" + strings.Repeat("x", 80), ""},
		{"tk1:A" + strings.Repeat("C", 4000), ""}, // longer than any name
		{strings.Repeat("-", 5000) + "EMAIL", ""},
		{strings.Repeat(".", 1000) + "EMAIL", ""},
		{strings.Repeat(" ", 1000) + "EMAIL" + strings.Repeat(" ", 1000) + "PHONE", "EMAIL PHONE"},
	} {
		text := expand(c.text, tokens)
		var want []string
		if c.want != "" {
			want = strings.Split(expand(c.want, tokens), " ")
		}
		if got := findAll(t, r, []byte(text)); !slices.Equal(got, want) {
			t.Errorf("%.60q: found %q, want %q", c.text, got, want)
		}
	}
}

func expand(text string, tokens map[string]string) string {
	var pairs []string
	for name, tok := range tokens {
		pairs = append(pairs, name, tok)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// findAll loops as callers do, and compares each step with a search that looks at every byte.
func findAll(t testing.TB, r *Ring, b []byte) []string {
	t.Helper()
	var list []string
	for from := 0; ; {
		start, end, scheme, ok := r.Find(b, from)
		s, e, sc, found := findPlainly(r, b, from)
		if start != s || end != e || scheme != sc || ok != found {
			t.Fatalf("from %d: found %d:%d %q %t, byte by byte %d:%d %q %t", from, start, end, scheme, ok, s, e, sc, found)
		}
		if !ok {
			return list
		}
		if start < from || end <= start || end > len(b) {
			t.Fatalf("from %d of %d: found %d:%d", from, len(b), start, end)
		}
		list = append(list, string(b[start:end]))
		from = end
	}
}

func findPlainly(r *Ring, b []byte, from int) (start, end int, scheme sallyport.Scheme, ok bool) {
	for i := from; i < len(b); i++ {
		if start, end, scheme, ok = r.find.Load().tokenAt(b, from, i); ok {
			return start, end, scheme, true
		}
	}
	return 0, 0, "", false
}

// TestFindHostile runs the loop over megabytes that look like tokens everywhere. It would not end if a byte were looked
// at as often as there are others.
func TestFindHostile(t *testing.T) {
	r := testRing(t)
	tokens := exampleTokens(t, r)
	for _, unit := range []string{
		"@", "-", "+", "t", "tk1:", "tk1:A", "+89", "Z", "ZQ", "ZQ-", "ZQ1", "0", "a", "a@", "@a.", "@k1.", "aaaaaaaa@k1.invalid", "2345-", "-89-", "\\u", "\x00", "\xff",
		strings.Repeat("a", 64) + "@", strings.Repeat("a", 64) + "@" + strings.Repeat("a", 63) + ".", "ZQ-1-2-3-4-5", "tk1:a" + strings.Repeat("A", 33) + ":", "k1.invalid",
		tokens["PHONE"], tokens["DATE"] + " ", tokens["NUM"] + ",", tokens["EMAIL"] + " ", tokens["NAME"] + " ", tokens["DENSE"] + "\n", tokens["LONG"] + ",",
	} {
		b := bytes.Repeat([]byte(unit), (2<<20)/len(unit))
		n := 0
		for from := 0; ; n++ {
			_, end, _, ok := r.Find(b, from)
			if !ok {
				break
			}
			from = end
		}
		if want := (2 << 20) / len(unit); slices.Contains(valuesOf(tokens), strings.TrimRight(unit, " ,\n")) && n != want {
			t.Errorf("%.20q repeated: found %d times, want %d", unit, n, want)
		}
	}
	b := append(append([]byte("tk1:"), bytes.Repeat([]byte("Z"), 2<<20)...), '!')
	if _, _, _, ok := r.Find(b, 0); ok {
		t.Error("found a token of an unknown kind")
	}
	for _, from := range []int{-5, len(b), len(b) + 5} {
		if _, _, _, ok := r.Find(b, from); ok {
			t.Errorf("found a token from %d", from)
		}
	}
}

func valuesOf(m map[string]string) []string {
	var list []string
	for _, v := range m {
		list = append(list, v)
	}
	return list
}

// FuzzFind holds Find to its bounds, to the search byte by byte, and to the forms that the codecs accept.
func FuzzFind(f *testing.F) {
	r := testRing(f)
	tokens := exampleTokens(f, r)
	for _, tok := range tokens {
		f.Add([]byte("x " + tok + `\n` + tok + ","))
	}
	f.Add([]byte("a@k1.invalid +89 tk1:A ZQ-1 2345-01-01"))
	codecs := codecsOf(f, r)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, tok := range findAll(t, r, b) {
			if !slices.ContainsFunc(codecs, func(c *Codec) bool { return c.IsToken([]byte(tok)) }) {
				t.Errorf("%q was found, and no codec takes it for a token", tok)
			}
		}
	})
}

func codecsOf(t testing.TB, r *Ring) []*Codec {
	t.Helper()
	var list []*Codec
	for _, s := range schemes() {
		c, err := r.Codec(testSpec(s))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

// FuzzReveal gives every codec what comes from a database: no panic, dst as it came, and whatever is revealed
// tokenises to the same token again where tokens are deterministic.
func FuzzReveal(f *testing.F) {
	r := testRing(f)
	for _, tok := range exampleTokens(f, r) {
		f.Add([]byte(tok))
	}
	codecs := codecsOf(f, r)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range codecs {
			got, err := c.Reveal([]byte("kept"), b)
			if !strings.HasPrefix(string(got), "kept") || err != nil && len(got) != 4 {
				t.Fatalf("%s: dst came back as %q", c.spec.Scheme, got)
			}
			if err == nil && c.Deterministic() {
				if again, err := c.Tokenise(nil, got[4:], nil); err != nil || !bytes.Equal(again, b) {
					t.Fatalf("%s: %q reveals %q, which has the token %q, %v", c.spec.Scheme, b, got[4:], again, err)
				}
			}
			c.TokenDigest(b)
		}
	})
}

// FuzzTokenise gives every codec what comes from a client: no panic, dst as it came on an error, no value in an error,
// and Reveal gives back the canonical form.
func FuzzTokenise(f *testing.F) {
	for _, plain := range []string{
		"", "jane.roe@example.com", "+44 (0)20 7183 8750", "CS-4821-7730", "J\u00fcrgen Stra\u00dfe", "1980-02-29 +01", "\x00", "\xff", "\u0130@\u1e9e\u0345.x", `"a@b"@c`,
	} {
		f.Add([]byte(plain))
	}
	codecs := codecsOf(f, testRing(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range codecs {
			digest := c.Digest(b)
			got, err := c.Tokenise([]byte("kept"), b, rand.Reader)
			if err != nil {
				if string(got) != "kept" {
					t.Fatalf("%s: dst came back as %q", c.spec.Scheme, got)
				}
				continue
			}
			want, err := c.Canonical(nil, b)
			if err != nil {
				t.Fatalf("%s: tokenised, and no canonical form: %v", c.spec.Scheme, err)
			}
			plain, err := c.Reveal(nil, got[4:])
			if err != nil || !bytes.Equal(plain, want) || c.Digest(plain) != digest {
				t.Fatalf("%s: %q revealed as %q, %v", c.spec.Scheme, b, plain, err)
			}
			if search, err := c.Search(nil, plain); err == nil && !bytes.HasPrefix(got[4:], search) {
				t.Fatalf("%s: its own value does not find it: %q, %q", c.spec.Scheme, search, got[4:])
			}
		}
	})
}

// TestErrorsHoldNoValue looks for what was refused in the sentence that refuses it.
func TestErrorsHoldNoValue(t *testing.T) {
	for _, c := range codecsOf(t, testRing(t)) {
		for _, value := range []string{"MARKER\x00", "MARKER@", "MARKER", "+49MARKER", "CS-MARKER", "ZZ-MARKER", "1980-MARKER", "tk1:MARKER", "MARKER@k1.invalid"} {
			_, err := c.Tokenise(nil, []byte(value), zeros{})
			_, err2 := c.Reveal(nil, []byte(value))
			if strings.Contains(strings.ToUpper(fmt.Sprint(err, err2)), "MARKER") {
				t.Errorf("%s: %v, %v", c.spec.Scheme, err, err2)
			}
		}
	}
}
