package serve

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"sallyport"
	"sallyport/config"
	"sallyport/policy"
	"sallyport/rulebook"
)

// maxDiff bounds what of a difference stands in the record.
const maxDiff = 64 << 10

// filesDiff says what other files change: the keys of the configuration, without secrets, and who gains and loses what by the policies.
func filesDiff(old, c *config.Config, before, after *bundle, set *policy.Set) string {
	var b strings.Builder
	was, is := flatConfig(before.Config), flatConfig(after.Config)
	keys := map[string]bool{}
	for key := range was {
		keys[key] = true
	}
	for key := range is {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		x, there := was[key]
		y, here := is[key]
		switch {
		case there && here && x == y:
		case !there:
			fmt.Fprintf(&b, "+ %s: %s\n", key, shown(key, y))
		case !here:
			fmt.Fprintf(&b, "- %s: %s\n", key, shown(key, x))
		default:
			fmt.Fprintf(&b, "~ %s: %s → %s\n", key, shown(key, x), shown(key, y))
		}
	}
	b.WriteString(policiesDiff(old, c, before, after, set))
	text := b.String()
	if len(text) > maxDiff {
		text = strings.ToValidUTF8(text[:maxDiff], "") + "\n… and more than fits here\n"
	}
	return text
}

// replayedDiff adds to a difference what the change would have meant for what is on record.
func (s *Server) replayedDiff(old, c *config.Config, before, after *bundle, set *policy.Set) (string, error) {
	x, y := before.textsOr(old), after.textsOr(c)
	former, _, err := rulebook.LoadTexts(c, x)
	if err != nil {
		return "replay: the policies that hold do not fit the new configuration, so nothing can be replayed\n", nil //nolint:nilerr // it is said
	}
	text, err := s.replayChange(context.Background(), old, c, former, set, reflect.DeepEqual(contents(x), contents(y)))
	if err != nil {
		return "", fmt.Errorf("a change of policies or budgets is proposed with its replay: %w", err)
	}
	return text, nil
}

// policiesDiff holds both sets to the people and columns of the new configuration.
func policiesDiff(old, c *config.Config, before, after *bundle, set *policy.Set) string {
	x, y := before.textsOr(old), after.textsOr(c)
	if reflect.DeepEqual(contents(x), contents(y)) {
		return ""
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(changedTexts(contents(x), contents(y)))) {
		fmt.Fprintf(&b, "policies: %s is another\n", name)
	}
	former, _, err := rulebook.LoadTexts(c, x)
	if err != nil {
		b.WriteString("policies: those that hold do not fit the new configuration, so who gains and loses cannot be said\n")
		return b.String()
	}
	changes := rulebook.GroupChanges(policy.Diff(former, set))
	for i := range changes {
		b.WriteString(changes[i].Lines())
	}
	if len(changes) == 0 {
		b.WriteString("policies: nobody gains or loses anything that was tried\n")
	}
	return b.String()
}

func contents(texts []policy.Text) map[string]string {
	out := map[string]string{}
	for _, t := range texts {
		out[t.Name[strings.LastIndexByte(t.Name, '/')+1:]] = t.Content
	}
	return out
}

func changedTexts(x, y map[string]string) map[string]bool {
	out := map[string]bool{}
	for name := range x {
		out[name] = x[name] != y[name]
	}
	for name := range y {
		out[name] = x[name] != y[name]
	}
	maps.DeleteFunc(out, func(_ string, other bool) bool { return !other })
	return out
}

// flatConfig is a configuration as path → value.
func flatConfig(text string) map[string]string {
	var tree any
	if yaml.Unmarshal([]byte(text), &tree) != nil {
		return nil // it was read before
	}
	out := map[string]string{}
	flatten("", tree, out)
	return out
}

func flatten(path string, node any, out map[string]string) {
	switch n := node.(type) {
	case map[string]any:
		for key, value := range n {
			inner := key
			if path != "" {
				inner = path + "." + key
			}
			flatten(inner, value, out)
		}
	case []any:
		for i, value := range n {
			flatten(fmt.Sprintf("%s[%d]", path, i), value, out)
		}
	default:
		out[path] = fmt.Sprint(n)
	}
}

// secretKey are keys whose values nobody is to read in a difference, and secretValue values wherever they stand.
var (
	secretKey   = regexp.MustCompile(`(?i)(^|[._])(passwords?|tokens?|secrets?|hash(es)?|verifiers?)(\[\d+\])?$`) //nolint:gochecknoglobals // constant
	secretValue = regexp.MustCompile(`^\$argon2|^sha256:|://[^/@]*:[^/@]*@|-----BEGIN|AGE-SECRET-KEY`)            //nolint:gochecknoglobals // constant
)

// shown is a value as a difference may show it.
func shown(key, value string) string {
	if secretKey.MatchString(key) && !strings.HasPrefix(key, "login.passwords[") || secretValue.MatchString(value) {
		return "(not shown)"
	}
	return Printable(value)
}

// powerOf is what of a person's lines says what he may do; not how he proves who he is, and what he is called.
func powerOf(p config.Person) config.Person {
	p.Password, p.Name, p.Account, p.Timezone = "", "", "", ""
	return p
}

// subjects are the people whom a change of the configuration is about: whose own lines change, and who gets a power, a mask taken off, or a grant.
func subjects(old, c *config.Config) []sallyport.Staff {
	about := map[sallyport.Staff]bool{}
	for id := range c.People {
		about[sallyport.Staff(id)] = !reflect.DeepEqual(powerOf(old.People[id]), powerOf(c.People[id]))
	}
	for id := range old.People {
		if _, there := c.People[id]; !there {
			about[sallyport.Staff(id)] = true
		}
	}
	for kind, ids := range c.Powers {
		for _, id := range ids {
			if !slices.Contains(old.Powers[kind], id) {
				about[sallyport.Staff(id)] = true
			}
		}
	}
	had := old.SeenBy()
	for _, id := range c.SeenBy() {
		if !slices.Contains(had, id) {
			about[id] = true
		}
	}
	newApprovers(old, c, about)
	for _, g := range c.Grants.Standing {
		if !slices.ContainsFunc(old.Grants.Standing, func(o policy.Grant) bool { return reflect.DeepEqual(o, g) }) {
			about[g.For] = true
		}
	}
	maps.DeleteFunc(about, func(_ sallyport.Staff, yes bool) bool { return !yes })
	return slices.Sorted(maps.Keys(about))
}

// newApprovers are those whom a group of grants names and did not before.
func newApprovers(old, c *config.Config, about map[sallyport.Staff]bool) {
	for name, group := range c.Grants.Groups {
		for _, id := range group.People {
			if !slices.Contains(old.Grants.Groups[name].People, id) {
				about[id] = true
			}
		}
	}
}
