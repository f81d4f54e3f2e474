package gateway

import (
	"encoding/binary"
	"fmt"
	"testing"

	"sallyport"
	"sallyport/exposure"
)

func TestKin(t *testing.T) {
	k := newKin()
	email, phone := k.column(sallyport.Column{Schema: "s", Table: "t", Name: "email"}), k.column(sallyport.Column{Schema: "s", Table: "t", Name: "phone"})
	one, two := exposure.Key{1}, exposure.Key{2}
	for _, c := range []struct {
		what  string
		who   sallyport.Staff
		owner exposure.Key
		token left
		want  bool
	}{
		{"the first", "a", one, left{home: email, stored: []byte{1}}, true},
		{"again", "a", one, left{home: email, stored: []byte{1}}, true},
		{"a second", "a", one, left{home: email, stored: []byte{2}}, false},
		{"the first still", "a", one, left{home: email, stored: []byte{1}}, true},
		{"another column's", "a", one, left{home: phone, stored: []byte{2}}, true},
		{"another customer's", "a", two, left{home: email, stored: []byte{2}}, true},
		{"another person's", "b", one, left{home: email, stored: []byte{2}}, true},
		{"by form", "a", one, left{home: k.formed(sallyport.Email, false), stored: []byte{3}}, true},
		{"a second by form", "a", one, left{home: k.formed(sallyport.Email, false), stored: []byte{4}}, false},
		{"a text", "a", one, left{home: k.formed("", false), stored: []byte{5}}, true},
		{"a name", "a", one, left{home: k.formed("", true), stored: []byte{6}}, true},
	} {
		if got := k.belongs(k.person(c.who), c.token.home, c.owner, k.token(c.token.stored)); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	known := left{home: email, stored: []byte{1}}
	a := k.person("a")
	if n := testing.AllocsPerRun(100, func() { k.belongs(a, known.home, one, k.token(known.stored)) }); n > 0 {
		t.Errorf("%v allocations a token", n)
	}
}

// TestKinGrows takes more customers than the first table holds, whatever the distance between their keys, and forgets none of them.
func TestKinGrows(t *testing.T) {
	k := newKin()
	who := k.person("a")
	for name, key := range map[string]func(i uint64) exposure.Key{
		"any":            func(i uint64) exposure.Key { return exposure.Key{byte(i), byte(i >> 8)} },
		"one by one":     func(i uint64) exposure.Key { return (&customer{number: i, numbered: true}).key() },
		"eight by eight": func(i uint64) exposure.Key { return (&customer{number: 8 * i, numbered: true}).key() },
		"texts":          func(i uint64) exposure.Key { return (&customer{text: sallyport.Subject(fmt.Sprint("c-", i))}).key() },
	} {
		home := k.column(sallyport.Column{Name: name})
		for _, token := range []byte{1, 2} {
			for i := range uint64(10_000) {
				if got := k.belongs(who, home, key(i), k.token([]byte{token})); got != (token == 1) {
					t.Fatalf("%s: token %d of customer %d: %t", name, token, i, got)
				}
			}
		}
	}
}

// TestCustomers holds whoever is told apart by his key apart in the budgets too, and a number to the text that it is.
func TestCustomers(t *testing.T) {
	keys := map[exposure.Key]sallyport.Subject{}
	var last lastKey
	for _, text := range []sallyport.Subject{"0", "00", "1", "01", "7", "8", "15", "16", "-1", "9223372036854775807", "9999999999999999999", "18446744073709551616", "a", "1 "} {
		who := customerOf(text)
		if who.subject() != text {
			t.Errorf("%q becomes %q", text, who.subject())
		}
		if last.of(&who) != who.key() {
			t.Errorf("the key of %q hangs on the one before", text)
		}
		if other, taken := keys[who.key()]; taken {
			t.Errorf("%q and %q have one key", text, other)
		}
		keys[who.key()] = text
		if row := rowKey(&column{}, []byte(text)); row.subject() != text || row.key() != who.key() || !row.known() {
			t.Errorf("%q in a row is another customer than %q", row.subject(), text)
		}
	}
	for _, n := range []int64{0, 7, 1 << 40, -5} {
		text := sallyport.Subject(fmt.Sprint(n))
		who := customerOf(text)
		row := rowKey(&column{typ: typeInt8, binary: true}, binary.BigEndian.AppendUint64(nil, uint64(n))) //nolint:gosec // int8send
		if row.subject() != text || row.key() != who.key() {
			t.Errorf("%d in binary is %q", n, row.subject())
		}
	}
	if nobody := rowKey(&column{}, nil); nobody.known() {
		t.Error("an empty key is a customer's")
	}
}
