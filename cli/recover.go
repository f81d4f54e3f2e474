package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/config"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/serve"
	"sallyport/token"
)

func (m *Main) keysRecoverCommand() *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Turn the tokens of a dump back into values, while no serve runs: for the day on which Sallyport is given up",
		Long: `Reads the text of pg_dump on standard input and writes it to standard output with the values in the place of the tokens of the
configured columns. What was shredded stays as it is. It takes what opens the keys, all shares of a quorum included; that it was done, and with which shares, stands in
the record of the data folder before the first value is written. What it writes is the customers' data: mind where it goes.`,
		Example: `  pg_dump -h 127.0.0.1 -U postgres support | sallyport keys recover --config sallyport.yaml --data /var/lib/sallyport --share-file a.share --share-file b.share --reason 'contract ended' | psql plain`,
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return m.keysRecover(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration `FILE`")
	flags.StringVar(&o.data, "data", "sallyport-data", "data `FOLDER`")
	flags.StringVar(&o.keyFile, "key-file", "", "`FILE` with the key that opens the keys")
	flags.StringArrayVar(&o.shareFiles, "share-file", nil, "`FILE` with a share of the keys, for each that it takes")
	flags.StringVar(&o.reason, "reason", "", "why, as `TEXT` for the record")
	flags.BoolVar(&o.json, "json", false, "print what was done as JSON, to standard error")
	return cmd
}

type recoverOptions struct {
	config, data, keyFile, reason string
	shareFiles                    []string
	json                          bool
}

func (m *Main) keysRecover(ctx context.Context, o recoverOptions) error {
	if o.config == "" {
		return config.Usagef("no configuration; expected --config sallyport.yaml")
	}
	settings, err := config.Load(o.config)
	switch {
	case err != nil:
		return err
	case !settings.Protects():
		return config.Usagef("%s protects no columns; expected some under protect.columns", o.config)
	case o.keyFile == "" && settings.NeedsKeyFile():
		return config.Usagef("no key file; expected --key-file FILE")
	case strings.TrimSpace(o.reason) == "":
		return config.Usagef("no reason; expected --reason 'why the values are needed without Sallyport'")
	}
	if err := keys.Harden(); err != nil {
		return err
	}
	var r recovery
	where := serve.Keyring{Data: o.data, KeyFile: o.keyFile, Getenv: m.Getenv}
	err = serve.RecordOffline(settings, ctx, where, false, func(state *control.State, give func(*sallyport.Event) error) error {
		where.Known = state.Ring()
		opened, err := openForRecovery(settings, ctx, o, where, give)
		if err != nil {
			return err
		}
		defer opened.Close()
		if err := serve.DestroyListed(opened, state); err != nil {
			return err
		}
		ring, err := settings.Ring(opened.Keys())
		if err != nil {
			return err
		}
		columns, err := settings.Codecs(ring)
		if err != nil {
			return err
		}
		if err := serve.BetweenKeys(opened, state, columns); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		r.state, r.config, r.codecs = state, settings, map[sallyport.Column]*token.Codec{}
		for _, c := range columns {
			r.codecs[c.Column] = c.Codec
		}
		// Before the first value leaves.
		if err := give(&sallyport.Event{Kind: sallyport.Recovering, Order: &sallyport.Order{Action: "keys_recover", Reason: o.reason}}); err != nil {
			return err
		}
		return r.run(ctx, bufio.NewReaderSize(m.Stdin, 1<<20), m.Stdout)
	})
	if err != nil {
		return err
	}
	return m.printRecovered(r, o.json)
}

// openForRecovery opens the keys; each share is on record before.
func openForRecovery(c *config.Config, ctx context.Context, o recoverOptions, where serve.Keyring, give func(*sallyport.Event) error) (*keys.Keyring, error) {
	var err error
	where.Assembly, err = serve.OpenOffline(c, o.data, o.shareFiles, func(share string) error {
		return give(&sallyport.Event{Kind: sallyport.Unsealing, Note: "for keys recover", Order: &sallyport.Order{Action: "unseal", Details: share, Reason: o.reason}})
	})
	if err != nil {
		return nil, err
	}
	where.Reads = true
	return serve.OpenKeys(c, ctx, where, false)
}

// printRecovered says on standard error what became of the tokens, since the dump is on standard output.
func (m *Main) printRecovered(r recovery, asJSON bool) error {
	left := slices.Sorted(maps.Keys(r.left))
	if asJSON {
		if err := printJSON(m.Stderr, map[string]any{"values": r.values, "plain": r.plain, "unreadable": r.unreadable, "shredded": r.shredded, "left": left}); err != nil {
			return err
		}
		return r.found()
	}
	if len(left) > 0 {
		if err := printLine(m.Stderr, leftAsTheyAre, strings.Join(left, ", ")); err != nil {
			return err
		}
	}
	if err := printLine(m.Stderr, "%d values are back; %d stood there in plain; %d tokens could not be read and are as they were, as are %d of customers who were shredded.",
		r.values, r.plain, r.unreadable, r.shredded); err != nil {
		return err
	}
	return r.found()
}

// found is the error that gives the exit status.
func (r *recovery) found() error {
	if r.unreadable > 0 || r.values == 0 {
		return ErrFound
	}
	return nil
}

// recovery turns the rows of a dump back. Everything else of the dump passes as it is.
type recovery struct {
	config                              *config.Config
	state                               *control.State // who was shredded
	codecs                              map[sallyport.Column]*token.Codec
	turned                              map[string]turnedIn // by table and join group, as far as the dump has said
	left                                map[string]bool     // columns of integers and uuids that were left as they are
	values, plain, unreadable, shredded uint64
}

// copied is a COPY whose rows come.
type copied struct {
	columns  []*token.Codec // nil where a column is not protected
	customer int            // the column with the customer's key, −1: none shows whose a row is
	left     []bool         // columns whose tokens are perhaps of another key, and would become other numbers
	names    []string       // of sallyport.turning: its columns; else nil
}

func (r *recovery) run(ctx context.Context, in *bufio.Reader, out io.Writer) error {
	w := bufio.NewWriterSize(out, 1<<20)
	var table copied
	rows := false
	for ctx.Err() == nil {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the dump: %w", err)
		}
		text := bytes.TrimSuffix(line, []byte("\n"))
		switch {
		case rows && string(text) == `\.`:
			rows = false
		case rows:
			line = append(r.row(text, &table), line[len(text):]...)
		case bytes.HasPrefix(text, []byte("COPY ")):
			table, rows = r.header(string(text))
		}
		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("write the dump: %w", err)
		}
		if err != nil {
			break
		}
	}
	if rows {
		return errors.New("read the dump: it ends in the middle of a table's rows")
	}
	return errors.Join(ctx.Err(), w.Flush())
}

// header reads what pg_dump writes before rows: COPY schema.table (column, …) FROM stdin;.
func (r *recovery) header(text string) (table copied, rows bool) {
	rest, ok := strings.CutSuffix(strings.TrimPrefix(text, "COPY "), ") FROM stdin;")
	name, list, found := strings.Cut(rest, " (")
	if !ok || !found {
		return table, strings.HasSuffix(text, "FROM stdin;")
	}
	at := identifiers(name, '.')
	if len(at) != 2 {
		return table, true
	}
	names := identifiers(list, ',')
	if at[0] == "sallyport" && at[1] == "turning" {
		table.names = names
		return table, true
	}
	table.customer = slices.Index(names, r.config.CustomerColumn(at[0]+"."+at[1]))
	for _, name := range names {
		column := sallyport.Column{Schema: at[0], Table: at[1], Name: name}
		codec := r.codecs[column]
		table.columns, table.left = append(table.columns, codec), append(table.left, codec != nil && !r.tells(column, codec))
	}
	return table, true
}

// identifiers splits names as SQL writes them: in quotes where they are not plain, a quote in them doubled.
func identifiers(text string, separator byte) []string {
	var names []string
	var name strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' && quoted && i+1 < len(text) && text[i+1] == '"':
			name.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			names = append(names, name.String())
			name.Reset()
		case c == ' ' && !quoted:
		default:
			name.WriteByte(c)
		}
	}
	return append(names, name.String())
}

// row turns one row back: fields with tabs between them, as COPY writes text.
func (r *recovery) row(text []byte, table *copied) []byte {
	var out []byte
	fields, columns := bytes.Split(text, []byte("\t")), table.columns
	if table.names != nil {
		r.noteTurned(table.names, fields)
		return append(out, text...)
	}
	var who []byte
	if len(columns) > 0 && table.customer >= 0 && table.customer < len(fields) {
		who = fields[table.customer]
	}
	for i, field := range fields {
		if i > 0 {
			out = append(out, '\t')
		}
		if i >= len(columns) || columns[i] == nil || string(field) == `\N` {
			out = append(out, field...)
			continue
		}
		if r.wasShredded(columns[i], field, who) {
			r.shredded++
			out = append(out, field...)
			continue
		}
		if table.left[i] {
			r.unreadable++
			out = append(out, field...)
			continue
		}
		plain, err := columns[i].Reveal(nil, field)
		switch {
		case err == nil:
			r.values++
			out = appendCopyField(out, plain)
			continue
		case columns[i].IsToken(field):
			r.unreadable++
		default:
			r.plain++
		}
		out = append(out, field...)
	}
	return out
}

// wasShredded tells whether a field is one of a shredded customer's, as a gateway would: by whose row it is, or by the lists of the record.
func (r *recovery) wasShredded(c *token.Codec, field, who []byte) bool {
	if !r.state.Shreds() {
		return false
	}
	digest := c.ListDigest(field)
	switch {
	case who != nil && r.state.BarredText(appendUnescaped(nil, who)), r.state.Dead(digest), c.Destroyed(field):
		return true
	case c.Deterministic() && who != nil: // others may have it, too
		return false
	}
	return r.state.Buried(digest)
}

// appendUnescaped is the inverse of appendCopyField.
func appendUnescaped(dst, field []byte) []byte {
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c == '\\' && i+1 < len(field) {
			i++
			if c = field[i]; c == 'n' {
				c = '\n'
			} else if c == 'r' {
				c = '\r'
			} else if c == 't' {
				c = '\t'
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// appendCopyField escapes what COPY's text format gives a meaning.
func appendCopyField(dst, value []byte) []byte {
	for _, c := range value {
		switch c {
		case '\\':
			dst = append(dst, `\\`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
