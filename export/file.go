package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// File appends lines to a file. When it is large it is renamed with the time behind its name, compressed, and the next one begun.
// What Deliver says is taken is on stable storage.
type File struct {
	Path   string
	Rotate int64            // bytes from which on the next one is begun; 0: 100 MiB
	Keep   int              // files besides the present one, older ones are removed; 0: all of them
	Clock  func() time.Time // names what is rotated; nil: time.Now

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
	buf  []byte
}

const usualRotate = 100 << 20

// Deliver is Sink's: all of a batch, or nothing of it that counts.
func (f *File) Deliver(_ context.Context, batch []Message) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.write(batch); err != nil {
		f.forget()
		return 0, fmt.Errorf("write to %s: %w", f.Path, err)
	}
	return len(batch), nil
}

func (f *File) write(batch []Message) error {
	if err := f.open(); err != nil {
		return err
	}
	f.buf = f.buf[:0]
	for i := range batch {
		f.buf = append(append(f.buf, batch[i].Body...), '\n')
	}
	n, err := f.file.Write(f.buf)
	f.size += int64(n)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return err
	}
	limit := f.Rotate
	if limit == 0 {
		limit = usualRotate
	}
	if f.size < limit {
		return nil
	}
	return f.rotate()
}

// open opens the file, and cuts a line that a crash left without its end: its message is delivered again. Somebody may have moved the file
// away meanwhile (logrotate does): then a new one is begun.
func (f *File) open() error {
	if f.file != nil {
		here, err := os.Stat(f.Path)
		mine, mineErr := f.file.Stat()
		if err == nil && mineErr == nil && os.SameFile(here, mine) {
			return nil
		}
		f.forget()
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(f.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	size, err := cutTorn(file)
	if err == nil {
		err = syncFolder(filepath.Dir(f.Path))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size = file, size
	return f.finish()
}

// cutTorn removes what stands behind the last line's end.
func cutTorn(file *os.File) (int64, error) {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	for at := end; at > 0; {
		n := min(at, int64(len(buf)))
		if _, err := file.ReadAt(buf[:n], at-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			at = at - n + int64(i) + 1
			if at == end {
				return end, nil
			}
			return at, file.Truncate(at)
		}
		at -= n
	}
	if end == 0 {
		return 0, nil
	}
	return 0, file.Truncate(0)
}

func (f *File) forget() {
	if f.file != nil {
		_ = f.file.Close() // what counts was synced
		f.file = nil
	}
}

// rotate renames the full file, and compresses it.
func (f *File) rotate() error {
	now := time.Now //nolint:forbidigo // names a file where nobody gave a clock
	if f.Clock != nil {
		now = f.Clock
	}
	stamp := now().UTC().Format("20060102T150405.000000000Z")
	f.forget()
	if err := os.Rename(f.Path, f.Path+"."+stamp); err != nil {
		return err
	}
	return f.finish()
}

// finish compresses what was renamed, also what a crash left in between, and removes what is too old.
func (f *File) finish() error {
	old, err := f.rotated()
	if err != nil {
		return err
	}
	for _, name := range old {
		if strings.HasSuffix(name, ".gz") {
			continue
		}
		if err := compress(name); err != nil {
			return err
		}
	}
	if f.Keep == 0 {
		return nil
	}
	if old, err = f.rotated(); err != nil {
		return err
	}
	for len(old) > f.Keep {
		if err := os.Remove(old[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		old = old[1:]
	}
	return syncFolder(filepath.Dir(f.Path))
}

// rotated are the files that were rotated, the oldest first.
func (f *File) rotated() ([]string, error) {
	folder, base := filepath.Dir(f.Path), filepath.Base(f.Path)+"."
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		stamp, ours := strings.CutPrefix(e.Name(), base)
		stamp = strings.TrimSuffix(stamp, ".gz")
		if _, err := time.Parse("20060102T150405.000000000Z", stamp); ours && err == nil {
			list = append(list, filepath.Join(folder, e.Name()))
		}
	}
	slices.Sort(list)
	return list, nil
}

// compress makes name.gz of a file. A crash leaves one of both, or an unfinished one under another name.
func compress(name string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(name+".gz.tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	err = errors.Join(err, z.Close())
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(name+".gz.tmp", name+".gz")
	}
	if err == nil {
		err = syncFolder(filepath.Dir(name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(name+".gz.tmp"))
	}
	return os.Remove(name)
}

func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
