package cli

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/rulebook"
	"sallyport/scim"
	"sallyport/serve"
	"sallyport/staff"
)

func (m *Main) directoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "directory",
		Short: "Who is who: list and import staff, and make somebody an approver",
		Long: `The directory is what the configuration says about the staff, and what the identity provider (SCIM), imported files and log-ins
say besides (docs/directory.md). None of them makes an approver: two people do, and it begins after a delay.`,
		Example: "  sallyport directory ls --as s050\n  sallyport directory import staff.csv --dry-run --as s050",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.directoryListCommand(), m.directoryShowCommand(), m.directoryImportCommand(), m.directoryEmpowerCommand(), m.directoryLeaversCommand(), m.directoryTokenCommand())
	return cmd
}

func (m *Main) directoryListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List everybody as he stands right now",
		Example: "  sallyport directory ls --as s050",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Directory(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"staff": list})
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tNAME\tTEAM\tROLE\tMANAGER\tEMPLOYMENT\tSAID BY\t")
		for _, x := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Staff, serve.Printable(x.Name), serve.Printable(x.Team), x.Role, x.Manager, x.Employment, strings.Join(x.Sources, ", "), remark(&x))
		}
		return table.Flush()
	})
}

// remark is what is out of the ordinary about somebody.
func remark(x *api.Member) string {
	var parts []string
	if x.Locked {
		parts = append(parts, "locked")
	}
	if x.Left {
		parts = append(parts, "may not work; the lock waits for a second person")
	}
	if x.Suspended {
		parts = append(parts, "suspended")
	}
	if x.Wants != "" {
		parts = append(parts, waits(x))
	}
	return strings.Join(parts, ", ")
}

// waits says how far a place with power is.
func waits(x *api.Member) string {
	switch {
	case !x.From.IsZero():
		return fmt.Sprintf("%s from %s", serve.Printable(x.Wants), x.From.Format(time.RFC3339))
	case x.Proposal != "":
		return fmt.Sprintf("%s is proposed (%s)", serve.Printable(x.Wants), x.Proposal)
	}
	return serve.Printable(x.Wants) + " waits for two people"
}

func (m *Main) directoryShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one person: where he stands, and which source says what",
		Long: `Shows a person's team, role, manager and employment as they are right now, what each source says, and how far a place with power is that he
is listed for: it takes two people's word, neither of them his own, and a delay.`,
		Example: "  sallyport directory show s017 --as s050",
		Args:    exactly(1, "ID --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		x, err := c.Member(cmd.Context(), sallyport.Staff(args[0]))
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, x)
		}
		return m.printMember(&x)
	})
}

func (m *Main) printMember(x *api.MemberDetails) error {
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\t%s\n", x.Staff, serve.Printable(x.Name))
	for _, line := range [][2]string{{"team", x.Team}, {"role", x.Role}, {"manager", string(x.Manager)}, {"employment", x.Employment}, {"said by", strings.Join(x.Sources, ", ")}} {
		if line[1] != "" {
			fmt.Fprintf(table, "  %s\t%s\n", line[0], serve.Printable(line[1]))
		}
	}
	if x.Locked || x.Suspended {
		fmt.Fprintf(table, "  access\tnone: %s; two people give it back: sallyport unlock %s\n", remark(&api.Member{Locked: x.Locked, Suspended: x.Suspended}), x.Staff)
	}
	for _, source := range slices.Sorted(maps.Keys(x.Listed)) {
		l := x.Listed[source]
		fmt.Fprintf(table, "  %s says\t%s\n", source, serve.Printable(saidOf(&l)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if x.Wants == "" {
		return nil
	}
	fmt.Fprintf(m.Stdout, "Power: %s.\n", waits(&x.Member))
	if x.From.IsZero() && x.Proposal == "" {
		fmt.Fprintf(m.Stdout, "Give it to him: sallyport directory empower %s --reason … --as ID, approved by somebody else; it begins %s later.\n", x.Staff, x.Delay)
	}
	return nil
}

// saidOf is what a source says, in one line.
func saidOf(l *sallyport.Listed) string {
	var parts []string
	for _, f := range staff.Compare(nil, l) {
		if f.Name == "name" || f.Name == "key" || f.Name == "groups" || f.Name == "external" {
			continue
		}
		parts = append(parts, f.Name+" "+f.After)
	}
	if len(l.Groups) > 0 {
		parts = append(parts, serve.Several(int64(len(l.Groups)), "group"))
	}
	if l.Gone {
		parts = append(parts, "deleted")
	}
	return strings.Join(parts, ", ")
}

func (m *Main) directoryEmpowerCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "empower ID",
		Short: "Propose to give somebody the place with power that he is listed for",
		Long: `No import makes an approver. Whom the identity provider or a file lists as lead, as security or in a team with power has that place when a second
person has approved this proposal, neither of the two being himself, and the delay of the configuration (directory.delay, 24h) is over. Taking it away in the
source works at once, and for a second time it takes two people again.`,
		Example: "  sallyport directory empower s017 --reason 'leads support-eu from March on' --as s050",
		Args:    exactly(1, "ID --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'why he is to have it'")
		}
		id, err := c.Empower(cmd.Context(), sallyport.Staff(args[0]), reason)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]string{"proposal": id})
		}
		return printLine(m.Stdout, "Proposed as %s. Somebody else than you and %s approves it: sallyport approve %s --as ID", id, args[0], id)
	})
}

func (m *Main) directoryLeaversCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "lock-leavers",
		Short: "Have those locked who left when very many did within an hour",
		Long: `A source of the directory locks so many people an hour by its word alone (directory.leavers, 50). Of more it counts as it says: while it says that they left, they may not
work at the database; but the lock, which takes two people to undo, waits for a second person. This is his word. Nobody says it of those whom he imported himself.`,
		Example: "  sallyport directory lock-leavers --reason 'the site in Ghent is closed' --as s051",
		Args:    exactly(0, "--reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what happened'")
		}
		locked, err := c.LockLeavers(cmd.Context(), reason)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"locked": locked})
		}
		return printLine(m.Stdout, "Locked: %s.", rulebook.SomeStaff(locked))
	})
}

func (m *Main) directoryTokenCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a bearer token for the identity provider",
		Long: `Prints a new token, which is given to the identity provider and stands nowhere else, and the line for directory.scim.tokens of the configuration,
which is its hash. While a token is replaced, both hashes stand there.`,
		Example: "  sallyport directory token",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			token := "spscim_" + strings.ToLower(rand.Text()+rand.Text())
			hash := scim.HashToken(token).String()
			if asJSON {
				return printJSON(m.Stdout, map[string]string{"token": token, "hash": hash})
			}
			return printLine(m.Stdout, "Token, for the identity provider: %s\nHash, for the configuration: %s", token, hash)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (m *Main) directoryImportCommand() *cobra.Command {
	var dry, complete, strict bool
	cmd := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Take a staff file, and show what it changes",
		Long: `Reads a CSV file with a header (RFC 4180): id and name, and as it has them team, role, manager, employment (employed, notice, leave, left), notice_from,
left, mail, user_name. A line that cannot be taken is named by line and column, and left out; the rest goes on. What a line says replaces what an earlier file said of
that person; whoever has left is locked at once. Nobody becomes an approver by it.

Exit status 0: everything was taken; 1: a line was left out; 2: the file cannot be read; 3: nothing was done.`,
		Example: "  sallyport directory import staff.csv --dry-run --as s050\n  sallyport directory import staff.csv --complete --as s050",
		Args:    exactly(1, "FILE.csv --as ID"),
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing: show what it would change")
	cmd.Flags().BoolVar(&complete, "complete", false, "the file lists everybody: who stood in an earlier one and is not in it has left, and is locked; nothing is taken if a line cannot be")
	cmd.Flags().BoolVar(&strict, "strict", false, "take nothing if a line cannot be taken")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		rows, problems, err := readStaffFile(args[0])
		if err != nil {
			return err
		}
		send := make([]api.ImportRow, len(rows))
		for i, r := range rows {
			send[i] = api.ImportRow{Listed: r.Listed, Says: r.Says}
		}
		result, err := c.Import(cmd.Context(), send, complete, true) // what serve objects to is known before anything is changed
		if err != nil {
			return err
		}
		for _, p := range result.Problems {
			line, column := rows[p.Row].Place(p.Field)
			problems = append(problems, staff.Problem{Line: line, Column: column, Text: p.Text})
		}
		if !dry && (len(problems) == 0 || !strict && !complete) {
			if result, err = c.Import(cmd.Context(), send, complete, false); err != nil {
				return err
			}
		}
		return m.printImport(args[0], &result, problems, f.json)
	})
}

func readStaffFile(path string) ([]staff.Row, []staff.Problem, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, config.Usagef("read the staff file: %w", err)
	}
	rows, problems, err := staff.ReadCSV(bytes.NewReader(text), config.Roles())
	if err != nil {
		return nil, nil, config.Usagef("%s: %w", path, err)
	}
	return rows, problems, nil
}

func (m *Main) printPlaces(path string, problems []staff.Problem) {
	slices.SortStableFunc(problems, func(a, b staff.Problem) int { return 1000*(a.Line-b.Line) + a.Column - b.Column })
	for _, p := range problems {
		fmt.Fprintf(m.Stderr, "%s:%d:%d: %s\n", path, p.Line, p.Column, serve.Printable(p.Text))
	}
}

func (m *Main) printImport(path string, r *api.ImportResult, problems []staff.Problem, asJSON bool) error {
	m.printPlaces(path, problems)
	if asJSON {
		places := []map[string]any{}
		for _, p := range problems {
			places = append(places, map[string]any{"line": p.Line, "column": p.Column, "text": p.Text})
		}
		if err := json.NewEncoder(m.Stdout).Encode(map[string]any{"changes": r.Changes, "same": r.Same, "missing": r.Missing, "problems": places, "dry_run": r.Dry}); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	} else {
		m.printPeople(r, len(problems))
	}
	if len(problems) > 0 {
		return ErrFound
	}
	return nil
}

func (m *Main) printPeople(r *api.ImportResult, left int) {
	locked, power := 0, 0
	for _, c := range r.Changes {
		word := "changed"
		if c.New {
			word = "new"
		}
		var parts []string
		for _, f := range c.Fields {
			switch {
			case c.New && f.After != "" && f.After != "employed" && f.Name != "active", f.Before == "":
				parts = append(parts, f.Name+" "+f.After)
			case !c.New:
				parts = append(parts, f.Name+" "+f.Before+" → "+f.After)
			}
		}
		if c.Leaves {
			locked++
			parts = append(parts, "has left: locked")
		}
		if c.Wants != "" {
			power++
		}
		fmt.Fprintf(m.Stdout, "%s %s: %s\n", word, c.Staff, serve.Printable(strings.Join(parts, ", ")))
	}
	done := "Imported"
	if r.Dry {
		done = "Nothing was changed; an import would be"
	}
	fmt.Fprintf(m.Stdout, "%s: %d changed or new, %d as before, %s left out, %d locked.\n", done, len(r.Changes), r.Same, serve.Several(int64(left), "line"), locked)
	if power > 0 {
		fmt.Fprintf(m.Stdout, "%d listed for a place with power, which takes two people: sallyport directory empower ID --reason … --as ID\n", power)
	}
	if n := len(r.Missing); n > 0 {
		fmt.Fprintf(m.Stdout, "Of an earlier file and not in this one: %s (--complete: they have left).\n", some(r.Missing))
	}
}

// some are the first of a list, and how many more there are.
func some(list []string) string {
	if len(list) <= 5 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:5], ", "), len(list)-5)
}
