package gateway

import (
	"fmt"
	"testing"

	"sallyport"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/purpose"
)

// TestGrantsCountValues: whoever puts one customer's key beside everybody's values gets no more of them than the grant has customers.
func TestGrantsCountValues(t *testing.T) {
	const most = 3
	for _, subject := range []sallyport.Subject{"1", "00000000-0000-0000-0000-000000000001"} {
		s := &session{gw: &Gateway{kin: newKin()}}
		under := &decided{grant: &policy.Grant{ID: "g", Customers: most}, customers: exposure.NewGrants().Of("g")}
		reserve := func(n byte, subject sallyport.Subject) *sallyport.Limit {
			column := sallyport.Column{Schema: "s", Table: "t", Name: "email"}
			return s.reserve(&shown{value: purpose.Value{Subject: subject, Column: column, Scheme: sallyport.Email}, digest: sallyport.Digest{n}, under: under})
		}
		passed := 0
		for n := byte(1); n < 20; n++ {
			if reserve(n, subject) == nil {
				passed++
			}
		}
		if passed > most {
			t.Errorf("%d values under the one customer %s", passed, subject)
		}
		if reserve(1, subject) != nil {
			t.Error("the first one does not stay readable")
		}
	}
	s := &session{gw: &Gateway{kin: newKin()}}
	customers := exposure.NewGrants().Of("g")
	for n := range byte(6) {
		v := purpose.Value{Subject: sallyport.Subject(fmt.Sprint(n / 2)), Column: sallyport.Column{Name: fmt.Sprint(n % 2)}, Scheme: sallyport.Email}
		under := &decided{grant: &policy.Grant{ID: "g", Customers: most}, customers: customers, home: s.gw.kin.granted(v.Column)}
		if limit := s.reserve(&shown{value: v, digest: sallyport.Digest{n}, under: under}); limit != nil {
			t.Errorf("value %d: %v", n, limit)
		}
	}
}
