package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

// topOptions are the command line of top.
type topOptions struct {
	once  bool
	every time.Duration
}

func (m *Main) topCommand() *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what goes on right now: the page Now in a terminal",
		Long: `Shows customers revealed today beside a usual day, open findings, people × applications × classes of data, what was revealed last, and how
serve is; people by pseudonym. It follows the record until Ctrl-C. That you look is on record, once for as long as it runs.

With --json each look is one JSON object on a line; with --once there is one look.`,
		Example: "  sallyport top --as s050\n  sallyport top --as s050 --once --json",
		Args:    exactly(0, "--as ID"),
	}
	cmd.Flags().BoolVar(&o.once, "once", false, "show it once and end")
	cmd.Flags().DurationVar(&o.every, "every", 2*time.Second, "`TIME` between two looks, while something comes")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if o.every < 100*time.Millisecond || o.every > 9*time.Minute {
			return config.Usagef("--every %s; expected a time from 100ms to 9m", o.every)
		}
		return m.top(cmd.Context(), c, f, o)
	})
}

// errShown ends the following once it was shown.
var errShown = errors.New("shown") //nolint:gochecknoglobals // a sentinel

func (m *Main) top(ctx context.Context, c *api.Client, f *controlFlags, o topOptions) error {
	width, height, screen := m.screen()
	show := func(line api.NowLine) error {
		var err error
		switch {
		case f.json:
			err = printJSON(m.Stdout, line)
		case screen && !o.once:
			err = printLine(m.Stdout, "\x1b[H\x1b[2J%s", fitted(topText(&line), width, height))
		default:
			err = printLine(m.Stdout, "%s", topText(&line))
		}
		if err == nil && o.once {
			err = errShown
		}
		return err
	}
	for {
		err := c.FollowNow(ctx, o.every, show)
		switch {
		case errors.Is(err, errShown) || ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// screen is the size of the terminal; false: this is none.
func (m *Main) screen() (width, height int, ok bool) {
	f, ok := m.Stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return width, height, err == nil
}

// fitted cuts a text to a terminal, so that its head stays where it is.
func fitted(text string, width, height int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[:min(len(lines), max(1, height-1))]
	for i, l := range lines {
		if r := []rune(l); width > 1 && len(r) >= width {
			lines[i] = string(r[:width-2]) + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// mostTop is how many rows of a part a terminal shows.
const mostTop = 8

// topText writes what goes on for a terminal.
func topText(x *api.NowLine) string {
	var b strings.Builder
	now := &x.Now
	fmt.Fprintf(&b, "Sallyport  %s UTC  entry %d\n\n", now.Time.UTC().Format("2006-01-02 15:04:05"), x.Status.Record.Last)
	if now.Missing != "" {
		fmt.Fprintf(&b, "%s\n", serve.Printable(now.Missing))
	} else {
		fmt.Fprintf(&b, "Customers revealed today  %s   usual %s, at most %s in %d days   %s\n", grouped(int64(now.Customers)), grouped(int64(now.Usual)), grouped(int64(now.Most)), len(now.Past), sparks(now))
	}
	fmt.Fprintf(&b, "Findings %d   open cases %d   locked %d\n", now.Findings, now.Cases, len(x.Status.Locked))
	if x.Status.Observing {
		b.WriteString("Sallyport only observes: nothing is masked, cut or locked.\n")
	}
	for _, m := range x.Status.More {
		if m.Trouble() {
			fmt.Fprintf(&b, "! %s: %s\n", m.What, serve.Printable(m.How))
		}
	}
	table := func(head string, n int, row func(i int) string) {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "\n"+head+"\t")
		for i := range min(n, mostTop) {
			fmt.Fprintln(t, row(i)+"\t")
		}
		_ = t.Flush() // into a builder
		if n > mostTop {
			fmt.Fprintf(&b, "and %d more\n", n-mostTop)
		}
	}
	if len(now.Cells) > 0 {
		table("PERSON\tWITH\tDATA\tCUSTOMERS", len(now.Cells), func(i int) string {
			c := &now.Cells[i]
			return fmt.Sprintf("%s\t%s\t%s\t%s", serve.Printable(c.Person), serve.Printable(c.Application), serve.Printable(c.Class), grouped(int64(c.Customers)))
		})
	}
	if len(now.Live) > 0 {
		table("REVEALED LAST\tPERSON\tCUSTOMERS\tCOLUMNS\tWHY", len(now.Live), func(i int) string {
			l := &now.Live[i]
			return fmt.Sprintf("%s\t%s\t%d\t%s\t%s", l.Time.UTC().Format(time.TimeOnly), serve.Printable(l.Person), l.Customers, serve.Printable(strings.Join(l.Columns, ", ")), serve.Printable(strings.Join(l.Purposes, ", ")))
		})
	}
	b.WriteString("\n")
	for _, line := range x.Status.More {
		fmt.Fprintf(&b, "%-10s %s\n", serve.Printable(line.What), serve.Printable(line.How))
	}
	return b.String()
}

// sparks are the last days and today as a row of bars.
func sparks(t *api.Today) string {
	const bars = "▁▂▃▄▅▆▇█"
	list := []int{}
	for _, d := range t.Past {
		list = append(list, d.Customers)
	}
	list = append(list, t.Customers)
	list = list[max(0, len(list)-30):]
	top := 1
	for _, n := range list {
		top = max(top, n)
	}
	var b strings.Builder
	for _, n := range list {
		b.WriteRune([]rune(bars)[n*7/top])
	}
	return b.String()
}
