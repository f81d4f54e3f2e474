package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sallyport/history/duck"
	"sallyport/serve"
)

// wipeHistory removes it and, for a new epoch, the key of its pseudonyms.
func wipeHistory(data string, epoch bool) error {
	folder := filepath.Join(data, serve.HistoryFolder)
	err := duck.Wipe(folder)
	if epoch {
		if gone := os.Remove(filepath.Join(folder, serve.PseudonymKey)); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err != nil {
		return fmt.Errorf("remove history: %w", err)
	}
	return nil
}
