package console

import (
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sallyport/api"
)

func (s *Console) dataRoutes(mux *http.ServeMux) {
	mux.Handle("GET /data", s.as(s.data))
	mux.Handle("GET /data/part", s.as(s.dataPart))
	mux.HandleFunc("GET /data/stream", s.dataStream)
}

// dataPage is what is protected, and who may ever see what.
type dataPage struct {
	api.Holdings
	Matrix reachMatrix
	State  string // of what is on its way: another one, and the page is old
}

// reachMatrix is groups of people × protected columns.
type reachMatrix struct {
	Columns []string
	Rows    []reachRow
}

type reachRow struct {
	Name  string
	Who   string
	Cells []reachCell
	Ways  []reachWays
}

// reachCell is when one of a group may see a column: never, on conditions, always.
type reachCell struct{ When string }

// reachWays are the columns of which the same is true.
type reachWays struct {
	Columns      []string
	Ways, Unless []api.ReachWay
}

func (s *Console) data(v *visit) error {
	h, err := v.api.Holdings(v.r.Context())
	if err != nil {
		return err
	}
	return v.show("data", "Data", dataPage{h, matrixOfReach(h.Reach), stateOf(&api.DataProgress{Tables: h.Tables, Rotations: h.Rotations})})
}

// dataPart is the part of the page that changes.
func (s *Console) dataPart(v *visit) error {
	p, err := v.api.DataProgress(v.r.Context())
	if err != nil {
		return err
	}
	return v.part("data", "Data", dataPage{Holdings: api.Holdings{Tables: p.Tables, Rotations: p.Rotations}})
}

// dataStream tells an open page that columns or keys are further.
func (s *Console) dataStream(w http.ResponseWriter, r *http.Request) {
	s.follow(w, r, func(v *visit) (string, error) {
		p, err := v.api.DataProgress(v.r.Context())
		return stateOf(&p), err
	}, "investigate", "approve", "administer")
}

// stateOf is a short name of how far everything is, as the page would say it.
func stateOf(p *api.DataProgress) string {
	h := fnv.New64a()
	for _, t := range p.Tables {
		for _, c := range t.Columns {
			_, _ = fmt.Fprint(h, t.Table, c.Column, c.State, movedWords(c.Moved)) // a hash takes everything
		}
	}
	for _, r := range p.Rotations {
		_, _ = fmt.Fprintf(h, "%+v", r)
	}
	return strconv.FormatUint(h.Sum64(), 16)
}

// movedWords say how far a column on its way is.
func movedWords(share *float64) string {
	switch {
	case share == nil:
		return ""
	case *share >= 1:
		return "all rows are through, and are being checked"
	}
	return fmt.Sprintf("%.1f %% of its rows", math.Floor(1000**share)/10) // never 100 before the last
}

func matrixOfReach(list []api.Reach) (m reachMatrix) {
	byGroup := map[string]int{}
	for _, x := range list {
		if !slices.Contains(m.Columns, x.Column) {
			m.Columns = append(m.Columns, x.Column)
		}
	}
	for _, x := range list {
		key := fmt.Sprint(x.Service, x.Who)
		at, ok := byGroup[key]
		if !ok {
			at = len(m.Rows)
			byGroup[key] = at
			m.Rows = append(m.Rows, rowOfReach(&x, len(m.Columns)))
		}
		row := &m.Rows[at]
		cell := reachCell{"never"}
		if len(x.Ways) > 0 {
			cell.When = "on conditions"
			if slices.ContainsFunc(x.Ways, func(w api.ReachWay) bool { return w.If == "" }) && len(x.Unless) == 0 {
				cell.When = "always"
			}
		}
		row.Cells[slices.Index(m.Columns, x.Column)] = cell
		row.add(&x)
	}
	return m
}

func rowOfReach(x *api.Reach, columns int) reachRow {
	row := reachRow{Cells: make([]reachCell, columns)}
	for i := range row.Cells {
		row.Cells[i].When = "never"
	}
	what := strings.Join(x.Roles, ", ")
	switch {
	case x.Service:
		what = plural(x.Count, "program", "programs")
	case what == "":
		what = "no role"
	}
	row.Name = fmt.Sprintf("%s (%d)", what, x.Count)
	for i, who := range x.Who {
		if i > 0 {
			row.Who += ", "
		}
		row.Who += string(who)
	}
	if x.Count > len(x.Who) {
		row.Who += fmt.Sprintf(" and %d more", x.Count-len(x.Who))
	}
	return row
}

// add puts a column to those of which the same is true.
func (r *reachRow) add(x *api.Reach) {
	for i := range r.Ways {
		if w := &r.Ways[i]; slices.Equal(w.Ways, x.Ways) && slices.Equal(w.Unless, x.Unless) {
			w.Columns = append(w.Columns, x.Column)
			return
		}
	}
	r.Ways = append(r.Ways, reachWays{[]string{x.Column}, x.Ways, x.Unless})
}
