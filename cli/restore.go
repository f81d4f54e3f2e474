package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/ledger"
)

// restoreOptions are the command line of restore.
type restoreOptions struct {
	data, key              string
	checkpoints, witnesses []string
	json                   bool
}

func (m *Main) restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE|FOLDER",
		Short: "Make a data folder of a backup, and verify it",
		Long: `Writes a new data folder; one that is there already is refused. The backup's files are held to its hashes, and record and ledger are verified, before the folder
gets its name. With --checkpoint, or --witness, kept elsewhere, the backup is held to what was seen of the ledger.

A backup does not pass for the present: where the database's mark, a checkpoint kept elsewhere or a witness is newer, serve refuses it and says what to do. What was
recorded after the backup is lost, and with it budgets used, locks and erasures: two people must accept that (serve --await-agreement, accept-mark).`,
		Example: `  sallyport restore /backup/sallyport-2026-03-01.tar.gz --data /var/lib/sallyport --key ledger.pub --checkpoint /mnt/elsewhere/checkpoint`,
		Args:    exactly(1, "FILE|FOLDER"),
		RunE:    func(_ *cobra.Command, args []string) error { return m.restore(args[0], o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", defaultData, "data `FOLDER` to make")
	flags.StringVar(&o.key, "key", "", "the ledger's public `KEY` or a file with it, kept elsewhere (default: that of the backup)")
	flags.StringArrayVar(&o.checkpoints, "checkpoint", nil, "`FILE` with a checkpoint that was kept elsewhere; may be repeated")
	flags.StringArrayVar(&o.witnesses, "witness", nil, "public `KEY` of a witness, or a file with it; may be repeated")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (m *Main) restore(from string, o restoreOptions) error {
	if entries, err := os.ReadDir(o.data); err == nil && len(entries) > 0 {
		return config.Usagef("%s is there already; expected a new folder, or move that one away", o.data)
	}
	out, err := outside(o.key, o.checkpoints, o.witnesses)
	if err != nil {
		return err
	}
	out.Complete = true
	work := filepath.Clean(o.data) + ".unfinished"
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	note, err := takeBack(from, work)
	if err != nil {
		return fmt.Errorf("restore %s: %w", from, err)
	}
	report, err := ledger.Verify(os.DirFS(work), out)
	if err != nil {
		return fmt.Errorf("restore %s: %w", from, err)
	}
	if report.Found > 0 {
		report.Print(m.Stdout)
		return fmt.Errorf("restore %s: it does not verify, and nothing was made of it; see above", from)
	}
	if err := os.Remove(filepath.Join(work, backupManifest)); err != nil {
		return err
	}
	if err := os.Remove(o.data); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder
		return err
	}
	if err := errors.Join(syncTree(work), os.Rename(work, o.data)); err != nil {
		return fmt.Errorf("restore %s: %w", from, err)
	}
	if o.json {
		return printJSON(m.Stdout, map[string]any{"data": o.data, "at": note.At, "last": note.Last, "not_checked": report.NotChecked})
	}
	report.Print(m.Stdout)
	return printLine(m.Stdout, "%s is the data folder of %s. Where the database or a checkpoint kept elsewhere is newer, serve refuses it and says what to do.", o.data, note.At.UTC().Format(time.RFC3339))
}

// takeBack copies a backup into a folder and holds it to its hashes.
func takeBack(from, work string) (*backupNote, error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, err
	}
	if info.IsDir() {
		err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(from, path)
			if err != nil || !d.Type().IsRegular() {
				return errors.Join(err, fmt.Errorf("%q is no file of a backup", name))
			}
			return copyFile(path, filepath.Join(work, name))
		})
	} else {
		err = unpack(from, work)
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(work, backupManifest))
	if err != nil {
		return nil, fmt.Errorf("it is no backup: %w", err)
	}
	var note backupNote
	if err := json.Unmarshal(b, &note); err != nil || note.Format != backupFormat {
		return nil, fmt.Errorf("it is no backup of this kind; expected %q", backupFormat)
	}
	files, err := hashTree(work)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(files, note.Files) {
		return nil, errors.New("its files are not those that were backed up: something was changed, added or is missing")
	}
	return &note, nil
}
