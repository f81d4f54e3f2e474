package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sallyport"
	"sallyport/api"
)

// recordPage is a search of the record. What is looked for travels in the body, so that it stands in no address.
type recordPage struct {
	api.RecordLines
	Stream, Kind, Person, Customer string
	Asked                          bool
}

func (s *Console) recordRoutes(mux *http.ServeMux) {
	mux.Handle("GET /record", s.as(func(v *visit) error { return v.searched(&recordPage{Stream: "access"}) }))
	mux.Handle("POST /record", s.as(s.searchRecord))
	mux.Handle("GET /record/{stream}/{seq}", s.as(s.entry))
	mux.Handle("POST /record/{stream}/{seq}/proof", s.as(s.prove))
}

func (s *Console) searchRecord(v *visit) error {
	return v.searched(&recordPage{Stream: v.form("stream"), Kind: v.form("kind"), Person: v.form("person"), Customer: v.form("customer"), Asked: true})
}

func (v *visit) searched(p *recordPage) error {
	q := url.Values{"stream": {p.Stream}}
	for name, value := range map[string]string{"kind": p.Kind, "person": p.Person, "customer": p.Customer, "before": v.form("before")} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var err error
	if p.RecordLines, err = v.api.SearchRecord(v.r.Context(), q); err != nil {
		return err
	}
	return v.show("record", "Record", p)
}

// entryPage is one entry, and its proof once it was asked for.
type entryPage struct {
	api.RecordLine
	Proof *api.Proven
}

func (s *Console) entry(v *visit) error {
	line, err := v.api.Entry(v.r.Context(), v.r.PathValue("stream"), v.r.PathValue("seq"))
	if err != nil {
		return err
	}
	return v.show("entry", "Entry "+line.Stream+":"+v.r.PathValue("seq"), entryPage{RecordLine: line})
}

func (s *Console) prove(v *visit) error {
	line, err := v.api.Entry(v.r.Context(), v.r.PathValue("stream"), v.r.PathValue("seq"))
	if err != nil {
		return err
	}
	p, err := v.api.Prove(v.r.Context(), v.r.PathValue("stream"), v.r.PathValue("seq"))
	if err != nil {
		return err
	}
	return v.show("entry", "Entry "+line.Stream+":"+v.r.PathValue("seq"), entryPage{line, &p})
}

// customersPage is who saw a customer.
type customersPage struct {
	Customer  string              // id, or the e-mail address that was asked for
	Found     []sallyport.Subject // whose that is
	Purpose   string
	Sightings []api.Sighting
	People    int
	Asked     bool
	More      int
}

// mostSightings is what a page shows; sallyport who-saw prints all of it.
const mostSightings = 200

func (s *Console) customerRoutes(mux *http.ServeMux) {
	mux.Handle("GET /customers", s.as(func(v *visit) error { return v.show("customers", "Customers", customersPage{}) }))
	mux.Handle("POST /customers", s.as(s.whoSaw))
}

// whoSaw asks who could read values of a customer, by his id or, through the same doors as a search by SQL, by his e-mail address. That is on record
// before it is answered.
func (s *Console) whoSaw(v *visit) error {
	p := customersPage{Customer: v.form("customer"), Purpose: v.form("purpose"), Asked: true}
	who := sallyport.Subject(p.Customer)
	if strings.Contains(p.Customer, "@") {
		var err error
		if p.Found, err = v.api.FindCustomer(v.r.Context(), p.Customer, p.Purpose); err != nil {
			return err
		}
		if len(p.Found) != 1 { // nobody, or several of whom one is to be chosen
			return v.show("customers", "Customers", p)
		}
		who = p.Found[0]
	}
	list, err := v.api.WhoSaw(v.r.Context(), who)
	if err != nil {
		return err
	}
	people := map[string]bool{}
	for _, x := range slices.Backward(list) {
		people[string(x.Staff)] = true
		if len(p.Sightings) < mostSightings {
			p.Sightings = append(p.Sightings, x)
		}
	}
	p.People, p.More = len(people), len(list)-len(p.Sightings)
	return v.show("customers", "Customers", p)
}
