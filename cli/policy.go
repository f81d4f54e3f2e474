package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/policy"
	"sallyport/rulebook"
	"sallyport/serve"
)

func (m *Main) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Test, explain and compare the policies that decide who sees what",
		Long: `Policies are Cedar files in a folder that the configuration names under policies; without one the program's own hold
(docs/policies.md). Which customer a reason covers is found out before any policy is asked: no policy can widen that.`,
		Example: "  sallyport policy test --config sallyport.yaml\n  sallyport policy explain s017 support.customers.email --purpose ticket",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.policyTestCommand(), m.policyExplainCommand(), m.policyWhoCanCommand(), m.policyDiffCommand(), m.policySchemaCommand(), m.policyInitCommand(), m.policyProposeCommand())
	return cmd
}

// policyFlags are what the commands about policies share.
type policyFlags struct {
	config, dir, people string
	asJSON              bool
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "sallyport.yaml", "configuration `FILE`: the columns and the people")
	cmd.Flags().StringVar(&f.dir, "policies", "", "`FOLDER` with policies; left out: the configuration's, else the program's own")
	cmd.Flags().StringVar(&f.people, "people", "", "`FILE` with everybody, from 'sallyport directory ls --json'; left out: the configuration's people")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// read loads configuration and policies.
func (f *policyFlags) read(m *Main) (*config.Config, *policy.Set, error) {
	c, err := config.Load(f.config)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Listed(f.people); err != nil {
		return nil, nil, err
	}
	set, warnings, err := rulebook.Load(c, f.folder(c))
	for _, w := range warnings {
		fmt.Fprintf(m.Stderr, "warning: %s: %s\n", w.Place(), rulebook.Problem(w))
	}
	return c, set, err
}

func (f *policyFlags) folder(c *config.Config) string {
	if f.dir != "" {
		return f.dir
	}
	return c.PolicyFolder()
}

func (m *Main) policyTestCommand() *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Ask the cases that stand beside the policies, and check the policies themselves",
		Long: `Reads the policies, holds them to the columns and people of the configuration, and asks every case of the *.yaml files
beside them: who, what, why, and what is to come of it. A file of cases that describes a company of its own is asked about that one.

Exit status 0: all is as the cases say; 1: a case fails; 2: the policies or the cases cannot be used.`,
		Example: "  sallyport policy test --config sallyport.yaml\n  sallyport policy test --config sallyport.yaml --policies ./new-policies",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			c, set, err := f.read(m)
			if err != nil {
				return err
			}
			texts, err := rulebook.Cases(f.folder(c))
			if err != nil {
				return err
			}
			return m.testPolicies(&f, c, set, texts)
		},
	}
	f.add(cmd)
	return cmd
}

// testedCase is one case as JSON.
type testedCase struct {
	Place   string `json:"place"`
	Case    string `json:"case"`
	Passed  bool   `json:"passed"`
	Verdict string `json:"verdict,omitempty"`
	Policy  string `json:"policy,omitempty"`
	Want    string `json:"want"`
	By      string `json:"by,omitempty"`
	Trouble string `json:"trouble,omitempty"`
}

func (m *Main) testPolicies(f *policyFlags, c *config.Config, set *policy.Set, texts []policy.Text) error {
	asked, failed := 0, 0
	for _, text := range texts {
		cases, err := policy.ReadCases(text)
		if err != nil {
			return &config.UsageError{Err: err}
		}
		of, err := f.about(c, cases, set)
		if err != nil {
			return fmt.Errorf("%s: %w", text.Name, err)
		}
		for _, o := range cases.Run(of) {
			asked++
			if !o.Passed {
				failed++
			}
			if err := m.printCase(f, o); err != nil {
				return err
			}
		}
	}
	if !f.asJSON {
		fmt.Fprintf(m.Stdout, "%s, %d as expected, %d not\n", serve.Several(int64(asked), "case"), asked-failed, failed)
	}
	if failed > 0 {
		return ErrFound
	}
	return nil
}

// about are the policies on the company that the cases describe, else on the configured one.
func (f *policyFlags) about(c *config.Config, cases *policy.Cases, set *policy.Set) (*policy.Set, error) {
	world, copiers := cases.World()
	if world == nil {
		return set, nil
	}
	policies, err := rulebook.Texts(c, f.folder(c))
	if err != nil {
		return nil, err
	}
	of, problems := policy.Load(policies, world, copiers)
	if of == nil {
		return nil, &config.UsageError{Err: fmt.Errorf("its company does not fit the policies: %w", &rulebook.Error{Problems: problems})}
	}
	return of, nil
}

func (m *Main) printCase(f *policyFlags, o policy.Outcome) error {
	t := testedCase{Place: o.Place, Case: o.Case.Name, Passed: o.Passed, Want: o.Case.Then, By: o.Case.By, Trouble: o.Trouble}
	if o.Trouble == "" {
		t.Verdict, t.Policy = o.Ruling.Verdict.String(), o.Ruling.Policy()
	}
	switch {
	case f.asJSON:
		return printJSON(m.Stdout, t)
	case o.Passed:
		return nil
	case o.Trouble != "":
		return printLine(m.Stdout, "%s: %s: %s", o.Place, o.Case.Name, o.Trouble)
	}
	want := o.Case.Then
	if o.Case.By != "" {
		want += " by " + o.Case.By
	}
	return printLine(m.Stdout, "%s: %s: %s by %s; expected %s", o.Place, o.Case.Name, t.Verdict, t.Policy, want)
}

func (m *Main) policySchemaCommand() *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:     "schema",
		Short:   "Print the Cedar schema that policies are held to",
		Long:    "Prints the schema that follows from the columns and people of the configuration, with what each attribute means.",
		Example: "  sallyport policy schema --config sallyport.yaml > sallyport.cedarschema",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			c, err := config.Load(f.config)
			if err != nil {
				return err
			}
			if err := c.Listed(f.people); err != nil {
				return err
			}
			schema := c.World().Schema()
			if f.asJSON {
				return printJSON(m.Stdout, map[string]string{"schema": schema})
			}
			_, err = fmt.Fprint(m.Stdout, schema)
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func (m *Main) policyInitCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "init DIR",
		Short:   "Write the policies that hold by default into a folder, to be changed",
		Long:    "Writes the program's own policies and their cases into a folder. Files that are there already are never overwritten.",
		Example: "  sallyport policy init policies",
		Args:    exactly(1, "DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			names, err := rulebook.Write(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(m.Stdout, map[string]any{"files": names})
			}
			return printLine(m.Stdout, "Wrote %s. Put this into the configuration, then change them and run 'sallyport policy test':\n\n  policies: %s", serve.Several(int64(len(names)), "file"), args[0])
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (m *Main) policyDiffCommand() *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say who gains and who loses what by other policies",
		Long: `Holds two folders of policies beside each other, for everybody of the configuration and every column. Where conditions
differ, three thousand situations are tried around the values that they compare with, and one of each kind of difference is shown.
default, in place of a folder, means the program's own policies.

Exit status 0: nobody gains or loses anything; 1: somebody does.`,
		Example: "  sallyport policy diff default policies --config sallyport.yaml",
		Args:    exactly(2, "OLD NEW"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := config.Load(f.config)
			if err != nil {
				return err
			}
			var sets [2]*policy.Set
			for i, dir := range args {
				if dir == "default" {
					dir = ""
				}
				if sets[i], _, err = rulebook.Load(c, dir); err != nil {
					return err
				}
			}
			return m.printChanges(policy.Diff(sets[0], sets[1]), f.asJSON)
		},
	}
	cmd.Flags().StringVar(&f.config, "config", "sallyport.yaml", "configuration `FILE`: the columns and the people")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, one object a line")
	return cmd
}

func (m *Main) printChanges(changes []policy.Change, asJSON bool) error {
	grouped := rulebook.GroupChanges(changes)
	for _, p := range grouped {
		if asJSON {
			if err := printJSON(m.Stdout, p); err != nil {
				return err
			}
			continue
		}
		fmt.Fprint(m.Stdout, p.Lines())
	}
	switch {
	case len(grouped) > 0:
		return ErrFound
	case asJSON:
		return nil
	}
	return printLine(m.Stdout, "Nobody gains or loses anything.")
}
