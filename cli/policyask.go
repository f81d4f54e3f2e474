package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/config"
	"sallyport/policy"
	"sallyport/rulebook"
)

// askFlags describe a situation, as a case does.
type askFlags struct {
	policyFlags
	action, purpose string
	facts, with     []string
	grant           int64
}

func (m *Main) policyExplainCommand() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "explain STAFF [COLUMN|TABLE]",
		Short: "Say which policy decides about somebody and a column, and what would have to be different",
		Long: `Asks the policies one question and prints what decides, and beneath it the policies that would decide if something were
different, nearest first. Nothing is read from a database: --purpose names the kind of a reason that holds (an open ticket of the
person's own about this very customer), and --fact changes what is known of it. --with changes the moment: by default trust is 100, the
log-in is by OIDC and was confirmed 10 minutes ago, on a Tuesday at 10.

Names of --fact and --with are those of cases (docs/policies.md). About Sallyport itself (--action approve, investigate, administer) there is no column;
query and replicate are about a table.`,
		Example: `  sallyport policy explain s017 support.customers.email --purpose ticket
  sallyport policy explain s017 support.customers.email --purpose ticket --fact mine=false --fact team=support-eu --with trust=55
  sallyport policy explain svc_billing support.customers.email --action export --grant 100
  sallyport policy explain s050 --action approve --with strength=password`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			_, set, err := f.read(m)
			if err != nil {
				return err
			}
			column := ""
			if len(args) == 2 {
				column = args[1]
			} else if !policy.OfSallyport(f.action) {
				return config.Usagef("no column; expected STAFF COLUMN, or --action approve, investigate or administer")
			}
			ask, err := f.ask(set, args[0], column)
			if err != nil {
				return &config.UsageError{Err: err}
			}
			return m.printExplanation(ask, set.Explain(ask), f.asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.action, "action", policy.ActionReveal, "`ACTION`: "+strings.Join(policy.Actions(), ", "))
	cmd.Flags().StringVar(&f.purpose, "purpose", "", "`KIND` of a reason that holds: "+strings.Join(policy.Kinds(), ", "))
	cmd.Flags().StringArrayVar(&f.facts, "fact", nil, "`NAME=VALUE` that is otherwise about the reason, such as mine=false")
	cmd.Flags().StringArrayVar(&f.with, "with", nil, "`NAME=VALUE` that is otherwise about the moment, such as trust=55")
	cmd.Flags().Int64Var(&f.grant, "grant", 0, "a grant for the column with so many customers left")
	return cmd
}

// ask is the question of a command line: a case of one.
func (f *askFlags) ask(set *policy.Set, who, column string) (policy.Ask, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "cases:\n- who: %s\n  do: %s\n  column: %s\n  then: reveal\n", yamlText(who), yamlText(f.action), yamlText(column))
	if f.grant > 0 {
		fmt.Fprintf(&b, "  grant: {id: grant, customers: %d, left: %d}\n", f.grant, f.grant)
	}
	if f.purpose == "" && len(f.facts) > 0 {
		return policy.Ask{}, fmt.Errorf("a fact about no reason; expected --purpose KIND beside --fact")
	}
	if f.purpose != "" {
		if !slices.Contains(policy.Kinds(), f.purpose) {
			return policy.Ask{}, fmt.Errorf("--purpose %q; expected %s", f.purpose, config.OneOf(f.purpose, policy.Kinds()))
		}
		fmt.Fprintf(&b, "  why:\n    kind: %s\n", yamlText(f.purpose))
		if !slices.ContainsFunc(f.facts, func(s string) bool { return strings.HasPrefix(s, "mine=") }) {
			b.WriteString("    mine: true\n")
		}
		if err := addPairs(&b, f.facts); err != nil {
			return policy.Ask{}, err
		}
	}
	if len(f.with) > 0 {
		b.WriteString("  with:\n")
		if err := addPairs(&b, f.with); err != nil {
			return policy.Ask{}, err
		}
	}
	cases, err := policy.ReadCases(policy.Text{Name: "the command line", Content: b.String()})
	if err != nil {
		return policy.Ask{}, err
	}
	o := cases.Run(set)[0]
	if o.Trouble != "" {
		return policy.Ask{}, fmt.Errorf("%s", o.Trouble)
	}
	return o.Ask, nil
}

func addPairs(b *strings.Builder, pairs []string) error {
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || strings.ContainsAny(pair, "\n:") {
			return fmt.Errorf("%q; expected NAME=VALUE", pair)
		}
		fmt.Fprintf(b, "    %s: %s\n", name, value)
	}
	return nil
}

// yamlText quotes a text for YAML.
func yamlText(s string) string {
	text, err := yaml.Marshal(s)
	if err != nil {
		return `""`
	}
	return strings.TrimSpace(string(text))
}

// explainedPolicy is what one policy says, as JSON.
type explainedPolicy struct {
	Policy   string   `json:"policy"`
	Effect   string   `json:"effect"`
	Decides  bool     `json:"decides"`
	Because  string   `json:"because"`
	Document string   `json:"document,omitempty"`
	Place    string   `json:"place"`
	Missing  []string `json:"missing,omitempty"`
}

func (m *Main) printExplanation(a policy.Ask, e policy.Explanation, asJSON bool) error {
	var list []explainedPolicy
	for _, p := range e.Policies {
		x := explainedPolicy{Policy: p.Policy, Effect: "permit", Decides: slices.Contains(e.Ruling.Policies, p.Policy), Because: p.Because, Document: p.Document, Place: p.Place, Missing: p.Missing}
		if p.Forbids {
			x.Effect = "forbid"
		}
		list = append(list, x)
	}
	if asJSON {
		return printJSON(m.Stdout, map[string]any{
			"staff": a.Who, "action": a.Action, "column": rulebook.AboutWhat(a.Action, a.Column), "verdict": e.Ruling.Verdict.String(), "respond": e.Ruling.Respond,
			"because": e.Ruling.Because, "document": e.Ruling.Document, "policies": list,
		})
	}
	fmt.Fprintf(m.Stdout, "%s, %s %s: %s\n", a.Who, a.Action, rulebook.AboutWhat(a.Action, a.Column), ruled(e.Ruling))
	for _, x := range list {
		if x.Decides {
			fmt.Fprintf(m.Stdout, "  %s (%s): %s%s\n", x.Policy, x.Place, x.Because, documented(x.Document))
		}
	}
	printed := 0
	for _, x := range list {
		if x.Decides || x.Effect == "forbid" || printed == 5 {
			continue
		}
		if printed == 0 {
			fmt.Fprintln(m.Stdout, "\nWould permit it, if this held:")
		}
		printed++
		if len(x.Missing) == 0 {
			fmt.Fprintf(m.Stdout, "  %s: all of it holds, but for what forbids it\n", x.Policy)
			continue
		}
		fmt.Fprintf(m.Stdout, "  %s: %s\n", x.Policy, strings.Join(x.Missing, " && "))
	}
	return nil
}

// ruled is a ruling in a word or two.
func ruled(r policy.Ruling) string {
	s := r.Verdict.String()
	if r.Respond != policy.Refuse {
		s += " (" + string(r.Respond) + ")"
	}
	if len(r.Policies) == 0 {
		s += ", because " + r.Because
	}
	return s
}

func documented(document string) string {
	if document == "" {
		return ""
	}
	return " [" + document + "]"
}

func (m *Main) policyWhoCanCommand() *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "who-can ACTION [COLUMN|CLASS]",
		Short: "List everybody who may ever do something to a column, and when",
		Long: `Goes through everybody of the configuration and every column, and prints who may do something, by which policy and under
which condition, and what stands against it. The list is complete: who is not on it never may, whatever the moment.`,
		Example: "  sallyport policy who-can reveal support.customers.email --config sallyport.yaml\n  sallyport policy who-can export contact\n  sallyport policy who-can approve",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			c, set, err := f.read(m)
			if err != nil {
				return err
			}
			if !slices.Contains(policy.Actions(), args[0]) {
				return config.Usagef("no action %q; expected %s", args[0], config.OneOf(args[0], policy.Actions()))
			}
			about := ""
			if len(args) == 2 {
				about = args[1]
			}
			wanted, err := c.WantedColumns(about)
			if err != nil {
				return err
			}
			var list []policy.Access
			for _, a := range set.WhoCan(args[0]) {
				if policy.OfSallyport(args[0]) || slices.Contains(wanted, a.Column) {
					list = append(list, a)
				}
			}
			return m.printAccess(args[0], list, f.asJSON)
		},
	}
	f.add(cmd)
	return cmd
}

// accessLine is who may do something, as JSON.
type accessLine struct {
	Staff  []sallyport.Staff `json:"staff"`
	Column string            `json:"column"`
	May    bool              `json:"may"`
	Ways   []policy.Way      `json:"ways,omitempty"`
	Unless []policy.Way      `json:"unless,omitempty"`
}

func (m *Main) printAccess(action string, list []policy.Access, asJSON bool) error {
	if asJSON {
		for _, a := range list {
			if err := printJSON(m.Stdout, accessLine{Staff: a.Who, Column: rulebook.AboutWhat(action, a.Column), May: len(a.Ways) > 0, Ways: a.Ways, Unless: a.Unless}); err != nil {
				return err
			}
		}
		return nil
	}
	entries := map[string][]string{} // columns of which the same is true, in one
	var order []string
	for _, a := range list {
		key := rulebook.SomeStaff(a.Who) + ": never " + action + " COLUMNS\n"
		if len(a.Ways) > 0 {
			key = rulebook.SomeStaff(a.Who) + ": may " + action + " COLUMNS\n" + waysOf(a)
		}
		if entries[key] == nil {
			order = append(order, key)
		}
		entries[key] = append(entries[key], rulebook.AboutWhat(action, a.Column))
	}
	for _, key := range order {
		fmt.Fprint(m.Stdout, strings.Replace(key, "COLUMNS", strings.Join(entries[key], ", "), 1))
	}
	return nil
}

// waysOf are the policies that permit something, and those against it, a line each.
func waysOf(a policy.Access) string {
	var b strings.Builder
	for _, w := range a.Ways {
		fmt.Fprintf(&b, "    by %s%s\n", w.Policy, condition(" if ", w.If))
	}
	for _, w := range a.Unless {
		answer := "never"
		if w.Respond != policy.Refuse {
			answer = string(w.Respond)
		}
		fmt.Fprintf(&b, "    %s by %s%s\n", answer, w.Policy, condition(" if ", w.If))
	}
	return b.String()
}

func condition(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
