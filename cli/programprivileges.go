package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
	"sallyport/program/reports"
	"sallyport/serve"
)

func (m *Main) programPrivilegesCommand() *cobra.Command {
	var f programFlags
	var out, document string
	var longer int
	cmd := &cobra.Command{
		Use:   "privileges",
		Short: "Hold what each team and person may read to what they did, and propose a smaller policy",
		Long: `Allowed is every protected column that somebody may ever read in plain by today's policies, whatever the moment (policy who-can reveal). Used is every
column of which a value left to him in the last days. With --out a folder of policies is written: today's, and one that takes from each team's people of a role what none of them
used; a grant opens it. What that would have meant is replayed over a longer time. Propose it with 'sallyport policy propose'.
` + howReports + `

Exit status 0: everything that is allowed was used; 1: something was not; 2: wrong usage.`,
		Example: "  sallyport program privileges --config sallyport.yaml --data /tmp/copy --key-file key.txt --out smaller",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.Flags().StringVar(&out, "out", "", "write the smaller policies into `FOLDER`, which must not exist")
	cmd.Flags().StringVar(&document, "document", "access-policy.md#4.4", "the `PARAGRAPH` that the new policy enforces")
	cmd.Flags().IntVar(&longer, "replay-days", 365, "how many `DAYS` the smaller policy is replayed over")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		q := &api.ReportQuestion{Report: "privileges", Paragraph: document, Longer: longer}
		return m.programReport(cmd, &f, q, func(found json.RawMessage) error {
			x, err := readReport[reports.PrivilegesFound](found)
			if err != nil {
				return err
			}
			if err := x.Proposal.Write(out); err != nil {
				return err
			}
			if f.json {
				err = printJSON(m.Stdout, x)
			} else {
				err = m.printPrivileges(x.Privileges, x.Proposal, out)
			}
			if err == nil && x.Privileges.Used < x.Privileges.Allowed {
				return ErrFound
			}
			return err
		})
	}
	return cmd
}

func (m *Main) printPrivileges(p *program.Privileges, s *reports.SmallerPolicy, out string) error {
	fmt.Fprintf(m.Stdout, "%s until %s: of %d permissions to read a column, %d were used\n\n", p.From.Format(time.DateOnly), p.Until.Format(time.DateOnly), p.Allowed, p.Used)
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TEAM\tROLE\tPEOPLE\tREAD\tNOBODY READ")
	for _, t := range p.Teams {
		used, unused := 0, []string{}
		for column, n := range t.Columns {
			if n > 0 {
				used++
			} else {
				unused = append(unused, column)
			}
		}
		slices.Sort(unused)
		fmt.Fprintf(w, "%s\t%s\t%d\t%d of %d\t%s\n", serve.Printable(t.Team), t.Role, t.People, used, len(t.Columns), listed(unused))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if len(p.Nobody) > 0 {
		fmt.Fprintf(m.Stdout, "\nNobody at all read: %s\n", strings.Join(p.Nobody, ", "))
	}
	if s == nil {
		return nil
	}
	fmt.Fprintf(m.Stdout, "\nA smaller policy removes %.0f %% of what is allowed; in the last %d days it would have hindered %s of %s.\n", 100*s.Removes, s.ReplayOf, serve.Several(int64(s.Accesses), "access"), serve.Several(int64(s.People), "person"))
	for i := range s.Diff {
		fmt.Fprint(m.Stdout, s.Diff[i].Lines())
	}
	if out == "" {
		return printLine(m.Stdout, "--out FOLDER writes it; 'sallyport policy propose' proposes it.")
	}
	return printLine(m.Stdout, "Written to %s: run 'sallyport policy test --policies %s', then 'sallyport policy propose'.", out, out)
}

func (m *Main) programReviewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "review",
		Short: "Have managers decide what their people may go on reading",
		Long: `'open' makes a list for each person from the record: what he may read, and how often he did. His manager, or whoever looks after access, decides; nobody about himself. What nobody
has decided by the date ends by itself: nothing is shown to him any more without a grant. 'prolong' gives some of them another date, before it or after it, if two people agree.`,
		Example: "  sallyport program review open autumn --until 2026-12-31T00:00:00Z --data /tmp/copy --as s050\n  sallyport program review decide autumn s017 --keep --reason 'still in support' --as s040",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.reviewOpenCommand(), m.reviewDecideCommand(), m.reviewProlongCommand(), m.reviewListCommand())
	return cmd
}

func (m *Main) reviewOpenCommand() *cobra.Command {
	var from, until string
	cmd := &cobra.Command{
		Use:   "open NAME",
		Short: "Open a review of everybody's access, with the evidence of 'program privileges --json'",
		Long: "Reads what 'sallyport program privileges --json' printed and puts a list for each person on record. The date is at least a week ahead: what nobody has decided by then ends\n" +
			"by itself. People may stand in the file by pseudonym; on record, and to their managers, they do by name.",
		Example: "  sallyport program privileges --as s050 --json > privileges.json\n" +
			"  sallyport program review open autumn --from privileges.json --until 2026-12-31T00:00:00Z --as s050",
		Args: exactly(1, "NAME --from FILE --until TIME --as ID"),
	}
	cmd.Flags().StringVar(&from, "from", "", "`FILE` that privileges --json printed")
	cmd.Flags().StringVar(&until, "until", "", "the `TIME` (RFC 3339) by which undecided access ends")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		at, err := time.Parse(time.RFC3339, until)
		if err != nil || from == "" {
			return config.Usagef("expected --from FILE and --until 2026-12-31T00:00:00Z")
		}
		text, err := config.ReadSmall(from)
		if err != nil {
			return err
		}
		var report struct {
			Privileges *program.Privileges `json:"privileges"`
		}
		if err := json.Unmarshal(text, &report); err != nil || report.Privileges == nil || len(report.Privileges.People) == 0 {
			return config.Usagef("%s is not what 'sallyport program privileges --json' prints, or it names nobody", from)
		}
		items := map[sallyport.Staff][]string{}
		for _, x := range report.Privileges.People {
			items[x.Staff] = x.ReviewItems()
		}
		if err := c.OpenReview(cmd.Context(), args[0], at, items); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"review": args[0], "people": len(items), "until": at})
		}
		return printLine(m.Stdout, "Opened %s for %d people. What nobody decides by %s ends.", args[0], len(items), at.Format(time.RFC3339))
	})
}

func (m *Main) reviewDecideCommand() *cobra.Command {
	var keep, end bool
	var reason string
	cmd := &cobra.Command{
		Use:     "decide NAME STAFF",
		Short:   "Decide whether somebody keeps what he may read",
		Long:    "His manager decides, or whoever looks after access; nobody about himself, once, and before the date.",
		Example: "  sallyport program review decide autumn s017 --keep --reason 'still in support' --as s040",
		Args:    exactly(2, "NAME STAFF --keep|--end --reason TEXT --as ID"),
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "he keeps it")
	cmd.Flags().BoolVar(&end, "end", false, "it ends")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if keep == end || reason == "" {
			return config.Usagef("expected --keep or --end, and --reason 'why'")
		}
		if err := c.DecideReview(cmd.Context(), args[0], sallyport.Staff(args[1]), keep, reason); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"review": args[0], "staff": args[1], "keeps": keep})
		}
		return printLine(m.Stdout, "On record.")
	})
}

func (m *Main) reviewProlongCommand() *cobra.Command {
	var until, reason string
	cmd := &cobra.Command{
		Use:   "prolong NAME STAFF...",
		Short: "Propose another date for people of a review: two agree, none of them about himself",
		Long: `It is as if nobody had decided about them yet: what has ended goes on until the new date, at most 90 days ahead, and is decided by then or ends again. Another
lead or security approves the proposal, who is not one of them either.`,
		Example: "  sallyport program review prolong autumn s017 s018 --until 2027-01-31T00:00:00Z --reason 'the manager was ill' --as s050\n  sallyport approve k3x7q2mzpa --as s051",
		Args:    cobra.MinimumNArgs(2),
	}
	cmd.Flags().StringVar(&until, "until", "", "the new `TIME` (RFC 3339)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		at, err := time.Parse(time.RFC3339, until)
		if err != nil || reason == "" {
			return config.Usagef("expected --until 2027-01-31T00:00:00Z and --reason 'why'")
		}
		var who []sallyport.Staff
		for _, id := range args[1:] {
			who = append(who, sallyport.Staff(id))
		}
		id, err := c.ProlongReview(cmd.Context(), args[0], who, at, reason)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"proposal": id})
		}
		return printLine(m.Stdout, "Proposed as %s. Another lead or security: sallyport approve %s", id, id)
	})
}

func (m *Main) reviewListCommand() *cobra.Command {
	var cedar string
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List reviews: one's people's, or everybody's for whoever looks after access",
		Long:    "Exit status 1: some access has ended, by a decision or because nobody decided in time. Reviews of before that was done by itself say 'to end': --cedar writes a policy for these.",
		Example: "  sallyport program review ls --as s040\n  sallyport program review ls --cedar ended.cedar --as s050",
		Args:    exactly(0, "--as ID"),
	}
	cmd.Flags().StringVar(&cedar, "cedar", "", "write the policy that ends what is to end into `FILE`")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Reviews(cmd.Context())
		if err != nil {
			return err
		}
		ended := slices.DeleteFunc(slices.Clone(list), func(r api.ReviewStatus) bool { return r.State != "ended" })
		if cedar != "" {
			if err := os.WriteFile(cedar, []byte(endedCedar(ended)), 0o640); err != nil { //nolint:gosec // policies are read by whoever administers
				return fmt.Errorf("write the policy: %w", err)
			}
		}
		if f.json {
			for _, r := range list {
				err = errors.Join(err, printJSON(m.Stdout, r))
			}
		} else {
			err = m.printReviews(list)
		}
		if err == nil && len(ended) > 0 {
			return ErrFound
		}
		return err
	})
}

func (m *Main) printReviews(list []api.ReviewStatus) error {
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REVIEW\tWHO\tSTATE\tUNTIL\tBY\tWHY")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", serve.Printable(r.Name), r.Staff, reviewState(&r), r.Until.Format(time.DateOnly), r.Decider, serve.Printable(r.Why))
		if r.State != "open" {
			continue
		}
		for _, item := range r.Items {
			fmt.Fprintf(w, "\t  %s\n", serve.Printable(item))
		}
	}
	return w.Flush()
}

// reviewState is how a review stands, in words.
func reviewState(r *api.ReviewStatus) string {
	switch {
	case r.State == "ended" && !r.Ends:
		return "to end"
	case r.State == "open" && !r.Prolonged.IsZero():
		return "open, prolonged"
	}
	return r.State
}

// endedCedar ends what reviews have ended, until a grant opens it.
func endedCedar(ended []api.ReviewStatus) string {
	var b strings.Builder
	b.WriteString("// Access that reviews have ended. A grant opens it; a later review that keeps it takes the policy away.\n")
	done := map[sallyport.Staff]bool{}
	for _, r := range ended {
		if done[r.Staff] {
			continue
		}
		done[r.Staff] = true
		fmt.Fprintf(&b, "\n@id(%q)\n@because(\"the review of your access has ended it: ask for a grant\")\n@document(\"access-policy.md#4.4\")\nforbid (principal == Staff::%q, action in [Action::\"reveal\", Action::\"export\"], resource)\nunless { context has grant };\n",
			"ended."+string(r.Staff), string(r.Staff))
	}
	return b.String()
}
