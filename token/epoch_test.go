package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"

	"sallyport"
)

// epochKey is the data key of one epoch in fixed examples: the first epoch's is testRoot, the others' are one byte over and over.
func epochKey(t testing.TB, epoch int) DataKey {
	t.Helper()
	if epoch == 1 {
		return DataKey{Epoch: 1, Secret: testRoot(t)}
	}
	s, err := NewSecret(bytes.Repeat([]byte{byte(epoch)}, SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	return DataKey{Epoch: epoch, Secret: s}
}

// epochKeys gives every scheme's group the same keys, the newest epoch first.
func epochKeys(t testing.TB, epochs ...int) Keys {
	t.Helper()
	keys := Keys{Record: testRoot(t), Groups: map[string][]DataKey{}}
	for _, s := range schemes() {
		for _, epoch := range epochs {
			keys.Groups[string(s)] = append(keys.Groups[string(s)], epochKey(t, epoch))
		}
	}
	return keys
}

func epochRing(t testing.TB, epochs ...int) *Ring {
	t.Helper()
	r, err := NewKeyedRing(epochKeys(t, epochs...), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func epochCodec(t testing.TB, r *Ring, s sallyport.Scheme) *Codec {
	t.Helper()
	spec := testSpec(s)
	if s == sallyport.Number {
		spec.NextPrefixes = map[string]string{"CS": "ZX", "TK": "XY"}
	}
	c, err := r.Codec(spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func plains() map[sallyport.Scheme]string {
	return map[sallyport.Scheme]string{
		sallyport.Email: "jane.roe@example.com", sallyport.Phone: "+442071838750", sallyport.Number: "CS-4821-7730",
		sallyport.Name: "Jane Q. Roe", sallyport.Text: "Called about her invoice.", sallyport.Date: "1980-02-29",
	}
}

// TestEpochExamples fixes one token of each scheme in the second epoch. docs/tokens shows the same.
func TestEpochExamples(t *testing.T) {
	r := epochRing(t, 2, 1)
	for s, want := range map[sallyport.Scheme]string{
		sallyport.Email:  "6mqhijhuv5pd1km8occkifbebi2isv5uelojvo5oo1ifmoipsjvfrtf09k@k2.invalid",
		sallyport.Phone:  "+832806631283246",
		sallyport.Number: "ZX-3057-4445",
		sallyport.Name:   "tk1:BxrSBrOYvRHI8PNPEQAAAAAAAAAAAAAAADsVlfKHhNqslYNxV5upxbvAU0fn7uxn7Jj8pg",
		sallyport.Text:   "tk1:bEQAAAAAAAAAAAAAAAPNHwjE3p7Z-fCGCDDJ9hcqyFESsBp3q9khUDP-1xcBQlW9uv-uY9PeE",
		sallyport.Date:   "9583-11-21",
	} {
		tok, err := epochCodec(t, r, s).Tokenise(nil, []byte(plains()[s]), zeros{})
		if err != nil || string(tok) != want {
			t.Errorf("%s: token %s, %v, want %s", s, tok, err, want)
		}
	}
}

// TestEpochs walks a column through a rotation: what every token is taken for, before, during and after it.
func TestEpochs(t *testing.T) {
	for s, plain := range plains() {
		ring := epochRing(t, 1)
		c := epochCodec(t, ring, s)
		form, digest := c.Form(), c.Digest([]byte(plain))
		first := mustTokenise(t, c, plain)
		if err := ring.Rekey(epochKeys(t, 2, 1)); err != nil {
			t.Fatal(err)
		}
		second := mustTokenise(t, c, plain)
		expectEpoch(t, c, first, plain, 1)
		expectEpoch(t, c, second, plain, 2)
		expectSearches(t, c, plain, first, second)
		renewed, changed, err := c.Renew([]byte("x"), first, rand.Reader)
		if err != nil || !changed {
			t.Fatalf("%s: renew an old token: %v, %v", s, changed, err)
		}
		expectEpoch(t, c, renewed[1:], plain, 2)
		before, tied := Handle(first)
		if after, ok := Handle(renewed[1:]); ok != tied || after != before {
			t.Errorf("%s: a renewed token has another handle, so that it is nobody's", s)
		}
		if c.Deterministic() && string(renewed[1:]) != string(second) {
			t.Errorf("%s: a renewed token is another than a new one", s)
		}
		if same, changed, err := c.Renew(nil, second, rand.Reader); err != nil || changed || len(same) != 0 {
			t.Errorf("%s: a new token was renewed: %v", s, err)
		}
		if _, _, err := c.Renew(nil, []byte(plain), rand.Reader); !errors.Is(err, ErrNotToken) {
			t.Errorf("%s: a value was renewed: %v", s, err)
		}
		for _, tok := range [][]byte{first, second} {
			if _, err := c.Tokenise(nil, tok, rand.Reader); !errors.Is(err, ErrAlreadyToken) {
				t.Errorf("%s: a token was tokenised: %v", s, err)
			}
			if _, err := c.Canonical(nil, tok); !errors.Is(err, ErrAlreadyToken) {
				t.Errorf("%s: a token has a canonical form: %v", s, err)
			}
			text := []byte("a row with " + string(tok))
			if start, end, _, ok := ring.Find(text, 0); !ok || string(text[start:end]) != string(tok) {
				t.Errorf("%s: %s is not found in a text", s, tok)
			}
		}
		if err := ring.Rekey(epochKeys(t, 2)); err != nil {
			t.Fatal(err)
		}
		expectEpoch(t, c, second, plain, 2)
		if c.IsToken(first) {
			t.Errorf("%s: a token of a destroyed epoch is taken for one that can be read", s)
		}
		if _, err := c.Reveal(nil, first); !errors.Is(err, ErrNotToken) {
			t.Errorf("%s: a token of a destroyed epoch was revealed", s)
		}
		if c.Form() != form || c.Digest([]byte(plain)) != digest {
			t.Errorf("%s: form or digest changed with the epoch", s)
		}
	}
}

func expectEpoch(t *testing.T, c *Codec, tok []byte, plain string, epoch int) {
	t.Helper()
	if !c.IsToken(tok) || c.Epoch(tok) != epoch {
		t.Errorf("%s: %s is of epoch %d, want %d", c.spec.Scheme, tok, c.Epoch(tok), epoch)
	}
	if got, err := c.Reveal([]byte("x"), tok); err != nil || string(got) != "x"+plain {
		t.Errorf("%s: revealed %q, %v", c.spec.Scheme, got, err)
	}
	var room Room
	if got, digest, err := c.RevealDigest(&room, []byte("x"), tok); err != nil || string(got) != "x"+plain || digest != c.Digest([]byte(plain)) {
		t.Errorf("%s: revealed with its digest %q, %v", c.spec.Scheme, got, err)
	}
	if c.spec.Scheme == sallyport.Date {
		day, _ := ParseDay(tok)
		if plainDay, err := c.RevealDay(day); err != nil || string(AppendDay(nil, plainDay)) != plain {
			t.Errorf("date: revealed day %d, %v", plainDay, err)
		}
		if _, err := c.TokeniseDay(day); !errors.Is(err, ErrAlreadyToken) {
			t.Errorf("date: a token day was tokenised: %v", err)
		}
	}
}

// expectSearches holds that one search finds the value in both epochs, whether it is asked for by value or by either token.
func expectSearches(t *testing.T, c *Codec, plain string, first, second []byte) {
	t.Helper()
	if !c.Searchable() {
		if _, err := c.Searches([]byte(plain)); !errors.Is(err, ErrUnsearchable) {
			t.Errorf("%s: %v", c.spec.Scheme, err)
		}
		return
	}
	want := string(c.forms.Load().front(second)) + " " + string(c.forms.Load().front(first))
	for _, value := range [][]byte{[]byte(plain), first, second} {
		all, err := c.Searches(value)
		if err != nil || string(bytes.Join(all, []byte(" "))) != want {
			t.Errorf("%s: searches %s, %v, want %s", c.spec.Scheme, all, err, want)
		}
	}
	if one, err := c.Search(nil, []byte(plain)); err != nil || !strings.HasPrefix(want, string(one)) {
		t.Errorf("%s: search %s, %v", c.spec.Scheme, one, err)
	}
}

// TestForgedSearch looks for a token that stands for nothing: it is compared with as it is, and nothing else is.
func TestForgedSearch(t *testing.T) {
	c := epochCodec(t, epochRing(t, 2, 1), sallyport.Email)
	forged := bytes.Replace(mustTokenise(t, c, "jane.roe@example.com"), []byte("@k2."), []byte("@k1."), 1)
	if all, err := c.Searches(forged); err != nil || len(all) != 1 || string(all[0]) != string(forged) {
		t.Errorf("%s, %v", all, err)
	}
}

// TestEpochsComeRound: whichever two epochs follow one another, their tokens differ in form.
func TestEpochsComeRound(t *testing.T) {
	for epoch := 1; epoch < maxEpoch; epoch++ {
		a, b := (Settings{EmailDomain: "k1.invalid", PhoneCode: "89"}).forms(epoch), (Settings{EmailDomain: "k1.invalid", PhoneCode: "89"}).forms(epoch+1)
		if a.domain == b.domain || a.code == b.code || a.name == b.name || a.text == b.text || a.day == b.day || len(a.domain) != len(b.domain) {
			t.Fatalf("epochs %d and %d look alike: %+v %+v", epoch, epoch+1, a, b)
		}
	}
}

// TestTokenDomains: no address under the domain of any epoch is an address to tokenise.
func TestTokenDomains(t *testing.T) {
	c := epochCodec(t, epochRing(t, 2), sallyport.Email)
	for address, ok := range map[string]bool{
		"a@k1.invalid": false, "a@k2.invalid": false, "a@k9.invalid": false, "a@b.k3.invalid": false,
		"a@k0.invalid": true, "a@kx.invalid": true, "a@invalid": true, "a@xk1.invalid": true, "a@k1.invalid.example": true,
	} {
		if _, err := c.Tokenise(nil, []byte(address), nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestKeysRefused lists keys that no ring is made of, and no ring is changed to.
func TestKeysRefused(t *testing.T) {
	with := func(keys ...DataKey) Keys { return Keys{Record: testRoot(t), Groups: map[string][]DataKey{"g": keys}} }
	k := func(epoch int) DataKey { return epochKey(t, epoch) }
	ring := epochRing(t, 1)
	codec := epochCodec(t, ring, sallyport.Email)
	before := mustTokenise(t, codec, "jane.roe@example.com")
	for name, keys := range map[string]Keys{
		"nothing":               {},
		"no secret for digests": {Groups: map[string][]DataKey{"g": {k(1)}}},
		"no secret":             with(DataKey{Epoch: 1}),
		"epoch 0":               with(DataKey{Epoch: 0, Secret: testRoot(t)}),
		"epoch 256":             with(DataKey{Epoch: maxEpoch + 1, Secret: testRoot(t)}),
		"one left out":          with(k(3), k(1)),
		"the same twice":        with(k(1), k(1)),
		"three":                 with(k(3), k(2), k(1)),
	} {
		if _, err := NewKeyedRing(keys, Settings{}); err == nil {
			t.Errorf("%s: a ring was made", name)
		}
		if err := ring.Rekey(keys); err == nil {
			t.Errorf("%s: the ring was changed", name)
		}
	}
	if err := ring.Rekey(with(k(1))); err == nil || !strings.Contains(err.Error(), "join group email") {
		t.Errorf("the key of a column in use went: %v", err)
	}
	if string(mustTokenise(t, codec, "jane.roe@example.com")) != string(before) {
		t.Error("what was refused changed something")
	}
	if _, err := ring.Codec(Spec{Scheme: sallyport.Phone, Group: "elsewhere"}); err == nil || !strings.Contains(err.Error(), "no key of the join group elsewhere") {
		t.Errorf("a codec without a key: %v", err)
	}
}

// TestNumberEpochs: without a second prefix the tokens of two epochs could not be told apart.
func TestNumberEpochs(t *testing.T) {
	ring := epochRing(t, 1)
	if _, err := ring.Codec(testSpec(sallyport.Number)); err != nil {
		t.Fatal(err)
	}
	if err := ring.Rekey(epochKeys(t, 2, 1)); err == nil || !strings.Contains(err.Error(), "next_prefixes") {
		t.Errorf("rotated without a second prefix: %v", err)
	}
	if err := ring.Rotatable("number"); err == nil || !strings.Contains(err.Error(), "next_prefixes") {
		t.Errorf("rotatable without a second prefix: %v", err)
	}
	if err := ring.Rotatable("email"); err != nil {
		t.Errorf("not rotatable: %v", err)
	}
	if err := ring.Rotatable("other"); err == nil {
		t.Error("a group without a key is rotatable")
	}
	for name, next := range map[string]map[string]string{
		"the same":           {"CS": "ZQ", "TK": "XY"},
		"that of another":    {"CS": "XW", "TK": "XY"},
		"a plain one":        {"CS": "TK", "TK": "XY"},
		"twice":              {"CS": "XY", "TK": "XY"},
		"another length":     {"CS": "ZXX", "TK": "XY"},
		"one missing":        {"CS": "ZX"},
		"one more":           {"CS": "ZX", "TK": "XY", "AB": "YY"},
		"the same, in small": {"CS": "zq", "TK": "XY"},
	} {
		spec := testSpec(sallyport.Number)
		spec.NextPrefixes = next
		if _, err := ring.Codec(spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestRekeyWhileUsed exchanges keys while others tokenise and reveal: each token they made can be read by them.
func TestRekeyWhileUsed(t *testing.T) {
	ring := epochRing(t, 1)
	var group sync.WaitGroup
	for s, plain := range plains() {
		c := epochCodec(t, ring, s)
		group.Go(func() {
			for range 200 {
				tok := mustTokenise(t, c, plain)
				if got, err := c.Reveal(nil, tok); err != nil || string(got) != plain {
					t.Errorf("%s: %q, %v", s, got, err)
				}
				if _, _, _, ok := ring.Find(tok, 0); !ok {
					t.Errorf("%s: a token is not known by its form", s)
				}
			}
		})
	}
	both := epochKeys(t, 2, 1)
	if err := ring.Rekey(both); err != nil {
		t.Error(err)
	}
	group.Wait()
}

// TestCodecOnce: whoever asks again gets the codec that there is, so that a ring does not grow, and that of another column is another.
func TestCodecOnce(t *testing.T) {
	ring := epochRing(t, 1)
	first := epochCodec(t, ring, sallyport.Number)
	if epochCodec(t, ring, sallyport.Number) != first {
		t.Error("a second codec was made")
	}
	other := first.Spec()
	other.NextPrefixes = map[string]string{"CS": "ZV", "TK": "XY"}
	if c, err := ring.Codec(other); err != nil || c == first {
		t.Errorf("other prefixes have the same codec: %v", err)
	}
}
