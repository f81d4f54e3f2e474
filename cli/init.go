package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"sallyport/catalog/discover"
	"sallyport/config"
	"sallyport/serve"
)

// initOptions are the command line of init.
type initOptions struct {
	out, customer string
	rows          int
	within        time.Duration
	force, json   bool
}

func (m *Main) initCommand() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init DSN",
		Short: "Look for personal data in a database and propose a configuration",
		Long: `Reads the schema, the server's statistics and a sample of each table's rows, and writes sallyport.yaml: which columns hold personal
data, how each would be tokenised, how rows find their customer, where tickets and calls stand, and whose log-ins there are.
What is certain enough is a line of it, the rest a comment, each with its evidence in counts. Read it before you use it.

Nothing in the database is changed: transactions are read-only, each statement has 10 s, and no value is printed or written,
but for letters that many reference numbers begin with. The password is read from PGPASSWORD or ~/.pgpass.`,
		Example: `  sallyport init postgres://postgres@127.0.0.1:5432/support
  sallyport init --customer crm.contacts --out - postgres://reader@db.example/crm`,
		Args: exactly(1, "DSN"),
		RunE: func(cmd *cobra.Command, args []string) error { return m.initFrom(cmd.Context(), args[0], o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.out, "out", "sallyport.yaml", "`FILE` to write, - for standard output")
	flags.BoolVar(&o.force, "force", false, "overwrite the file if it is there")
	flags.StringVar(&o.customer, "customer", "", "`SCHEMA.TABLE` with one row a customer, where another one is taken for it")
	flags.IntVar(&o.rows, "rows", 1000, "look at `N` rows of each table")
	flags.DurationVar(&o.within, "within", 5*time.Minute, "take samples for so long; what is left is judged by names")
	flags.BoolVar(&o.json, "json", false, "print the proposal as JSON")
	return cmd
}

// initFrom reads the database, and writes and prints what it proposes.
func (m *Main) initFrom(ctx context.Context, dsn string, o initOptions) error {
	if o.rows < 1 || o.rows > 100_000 {
		return config.Usagef("--rows %d; expected 1 to 100000", o.rows)
	}
	if o.json && o.out == "-" {
		return config.Usagef("--json and --out - both want standard output; expected one of them")
	}
	if !o.force && o.out != "-" {
		if _, err := os.Lstat(o.out); !errors.Is(err, fs.ErrNotExist) {
			return config.Usagef("%s is there already and may hold decisions of yours; expected another --out, or --force", o.out)
		}
	}
	connect, err := pgx.ParseConfig(dsn)
	if err != nil {
		return config.Usagef("no DSN that can be read; expected postgres://ROLE@HOST:PORT/DATABASE") // the error may quote a password
	}
	proposal, err := m.lookAround(ctx, connect, o)
	if err != nil {
		return err
	}
	draft := &draft{proposal: proposal, connect: connect, at: time.Now()}
	text := draft.yaml()
	// What was written must be what serve will read. A name that breaks out of its place in the file is caught here.
	if _, err := config.Parse(o.out, text); err != nil {
		return fmt.Errorf("read the proposal back, which is not written: %w", err)
	}
	if o.out == "-" {
		_, err := m.Stdout.Write(text)
		return err
	}
	if err := writeDraft(o.out, text, o.force); err != nil {
		return err
	}
	if o.json {
		return printJSON(m.Stdout, reportOf(proposal, o.out))
	}
	m.printProposal(proposal, o.out, ownerOf(connect))
	return nil
}

// lookAround reads the database and makes up its mind.
func (m *Main) lookAround(ctx context.Context, connect *pgx.ConnConfig, o initOptions) (*discover.Proposal, error) {
	connect.RuntimeParams["application_name"] = "sallyport init"
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return nil, fmt.Errorf("connect to the database to look at (password: PGPASSWORD or ~/.pgpass): %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	bars := newBars(m.Stderr)
	defer bars.end()
	db, err := discover.Read(ctx, conn, discover.Limits{
		Rows: o.rows, Whole: o.within, Clock: time.Now,
		Progress: func(done, total int, _ string) { bars.set("tables", int64(done), int64(total)) },
	})
	if err != nil {
		return nil, err
	}
	if len(db.Tables) == 0 {
		return nil, config.Usagef("the database %s has no tables that this role can see; expected the one with the customers", db.Name)
	}
	proposal, err := discover.Propose(db, discover.Settings{Customer: o.customer})
	if errors.Is(err, discover.ErrCustomer) {
		return nil, config.Usagef("%w", err)
	}
	if err != nil {
		return nil, err
	}
	marked := false
	if err := conn.QueryRow(ctx, selectMarked).Scan(&marked); err != nil {
		return nil, fmt.Errorf("look for the mark of protection: %w", err)
	}
	if marked {
		proposal.Notes = append(proposal.Notes, "Sallyport protects columns of this database already: what they hold is tokens, which say little. Keep the configuration that they were protected with")
	}
	return proposal, nil
}

// selectMarked asks the catalogue alone, which everybody may read.
const selectMarked = `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'sallyport' AND c.relname = 'mark' AND c.relkind = 'r')`

// writeDraft writes the file whole or not at all, for its owner alone: hashes of passwords will stand in it.
func writeDraft(path string, text []byte, force bool) (err error) {
	if !force {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		_, err = f.Write(text)
		return errors.Join(err, f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".sallyport-*.yaml")
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the configuration: %w", err), os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("write the configuration: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// printProposal tells people what was found.
func (m *Main) printProposal(p *discover.Proposal, out, owner string) {
	fmt.Fprintf(m.Stdout, "Looked at %d columns, with rows of %d tables.\n", p.Looked, p.SampledIn)
	lines, looks := 0, 0
	for _, c := range p.Columns {
		note := ""
		switch {
		case c.Proposed():
			lines++
		case c.Confidence == discover.Low:
			continue
		default:
			looks++
			note = ", to look at"
			if len(c.Obstacles) > 0 {
				note = ", not yet: " + serve.Printable(c.Obstacles[0])
			}
		}
		fmt.Fprintf(m.Stdout, "%-40s %s, %s%s\n", serve.Printable(c.Column.String()), c.Kind, c.Confidence, note)
	}
	for _, note := range p.Notes {
		fmt.Fprintln(m.Stdout, "note: "+serve.Printable(note))
	}
	if p.Customer == "" {
		fmt.Fprintln(m.Stdout, "No table of customers was recognised: name it with --customer.")
	}
	fmt.Fprintf(m.Stdout, "Wrote %s: %d columns to protect, %d to look at. Read it, then, as who owns the tables:\n  sallyport check --config %s --owner %s\n", out, lines, looks, out, owner)
}

// ownerOf is the DSN that was given, without its password and settings.
func ownerOf(connect *pgx.ConnConfig) string {
	u := url.URL{Scheme: "postgres", User: url.User(connect.User), Host: upstreamAddress(connect), Path: "/" + connect.Database}
	if strings.HasPrefix(connect.Host, "/") {
		u.Host, u.RawQuery = "", url.Values{"host": {connect.Host}, "port": {strconv.Itoa(int(connect.Port))}}.Encode()
	}
	return serve.Printable(u.String())
}

// upstreamAddress is where the DSN leads, as the configuration writes it.
func upstreamAddress(connect *pgx.ConnConfig) string {
	port := strconv.Itoa(int(connect.Port))
	if strings.HasPrefix(connect.Host, "/") {
		return "unix:" + config.SocketPath(connect.Host, port)
	}
	return net.JoinHostPort(connect.Host, port)
}

// columnReport is one column of the proposal for programs.
type columnReport struct {
	Column     string            `json:"column"`
	Kind       string            `json:"kind"`
	Class      string            `json:"class"`
	Scheme     string            `json:"scheme"`
	Group      string            `json:"group,omitempty"`
	Prefixes   map[string]string `json:"prefixes,omitempty"`
	Region     string            `json:"region,omitempty"`
	Vault      bool              `json:"vault,omitempty"`
	Confidence string            `json:"confidence"`
	Protect    bool              `json:"protect"`
	Evidence   []string          `json:"evidence"`
	Obstacles  []string          `json:"obstacles,omitempty"`
	Warnings   []string          `json:"warnings,omitempty"`
}

func reportOf(p *discover.Proposal, out string) map[string]any {
	columns := make([]columnReport, len(p.Columns))
	for i := range p.Columns {
		c := &p.Columns[i]
		columns[i] = columnReport{
			c.Column.String(), string(c.Kind), string(c.Class), string(c.Scheme), c.Group, c.Prefixes, c.Region, c.Vault, c.Confidence.String(), c.Proposed(),
			c.Evidence, c.Obstacles, c.Warnings,
		}
	}
	paths := map[string]string{}
	for _, path := range p.Paths {
		if !path.Guess {
			paths[path.Table] = path.String()
		}
	}
	report := map[string]any{"file": out, "customer": map[string]string{"table": p.Customer, "key": p.Key}, "columns": columns, "paths": paths, "notes": p.Notes}
	people, services := []string{}, []string{}
	for _, r := range p.Roles {
		if r.Service {
			services = append(services, r.Login)
		} else {
			people = append(people, r.Login)
		}
	}
	report["people"], report["services"] = people, services
	return report
}
