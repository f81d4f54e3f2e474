package program

import (
	_ "embed" // techniques
	"fmt"

	"github.com/goccy/go-yaml"
)

//go:embed attack.yaml
var attack []byte

// What the techniques are from.
const (
	AttackVersion = "Enterprise v18"
	AttackGuide   = "https://attack.mitre.org/versions/v18/"
	InsiderGuide  = "https://ctid.mitre.org/projects/insider-threat-ttp-knowledge-base"
)

// Technique is one of ATT&CK, with what is done about it.
type Technique struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Seen     bool     `json:"seen_of_insiders"` // by the Center for Threat-Informed Defense
	Does     string   `json:"does"`             // what Sallyport does about it; nothing: nothing
	Page     string   `json:"page"`             // of docs/, that explains it
	Evidence []string `json:"evidence"`         // kinds of entries that show it; finding:ID, findings that name the technique
	Company  string   `json:"company"`          // what nobody but the company can do
}

// Techniques are those of insiders that are known, and those that findings name.
func Techniques() ([]Technique, error) {
	var groups []struct {
		Techniques []struct {
			ID   string `yaml:"id"`
			Name string `yaml:"name"`
			Seen *bool  `yaml:"seen"` // absent: it was seen
		} `yaml:"techniques"`
		Does     string   `yaml:"does"`
		Page     string   `yaml:"page"`
		Evidence []string `yaml:"evidence"`
		Company  string   `yaml:"company"`
	}
	if err := yaml.UnmarshalWithOptions(attack, &groups, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the techniques: %w", err)
	}
	var out []Technique
	for _, g := range groups {
		for _, t := range g.Techniques {
			x := Technique{ID: t.ID, Name: t.Name, Seen: t.Seen == nil || *t.Seen, Does: g.Does, Page: g.Page, Company: g.Company, Evidence: []string{}}
			if len(g.Evidence) > 0 {
				x.Evidence = append([]string{"finding:" + t.ID}, g.Evidence...)
			}
			out = append(out, x)
		}
	}
	return out, nil
}

// TechniqueStatus is a technique with the evidence for what is done about it.
type TechniqueStatus struct {
	Technique
	Found []Seen `json:"seen"`
	State string `json:"state"` // evidence, none, company
}

// AssessTechniques holds techniques to the record, as Assess does practices.
func (v *Evidence) AssessTechniques(list []Technique) (out []TechniqueStatus) {
	for _, t := range list {
		found, state := v.of(t.Evidence)
		out = append(out, TechniqueStatus{t, found, state})
	}
	return out
}
