package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/export"
	"sallyport/serve"
)

func (m *Main) exportCommand() *cobra.Command {
	var format, since, until, output, stream string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the record as OCSF, CEF or ECS, one object a line",
		Long: `Asks a running serve for what is on record, as a logged-in person whom policies let administer, and writes it to a file or to standard
output: what executed statements touched and revealed, who logged in, what was locked, asked for and approved. Literals of statements,
values and reasons in people's own words are not in it. That you took it out is itself recorded.

What serve sends by itself, all the time, stands under export in the configuration.`,
		Example: `  sallyport export --format ocsf --since 2026-03-01 -o march.jsonl --as s051
  sallyport export --format cef --since 24h --stream access --as s051 | gzip > today.cef.gz`,
		Args: exactly(0, "--as ID"),
	}
	m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		q := api.ExportQuery{Format: format}
		switch stream {
		case "all":
			q.Streams = []string{config.StreamAccess, config.StreamControl}
		case config.StreamAccess, config.StreamControl:
			q.Streams = []string{stream}
		default:
			return config.Usagef("there is no stream %q; expected %s", stream, config.OneOf(stream, []string{"all", config.StreamAccess, config.StreamControl}))
		}
		var err error
		if q.Since, err = pastMoment(since); err != nil {
			return config.Usagef("--since %w", err)
		}
		if q.Until, err = pastMoment(until); err != nil {
			return config.Usagef("--until %w", err)
		}
		lines := &lineCounter{to: m.Stdout}
		if output == "" || output == "-" {
			return c.Export(cmd.Context(), q, m.Stdout)
		}
		err = writeWhole(output, func(w io.Writer) error {
			lines.to = w
			return c.Export(cmd.Context(), q, lines)
		})
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"file": output, "format": format, "messages": lines.n})
		}
		return printLine(m.Stdout, "%d messages in %s.", lines.n, output)
	})
	flags := cmd.Flags()
	flags.StringVar(&format, "format", string(export.OCSF), "`FORMAT`: "+strings.Join(export.Formats(), ", "))
	flags.StringVar(&since, "since", "", "from this `TIME` on: RFC 3339, a day, or how long ago, such as 24h (default: from the beginning)")
	flags.StringVar(&until, "until", "", "up to this `TIME`, without it (default: up to now)")
	flags.StringVar(&stream, "stream", "all", "`STREAM`: access, control, all")
	flags.StringVarP(&output, "output", "o", "", "`FILE` (default: standard output)")
	cmd.AddCommand(m.replayDeadCommand())
	return cmd
}

// pastMoment reads a time, a day in UTC, or a length of time before now. Empty is the zero time.
func pastMoment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return time.Now().Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; expected 2026-03-01T09:00:00Z, 2026-03-01, or 24h", text)
}

// lineCounter counts lines on their way.
type lineCounter struct {
	to io.Writer
	n  int
}

// Write is io.Writer's.
func (l *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			l.n++
		}
	}
	return l.to.Write(p)
}

// writeWhole makes a file that is there only once it is whole.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	temporary := name + ".tmp"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	b := bufio.NewWriterSize(file, 256<<10)
	err = write(b)
	if err == nil {
		err = errors.Join(b.Flush(), file.Sync())
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

func (m *Main) replayDeadCommand() *cobra.Command {
	var settings, data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay-dead OUTPUT",
		Short: "Send what the receiver of an output did not take once more",
		Long: `Reads the dead letters of an output in the data folder, sends them to its receiver in their order, and removes those that it took. A
running serve is not disturbed. It stops at the first that the receiver does not take; what is left stays.

Exit status 0: nothing is left; 3: something is.`,
		Example: "  sallyport export replay-dead siem --config sallyport.yaml --data /var/lib/sallyport",
		Args:    exactly(1, "OUTPUT --config FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(settings)
			if err != nil {
				return err
			}
			var names []string
			for i := range c.Export {
				o := &c.Export[i]
				names = append(names, o.Name)
				if o.Name != args[0] {
					continue
				}
				if o.Webhook == (config.ExportWebhook{}) {
					return config.Usagef("the output %s has no dead letters: what it cannot deliver waits in the record; expected one with a webhook", o.Name)
				}
				sink, _, err := serve.ExportSink(c, o)
				if err != nil {
					return err
				}
				dead := &export.DeadFile{Path: serve.DeadFile(data, o.Name)}
				n, err := dead.Replay(cmd.Context(), sink)
				if asJSON {
					return errors.Join(printJSON(m.Stdout, map[string]any{"output": o.Name, "delivered": n, "whole": err == nil}), err)
				}
				return errors.Join(printLine(m.Stdout, "%d messages delivered.", n), err)
			}
			return config.Usagef("no output %q in %s; expected %s", args[0], filepath.Base(settings), config.OneOf(args[0], names))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&settings, "config", "sallyport.yaml", "configuration `FILE`")
	flags.StringVar(&data, "data", defaultData, "data `FOLDER`")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
