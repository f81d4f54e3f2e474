package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/policy"
	"sallyport/staff"
)

// world is what policies can speak of: the columns and the people of the configuration.
func (c *Config) world() *policy.World {
	if c.roster != nil {
		return c.worldOf(c.roster)
	}
	return c.worldOf(staff.NewState().Roster(c.own(), c.rules(), time.Time{}))
}

// worldOf is what policies can speak of when everybody is where a roster says.
func (c *Config) worldOf(roster *staff.Roster) *policy.World {
	w := &policy.World{Roles: roles(), Teams: c.teams()}
	for _, team := range roster.Teams() {
		if !slices.Contains(w.Teams, team) {
			w.Teams = append(w.Teams, team)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(roster.People)) {
		p := roster.People[id]
		w.Staff = append(w.Staff, policy.Member{ID: id, Team: p.Place.Team, Role: p.Place.Role, Manager: p.Manager, Employment: p.Employment, Firm: p.Firm})
	}
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		w.Services = append(w.Services, policy.Service{ID: sallyport.Staff(id), Team: c.Services[id].Team, Owner: sallyport.Staff(c.Services[id].Owner)})
	}
	copiers := c.copiers()
	columns := map[string]catalog.ColumnConfig{}
	for _, more := range []map[string][]sallyport.Staff{copiers.Configured, copiers.Attesters} {
		for name := range more {
			columns[name] = catalog.ColumnConfig{}
		}
	}
	for table, path := range c.Protect.Paths {
		column, _, _ := strings.Cut(path, "->")
		columns[table+"."+strings.TrimSpace(column)] = catalog.ColumnConfig{}
	}
	maps.Copy(columns, c.Protect.Columns)
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if column, ok := policy.ParseColumn(name); ok {
			w.Columns = append(w.Columns, policy.Column{Column: column, Class: columns[name].Class, Scheme: columns[name].Scheme})
		}
	}
	return w
}

// policyTexts are the policies of a folder, or the program's own where none is named.
func (c *Config) policyTexts(dir string) ([]policy.Text, error) {
	if c.kept != nil && dir == c.policyFolder() {
		return c.kept, nil
	}
	if dir == "" {
		return policy.Defaults(c.Demonstration), nil
	}
	return textsIn(dir, "*.cedar", "policies")
}

// caseTexts are the cases beside the policies of a folder.
func caseTexts(dir string) ([]policy.Text, error) {
	if dir == "" {
		return []policy.Text{policy.DefaultCases()}, nil
	}
	return textsIn(dir, "*.yaml", "cases")
}

// mostPolicies bounds what is read of a folder.
const mostPolicies = 4 << 20

// textsIn reads the files of a folder that a pattern names.
func textsIn(dir, pattern, what string) ([]policy.Text, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, usagef("read %s: %s is no folder; make one with 'sallyport policy init %s'", what, dir, dir)
	}
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	var out []policy.Text
	size := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		if size += len(text); size > mostPolicies {
			return nil, usagef("read %s of %s: more than %d bytes", what, dir, mostPolicies)
		}
		out = append(out, policy.Text{Name: name, Content: string(text)})
	}
	if len(out) == 0 && what == "policies" {
		return nil, usagef("read policies: there is no *.cedar in %s, and nothing is permitted without; 'sallyport policy init DIR' writes those that hold by default", dir)
	}
	return out, nil
}

// policyError says what is wrong with policies, each with its place.
type policyError struct{ problems []policy.Problem }

func (e *policyError) Error() string {
	lines := []string{fmt.Sprintf("the policies have %s:", several(int64(len(e.problems)), "problem"))}
	for _, p := range e.problems {
		lines = append(lines, "  "+p.Place()+": "+policyProblem(p))
	}
	return strings.Join(lines, "\n")
}

// policyProblem is a problem with the name that was most likely meant.
func policyProblem(p policy.Problem) string {
	s := p.Text
	if p.Got != "" && len(p.Known) > 0 {
		s += "; expected " + oneOf(p.Got, p.Known)
	}
	return s
}

// loadPolicies reads a folder's policies. Warnings are the second result.
func (c *Config) loadPolicies(dir string) (*policy.Set, []policy.Problem, error) {
	texts, err := c.policyTexts(dir)
	if err != nil {
		return nil, nil, err
	}
	return c.loadTexts(texts)
}

// loadTexts holds policies to the columns and people of the configuration.
func (c *Config) loadTexts(texts []policy.Text) (*policy.Set, []policy.Problem, error) {
	set, problems := policy.Load(texts, c.world(), c.copiers())
	if set == nil {
		problems = slices.DeleteFunc(problems, func(p policy.Problem) bool { return p.Warning })
		return nil, nil, &usageError{err: &policyError{problems: problems}}
	}
	return set, problems, nil
}

// writePolicies puts the program's own policies and their cases into a folder that has none.
func writePolicies(dir string) (names []string, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of policies: %w", err)
	}
	for _, t := range append(policy.Defaults(false), policy.DefaultCases()) {
		name := filepath.Join(dir, t.Name)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640) //nolint:gosec // policies are read by whoever administers
		if errors.Is(err, os.ErrExist) {
			return names, usagef("%s is there already; policies are never overwritten: name another folder", name)
		}
		if err != nil {
			return names, fmt.Errorf("write policies: %w", err)
		}
		_, err = f.WriteString(t.Content)
		if err = errors.Join(err, f.Close()); err != nil {
			return names, fmt.Errorf("write policies: %w", err)
		}
		names = append(names, name)
	}
	return names, nil
}

// policyFolder is where the policies stand; empty: the program's own hold.
func (c *Config) policyFolder() string {
	if c.Policies == "" {
		return ""
	}
	return c.path(c.Policies)
}
