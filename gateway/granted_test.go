package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/record"
)

// TestGrantsCountValues: whoever puts one customer's key beside everybody's values gets no more of them than the grant has customers.
func TestGrantsCountValues(t *testing.T) {
	const most = 3
	for _, subject := range []sallyport.Subject{"1", "00000000-0000-0000-0000-000000000001"} {
		s := &session{gw: &Gateway{kin: newKin()}}
		under := &decided{grant: &heldGrant{Grant: policy.Grant{ID: "g", Customers: most}}, customers: exposure.NewGrants().Of("g")}
		reserve := func(n byte, subject sallyport.Subject) *sallyport.Limit {
			column := sallyport.Column{Schema: "s", Table: "t", Name: "email"}
			return s.reserve(&run{}, &shown{of: &catalog.Protected{Column: column, Scheme: sallyport.Email}, customer: customerOf(subject), digest: sallyport.Digest{n}, under: under})
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
		of := &catalog.Protected{Column: sallyport.Column{Name: fmt.Sprint(n % 2)}, Scheme: sallyport.Email}
		under := &decided{grant: &heldGrant{Grant: policy.Grant{ID: "g", Customers: most}}, customers: customers, home: s.gw.kin.granted(of.Column)}
		if limit := s.reserve(&run{}, &shown{of: of, customer: customerOf(sallyport.Subject(fmt.Sprint(n / 2))), digest: sallyport.Digest{n}, under: under}); limit != nil {
			t.Errorf("value %d: %v", n, limit)
		}
	}
}

// TestPartsOfABatch: what a purpose showed and what each grant showed are entries of their own, whatever order they come in.
func TestPartsOfABatch(t *testing.T) {
	access, err := record.Open(t.TempDir(), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer access.Close()
	s := &session{gw: &Gateway{Config: Config{Access: access, Clock: time.Now}, kin: newKin()}}
	r := &run{id: 7, recorded: true, sight: &sight{}}
	want := map[string][]string{}
	for n := range byte(30) {
		of := &catalog.Protected{Column: sallyport.Column{Name: fmt.Sprint(n % 2)}}
		v := &shown{of: of, customer: customerOf(sallyport.Subject(fmt.Sprint(n))), digest: sallyport.Digest{n}}
		grant := []string{"", "g", "h"}[n*7%3]
		if grant != "" {
			v.under = &decided{grant: &heldGrant{Grant: policy.Grant{ID: grant}}}
		}
		s.addValue(r, v)
		want[grant] = append(want[grant], fmt.Sprint(n, " ", n%2))
	}
	if err := s.record(); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	if err := access.Read(1, func(e *sallyport.Event) error {
		for v := range e.Reveal.Values.All() {
			got[e.Reveal.Grant] = append(got[e.Reveal.Grant], fmt.Sprint(v.Subject, " ", e.Reveal.Columns[v.Column].Name))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 3 || access.Last() != 3 {
		t.Errorf("%d entries: %s", access.Last(), diff)
	}
}
