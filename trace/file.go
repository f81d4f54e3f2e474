package trace

import (
	"math"
	"strconv"
	"strings"
	"time"

	"sallyport"
)

// Leak is a leaked file against what left: whole results that held many customers (exports), and all that a person ever saw (viewers). A row
// of the file is to a source what a report is to a suspect, so the model is the same one; a part of the file is as good as the whole, in any
// order, and rows of other origin are background.
type Leak struct {
	sets    *Exposures
	exports map[sallyport.Staff]export
	folded  map[string]sallyport.Subject // customers whose key is no number, without case; empty where it means several
	of      int                          // how many customers were known when that was made
}

// export is a set under a name that no person has.
type export struct {
	id    string
	staff sallyport.Staff
}

// ExportFrom is how many customers a result must hold to be looked at by itself. Below that a person's whole view says as much.
const ExportFrom = 20

// Source is where a file may come from.
type Source struct {
	Kind      string // export, or viewer
	ID        string // of the export; the person's for a viewer
	Staff     []sallyport.Staff
	Posterior float64
	Customers int // in it
	Rows      int // of the file that are in it
}

// NewLeak is the state before anything left.
func NewLeak() *Leak {
	return &Leak{sets: NewExposures(), exports: map[sallyport.Staff]export{}}
}

// Add notes what one result showed to somebody; id names it.
func (l *Leak) Add(id string, staff sallyport.Staff, at time.Time, customers []sallyport.Subject) {
	for _, c := range customers {
		l.sets.Add(Seen{Staff: staff, Customer: c, At: at})
	}
	if len(customers) < ExportFrom || id == "" {
		return
	}
	name := sallyport.Staff("\x00" + id)
	l.exports[name] = export{id, staff}
	for _, c := range customers {
		l.sets.Add(Seen{Staff: name, Customer: c, At: at})
	}
}

// Known is the customer whom a cell of the file names, whatever became of its case; empty where nobody was ever shown him.
func (l *Leak) Known(cell string) sallyport.Subject {
	cell = strings.TrimSpace(cell)
	if cell == "" {
		return ""
	}
	if _, ok := l.sets.known(sallyport.Subject(cell)); ok {
		return sallyport.Subject(cell)
	}
	if l.of != len(l.sets.back) {
		l.folded, l.of = map[string]sallyport.Subject{}, len(l.sets.back)
		for key := range l.sets.text {
			low := strings.ToLower(string(key))
			if _, twice := l.folded[low]; twice {
				key = ""
			}
			l.folded[low] = key
		}
	}
	return l.folded[strings.ToLower(cell)]
}

// Sources says where the rows come from, in order of probability, and how probable it is that from nowhere that is on record. Foreign are the
// rows about nobody whom anybody was shown.
func (l *Leak) Sources(customers []sallyport.Subject, foreign int, o Options) (list []Source, none float64) {
	rows := make([]Report, 0, len(customers)+foreign)
	end := time.Unix(math.MaxUint32, 0)
	for _, c := range customers {
		rows = append(rows, Report{Customer: c, At: end})
	}
	for i := range foreign {
		rows = append(rows, Report{Customer: sallyport.Subject("\x00foreign" + strconv.Itoa(i)), At: end})
	}
	q := l.sets.question(rows, o)
	if len(q.hits) == 0 {
		return nil, 1
	}
	suspects, none := q.suspects(q.judge())
	for _, s := range suspects {
		if len(s.Staff) > 1 {
			continue // of two together each stands for himself
		}
		source := Source{Kind: "viewer", ID: string(s.Staff[0]), Staff: s.Staff, Posterior: s.Posterior, Customers: s.Customers, Rows: s.Seen}
		if e, ok := l.exports[s.Staff[0]]; ok {
			source.Kind, source.ID, source.Staff = "export", e.id, []sallyport.Staff{e.staff}
		}
		list = append(list, source)
	}
	return list, none
}
