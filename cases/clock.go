package cases

import (
	"bytes"
	"embed"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/goccy/go-yaml"
)

//go:embed deadlines.yaml notices/*.txt
var own embed.FS //nolint:gochecknoglobals // embedded

// Rule is a deadline as a law has it.
type Rule struct {
	ID           string   `yaml:"id" json:"id"`
	Law          string   `yaml:"law" json:"law"`
	To           string   `yaml:"to" json:"to"` // regulator, customers
	What         string   `yaml:"what" json:"what"`
	Hours        int      `yaml:"hours" json:"hours,omitempty"`
	Days         int      `yaml:"days" json:"days,omitempty"`
	BusinessDays int      `yaml:"business_days" json:"business_days,omitempty"`
	Countries    []string `yaml:"countries" json:"countries,omitempty"`
	If           string   `yaml:"if" json:"if,omitempty"`
	Article      string   `yaml:"article" json:"article,omitempty"` // where in the law exactly
	Source       string   `yaml:"source" json:"source,omitempty"`   // where that can be read
}

// OwnRules are the program's own, as a file.
func OwnRules() []byte {
	b, _ := own.ReadFile("deadlines.yaml") // it is embedded
	return b
}

// ParseRules reads a file of them.
func ParseRules(text []byte) ([]Rule, error) {
	var list []Rule
	if err := yaml.UnmarshalWithOptions(text, &list, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read deadlines: %w", err)
	}
	seen := map[string]bool{}
	for i, r := range list {
		lengths := 0
		for _, n := range []int{r.Hours, r.Days, r.BusinessDays} {
			if n < 0 {
				return nil, fmt.Errorf("read deadlines: %s: expected a length of time that is not negative", r.ID)
			}
			if n > 0 {
				lengths++
			}
		}
		switch {
		case r.ID == "" || seen[r.ID]:
			return nil, fmt.Errorf("read deadlines: the %dth has no id of its own", i+1)
		case r.To != "regulator" && r.To != "customers":
			return nil, fmt.Errorf("read deadlines: %s: to %q; expected regulator or customers", r.ID, r.To)
		case r.Law == "" || r.Article == "":
			return nil, fmt.Errorf("read deadlines: %s: expected the law and its article", r.ID)
		case !readable(r.Source):
			return nil, fmt.Errorf("read deadlines: %s: source %q; expected the address at which the law can be read, such as https://eur-lex.europa.eu/eli/reg/2016/679/oj", r.ID, r.Source)
		case lengths > 1:
			return nil, fmt.Errorf("read deadlines: %s: expected one of hours, days and business_days", r.ID)
		}
		seen[r.ID] = true
	}
	return list, nil
}

// readable tells whether a source is an address.
func readable(source string) bool {
	u, err := url.Parse(source)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && strings.Contains(u.Host, ".")
}

// Due is one deadline of a case.
type Due struct {
	Rule
	At  time.Time `json:"at,omitzero"`  // zero: the law gives no fixed time
	Met time.Time `json:"met,omitzero"` // zero: not yet
}

// Late tells whether it has passed unmet.
func (d *Due) Late(now time.Time) bool { return d.Met.IsZero() && !d.At.IsZero() && now.After(d.At) }

// Deadlines are those of a case, the next first: of laws that know no country, and of the countries in which customers concerned live. Without
// countries all of them are.
func Deadlines(rules []Rule, aware time.Time, countries []string, met map[string]time.Time) (list []Due) {
	for _, r := range rules {
		if len(r.Countries) > 0 && len(countries) > 0 && !slices.ContainsFunc(countries, func(c string) bool {
			return slices.ContainsFunc(r.Countries, func(of string) bool { return strings.EqualFold(c, of) })
		}) {
			continue
		}
		list = append(list, Due{r, r.due(aware), met[r.ID]})
	}
	slices.SortStableFunc(list, func(a, b Due) int {
		switch {
		case a.At.IsZero() != b.At.IsZero():
			if a.At.IsZero() {
				return 1
			}
			return -1
		}
		return a.At.Compare(b.At)
	})
	return list
}

// due is when; zero where the law gives no fixed time.
func (r *Rule) due(aware time.Time) time.Time {
	switch {
	case aware.IsZero():
		return time.Time{}
	case r.Hours > 0:
		return aware.Add(time.Duration(r.Hours) * time.Hour)
	case r.Days > 0:
		return aware.AddDate(0, 0, r.Days)
	case r.BusinessDays > 0:
		at := aware
		for left := r.BusinessDays; left > 0; {
			if at = at.AddDate(0, 0, 1); at.Weekday() != time.Saturday && at.Weekday() != time.Sunday {
				left--
			}
		}
		return at
	}
	return time.Time{}
}

// Figure is what a notice counts.
type Figure struct {
	Name                      string
	Customers                 int
	Certain, Likely, Possible int
}

// Notice fills the draft for a regulator.
type Notice struct {
	Case                       uint64
	Aware, Now                 string
	Since, SinceLow, SinceHigh string
	Contained                  string
	Reports                    int
	Fields, Countries          []Figure
	Certain, Likely, Possible  int
	Untouched, Limits          []string
	Record                     string
	First, Last                uint64
}

// Letter fills the draft for one customer.
type Letter struct {
	Case        uint64
	Sure        bool // that he could read it
	First, What string
}

// Draft fills a template, the program's own where text is empty. name is regulator or customers.
func Draft(name, text string, with any) (string, error) {
	if text == "" {
		b, err := own.ReadFile("notices/" + name + ".txt")
		if err != nil {
			return "", fmt.Errorf("draft a notice: there is none for %q", name)
		}
		text = string(b)
	}
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("draft a notice: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, with); err != nil {
		return "", fmt.Errorf("draft a notice: %w", err)
	}
	return b.String(), nil
}
