package serve

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
)

// keptFolder is what a folder held. Zeros at a file's end, of which a journal's segments are full, are not kept, and come back as a hole.
type keptFolder map[string]keptFile

type keptFile struct {
	text []byte // without the zeros at its end
	size int64
	dir  bool
}

// keepFolder reads a folder.
func keepFolder(path string) (keptFolder, error) {
	kept := keptFolder{}
	folder := os.DirFS(path)
	return kept, fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			kept[name] = keptFile{dir: true}
			return err
		}
		b, err := fs.ReadFile(folder, name)
		kept[name] = keptFile{text: bytes.Clone(bytes.TrimRight(b, "\x00")), size: int64(len(b))}
		return err
	})
}

// write makes the folder anew, for its owner alone.
func (k keptFolder) write(path string) error {
	for name, file := range k {
		to := filepath.Join(path, name)
		if file.dir {
			if err := os.MkdirAll(to, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, file.text, 0o600); err != nil {
			return err
		}
		if err := os.Truncate(to, file.size); err != nil {
			return err
		}
	}
	return nil
}
