package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/ledger"
)

func (m *Main) ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ledger",
		Short:   "Prove that nobody changed the record",
		Example: "  sallyport ledger verify ./copy --key \"$(cat ledger.pub)\" --checkpoint checkpoint.yesterday",
		Args:    func(cmd *cobra.Command, args []string) error { return subcommand(cmd, args) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.ledgerVerifyCommand(), m.ledgerProveCommand(), m.ledgerEraseCommand())
	return cmd
}

// subcommand says which there are where one is asked for that is not.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return config.Usagef("no command %q; expected %s (see '%s --help')", args[0], config.OneOf(args[0], names), cmd.CommandPath())
}

func (m *Main) ledgerVerifyCommand() *cobra.Command {
	var key string
	var checkpoints, witnesses []string
	var asJSON, complete bool
	cmd := &cobra.Command{
		Use:   "verify [FOLDER]",
		Short: "Look on a copy of the data folder for any entry that was changed, removed, inserted, reordered or replayed",
		Long: `Reads a copy of the data folder (sallyport backup makes one), writes nothing and needs no key that opens entries. FOLDER is
sallyport-data where none is given. It holds every entry to the hash chain and to its leaf in the ledger, every file of the ledger to the leaves,
and the ledger to its signed checkpoint and to those that were kept elsewhere. It prints what it did not check. Without a checkpoint
kept elsewhere (a file, or a witness's cosignature), whoever holds the ledger's key could have made all of it anew.

Exit status: 0 nothing found, 1 something found, 2 wrong usage, 3 something could not be read.`,
		Example: `  sallyport ledger verify ./copy --key "$(cat ledger.pub)" --checkpoint /mnt/elsewhere/checkpoint
  sallyport ledger verify ./copy --witness "$(cat witness.pub)" --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return config.Usagef("%d arguments; expected 'sallyport ledger verify [FOLDER]'", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			folder := defaultData
			if len(args) == 1 {
				folder = args[0]
			}
			out, err := outside(key, checkpoints, witnesses)
			if err != nil {
				return err
			}
			out.Complete = complete
			report, err := ledger.Verify(os.DirFS(folder), out)
			if err != nil {
				return fmt.Errorf("verify %s: %w", folder, err)
			}
			if asJSON {
				err = printJSON(m.Stdout, report)
			} else {
				report.Print(m.Stdout)
			}
			if err == nil && report.Found > 0 {
				return ErrFound
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "the ledger's public `KEY` or a file with it, kept elsewhere than the copy (default: that of the copy)")
	flags.StringArrayVar(&checkpoints, "checkpoint", nil, "`FILE` with a checkpoint that was kept elsewhere; may be repeated")
	flags.StringArrayVar(&witnesses, "witness", nil, "public `KEY` of a witness who must have cosigned, or a file with it; may be repeated")
	flags.BoolVar(&complete, "complete", false, "the copy is a backup, or of a serve that was stopped in order: every entry must be in the ledger")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// outside reads what a verifier knows besides the copy.
func outside(key string, checkpoints, witnesses []string) (ledger.Outside, error) {
	out := ledger.Outside{Checkpoints: map[string][]byte{}}
	var err error
	if key != "" {
		if out.Key, err = keyOrFile(key); err != nil {
			return out, err
		}
	}
	for _, w := range witnesses {
		k, err := keyOrFile(w)
		if err != nil {
			return out, err
		}
		out.Witnesses = append(out.Witnesses, k)
	}
	for _, path := range checkpoints {
		b, err := os.ReadFile(path)
		if err != nil {
			return out, fmt.Errorf("read checkpoint: %w", err)
		}
		out.Checkpoints[path] = b
	}
	return out, nil
}

// keyOrFile is a public key, or the first line of a file.
func keyOrFile(text string) (string, error) {
	if strings.Count(text, "+") >= 2 && !strings.ContainsRune(text, os.PathSeparator) {
		return text, nil
	}
	b, err := os.ReadFile(text)
	if err != nil {
		if strings.Count(text, "+") >= 2 { // a key's name and its digits may have slashes
			return text, nil
		}
		return "", config.Usagef("no key and no file %q; expected NAME+HASH+KEY, or a file with it", text)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if strings.Count(line, "+") < 2 {
		return "", config.Usagef("%s holds no public key; expected NAME+HASH+KEY in its first line", text)
	}
	return line, nil
}

func (m *Main) ledgerProveCommand() *cobra.Command {
	var data, output string
	cmd := &cobra.Command{
		Use:   "prove EVENT",
		Short: "Write a file that proves one entry of the record to somebody who has nothing but the ledger's public key",
		Long: `EVENT is access:SEQ or control:SEQ. The file holds this entry's salt and body, its inclusion proof and a signed checkpoint, and tells
nothing of any other entry. docs/verify/verify.py, of 100 lines, checks it with Python's standard library alone, and
event.py beside it shows what the entry says. A body that is encrypted stays so.`,
		Example: `  sallyport ledger prove access:4711 --data ./copy -o proof.json
  python3 docs/verify/verify.py proof.json --key "$(cat ledger.pub)"`,
		Args: exactly(1, "EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stream, seq, err := ledger.ParseEvent(args[0])
			if err != nil {
				return &config.UsageError{Err: err}
			}
			proof, err := ledger.Prove(cmd.Context(), os.DirFS(data), stream, seq)
			if err != nil {
				return fmt.Errorf("prove %s: %w", args[0], err)
			}
			if output == "" {
				return printJSON(m.Stdout, proof)
			}
			b, err := json.MarshalIndent(proof, "", "  ")
			if err != nil {
				return err
			}
			if err := os.WriteFile(output, append(b, '\n'), 0o600); err != nil {
				return fmt.Errorf("write proof: %w", err)
			}
			return printLine(m.Stdout, "%s stands in the ledger as leaf %d; %s proves it to whoever has the key\n  %s", args[0], proof.Leaf, filepath.Base(output), proof.Key)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", defaultData, "data `FOLDER`, or a copy of it")
	flags.StringVarP(&output, "output", "o", "", "`FILE` to write (default: standard output)")
	flags.Bool("json", true, "print JSON, as it always does without -o")
	return cmd
}
