package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/program"
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
		documents, err := documentsAt(args)
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
				return errFound
			}
			return err
		})
	}
	return cmd
}

// drift holds documents to policies, and both to the record.
func (r *programRecord) drift(ctx context.Context, q *api.ReportQuestion) (*program.Drift, error) {
	docs, err := documentsOf(q)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, usagef("there is no document to hold to the record; name one, or put it into console.documents")
	}
	policies, err := r.enforcing(ctx, q.Days)
	if err != nil {
		return nil, err
	}
	return program.FindDrift(docs, policies, r.members(), r.book.Read), nil
}

// documentsAt are written policies as they are sent, by the names of their files.
func documentsAt(paths []string) (map[string]string, error) {
	out := map[string]string{}
	for _, path := range paths {
		text, err := readSmall(path)
		if err != nil {
			return nil, err
		}
		if _, twice := out[filepath.Base(path)]; twice {
			return nil, usagef("two documents are called %s: policies could name either", filepath.Base(path))
		}
		out[filepath.Base(path)] = string(text)
	}
	return out, nil
}

// documentsOf are those of a question.
func documentsOf(q *api.ReportQuestion) (docs []*program.Document, err error) {
	for _, name := range slices.Sorted(maps.Keys(q.Documents)) {
		d, err := program.ReadDocument(name, []byte(q.Documents[name]))
		if err != nil {
			return nil, &usageError{err: err}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// readDocuments reads written policies.
func readDocuments(paths []string) (docs []*program.Document, err error) {
	for _, path := range paths {
		text, err := readSmall(path)
		if err != nil {
			return nil, err
		}
		d, err := program.ReadDocument(filepath.Base(path), text)
		if err != nil {
			return nil, &usageError{err: err}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// enforcing are today's policies, with what the record has against each.
func (r *programRecord) enforcing(ctx context.Context, days int) (out []program.Enforcing, err error) {
	report, err := r.config.replayed(ctx, replayed{Before: r.set, After: r.set, Access: r.access, Control: r.control, From: r.now.AddDate(0, 0, -days), Until: r.now, Names: r.names})
	if err != nil {
		return nil, err
	}
	deeds := program.NewDeeds()
	if err := r.accesses(ctx, deeds.Access); err != nil {
		return nil, err
	}
	for _, p := range r.set.All() {
		e := program.Enforcing{ID: p.Policy, Document: p.Document, Place: p.Place, Bites: deeds.Of(p.Policy)}
		for _, x := range report.Refused {
			// What would have waited or gone slower may have: that it left contradicts nothing.
			if against := x.What == "token" || x.What == "mask" || x.What == "statement" || x.What == "suspend"; against && decidedBy(x.Policy, p.Policy) {
				e.Against += x.Accesses
				e.People = max(e.People, x.People)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

func decidedBy(ids, id string) bool {
	for one := range strings.SplitSeq(ids, ",") {
		if one == id {
			return true
		}
	}
	return false
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
			fmt.Fprintf(w, "  %s: %s\n", printable(p.Where), printable(p.What))
		}
	}
	if len(d.Contradicted) > 0 {
		fmt.Fprintln(w, "\nThe record contradicts:")
	}
	for _, c := range d.Contradicted {
		fmt.Fprintf(w, "  %s: %s of %s left that %s forbids\n", printable(c.Where), several(int64(c.Accesses), "access"), several(int64(c.People), "person"), c.Policy)
	}
	for _, v := range d.Documents {
		fmt.Fprintf(w, "\n%s, version %.12s: %d of %d have acknowledged it\n", printable(v.Name), v.Version, v.Have, v.Readers)
	}
	for _, u := range d.Unread {
		fmt.Fprintf(w, "  %s: not %s\n", printable(u.Document), someStaff(u.Staff))
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
