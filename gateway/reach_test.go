package gateway

import (
	"testing"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
)

func TestKin(t *testing.T) {
	email := &catalog.Protected{Column: sallyport.Column{Schema: "s", Table: "t", Name: "email"}}
	phone := &catalog.Protected{Column: sallyport.Column{Schema: "s", Table: "t", Name: "phone"}}
	one, two := exposure.Key{1}, exposure.Key{2}
	k := newKin()
	for _, c := range []struct {
		what  string
		who   sallyport.Staff
		owner exposure.Key
		token left
		want  bool
	}{
		{"the first", "a", one, left{home{column: email}, sallyport.Digest{1}}, true},
		{"again", "a", one, left{home{column: email}, sallyport.Digest{1}}, true},
		{"a second", "a", one, left{home{column: email}, sallyport.Digest{2}}, false},
		{"the first still", "a", one, left{home{column: email}, sallyport.Digest{1}}, true},
		{"another column's", "a", one, left{home{column: phone}, sallyport.Digest{2}}, true},
		{"another customer's", "a", two, left{home{column: email}, sallyport.Digest{2}}, true},
		{"another person's", "b", one, left{home{column: email}, sallyport.Digest{2}}, true},
		{"by form", "a", one, left{home{scheme: sallyport.Email}, sallyport.Digest{3}}, true},
		{"a second by form", "a", one, left{home{scheme: sallyport.Email}, sallyport.Digest{4}}, false},
		{"a text", "a", one, left{home{}, sallyport.Digest{5}}, true},
		{"a name", "a", one, left{home{name: true}, sallyport.Digest{6}}, true},
	} {
		if got := k.belongs(c.who, c.owner, &c.token); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	known := left{home{column: email}, sallyport.Digest{1}}
	if n := testing.AllocsPerRun(100, func() { k.belongs("a", one, &known) }); n > 0 {
		t.Errorf("%v allocations a token", n)
	}
}
