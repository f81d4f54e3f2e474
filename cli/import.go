package cli

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	logs "sallyport/sources"
)

// importOptions are the command line of import.
type importOptions struct {
	source, format, zone, logins string
	strict                       bool
}

func (m *Main) importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Read other systems' logs of accesses into the record",
		Long: `Reads OCSF Datastore Activity (class 6005, one object a line), CEF that Sallyport wrote, and PostgreSQL's own log (csvlog, jsonlog) with
pgAudit's lines, plain or packed (gzip, zstd); '-' is standard input. What it finds is put into the record of a running serve, for
detection and history, with your name. It never fills a budget, makes no reason, and is no fact about tickets. You log in as a
person whom policies let administer.

Each access is imported once: by its id (OCSF's metadata.uid; PostgreSQL's session and number of the line), within --source, whenever and in
whatever order files are read. Literals of statements are not kept, only the statement's shape.

A line that cannot be read is named as FILE:LINE on standard error, counted, and the rest is read; --strict stops there.

Exit status 0: everything was read; 1: some lines could not be; 3: it failed, or with --strict at the first such line.`,
		Example: `  sallyport import --source crm events.jsonl.zst --as s051
  sallyport import --source billing-db --timezone Europe/Berlin /var/log/postgresql/*.csv --as s051`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return config.Usagef("no file; expected '%s FILE... --as ID' (see '%s --help')", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
	}
	m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		return m.importFiles(cmd.Context(), c, args, &o, f.json)
	})
	flags := cmd.Flags()
	flags.StringVar(&o.source, "source", "imported", "`NAME` of the system that the logs are of; ids are unique within it")
	flags.StringVar(&o.format, "format", "", "`FORMAT`: "+strings.Join(logs.LogFormats(), ", ")+" (default: each file's own)")
	flags.StringVar(&o.zone, "timezone", "", "`ZONE` of PostgreSQL's log_timezone, such as Europe/Berlin, where its times are not in UTC")
	flags.StringVar(&o.logins, "logins", "", "CSV `FILE` of login,staff: whose PostgreSQL's roles are (default: each is a person of its own, login:ROLE)")
	flags.BoolVar(&o.strict, "strict", false, "stop at the first line that cannot be read")
	return cmd
}

func (m *Main) importFiles(ctx context.Context, c *api.Client, files []string, o *importOptions, asJSON bool) error {
	i := &importer{m: m, c: c, o: o, same: map[[32]byte]int{}}
	if o.format != "" && !slices.Contains(logs.LogFormats(), o.format) {
		return config.Usagef("there is no format %q; expected %s", o.format, config.OneOf(o.format, logs.LogFormats()))
	}
	if o.zone != "" {
		zone, err := time.LoadLocation(o.zone)
		if err != nil {
			return config.Usagef("--timezone %s: %w; expected a name such as Europe/Berlin", o.zone, err)
		}
		i.zone = zone
	}
	if o.logins != "" {
		var err error
		if i.logins, err = readLogins(o.logins); err != nil {
			return err
		}
	}
	what := sallyport.Importing{Source: o.source, Format: o.format}
	for _, name := range files[:min(len(files), 100)] {
		what.Files = append(what.Files, filepath.Base(name))
	}
	var err error
	if i.id, err = c.BeginImport(ctx, what); err != nil {
		return err
	}
	for _, name := range files {
		if err := i.file(ctx, name); err != nil {
			return err
		}
	}
	if err := i.report(asJSON); err != nil || i.bad == 0 {
		return err
	}
	return ErrFound
}

// readLogins reads whose roles are.
func readLogins(name string) (map[string]sallyport.Staff, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read --logins: %w", err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.FieldsPerRecord = 2
	rows, err := r.ReadAll()
	if err != nil {
		return nil, config.Usagef("%s: %w; expected two columns, login,staff", name, err)
	}
	logins := map[string]sallyport.Staff{}
	for n, row := range rows {
		if n == 0 && row[0] == "login" && row[1] == "staff" {
			continue
		}
		logins[row[0]] = sallyport.Staff(row[1])
	}
	return logins, nil
}

// importer reads files and hands their accesses over in parts.
type importer struct {
	m      *Main
	c      *api.Client
	o      *importOptions
	id     string
	zone   *time.Location
	logins map[string]sallyport.Staff

	format string // of the file that is read
	part   []sallyport.Access
	named  int              // customers in it
	same   map[[32]byte]int // accesses without an id, by what they say: how many came so far

	files, read, fresh, known, other, bad, nameless int
}

// file reads one file. What is wrong with the file as a whole is an error, what is wrong with a line is told and counted.
func (i *importer) file(ctx context.Context, name string) (err error) {
	in, err := logs.Open(name, i.m.Stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	shown := name
	if name == "-" {
		shown = "standard input"
	}
	var r io.Reader = in
	if i.format = i.o.format; i.format == "" {
		if i.format, r, err = logs.Recognise(in); err != nil {
			return fmt.Errorf("%s: %w", shown, err)
		}
	}
	i.files++
	last := 0
	bad := func(line int, what string) error {
		i.bad++
		last = line
		problem := fmt.Sprintf("%s:%d: %s", shown, line, what)
		if i.o.strict {
			return errors.New(problem)
		}
		_, err := fmt.Fprintln(i.m.Stderr, problem)
		return err
	}
	use := func(a *sallyport.Access) error { return i.take(ctx, a) }
	switch i.format {
	case logs.FormatOCSF:
		var other int
		other, err = logs.OCSF(r, use, bad)
		i.other += other
	case logs.FormatCEF:
		var other int
		other, err = logs.CEF(r, use, bad)
		i.other += other
	case logs.FormatCSV, logs.FormatJSON:
		log := &logs.AuditLog{Source: i.o.source, Zone: i.zone, Use: use, Bad: bad, Staff: i.whose}
		if i.format == logs.FormatCSV {
			err = log.CSV(r)
		} else {
			err = log.JSON(r)
		}
		i.other += log.Other
	default:
		return bad(1, "the format is none that is known; expected --format "+strings.Join(logs.LogFormats(), ", "))
	}
	if err != nil && unpacking(err) { // what was read before counts
		err = bad(last+1, "the file breaks off: "+err.Error())
	}
	return errors.Join(err, i.flush(ctx))
}

// unpacking says whether a packed file is broken, which is no reason not to read the others.
func unpacking(err error) bool {
	text := err.Error()
	return errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(text, "gzip: ") || strings.Contains(text, "flate: ") || strings.Contains(text, "zstd")
}

func (i *importer) whose(login string) sallyport.Staff {
	if who, ok := i.logins[login]; ok {
		return who
	}
	return sallyport.UnknownLogin(login)
}

// take adds one access to the part. One without an id gets one of what it says and how often that came, so that the same file makes the same.
func (i *importer) take(ctx context.Context, a *sallyport.Access) error {
	i.read++
	one := *a
	if one.UID == "" {
		i.nameless++
		sum := sha256.Sum256([]byte(fmt.Sprintf("%+v", one)))
		i.same[sum]++
		one.UID = "sha:" + hex.EncodeToString(sum[:16]) + "." + strconv.Itoa(i.same[sum])
	}
	one.Subjects, one.Columns, one.Reached, one.Powers = slices.Clone(a.Subjects), slices.Clone(a.Columns), slices.Clone(a.Reached), slices.Clone(a.Powers)
	i.named += len(one.Subjects) + len(one.Reached)
	if i.part = append(i.part, one); len(i.part) < mostInPart && i.named < mostNamed {
		return nil
	}
	return i.flush(ctx)
}

// A part is well below what serve takes at a time, however many customers its accesses name.
const (
	mostInPart = 8_000  // each part is a log-in, which is meant to be slow
	mostNamed  = 50_000 // customers
)

func (i *importer) flush(ctx context.Context) error {
	if len(i.part) == 0 {
		return nil
	}
	t, err := i.c.ImportAccesses(ctx, api.ImportPart{Import: i.id, Format: i.format, Accesses: i.part})
	i.part, i.named = i.part[:0], 0
	i.fresh, i.known = i.fresh+t.New, i.known+t.Known
	return err
}

func (i *importer) report(asJSON bool) error {
	if asJSON {
		return printJSON(i.m.Stdout, map[string]any{
			"import": i.id, "files": i.files, "read": i.read, "imported": i.fresh, "known": i.known, "other_lines": i.other, "without_id": i.nameless, "bad_lines": i.bad,
		})
	}
	return printLine(i.m.Stdout, "%d accesses imported, %d were there already; %d other lines, %d lines that cannot be read.", i.fresh, i.known, i.other, i.bad)
}
