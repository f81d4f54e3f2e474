package gateway

import (
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

// TestKinGrows takes more customers than the first table holds, and forgets none of them.
func TestKinGrows(t *testing.T) {
	k := newKin()
	who, home := k.person("a"), k.formed(sallyport.Email, false)
	for _, token := range []byte{1, 2} {
		for i := range 10_000 {
			first := left{home: home, stored: []byte{token}}
			owner := exposure.Key{byte(i), byte(i >> 8)}
			if got := k.belongs(who, first.home, owner, k.token(first.stored)); got != (token == 1) {
				t.Fatalf("token %d of customer %d: %t", token, i, got)
			}
		}
	}
}
