package console

import (
	"fmt"
	"net/http"
	"slices"

	"sallyport/api"
)

// nowPage is what goes on, in ten seconds: first what needs somebody, then the figures.
type nowPage struct {
	api.Today
	Urgent []urgent
	Days   dayChart
	Matrix matrix
	Health []api.Standby
	Locked []string
	Record uint64
	Mark   string // of what it shows
}

// urgent is something that somebody should look at.
type urgent struct{ Text, Path string }

// matrix is people × applications × classes of data.
type matrix struct {
	Heads []string // APPLICATION · CLASS
	Rows  []matrixRow
	More  int // people who are not in it
}

type matrixRow struct {
	Person string
	Cells  []matrixCell
	Total  int
}

type matrixCell struct {
	Customers int
	Heat      int // 0 to 4, of the largest
}

// The most that a matrix shows: what is beyond is counted.
const (
	mostRows  = 15
	mostHeads = 8
)

// home leads to what somebody may see.
func (s *Console) home(v *visit) error {
	to := "/requests"
	if v.may("investigate") {
		to = "/now"
	}
	if done := v.r.URL.Query().Get("done"); doneWords(done) != "" {
		to += "?done=" + done
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther) //nolint:gosec // one of two paths of ours, and a word of ours
	return nil
}

func (s *Console) now(v *visit) error {
	p, err := v.nowPage()
	if err != nil {
		return err
	}
	return v.show("now", "Now", p)
}

func (v *visit) nowPage() (*nowPage, error) {
	status, err := v.api.Status(v.r.Context()) // first, so that what comes between the two is told once more, and not never
	if err != nil {
		return nil, err
	}
	t, err := v.api.Now(v.r.Context())
	if err != nil {
		return nil, err
	}
	p := &nowPage{Today: t, Health: status.More, Record: status.Record.Last, Mark: markOf(&status), Matrix: matrixOf(t.Cells), Days: daysOf(&t)}
	for _, who := range status.Locked {
		p.Locked = append(p.Locked, string(who))
	}
	p.Urgent = v.urgent(&t, &status)
	return p, nil
}

// urgent are the things to look at first.
func (v *visit) urgent(t *api.Today, status *api.Status) (list []urgent) {
	if t.Findings > 0 {
		list = append(list, urgent{fmt.Sprintf("%d %s whose case is open", t.Findings, plural(t.Findings, "finding", "findings")), "/findings"})
	}
	if status.ToDecide > 0 {
		list = append(list, urgent{fmt.Sprintf("%d %s for your word", status.ToDecide, plural(status.ToDecide, "request waits", "requests wait")), "/requests"})
	}
	if len(t.Past) > 0 && t.Customers > t.Most {
		list = append(list, urgent{fmt.Sprintf("More customers were revealed today (%s) than on any of the last %d days (%s)", amount(t.Customers), pastDays, amount(t.Most)), "/record"})
	}
	if status.Observing {
		list = append(list, urgent{"Sallyport only observes: nothing is masked, cut or locked", ""})
	}
	for _, m := range status.More {
		if m.Trouble() {
			list = append(list, urgent{m.What + ": " + m.How, ""})
		}
	}
	return list
}

// pastDays is how far the figures of days go back.
const pastDays = 30

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// matrixOf puts cells in rows and columns, the largest first.
func matrixOf(cells []api.Cell) matrix {
	type total struct {
		name string
		n    int
	}
	sums := func(name func(api.Cell) string) (list []total) {
		at := map[string]int{}
		for _, c := range cells {
			n := name(c)
			if _, ok := at[n]; !ok {
				at[n] = len(list)
				list = append(list, total{n, 0})
			}
			list[at[n]].n += c.Customers
		}
		slices.SortStableFunc(list, func(a, b total) int { return b.n - a.n })
		return list
	}
	head := func(c api.Cell) string {
		app := c.Application
		if app == "" {
			app = "no name"
		}
		return app + " · " + c.Class
	}
	people, heads := sums(func(c api.Cell) string { return c.Person }), sums(head)
	var m matrix
	if len(heads) > mostHeads {
		heads = heads[:mostHeads]
	}
	if len(people) > mostRows {
		m.More, people = len(people)-mostRows, people[:mostRows]
	}
	value, largest := map[[2]string]int{}, 1
	for _, c := range cells {
		value[[2]string{c.Person, head(c)}] += c.Customers
		largest = max(largest, c.Customers)
	}
	for _, h := range heads {
		m.Heads = append(m.Heads, h.name)
	}
	for _, who := range people {
		row := matrixRow{Person: who.name}
		for _, h := range heads {
			n := value[[2]string{who.name, h.name}]
			cell := matrixCell{Customers: n}
			if n > 0 {
				cell.Heat = min(4, 1+4*n/(largest+1))
			}
			row.Cells = append(row.Cells, cell)
			row.Total = max(row.Total, n)
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// nowPart is the part of the page that changes.
func (s *Console) nowPart(v *visit) error {
	p, err := v.nowPage()
	if err != nil {
		return err
	}
	return v.part("now", "Now", p)
}

// nowStream tells an open page that something has come to the record.
func (s *Console) nowStream(w http.ResponseWriter, r *http.Request) {
	s.follow(w, r, func(v *visit) (string, error) {
		status, err := v.api.Status(v.r.Context())
		return markOf(&status), err
	}, "investigate")
}

// markOf is another one as soon as the page has something new to say.
func markOf(status *api.Status) string {
	return fmt.Sprintf("%d.%d", status.Record.Last, status.ToDecide)
}
