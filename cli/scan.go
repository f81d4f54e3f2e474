package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"sallyport"
	"sallyport/catalog"
	"sallyport/config"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/record"
	"sallyport/scan"
	"sallyport/serve"
	"sallyport/token"
)

// scanFlags are what `sallyport scan` is asked.
type scanFlags struct {
	config, data, keyFile, only string
	shareFiles                  []string
	getenv                      func(string) string
	dates, count, asJSON        bool
	control                     controlFlags // of the serve that has the data folder open
}

func (m *Main) scanCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan [FILE|DIR|-]...",
		Short: "Find tokens and plain personal data in files, and say from which column tokens come",
		Long: `Looks through files, folders and standard input (-) for tokens, and for what looks like personal data in plain: e-mail
addresses, telephone numbers with their country code, IBANs and card numbers with right check digits. Files that gzip or zstd
compressed, and UTF-16 with a byte-order mark, are read as what is in them. Links are followed only where they are named.

Tokens are recognised by their form. With --config it also knows reference numbers and the domain of e-mail tokens, and names the
columns that a token may come from, and finds integers, uuids, names, dates and numbers without a country code in fields that are named
like a protected column; with --data and --key-file it opens tokens and names the column that one does come from. Values
are never printed. With canary.domains or canary.numbers in it, contact details of customers who do not exist are told. Telephone and reference numbers, whose tokens any keys open, are named by form only.

Exit status 0: nothing was found; 1: something was; 2: wrong usage; 3: something could not be read.`,
		Example: `  sallyport scan export.csv
  sallyport scan --config sallyport.yaml --data ./data --key-file ./key.txt ~/Downloads /var/log/app
  pg_dump support | sallyport scan --only plain -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return config.Usagef("nothing to look through; expected 'sallyport scan FILE', a folder, or - for standard input")
			}
			s, err := f.scanner(cmd.Context())
			if err != nil {
				return err
			}
			p := &probing{m: m, flags: &f, scanner: s}
			return p.run(cmd.Context(), args)
		},
	}
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `FILE`")
	cmd.Flags().StringVar(&f.data, "data", "", "data `FOLDER` with the keys")
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "`FILE` that unwraps the keys")
	cmd.Flags().StringArrayVar(&f.shareFiles, "share-file", nil, "`FILE` with a share of the keys, for each that it takes")
	f.getenv, f.control.m = m.Getenv, m
	f.control.logInFlags(cmd.Flags())
	cmd.Flags().StringVar(&f.only, "only", "", "look for `KIND` alone: tokens or plain")
	cmd.Flags().BoolVar(&f.dates, "dates", false, "report dates that look like tokens without having been opened: any of the years 2200 to 9699")
	cmd.Flags().BoolVar(&f.count, "count", false, "print how many were found of each kind in each file, not where")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, one object a line")
	return cmd
}

// scanner makes what looks through the files. It never makes keys.
func (f *scanFlags) scanner(ctx context.Context) (*scan.Scanner, error) {
	o := scan.Options{Dates: f.dates}
	switch f.only {
	case "":
	case "tokens":
		o.Only = scan.Token
	case "plain":
		o.Only = scan.Plain
	default:
		return nil, config.Usagef("--only %q; expected tokens or plain", f.only)
	}
	settings := &config.Config{}
	if f.config != "" {
		var err error
		if settings, err = config.Load(f.config); err != nil {
			return nil, err
		}
	}
	if f.data == "" && f.keyFile != "" || f.data != "" && (f.config == "" || f.keyFile == "" && settings.NeedsKeyFile()) {
		return nil, config.Usagef("to open tokens, expected all of --config, --data and --key-file")
	}
	secrets, wipe, err := f.secrets(ctx, settings)
	if err != nil {
		return nil, err
	}
	defer wipe()
	// What leaked may be older than the oldest key.
	if o.Ring, err = token.NewKeyedRing(secrets, token.Settings{EmailDomain: settings.Protect.EmailDomain, EveryEpoch: true}); err != nil {
		return nil, err
	}
	o.Opens = f.data != ""
	if given := settings.Canary.Settings(); len(given.Domains)+len(given.Numbers) > 0 {
		o.Canary = func(value []byte, what string) bool { return given.Listens(sallyport.Scheme(what), string(value)) }
	}
	for _, name := range slices.Sorted(maps.Keys(settings.Protect.Columns)) {
		column, settings := settings.Protect.Columns[name], token.Spec{}
		settings.Column, _ = catalog.ParseColumn(name)
		settings.Scheme, settings.Group, settings.Prefixes, settings.NextPrefixes = column.Scheme, column.Group, column.Prefixes, column.NextPrefixes
		settings.Region, settings.Canonical, settings.Shred = column.Region, column.Canonical, column.Shred
		o.Columns = append(o.Columns, settings)
	}
	return scan.New(o)
}

// secrets are the keys, or without them one of no meaning: forms do not depend on it.
func (f *scanFlags) secrets(ctx context.Context, settings *config.Config) (secrets token.Keys, wipe func(), err error) {
	if f.data == "" {
		b := make([]byte, token.SecretSize)
		if _, err := rand.Read(b); err != nil {
			return token.Keys{}, nil, fmt.Errorf("read randomness: %w", err)
		}
		root, err := token.NewSecret(b)
		return token.OneKey(root), root.Wipe, err
	}
	if _, err := keys.Look(f.data); err != nil {
		return token.Keys{}, nil, config.Usagef("open keys: %w in %s", err, f.data)
	}
	if err := keys.Harden(); err != nil {
		return token.Keys{}, nil, err
	}
	assembly, err := f.assemble(ctx, settings)
	if err != nil {
		return token.Keys{}, nil, err
	}
	opened, err := serve.OpenKeys(settings, ctx, serve.Keyring{Data: f.data, KeyFile: f.keyFile, Getenv: f.getenv, Assembly: assembly, Reads: true}, false)
	if err != nil {
		return token.Keys{}, nil, err
	}
	return opened.Keys(), opened.Close, nil
}

// assemble brings the shares of a quorum together. Which they are is on record before: by a serve that has the data folder open, if somebody logs in
// to it, else directly.
func (f *scanFlags) assemble(ctx context.Context, config *config.Config) (assembly *keys.Assembly, err error) {
	switch {
	case config.Keys.Provider != keys.QuorumProvider:
		return serve.OpenOffline(config, f.data, f.shareFiles, func(string) error { return nil })
	case f.control.as != "":
		f.control.data = f.data
		client, err := f.control.client()
		if err != nil {
			return nil, err
		}
		defer client.Close()
		return serve.OpenOffline(config, f.data, f.shareFiles, func(share string) error { return client.Opening(ctx, share, "scan") })
	}
	err = serve.RecordOffline(config, ctx, serve.Keyring{Data: f.data, KeyFile: f.keyFile, Getenv: f.getenv}, false, func(_ *control.State, give func(*sallyport.Event) error) (err error) {
		assembly, err = serve.OpenOffline(config, f.data, f.shareFiles, func(share string) error {
			return give(&sallyport.Event{Kind: sallyport.Unsealing, Note: "for scan", Order: &sallyport.Order{Action: "unseal", Details: share}})
		})
		return err
	})
	if errors.Is(err, record.ErrInUse) {
		return nil, fmt.Errorf("%w; beside a serve log in to it, which puts the shares on record: --as ID", err)
	}
	return assembly, err
}

// probing is one run over files.
type probing struct {
	m       *Main
	flags   *scanFlags
	scanner *scan.Scanner

	bars        *bars
	read, total int64 // bytes of files, as they are stored

	files, with int
	found       map[scan.Kind]int64
	failed      int
	counts      map[string]int64 // of the present file, by what
}

func (p *probing) run(ctx context.Context, paths []string) error {
	p.found = map[scan.Kind]int64{}
	out := bufio.NewWriter(p.m.Stdout)
	p.bars = newBars(p.progressTo())
	defer p.bars.end()
	for _, path := range paths {
		p.total += sizeOf(path)
	}
	for _, path := range paths {
		if path == "-" {
			if err := p.stream(ctx, out, "-", p.m.Stdin); err != nil {
				return err
			}
			continue
		}
		if err := p.walk(ctx, out, path); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	tokens, plain := p.found[scan.Token], p.found[scan.Plain]
	if !p.flags.asJSON {
		fmt.Fprintf(p.m.Stderr, "%s and %s in %d of %s\n", serve.Several(tokens, "token"), serve.Several(plain, "plain value"), p.with, serve.Several(int64(p.files), "file"))
	}
	switch {
	case p.failed > 0:
		return fmt.Errorf("scan: %s could not be read to the end, so they may hold more", serve.Several(int64(p.failed), "file"))
	case tokens+plain > 0:
		return ErrFound
	}
	return nil
}

// progressTo is where a bar may be shown: not on the terminal on which the findings appear.
func (p *probing) progressTo() io.Writer {
	if f, ok := p.m.Stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return io.Discard
	}
	return p.m.Stderr
}

// sizeOf is how many bytes there are to read, as far as that can be told beforehand.
func sizeOf(root string) (total int64) {
	_ = filepath.WalkDir(inside(root), func(_ string, entry fs.DirEntry, err error) error { // what cannot be read is told later
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// inside is a folder that a link leads to, where a link is named.
func inside(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return strings.TrimSuffix(path, string(filepath.Separator)) + string(filepath.Separator)
	}
	return path
}

// Read counts what is read of a file.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.p.read += int64(n)
	c.p.bars.set("bytes", c.p.read, max(c.p.read, c.p.total))
	return n, err
}

// counted is a file whose bytes are counted.
type counted struct {
	io.Reader
	p *probing
}

// walk looks through a file or a folder. What cannot be read is told, and the rest is looked through.
func (p *probing) walk(ctx context.Context, out *bufio.Writer, root string) error {
	return filepath.WalkDir(inside(root), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			p.fail(path, err)
			return nil
		case entry.IsDir() || !entry.Type().IsRegular() && path != root:
			return nil
		}
		file, err := os.Open(path) //nolint:gosec // who exchanges it meanwhile has another file looked through; nothing is written
		if err != nil {
			p.fail(path, err)
			return nil
		}
		defer file.Close()
		return p.stream(ctx, out, path, &counted{file, p})
	})
}

func (p *probing) fail(path string, err error) {
	p.failed++
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	fmt.Fprintf(p.m.Stderr, "sallyport: %s: %v\n", path, err)
}

// stream looks through one file. The error is one of writing; one of reading is told.
func (p *probing) stream(ctx context.Context, out *bufio.Writer, name string, r io.Reader) error {
	p.files++
	p.counts = map[string]int64{}
	content, release, err := unpacked(r)
	if err != nil {
		p.fail(name, err)
		return nil
	}
	defer release()
	var writing error
	err = p.scanner.Scan(content, func(f scan.Finding) error {
		p.found[f.Kind]++
		if writing = p.print(out, name, f); writing == nil {
			writing = ctx.Err()
		}
		return writing
	})
	if writing != nil {
		return fmt.Errorf("write output: %w", writing)
	}
	if err != nil {
		p.fail(name, err)
	}
	if len(p.counts) > 0 {
		p.with++
	}
	return p.printCounts(out, name)
}

// print writes one finding, or counts it.
func (p *probing) print(out *bufio.Writer, name string, f scan.Finding) error {
	what := describeFinding(f)
	p.counts[what]++
	switch {
	case p.flags.count:
		return nil
	case p.flags.asJSON:
		return printJSON(out, struct {
			File string `json:"file"`
			scan.Finding
		}{name, f})
	}
	_, err := fmt.Fprintf(out, "%s:%d:%d: %s\n", name, f.Line, f.Column, what)
	return err
}

func (p *probing) printCounts(out *bufio.Writer, name string) error {
	if !p.flags.count {
		return nil
	}
	for _, what := range slices.Sorted(maps.Keys(p.counts)) {
		var err error
		if p.flags.asJSON {
			err = printJSON(out, map[string]any{"file": name, "what": what, "count": p.counts[what]})
		} else {
			_, err = fmt.Fprintf(out, "%s: %d × %s\n", name, p.counts[what], what)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describeFinding is a finding as a sentence, without its place.
func describeFinding(f scan.Finding) string {
	if f.Canary {
		return "contact detail of a customer who does not exist: 'sallyport canary who' names who was shown it"
	}
	if f.Kind == scan.Plain {
		out := "plain " + map[string]string{"email": "e-mail address", "phone": "telephone number", "iban": "IBAN", "card": "card number", "name": "name", "date": "date"}[f.What]
		if f.Named {
			out += ", in a field named like " + strings.Join(f.Columns, ", ")
		}
		return out
	}
	if f.Named {
		return "token or value of the scheme " + f.What + ", in a field named like " + strings.Join(f.Columns, ", ")
	}
	out := "token of the scheme " + f.What
	if f.Epoch > 0 {
		out += fmt.Sprintf(", epoch %d", f.Epoch)
	}
	switch columns := strings.Join(f.Columns, ", "); {
	case f.Opened:
		return out + ", of " + columns
	case f.Foreign:
		return out + ", made with keys that are not here, or altered"
	case columns != "":
		return out + ", by its form of " + columns
	}
	return out
}

// mostWindow bounds what a zstd stream may ask to be kept in memory.
const mostWindow = 128 << 20

// unpacked is the text of a stream: what is compressed is read as what is in it, and UTF-16 that says so as UTF-8.
func unpacked(r io.Reader) (content io.Reader, release func(), err error) {
	b := bufio.NewReaderSize(r, 64<<10)
	content, release = b, func() {}
	head, _ := b.Peek(4) // shorter files are none of these
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		zipped, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, fmt.Errorf("read gzip: %w", err)
		}
		content, release = zipped, func() { _ = zipped.Close() } // what is wrong with it, reading has told
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		zipped, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("read zstd: %w", err)
		}
		content, release = zipped, zipped.Close
	}
	text := bufio.NewReaderSize(content, 64<<10)
	if mark, _ := text.Peek(2); bytes.Equal(mark, []byte{0xff, 0xfe}) || bytes.Equal(mark, []byte{0xfe, 0xff}) {
		return transform.NewReader(text, unicode.BOMOverride(transform.Nop)), release, nil
	}
	return text, release, nil
}
