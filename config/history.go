package config

import (
	"cmp"
	"time"

	"sallyport/api"
	"sallyport/history"
)

// HistoryConfig is what history keeps and may use.
type HistoryConfig struct {
	Off    bool `yaml:"off"`    // keep none: who-saw reads the record itself, and nothing can be asked in SQL
	Days   int  `yaml:"days"`   // that it reaches back. 0: 400
	Memory int  `yaml:"memory"` // MiB for its process, of which half are its database's buffers. 0: 768. Where it stays above that it is begun anew (docs/history.md)

	Seconds int `yaml:"seconds"` // that a question in SQL may take. 0: 30
	Rows    int `yaml:"rows"`    // of its answer. 0: 10000
}

// DefaultHistoryDays is how far history reaches back: a year, and what it takes to look into it.
const DefaultHistoryDays = 400

func (h *HistoryConfig) check(r *Document) {
	for _, part := range []struct {
		name      string
		n, lowest int
	}{{"days", h.Days, 1}, {"memory", h.Memory, leastHistoryMemory}, {"seconds", h.Seconds, 1}, {"rows", h.Rows, 1}} {
		if part.n != 0 && part.n < part.lowest {
			r.problemAt("history."+part.name, "%d; expected at least %d, or nothing for the default", part.n, part.lowest)
		}
	}
}

// Bounds are those of a query of history.
func (h *HistoryConfig) Bounds() history.Bounds {
	b := api.DefaultBounds
	b.Time = cmp.Or(time.Duration(h.Seconds)*time.Second, b.Time)
	b.Rows = cmp.Or(h.Rows, b.Rows)
	return b
}

// What history's process may have of memory is divided: DuckDB's buffers, and what this program keeps beside them (dictionaries, batches on their
// way). The rest is what DuckDB takes outside its buffers. The process ends where it stays above the whole, and is begun anew.
const (
	DefaultHistoryMemory = 768 // MiB
	leastHistoryMemory   = 128
	DuckShare            = 2 // half
	GoShare              = 4 // a quarter
	MemoryLooks          = time.Second
	MemoryPatience       = 10 // looks in a row
)
