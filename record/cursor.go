package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Cursor remembers durably how far one reader has come, so that it goes on there after a crash: at least once, never less.
//
//	c, err := record.OpenCursor(filepath.Join(data, "cursors"), "syslog")
//	defer c.Close()
//	stream.Follow(ctx, c.Position()+1, func(e *sallyport.Event) error {
//		… deliver it, durably, and now and then:
//		return c.Advance(e.Seq)
//	})
//
// Advance is two syncs of the disk (about a millisecond): call it once for many events. What was delivered after the last Advance is
// delivered again after a crash. One cursor stands in one file, which says in text what it is; it is safe for use by many goroutines.
type Cursor struct {
	path string
	lock *os.File

	mu  sync.Mutex // guards seq
	seq uint64
}

// cursorMark opens the file: what it is, and the version of its format.
const cursorMark = "sallyport cursor 1"

// OpenCursor opens the cursor of that name in dir, and makes both where there is none; then its position is 0. The name has small
// letters, digits, '-', '_' and '.'. Another process, or another OpenCursor, that has it open is ErrInUse.
func OpenCursor(dir, name string) (*Cursor, error) {
	if name == "" || len(name) > 100 || name[0] == '.' || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".lock") {
		return nil, fmt.Errorf("open cursor: %q is no name of one: expected small letters, digits, '-', '_' and '.'", name)
	}
	c := &Cursor{path: filepath.Join(dir, name)}
	if err := c.open(dir); err != nil {
		return nil, fmt.Errorf("open cursor %s: %w", c.path, err)
	}
	return c, nil
}

func (c *Cursor) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	lock, err := os.OpenFile(c.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("create lock file: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err == nil {
		c.seq, err = readCursor(c.path)
	}
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	c.lock = lock
	return nil
}

// readCursor reads the file. A broken one is an error and not position 0: a reader that began anew could do harm by what it repeats.
func readCursor(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) == 3 && lines[0] == cursorMark && lines[2] == "" {
		if seq, err := strconv.ParseUint(lines[1], 10, 64); err == nil {
			return seq, nil
		}
	}
	return 0, errors.New("it is damaged: write the last sequence that its reader is known to have in its second line, or remove it to begin anew")
}

// Position is the last sequence that was advanced to: read on behind it. 0: nothing was read yet.
func (c *Cursor) Position() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seq
}

// Advance says that everything up to seq needs not be read again. It is on stable storage when it returns nil; after an error the position is
// what it was, or after a crash seq. A position behind the present one is an error, the present one is nothing to do.
func (c *Cursor) Advance(seq uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.lock == nil:
		return fmt.Errorf("advance cursor %s: %w", c.path, ErrClosed)
	case seq == c.seq:
		return nil
	case seq < c.seq:
		return fmt.Errorf("advance cursor %s: to %d, and it stands at %d", c.path, seq, c.seq)
	}
	if err := replaceFile(c.path, fmt.Appendf(nil, "%s\n%d\n", cursorMark, seq)); err != nil {
		return fmt.Errorf("advance cursor %s: %w", c.path, err)
	}
	c.seq = seq
	return nil
}

// Close gives the name free.
func (c *Cursor) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return nil
	}
	err := c.lock.Close()
	c.lock = nil
	return err
}

// replaceFile makes a file have this content durably; whoever reads it finds the former or the new one, whenever the machine stops.
func replaceFile(path string, content []byte) error {
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
