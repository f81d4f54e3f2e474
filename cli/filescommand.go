package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/rulebook"
	"sallyport/serve"
)

func (m *Main) configProposeCommand() *cobra.Command {
	var settings, reason string
	cmd := &cobra.Command{
		Use:   "propose",
		Short: "Propose that a configuration, with its policies, holds from now on",
		Long: `Reads a configuration and the policies that it names, holds them to sense, and shows what they change: keys, without secrets, and who gains and
loses what. A second person, whom the change is not about, approves it ('sallyport approve'); then policies hold at once, and another configuration from the next start of serve
on. Files on disk that nobody approved hold nothing (docs/four-eyes.md).`,
		Example: "  sallyport config propose --config sallyport.yaml --reason 'budgets for the new team' --as s050",
		Args:    exactly(0, "--reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&settings, "config", "sallyport.yaml", "configuration `FILE`")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		loaded, err := config.Load(settings)
		if err != nil {
			return err
		}
		b, err := serve.BundleOf(loaded)
		if err != nil {
			return err
		}
		return m.proposeFiles(cmd.Context(), c, f, api.FilesRequest{Config: b.Config, Policies: serve.FilesOf(b), Reason: reason})
	})
}

func (m *Main) policyProposeCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "propose DIR",
		Short: "Propose that the policies of a folder hold from now on",
		Long: `Holds the policies of a folder to the people and columns of the running serve, and shows who gains and who loses what. A second person approves
them ('sallyport approve'), and they hold at once, in sessions that are open, too. The configuration stays as it was approved; it must name a folder under policies already.`,
		Example: "  sallyport policy propose policies --reason 'birth dates for nobody' --as s050",
		Args:    exactly(1, "DIR --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		texts, err := rulebook.TextsIn(args[0], "*.cedar", "policies")
		if err != nil {
			return err
		}
		q := api.FilesRequest{PoliciesOnly: true, Reason: reason}
		for _, t := range texts {
			q.Policies = append(q.Policies, api.PolicyFile{Name: filepath.Base(t.Name), Content: t.Content})
		}
		return m.proposeFiles(cmd.Context(), c, f, q)
	})
}

func (m *Main) proposeFiles(ctx context.Context, c *api.Client, f *controlFlags, q api.FilesRequest) error {
	if q.Reason == "" {
		return config.Usagef("no reason; expected --reason 'why it is to change'")
	}
	answer, err := c.ProposeFiles(ctx, q)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(m.Stdout, answer)
	}
	fmt.Fprint(m.Stdout, answer.Diff)
	who := "you"
	if len(answer.Subjects) > 0 {
		names := []string{"you"}
		for _, s := range answer.Subjects {
			names = append(names, string(s))
		}
		who = strings.Join(names, ", ")
	}
	return printLine(m.Stdout, "\nProposed as %s. Somebody else than %s reads it with 'sallyport proposals %s' and approves it: sallyport approve %s --as ID", answer.Proposal, who, answer.Proposal, answer.Proposal)
}
