package api

import (
	"context"
	"net/http"

	"sallyport"
)

// Holdings are what is protected, how far that is, and who may ever see what.
type Holdings struct {
	Database  string      `json:"database"`
	Customers string      `json:"customers"` // the table with a row each, and its key
	Tables    []DataTable `json:"tables"`
	Rotations []Rotation  `json:"rotations"`
	Drift     []DataDrift `json:"drift"`             // what changed in the database since the configuration was right
	Missing   string      `json:"missing,omitempty"` // why nothing is known of drift
	Reach     []Reach     `json:"reach"`
}

// DataTable is one table with something protected or masked in it.
type DataTable struct {
	Table   string       `json:"table"`
	Path    string       `json:"path"` // by which a row finds its customer
	Columns []DataColumn `json:"columns"`
}

// DataColumn is one column.
type DataColumn struct {
	Column string `json:"column"`
	Class  string `json:"class"`
	Scheme string `json:"scheme"`
	Group  string `json:"group"` // of columns with the same key
	State  string `json:"state"` // protected, plain, moving in, moving out, masked

	Moved *float64 `json:"moved,omitempty"` // of one on its way: the share of its table's rows that are through, 0 to 1; missing: nobody can tell
}

// DataProgress is how far what is on its way is: what of Holdings changes by itself.
type DataProgress struct {
	Tables    []DataTable `json:"tables"` // all of them
	Rotations []Rotation  `json:"rotations"`
}

// DataDrift is something that is not as the configuration says.
type DataDrift struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

// Reach is who may ever do something to a column, and when: people of whom no policy can tell one from the other.
type Reach struct {
	Roles   []string          `json:"roles"`
	Who     []sallyport.Staff `json:"who"` // the first of them
	Count   int               `json:"count"`
	Service bool              `json:"service,omitempty"`
	Column  string            `json:"column"`
	Class   string            `json:"class"`
	Ways    []ReachWay        `json:"ways"`   // each permits it; none: never
	Unless  []ReachWay        `json:"unless"` // each stands against it, whatever permits
}

// ReachWay is a policy, and what is left of its condition once it is known who, what and whose.
type ReachWay struct {
	Policy string `json:"policy"`
	If     string `json:"if,omitempty"` // Cedar; empty: always
}

func (s *Server) dataRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/data", s.as(overseers, s.holdings))
	mux.Handle("GET /v1/data/progress", s.as(overseers, s.dataProgress))
}

// holdings answers what is protected. It tells of no customer and of nobody's work, so it is not recorded that somebody asks.
func (s *Server) holdings(r *http.Request, _ sallyport.Staff) (any, error) {
	if s.c.Holdings == nil {
		return nil, protectsNothing()
	}
	h := s.c.Holdings(r.Context())
	h.Rotations = s.rotating()
	return h, nil
}

func protectsNothing() error {
	return &Problem{http.StatusNotFound, "nothing_protected", "This serve protects nothing.", "See docs/protect.md."}
}

// rotating are the keys that are exchanged.
func (s *Server) rotating() []Rotation {
	list := []Rotation{}
	if s.c.Rotations != nil {
		list = append(list, s.c.Rotations()...)
	}
	return list
}

// dataProgress answers how far columns and keys are; it is asked again and again, so it asks no policy who may see what.
func (s *Server) dataProgress(r *http.Request, _ sallyport.Staff) (any, error) {
	if s.c.DataTables == nil {
		return nil, protectsNothing()
	}
	return DataProgress{s.c.DataTables(r.Context()), s.rotating()}, nil
}

// Holdings asks what is protected.
func (c *Client) Holdings(ctx context.Context) (h Holdings, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/data", nil, &h)
	return h, err
}

// DataProgress asks how far what is on its way is.
func (c *Client) DataProgress(ctx context.Context) (p DataProgress, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/data/progress", nil, &p)
	return p, err
}
