package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program/training"
	"sallyport/serve"
	logs "sallyport/sources"
)

func (m *Main) programTrainingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "training",
		Short: "Say who is overdue with which course or lesson; read the lessons that one was given",
		Long: `Shows how oneself stands; to who oversees the programme, everybody. Courses and phishing tests come from files (program training import) and signed messages, lessons from mistakes.
What overdue training lowers is for policies to say (context.trainingOverdue). docs/programme.md says how.

Exit status 0: nothing is overdue; 1: something is; 2: wrong usage.`,
		Example: "  sallyport program training --as s017\n  sallyport program training lesson phishing --as s017\n  sallyport program training import courses.csv --as s051",
		Args:    exactly(0, "--as ID"),
	}
	cmd = m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Training(cmd.Context(), false)
		if err != nil {
			return err
		}
		if f.json {
			err = printJSON(m.Stdout, map[string]any{"people": list})
		} else {
			err = m.printTraining(list)
		}
		if err == nil && slices.ContainsFunc(list, func(s training.Status) bool { return s.Overdue > 0 }) {
			return ErrFound
		}
		return err
	})
	cmd.AddCommand(m.trainingImportCommand(), m.trainingLessonCommand(), m.trainingEffectCommand())
	return cmd
}

func (m *Main) printTraining(list []training.Status) error {
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHO\tWHAT\tDUE\tSTATE\t")
	for i := range list {
		p := &list[i]
		for _, f := range p.Courses {
			state := "to do"
			switch {
			case !f.Done.IsZero():
				state = strings.TrimSpace(f.Result + " " + f.Done.Format(time.DateOnly))
			case f.Result != "":
				state = f.Result
			}
			fmt.Fprintf(w, "%s\tcourse %s\t%s\t%s\t\n", p.Staff, serve.Printable(f.Name), dayOr(f.Due, "-"), state)
		}
		for _, f := range p.Phishing {
			fmt.Fprintf(w, "%s\tphishing test %s\t%s\t%s\t\n", p.Staff, serve.Printable(f.Name), dayOr(f.Time, "-"), f.Result)
		}
		for _, t := range p.Lessons {
			fmt.Fprintf(w, "%s\tlesson %s\t%s\t%s\t\n", p.Staff, t.Lesson, dayOr(t.Due, "-"), dayOr(t.Read, "to read"))
		}
		if p.ToRead > 0 && len(p.Lessons) == 0 {
			fmt.Fprintf(w, "%s\t%s\t\tto read\t\n", p.Staff, serve.Several(int64(p.ToRead), "lesson"))
		}
		if p.Overdue > 0 {
			fmt.Fprintf(w, "%s\t\t\toverdue for %s\t\n", p.Staff, serve.Several(p.Overdue, "day"))
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

func dayOr(at time.Time, none string) string {
	if at.IsZero() {
		return none
	}
	return at.Format(time.DateOnly)
}

func (m *Main) trainingImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put courses and phishing tests on record, from CSV or JSON Lines",
		Long: `The file has a header with staff, kind (course, phishing), name, and time, due, done, result as far as they are known: of a course due or done, and as result passed or failed; of a
phishing test the time of the mail, and reported, ignored, clicked or entered. A row takes the place of the one of the same person, kind and name. Nothing is taken unless every row can be.`,
		Example: "  sallyport program training import courses.csv --as s051",
		Args:    exactly(1, "FILE --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		reader := &logs.Reader{Stdin: m.Stdin, Strict: true}
		rows, err := reader.Training(args[0])
		if err != nil {
			return &config.UsageError{Err: err}
		}
		for i := range rows {
			if err := training.Check(&rows[i]); err != nil {
				return config.Usagef("%s, row %d: %w", args[0], i+1, err)
			}
		}
		if len(rows) == 0 {
			return config.Usagef("%s has no rows", args[0])
		}
		for part := range slices.Chunk(rows, training.MostRows) {
			if err := c.ImportTraining(cmd.Context(), part); err != nil {
				return err
			}
		}
		if f.json {
			return printJSON(m.Stdout, map[string]int{"rows": len(rows)})
		}
		return printLine(m.Stdout, "On record: %s.", serve.Several(int64(len(rows)), "row"))
	})
}

func (m *Main) trainingLessonCommand() *cobra.Command {
	var answer string
	cmd := &cobra.Command{
		Use:     "lesson [LESSON]",
		Short:   "Read a lesson that one was given, and answer its question",
		Long:    "Without a name the first one that is to be read. It is done once the question is answered rightly. Others are shown that there is something to read, and not what.",
		Example: "  sallyport program training lesson --as s017\n  sallyport program training lesson phishing --answer b --as s017",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&answer, "answer", "", "`LETTER` of the right choice")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		var id string
		if len(args) == 1 {
			id = args[0]
		} else {
			var err error
			if id, err = nextLesson(cmd.Context(), c); err != nil {
				return err
			}
		}
		lesson, ok := training.Find(id)
		switch {
		case id == "":
			return printLine(m.Stdout, "There is nothing for you to read.")
		case !ok:
			return config.Usagef("no lesson %q; expected %s", id, config.OneOf(id, lessonIDs()))
		case answer == "":
			return m.printLesson(&lesson, f.json)
		}
		right, err := c.ReadLesson(cmd.Context(), id, answer)
		switch {
		case err != nil:
			return err
		case f.json:
			err = printJSON(m.Stdout, map[string]any{"lesson": id, "right": right})
		case right:
			err = printLine(m.Stdout, "That is right. The lesson is done.")
		default:
			err = printLine(m.Stdout, "That is not it. Read once more: sallyport program training lesson %s", id)
		}
		if err == nil && !right {
			return ErrFound
		}
		return err
	})
}

// nextLesson is the one that is due first; empty: there is none.
func nextLesson(ctx context.Context, c *api.Client) (string, error) {
	list, err := c.Training(ctx, true)
	if err != nil {
		return "", err
	}
	id, due := "", time.Time{}
	for _, p := range list {
		for _, t := range p.Lessons {
			if t.Read.IsZero() && (id == "" || t.Due.Before(due)) {
				id, due = t.Lesson, t.Due
			}
		}
	}
	return id, nil
}

func lessonIDs() (ids []string) {
	list, _ := training.Lessons() // a test reads them all
	for _, l := range list {
		ids = append(ids, l.ID)
	}
	return ids
}

func (m *Main) printLesson(l *training.Lesson, asJSON bool) error {
	if asJSON {
		return printJSON(m.Stdout, l)
	}
	fmt.Fprintf(m.Stdout, "%s\n\n%s\n\n%s\n", l.Title, l.Text, l.Question)
	for i, choice := range l.Choices {
		fmt.Fprintf(m.Stdout, "  %c) %s\n", 'a'+i, choice)
	}
	return printLine(m.Stdout, "\nAnswer with: sallyport program training lesson %s --answer LETTER", l.ID)
}
