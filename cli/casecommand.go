package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) caseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "case",
		Short: "Work on cases: what people do about findings and reports, from the first look to the outcome",
		Long: `Sallyport opens a case for each finding and for reports of scam calls that were confirmed; people open others. Those involved stand in it by pseudonym until two people
agree to see a name (sallyport unmask). Nobody sees a case about himself or about somebody in whose report line he stands. To close one, and to let go of
evidence that it holds, takes two people. Texts are for people and never hold a customer's value.`,
		Example: "  sallyport case ls --as s051\n  sallyport case show 3 --as s051\n  sallyport case note 3 'asked his lead: he was on leave' --as s051\n" +
			"  sallyport case close 3 --outcome confirmed --person p-x4k9qcd27h --reason 'he admitted it' --as s051",
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		m.caseExportCommand(), m.caseVerifyCommand(), m.caseDeadlinesCommand(), m.caseNoticeCommand(), m.caseLettersCommand(), m.caseAwareCommand(),
		m.caseStepCommand(caseStep{do: cases.DoMet, use: "met CASE DEADLINE", short: "Say that a deadline was met, and how", example: "met 3 gdpr-33 --reason 'sent, reference 2026/81'", args: 2}),
		m.caseListCommand(), m.caseShowCommand(), m.caseTimelineCommand(), m.calibrationCommand(), m.caseOpenCommand(),
		m.caseTextCommand(cases.DoNote, "Add a note", "asked his lead: he was on leave"),
		m.caseTextCommand(cases.DoTask, "Add a task", "ask the six customers"),
		m.caseTextCommand(cases.DoDecision, "Add a decision with its reason", "we tell the police today: the number called is theirs to trace"),
		m.caseStepCommand(caseStep{do: cases.DoDone, use: "done CASE TASK", short: "Say that a task is done", example: "done 3 1", args: 2}),
		m.caseStepCommand(caseStep{do: cases.DoLink, use: "link CASE KIND REFERENCE", short: "Say who else works on it: police, regulator, hr, legal, insurer, ticket, other", example: "link 3 police 'AZ 2026/4711'", args: 3}),
		m.caseStepCommand(caseStep{do: cases.DoPeople, use: "people CASE PERSON...", short: "Add people involved, by pseudonym", example: "people 3 p-x4k9qcd27h", args: -2}),
		m.caseStepCommand(caseStep{do: cases.DoCustomers, use: "customers CASE ID...", short: "Add customers whom it concerns", example: "customers 3 48211 48212", args: -2}),
		m.caseStepCommand(caseStep{do: cases.DoState, use: "state CASE STATE", short: "Go to another state: investigating, contained", example: "state 3 contained --reason 'locked, nothing more gets out'", args: 2}),
		m.caseStepCommand(caseStep{do: cases.DoHold, use: "hold CASE", short: "Keep evidence: nothing of its people since then, and of its customers, is erased or shredded", example: "hold 3 --since 2026-03-01T00:00:00Z --reason 'asked for by the prosecutor'", args: 1}),
		m.caseStepCommand(caseStep{do: cases.DoRelease, use: "release CASE", short: "Propose to let go of what a case holds; another person approves it", example: "release 3 --reason 'the court has decided'", args: 1}),
		m.caseStepCommand(caseStep{do: cases.DoClose, use: "close CASE", short: "Propose to close a case with its outcome; another person approves it", example: "close 3 --outcome unfounded --reason 'he was on the incident'", args: 1}),
	)
	return cmd
}

func (m *Main) caseListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Short: "List the cases that you may see", Example: "  sallyport case ls --as s051\n  sallyport case ls --as s051 --json", Args: exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Cases(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"cases": list})
		}
		if len(list) == 0 {
			return printLine(m.Stdout, "There are no cases that you may see.")
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CASE\tSTATE\tOPENED\tFROM\tPEOPLE\tCUSTOMERS\tHOLD\tTITLE")
		for _, x := range list {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", x.Number, strings.TrimSpace(x.State+" "+x.Outcome), x.Opened.Format(time.RFC3339), x.Source, listed(x.People), x.Customers, map[bool]string{true: "yes", false: ""}[x.Hold], serve.Printable(x.Title))
		}
		return table.Flush()
	})
}

func (m *Main) caseShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show CASE", Short: "Show a case whole: people, hypotheses, notes, tasks, decisions", Example: "  sallyport case show 3 --as s051", Args: exactly(1, "CASE --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		x, err := c.Case(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, x)
		}
		m.printWholeCase(&x)
		return nil
	})
}

func (m *Main) printWholeCase(x *api.Case) {
	w := m.Stdout
	fmt.Fprintf(w, "Case %d: %s\n%s", x.Number, serve.Printable(x.Title), x.State)
	if x.Outcome != "" {
		fmt.Fprintf(w, ", %s", x.Outcome)
	}
	fmt.Fprintf(w, ", opened %s by %s (%s)\n", x.Opened.Format(time.RFC3339), x.By, x.Source)
	fmt.Fprintf(w, "People involved: %s\nCustomers: %d\nFindings: %s\n", listed(x.People), x.Customers, listed(x.Findings))
	if len(x.Guilty) > 0 {
		fmt.Fprintf(w, "Who did it: %s\n", listed(x.Guilty))
	}
	if x.Hold {
		fmt.Fprintf(w, "Holds evidence since %s.\n", serve.Day(x.HeldFrom))
	}
	for _, l := range x.Links {
		fmt.Fprintf(w, "%s: %s\n", l.Kind, serve.Printable(l.Ref))
	}
	for _, v := range x.Weighed {
		fmt.Fprintf(w, "%s  %s:", v.At.Format(time.RFC3339), serve.Printable(v.Source))
		for _, h := range v.List {
			name := strings.TrimSpace(strings.Join(h.Staff, "+") + " " + h.Type)
			if name == "" {
				name = "nobody of the staff"
			}
			fmt.Fprintf(w, "  %s %.3f", name, h.Probability)
		}
		fmt.Fprintln(w)
	}
	for _, t := range x.Tasks {
		state := "to do"
		if !t.Done.IsZero() {
			state = "done " + t.Done.Format(time.RFC3339) + " by " + t.Who
		}
		fmt.Fprintf(w, "task %d (%s): %s\n", t.ID, state, serve.Printable(t.Text))
	}
	for _, n := range x.Notes {
		fmt.Fprintf(w, "%s  %s  %s: %s\n", n.At.Format(time.RFC3339), n.By, n.Do, serve.Printable(n.Text))
	}
}

func (m *Main) caseTimelineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "timeline CASE", Short: "Print what the record says about a case, in its order", Example: "  sallyport case timeline 3 --as s051", Args: exactly(1, "CASE --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		list, err := c.CaseTimeline(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"timeline": list})
		}
		for _, x := range list {
			fmt.Fprintf(m.Stdout, "%s  control:%d  %s  %s: %s\n", x.At.Format(time.RFC3339), x.Entry, x.By, x.What, serve.Printable(x.Text))
		}
		return nil
	})
}

func (m *Main) calibrationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "calibration",
		Short: "Compare how probable evidence made people with how their cases ended",
		Long: `Of all cases that were closed as confirmed or unfounded: for how many of the people involved evidence had last said so much, and how many of them it was. Of those at 0.95 and
more, 95 of 100 should be guilty; where fewer are, trust such figures less.`,
		Example: "  sallyport case calibration --as s051",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Calibration(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"bins": list})
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "probability\tpeople\tguilty\t")
		for _, b := range list {
			fmt.Fprintf(table, "%.2f to %.2f\t%d\t%d\t\n", b.From, b.To, b.People, b.Guilty)
		}
		return table.Flush()
	})
}

func (m *Main) caseOpenCommand() *cobra.Command {
	var q api.CaseRequest
	var customers []string
	cmd := &cobra.Command{
		Use:     "open TITLE",
		Short:   "Open a case",
		Example: "  sallyport case open 'a printout of the customer list lay in the canteen' --person p-x4k9qcd27h --as s051",
		Args:    exactly(1, "TITLE --as ID"),
	}
	cmd.Flags().StringSliceVar(&q.People, "person", nil, "`PSEUDONYM` of somebody involved")
	cmd.Flags().StringSliceVar(&customers, "customer", nil, "`ID` of a customer whom it concerns")
	cmd.Flags().StringVar(&q.Finding, "finding", "", "`FINDING` that it is about")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		q.Text = args[0]
		q.Customers = subjectsFrom(customers)
		n, err := c.OpenCase(cmd.Context(), q)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]uint64{"case": n})
		}
		return printLine(m.Stdout, "Case %d is open.", n)
	})
}

func subjectsFrom(texts []string) (list []sallyport.Subject) {
	for _, t := range texts {
		list = append(list, serve.SubjectOf(t))
	}
	return list
}

func (m *Main) caseTextCommand(do, short, example string) *cobra.Command {
	return m.caseStepCommand(caseStep{do: do, use: do + " CASE TEXT", short: short, example: do + " 3 '" + example + "'", args: 2})
}

// caseStep is a command that takes one step.
type caseStep struct {
	do, use, short, example string
	args                    int // so many; negative: so many at least
}

func (m *Main) caseStepCommand(x caseStep) *cobra.Command {
	var q api.CaseRequest
	var since string
	cmd := &cobra.Command{
		Use: x.use, Short: x.short, Example: "  sallyport case " + x.example + " --as s051",
		Args: func(cmd *cobra.Command, args []string) error {
			if n := len(args); n == x.args || x.args < 0 && n >= -x.args {
				return nil
			}
			return config.Usagef("%d arguments; expected '%s' (see '%s --help')", len(args), x.use, cmd.CommandPath())
		},
	}
	switch x.do {
	case cases.DoState, cases.DoHold, cases.DoRelease, cases.DoClose, cases.DoPeople, cases.DoCustomers, cases.DoMet:
		cmd.Flags().StringVar(&q.Text, "reason", "", "why, as `TEXT` for the record")
	}
	if x.do == cases.DoHold {
		cmd.Flags().StringVar(&since, "since", "", "what its people did from this `TIME` on (RFC 3339; default: everything)")
	}
	if x.do == cases.DoClose {
		cmd.Flags().StringVar(&q.Outcome, "outcome", "", "confirmed, unfounded, unresolved, duplicate")
		cmd.Flags().StringSliceVar(&q.People, "person", nil, "of confirmed: `PSEUDONYM` of who did it")
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if since != "" {
			var err error
			if q.At, err = time.Parse(time.RFC3339, since); err != nil {
				return config.Usagef("--since %s is no time; expected RFC 3339", since)
			}
		}
		if err := fillCase(&q, x.do, args[1:]); err != nil {
			return err
		}
		id, err := c.StepCase(cmd.Context(), args[0], x.do, q)
		switch {
		case err != nil:
			return err
		case id != "":
			return m.proposed(id, f)
		case f.json:
			return printJSON(m.Stdout, map[string]string{"case": args[0], "do": x.do})
		}
		return printLine(m.Stdout, "On record.")
	})
}

// fillCase puts the arguments of a step where they belong.
func fillCase(q *api.CaseRequest, do string, args []string) error {
	switch do {
	case cases.DoNote, cases.DoTask, cases.DoDecision:
		q.Text = args[0]
	case cases.DoDone:
		n, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return config.Usagef("%q is no task; expected its number", args[0])
		}
		q.Task = n
	case cases.DoLink:
		if !slices.Contains(cases.LinkKinds(), args[0]) {
			return config.Usagef("no kind %q; expected %s", args[0], config.OneOf(args[0], cases.LinkKinds()))
		}
		q.Link = &sallyport.CaseLink{Kind: args[0], Ref: args[1]}
	case cases.DoPeople:
		q.People = args
	case cases.DoCustomers:
		q.Customers = subjectsFrom(args)
	case cases.DoState:
		q.State = args[0]
	case cases.DoMet:
		q.Deadline = args[0]
	case cases.DoClose:
		if !slices.Contains(cases.Outcomes(), q.Outcome) {
			return config.Usagef("no outcome %q; expected %s", q.Outcome, config.OneOf(q.Outcome, cases.Outcomes()))
		}
	}
	return nil
}
