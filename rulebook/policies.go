// Package rulebook reads what rules hold by a configuration: its folder of policies, or the program's own, held to its columns and people; what changes when
// other policies hold, in words; and what became of the accesses on record under other policies or budgets.
//
// It rules on nothing: that is package policy, which reads no files. It refuses policies with a mistake whole, never in part.
package rulebook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/config"
	"sallyport/policy"
)

// Texts are the policies of a folder, or the program's own where none is named.
func Texts(c *config.Config, dir string) ([]policy.Text, error) {
	if c.Kept != nil && dir == c.PolicyFolder() {
		return c.Kept, nil
	}
	if dir == "" {
		return policy.Defaults(c.Demonstration), nil
	}
	return TextsIn(dir, "*.cedar", "policies")
}

// Cases are the cases beside the policies of a folder.
func Cases(dir string) ([]policy.Text, error) {
	if dir == "" {
		return []policy.Text{policy.DefaultCases()}, nil
	}
	return TextsIn(dir, "*.yaml", "cases")
}

// mostPolicies bounds what is read of a folder.
const mostPolicies = 4 << 20

// TextsIn reads the files of a folder that a pattern names.
func TextsIn(dir, pattern, what string) ([]policy.Text, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, config.Usagef("read %s: %s is no folder; make one with 'sallyport policy init %s'", what, dir, dir)
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
			return nil, config.Usagef("read %s of %s: more than %d bytes", what, dir, mostPolicies)
		}
		out = append(out, policy.Text{Name: name, Content: string(text)})
	}
	if len(out) == 0 && what == "policies" {
		return nil, config.Usagef("read policies: there is no *.cedar in %s, and nothing is permitted without; 'sallyport policy init DIR' writes those that hold by default", dir)
	}
	return out, nil
}

// Error says what is wrong with policies, each with its place.
type Error struct{ Problems []policy.Problem }

func (e *Error) Error() string {
	lines := []string{fmt.Sprintf("the policies have %d problems:", len(e.Problems))}
	if len(e.Problems) == 1 {
		lines[0] = "the policies have 1 problem:"
	}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.Place()+": "+Problem(p))
	}
	return strings.Join(lines, "\n")
}

// Problem is a problem with the name that was most likely meant.
func Problem(p policy.Problem) string {
	s := p.Text
	if p.Got != "" && len(p.Known) > 0 {
		s += "; expected " + config.OneOf(p.Got, p.Known)
	}
	return s
}

// Load reads a folder's policies. Warnings are the second result.
func Load(c *config.Config, dir string) (*policy.Set, []policy.Problem, error) {
	texts, err := Texts(c, dir)
	if err != nil {
		return nil, nil, err
	}
	return LoadTexts(c, texts)
}

// LoadTexts holds policies to the columns and people of the configuration.
func LoadTexts(c *config.Config, texts []policy.Text) (*policy.Set, []policy.Problem, error) {
	set, problems := policy.Load(texts, c.World(), c.Copiers())
	if set == nil {
		problems = slices.DeleteFunc(problems, func(p policy.Problem) bool { return p.Warning })
		return nil, nil, &config.UsageError{Err: &Error{Problems: problems}}
	}
	return set, problems, nil
}

// Write puts the program's own policies and their cases into a folder that has none.
func Write(dir string) (names []string, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of policies: %w", err)
	}
	for _, t := range append(policy.Defaults(false), policy.DefaultCases()) {
		name := filepath.Join(dir, t.Name)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640) //nolint:gosec // policies are read by whoever administers
		if errors.Is(err, os.ErrExist) {
			return names, config.Usagef("%s is there already; policies are never overwritten: name another folder", name)
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
