package program

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sallyport"
)

// Outsider is somebody of an outside firm.
type Outsider struct {
	Staff      sallyport.Staff `json:"staff"`
	Firm       string          `json:"firm"`
	Team       string          `json:"team"`
	Role       string          `json:"role"`
	Until      time.Time       `json:"until,omitzero"` // of his contract or of the firm's, whichever is over first
	Employment string          `json:"employment"`
	Over       bool            `json:"over"` // his contract is
}

// Client is whose data somebody saw: customers that belong together, such as those of one tenant.
type Client struct {
	Name      string
	Customers map[sallyport.Subject]bool
}

// OtherClients are the customers of no client that is named.
const OtherClients = "others"

// Exposures fold what left in plain to outside firms.
type Exposures struct {
	From, Until time.Time
	of          map[sallyport.Staff]*Outsider
	clients     map[sallyport.Subject]string
	firms       map[string]map[string]*exposed // firm → client
	first, last uint64
}

type exposed struct {
	people    map[sallyport.Staff]bool
	customers map[sallyport.Subject]bool
	columns   map[string]int
	reasons   map[string]int // kinds of reasons → batches
	batches   int
	values    int
	days      map[int64]bool
	last      time.Time
	entries   [2]uint64
}

// NewExposures counts between two moments.
func NewExposures(from, until time.Time, people []Outsider, clients []Client) *Exposures {
	x := &Exposures{From: from, Until: until, of: map[sallyport.Staff]*Outsider{}, clients: map[sallyport.Subject]string{}, firms: map[string]map[string]*exposed{}}
	for i := range people {
		x.of[people[i].Staff] = &people[i]
	}
	for _, c := range clients {
		for s := range c.Customers {
			x.clients[s] = c.Name
		}
	}
	return x
}

// Access takes an entry of the access stream.
func (x *Exposures) Access(e *sallyport.Event) {
	who := x.of[e.Who.Staff]
	if who == nil || e.Reveal == nil || e.Time.Before(x.From) || !e.Time.Before(x.Until) {
		return
	}
	seen := map[string]bool{}
	for v := range e.Reveal.Values.All() {
		client := cmp.Or(x.clients[v.Subject], OtherClients)
		if x.firms[who.Firm] == nil {
			x.firms[who.Firm] = map[string]*exposed{}
		}
		t := x.firms[who.Firm][client]
		if t == nil {
			t = &exposed{
				people: map[sallyport.Staff]bool{}, customers: map[sallyport.Subject]bool{}, columns: map[string]int{}, reasons: map[string]int{}, days: map[int64]bool{},
				entries: [2]uint64{e.Seq, e.Seq},
			}
			x.firms[who.Firm][client] = t
		}
		t.values++
		if v.Subject != "" {
			t.customers[v.Subject] = true
		}
		if int(v.Column) < len(e.Reveal.Columns) {
			t.columns[e.Reveal.Columns[v.Column].String()]++
		}
		if !seen[client] {
			seen[client] = true
			t.batch(e)
		}
	}
}

func (t *exposed) batch(e *sallyport.Event) {
	t.batches++
	t.people[e.Who.Staff], t.days[e.Time.Unix()/86400] = true, true
	t.last, t.entries[1] = e.Time, e.Seq
	if e.Reveal.Grant != "" {
		t.reasons["grant"]++
		return
	}
	for _, p := range e.Reveal.Purposes {
		t.reasons[p.Kind]++
	}
	if len(e.Reveal.Purposes) == 0 {
		t.reasons["none"]++
	}
}

// ClientExposure is what one firm saw of one client.
type ClientExposure struct {
	Client    string         `json:"client"`
	People    int            `json:"people"`    // who saw any
	Customers int            `json:"customers"` // distinct, that were shown
	Values    int            `json:"values"`
	Days      int            `json:"days"`    // on which anything was
	Columns   map[string]int `json:"columns"` // values, by column
	Reasons   map[string]int `json:"reasons"` // batches, by kind of reason
	Last      time.Time      `json:"last"`
	Entries   [2]uint64      `json:"entries"` // of the access stream, the first and the last
}

// FirmExposure is what one firm saw.
type FirmExposure struct {
	Firm    string           `json:"firm"`
	Until   time.Time        `json:"until,omitzero"` // when its contract is over
	Over    bool             `json:"over"`
	People  []Outsider       `json:"people"`
	Clients []ClientExposure `json:"clients"`
}

// Firms are all of them, with what each saw. until says when their contracts are over.
func (x *Exposures) Firms(until map[string]time.Time, now time.Time) (out []FirmExposure) {
	for _, name := range slices.Sorted(maps.Keys(until)) {
		f := FirmExposure{Firm: name, Until: until[name], Over: !until[name].IsZero() && !now.Before(until[name]), People: []Outsider{}, Clients: []ClientExposure{}}
		for _, who := range slices.Sorted(maps.Keys(x.of)) {
			if x.of[who].Firm == name {
				f.People = append(f.People, *x.of[who])
			}
		}
		for _, client := range slices.Sorted(maps.Keys(x.firms[name])) {
			t := x.firms[name][client]
			f.Clients = append(f.Clients, ClientExposure{
				Client: client, People: len(t.people), Customers: len(t.customers), Values: t.values, Days: len(t.days), Columns: t.columns, Reasons: t.reasons, Last: t.last, Entries: t.entries,
			})
		}
		out = append(out, f)
	}
	return out
}
