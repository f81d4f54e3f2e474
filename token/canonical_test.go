package token

import (
	"errors"
	"strings"
	"testing"

	"sallyport"
)

// TestCanonicalVersion1 fixes the canonical forms of version 1 for ever: equal values have equal tokens only while nothing here changes. A
// row that has to change, for a newer Unicode or other rules about telephone numbers too, needs another version, and a rotation.
func TestCanonicalVersion1(t *testing.T) {
	for _, c := range []struct {
		scheme              sallyport.Scheme
		region, plain, want string // nothing wanted: refused
	}{
		// Addresses: case goes, also of the local part; NFC; nothing else of Unicode and no part of an address is given another meaning.
		{sallyport.Email, "", " Jane.Roe+News@EXAMPLE.Com ", "jane.roe+news@example.com"},
		{sallyport.Email, "", "J.A.N.E@gmail.com", "j.a.n.e@gmail.com"},
		{sallyport.Email, "", "J\u00dcRGEN@M\u00dcLLER.example", "j\u00fcrgen@m\u00fcller.example"},
		{sallyport.Email, "", "ju\u0308rgen@mu\u0308ller.example", "j\u00fcrgen@m\u00fcller.example"},
		{sallyport.Email, "", "jane@xn--mller-kva.example", "jane@xn--mller-kva.example"},
		{sallyport.Email, "", "STRASSE@stra\u00dfe.example", "strasse@stra\u00dfe.example"},
		{sallyport.Email, "", "\u0130@example.com", "i@example.com"},
		{sallyport.Email, "", "\u03a3\u03a3@example.gr", "\u03c3\u03c3@example.gr"},
		{sallyport.Email, "", "\uff2a@example.com", "\uff4a@example.com"},
		{sallyport.Email, "", "\u212bngstr\u00f6m@example.com", "\u00e5ngstr\u00f6m@example.com"},

		// International numbers: the digits as they are, 00 for +, (0) dropped. No country's rules are asked.
		{sallyport.Phone, "", "+44 (0)20 7183-8750", "+442071838750"},
		{sallyport.Phone, "", "0049 30 1234567", "+49301234567"},
		{sallyport.Phone, "", "+49 030 1234567", "+490301234567"},
		{sallyport.Phone, "", "+39 06 698 12345", "+390669812345"},
		{sallyport.Phone, "", "030 1234567", ""},
		{sallyport.Phone, "DE", "+49 (0)30 1234567", "+49301234567"},
		{sallyport.Phone, "DE", "00442071838750", "+442071838750"},

		// National numbers of a region, by libphonenumber's rules.
		{sallyport.Phone, "DE", "030 1234567", "+49301234567"},
		{sallyport.Phone, "DE", "0171/1234567", "+491711234567"},
		{sallyport.Phone, "DE", "(089) 12 34 56", "+4989123456"},
		{sallyport.Phone, "DE", "1234567", ""},
		{sallyport.Phone, "DE", "110", ""},
		{sallyport.Phone, "DE", "030 1234567 ext. 4", ""},
		{sallyport.Phone, "DE", "030-CALL-NOW", ""},
		{sallyport.Phone, "DE", "030 12345678901234", ""},
		{sallyport.Phone, "DE", "", ""},
		{sallyport.Phone, "GB", "020 7183 8750", "+442071838750"},
		{sallyport.Phone, "GB", "07400 123456", "+447400123456"},
		{sallyport.Phone, "US", "(415) 555-2671", "+14155552671"},
		{sallyport.Phone, "US", "1-415-555-2671", "+14155552671"},
		{sallyport.Phone, "US", "911", ""},
		{sallyport.Phone, "FR", "01 23 45 67 89", "+33123456789"},
		{sallyport.Phone, "IT", "06 698 12345", "+390669812345"},
		{sallyport.Phone, "AT", "0512 123456", "+43512123456"},
		{sallyport.Phone, "CH", "044 668 18 00", "+41446681800"},
		{sallyport.Phone, "ES", "91 123 45 67", "+34911234567"},
		{sallyport.Phone, "RU", "8 (495) 123-45-67", "+74951234567"},
		{sallyport.Phone, "HU", "06 1 234 5678", "+3612345678"},
		{sallyport.Phone, "AR", "011 15-2345-6789", "+5491123456789"},
		{sallyport.Phone, "AU", "0412 345 678", "+61412345678"},

		// Reference numbers: the prefix as configured, the rest as it is.
		{sallyport.Number, "", " cs-4821-7730 ", "CS-4821-7730"},
		{sallyport.Number, "", "CS48217730", "CS48217730"},
	} {
		spec := testSpec(c.scheme)
		spec.Region, spec.Canonical = c.region, 1
		codec, err := testRing(t).Codec(spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.Canonical(nil, []byte(c.plain))
		if c.want == "" {
			if !errors.Is(err, ErrDomain) || strings.Contains(err.Error(), "1234") {
				t.Errorf("%s %s %q: became %q, %v", c.scheme, c.region, c.plain, got, err)
			}
			continue
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%s %s %q: became %q, %v, want %q", c.scheme, c.region, c.plain, got, err, c.want)
			continue
		}
		if again, err := codec.Canonical(nil, got); err != nil || string(again) != c.want {
			t.Errorf("%s %s %q: its canonical form becomes %q, %v", c.scheme, c.region, c.want, again, err)
		}
		tok := mustTokenise(t, codec, c.plain)
		if plain, err := codec.Reveal(nil, tok); err != nil || string(plain) != c.want || codec.Digest([]byte(c.plain)) != codec.Digest(got) {
			t.Errorf("%s %s %q: revealed as %q, %v", c.scheme, c.region, c.plain, plain, err)
		}
	}
}

// TestFoldVersion1 fixes the form under which names are compared, which decides what their blind index finds.
func TestFoldVersion1(t *testing.T) {
	for name, want := range map[string]string{
		" Jane\t Q.  ROE\n":                    "jane q. roe",
		"J\u00fcrgen M\u00fcller":              "j\u00fcrgen m\u00fcller",
		"Ju\u0308rgen":                         "j\u00fcrgen",
		"Jurgen":                               "jurgen",
		"Gro\u00df":                            "gross",
		"GROSS":                                "gross",
		"O\u2019Hara":                          "o\u2019hara",
		"\ufb01on\u00e1":                       "fion\u00e1",
		"\uff2a\uff41\uff4e\uff45":             "jane",
		"Anne\u00adMarie\u200d":                "annemarie",
		"Jean\u00a0Luc\u3000Picard":            "jean luc picard",
		"\u0130pek":                            "i\u0307pek",
		"\u03a3\u039f\u03a6\u0399\u0391\u03a3": "\u03c3\u03bf\u03c6\u03b9\u03b1\u03c3",
		"\u03a3\u03bf\u03c6\u03af\u03b1\u03c2": "\u03c3\u03bf\u03c6\u03af\u03b1\u03c3",
		"\u0410\u041d\u041d\u0410":             "\u0430\u043d\u043d\u0430",
		"\u5c71\u7530\u592a\u90ce\ufe00":       "\u5c71\u7530\u592a\u90ce",
		"":                                     "",
	} {
		if got, err := foldName(nil, []byte(name)); err != nil || string(got) != want {
			t.Errorf("%q is compared as %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestCanonicalSettings refuses versions that nobody knows, and regions that are none.
func TestCanonicalSettings(t *testing.T) {
	for _, change := range []func(*Spec){
		func(s *Spec) { s.Canonical = 2 },
		func(s *Spec) { s.Canonical = -1 },
		func(s *Spec) { s.Region = "XX" },
		func(s *Spec) { s.Region = "de" },
		func(s *Spec) { s.Scheme, s.Region = sallyport.Email, "DE" },
	} {
		spec := testSpec(sallyport.Phone)
		change(&spec)
		if _, err := testRing(t).Codec(spec); err == nil {
			t.Errorf("%+v: accepted", spec)
		}
	}
	plain, err := testRing(t).Codec(testSpec(sallyport.Phone))
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpec(sallyport.Phone)
	spec.Region, spec.Canonical = "DE", 1
	german, err := testRing(t).Codec(spec)
	if err != nil {
		t.Fatal(err)
	}
	if plain.Form() != german.Form() {
		t.Error("a region is taken for another form of token, and could not be given to a protected column")
	}
}
