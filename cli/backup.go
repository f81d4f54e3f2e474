package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/ledger"
	"sallyport/serve"
)

// What a back-up is told by.
const (
	backupFormat   = "sallyport backup 1"
	backupManifest = "backup.json"
	backupTries    = 5
)

// backupNote is backup.json, which says what a backup is.
type backupNote struct {
	Format     string            `json:"format"`
	At         time.Time         `json:"at"`
	Key        string            `json:"key"`        // the ledger's public key
	Checkpoint string            `json:"checkpoint"` // under which all entries are
	Last       map[string]uint64 `json:"last"`       // the last entry of each stream
	Files      map[string]string `json:"files"`      // path → SHA-256
}

func (m *Main) backupCommand() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup FILE|FOLDER",
		Short: "Copy the data folder, beside a serve that goes on, and verify the copy",
		Long: `Copies record, ledger, keys (as they are wrapped) and approved configurations. What is in the copy is what stood under the newest
checkpoint: every entry of it is in the ledger. FILE ends in .tar.gz; anything else is a folder, which must not be there yet. The copy is verified before the command
ends, as 'sallyport ledger verify --complete' does.

It holds the ledger's signing key and the wrapped keys: keep it as you keep the data folder. It does not hold what opens the keys (--key-file, shares, KMS), and not
the database.`,
		Example: `  sallyport backup /backup/sallyport-$(date +%F).tar.gz --data /var/lib/sallyport
  sallyport restore /backup/sallyport-2026-03-01.tar.gz --data /var/lib/sallyport`,
		Args: exactly(1, "FILE|FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			note, err := backup(cmd.Context(), data, args[0])
			if err != nil {
				return fmt.Errorf("back up %s: %w", data, err)
			}
			if asJSON {
				return printJSON(m.Stdout, note)
			}
			return printLine(m.Stdout, "%s holds %d entries of access and %d of control, verified, as of %s.\nThe ledger's public key: %s", args[0], note.Last["access"], note.Last["control"], note.At.UTC().Format(time.RFC3339), note.Key)
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultData, "data `FOLDER`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// backup makes a folder, or a file of it. What is not whole is not left behind.
func backup(ctx context.Context, data, to string) (*backupNote, error) {
	if _, err := os.Lstat(to); err == nil {
		return nil, config.Usagef("%s is there already; expected the name of a new file or folder", to)
	}
	if _, err := os.Stat(filepath.Join(data, ledger.Folder, "checkpoint")); err != nil {
		return nil, fmt.Errorf("there is no ledger yet, which says what belongs together: start serve once: %w", err)
	}
	work := to + ".unfinished"
	if err := os.RemoveAll(work); err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	note, err := backUpInto(ctx, data, work)
	if err != nil {
		return nil, err
	}
	if !packed(to) {
		return note, errors.Join(syncTree(work), os.Rename(work, to))
	}
	if err := pack(work, to+".packing"); err != nil {
		return nil, errors.Join(err, os.Remove(to+".packing"))
	}
	return note, os.Rename(to+".packing", to)
}

func packed(name string) bool {
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz")
}

// backUpInto copies and verifies. Beside a serve that erases entries, or removes small files, a copy may not be whole: then it is made again.
func backUpInto(ctx context.Context, data, work string) (*backupNote, error) {
	var last error
	for try := range backupTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
			}
		}
		if err := os.RemoveAll(work); err != nil {
			return nil, err
		}
		snapshot, err := ledger.TakeSnapshot(data, work)
		if errors.Is(err, fs.ErrNotExist) {
			last = err
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := copyRest(data, work); err != nil {
			return nil, err
		}
		report, err := ledger.Verify(os.DirFS(work), ledger.Outside{Key: snapshot.Key, Complete: true})
		if err != nil {
			return nil, err
		}
		if report.Found == 0 {
			return writeNote(work, snapshot)
		}
		last = fmt.Errorf("the copy does not verify: %s: %s; 'sallyport ledger verify' on a copy says more", report.Findings[0].Where, report.Findings[0].What)
	}
	return nil, last
}

// besides are what a backup does not copy as it stands: it has another way, or is made anew from the record.
func besides() []string {
	return []string{"access", "control", ledger.Folder, "history", "lock", serve.SocketName}
}

// copyRest copies what stands in the data folder besides: keys as they are wrapped, approved configurations, states of sources.
func copyRest(data, to string) error {
	return filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(data, path)
		if err != nil {
			return err
		}
		if name != "." && !strings.ContainsRune(name, os.PathSeparator) && slices.Contains(besides(), name) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, ".tmp") {
			return nil
		}
		return copyFile(path, filepath.Join(to, name))
	})
}

// copyFile copies one file, durably where its folder is synced later.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// writeNote hashes everything, so that a restore sees what became of it on the way.
func writeNote(work string, s *ledger.Snapshot) (*backupNote, error) {
	note := &backupNote{Format: backupFormat, At: time.Now().UTC(), Key: s.Key, Checkpoint: string(s.Checkpoint.Note), Last: s.Last}
	var err error
	if note.Files, err = hashTree(work); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(note, "", " ")
	if err != nil {
		return nil, err
	}
	return note, os.WriteFile(filepath.Join(work, backupManifest), append(b, '\n'), 0o600)
}

// hashTree are the files below a folder, but for the manifest.
func hashTree(folder string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || name == backupManifest {
			return err
		}
		in, err := os.Open(path) //nolint:gosec // G122: a folder of our own
		if err != nil {
			return err
		}
		defer in.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, in); err != nil {
			return err
		}
		files[filepath.ToSlash(name)] = hex.EncodeToString(sum.Sum(nil))
		return nil
	})
	return files, err
}

// syncTree makes all files and folders durable.
func syncTree(folder string) error {
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path) //nolint:gosec // G122: a folder of our own
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
