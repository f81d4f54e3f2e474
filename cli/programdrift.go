package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
	"sallyport/rulebook"
	"sallyport/serve"
)

func (m *Main) programDriftCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "drift [DOCUMENT.md...]",
		Short: "Say where written policies, what is enforced and what happened part",
		Long: `Lists paragraphs that nothing enforces, paragraphs and policies that do not name each other, policies without a paragraph, paragraphs that the record
contradicts (accesses of the last days that a policy, as it stands today, forbids), and who has not acknowledged which version. A paragraph begins with its number, 2.7, and ends
with (enforced by: POLICY, POLICY) or (seen to by: WHO); a policy names its paragraph by @document("file.md#2.7"). Without a document: those of console.documents or, where the program's own policies hold, theirs.
` + howReports + `

Exit status 0: nothing parts; 1: something does; 2: a file cannot be used.`,
		Example: "  sallyport program drift access-policy.md --config sallyport.yaml --data /tmp/copy --key-file key.txt",
		Args:    cobra.ArbitraryArgs,
	}
	f.add(m, cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		documents, err := config.DocumentsAt(args)
		if err != nil {
			return err
		}
		q := &api.ReportQuestion{Report: "drift", Documents: documents}
		return m.programReport(cmd, &f, q, func(found json.RawMessage) error {
			drift, err := readReport[*program.Drift](found)
			switch {
			case err != nil:
			case f.json:
				err = printJSON(m.Stdout, drift)
			default:
				err = m.printDrift(drift)
			}
			if err == nil && drift.Any() {
				return ErrFound
			}
			return err
		})
	}
	return cmd
}

// readDocuments reads written policies.
func readDocuments(paths []string) (docs []*program.Document, err error) {
	for _, path := range paths {
		text, err := config.ReadSmall(path)
		if err != nil {
			return nil, err
		}
		d, err := program.ReadDocument(filepath.Base(path), text)
		if err != nil {
			return nil, &config.UsageError{Err: err}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

func (m *Main) printDrift(d *program.Drift) error {
	w := m.Stdout
	fmt.Fprintf(w, "%d paragraphs: %d enforced by policies, %d seen to by people, %d by nobody\n", d.Paragraphs, d.Enforced, d.ByPeople, len(d.Unenforced))
	for _, part := range []struct {
		head string
		list []program.Place
	}{{"Nothing enforces", d.Unenforced}, {"Do not name each other", d.Broken}, {"Policies without a paragraph", d.Unwritten}} {
		if len(part.list) > 0 {
			fmt.Fprintf(w, "\n%s:\n", part.head)
		}
		for _, p := range part.list {
			fmt.Fprintf(w, "  %s: %s\n", serve.Printable(p.Where), serve.Printable(p.What))
		}
	}
	if len(d.Contradicted) > 0 {
		fmt.Fprintln(w, "\nThe record contradicts:")
	}
	for _, c := range d.Contradicted {
		fmt.Fprintf(w, "  %s: %s of %s left that %s forbids\n", serve.Printable(c.Where), serve.Several(int64(c.Accesses), "access"), serve.Several(int64(c.People), "person"), c.Policy)
	}
	for _, v := range d.Documents {
		fmt.Fprintf(w, "\n%s, version %.12s: %d of %d have acknowledged it\n", serve.Printable(v.Name), v.Version, v.Have, v.Readers)
	}
	for _, u := range d.Unread {
		fmt.Fprintf(w, "  %s: not %s\n", serve.Printable(u.Document), rulebook.SomeStaff(u.Staff))
	}
	if !d.Any() {
		return printLine(w, "Nothing parts.")
	}
	return nil
}

func (m *Main) programAcknowledgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "acknowledge DOCUMENT.md",
		Short:   "Put on record that you have read this version of a written policy",
		Long:    "A version is the file's SHA-256: after a change everybody acknowledges it anew. 'program drift' lists who has not.",
		Example: "  sallyport program acknowledge access-policy.md --as s017",
		Args:    exactly(1, "DOCUMENT.md --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		docs, err := readDocuments(args)
		if err != nil {
			return err
		}
		at, err := c.Acknowledge(cmd.Context(), docs[0].Name, hex.EncodeToString(docs[0].Digest))
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"document": docs[0].Name, "version": hex.EncodeToString(docs[0].Digest), "at": at})
		}
		return printLine(m.Stdout, "On record: %s, version %x, read on %s.", docs[0].Name, docs[0].Digest[:6], at.Format(time.RFC3339))
	})
}
