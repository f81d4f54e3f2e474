package detect

import (
	"cmp"
	_ "embed" // the program's own templates
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
)

// Template is one way in which a look is explained; templates.yaml says what its fields mean.
type Template struct {
	ID       string        `yaml:"id"`
	Fact     string        `yaml:"fact"`
	Whose    string        `yaml:"whose,omitempty"`
	Within   time.Duration `yaml:"within,omitempty"`
	Weight   float64       `yaml:"weight"`
	Says     string        `yaml:"says"`
	Roles    []string      `yaml:"roles,omitempty"`
	Priority string        `yaml:"priority,omitempty"`
	Off      bool          `yaml:"off,omitempty"`

	looks int64 // that it explained
}

//go:embed templates.yaml
var ownTemplates []byte

// DefaultTemplates are the program's own.
func DefaultTemplates() ([]Template, error) { return ParseTemplates(ownTemplates) }

// ParseTemplates reads templates as YAML.
func ParseTemplates(text []byte) ([]Template, error) {
	var file struct {
		Templates []Template `yaml:"templates"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	if len(file.Templates) == 0 {
		return nil, errors.New("read templates: there are none")
	}
	if _, err := newRules(file.Templates); err != nil {
		return nil, err
	}
	return file.Templates, nil
}

// rules are the templates that are on, by fact, the weightiest first.
type rules struct {
	ticket, contact, job, purpose, relation []*Template
	longest                                 int64 // ms that any looks back
}

// kinds are the facts, and whose they may be.
func kinds() map[string][]string {
	return map[string][]string{
		"ticket":   {"his", "was_his", "team", "anybody", "self_made", "unchecked"},
		"contact":  {"his", "anybody", "self_made"},
		"job":      {"claimed", "his", "self_made"},
		"purpose":  {"ticket", "anybody"},
		"relation": {""},
	}
}

func newRules(list []Template) (rules, error) {
	var r rules
	seen := map[string]bool{}
	for i := range list {
		t := &list[i]
		whose, known := kinds()[t.Fact]
		switch {
		case t.ID == "" || seen[t.ID]:
			return r, fmt.Errorf("template %d: expected an id of its own", i+1)
		case !known:
			return r, fmt.Errorf("template %s: no fact %q; expected ticket, contact, job, purpose or relation", t.ID, t.Fact)
		case !slices.Contains(whose, t.Whose):
			return r, fmt.Errorf("template %s: whose %q; expected one of %q", t.ID, t.Whose, whose)
		case !(t.Weight >= 0 && t.Weight <= 1):
			return r, fmt.Errorf("template %s: weight %g; expected 0 to 1", t.ID, t.Weight)
		case t.Within < 0:
			return r, fmt.Errorf("template %s: within %s; expected a time such as 48h", t.ID, t.Within)
		}
		seen[t.ID] = true
		if t.Off {
			continue
		}
		r.longest = max(r.longest, t.Within.Milliseconds())
		switch t.Fact {
		case "ticket":
			r.ticket = append(r.ticket, t)
		case "contact":
			r.contact = append(r.contact, t)
		case "job":
			r.job = append(r.job, t)
		case "purpose":
			r.purpose = append(r.purpose, t)
		case "relation":
			r.relation = append(r.relation, t)
		}
	}
	for _, some := range [][]*Template{r.ticket, r.contact, r.job, r.purpose, r.relation} {
		slices.SortStableFunc(some, func(a, b *Template) int { return cmp.Compare(b.Weight, a.Weight) })
	}
	return r, nil
}

// fits tells whether a template is for this person.
func (t *Template) fits(p *person) bool {
	if len(t.Roles) == 0 {
		return true
	}
	role := p.role
	if role == "" && p.employee != nil {
		role = p.employee.Role
	}
	return slices.Contains(t.Roles, role)
}
