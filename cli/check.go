package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) checkCommand() *cobra.Command {
	var settings, owner, data string
	var asJSON, asSQL bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what would not work, and why",
		Long: `Reads the configuration and tells everything that is wrong with it by file, line and column; then looks whether the server
can be reached, is protected, and holds the tables and columns that the configuration names. As the owner (--owner) it tells,
before rows move in, what stands against protecting them and what will not work afterwards: narrow columns, keys, generated
columns, indexes, checks, triggers, functions, views, collations, publications. Where everything is in order, it names the
columns that are masked and not protected, and looks for ways around the gateway: roles, superusers, pg_hba.conf, slots and
publications (serve looks again every 30 s, and for sessions and changed passwords too). The last line is "ready" or how many
things there are to do; exit status 1 means that there are some. With --sql it prints statements that help: those that destroy or
switch off something are comments, for you to decide. Once protect has made the reader, what a superuser may install for it stands
behind them: notes of changes, and the function through which log-ins are verified where clients and server both have TLS.`,
		Example: `  sallyport check --config sallyport.yaml
  sallyport check --config sallyport.yaml --owner postgres://postgres@127.0.0.1:5432/support
  sallyport check --config sallyport.yaml --owner postgres://postgres@127.0.0.1:5432/support --sql > help.sql`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if settings == "" {
				return config.Usagef("no configuration; expected 'sallyport check --config sallyport.yaml'")
			}
			if asSQL && asJSON {
				return config.Usagef("--json has the statements of --sql too, as sql and read of each finding; expected one of them")
			}
			if asSQL {
				return m.printSQL(cmd.Context(), settings, owner)
			}
			findings, err := serve.CheckAs(cmd.Context(), settings, owner)
			if err != nil {
				return err
			}
			read, unread := config.Load(settings)
			if unread == nil {
				findings = append(findings, serviceFindings(read, cmd.Context())...)
				findings = append(findings, recordFindings(read, data)...)
			}
			ways, err := checkAround(cmd.Context(), settings, owner, serve.ToDo(findings) == 0)
			if err != nil {
				return err
			}
			masked := ""
			if unread == nil {
				masked = read.MaskedLine()
			}
			return m.printFindings(findings, ways, masked, asJSON)
		},
	}
	cmd.Flags().StringVar(&settings, "config", "", "configuration `FILE`")
	cmd.Flags().StringVar(&owner, "owner", "", "look at the database as the role of this `DSN`: before protect has made the reader, and where that may see less")
	cmd.Flags().StringVar(&data, "data", "", "look at the record in this data `FOLDER`, too: whether it is encrypted, and how much room there is")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asSQL, "sql", false, "print statements that help, for the tables' owner or a superuser to run, and check nothing else")
	return cmd
}

func (m *Main) printFindings(findings []serve.Finding, ways []serve.Detour, masked string, asJSON bool) error {
	todo := serve.ToDo(findings)
	for _, w := range ways {
		if w.Todo {
			todo++
		}
	}
	if asJSON {
		report := map[string]any{"ok": todo == 0, "findings": findings, "ways": ways}
		if masked != "" {
			report["masked"] = masked
		}
		if err := printJSON(m.Stdout, report); err != nil {
			return err
		}
	} else {
		m.printWays(findings, ways)
		if masked != "" {
			fmt.Fprintln(m.Stdout, masked)
		}
		switch todo {
		case 0:
			fmt.Fprintln(m.Stdout, "ready")
		case 1:
			fmt.Fprintln(m.Stdout, "1 thing to do")
		default:
			fmt.Fprintf(m.Stdout, "%d things to do\n", todo)
		}
	}
	if todo > 0 {
		return ErrFound
	}
	return nil
}

func (m *Main) printWays(findings []serve.Finding, ways []serve.Detour) {
	for _, f := range findings {
		note := ""
		if f.Note {
			note = "note: "
		}
		fmt.Fprintf(m.Stdout, "%s%s: %s\n", note, f.Where, f.What)
	}
	for _, w := range ways {
		note := ""
		if !w.Todo {
			note = "note: "
		}
		fmt.Fprintf(m.Stdout, "%saround: %s\n  %s\n", note, serve.Printable(w.What), serve.Printable(w.Next))
	}
}
