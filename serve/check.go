package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/catalog"
	"sallyport/config"
	"sallyport/entrance"
	"sallyport/gateway"
	"sallyport/internal/upstream"
	"sallyport/keys"
	"sallyport/protect"
	"sallyport/rulebook"
)

// Finding is one thing that would not work.
type Finding struct {
	Where string   `json:"where"`
	What  string   `json:"what"`
	Kind  string   `json:"kind,omitempty"` // of what stands in the database
	SQL   []string `json:"sql,omitempty"`  // statements that help
	Read  []string `json:"read,omitempty"` // statements that would help and destroy or switch off something
	Note  bool     `json:"note,omitempty"` // it is told, and nothing to do
}

// ToDo counts the findings that are more than notes.
func ToDo(findings []Finding) (n int) {
	for _, f := range findings {
		if !f.Note {
			n++
		}
	}
	return n
}

// checkTimeout bounds each attempt to reach something, databaseTimeout all that is looked at there.
const (
	checkTimeout    = 5 * time.Second
	DatabaseTimeout = time.Minute
)

// checkAll looks at everything that serve will need, as the reader.
func checkAll(ctx context.Context, path string) ([]Finding, error) { return CheckAs(ctx, path, "") }

// CheckAs is checkAll as the owner, where there is a DSN of his.
func CheckAs(ctx context.Context, path, owner string) ([]Finding, error) {
	settings, err := config.Load(path)
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		return findingsOf(wrong), nil
	}
	if err != nil {
		return nil, err
	}
	c := &check{config: settings, owner: owner, findings: []Finding{}}
	if _, err := settings.Certificate(); err != nil {
		c.found("tls", "%v", err)
	}
	c.policies()
	c.provider(ctx)
	if settings.Upstream.Address != "" {
		brief, cancel := context.WithTimeout(ctx, DatabaseTimeout)
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
	_, warnings, err := rulebook.Load(c.config, c.config.PolicyFolder())
	if wrong, ok := errors.AsType[*rulebook.Error](err); ok {
		for _, p := range wrong.Problems {
			c.found(p.Place(), "%s", rulebook.Problem(p))
		}
		return
	}
	if err != nil {
		c.found("policies", "%v", err)
		return
	}
	for _, p := range warnings {
		c.note(p.Place(), "%s", rulebook.Problem(p))
	}
}

func findingsOf(wrong *config.Error) []Finding {
	findings := make([]Finding, len(wrong.Problems))
	for i, p := range wrong.Problems {
		findings[i] = Finding{Where: fmt.Sprintf("%s:%d:%d", wrong.File, max(p.At.Line, 1), max(p.At.Column, 1)), What: p.Text}
	}
	return findings
}

// check gathers what would not work.
type check struct {
	config   *config.Config
	owner    string // DSN to look at the database with; empty: as the reader
	findings []Finding
	plain    bool // protect has not run
	values   bool // nothing is protected yet, and the values are to be compared
}

func (c *check) found(where, format string, args ...any) {
	c.findings = append(c.findings, Finding{Where: where, What: fmt.Sprintf(format, args...)})
}

// server looks at the server: is it there, is it protected, and does the configuration fit what it holds? The error is one of the owner's
// DSN, by which nobody can look.
func (c *check) server(ctx context.Context) error {
	server, err := c.config.Server(config.Place{})
	if err != nil {
		c.found("upstream.tls", "%v", err)
		return nil
	}
	marked, err := SenseSoon(ctx, server)
	switch {
	case errors.Is(err, protect.ErrCannotTell):
		c.found("upstream.address", "%s", oneLine(err))
		return nil
	case err != nil:
		c.found("upstream.address", "%s cannot be reached: is PostgreSQL running there? (%s)", c.config.Upstream.Address, oneLine(err))
		return nil
	case c.owner != "" && c.config.Guards():
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
	conn, err := WatcherSoon(c.config, ctx, c.owner)
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
	case c.config.NeedsKeyFile():
		opens = " --key-file FILE"
	case c.config.Keys.Provider == keys.QuorumProvider:
		opens = " --share-file FILE …"
	}
	c.found("protect", "the values in %s are plain still; once the rest is done: sallyport protect --config %s --data FOLDER%s --owner DSN",
		c.config.Upstream.Database, c.config.File, opens)
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

// SenseSoon tells whether the server holds a protected database, or that it does not answer in time.
func SenseSoon(ctx context.Context, server *upstream.Server) (marked bool, err error) {
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
	v := entrance.NewVerifiers(c.config, server)
	defer v.Close(context.WithoutCancel(ctx))
	_, err := v.Verifier(ctx, c.config.Upstream.Reader.User)
	if errors.Is(err, gateway.ErrNoVerifiers) {
		c.found("upstream.verifiers", "clients with TLS cannot log in by SCRAM with channel binding: a superuser must run in database %s what 'sallyport check --config %s --sql' prints",
			c.config.VerifierDatabase(), c.config.File)
	}
}

// database compares the configuration with the protected database, as the reader.
func (c *check) database(ctx context.Context, server *upstream.Server) error {
	reader, err := entrance.Reader(c.config, server)
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
		misfits = c.config.PurposeMisfits(snapshot)
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
	if wrong, ok := errors.AsType[*config.Error](c.config.Misfits(problems)); ok {
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
	wanted, err := c.config.ProtectSet()
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
