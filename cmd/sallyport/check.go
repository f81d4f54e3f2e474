package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"sallyport/catalog"
	"sallyport/gateway"
	"sallyport/internal/upstream"
	"sallyport/keys"
	"sallyport/protect"
)

// finding is one thing that would not work.
type finding struct {
	Where string   `json:"where"`
	What  string   `json:"what"`
	Kind  string   `json:"kind,omitempty"` // of what stands in the database
	SQL   []string `json:"sql,omitempty"`  // statements that help
	Read  []string `json:"read,omitempty"` // statements that would help and destroy or switch off something
	Note  bool     `json:"note,omitempty"` // it is told, and nothing to do
}

func (m *Main) checkCommand() *cobra.Command {
	var config, owner, data string
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
			if config == "" {
				return usagef("no configuration; expected 'sallyport check --config sallyport.yaml'")
			}
			if asSQL && asJSON {
				return usagef("--json has the statements of --sql too, as sql and read of each finding; expected one of them")
			}
			if asSQL {
				return m.printSQL(cmd.Context(), config, owner)
			}
			findings, err := checkAs(cmd.Context(), config, owner)
			if err != nil {
				return err
			}
			read, unread := LoadConfig(config)
			if unread == nil {
				findings = append(findings, read.serviceFindings(cmd.Context())...)
				findings = append(findings, read.recordFindings(data)...)
			}
			ways, err := checkAround(cmd.Context(), config, owner, toDo(findings) == 0)
			if err != nil {
				return err
			}
			masked := ""
			if unread == nil {
				masked = read.maskedLine()
			}
			return m.printFindings(findings, ways, masked, asJSON)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration `FILE`")
	cmd.Flags().StringVar(&owner, "owner", "", "look at the database as the role of this `DSN`: before protect has made the reader, and where that may see less")
	cmd.Flags().StringVar(&data, "data", "", "look at the record in this data `FOLDER`, too: whether it is encrypted, and how much room there is")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asSQL, "sql", false, "print statements that help, for the tables' owner or a superuser to run, and check nothing else")
	return cmd
}

// toDo counts the findings that are more than notes.
func toDo(findings []finding) (n int) {
	for _, f := range findings {
		if !f.Note {
			n++
		}
	}
	return n
}

func (m *Main) printFindings(findings []finding, ways []detour, masked string, asJSON bool) error {
	todo := toDo(findings)
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
		return errFound
	}
	return nil
}

func (m *Main) printWays(findings []finding, ways []detour) {
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
		fmt.Fprintf(m.Stdout, "%saround: %s\n  %s\n", note, printable(w.What), printable(w.Next))
	}
}

// checkTimeout bounds each attempt to reach something, databaseTimeout all that is looked at there.
const (
	checkTimeout    = 5 * time.Second
	databaseTimeout = time.Minute
)

// checkAll looks at everything that serve will need, as the reader.
func checkAll(ctx context.Context, path string) ([]finding, error) { return checkAs(ctx, path, "") }

// checkAs is checkAll as the owner, where there is a DSN of his.
func checkAs(ctx context.Context, path, owner string) ([]finding, error) {
	config, err := LoadConfig(path)
	if wrong, ok := errors.AsType[*ConfigError](err); ok {
		return findingsOf(wrong), nil
	}
	if err != nil {
		return nil, err
	}
	c := &check{config: config, owner: owner, findings: []finding{}}
	if _, err := config.certificate(); err != nil {
		c.found("tls", "%v", err)
	}
	c.policies()
	c.provider(ctx)
	if config.Upstream.Address != "" {
		brief, cancel := context.WithTimeout(ctx, databaseTimeout)
		defer cancel()
		if err := c.server(brief); err != nil {
			return nil, err
		}
	}
	if c.values {
		if err := c.twins(ctx); err != nil {
			return nil, err
		}
	}
	if c.plain { // behind what is to be done before
		c.plainStill()
	}
	return c.findings, nil
}

// policies holds the configured policies to columns and people.
func (c *check) policies() {
	_, warnings, err := c.config.loadPolicies(c.config.policyFolder())
	if wrong, ok := errors.AsType[*policyError](err); ok {
		for _, p := range wrong.problems {
			c.found(p.Place(), "%s", policyProblem(p))
		}
		return
	}
	if err != nil {
		c.found("policies", "%v", err)
		return
	}
	for _, p := range warnings {
		c.note(p.Place(), "%s", policyProblem(p))
	}
}

func findingsOf(wrong *ConfigError) []finding {
	findings := make([]finding, len(wrong.Problems))
	for i, p := range wrong.Problems {
		findings[i] = finding{Where: fmt.Sprintf("%s:%d:%d", wrong.File, max(p.at.line, 1), max(p.at.column, 1)), What: p.text}
	}
	return findings
}

// check gathers what would not work.
type check struct {
	config   *Config
	owner    string // DSN to look at the database with; empty: as the reader
	findings []finding
	plain    bool // protect has not run
	values   bool // nothing is protected yet, and the values are to be compared
}

func (c *check) found(where, format string, args ...any) {
	c.findings = append(c.findings, finding{Where: where, What: fmt.Sprintf(format, args...)})
}

// server looks at the server: is it there, is it protected, and does the configuration fit what it holds? The error is one of the owner's
// DSN, by which nobody can look.
func (c *check) server(ctx context.Context) error {
	server, err := c.config.server(place{})
	if err != nil {
		c.found("upstream.tls", "%v", err)
		return nil
	}
	marked, err := senseSoon(ctx, server)
	switch {
	case errors.Is(err, protect.ErrCannotTell):
		c.found("upstream.address", "%s", oneLine(err))
		return nil
	case err != nil:
		c.found("upstream.address", "%s cannot be reached: is PostgreSQL running there? (%s)", c.config.Upstream.Address, oneLine(err))
		return nil
	case c.owner != "" && c.config.guards():
		if marked, err = c.marked(ctx, marked); err != nil {
			return err
		}
	}
	c.sources(ctx)
	switch {
	case marked && !c.config.Protects():
		c.found("protect", "the server holds a protected database; serve needs the configuration that it was protected with")
	case !marked && c.config.Protects():
		if c.owner == "" {
			c.note("upstream.reader", "nobody has looked at %s: run check with --owner, the DSN of the tables' owner, to see what stands against protecting it",
				c.config.Upstream.Database)
		}
		c.plain = true
		c.asOwner(ctx)
	case c.config.Masks() && !marked:
		if err := c.database(ctx, server); err != nil {
			c.found("upstream", "%s", oneLine(err))
		}
	case marked:
		c.logIns(ctx, server)
		c.entrances(ctx, server)
		if err := c.database(ctx, server); err != nil {
			c.found("upstream", "%s", oneLine(err))
			c.asOwner(ctx)
		}
	}
	return nil
}

// marked asks the database itself, as the owner: a server's mark may be that of another database.
func (c *check) marked(ctx context.Context, sensed bool) (bool, error) {
	conn, err := c.config.watcherSoon(ctx, c.owner)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	if !sensed {
		return false, nil
	}
	_, found, err := protect.ReadMark(ctx, conn)
	return found || err != nil, nil //nolint:nilerr // what may not be read is there
}

// plainStill says that protect has not run, and how it is run.
func (c *check) plainStill() {
	opens := ""
	switch {
	case c.config.needsKeyFile():
		opens = " --key-file FILE"
	case c.config.Keys.Provider == keys.QuorumProvider:
		opens = " --share-file FILE …"
	}
	c.found("protect", "the values in %s are plain still; once the rest is done: sallyport protect --config %s --data FOLDER%s --owner DSN",
		c.config.Upstream.Database, c.config.file, opens)
}

// asOwner looks at a database that is not protected yet, where there is an owner to look as.
func (c *check) asOwner(ctx context.Context) {
	if c.owner == "" {
		return
	}
	if err := c.fit(ctx); err != nil {
		c.found("upstream", "%s", oneLine(err))
	}
}

// senseSoon tells whether the server holds a protected database, or that it does not answer in time.
func senseSoon(ctx context.Context, server *upstream.Server) (marked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, marked, err = protect.Sense(ctx, server)
	return marked, err
}

// logIns looks whether clients with TLS can log in over a connection with TLS to the server.
func (c *check) logIns(ctx context.Context, server *upstream.Server) {
	if c.config.TLS.Certificate == "" || server.MayBeClear() {
		return
	}
	v := c.config.verifiers(server)
	defer v.close(context.WithoutCancel(ctx))
	_, err := v.Verifier(ctx, c.config.Upstream.Reader.User)
	if errors.Is(err, gateway.ErrNoVerifiers) {
		c.found("upstream.verifiers", "clients with TLS cannot log in by SCRAM with channel binding: a superuser must run in database %s what 'sallyport check --config %s --sql' prints",
			c.config.verifierDatabase(), c.config.file)
	}
}

// database compares the configuration with the protected database, as the reader.
func (c *check) database(ctx context.Context, server *upstream.Server) error {
	reader, err := c.config.reader(server)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, reader)
	if err != nil {
		return fmt.Errorf("connect as %s: %w", reader.User, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	snapshot, err := catalog.Load(ctx, conn, c.config.Protect, c.config.Purposes.Tables())
	misfits, ok := errors.AsType[catalog.Problems](err)
	if err != nil && !ok {
		return err
	}
	if !ok {
		misfits = c.config.purposeMisfits(snapshot)
	}
	if !c.config.Protects() {
		c.misfits(misfits)
		return nil
	}
	changed, err := c.mark(ctx, conn)
	for _, p := range changed {
		if !slices.ContainsFunc(misfits, func(m catalog.Problem) bool { return strings.HasPrefix(m.Path+".", p.Path+".") }) {
			misfits = append(misfits, p)
		}
	}
	c.misfits(misfits)
	if err != nil || ok {
		return err
	}
	return c.fits(ctx, conn, snapshot)
}

// misfits notes problems by their places in the file.
func (c *check) misfits(problems catalog.Problems) {
	if wrong, ok := errors.AsType[*ConfigError](c.config.misfits(problems)); ok {
		c.findings = append(c.findings, findingsOf(wrong)...)
	}
}

// mark holds the configuration to what the database was protected with.
func (c *check) mark(ctx context.Context, conn *pgx.Conn) (problems catalog.Problems, err error) {
	mark, found, err := protect.ReadMark(ctx, conn)
	database := c.config.Upstream.Database
	switch {
	case err != nil:
		return nil, err
	case !found:
		c.plain = true
		return nil, nil
	case mark.ProtectedAt.IsZero():
		c.found("protect", "'sallyport protect' was interrupted in %s; run it again", database)
		return nil, nil
	case mark.Columns == nil:
		c.found("protect", "the mark in %s does not say which columns are protected, as an earlier version left it; run 'sallyport protect' once more", database)
		return nil, nil
	}
	wanted, err := c.config.protects()
	if err != nil {
		return nil, err
	}
	for _, change := range mark.Columns.Changes(wanted) {
		problems = append(problems, catalog.Problem{
			Path: "columns." + change.Column,
			Text: fmt.Sprintf("%s is %s, %s; expected what it was protected with, or 'sallyport protect' for a new column",
				change.Column, formOf("protected", change.From), formOf("configured", change.To)),
		})
	}
	return problems, nil
}
