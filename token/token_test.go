package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"sallyport"
)

// testRoot is the root of every fixed example in tests and documentation: bytes 0x00 … 0x1f.
func testRoot(t testing.TB) Secret {
	t.Helper()
	b := make([]byte, SecretSize)
	for i := range b {
		b[i] = byte(i)
	}
	s, err := NewSecret(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testRing(t testing.TB) *Ring {
	t.Helper()
	r, err := NewRing(testRoot(t), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testSpec is a column for each scheme.
func testSpec(s sallyport.Scheme) Spec {
	spec := Spec{Scheme: s, Column: sallyport.Column{Schema: "support", Table: "customers", Name: string(s)}}
	if s == sallyport.Number {
		spec.Prefixes = map[string]string{"CS": "ZQ", "TK": "XW"}
	}
	return spec
}

func testCodec(t testing.TB, s sallyport.Scheme) *Codec {
	t.Helper()
	c, err := testRing(t).Codec(testSpec(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func schemes() []sallyport.Scheme {
	return []sallyport.Scheme{
		sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text, sallyport.Date,
		sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID,
	}
}

func mustTokenise(t testing.TB, c *Codec, plain string) []byte {
	t.Helper()
	tok, err := c.Tokenise(nil, []byte(plain), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// otherCodec has another root and another group.
func otherCodec(t testing.TB, s sallyport.Scheme, group string) *Codec {
	t.Helper()
	root, err := NewSecret(bytes.Repeat([]byte{7}, SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRing(root, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpec(s)
	spec.Group = group
	c, err := r.Codec(spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// zeros is a source of randomness for fixed examples.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// example is a value and its token under the root of the tests, with zeros for randomness.
type example struct {
	scheme       sallyport.Scheme
	plain, token string
}

// examples fix tokens of each scheme for ever: tokens at rest must stay readable. docs/tokens shows the same.
func examples() []example {
	return []example{
		{sallyport.Email, "jane.roe@example.com", "meer56357arnmhb8i3o1qi00ung0on4o1gkc47h1fnrkotnms7gc1ahaas@k1.invalid"},
		{sallyport.Email, "a.very.long.name.that.spills.into.labels@mail.example.com", "rgmc0gpp43moqpe4aspo014v4g5b2b7lqpi94mf4asus4rfumh8ivugs5khg449h@a62lun3gpnj814d0j7863dsg41til2q1t25n7bnfos9bdg0r6d98a.k1.invalid"},
		{sallyport.Phone, "+442071838750", "+899475261013004"},
		{sallyport.Number, "CS-4821-7730", "ZQ-2237-1136"},
		{sallyport.Name, "Jane Q. Roe", "tk1:A37s6rHP08M8E5UaEQAAAAAAAAAAAAAAAGIQtfByJMRTtLi0weLMXPG3aHnFWjQjtrA42Q"},
		{sallyport.Text, "Called about her invoice.", "tk1:aEQAAAAAAAAAAAAAAABGLCB5aTe2ayflwXGHjkerT8-rQTurFcntYdTuWQo23nB-cqJdFwQRO"},
		{sallyport.Date, "1980-02-29", "3464-09-04"},
		{sallyport.Timestamp, "1980-02-29 12:34:56.5", "5017-10-18 03:09:06.600969"},
		{sallyport.Timestamptz, "1980-02-29 12:34:56.5+00", "3972-04-07 16:26:36.035987+00"},
		{sallyport.Int4, "123456789", "775875137"},
		{sallyport.Int8, "123456789", "-6917096858966000152"},
		{sallyport.UUID, "f47ac10b-58cc-4372-a567-0e02b2c3d479", "078ded81-5757-4bf2-a309-4bece118b87a"},
	}
}

func TestExamples(t *testing.T) {
	for _, c := range examples() {
		codec := testCodec(t, c.scheme)
		tok, err := codec.Tokenise(nil, []byte(c.plain), zeros{})
		if err != nil || string(tok) != c.token {
			t.Errorf("%s: token %s, %v, want %s", c.scheme, tok, err, c.token)
		}
		if plain, err := codec.Reveal(nil, []byte(c.token)); err != nil || string(plain) != c.plain {
			t.Errorf("%s: revealed %q, %v", c.scheme, plain, err)
		}
	}
}

// TestWrittenTwice checks that a token is never wrapped in another: an application that read tokens writes them back.
func TestWrittenTwice(t *testing.T) {
	for s, plain := range map[sallyport.Scheme]string{
		sallyport.Email: "jane.roe@example.com", sallyport.Phone: "+442071838750", sallyport.Number: "CS-4821-7730",
		sallyport.Name: "Jane Roe", sallyport.Text: "hello", sallyport.Date: "1980-02-29",
	} {
		c := testCodec(t, s)
		tok := mustTokenise(t, c, plain)
		if _, err := c.Tokenise(nil, tok, rand.Reader); !errors.Is(err, ErrAlreadyToken) || !errors.Is(err, ErrDomain) {
			t.Errorf("%s: %v", s, err)
		}
		if _, err := c.Search(nil, tok); c.Searchable() && !errors.Is(err, ErrAlreadyToken) {
			t.Errorf("%s: %v", s, err)
		}
		if strings.ContainsAny(string(tok), "'\"\\{},() \x00") {
			t.Errorf("%s: %s would need quotes somewhere", s, tok)
		}
	}
}

// TestSearch checks what an equality compares with.
func TestSearch(t *testing.T) {
	for _, s := range schemes() {
		c := testCodec(t, s)
		if c.Searchable() != (s != sallyport.Text) || c.Deterministic() != (s != sallyport.Text && s != sallyport.Name) {
			t.Errorf("%s: searchable %t, deterministic %t", s, c.Searchable(), c.Deterministic())
		}
	}
	c := testCodec(t, sallyport.Email)
	if got, err := c.Search(nil, []byte("JANE.ROE@example.com")); err != nil || !bytes.Equal(got, mustTokenise(t, c, "jane.roe@example.com")) {
		t.Errorf("e-mail: %s, %v", got, err)
	}
	if _, err := testCodec(t, sallyport.Text).Search(nil, []byte("hello")); !errors.Is(err, ErrUnsearchable) {
		t.Errorf("text: %v", err)
	}
	c = testCodec(t, sallyport.Name)
	if _, err := c.Search(nil, []byte("\xff")); !errors.Is(err, ErrDomain) {
		t.Errorf("name: %v", err)
	}
	index, err := c.Search([]byte("kept "), []byte("J\u00fcrgen Stra\u00dfe"))
	if err != nil || len(index) != 5+NamePrefixLen || !strings.HasPrefix(string(index), "kept tk1:A") {
		t.Fatalf("name: %s, %v", index, err)
	}
	for same, want := range map[string]bool{
		"J\u00fcrgen Stra\u00dfe":         true,
		" J\u00dcRGEN\u00a0 STRASSE\t":    true,
		"Ju\u0308rgen Strasse":            true,
		"J\u00fcrgen\u200b Stra\u00adsse": true,
		"J\u00fcrgenStra\u00dfe":          false,
		"Jurgen Strasse":                  false,
		"":                                false,
	} {
		tok := mustTokenise(t, c, same)
		if bytes.Equal(tok[:NamePrefixLen], index[5:]) != want {
			t.Errorf("name %q: equal is not %t", same, want)
		}
		if (c.Digest([]byte(same)) == c.Digest([]byte("J\u00fcrgen Stra\u00dfe"))) != want {
			t.Errorf("name %q: equal digests are not %t", same, want)
		}
	}
	if a, b := mustTokenise(t, c, "Jane Roe"), mustTokenise(t, c, "Jane Roe"); bytes.Equal(a, b) {
		t.Error("two tokens of one name are equal")
	}
}

// TestRandomness checks that a name is not tokenised without randomness.
func TestRandomness(t *testing.T) {
	for _, s := range []sallyport.Scheme{sallyport.Name, sallyport.Text} {
		for _, random := range []io.Reader{nil, iotest.ErrReader(io.ErrNoProgress), strings.NewReader("short")} {
			if got, err := testCodec(t, s).Tokenise([]byte("kept"), []byte("Jane"), random); err == nil || errors.Is(err, ErrDomain) || string(got) != "kept" {
				t.Errorf("%s with %v: got %q, %v", s, random, got, err)
			}
		}
	}
}

// TestGroups checks that a join group shares tokens and others do not, and that digests and indexes follow.
func TestGroups(t *testing.T) {
	r := testRing(t)
	var tokens, digests []string
	for _, group := range []string{"", "email", "billing"} {
		spec := testSpec(sallyport.Email)
		spec.Group = group
		spec.Column.Table = "table_" + group
		c, err := r.Codec(spec)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, string(mustTokenise(t, c, "jane.roe@example.com")))
		digests = append(digests, fmt.Sprint(c.Digest([]byte("jane.roe@example.com"))))
	}
	if tokens[0] != tokens[1] || tokens[0] == tokens[2] {
		t.Error("the default group is not the scheme, or another group has the same key")
	}
	if digests[0] != digests[2] {
		t.Error("digests differ by group: who-saw could not follow a value")
	}
	if testCodec(t, sallyport.Phone).Digest([]byte("x")) == testCodec(t, sallyport.Text).Digest([]byte("x")) {
		t.Error("digests of two schemes are equal")
	}
	c := testCodec(t, sallyport.Phone)
	if c.TokenDigest([]byte("x")) != testCodec(t, sallyport.Email).TokenDigest([]byte("x")) || c.TokenDigest([]byte("x")) == c.TokenDigest([]byte("y")) {
		t.Error("token digests do not follow the token alone")
	}
}

// TestSettings lists what NewRing and Codec refuse.
func TestSettings(t *testing.T) {
	if _, err := NewRing(Secret{}, Settings{}); err == nil {
		t.Error("no root: accepted")
	}
	for _, domain := range []string{
		"invalid", "k2.invalid", "K1.invalid", "k1.", "k1..invalid", "k1.-x", "k1.x y", "k1.k1.invalid", "k1." + strings.Repeat("x", 64), "tokens.k1.invalid",
	} {
		if _, err := NewRing(testRoot(t), Settings{EmailDomain: domain}); err == nil {
			t.Errorf("e-mail domain %q: accepted", domain)
		}
	}
	if _, err := NewRing(testRoot(t), Settings{EmailDomain: "k1.tokens.example.com", PhoneCode: "83"}); err != nil {
		t.Error(err)
	}
	if _, err := NewRing(testRoot(t), Settings{PhoneCode: "44"}); err == nil {
		t.Error("phone code 44: accepted")
	}
	for why, change := range map[string]func(*Spec){
		"scheme":                     func(s *Spec) { s.Scheme = "md5" },
		"no scheme":                  func(s *Spec) { s.Scheme = "" },
		"prefixes elsewhere":         func(s *Spec) { s.Scheme = sallyport.Phone },
		"no prefixes":                func(s *Spec) { s.Prefixes = nil },
		"prefix of other length":     func(s *Spec) { s.Prefixes = map[string]string{"CS": "ZQX"} },
		"empty prefix":               func(s *Spec) { s.Prefixes = map[string]string{"": ""} },
		"digits in a prefix":         func(s *Spec) { s.Prefixes = map[string]string{"C5": "ZQ"} },
		"prefix mapped to itself":    func(s *Spec) { s.Prefixes = map[string]string{"CS": "cs"} },
		"reserved prefix used twice": func(s *Spec) { s.Prefixes = map[string]string{"CS": "ZQ", "TK": "ZQ"} },
		"prefix twice but for case":  func(s *Spec) { s.Prefixes = map[string]string{"CS": "ZQ", "cs": "XW"} },
		"prefix that is reserved":    func(s *Spec) { s.Prefixes = map[string]string{"CS": "ZQ", "ZQ": "XW"} },
		"long prefix":                func(s *Spec) { s.Prefixes = map[string]string{"ABCDEFGHIJK": "LMNOPQRSTUV"} },
		"name without a column":      func(s *Spec) { *s = Spec{Scheme: sallyport.Name} },
	} {
		spec := testSpec(sallyport.Number)
		change(&spec)
		if _, err := testRing(t).Codec(spec); err == nil {
			t.Errorf("%s: accepted", why)
		}
	}
}

// TestDays walks over all plain days in PostgreSQL's binary form, and over the ends.
func TestDays(t *testing.T) {
	c := testCodec(t, sallyport.Date)
	first, _ := ParseDay([]byte("1800-01-01"))
	last, _ := ParseDay([]byte("2199-12-31"))
	low, _ := ParseDay([]byte("2200-01-01"))
	if y2k, ok := ParseDay([]byte("2000-01-01")); !ok || y2k != 0 || last-first != plainDays-1 || low != last+1 {
		t.Fatalf("days: %d %d %d %d", y2k, first, last, low)
	}
	seen := make(map[int32]bool, plainDays)
	for day := first; day <= last; day++ {
		tok, err := c.TokeniseDay(day)
		if err != nil || tok < low || tok >= low+tokenDays || seen[tok] {
			t.Fatalf("day %d: token %d, %v", day, tok, err)
		}
		seen[tok] = true
		if back, err := c.RevealDay(tok); err != nil || back != day {
			t.Fatalf("day %d: revealed %d, %v", day, back, err)
		}
		if text := AppendDay(nil, day); len(text) != isoLength {
			t.Fatalf("day %d is %s", day, text)
		} else if again, ok := ParseDay(text); !ok || again != day {
			t.Fatalf("day %d is %s and read as %d", day, text, again)
		}
	}
	const maxDay, minDay = 1<<31 - 1, -1 << 31 // infinity and -infinity
	for _, day := range []int32{first - 1, minDay, maxDay, low + tokenDays} {
		if _, err := c.TokeniseDay(day); !errors.Is(err, ErrDomain) || errors.Is(err, ErrAlreadyToken) {
			t.Errorf("tokenise day %d: %v", day, err)
		}
		if _, err := c.RevealDay(day); !errors.Is(err, ErrNotToken) {
			t.Errorf("reveal day %d: %v", day, err)
		}
	}
	if _, err := c.TokeniseDay(low); !errors.Is(err, ErrAlreadyToken) {
		t.Errorf("tokenise a token: %v", err)
	}
	refused := 0
	for day := low; day < low+tokenDays; day++ {
		if _, err := c.RevealDay(day); errors.Is(err, ErrNotToken) {
			refused++
		}
	}
	if refused != tokenDays-plainDays {
		t.Errorf("%d of %d days are refused as tokens, want all that no day has", refused, tokenDays)
	}
	if _, err := testCodec(t, sallyport.Text).TokeniseDay(0); !errors.Is(err, ErrDomain) {
		t.Error("a text has days")
	}
	if _, err := testCodec(t, sallyport.Text).RevealDay(low); !errors.Is(err, ErrNotToken) {
		t.Error("a text has days")
	}
}

// TestInverse draws values of each scheme: Reveal(Tokenise(x)) is Canonical(x), equal values have equal tokens where
// the scheme says so, and Find sees the token within a text.
func TestInverse(t *testing.T) {
	digits := func(least, most int) *rapid.Generator[string] {
		return rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), least, most, -1)
	}
	for s, values := range map[sallyport.Scheme]*rapid.Generator[string]{
		sallyport.Email:       rapid.StringMatching(`[a-zA-Z0-9.+äÖé-]{1,60}@[a-z0-9ü]{1,20}\.[a-zA-Z]{2,10}`),
		sallyport.Phone:       rapid.StringMatching(`\+[124567]([0-9][ -]?){5,12}`),
		sallyport.Number:      rapid.Map(digits(6, 30), func(d string) string { return "CS-" + d[:3] + "-" + d[3:] }),
		sallyport.Name:        rapid.StringN(0, 60, 1024),
		sallyport.Text:        rapid.StringN(0, 400, -1),
		sallyport.Date:        rapid.Map(rapid.Int32Range(-73048, 73048), func(day int32) string { return string(AppendDay(nil, day)) }),
		sallyport.Timestamp:   rapid.Map(rapid.Int64Range(-6e15, 6e15), func(at int64) string { return string(AppendMoment(nil, at)) }),
		sallyport.Timestamptz: rapid.Map(rapid.Int64Range(-6e15, 6e15), func(at int64) string { return string(AppendMoment(nil, at)) + "-05:30" }),
		sallyport.Int4:        rapid.Map(rapid.Int32(), func(n int32) string { return strconv.Itoa(int(n)) }),
		sallyport.Int8:        rapid.Map(rapid.Int64(), func(n int64) string { return strconv.FormatInt(n, 10) }),
		sallyport.UUID:        rapid.StringMatching(`[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}`),
	} {
		t.Run(string(s), func(t *testing.T) {
			c := testCodec(t, s)
			rapid.Check(t, func(t *rapid.T) { checkInverse(t, c, values.Draw(t, "value")) })
		})
	}
}

func checkInverse(t *rapid.T, c *Codec, value string) {
	want, err := c.Canonical(nil, []byte(value))
	if err != nil {
		if strings.ContainsRune(value, 0) {
			return
		}
		t.Fatal(err)
	}
	tok, err := c.Tokenise(nil, []byte(value), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Reveal(nil, tok)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("revealed %q, %v, want %q", got, err, want)
	}
	if c.IsToken(tok) != c.Recognisable() || c.IsToken(got) {
		t.Fatalf("%s is no token, or its value is", tok)
	}
	if c.Deterministic() {
		if search, err := c.Search(nil, want); err != nil || !bytes.Equal(search, tok) {
			t.Fatalf("searched by %s, %v, want %s", search, err, tok)
		}
		if again, err := c.Canonical(nil, want); err != nil || !bytes.Equal(again, want) {
			t.Fatalf("the canonical form of %q is %q, %v", want, again, err)
		}
	}
	if c.Digest([]byte(value)) != c.Digest(want) || c.DigestRevealed(got) != c.Digest(want) {
		t.Fatal("the digest is not that of the canonical form")
	}
	if !c.Recognisable() || c.forms.Load().moment != nil { // Find sees the day of a moment
		return
	}
	text := `{"k": "` + string(tok) + `"}`
	start, end, scheme, ok := c.ring.Find([]byte(text), 0)
	if !ok || text[start:end] != string(tok) || scheme != "" && scheme != c.spec.Scheme {
		t.Fatalf("found %d:%d %s %t in %s", start, end, scheme, ok, text)
	}
}

// TestConcurrent uses one ring from many goroutines, for the race detector.
func TestConcurrent(t *testing.T) {
	r := testRing(t)
	var group sync.WaitGroup
	for _, s := range schemes() {
		for range 2 {
			group.Go(func() {
				c, err := r.Codec(testSpec(s))
				if err != nil {
					t.Error(err)
					return
				}
				plain := map[sallyport.Scheme]string{
					sallyport.Email: "a@b", sallyport.Phone: "+123456", sallyport.Number: "CS123456", sallyport.Date: "1980-01-01",
					sallyport.Timestamp: "1980-01-01 01:02:03.4", sallyport.Timestamptz: "1980-01-01 01:02:03.4+00", sallyport.Int4: "-7", sallyport.Int8: "99", sallyport.UUID: "f47ac10b-58cc-4372-a567-0e02b2c3d479",
				}[s]
				for range 100 {
					tok, err := c.Tokenise(nil, []byte(plain), rand.Reader)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := c.Reveal(nil, tok); err != nil || string(got) != plain {
						t.Errorf("%s: revealed %q, %v", s, got, err)
					}
					r.Find(tok, 0)
				}
			})
		}
	}
	group.Wait()
}

// TestEmailHasOneSpelling changes tokens of many lengths in one place: none but the token itself is revealed, and what is
// read looks like a token.
func TestEmailHasOneSpelling(t *testing.T) {
	c := testCodec(t, sallyport.Email)
	rapid.Check(t, func(t *rapid.T) {
		value := strings.Repeat("a", rapid.IntRange(1, 60).Draw(t, "local")) + "@" + strings.Repeat("b", rapid.IntRange(1, 60).Draw(t, "domain"))
		tok, err := c.Tokenise(nil, []byte(value), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(tok)).Draw(t, "at")
		changed := slices.Clone(tok)
		piece := []byte(rapid.SampledFrom([]string{"", ".", "@", "0", "v", "V", "w", "k1.invalid", ".k1.invalid", "00000000"}).Draw(t, "piece"))
		changed = slices.Replace(changed, at, min(len(changed), at+rapid.IntRange(0, 70).Draw(t, "away")), piece...)
		if _, err := c.Reveal(nil, changed); (err == nil) != bytes.Equal(changed, tok) {
			t.Fatalf("%s for %s: %v", changed, tok, err)
		}
		s := c.ring.pool.get()
		defer c.ring.pool.put(s)
		if _, ok := c.forms.Load().email.read(s, changed); ok && !c.IsToken(changed) {
			t.Fatalf("%s is read and does not look like a token", changed)
		}
	})
}

// TestPages holds the page of each scheme to its example: the value and its token, each on a line of its own.
func TestPages(t *testing.T) {
	for _, c := range examples() {
		name := string(c.scheme)
		switch c.scheme {
		case sallyport.Int4, sallyport.Int8:
			name = "integer"
		case sallyport.Timestamptz:
			name = "timestamp"
		default:
		}
		page, err := os.ReadFile(filepath.Join("..", "docs", "tokens", name+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		if want := "\n    " + c.plain + "\n    " + c.token + "\n"; !strings.Contains(string(page), want) {
			t.Errorf("the page of %s lacks its example:%s", c.scheme, want)
		}
		for _, word := range []string{"Hides ", "**Gives away**", "Limit", "Bytes"} {
			if !strings.Contains(string(page), word) {
				t.Errorf("the page of %s does not say %q", c.scheme, word)
			}
		}
	}
}
