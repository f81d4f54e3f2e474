package console

import (
	"fmt"
	"math"
	"net/http"
	"net/url"

	"sallyport/api"
)

func (s *Console) peopleRoutes(mux *http.ServeMux) {
	mux.Handle("GET /people", s.as(s.people))
	mux.Handle("POST /people", s.as(s.findPerson))
	mux.Handle("GET /people/{person}", s.as(s.person))
	mux.Handle("POST /people/{person}/{do}", s.as(s.actOnPerson))
}

func (s *Console) people(v *visit) error {
	p, err := v.api.People(v.r.Context())
	if err != nil {
		return err
	}
	return v.show("people", "People", p)
}

// findPerson leads to the person of a pseudonym.
func (s *Console) findPerson(v *visit) error {
	p, err := v.api.Person(v.r.Context(), v.form("person"))
	if err != nil {
		return err
	}
	return v.done("/people/"+url.PathEscape(p.Person), "")
}

// personPage is one person.
type personPage struct {
	api.PersonDetails
	Chart workChart
}

func (s *Console) person(v *visit) error {
	p, err := v.api.Person(v.r.Context(), v.r.PathValue("person"))
	if err != nil {
		return err
	}
	return v.show("person", "Person "+p.Person, personPage{p, workOf(&p)})
}

// actOnPerson proposes to see who somebody is, or that a step against him is taken back.
func (s *Console) actOnPerson(v *visit) error {
	who, reason := v.r.PathValue("person"), v.form("reason")
	var err error
	switch v.r.PathValue("do") {
	case "unmask":
		_, err = v.api.Unmask(v.r.Context(), who, reason, 0)
	case "undo":
		_, err = v.api.UndoResponse(v.r.Context(), v.form("response"), reason)
	default:
		return noSuchDeed()
	}
	if err != nil {
		return err
	}
	return v.done("/people/"+url.PathEscape(who), "proposed")
}

// workChart are somebody's days as columns: below customers with a reason, above those without, and a line for those that his peers had without.
type workChart struct {
	Text          string
	Width, Height int
	Days          []workColumn
	Peers         string // points of a polyline
	Expected      string
	First, Last   string
}

type workColumn struct {
	Day                                     string
	X, W, BareY, BareH, WithY, WithH        float64
	Customers, Unexplained, Expected, Peers string
}

// mostWork is how many days a chart shows.
const mostWork = 60

func workOf(p *api.PersonDetails) workChart {
	const width, height = 640, 190
	c := workChart{Width: width, Height: height}
	days := p.Days
	if len(days) > mostWork {
		days = days[len(days)-mostWork:]
	}
	if len(days) == 0 {
		return c
	}
	top, sum, bare, expected, peers := 1.0, 0.0, 0.0, 0.0, 0.0
	for _, d := range days {
		top = max(top, d.Customers, d.Peers, d.Expected)
		sum, bare, expected, peers = sum+d.Customers, bare+d.Unexplained, expected+d.Expected, peers+d.Peers
	}
	scale := (height - 16) / top
	step := float64(width) / float64(max(len(days), 20))
	y := func(n float64) float64 { return tenth(height - n*scale) }
	for i, d := range days {
		x := tenth(float64(i)*step + 1)
		with := max(0, d.Customers-d.Unexplained)
		c.Days = append(c.Days, workColumn{
			Day: d.Day.Format("2006-01-02"), X: x, W: tenth(math.Max(2, step-2)), WithY: y(with), WithH: tenth(with * scale), BareY: y(with + d.Unexplained), BareH: tenth(d.Unexplained * scale),
			Customers: parts(d.Customers), Unexplained: parts(d.Unexplained), Expected: parts(d.Expected), Peers: parts(d.Peers),
		})
		middle := x + step/2 - 1
		c.Peers += fmt.Sprintf("%.1f,%.1f ", middle, y(d.Peers))
		c.Expected += fmt.Sprintf("%.1f,%.1f ", middle, y(d.Expected))
	}
	c.First, c.Last = c.Days[0].Day, c.Days[len(c.Days)-1].Day
	c.Text = fmt.Sprintf("Customers a day on the last %d days of work. %s customers, of whom no reason explains %s; %s were expected of him, and each of his peers had %s in the mean.",
		len(days), parts(sum), parts(bare), parts(expected), parts(peers))
	return c
}

// parts writes a number of customers of whom a reason may explain a part.
func parts(n float64) string {
	if n == math.Trunc(n) || n >= 100 {
		return amount(int(math.Round(n)))
	}
	return fmt.Sprintf("%.1f", n)
}
