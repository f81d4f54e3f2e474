package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/cases"
	"sallyport/config"
	"sallyport/evidence"
	"sallyport/record"
)

func (m *Main) caseExportCommand() *cobra.Command {
	var reason, proposal, output string
	var whole bool
	cmd := &cobra.Command{
		Use:   "export CASE",
		Short: "Propose an evidence pack of a case, and fetch it once another person approved: one archive that anybody can verify offline",
		Long: `Without --proposal it proposes. Once another person has approved, these two fetch the archive with --proposal for a week, each time on record. It names those involved, and shows
entries of the record that speak of the case's customers alone; others are proven by their bytes. docs/evidence.md says what is in it and how it is verified.`,
		Example: "  sallyport case export 3 --reason 'asked for by the prosecutor' --as s051\n  sallyport case export 3 --proposal k3x7q2mzpa -o case3.zip --as s051",
		Args:    exactly(1, "CASE --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	cmd.Flags().BoolVar(&whole, "whole", false, "propose that entries are shown whole, also where they speak of other customers")
	cmd.Flags().StringVar(&proposal, "proposal", "", "`ID` of the proposal that was approved")
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if proposal == "" {
			if reason == "" {
				return config.Usagef("no reason; expected --reason 'whom it is for', or --proposal ID -o FILE")
			}
			q := api.CaseRequest{Text: reason}
			if whole {
				q.State = api.WholeEntries
			}
			id, err := c.StepCase(cmd.Context(), args[0], cases.DoExport, q)
			if err != nil {
				return err
			}
			return m.proposed(id, f)
		}
		if output == "" {
			return config.Usagef("no file to write; expected -o FILE")
		}
		b, err := c.Pack(cmd.Context(), args[0], proposal)
		if err != nil {
			return err
		}
		if err := writeNew(output, b); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"file": output, "bytes": len(b)})
		}
		return printLine(m.Stdout, "%s has %d bytes. Check it as its recipient will: sallyport case verify %s --key LEDGER.PUB", output, len(b), output)
	})
}

// writeNew writes a file that is not there yet.
func writeNew(name string, b []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("write the pack: %w", err)
	}
	_, err = file.Write(b)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the pack: %w", err)
	}
	return nil
}

func (m *Main) caseVerifyCommand() *cobra.Command {
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify PACK",
		Short: "Verify an evidence pack offline, by nothing but the ledger's public key",
		Long: `Holds every file to its hash, the hashes to the seal, and the seal and each event to the ledger's key, which must come from elsewhere than the pack. verify.py in the pack, with event.py
and pack.py beside it, does the same with Python alone. Exit status 0: it holds; 1: something does not.`,
		Example: "  sallyport case verify case3.zip --key ledger.pub",
		Args:    exactly(1, "PACK --key FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if key == "" {
				return config.Usagef("no key; expected --key NAME+HASH+KEY, or a file with it")
			}
			public, err := keyOrFile(key)
			if err != nil {
				return err
			}
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("read the pack: %w", err)
			}
			defer file.Close()
			info, err := file.Stat()
			if err != nil {
				return fmt.Errorf("read the pack: %w", err)
			}
			files, err := evidence.Read(file, info.Size())
			if err != nil {
				return err
			}
			return m.printVerified(evidence.Verify(files, public, sealEvent), asJSON)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the ledger's public key, or a `FILE` with it, from elsewhere than the pack")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (m *Main) printVerified(f *evidence.Found, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		fmt.Fprintln(m.Stdout, string(text))
	} else {
		fmt.Fprintf(m.Stdout, "Case %d: %d files, %d entries stand in the ledger, of %d it is proven what they say.\n", f.Case, f.Files, f.Proven, f.Shown)
		for _, what := range f.Problems {
			fmt.Fprintln(m.Stdout, "NOT PROVEN:", what)
		}
		fmt.Fprintln(m.Stdout, "Not checked: whether the ledger's owner kept another history as well; a checkpoint kept elsewhere, or a witness, says that.")
	}
	if len(f.Problems) > 0 {
		return ErrFound
	}
	return nil
}

// sealEvent reads what a seal says.
func sealEvent(text []byte) (kind, details, do string, n uint64, err error) {
	e, err := record.Decode(text)
	if err != nil || e.Order == nil || e.Order.Case == nil {
		return "", "", "", 0, errors.Join(errors.New("it is no entry about a case"), err)
	}
	return string(e.Kind), e.Order.Details, e.Order.Case.Do, e.Order.Case.Case, nil
}
