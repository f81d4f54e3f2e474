package evidence

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"
)

// Told is what the report for people says.
type Told struct {
	Number          uint64
	Title           string
	State           string
	Outcome         string
	Opened          time.Time
	Made            time.Time
	By              string // who fetched it
	Agreed          [2]string
	Why             string
	Record          string // id
	LedgerKey       string
	Whole           bool
	People          []Person
	Customers       []Customer
	OtherCustomers  int // of whom entries here speak, too: by pseudonym
	WithOthers      int // entries that are given without what they say, since they speak of some
	Untouched       []string
	Limits          []string
	Timeline        []Line
	Notes           []Line
	Events          []Event
	Shown, NotShown int
	Left            []string // entries that are not here, and why
	Custody         []Line
	Deadlines       []Line
}

// Person is somebody involved.
type Person struct {
	Name        string
	Guilty      bool
	Probability float64
	Since       string
	Counts      string
}

// Customer is one whom it concerns.
type Customer struct {
	ID, Certainty, Fields, Country string
	Unexplained                    bool
	First, Last                    time.Time
}

// Line is one of a list in the order of time.
type Line struct {
	At    time.Time `json:"at"`
	Entry string    `json:"entry"` // control:SEQ
	By    string    `json:"by"`
	What  string    `json:"what"`
	Text  string    `json:"text"`
}

// Event is an entry that is in the pack.
type Event struct {
	Name       string // access:SEQ
	At         time.Time
	Kind       string
	By         string
	Says       string
	Shown      bool
	Others     []string // customers of no concern to the case of whom it speaks, by pseudonyms of this pack
	MoreOthers int      // further ones
}

// told is how many pseudonyms stand in a line of the report; events.csv has the others.
const told = 5

// Besides says of whom else an entry speaks.
func (e *Event) Besides() string {
	n := len(e.Others) + e.MoreOthers
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("%d other customers: %s", n, strings.Join(e.Others[:min(told, len(e.Others))], ", "))
	if n > told {
		text += " …"
	}
	return text
}

//go:embed report.html
var page string //nolint:gochecknoglobals // embedded

// HTML is the report: no script, nothing from elsewhere, and it prints.
func (t *Told) HTML() ([]byte, error) {
	layout, err := template.New("report").Funcs(template.FuncMap{
		"time":    func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") },
		"percent": func(p float64) string { return fmt.Sprintf("%.1f %%", 100*p) },
	}).Parse(page)
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	var b bytes.Buffer
	if err := layout.Execute(&b, t); err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return b.Bytes(), nil
}
