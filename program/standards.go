package program

import (
	_ "embed" // the standards
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"sallyport"
)

//go:embed standards.yaml
var standards []byte

// Guide is where the practices are from.
const Guide = "https://insights.sei.cmu.edu/library/common-sense-guide-to-mitigating-insider-threats-seventh-edition/"

// Practice is one of a standard.
type Practice struct {
	N        int      `yaml:"n" json:"n"`
	Title    string   `yaml:"title" json:"title"`
	Does     string   `yaml:"does" json:"does"`         // what Sallyport does about it
	Page     string   `yaml:"page" json:"page"`         // of docs/, that explains it
	Evidence []string `yaml:"evidence" json:"evidence"` // kinds of entries that show it
	Company  string   `yaml:"company" json:"company"`   // what nobody but the company can do
}

// Practices are the 22 of CERT's Common Sense Guide.
func Practices() ([]Practice, error) {
	var out []Practice
	if err := yaml.UnmarshalWithOptions(standards, &out, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the standards: %w", err)
	}
	return out, nil
}

// Evidence counts entries of both streams by kind; of the programme also as program:DO, of training as training:DO, of findings as finding:TECHNIQUE.
type Evidence struct {
	From, Until time.Time
	kinds       map[string]*Seen
}

// Seen is how often something stands in the record, and where last.
type Seen struct {
	What  string    `json:"what"`
	Times int       `json:"times"`
	Last  time.Time `json:"last,omitzero"`
}

// NewEvidence counts between two moments.
func NewEvidence(from, until time.Time) *Evidence { return &Evidence{from, until, map[string]*Seen{}} }

// Take takes an entry of either stream.
func (v *Evidence) Take(e *sallyport.Event) {
	if e.Time.Before(v.From) || !e.Time.Before(v.Until) {
		return
	}
	v.count(string(e.Kind), e.Time)
	switch o := e.Order; {
	case o == nil:
	case e.Kind == sallyport.ProgramKind && o.Program != nil:
		v.count("program:"+o.Program.Do, e.Time)
	case e.Kind == sallyport.TrainingKind && o.Training != nil:
		v.count("training:"+o.Training.Do, e.Time)
	case e.Kind == sallyport.FindingKind:
		var f struct {
			Attack []string `json:"attack"`
		}
		if json.Unmarshal(o.Finding, &f) == nil {
			for _, id := range f.Attack {
				v.count("finding:"+id, e.Time)
			}
		}
	}
}

func (v *Evidence) count(what string, at time.Time) {
	s := v.kinds[what]
	if s == nil {
		s = &Seen{What: what}
		v.kinds[what] = s
	}
	s.Times++
	if at.After(s.Last) {
		s.Last = at
	}
}

// Status is a practice with the evidence for it.
type Status struct {
	Practice
	Seen  []Seen `json:"seen"`
	State string `json:"state"` // evidence, none, company
}

// Assess holds practices to the record. evidence: the record shows it. none: it shows nothing of it. company: it is not Sallyport's to show.
func (v *Evidence) Assess(practices []Practice) (out []Status) {
	for _, p := range practices {
		seen, state := v.of(p.Evidence)
		out = append(out, Status{p, seen, state})
	}
	return out
}

// of is what stands on record of some kinds of entries.
func (v *Evidence) of(kinds []string) (list []Seen, state string) {
	list, state = []Seen{}, "none"
	if len(kinds) == 0 {
		return list, "company"
	}
	for _, what := range kinds {
		if seen := v.kinds[what]; seen != nil {
			list, state = append(list, *seen), "evidence"
		}
	}
	slices.SortStableFunc(list, func(a, b Seen) int { return b.Times - a.Times })
	return list, state
}
