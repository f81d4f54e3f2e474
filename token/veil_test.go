package token

import (
	"strings"
	"testing"

	"sallyport"
)

// TestVeil: a veil is of the value's type, one to one, the same under whatever key of the group, and neither value nor token.
func TestVeil(t *testing.T) {
	column := sallyport.Column{Schema: "support", Table: "customers", Name: "x"}
	for scheme, values := range map[sallyport.Scheme][]string{
		sallyport.Int4: {"0", "-1", "123456789", "-2147483648", "2147483647"}, sallyport.Int8: {"0", "-1", "123456789", "-9223372036854775808"},
		sallyport.UUID: {"f47ac10b-58cc-4372-a567-0e02b2c3d479", "00000000-0000-0000-0000-000000000000"},
	} {
		keys := epochKeys(t, 1)
		ring, err := NewKeyedRing(keys, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		codec, err := ring.Codec(Spec{Column: column, Scheme: scheme})
		if err != nil {
			t.Fatal(err)
		}
		veils := map[string]string{}
		for _, value := range values {
			veil, err := codec.Veil(nil, []byte(value))
			if err != nil {
				t.Fatal(err)
			}
			tok, err := codec.Tokenise(nil, []byte(value), nil)
			if err != nil {
				t.Fatal(err)
			}
			if even, err := codec.Canonical(nil, veil); err != nil || string(even) != string(veil) || string(veil) == value || string(veil) == string(tok) || veils[string(veil)] != "" {
				t.Errorf("%s: the veil of %s is %s, its token %s, %v", scheme, value, veil, tok, err)
			}
			veils[string(veil)] = value
		}
		next := epochKeys(t, 2, 1)
		next.Record = keys.Record
		if err := ring.Rekey(next); err != nil {
			t.Fatal(err)
		}
		for veil, value := range veils {
			if again, err := codec.Veil(nil, []byte(value)); err != nil || string(again) != veil {
				t.Errorf("%s: under the next key the veil of %s is another, %v", scheme, value, err)
			}
		}
	}
	ring, err := NewKeyedRing(epochKeys(t, 1), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := ring.Codec(Spec{Column: column, Scheme: sallyport.Email})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codec.Veil(nil, []byte("ada@example.org")); err == nil || !strings.Contains(err.Error(), "known by their form") {
		t.Errorf("an address has a veil: %v", err)
	}
}
